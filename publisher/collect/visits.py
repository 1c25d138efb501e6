"""Visits, and how they are recorded: those that begin or end at the same moment are, by the same statements.

With thousands of sources that have nothing new, what is written of each visit would cost more than the visit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar, NamedTuple

from publisher import health
from publisher.collect import keeping
from publisher.collect.decisions import News, following, hastened, member_name, retry_pause
from publisher.config import SourceSettings
from publisher.errors import BadStatus, Held, PublisherError
from publisher.model import Done, Harvest, Item, Later, ListedFeed, Never, Outcome, Work, member_of
from publisher.rhythm import TOLD, UNKNOWN, interval, jitter, next_visit, relaxed
from publisher.sources import Source
from publisher.store import HubRow, Push, SourceState, Tx
from publisher.timetable import every

_MISSED = "a visit found what it had not pushed"
_OFTEN = 200
"""The dates of as many entries tell whether a source that has been quiet has been so before."""


def claim(tx: Tx, wanted: Mapping[Work, SourceSettings], now: datetime) -> dict[Work, Visit | Outcome]:
    """Take the slots of works; each is ours to do, or has run."""
    ours = tx.runs.claim_all([(work.run, work.slot) for work in wanted], now)
    states = tx.sources.some({work.subject for work in wanted})
    found: dict[Work, Visit | Outcome] = {}
    for work, source in wanted.items():
        state = states.get(work.subject, SourceState(name=work.subject))
        is_ours = (work.run, work.slot) in ours
        found[work] = Visit(work, source, state, *target(source, state)) if is_ours else Done("this slot has run")
    return found


def target(source: SourceSettings, state: SourceState) -> tuple[Source, str]:
    """What is visited, the source itself or a feed that it lists; and a mark of its options."""
    if not state.url:
        return source.options, source.fingerprint
    feed = source.options.feed(state.url)
    return feed, hashlib.sha256(repr(feed).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit that is ours to make."""

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


class _Followed(NamedTuple):
    """How many feeds a list names, and what has changed on it."""

    feeds: int
    new: int
    gone: int

    @property
    def words(self) -> str:
        """For the operator."""
        counts = [f"{self.new} new"] * bool(self.new) + [f"{self.gone} taken off"] * bool(self.gone)
        return f"{self.feeds} feeds: {', '.join(counts) or 'nothing new'}"


class _Brought(NamedTuple):
    """What a visit has changed among the entries, or on a list."""

    arrived: int = 0
    edited: int = 0
    followed: _Followed | None = None

    @property
    def changed(self) -> bool:
        """Whether there is anything to do for others."""
        return bool(self.arrived or self.edited or (self.followed and self.followed.new))


class _Page(NamedTuple):
    """What is known of all that was visited, once what was brought is written."""

    hubs: Mapping[str, HubRow]
    plans: Mapping[str, tuple[str, datetime | None]]
    """By what options the next visit to each is planned, and for when."""
    moments: Mapping[str, datetime]
    """When the newest entry of each was published."""

    @classmethod
    def of(cls, tx: Tx, names: Sequence[str]) -> _Page:
        """Read it."""
        return cls(tx.hubs.some(names), tx.sources.planned(names), tx.entries.last_moments(names))


class _Conclusion(NamedTuple):
    """What is recorded of a visit."""

    state: SourceState
    outcome: Outcome | Exception
    words: str


@dataclass(frozen=True, slots=True)
class Success:
    """A visit that went well, be it that it brought nothing new."""

    visit: Visit
    harvest: Harvest
    items: Sequence[Item]
    """What there was to read in the harvest, fit to keep."""
    now: datetime

    def write(self, tx: Tx) -> _Brought:
        """Write what was brought."""
        visit, now, feeds = self.visit, self.now, self.harvest.feeds
        arrived = edited = 0
        if self.items:
            news = News.of(visit.state, same=visit.same)
            arrived, edited = keeping.write(tx, visit.source, self.items, visited=visit.state.name, news=news, now=now)
        return _Brought(arrived, edited, _follow(tx, visit, feeds, now) if feeds is not None else None)

    def conclude(self, tx: Tx, page: _Page, brought: _Brought) -> _Conclusion:
        """Decide how the source is now, and when it is visited next."""
        visit, harvest, now = self.visit, self.harvest, self.now
        hub = self._hub(tx, page, brought.arrived)
        again = None if harvest.gone else self._next(tx, page, hub)
        ailment = self._ailment(tx, page)
        state = keeping.well(visit.state, visit.fingerprint, harvest, now, ailment=ailment, next_at=again)
        words = _words(harvest, brought)
        return _Conclusion(state, Never(words) if harvest.gone else Done(words, changed=brought.changed), words)

    def _ailment(self, tx: Tx, page: _Page) -> str:
        """What the source suffers from, although the visit went well."""
        if self.harvest.gone:
            return health.ENDED
        name, moments = self.visit.state.name, list[datetime]()
        last = page.moments.get(name) if getattr(self.visit.options, "awaited", True) else None
        if last and self.now - last > health.PATIENCE:
            moments = tx.entries.moments(self.visit.source.name, _OFTEN, member=member_of(name))
            moments.append(tx.entries.last_sign(name, self.visit.state.since) or last)
        return health.of_well(self.harvest.certificate, moments, self.now)

    def _hub(self, tx: Tx, page: _Page, arrived: int) -> HubRow | None:
        """Take note of the hub that the source names, and of what it should have pushed; returns how it stands."""
        harvest, name = self.harvest, self.visit.state.name
        known = page.hubs.get(name)
        # What did not change tells nothing new of its hub; but where a source comes back, the hub has forgotten us.
        if harvest.gone or not harvest.unchanged or known is None:
            wanted = following(known, None if harvest.gone else harvest.hub, name, self.now)
            if wanted and known is None and not page.plans.get(name, ("", None))[0]:
                return None  # it was taken off its list while it was visited
            if wanted is not known:
                if known:
                    tx.hubs.leave(known, self.now)
                if wanted:
                    tx.hubs.put(wanted)
                return wanted
        if known and known.state is Push.PROVEN and arrived:
            known = replace(known, state=Push.ACTIVE, error=_MISSED)
            tx.hubs.put(known)
        return known

    def _next(self, tx: Tx, page: _Page, hub: HubRow | None) -> datetime:
        """When to come again: soon, where a hub has told of something new while this visit was made."""
        now, before, usual = self.now, self.visit.state, self.visit.source.interval
        name = before.name
        if usual is not None:
            planned = every(usual, spread=name).next(now)
        else:
            moments = tx.entries.moments(self.visit.source.name, TOLD, member=member_of(name))
            planned = now + interval(moments, now) * jitter(name, now)
            if hub and hub.until and hub.state is Push.PROVEN:
                planned = relaxed(planned, now, hub.until)
        planned = next_visit(planned, now, self.harvest.hints, adaptive=usual is None)
        plan, next_at = page.plans.get(name, ("", None))
        return hastened(planned, next_at, now) if plan == before.plan and next_at != before.next_at else planned


