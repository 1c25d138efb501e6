"""Step 1: source → entries.

One visit: ask the kind for a harvest, let the pure ``changes`` decide what is new and what was edited, and commit
entries, cursor and the source's health in one transaction.  A visit that fails changes nothing but the health.  A
harvest that was pushed goes the same way from there on.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from urllib.parse import parse_qsl, urlencode, urlsplit

from publisher import health, html, sources
from publisher.config import Settings, SourceSettings
from publisher.errors import BadStatus, Held, Interrupted, PublisherError, SourceError, Unfit
from publisher.model import (
    Author,
    Clock,
    Done,
    Enclosure,
    Harvest,
    Hub,
    Item,
    Later,
    ListedFeed,
    Never,
    Outcome,
    Work,
    member_of,
)
from publisher.net import Answer, Net
from publisher.rhythm import TOLD, UNKNOWN, interval, jitter, next_visit, relaxed
from publisher.sources import Source
from publisher.store import Arrival, HubRow, Known, Push, SourceState, Store, Tx
from publisher.stories import TRACKING, WINDOW
from publisher.timetable import every
from publisher.tokens import unguessable
from publisher.websub import chosen

_NAMESPACE = uuid.UUID("6d2b5a52-6b0f-5c35-9a4e-0f3f6c1f7a11")
_NOT_IN_IRIS = r"\s\x00-\x1f\x7f-\x9f<>\"{}|\\^`\ud800-\udfff\ufdd0-\ufdef\ufff0-\uffff"  # RFC 3987 section 2.2
_IRI = re.compile(
    rf"(https?://[^/{_NOT_IN_IRIS}]+|urn:[a-z0-9-]+:|tag:[^:{_NOT_IN_IRIS}]+:)[^{_NOT_IN_IRIS}]*", re.IGNORECASE
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_MAILBOX = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]+@[\w.-]+")
_TRACKING = re.compile(TRACKING, re.IGNORECASE)
_A_DAY = timedelta(days=1)  # a date without a time is midnight's: what is dated today may still be news
_LONGEST_PAUSE = timedelta(days=1)
_AGAIN = timedelta(minutes=1)
"""However often a hub says that there is something new, so long lies between two visits."""
_PATIENCE = 3
"""After as many questions without an answer the next one of several hubs is asked."""
_CLOSING = "left off, for the house is closing; it is made anew when it opens"
_MISSED = "a visit found what it had not pushed"
_OFTEN = 200
"""And as many tell whether one that has been quiet has been so before."""
_SPARED = 1000  # of each source so many are never forgotten: as many as a feed can hold


def collect(work: Work, settings: Settings, *, store: Store, net: Net, clock: Clock) -> Outcome:
    """Visit a source once and store what it brought.

    Returns:
        Done, ``changed`` when an entry arrived or was edited, or at once where entries are pushed; Later when the visit
        failed, or the house is closing; Never when the source is gone.

    Raises:
        StoreError: nothing could be recorded.
    """
    source = settings.source(work.subject)
    if source.pushed:
        return Done("its entries are pushed; there is nothing to visit")
    state = store.write_together(lambda tx: _claimed(tx, work, clock()))
    if state is None:
        return Done("this slot has run")
    visit = _Visit(store, work, source, state, *_target(source, state))
    try:
        bounded = net.bound(
            timeout=source.timeout,
            max_bytes=source.max_bytes,
            private=source.private,
            robots=source.robots == "obey",
        )
        harvest = visit.options.fetch(state.cursor if visit.same else None, bounded)
    except Interrupted:
        with store.write() as tx:
            tx.runs.postpone(work.run, work.slot, clock(), _CLOSING)
        return Later(_CLOSING, clock())
    except PublisherError as error:
        return visit.failed(error, clock())
    except Exception as error:
        # A fault of the kind: the source is unwell like any other that fails, and the engine tells the traceback.
        visit.failed(SourceError(f"unexpected {type(error).__name__}: {error}"), clock())
        raise
    return visit.keep(harvest, clock())


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What became of a harvest that was pushed: how many of its items."""

    arrived: int
    edited: int
    unchanged: int

    @property
    def words(self) -> str:
        """For the operator."""
        return _counts(self.arrived, self.edited)


