"""Step 1: source → entries.

One visit: ask the kind for a harvest, let the pure ``changes`` decide what is new and what was edited, and commit
entries, cursor and the source's health in one transaction.  A visit that fails changes nothing but the health.  A
harvest that was pushed goes the same way from there on.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from publisher import sources
from publisher.collect import keeping
from publisher.collect.decisions import AGAIN, News, told_apart
from publisher.collect.tidying import fit, tells, tidy
from publisher.collect.visits import Failure, LeftOff, Success, Visit, claim, counted, record, target
from publisher.config import Settings
from publisher.errors import Interrupted, PublisherError, SourceError, Unfit
from publisher.model import Clock, Done, Harvest, Item, Outcome, Work
from publisher.net import Answer, Net
from publisher.sources import Source
from publisher.store import Push, SourceState, Store, Tx

__all__ = ["Collecting", "Received", "collect", "receive", "receive_from_hub", "tidy"]


class Collecting:
    """The step, for many sources at a time.

    Args:
        settings: what there is to visit.
    """

    def __init__(self, settings: Settings, *, store: Store, net: Net, clock: Clock) -> None:
        self._settings = settings
        self._store = store
        self._net = net
        self._clock = clock
        self._tidying = threading.Lock()
        """Many at a time would only take Python's lock from each other, with each link that is looked at."""

    def begin(self, works: Sequence[Work]) -> list[Visit | Outcome]:
        """For each work the visit that is ours to make, or its outcome where there is none.

        Raises:
            StoreError: nothing could be recorded.
        """
        wanted = {work: source for work in works if not (source := self._settings.source(work.subject)).pushed}
        with self._store.write() as tx:
            found = claim(tx, wanted, self._clock())
        idle = Done("its entries are pushed; there is nothing to visit")
        return [found.get(work, idle) for work in works]

    def perform(self, visit: Visit) -> Success | Failure | LeftOff:
        """Make a visit; a fault of the kind is a failure, too, like any other."""
        source = visit.source
        net = self._net.bound(
            timeout=source.timeout,
            max_bytes=source.max_bytes,
            private=source.private,
            robots=source.robots == "obey",
        )
        try:
            harvest = visit.options.fetch(visit.state.cursor if visit.same else None, net)
            with self._tidying:
                items = told_apart(fit(harvest))
            return Success(visit, harvest, items, self._clock())
        except Interrupted:
            return LeftOff(visit)
        except PublisherError as error:
            return Failure(visit, error, self._clock())
        except Exception as error:
            wrong = SourceError(f"unexpected {type(error).__name__}: {error}")
            return Failure(visit, wrong, self._clock(), fault=error)

    def undo(self, visits: Sequence[Visit]) -> None:
        """Give back the slots of visits that will not be made.

        Raises:
            StoreError: they stay ours until this process ends.
        """
        with self._store.write() as tx:
            self._give_back(tx, visits)

    def _give_back(self, tx: Tx, visits: Iterable[Visit]) -> None:
        for visit in visits:
            tx.runs.postpone(visit.work.run, visit.work.slot, self._clock(), "")

    def end(self, performed: Sequence[Success | Failure | LeftOff]) -> list[Outcome | Exception]:
        """Write how visits ended, each with all that it brought.

        Returns:
            Of each Done, ``changed`` when an entry arrived or was edited; Later when it failed, or was left off; Never
            when the source is gone.  What was raised, where it was a fault of the kind.

        Raises:
            StoreError: nothing could be recorded.
        """
        with self._store.write() as tx:
            self._give_back(tx, (one.visit for one in performed if isinstance(one, LeftOff)))
            ended = iter(record(tx, [one for one in performed if not isinstance(one, LeftOff)]))
        return [LeftOff.outcome if isinstance(one, LeftOff) else next(ended) for one in performed]


def collect(work: Work, settings: Settings, *, store: Store, net: Net, clock: Clock) -> Outcome:
    """Visit a source once and store what it brought.

    Returns:
        As ``Collecting.end``; Done at once where the entries are pushed.

    Raises:
        StoreError: nothing could be recorded.
    """
    collecting = Collecting(settings, store=store, net=net, clock=clock)
    [begun] = collecting.begin([work])
    if not isinstance(begun, Visit):
        return begun
    [outcome] = collecting.end([collecting.perform(begun)])
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What became of a harvest that was pushed: how many of its items."""

    arrived: int
    edited: int
    unchanged: int

    @property
    def words(self) -> str:
        """For the operator."""
        return counted(self.arrived, self.edited)


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
        arrived, edited = keeping.write(tx, source, items, visited=name, news=News.pushed(state, now), now=now)
        keeping.forget(tx, [source] * bool(arrived), now)
        state = keeping.well(state, source.fingerprint, harvest, now, ailment="", next_at=None)
        tx.sources.visited([state])
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
        options, fingerprint = target(source, tx.sources.get(name) or SourceState(name=name))
    items = _pushed_items(options, pushed)
    with store.write() as tx:
        tx.entries.hold()  # a visit that brings the same at the same moment finds it known
        now, state = clock(), tx.sources.get(name)
        if items is None or state is None or state.since is None or state.fingerprint != fingerprint:
            tx.sources.hasten(name, now, AGAIN)
            return None
        found = keeping.find(tx, source, items, visited=name, news=News.of(state, same=True), whole=False)
        arrived = keeping.add(tx, source, found, visited=name, now=now)
        keeping.forget(tx, [source] * bool(arrived), now)
        if found.revisions:
            tx.sources.hasten(name, now, AGAIN)
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
    items = fit(harvest)
    # Without guids, what an item is known by depends on what else the source lists, and a hub leaves out what is old.
    return items if all(item.guid for item in items) else None