@dataclass(frozen=True, slots=True)
class Failure:
    """A visit that brought nothing: the cursor stays, and so does everything that was stored."""

    visit: Visit
    error: PublisherError
    now: datetime
    fault: Exception | None = None
    """What the error was made of, where the kind is at fault."""

    def write(self, tx: Tx) -> _Brought:
        """There is nothing to write."""
        return _Brought()

    def conclude(self, tx: Tx, page: _Page, brought: _Brought) -> _Conclusion:
        """Decide how the source is now, and when it is tried again."""
        before, error, now = self.visit.state, self.error, self.now
        failures, usual = before.failures + 1, self.visit.source.interval or UNKNOWN
        pause = retry_pause(failures, usual, error.retry_after if isinstance(error, BadStatus) else None)
        again = now + pause if pause else every(usual, spread=before.name).next(now)
        since = before.failing or now
        ailment = health.of_failed(error, failures, now - since, before=before.ailment, is_new=before.since is None)
        state = replace(
            before,
            tried=now,
            failures=failures,
            failing=since,
            error=error.words,
            ailment=ailment,
            turned=before.turned if ailment == before.ailment else now,
            next_at=again,
        )
        words = health.with_advice(error.words, ailment, before.name) if isinstance(error, Held) else error.words
        return _Conclusion(state, self.fault or Later(words, again), words)


@dataclass(frozen=True, slots=True)
class LeftOff:
    """A visit that was not made to its end, for the house is closing; it is made anew when it opens."""

    visit: Visit

    outcome: ClassVar[Outcome] = Later("left off, for the house is closing; it is made anew when it opens")


def record(tx: Tx, ends: Sequence[Success | Failure]) -> list[Outcome | Exception]:
    """Write how visits ended, each with all that it brought; returns what became of each."""
    if not ends:
        return []
    now = max(end.now for end in ends)
    brought = [end.write(tx) for end in ends]
    keeping.forget(tx, (end.visit.source for end, its in zip(ends, brought, strict=True) if its.arrived), now)
    page = _Page.of(tx, [end.visit.state.name for end in ends])
    found = [end.conclude(tx, page, its) for end, its in zip(ends, brought, strict=True)]
    tx.sources.visited([its.state for its in found])
    works = [end.visit.work for end in ends]
    tx.runs.finish_all([(work.run, work.slot, its.words) for work, its in zip(works, found, strict=True)], now)
    return [its.outcome for its in found]


def _follow(tx: Tx, visit: Visit, feeds: Sequence[ListedFeed], now: datetime) -> _Followed:
    """Let the feeds that are new on the list be visited now, and those that are off it never again."""
    name = visit.source.name
    listed = {f"{name}/{member_name(feed.url)}": feed for feed in feeds}
    known = {name for name, plan in tx.sources.listed(name).items() if plan}
    new = {name: feed for name, feed in listed.items() if name not in known}
    tx.sources.follow(new, visit.state.plan, now)
    gone = known.difference(listed)
    tx.sources.plan(gone, "", None)
    for hub in tx.hubs.some(gone).values():
        tx.hubs.leave(hub, now)
    return _Followed(feeds=len(listed), new=len(new), gone=len(gone))


def _words(harvest: Harvest, brought: _Brought) -> str:
    if harvest.gone:
        return "the source has ended (410 Gone); remove it, or give its new address"
    if brought.followed:
        return brought.followed.words
    if harvest.unchanged:
        return "unchanged"
    return "; ".join([counted(brought.arrived, brought.edited), *harvest.notes])


def counted(arrived: int, edited: int) -> str:
    """How many entries are new, and how many were edited, for the operator."""
    counts = [f"{arrived} new"] * bool(arrived) + [f"{edited} edited"] * bool(edited)
    return ", ".join(counts) or "nothing new"
