"""Step 1: source → entries.

One visit: ask the kind for a harvest, let the pure ``changes`` decide what is new and what was edited, and commit
entries, cursor and the source's health in one transaction.  A visit that fails changes nothing but the health.  A
harvest that was pushed goes the same way from there on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from publisher import sources
from publisher.collect import keeping
from publisher.collect.decisions import AGAIN, News, tells, told_apart
from publisher.collect.tidying import tidy
from publisher.collect.visits import Failure, Success, Visit, claim, record, target
from publisher.config import Settings
from publisher.errors import PublisherError, SourceError, Unfit
from publisher.model import Clock, Done, Harvest, Item, Outcome, Work
from publisher.net import Answer, Net
from publisher.sources import Source
from publisher.store import Push, SourceState, Store

__all__ = ["Received", "collect", "receive", "receive_from_hub", "tidy"]


def collect(work: Work, settings: Settings, *, store: Store, net: Net, clock: Clock) -> Outcome:
    """Visit a source once and store what it brought.

    Returns:
        Done, ``changed`` when an entry arrived or was edited, or at once where entries are pushed; Later when the visit
        failed; Never when the source is gone.

    Raises:
        StoreError: nothing could be recorded.
    """
    source = settings.source(work.subject)
    if source.pushed:
        return Done("its entries are pushed; there is nothing to visit")
    state = store.write_together(claim, (work, clock()))
    if state is None:
        return Done("this slot has run")
    visit = Visit(work, source, state, *target(source, state))
    try:
        bounded = net.bound(
            timeout=source.timeout,
            max_bytes=source.max_bytes,
            private=source.private,
            robots=source.robots == "obey",
        )
        harvest = visit.options.fetch(state.cursor if visit.same else None, bounded)
    except PublisherError as error:
        return store.write_together(record, Failure(visit, error, clock()))
    except Exception as error:
        # A fault of the kind: the source is unwell like any other that fails, and the engine tells the traceback.
        wrong = SourceError(f"unexpected {type(error).__name__}: {error}")
        store.write_together(record, Failure(visit, wrong, clock()))
        raise
    items = told_apart([item for raw in harvest.items if tells(item := tidy(raw, harvest.link))])
    return store.write_together(record, Success(visit, harvest, items, clock()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What became of a harvest that was pushed: how many of its items."""

    arrived: int
    edited: int
    unchanged: int


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
        state = keeping.well(keeping.turned(state, "", now), source.fingerprint, harvest, now, next_at=None)
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
    items = [item for raw in harvest.items if tells(item := tidy(raw, harvest.link))]
    # Without guids, what an item is known by depends on what else the source lists, and a hub leaves out what is old.
    return items if all(item.guid for item in items) else None
