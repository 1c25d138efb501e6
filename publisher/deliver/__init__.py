"""Step 4: deliveries → the world.

Rows are leased in batches and handed to connections one by one.  On each connection the verdict on a message is
committed before the channel is asked for the next, so that a process killed at any moment leaves at most one message
for each connection in doubt.  What several connections have to say is committed together: one thread serves all those
that do not block.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from threading import Event, Lock
from zoneinfo import ZoneInfo

from publisher.channels import Way
from publisher.config import ChannelSettings, Settings
from publisher.deliver.decisions import MANY, MOST_FAULTS, Retry, connections, hold_pause
from publisher.deliver.desk import Desk, Parcels
from publisher.deliver.lanes import Lane, serve
from publisher.deliver.pace import Pace
from publisher.deliver.packer import Packer
from publisher.errors import ChannelDown, ChannelError, ChannelGone
from publisher.model import Clock, Done, Later, Never, Outcome, Receipt, State, Verdict, Work
from publisher.net import Net
from publisher.store import ChannelState, Store
from publisher.templating import Templates

__all__ = ["Paces", "deliver", "is_held"]

_FOR_EVER = timedelta(days=36_500)


class Paces:
    """How fast each channel has gone until now; kept from one delivering to the next."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, Pace]] = {}

    def of(self, channel: ChannelSettings) -> Pace:
        """The pace of a channel; a new one when its options changed."""
        mark, pace = self._known.get(channel.name, ("", Pace({})))
        if mark != channel.fingerprint:
            rates = {"": channel.rate} | {f"way {way.name}": way.rate for way in channel.options.ways()}
            pace = Pace({name: rate for name, rate in (rates | channel.domains).items() if rate})
            self._known[channel.name] = channel.fingerprint, pace
        return pace


def deliver(
    work: Work,
    settings: Settings,
    *,
    store: Store,
    net: Net,
    templates: Templates,
    secret: str,
    clock: Clock,
    stop: Event,
    paces: Paces,
) -> Outcome:
    """Carry out all deliveries of a channel that can go now.

    Args:
        secret: the key from which Message-IDs and tokens are derived.
        stop: set from outside, it ends the work after the messages that are on their way; the others wait in the store.

    Returns:
        Done, ``changed`` when there was anything to do; Later when the channel is down: its deliveries wait, and none
        of them has lost an attempt; Never when some need the operator.
    """
    channel = settings.channels[work.subject]
    packer = Packer(channel, settings, store, templates, secret)
    return _Run(channel, settings, store, net, clock, stop, paces.of(channel), packer).outcome()


def is_held(channel: ChannelSettings, states: Sequence[ChannelState], now: datetime) -> bool:
    """Whether a channel is left alone for now: all its ways are down, or it may not go at this hour."""
    held = {state.name for state in states if _holds(state, channel, now)}
    return channel.name in held or all(_key(channel, way) in held for way in channel.options.ways())


def _holds(state: ChannelState, channel: ChannelSettings, now: datetime) -> bool:
    return bool(state.retry_at and state.retry_at > now and state.fingerprint == channel.fingerprint)


def _key(channel: ChannelSettings, way: Way) -> str:
    """The name under which the state of a way is kept."""
    return f"{channel.name} via {way.name}" if way.name else channel.name


