"""Which entries tell the same, and how a story is shown that several sources of a publication tell."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import JSON, BigInteger, Row, Select, bindparam, cast, delete, func, not_, select

from publisher.model import Entry, Item, Mention, Voices
from publisher.store.concern import Concern, chunks, elements
from publisher.store.content import unpack
from publisher.store.rows import Arrival
from publisher.store.tables import entries, sources, stored_key, traces
from publisher.stories import Newcomer, Search, Tale, Teller, Trace, tale
from publisher.stories import traces as traces_of

_AT_ONCE = 5_000
"""Values in one statement."""
_passing = traces.c.value >= 0


# Each harvest asks these, and to put a statement together takes longer than to answer it.


@cache
def _left(dialect: str) -> Select[Any]:
    """Who has left any of some traces."""
    asked = select(cast(elements(dialect, bindparam("values", type_=JSON)).c.value, BigInteger))
    teller = (entries.c.source, entries.c.member, entries.c.moment, entries.c.story)
    found = select(traces.c.value, traces.c.number, *teller).join_from(traces, entries)
    return found.where(traces.c.value.in_(asked))


@cache
def _named(dialect: str) -> Select[Any]:
    """The stories of some public identities."""
    asked = select(elements(dialect, bindparam("values", type_=JSON)).c.value)
    first = select(entries.c.uid, func.min(entries.c.story).label("story"))
    return first.where(entries.c.uid.in_(asked)).group_by(entries.c.uid)


class _Teller(NamedTuple):
    """An entry of a story, without its content."""

    number: int
    source: str
    member: str
    uid: str
    forgotten: bool


class Stories(Concern):
    """The stories that entries tell."""

    # --- at arrival ---

    def join(
        self, teller: Teller, arrivals: Mapping[int, Arrival], now: datetime
    ) -> tuple[dict[int, int], list[dict[str, Any]]]:
        """Find out what stories entries tell that are about to be written.

        Nobody else may add any meanwhile, or two that arrive in the same moment would not find each other: the caller
        has drawn from the counter of entries.

        Returns:
            The story of each, by its number; and the traces to be written after them.
        """
        fresh = [_newcomer(number, arrival, now) for number, arrival in arrivals.items()]
        search = Search(teller, fresh, self._traces({value for one in fresh for value in one.traces}))
        near = [trace for one in fresh for trace in search.alike(one)]
        linked = [trace for one in fresh for trace in search.linked(one)]
        told_by = self._tellers({trace.story for trace in (*linked, *near)})
        found = search.stories(
            self._by_uid({one.uid for one in fresh}), self._tales({trace.number for trace in near}), told_by
        )
        return found, [{"value": value, "number": number} for value, number in search.left()]

    def _traces(self, values: Collection[int]) -> Iterator[Trace]:
        for chunk in chunks(values, _AT_ONCE):
            for row in self._connection.execute(_left(self._connection.dialect.name), {"values": chunk}):
                teller = (row.source, row.member)
                yield Trace(value=row.value, number=row.number, teller=teller, moment=row.moment, story=row.story)

    def _by_uid(self, uids: Collection[str]) -> dict[str, int]:
        asked = {stored_key(uid): uid for uid in uids}
        found: dict[str, int] = {}
        for chunk in chunks(asked, _AT_ONCE):
            told = self._connection.execute(_named(self._connection.dialect.name), {"values": chunk})
            found |= {asked[row.uid]: row.story for row in told}
        return found

    def _tales(self, numbers: Collection[int]) -> dict[int, Tale]:
        found: dict[int, Tale] = {}
        for chunk in chunks(numbers):
            told = select(entries.c.number, entries.c.moment, entries.c.content).where(
                entries.c.number.in_(chunk), not_(entries.c.forgotten)
            )
            for row in self._connection.execute(told):
                found[row.number] = tale(Item(**unpack(row.content)), row.moment)
        return found

    def _tellers(self, stories: Collection[int]) -> dict[int, set[Teller]]:
        found: dict[int, set[Teller]] = {}
        for story, group in self._groups(stories).items():
            found[story] = {(one.source, one.member) for one in group}
        return found

    def _groups(self, stories: Collection[int]) -> dict[int, list[_Teller]]:
        """All entries of these stories, of whichever source, in order of arrival."""
        columns = (entries.c[name] for name in ("story", *_Teller._fields))
        light = select(*columns)
        found: dict[int, list[_Teller]] = {}
        for chunk in chunks(stories):
            for story, *told in self._connection.execute(
                light.where(entries.c.story.in_(chunk)).order_by(entries.c.number)
            ):
                found.setdefault(story, []).append(_Teller(*told))
        return found

    def forget(self, before: datetime) -> None:
        """Let go of the traces of words of entries that arrived before a moment: nobody looks for them any more."""
        # The oldest alone are looked at, page by page: numbers ascend, so behind the first young one are no old ones.
        oldest = select(traces.c.number).where(_passing).order_by(traces.c.number).limit(_AT_ONCE).subquery()
        old = select(entries.c.number).where(entries.c.number.in_(select(oldest.c.number)), entries.c.arrived < before)
        while self._count(delete(traces).where(_passing, traces.c.number.in_(old))) >= _AT_ONCE:
            pass

    # --- for a publication ---

    def shown(self, told: Sequence[Entry], voices: Voices) -> tuple[Entry, ...]:
        """The entries as a publication shows them, in the same order: who else tells the same is named in each.

        Each has the public identity of the first entry that told the same, so that a story keeps it whoever joins in.
        Where a preferred source tells it, its entry is shown in place of the one given, as an edit of it would be: with
        the date of that one.

        Args:
            told: entries of the publication, one of each story.
        """
        groups = {
            story: [one for one in group if one.source in voices.titles]
            for story, group in self._groups({entry.story for entry in told}).items()
        }
        several = [one for group in groups.values() if len(group) > 1 for one in group]
        others = self._entries({one.number for one in several if not one.forgotten})
        names = _Names(voices, self._titles(several))
        return tuple(_shown(entry, groups.get(entry.story, ()), others, names) for entry in told)

    def _entries(self, numbers: Collection[int]) -> dict[int, Entry]:
        from publisher.store.entries import entry  # there entries are added, which asks this module

        rows: list[Row[Any]] = []
        for chunk in chunks(numbers):
            rows += self._connection.execute(select(entries).where(entries.c.number.in_(chunk)))
        return {row.number: entry(row) for row in rows}

    def _titles(self, tellers: Iterable[_Teller]) -> dict[str, str]:
        """What sources, and feeds that they list, call themselves."""
        names = {name for one in tellers for name in (one.source, f"{one.source}/{one.member}")}
        found: dict[str, str] = {}
        for chunk in chunks(names):
            named = select(sources.c.name, sources.c.title).where(sources.c.name.in_(chunk))
            found |= {row.name: row.title for row in self._connection.execute(named)}
        return found


class _Names(NamedTuple):
    """How sources are called, and which comes first."""

    voices: Voices
    own: Mapping[str, str]

    def of(self, teller: _Teller) -> str:
        """What readers call the source of an entry."""
        named = self.own.get(f"{teller.source}/{teller.member}", "") if teller.member else ""
        return named or self.voices.titles[teller.source] or self.own.get(teller.source, "") or teller.source

    def preferred(self, group: Iterable[_Teller]) -> int:
        """The number of the entry whose words are taken; 0 where no source is preferred to the others."""
        ranks = {source: rank for rank, source in enumerate(self.voices.prefer)}
        known = [one for one in group if one.source in ranks and not one.forgotten]
        return min(known, key=lambda one: (ranks[one.source], one.number)).number if known else 0


def _shown(entry: Entry, group: Sequence[_Teller], others: Mapping[int, Entry], names: _Names) -> Entry:
    if len(group) < 2:
        return replace(entry, uid=group[0].uid) if group else entry
    better = others.get(names.preferred(group), entry)
    if better.number != entry.number:
        entry = replace(
            better,
            published=entry.published,
            arrived=entry.arrived,
            changed=max(entry.changed, better.changed),
            version=entry.version + better.version,
        )
    mentions: dict[tuple[str, str], Mention] = {}
    own = next(((one.source, one.member) for one in group if one.number == entry.number), None)
    for one in group:
        if (one.source, one.member) != own and one.number in others:
            mention = Mention(source=one.source, title=names.of(one), link=others[one.number].link)
            mentions.setdefault((one.source, one.member), mention)
    return replace(entry, uid=group[0].uid, also_in=tuple(mentions.values()))


def _newcomer(number: int, arrival: Arrival, now: datetime) -> Newcomer:
    item = arrival.item
    moment = min(item.published or now, now)
    return Newcomer(number=number, uid=arrival.uid, item=item, moment=moment, traces=traces_of(item))