def receive(name: str, harvest: Harvest, settings: Settings, *, store: Store, clock: Clock) -> Received:
    """Keep what was pushed to a source, all of it or nothing.

    Args:
        harvest: its items, each with a guid of its own, by which it is known again: one that comes again is an edit, or
            nothing.

    Raises:
        Unfit: there is nothing to read in an item; the field tells which (``entries[3]``).
        StoreError: nothing was kept.
    """
    source, items = settings.sources[name], [tidy(raw, harvest.link) for raw in harvest.items]
    if empty := [index for index, item in enumerate(items) if not tells(item)]:
        raise Unfit("There is nothing in it to read, see or hear.", field=f"entries[{empty[0]}]")
    with store.write() as tx:
        tx.entries.hold()  # who pushes the same at the same moment finds it known
        now, state = clock(), tx.sources.get(name) or SourceState(name=name)
        arrived, edited = _write(tx, source, items, visited=name, news=News.pushed(state, now), now=now)
        tx.sources.visited(_well(_turned(state, "", now), source.fingerprint, harvest, now, next_at=None))
    return Received(arrived=arrived, edited=edited, unchanged=len(items) - arrived - edited)


def receive_from_hub(name: str, pushed: Answer, settings: Settings, *, store: Store, clock: Clock) -> Received | None:
    """Keep the new entries of what a hub pushed; identities and backlog are what they would be at a visit.

    A hub may push late, twice, or less of an entry than the source itself tells.  So what is known already stays as it
    is; where something of it differs, and where what was pushed cannot be read, or is nothing but a sign that there is
    something new, the source is visited at once.

    Args:
        name: what is visited.
        pushed: what came, as if it had been fetched from the topic.

    Returns:
        What became of it; None where the source is visited instead.

    Raises:
        StoreError: nothing was kept.
    """
    source = settings.source(name)
    with store.read() as tx:
        options, fingerprint = _target(source, tx.sources.get(name) or SourceState(name=name))
    items = _pushed_items(options, pushed)
    with store.write() as tx:
        tx.entries.hold()  # a visit that brings the same at the same moment finds it known
        now, state = clock(), tx.sources.get(name)
        if items is None or state is None or state.since is None or state.fingerprint != fingerprint:
            tx.sources.hasten(name, now, _AGAIN)
            return None
        found = _found(tx, source, items, visited=name, news=News.of(state, same=True), whole=False)
        arrived = _add(tx, source, found, visited=name, now=now)
        if found.revisions:
            tx.sources.hasten(name, now, _AGAIN)
        hub = tx.hubs.get(name)
        if hub and hub.pushes(now) and (arrived or hub.error):
            tx.hubs.put(replace(hub, state=Push.PROVEN if arrived else hub.state, error=""))
    return Received(arrived=arrived, edited=0, unchanged=len(items) - arrived)


def _pushed_items(source: Source, pushed: Answer) -> list[Item] | None:
    """What a hub pushed, fit to keep; None where only a visit can tell."""
    try:
        harvest = sources.pushed(source, pushed) if pushed.body else None
    except SourceError:
        return None
    if harvest is None:
        return None
    items = [item for raw in harvest.items if tells(item := tidy(raw, harvest.link))]
    # Without guids, what an item is known by depends on what else the source lists, and a hub leaves out what is old.
    return items if all(item.guid for item in items) else None


def _claimed(tx: Tx, work: Work, now: datetime) -> SourceState | None:
    """How a source is whose slot is ours now; None where it is not."""
    if not tx.runs.claim(work.run, work.slot, now):
        return None
    return tx.sources.get(work.subject) or SourceState(name=work.subject)


