"""What is in a publication: its sources' entries, as far as they have settled, as its rules leave them.

Feeds, pages, issues, previews and the API all read the entries of a publication here, so that none shows what another
keeps out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from itertools import takewhile

from publisher.config import Settings
from publisher.model import Entry
from publisher.selection.rules import Rules, judges
from publisher.selection.settling import longest, settled_at
from publisher.store import Twin, Tx, Waiting
from publisher.templating import Templates

__all__ = ["Choice", "Rules", "judges", "reach", "settled_at", "unsettled"]

_FURTHEST = 20
"""So many times as many entries as are wanted are looked at, where rules leave most of them out."""
_STEP = 4


def unsettled(tx: Tx, settings: Settings, name: str, now: datetime) -> Mapping[int, datetime]:
    """The numbers of the entries in a publication's sources that have not settled yet, each with when it will have.

    What is edited for the tenth time has settled, too: it will not stop.
    """
    settle = settings.publications[name].settle
    if settle is None:
        return {}
    young = tx.entries.young(settings.sources_of(name), now - longest(settle))
    found = {one.number: settled_at(one.arrived, one.changes, settle) for one in young}
    return {number: moment for number, moment in found.items() if moment > now}


def reach(tx: Tx, settings: Settings, name: str, since: int, now: datetime) -> int:
    """The number of the last entry that an issue can tell of, of those that arrived after ``since``.

    What has not settled waits, and what arrived after it waits behind it: each reader is told in order of arrival, so
    that one number says what they have been told.
    """
    last = tx.entries.last_number()
    waiting = [number for number in unsettled(tx, settings, name, now) if since < number <= last]
    return min(waiting) - 1 if waiting else last


@dataclass(frozen=True)
class Choice:
    """What is in one publication at one moment; good for as long as its transaction is."""

    tx: Tx
    name: str
    settings: Settings
    templates: Templates
    now: datetime

    @cached_property
    def rules(self) -> Rules:
        """Its rules."""
        return Rules(self.settings.publications[self.name].rules, self.templates)

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """The names of its sources."""
        return self.settings.sources_of(self.name)

    @cached_property
    def _unsettled(self) -> Mapping[int, datetime]:
        return unsettled(self.tx, self.settings, self.name, self.now)

    @property
    def next_at(self) -> datetime | None:
        """When something will have settled that has not yet; None where nothing waits for that."""
        return min(self._unsettled.values(), default=None)

    @property
    def waiting(self) -> int:
        """How many have not settled yet."""
        return len(self._unsettled)

    def newest(self, limit: int) -> tuple[Entry, ...]:
        """Its newest entries by moment, newest first."""
        return self.shown(self._filled(lambda most: self.tx.entries.newest(self.sources, most), limit, self._published))

    def last(self, limit: int, before: int | None = None) -> tuple[tuple[Entry, ...], int | None]:
        """Those that arrived last, the last first; and the number before which there may be more; None: there are none.

        Args:
            before: the number of an entry; only those that arrived before it.
        """
        found: list[Entry] = []
        for _ in range(_FURTHEST):
            page = self.tx.entries.last(self.sources, limit + 1, *([] if before is None else [before]))
            found += filter(None, map(self._published, page))
            if len(found) > limit:
                return self.shown(found[:limit]), found[limit - 1].number
            if len(page) <= limit:
                return self.shown(found), None
            before = page[-1].number
        return self.shown(found), before

    def recent(self, after: datetime, limit: int, last: int) -> tuple[Entry, ...]:
        """Its entries from a moment on, backlog too, oldest first by moment.

        Args:
            last: no news that arrived after the entry with this number.
        """
        return self._filled(
            lambda most: self.tx.entries.recent(self.sources, after, most),
            limit,
            lambda entry: self.rules.apply(entry) if entry.backlog or entry.number <= last else None,
        )

    def news(self, frequency: str, since: int, last: int) -> Iterator[Waiting]:
        """What arrived after one entry, up to another, and is no backlog, in order of arrival; read page by page.

        Args:
            frequency: of which of its schedules the issues are asked whether they told it.
            since: the number of the former.
            last: the number of the latter.
        """
        news = self.tx.entries.news(self.name, frequency, self.sources, since)
        for waiting in takewhile(lambda waiting: waiting.entry.number <= last, news):
            if entry := self.rules.apply(waiting.entry):
                yield replace(waiting, entry=entry, twins=tuple(filter(None, map(self._twin, waiting.twins))))

    def shown(self, entries: Sequence[Entry]) -> tuple[Entry, ...]:
        """These as they are shown, in the same order: in a preferred source's words, and the others named."""
        after = self.tx.stories.shown(entries, self.settings.voices(self.name))
        return tuple(self._in_words_of(one, better) for one, better in zip(entries, after, strict=True))

    def _in_words_of(self, entry: Entry, better: Entry) -> Entry:
        """What a rule drops lends no words to what it keeps."""
        if better.number == entry.number:
            return better
        return self.rules.apply(better) or replace(entry, uid=better.uid)

    def _twin(self, twin: Twin) -> Twin | None:
        """As it is in the publication; what is not in it was not told under its identity, unless an issue did so."""
        if twin.forgotten:
            return twin
        entry = self.rules.apply(twin.entry)
        return replace(twin, entry=entry) if entry else twin if twin.told else None

    def _published(self, entry: Entry) -> Entry | None:
        return None if entry.number in self._unsettled else self.rules.apply(entry)

    def _filled(
        self, read: Callable[[int], Sequence[Entry]], limit: int, choose: Callable[[Entry], Entry | None]
    ) -> tuple[Entry, ...]:
        """As many as are wanted of those that are chosen, as far as there are so many among the first that are read."""
        found: list[Entry] = []
        seen, most = 0, limit
        while True:
            page = read(most)
            found += filter(None, map(choose, page[seen:]))
            if len(found) >= limit or len(page) < most or most >= _FURTHEST * limit:
                return tuple(found[:limit])
            seen, most = len(page), min(_STEP * most, _FURTHEST * limit)
