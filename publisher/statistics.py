"""The figures of the house: how many read, what was mailed and how it went."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from publisher.config import Settings
from publisher.model import Clock, State
from publisher.store import IssueRow, SourceState, Store, Tx

PERIOD = timedelta(days=30)
"""Of issues that were made so long ago the deliveries are counted."""
FRESH = timedelta(seconds=15)
"""So long the figures are told again before they are counted anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicationFigures:
    """Of one publication."""

    name: str
    subscribers: Mapping[str, int]
    """By the state of their subscription."""
    issues: int
    """All that there were; the variants of an edition are one."""
    deliveries: Mapping[State, int]
    """Of the issues of the last 30 days, by state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelFigures:
    """Of one channel."""

    name: str
    open: int
    """Deliveries that wait for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFigures:
    """Of one source."""

    name: str
    entries: int
    visited: datetime | None
    """The last visit that went well, or the last push."""
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of all there is in the configuration."""

    moment: datetime
    """When they were counted."""
    publications: tuple[PublicationFigures, ...]
    channels: tuple[ChannelFigures, ...]
    sources: tuple[SourceFigures, ...]


@dataclass(slots=True, kw_only=True)
class Statistics:
    """Counts, and remembers what it counted.  Threads may share it.

    What many ask at once is counted once.  What became of a finished issue does not change any more, so that its
    deliveries, which may be a million, are counted once for each life of a process.
    """

    store: Store
    settings: Settings
    clock: Clock
    _last: Figures | None = field(default=None, init=False)
    _finished: dict[int, tuple[datetime, Mapping[State, int]]] = field(default_factory=dict, init=False)
    """By issue: when it was finished (a retry may open it again), and its deliveries."""
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def figures(self) -> Figures:
        """The figures, a few seconds old at most.

        Raises:
            StoreError: the store cannot be read.
        """
        with self._lock:
            now = self.clock()
            if self._last is None or not timedelta() <= now - self._last.moment < FRESH:
                with self.store.read() as tx:
                    self._last = self._counted(tx, now)
            return self._last

    def _counted(self, tx: Tx, now: datetime) -> Figures:
        return Figures(
            moment=now,
            publications=self._publications(tx, now),
            channels=self._channels(tx),
            sources=self._sources(tx),
        )

    def _publications(self, tx: Tx, now: datetime) -> tuple[PublicationFigures, ...]:
        subscribers, deliveries = tx.subscribers.by_state(), self._deliveries(tx, tx.issues.since(now - PERIOD))
        return tuple(
            PublicationFigures(
                name=name,
                subscribers=subscribers.get(name, {}),
                issues=tx.issues.count(name),
                deliveries=dict(deliveries.get(name, {})),
            )
            for name in self.settings.publications
        )

    def _deliveries(self, tx: Tx, issues: list[IssueRow]) -> dict[str, Counter[State]]:
        """By publication and state."""
        total: dict[str, Counter[State]] = {}
        known, self._finished = self._finished, {}
        for issue in issues:
            at, counts = known.get(issue.id, (None, {}))
            if issue.finished is None or at != issue.finished:
                counts = tx.deliveries.by_state(issue.id)
            if issue.finished:
                self._finished[issue.id] = issue.finished, counts
            total.setdefault(issue.publication, Counter()).update(counts)
        return total

    def _channels(self, tx: Tx) -> tuple[ChannelFigures, ...]:
        waiting = tx.deliveries.open()
        return tuple(ChannelFigures(name=name, open=waiting.get(name, 0)) for name in self.settings.channels)

    def _sources(self, tx: Tx) -> tuple[SourceFigures, ...]:
        states, counts = {state.name: state for state in tx.sources.all()}, tx.entries.counts()
        known = ((name, states.get(name) or SourceState(name=name)) for name in self.settings.sources)
        return tuple(
            SourceFigures(name=name, entries=counts.get(name, 0), visited=state.visited, error=state.error)
            for name, state in known
        )