def _target(source: SourceSettings, state: SourceState) -> tuple[Source, str]:
    """What is visited, the source itself or a feed that it lists; and a mark of its options."""
    if not state.url:
        return source.options, source.fingerprint
    feed = source.options.feed(state.url)
    return feed, hashlib.sha256(repr(feed).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Visit:
    """One visit, and how it is recorded."""

    store: Store
    work: Work
    source: SourceSettings
    state: SourceState
    """Before the visit."""
    options: Source
    fingerprint: str

    @property
    def same(self) -> bool:
        """Whether the options are those of the last visit."""
        return self.state.fingerprint == self.fingerprint

    def keep(self, harvest: Harvest, now: datetime) -> Outcome:
        """Write entries, cursor and health, in one transaction."""
        items = told_apart([item for raw in harvest.items if tells(item := tidy(raw, harvest.link))])
        return self.store.write_together(lambda tx: self._kept(tx, harvest, items, now))

    def _kept(self, tx: Tx, harvest: Harvest, items: Sequence[Item], now: datetime) -> Outcome:
        news = News.of(self.state, same=self.same)
        arrived, edited = (
            _write(tx, self.source, items, visited=self.state.name, news=news, now=now) if items else (0, 0)
        )
        followed = self._follow(tx, harvest.feeds, now) if harvest.feeds is not None else None
        words = followed.words if followed else _words(harvest, arrived, edited)
        hub = self._hub(tx, harvest, arrived, now)
        again = self._hastened(tx, self._next(tx, harvest, hub, now), now)
        state = _turned(self.state, self._ailment(tx, harvest, now), now)
        tx.sources.visited(_well(state, self.fingerprint, harvest, now, again))
        tx.runs.finish(self.work.run, self.work.slot, words, now)
        if harvest.gone:
            return Never(words)
        return Done(words, changed=bool(arrived or edited or (followed and followed.new)))

    def failed(self, error: PublisherError, now: datetime) -> Outcome:
        """Record that it brought nothing: the cursor stays, and so does everything that was stored."""
        failures, usual = self.state.failures + 1, self.source.interval or UNKNOWN
        pause = retry_pause(failures, usual, error.retry_after if isinstance(error, BadStatus) else None)
        again = now + pause if pause else every(usual, spread=self.state.name).next(now)
        since = self.state.failing or now
        is_new, before = self.state.since is None, self.state.ailment
        ailment = health.of_failed(error, failures, now - since, before=before, is_new=is_new)
        state = _turned(self.state, ailment, now)
        state = replace(state, tried=now, failures=failures, failing=since, error=error.words, next_at=again)
        words = health.with_advice(error.words, ailment, state.name) if isinstance(error, Held) else error.words

        def note(tx: Tx) -> None:
            tx.sources.visited(state)
            tx.runs.finish(self.work.run, self.work.slot, words, now)

        self.store.write_together(note)
        return Later(words, again)

    def _ailment(self, tx: Tx, harvest: Harvest, now: datetime) -> str:
        """What the source suffers from, although the visit went well."""
        if harvest.gone:
            return health.ENDED
        last = tx.entries.last_moment(self.state.name) if getattr(self.options, "awaited", True) else None
        moments = []
        if last and now - last > health.PATIENCE:
            moments = tx.entries.moments(self.source.name, _OFTEN, member=member_of(self.state.name))
            moments.append(tx.entries.last_sign(self.state.name, self.state.since) or last)
        return health.of_well(harvest.certificate, moments, now)

    def _hub(self, tx: Tx, harvest: Harvest, arrived: int, now: datetime) -> HubRow | None:
        """Take note of the hub that the source names, and of what it should have pushed; returns how it stands."""
        known = tx.hubs.get(self.state.name)
        # What did not change tells nothing new of its hub; but where a source comes back, the hub has forgotten us.
        if harvest.gone or not harvest.unchanged or known is None:
            wanted = following(known, None if harvest.gone else harvest.hub, self.state.name, now)
            if wanted and known is None and not tx.sources.planned(self.state.name)[0]:
                return None  # it was taken off its list while it was visited
            if wanted is not known:
                if known:
                    tx.hubs.leave(known, now)
                if wanted:
                    tx.hubs.put(wanted)
                return wanted
        if known and known.state is Push.PROVEN and arrived:
            known = replace(known, state=Push.ACTIVE, error=_MISSED)
            tx.hubs.put(known)
        return known

    def _next(self, tx: Tx, harvest: Harvest, hub: HubRow | None, now: datetime) -> datetime | None:
        """When to come again, after a visit that went well."""
        if harvest.gone:
            return None
        usual = self.source.interval
        if usual is not None:
            planned = every(usual, spread=self.state.name).next(now)
        else:
            moments = tx.entries.moments(self.source.name, TOLD, member=member_of(self.state.name))
            planned = now + interval(moments, now) * jitter(self.state.name, now)
            if hub and hub.until and hub.state is Push.PROVEN:
                planned = relaxed(planned, now, hub.until)
        return next_visit(planned, now, harvest.hints, adaptive=usual is None)

    def _hastened(self, tx: Tx, planned: datetime | None, now: datetime) -> datetime | None:
        """``planned``, or soon, where a hub has told of something new while this visit was made."""
        plan, next_at = tx.sources.planned(self.state.name)
        moved = plan == self.state.plan and next_at != self.state.next_at
        if planned and moved and next_at and next_at <= now + _AGAIN:
            return min(planned, now + _AGAIN)
        return planned

    def _follow(self, tx: Tx, feeds: Sequence[ListedFeed], now: datetime) -> Followed:
        """Let the feeds that are new on the list be visited now, and those that are off it never again."""
        listed = {f"{self.source.name}/{member_name(feed.url)}": feed for feed in feeds}
        known = {name for name, plan in tx.sources.listed(self.source.name).items() if plan}
        new = {name: feed for name, feed in listed.items() if name not in known}
        tx.sources.follow(new, self.state.plan, now)
        gone = known.difference(listed)
        tx.sources.plan(gone, "", None)
        for hub in filter(None, map(tx.hubs.get, gone)):
            tx.hubs.leave(hub, now)
        return Followed(feeds=len(listed), new=len(new), gone=len(gone))


def _write(
    tx: Tx, source: SourceSettings, items: Sequence[Item], *, visited: str, news: News, now: datetime
) -> tuple[int, int]:
    """Write what is new and what was edited; returns how many of each.

    Args:
        visited: the name of the source, or of a feed that it lists.
    """
    found = _found(tx, source, items, visited=visited, news=news, whole=not source.pushed)
    for number, key in found.aliases:
        tx.entries.alias(source.name, key, number)
    for number, item, mark in found.revisions:
        tx.entries.revise(number, item, mark, now, link_key=link_key(item.link))
    return _add(tx, source, found, visited=visited, now=now), len(found.revisions)


def _found(tx: Tx, source: SourceSettings, items: Sequence[Item], *, visited: str, news: News, whole: bool) -> Changes:
    """What these items change."""
    member = member_of(visited)
    keys, links = {key_of(item, member) for item in items}, {link_key(item.link) for item in items} - {""}
    known = tx.entries.known(source.name, keys, links, member=member)
    return changes(known, items, source=visited, news=news, whole=whole)


def _add(tx: Tx, source: SourceSettings, found: Changes, *, visited: str, now: datetime) -> int:
    """Write what is new; returns how many."""
    arrived = tx.entries.add(source.name, found.arrivals, now, member=member_of(visited))
    if arrived:
        _forget(tx, source, now)
    return arrived


def _well(
    state: SourceState, fingerprint: str, harvest: Harvest, now: datetime, next_at: datetime | None
) -> SourceState:
    """How a source is that has brought something."""
    return replace(
        state,
        fingerprint=fingerprint,
        cursor=harvest.cursor,
        title=harvest.title or state.title,
        since=state.since or now,
        visited=state.visited if harvest.gone else now,
        tried=now,
        failures=0,
        failing=None,
        error="",
        next_at=next_at,
        gone=harvest.gone,
        expires=harvest.certificate.ends if harvest.certificate else None,
    )


def _turned(state: SourceState, ailment: str, now: datetime) -> SourceState:
    """The state with an ailment, be it another one than before or not."""
    return state if ailment == state.ailment else replace(state, ailment=ailment, turned=now)


def _forget(tx: Tx, source: SourceSettings, now: datetime) -> None:
    """Let go of the contents that are old enough, unless they wait for an issue, or for a reader's turn."""
    waiting = [state.since for state in tx.publications.all() if state.schedule]
    own = tx.subscribers.earliest()
    keep_after = min(waiting if own is None else [*waiting, own], default=tx.entries.last_number())
    tx.entries.forget(source.name, now - source.keep, _SPARED, keep_after)
    tx.stories.forget(now - WINDOW)


def _words(harvest: Harvest, arrived: int, edited: int) -> str:
    if harvest.gone:
        return "the source has ended (410 Gone); remove it, or give its new address"
    if harvest.unchanged:
        return "unchanged"
    return "; ".join([_counts(arrived, edited), *harvest.notes])


def _counts(arrived: int, edited: int) -> str:
    counts = [f"{arrived} new"] * bool(arrived) + [f"{edited} edited"] * bool(edited)
    return ", ".join(counts) or "nothing new"


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """How many feeds a list names, and what has changed on it."""

    feeds: int
    new: int
    gone: int

    @property
    def words(self) -> str:
        """For the operator."""
        counts = [f"{self.new} new"] * bool(self.new) + [f"{self.gone} taken off"] * bool(self.gone)
        return f"{self.feeds} feeds: {', '.join(counts) or 'nothing new'}"


# --- the decisions, pure ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a harvest changes in the store."""

    arrivals: tuple[Arrival, ...] = ()
    """Oldest first: the order in which they get their numbers."""
    revisions: tuple[tuple[int, Item, str], ...] = ()
    """Number of the entry, its new content, the digest of that."""
    aliases: tuple[tuple[int, str], ...] = ()
    """Number of an entry, and one more key by which its source calls it now."""


@dataclass(frozen=True, slots=True)
class News:
    """Which entries that arrive are news, and which are backlog: published in feeds, but never mailed."""

    since: datetime | None
    """The moment from which the source is known; None: this is the first visit, and all that is there is backlog."""
    undated: bool = True
    """Whether an entry without a date is news."""

    @classmethod
    def of(cls, state: SourceState, *, same: bool) -> News:
        """The rule for a visit; ``same`` tells whether the source's options are those of the last visit.

        Under a new address, or found by new selectors, old entries may all look new: there, only what is dated after
        the last visit is news.
        """
        if state.since is None:
            return cls(None)
        if same:
            return cls(state.since - _A_DAY)
        return cls(state.visited, undated=False)

    @classmethod
    def pushed(cls, state: SourceState, now: datetime) -> News:
        """The rule for what is pushed: somebody sends it now, so it is news from the very first push on.

        But for what is dated more than a day before that first push: with it, an archive is brought in.
        """
        return cls((state.since or now) - _A_DAY)

    def is_news(self, item: Item) -> bool:
        """Whether a digest may tell of this item, which has just arrived."""
        if self.since is None:
            return False
        return item.published >= self.since if item.published else self.undated


def changes(known: Collection[Known], items: Sequence[Item], *, source: str, news: News, whole: bool = True) -> Changes:
    """Decide what is new, what was edited, and what only changed its name.

    Args:
        known: the entries of the source that have a key or a link in common with ``items``.
        items: the harvest, tidied, newest first.
        source: the name of what was visited; part of the public identity of an entry whose own is no IRI.
        news: tells news from backlog.
        whole: the items are all that the source lists now; where they are not, as in a push, nothing can have vanished.

    An entry that comes under another guid, but with the link, the title and the date of one whose guid has vanished
    from the harvest, is that one: sites that move rewrite all guids at once, and nobody wants their archive by mail.
    """
    member = member_of(source)
    by_key = {key: entry for entry in known for key in entry.keys}
    present = {key_of(item, member): link_key(item.link) for item in items}
    missing = [entry for entry in known if whole and not entry.keys & present.keys()]
    vanished = {(entry.link_key, _fold(entry.title)): entry for entry in missing}
    shared = Counter(present.values())
    arrivals, revisions, aliases, seen = [], [], [], set[str]()
    for item in items:
        key, link = key_of(item, member), link_key(item.link)
        if key in seen:
            continue
        entry = by_key.get(key)
        if entry is None and link and shared[link] == 1:
            entry = _renamed(item, vanished.pop((link, _fold(item.title)), None))
            aliases += [(entry.number, key)] if entry else []
        seen |= {key, *(entry.keys if entry else ())}  # an entry that is listed under two of its names is told once
        mark = digest(item)
        if entry is None:
            late = not news.is_news(item)
            arrivals.append(
                Arrival(key=key, uid=uid(source, item), item=item, digest=mark, link_key=link, backlog=late)
            )
        elif mark != entry.digest:
            revisions.append((entry.number, item, mark))
    return Changes(arrivals=tuple(reversed(arrivals)), revisions=tuple(revisions), aliases=tuple(aliases))


def following(known: HubRow | None, hub: Hub | None, name: str, now: datetime) -> HubRow | None:
    """The hub to follow after a visit: ``known`` itself where nothing changed, another one, or None.

    Args:
        known: the one that is followed until now.
        hub: what the source says of its hubs.
        name: what was visited.
    """
    if hub is None:
        return None
    failing = known is not None and known.failures >= _PATIENCE and not known.pushes(now)
    url = chosen(hub.urls, known.hub if known else "", failing=failing)
    if known and (known.hub, known.topic) == (url, hub.topic):
        return known
    return HubRow(name=name, hub=url, topic=hub.topic, token=unguessable(), secret=unguessable(), next_at=now)


def tells(item: Item) -> bool:
    """Whether there is anything to read, see or hear: what an ill-formed feed leaves of an entry may hold nothing."""
    return bool(item.title or item.link or item.summary or item.content or item.image or item.enclosures)


def _renamed(item: Item, vanished: Known | None) -> Known | None:
    """The entry that vanished, if the item is dated like it: a warning in the same words is another one next week."""
    same = vanished and (item.published is None or item.published == vanished.moment)
    return vanished if same else None


def told_apart(items: Sequence[Item]) -> list[Item]:
    """The items, those that have no guid and share a link with others told apart by their titles.

    Some sites list all of their news under one address; without this, each would be an edit of the last.
    """
    titles: dict[str, set[str]] = {}
    for item in items:
        titles.setdefault(link_key(item.link), set()).add(_fold(item.title))
    return [
        replace(item, guid=f"{item.link} {_fold(item.title)}")
        if item.link and not item.guid and len(titles[link_key(item.link)]) > 1
        else item
        for item in items
    ]


def member_name(url: str) -> str:
    """Under what a feed of a list goes, beside the name of the list: the same for the same address."""
    host = re.sub(r"[^a-z0-9.-]+", "-", urlsplit(url).hostname or "")
    return f"{host[:60]}-{hashlib.blake2b(url.encode(errors='replace'), digest_size=6).hexdigest()}"


def key_of(item: Item, member: str) -> str:
    """What names an entry among all of its source: feeds of one list may use the same identities."""
    return f"{member} {identity(item)}" if member else identity(item)


def identity(item: Item) -> str:
    """The key that names an entry within its source: its guid, else its canonical link, else its content."""
    if item.guid:
        return f"guid {item.guid}"
    if item.link:
        return f"link {link_key(item.link)}"
    told = item.published.isoformat() if item.title and item.published else item.summary + item.content
    return "text " + hashlib.sha256(f"{_fold(item.title)}\n{told}".encode(errors="replace")).hexdigest()


def uid(source: str, item: Item) -> str:
    """The public identity of an entry that arrives, an IRI (RFC 4287 section 4.2.6): the source's own if it is one."""
    own = item.guid or item.link
    if _IRI.fullmatch(own):
        return own
    return uuid.uuid5(_NAMESPACE, _sound(f"{source}\n{identity(item)}")).urn


@lru_cache(maxsize=4000)  # it is asked for four times while an entry arrives
def link_key(link: str) -> str:
    """A link without what differs between two spellings of it: scheme, case of the host, tracking parameters."""
    try:
        parts = urlsplit(link)
        host = (parts.hostname or "").removeprefix("www.")
        port = f":{parts.port}" if parts.port not in (None, 80, 443) else ""
    except ValueError:
        return link
    pairs = [pair for pair in parse_qsl(parts.query, True) if not _TRACKING.fullmatch(pair[0])]
    query = urlencode(pairs, errors="replace")
    return f"{host}{port}{parts.path.rstrip('/')}{query and '?' + query}{parts.fragment and '#' + parts.fragment}"


def digest(item: Item) -> str:
    """A mark that differs when a reader would see a difference; dates alone are none (some feeds date by the clock)."""
    told = (item.title, item.link, item.summary, item.content, item.authors, item.tags, item.image, item.enclosures)
    return hashlib.sha256(repr(told).encode()).hexdigest()


def retry_pause(failures: int, every: timedelta, asked: timedelta | None) -> timedelta | None:
    """How long to leave a failing source alone; None: until its next slot.

    The first failure costs nothing; then the pause doubles from the source's own interval, up to a day.  What the
    server asked for (Retry-After) is granted, up to the same day.
    """
    backoff = min(every * (1 << min(failures - 1, 16)), _LONGEST_PAUSE) if failures > 1 else None
    asked = min(asked, _LONGEST_PAUSE) if asked else None
    return max(filter(None, (backoff, asked)), default=None)


def tidy(item: Item, base: str) -> Item:
    """Make what came from outside fit to keep: sanitised HTML, absolute addresses, one-line texts of sane length."""
    base = html.absolute(item.link, base) or base
    return replace(
        item,
        guid=_sound(item.guid)[:2000].strip(),
        link=_address(item.link, base)[:2000],
        title=_line(item.title, 500),
        summary=html.clean(item.summary, base),
        content=html.clean(item.content, base),
        authors=tuple(_authors(item.authors, base))[:20],
        tags=tuple(dict.fromkeys(filter(None, (_line(tag, 100) for tag in item.tags))))[:50],
        image=_address(item.image, base),
        enclosures=tuple(_enclosures(item.enclosures, base))[:20],
        language=item.language if re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*", item.language) else "",
    )


def _authors(authors: Iterable[Author], base: str) -> Iterable[Author]:
    for author in authors:
        name, email = _line(author.name, 200), author.email.strip()[:320]
        email = email if _MAILBOX.fullmatch(email) else ""
        if name or email:
            yield Author(name=name, email=email, url=_address(author.url, base))


def _enclosures(enclosures: Iterable[Enclosure], base: str) -> Iterable[Enclosure]:
    for enclosure in enclosures:
        if url := _address(enclosure.url, base):
            kind = enclosure.media_type.strip().lower()
            kind = kind if re.fullmatch(r"[\w.+-]+/[\w.+-]+", kind) else ""
            yield Enclosure(url=url, media_type=kind, length=max(0, enclosure.length))


def _line(text: str, most: int) -> str:
    """One line of plain text; it is no HTML, and may well speak of ``<canvas>``."""
    line = " ".join(_CONTROL.sub(" ", text).split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def _address(url: str, base: str) -> str:
    return _sound(html.absolute(url, base)) if url.strip() else ""  # an empty reference would be the base itself


def _sound(text: str) -> str:
    """The text without what no text may hold: lone surrogates, and the two noncharacters that mark slots in mails."""
    return text.encode(errors="replace").decode().translate({0xFFFE: 0xFFFD, 0xFFFF: 0xFFFD})


def _fold(title: str) -> str:
    return " ".join(title.casefold().split())