@dataclass
class _Run:
    """One pass over a channel's open deliveries."""

    channel: ChannelSettings
    settings: Settings
    store: Store
    net: Net
    clock: Clock
    stop: Event
    pace: Pace
    packer: Packer
    down: dict[str, ChannelError] = field(default_factory=dict)
    """The ways that do not work, and why."""
    deferrals: dict[str, int] = field(default_factory=dict)
    """By way: how many in a row."""
    worked: set[str] = field(default_factory=set)
    """The ways that said something of a delivery."""
    lock: Lock = field(default_factory=Lock)

    @property
    def name(self) -> str:
        return self.channel.name

    @cached_property
    def _retry(self) -> Retry:
        retry = self.settings.retry
        return Retry(retry.attempts, retry.for_, hold=self.channel.after_crash == "hold")

    def outcome(self) -> Outcome:
        now, zone = self.clock(), ZoneInfo(self.settings.site.timezone)
        with self.store.write() as tx:
            tx.deliveries.take_over(self.name, now, most=MOST_FAULTS, hold=self._retry.hold)
        opens, closes = self.channel.hours.around(now, zone) if self.channel.hours else (None, None)
        if opens:
            return self._wait("outside its hours", opens)
        desks: list[Desk] = []
        for suspect in (True, False):
            budget = self._budget(now, zone)
            if budget == 0 and desks:
                break
            if budget == 0:
                midnight = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
                return self._wait("it has sent what it may send today", midnight)
            desk = self._desk(suspect=suspect, budget=budget, closing=closes)
            desks.append(desk)
            with closing(desk):
                self._carry(desk)
        return self._told(desks)

    def _desk(self, *, suspect: bool, budget: int | None, closing: datetime | None) -> Desk:
        return Desk(
            self.name,
            self.store,
            self.clock,
            self.stop,
            pace=self.pace,
            retry=self._retry,
            suspect=suspect,
            budget=budget,
            closing=closing,
        )

    def _budget(self, now: datetime, zone: ZoneInfo) -> int | None:
        """How many may still go today; None: any number."""
        if not self.channel.warm_up:
            return None
        today = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
        with self.store.read() as tx:
            gone = tx.deliveries.attempted(self.name, today)
        return max(0, self.channel.warm_up.ceiling(today.date()) - gone)

    # Connections.

    def _carry(self, desk: Desk) -> None:
        """Send what the desk has: by the ways that have a weight, and by the others while none of those works."""
        with self.store.read() as tx:
            held = {state.name for state in tx.channels.all() if _holds(state, self.channel, self.clock())}
        every = self.channel.options.ways()
        # Where all are left alone, and we were called nevertheless, an operator wants to know whether they work again.
        ways = [way for way in every if _key(self.channel, way) not in held] or every
        for group in ([way for way in ways if way.weight], [way for way in ways if not way.weight]):
            while working := [way for way in group if way.name not in self.down]:
                if self.stop.is_set() or not (waiting := desk.waiting()):
                    return
                before = len(self.down)
                self._connect(desk, working, waiting)
                if len(self.down) == before:
                    return

    def _connect(self, desk: Desk, ways: Sequence[Way], waiting: int) -> None:
        """Open as many connections as are worth it, and wait until they have nothing more to do."""
        heaviest = sorted(ways, key=lambda way: -way.weight)
        slots = [way for turn in range(max(w.connections for w in ways)) for way in heaviest if turn < way.connections]
        used = slots[: 1 if desk.one_by_one else connections(waiting, len(slots))]
        lanes = [Lane(way, Parcels(desk, way, self.packer.parcel), self.net, self._watch) for way in used]
        together = [lane for lane in lanes if lane.way.cooperative]
        crews = [*filter(None, [together]), *([lane] for lane in lanes if not lane.way.cooperative)]
        with ThreadPoolExecutor(len(crews), thread_name_prefix=self.name) as pool:
            for served in [pool.submit(serve, crew, desk, self.stop) for crew in crews]:
                served.result()
        for lane in lanes:
            if isinstance(lane.error, ChannelError):
                self.down.setdefault(lane.way.name, lane.error)
            elif lane.error:
                raise lane.error

    def _watch(self, way: Way, receipt: Receipt) -> None:
        """Leave a way alone that takes nothing at all, before it has been asked for the whole list.

        Raises:
            ChannelDown: it has put off too many in a row.
        """
        with self.lock:
            self.worked.add(way.name)
            put_off = receipt.verdict is Verdict.DEFERRED
            self.deferrals[way.name] = self.deferrals.get(way.name, 0) + 1 if put_off else 0
            if self.deferrals[way.name] >= MANY:
                raise ChannelDown(f"{MANY} deliveries in a row were put off, the last one: {receipt.detail}")

    # What it came to.

    def _told(self, desks: Sequence[Desk]) -> Outcome:
        counts = sum((desk.counts for desk in desks), Counter[State]())
        told = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
        left = sum(desk.left for desk in desks)
        until = self._remember(left)
        if self.down and left:
            words = "; ".join(dict.fromkeys(error.words for error in self.down.values()))
            return Later(f"{told}; {words}" if told else words, until)
        stuck = [state for state in (State.FAILED, State.PARKED, State.UNCERTAIN) if counts[state]]
        if stuck:
            return Never(f"{told} (publisher delivery list --state {stuck[0]})")
        return Done(told or "nothing to deliver", changed=bool(counts))

    def _remember(self, left: int) -> datetime | None:
        """Leave the ways that are down alone for a while, and forget the troubles of those that work.

        Returns:
            When the first of those that are down is asked again.
        """
        with self.store.read() as tx:
            known = {state.name: state for state in tx.channels.all()}
        several, changes = len(self.channel.options.ways()) > 1, list[ChannelState]()
        for way in self.channel.options.ways():
            key = _key(self.channel, way)
            if (error := self.down.get(way.name)) and (left or several):
                changes.append(self._held(key, error, known.get(key)))
            elif way.name in self.worked and known.get(key) not in (None, ChannelState(name=key)):
                changes.append(ChannelState(name=key))
        if changes:
            with self.store.write() as tx:
                for state in changes:
                    tx.channels.put(state)
        return min((state.retry_at for state in changes if state.retry_at), default=None)

    def _held(self, key: str, error: ChannelError, known: ChannelState | None) -> ChannelState:
        failures = (known.failures if known else 0) + 1
        asked = error.retry_after if isinstance(error, ChannelDown) else None
        pause = _FOR_EVER if isinstance(error, ChannelGone) else hold_pause(failures, asked)
        mark = self.channel.fingerprint
        return ChannelState(
            name=key, failures=failures, error=error.words, retry_at=self.clock() + pause, fingerprint=mark
        )

    def _wait(self, why: str, until: datetime) -> Outcome:
        """Nothing is wrong, but nothing may go before then."""
        state = ChannelState(name=self.name, retry_at=until, fingerprint=self.channel.fingerprint)
        with self.store.write() as tx:
            tx.channels.put(state)
        return Done(f"{why}: it goes on at {until:%Y-%m-%d %H:%M %Z}")
