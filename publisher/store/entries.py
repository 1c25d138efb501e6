"""The entries: their identities, contents and former versions.

One counter numbers arrivals and revisions alike, in the order of the commits: an entry's number is the counter's value
at its arrival, and a source's mark its value at the last change of any kind.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from heapq import nlargest
from itertools import islice
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    bindparam,
    delete,
    exists,
    func,
    insert,
    not_,
    select,
    tuple_,
    type_coerce,
    update,
)

from publisher.model import Entry, Item, member_of, source_name
from publisher.store.concern import Concern, chunks
from publisher.store.content import pack, unpack
from publisher.store.pages import of_page, page, rows_of
from publisher.store.rows import Arrival, Known, Twin, Waiting, Young
from publisher.store.stories import Stories
from publisher.store.tables import entries, identities, issue_entries, issues, marks, stored_key, traces, versions

_COUNTER = "entries"
_FORMER = 10
_PAGE = 500
_remembered = not_(entries.c.forgotten)
_START = datetime.min.replace(tzinfo=UTC)
_END = (datetime.max.replace(tzinfo=UTC), 2**63 - 1)
_order = tuple_(entries.c.moment, entries.c.number)

# Asked once for each source, because no planner merges a thousand ordered index ranges by itself.
_NEWEST_OF_ONE = (
    select(entries.c.moment, entries.c.number, entries.c.story)
    .where(
        entries.c.source == bindparam("source"),
        _remembered,
        entries.c.moment >= bindparam("floor"),
        _order < tuple_(bindparam("moment", type_=entries.c.moment.type), bindparam("number")),
    )
    .order_by(entries.c.moment.desc(), entries.c.number.desc())
    .limit(bindparam("limit"))
)

# The same by order of arrival.
_LAST_OF_ONE = (
    select(entries.c.moment, entries.c.number, entries.c.story)
    .where(
        entries.c.source == bindparam("source"),
        _remembered,
        entries.c.number.between(bindparam("floor"), bindparam("last")),
    )
    .order_by(entries.c.number.desc())
    .limit(bindparam("limit"))
)


_VISITED = (entries.c.source, entries.c.member)


@cache
def _last_moments(dialect: str, *, member: bool) -> Select[Any]:
    """The last moment of each of some sources, or of feeds that they list."""
    source, feed = of_page(dialect, _VISITED)
    found = (entries.c.source == source, _remembered)
    of_feed = (entries.c.member == feed, entries.c.member != "") if member else ()
    newest = select(func.max(entries.c.moment)).where(*found, *of_feed).scalar_subquery()
    return select(source, feed, type_coerce(newest, entries.c.moment.type))


class Entries(Concern):
    """All entries of all sources."""

    def known(
        self, source: str, keys: Collection[str], link_keys: Collection[str], *, member: str = ""
    ) -> tuple[Known, ...]:
        """The entries of a source that have any of these keys or link keys, in order of arrival.

        Args:
            member: of these links, those of the entries of this one of the feeds that it lists.
        """
        asked = {stored_key(key): key for key in (*link_keys, *keys)}
        numbers = set(self._numbers_by_key(source, keys)) | set(self._numbers_by_link(source, member, link_keys))
        names: dict[int, set[str]] = {number: set() for number in sorted(numbers)}
        rows: dict[int, Row[Any]] = {}
        for chunk in chunks(names):
            keyed = select(identities.c.number, identities.c.key).where(identities.c.number.in_(chunk))
            for number, key in self._connection.execute(keyed):
                names[number].add(asked.get(key, key))
            found = select(entries).where(entries.c.number.in_(chunk))
            rows |= {row.number: row for row in self._connection.execute(found)}
        return tuple(_known(rows[number], names[number], asked) for number in names)

    def _numbers_by_key(self, source: str, keys: Collection[str]) -> Iterable[int]:
        for chunk in chunks(keys):
            named = identities.c.source == source, identities.c.key.in_(chunk)
            yield from self._connection.scalars(select(identities.c.number).where(*named))

    def _numbers_by_link(self, source: str, member: str, link_keys: Collection[str]) -> Iterable[int]:
        for chunk in chunks([key for key in link_keys if key]):
            linked = entries.c.source == source, entries.c.member == member, entries.c.link_key.in_(chunk)
            yield from self._connection.scalars(select(entries.c.number).where(*linked))

    def hold(self) -> None:
        """Let nobody else add or revise until this transaction ends, so that what is known stays true."""
        self._draw(_COUNTER, 0)

    def add(self, source: str, arrivals: Sequence[Arrival], now: datetime, *, member: str = "") -> int:
        """Write new entries, each with the story that it tells; their numbers ascend in the order given.

        Args:
            member: from which of the feeds that the source lists.

        Returns:
            How many were new: one whose key the source has already (another process was first) is skipped.
        """
        if not arrivals:
            return 0
        first = self._draw(_COUNTER, len(arrivals))
        numbered = dict(enumerate(arrivals, first))
        keys = [{"source": source, "key": arrival.key, "number": number} for number, arrival in numbered.items()]
        claim = self._insert(identities).on_conflict_do_nothing().returning(identities.c.number)
        won = sorted(self._connection.scalars(claim, keys))
        if won:
            stories, left = Stories(self._connection, self._owner).join(
                (source, member), {n: numbered[n] for n in won}, now
            )
            told = {"source": source, "member": member}
            rows = [{"number": n, "story": stories[n]} | told | _arrived(numbered[n], now) for n in won]
            self._connection.execute(insert(entries), rows)
            if left:
                self._connection.execute(insert(traces), left)
            self._mark(source, won[-1])
        return len(won)

    def revise(self, number: int, item: Item, digest: str, now: datetime, *, link_key: str) -> None:
        """Write an edit of an entry; what it was before stays as a former version, if an issue told it or it is recent.

        Of a forgotten entry only the digest is noted.  An edit that another process has written already is skipped.
        """
        mark = self._draw(_COUNTER)
        before = self._connection.execute(select(entries).where(entries.c.number == number)).one()
        if before.digest == digest:
            return
        if before.forgotten:
            self._update(number, digest=digest)
            return
        former = {"number": number, "version": before.version, "changed": before.changed, "content": before.content}
        self._connection.execute(insert(versions), former)
        self._connection.execute(delete(versions).where(*_too_old(number, before.version)))
        told = _told(item, before.arrived) | {"link_key": link_key}
        self._update(number, digest=digest, version=before.version + 1, changed=now, **told)
        self._mark(before.source, mark)

    def alias(self, source: str, key: str, number: int) -> None:
        """Give an entry one more key; nothing happens when the source has an entry of that key."""
        self._draw(_COUNTER, 0)  # the lock that `add` takes first, so that the two never wait for each other
        row = {"source": source, "key": key, "number": number}
        self._connection.execute(self._insert(identities).values(row).on_conflict_do_nothing())

    def mark(self, sources: Collection[str]) -> int:
        """A number that is higher after each arrival or edit in any of the sources; 0 when they have no entries."""
        found = (
            self._connection.scalar(select(func.max(marks.c.mark)).where(marks.c.source.in_(chunk)))
            for chunk in chunks(sources)
        )
        return max(filter(None, found), default=0)

    def newest(self, sources: Collection[str], limit: int) -> tuple[Entry, ...]:
        """The newest entries by moment, newest first; of several that tell the same the one that arrived first."""
        found: dict[int, str] = {}
        last = _END
        while len(found) < limit:
            page = self._page(sources, last, limit)
            found |= self._firsts(page, sources)
            if len(page) < limit:
                break
            last = page[-1][:2]
        return self._load(found, limit)

    def last(self, sources: Collection[str], limit: int, before: int = _END[1]) -> tuple[Entry, ...]:
        """The entries that arrived last, the last first; of several that tell the same the one that arrived first.

        Args:
            before: the number of an entry; only those that arrived before it.
        """
        found: dict[int, str] = {}
        while len(found) < limit:
            page = self._last_page(sources, before, limit)
            found |= self._firsts(page, sources)
            if len(page) < limit:
                break
            before = page[-1][1]
        return self._load(found, limit)

    def _last_page(self, sources: Collection[str], before: int, limit: int) -> list[tuple[datetime, int, int]]:
        """Moment, number and story of those that arrived last before that one, the last first."""
        best: list[tuple[datetime, int, int]] = []
        for source in dict.fromkeys(sources):
            floor = best[-1][1] if len(best) == limit else 0
            bounds = {"source": source, "floor": floor, "last": before - 1, "limit": limit}
            if rows := self._connection.execute(_LAST_OF_ONE, bounds).all():
                best = nlargest(limit, [*best, *map(tuple, rows)], key=itemgetter(1))
        return best

    def _page(
        self, sources: Collection[str], last: tuple[datetime, int], limit: int
    ) -> list[tuple[datetime, int, int]]:
        """Moment, number and story of the newest entries older than ``last``, newest first."""
        best: list[tuple[datetime, int, int]] = []
        for source in dict.fromkeys(sources):
            floor = best[-1][0] if len(best) == limit else _START
            bounds = {"source": source, "floor": floor, "moment": last[0], "number": last[1], "limit": limit}
            if rows := self._connection.execute(_NEWEST_OF_ONE, bounds).all():
                best = nlargest(limit, [*best, *map(tuple, rows)])
        return best

    def _firsts(self, page: Sequence[tuple[datetime, int, int]], sources: Collection[str]) -> dict[int, str]:
        """The numbers in ``page`` before which no other entry of these sources told the same, each with the public
        identity of its story: that of the first entry, be it forgotten or not.
        """
        uids: dict[int, str] = {}
        first: dict[int, int] = {}
        for story, number, uid, forgotten in self._told({story for _, _, story in page}, sources):
            uids.setdefault(story, uid)
            if not forgotten:
                first.setdefault(story, number)
        return {number: uids[story] for _, number, story in page if first[story] == number}

    def _told(self, stories: Collection[int], sources: Collection[str]) -> Iterator[tuple[int, int, str, bool]]:
        """Story, number, uid and whether it is forgotten, of each entry of these sources that tells one of the stories;
        in order of arrival.
        """
        wanted = set(sources)
        columns = (entries.c.story, entries.c.number, entries.c.uid, entries.c.forgotten, entries.c.source)
        for chunk in chunks(stories):
            same = select(*columns).where(entries.c.story.in_(chunk)).order_by(entries.c.number)
            for story, number, uid, forgotten, source in self._connection.execute(same):
                if source in wanted:
                    yield story, number, uid, forgotten

    def _load(self, found: Mapping[int, str], limit: int) -> tuple[Entry, ...]:
        """The first of these entries, each with the public identity that is given for it."""
        numbers = list(islice(found, limit))
        rows: dict[int, Row[Any]] = {}
        for chunk in chunks(numbers):
            loaded = self._connection.execute(select(entries).where(entries.c.number.in_(chunk)))
            rows |= {row.number: row for row in loaded}
        return tuple(replace(entry(rows[number]), uid=found[number]) for number in numbers)

    def news(self, publication: str, frequency: str, sources: Collection[str], since: int) -> Iterator[Waiting]:
        """What arrived in these sources after an entry and is no backlog, in order of arrival; read page by page.

        Args:
            publication: whose issues are asked whether they told it…
            frequency: …those of this one of its schedules.
            since: the number of that entry.
        """
        told = _was_told(publication, frequency)
        while page := self._news_page(sources, since):
            twins, uids = self._twins({row.story for row in page}, told, sources)
            for row in page:
                yield Waiting(entry=replace(entry(row), uid=uids[row.story]), twins=twins[row.story])
            since = page[-1].number

    def _news_page(self, sources: Collection[str], since: int) -> Sequence[Row[Any]]:
        news = (entries.c.source.in_(sources), entries.c.number > since, ~entries.c.backlog, _remembered)
        return self._connection.execute(select(entries).where(*news).order_by(entries.c.number).limit(_PAGE)).all()

    def _twins(
        self, stories: Collection[int], told: ColumnElement[bool], sources: Collection[str]
    ) -> tuple[dict[int, tuple[Twin, ...]], dict[int, str]]:
        """All news that tells these stories: of the sources, or told; and the public identity of each story there."""
        found: dict[int, tuple[Twin, ...]] = {}
        uids: dict[int, str] = {}
        for chunk in chunks(stories):
            same = select(entries, told.label("told")).where(entries.c.story.in_(chunk))
            for row in self._connection.execute(same.order_by(entries.c.number)):
                if row.source in sources:
                    uids.setdefault(row.story, row.uid)
                if row.told or (row.source in sources and not row.backlog):
                    twin = Twin(entry=entry(row), told=row.told, forgotten=row.forgotten)
                    found[row.story] = (*found.get(row.story, ()), twin)
        return found, uids

    def recent(self, sources: Collection[str], after: datetime, limit: int) -> tuple[Entry, ...]:
        """The entries from a moment on, backlog too, oldest first by moment."""
        told = select(entries).where(entries.c.source.in_(sources), entries.c.moment >= after, _remembered)
        rows = self._connection.execute(told.order_by(entries.c.moment, entries.c.number).limit(limit)).all()
        uids: dict[int, str] = {}
        for story, _, uid, _ in self._told({row.story for row in rows}, sources):
            uids.setdefault(story, uid)
        return tuple(replace(entry(row), uid=uids[row.story]) for row in rows)

    def moments(self, source: str, limit: int, *, member: str = "") -> list[datetime]:
        """When the newest entries of a source were published, or of a feed that it lists, newest first."""
        newest = select(entries.c.moment).where(entries.c.source == source, _remembered)
        if member:
            newest = newest.where(entries.c.member == member, entries.c.member != "")
        ordered = newest.order_by(entries.c.moment.desc(), entries.c.number.desc()).limit(limit)
        return list(self._connection.scalars(ordered))

    def last_moment(self, visited: str) -> datetime | None:
        """When the newest entry of a source, or of a feed that it lists, was published."""
        return self.last_moments([visited]).get(visited)

    def last_moments(self, visited: Collection[str]) -> dict[str, datetime]:
        """When the newest entry of each of these sources, and feeds that they list, was published; of those with any.

        Each is looked up by itself in the index: no planner finds the last of many groups without reading the groups.
        """
        found: dict[str, datetime] = {}
        for kind in (True, False):
            asked = [name for name in visited if bool(member_of(name)) is kind]
            pairs = {(source_name(name), member_of(name)): name for name in asked}
            newest = _last_moments(self._connection.dialect.name, member=kind)
            of = page(self._connection.dialect, _VISITED, pairs)
            rows = rows_of(self._connection, newest, of) if asked else ()
            found |= {pairs[source, feed]: moment for source, feed, moment in rows if moment}
        return found

    def last_sign(self, visited: str, since: datetime | None) -> datetime | None:
        """When a source, or a feed that it lists, gave its last sign of life: when its newest entry was published, or
        when one arrived that it did not have at the first visit, whatever that says of its date.

        Args:
            since: the first visit.
        """
        own, published = (entries.c.source == source_name(visited)), self.last_moment(visited)
        if member := member_of(visited):
            own &= entries.c.member == member
        arrived = self._connection.scalar(
            select(entries.c.arrived).where(own).order_by(entries.c.number.desc()).limit(1)
        )
        late = arrived if arrived and since and arrived > since else None
        return max(filter(None, (published, late)), default=None)

    def young(self, sources: Collection[str], after: datetime) -> tuple[Young, ...]:
        """The news that arrived in these sources after a moment, in order of arrival; without what was edited so often
        that not all of its former versions are kept.
        """
        # Numbers ascend with arrivals, so that only the young ones are read, and the first that is not.
        older = select(entries.c.number).where(entries.c.arrived <= after).order_by(entries.c.number.desc()).limit(1)
        whole = entries.c.version <= _FORMER
        news = (entries.c.source.in_(sources), ~entries.c.backlog, _remembered, whole)
        found = select(entries.c.number, entries.c.arrived, entries.c.changed, entries.c.version)
        last_old = self._connection.scalar(older) or 0
        rows = self._connection.execute(
            found.where(entries.c.number > last_old, *news).order_by(entries.c.number)
        ).all()
        former: dict[int, list[datetime]] = {row.number: [] for row in rows if row.version > 1}
        for chunk in chunks(former):
            edits = select(versions.c.number, versions.c.changed).where(versions.c.number.in_(chunk))
            for number, changed in self._connection.execute(edits):
                former[number].append(changed)
        return tuple(
            Young(
                number=row.number,
                arrived=row.arrived,
                changes=(*former[row.number], row.changed) if row.version > 1 else (),
            )
            for row in rows
        )

    def last_number(self) -> int:
        """The number of the entry that arrived last; 0 when there is none."""
        return self._connection.scalar(select(func.max(entries.c.number))) or 0

    def count(self, source: str) -> int:
        """How many entries a source has, forgotten ones included."""
        counted = select(func.count()).select_from(entries).where(entries.c.source == source)
        return self._connection.execute(counted).scalar_one()

    def counts(self) -> dict[str, int]:
        """How many entries each source has, forgotten ones included."""
        counted = select(entries.c.source, func.count()).group_by(entries.c.source)
        return dict(self._connection.execute(counted).all())

    def counts_by_member(self, source: str) -> dict[str, int]:
        """How many entries each of the feeds has that a source lists."""
        counted = select(entries.c.member, func.count()).where(entries.c.source == source).group_by(entries.c.member)
        return dict(self._connection.execute(counted).all())

    def forget(self, source: str, before: datetime, spare: int, keep_after: int) -> int:
        """Empty the old entries of a source; their identities and titles stay, else they would come back as new.

        Args:
            before: what arrived before this moment is old…
            spare: …unless it is one of so many newest,
            keep_after: or has a higher number than this: it may be waiting for an issue.

        Returns:
            How many entries were forgotten.
        """
        mine = (entries.c.source == source, _remembered)
        newest = select(entries.c.number).where(*mine).order_by(entries.c.moment.desc(), entries.c.number.desc())
        spared = newest.limit(spare).subquery()
        old = (entries.c.arrived < before, entries.c.number <= keep_after)
        statement = update(entries).where(*mine, *old, entries.c.number.not_in(select(spared.c.number)))
        emptied = statement.values(forgotten=True, content="").returning(entries.c.number)
        numbers = self._connection.scalars(emptied).all()
        for chunk in chunks(numbers):
            self._connection.execute(delete(versions).where(versions.c.number.in_(chunk)))
            self._connection.execute(delete(traces).where(traces.c.number.in_(chunk)))
        return len(numbers)

    def _update(self, number: int, **values: Any) -> None:
        self._connection.execute(update(entries).where(entries.c.number == number).values(values))

    def _mark(self, source: str, mark: int) -> None:
        self._upsert(marks, {"source": source, "mark": mark})


def entry(row: Row[Any]) -> Entry:
    """The entry of a row that has the columns of the table; of a forgotten one only the title is left to tell."""
    return Entry(
        **(unpack(row.content) if row.content else {"title": row.title}),
        number=row.number,
        uid=row.uid,
        source=row.source,
        member=row.member,
        version=row.version,
        arrived=row.arrived,
        changed=row.changed,
        backlog=row.backlog,
        story=row.story,
    )


def _known(row: Row[Any], keys: set[str], asked: dict[str, str]) -> Known:
    link_key = asked.get(row.link_key, row.link_key)
    return Known(
        number=row.number,
        keys=frozenset(keys),
        digest=row.digest,
        link_key=link_key,
        title=row.title,
        moment=row.moment,
    )


def _arrived(arrival: Arrival, now: datetime) -> dict[str, Any]:
    return {
        "uid": arrival.uid,
        "version": 1,
        "arrived": now,
        "changed": now,
        "backlog": arrival.backlog,
        "forgotten": False,
        "digest": arrival.digest,
        "link_key": arrival.link_key,
    } | _told(arrival.item, now)


def _told(item: Item, arrived: datetime) -> dict[str, Any]:
    """The columns that come from the item; the moment is that of ``Entry.moment``."""
    return {"moment": min(item.published or arrived, arrived), "title": item.title, "content": pack(item)}


def _too_old(number: int, version: int) -> tuple[ColumnElement[bool], ...]:
    """Former versions that no issue tells of, beyond the last few: some feeds change their texts at every visit."""
    told = (issue_entries.c.number == versions.c.number, issue_entries.c.version == versions.c.version)
    return (versions.c.number == number, versions.c.version <= version - _FORMER, not_(exists().where(*told)))


def _was_told(publication: str, frequency: str) -> ColumnElement[bool]:
    """Whether an issue for all had an entry."""
    of = (issues.c.publication == publication, issues.c.frequency == frequency, issues.c.variant == "")
    return exists().where(issue_entries.c.number == entries.c.number, issues.c.id == issue_entries.c.issue, *of)
