"""Step 4: deliveries → the world.

Rows are leased in batches and handed to connections one by one.  On each connection the verdict on a message is
committed before the channel is asked for the next, so that a process killed at any moment leaves at most one message
for each connection in doubt.  What several connections have to say is committed together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from threading import Event, Lock
from zoneinfo import ZoneInfo

from publisher.channels import Way
from publisher.config import ChannelSettings, Settings
from publisher.deliver.decisions import MANY, MOST_FAULTS, Retry, connections, hold_pause
from publisher.deliver.desk import Desk, Parcels
from publisher.deliver.pace import Pace
from publisher.errors import ChannelDown, ChannelError, ChannelGone, StoreError
from publisher.mime import message_id
from publisher.model import (
    Clock,
    Done,
    Issue,
    Later,
    Never,
    Outcome,
    Parcel,
    Publication,
    Receipt,
    State,
    Subscriber,
    Verdict,
    Work,
)
from publisher.net import Net
from publisher.renderers import DigestRenderer, digest
from publisher.store import ChannelState, Leased, Store
from publisher.templating import Templates
from publisher.tokens import token

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
    run = _Run(
        work.subject, settings, store, net, templates, secret, clock, stop, paces.of(settings.channels[work.subject])
    )
    return run.outcome()


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

    name: str
    settings: Settings
    store: Store
    net: Net
    templates: Templates
    secret: str
    clock: Clock
    stop: Event
    pace: Pace
    down: dict[str, ChannelError] = field(default_factory=dict)
    """The ways that do not work, and why."""
    deferrals: dict[str, int] = field(default_factory=dict)
    """By way: how many in a row."""
    worked: set[str] = field(default_factory=set)
    """The ways that said something of a delivery."""
    issue: Issue | None = None
    """The last one that was looked up: deliveries come issue by issue, and one is kept in memory."""
    renderings: dict[str, DigestRenderer | None] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    @cached_property
    def channel(self) -> ChannelSettings:
        return self.settings.channels[self.name]

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
        with ThreadPoolExecutor(len(used), thread_name_prefix=self.name) as pool:
            for lane in [pool.submit(self._connection, desk, way) for way in used]:
                lane.result()

    def _connection(self, desk: Desk, way: Way) -> None:
        """One connection, from its first parcel to its last; opened anew after a parcel that broke it."""
        try:
            while self._sent(desk, way):
                pass
        except ChannelError as error:
            with self.lock:
                self.down.setdefault(way.name, error)

    def _sent(self, desk: Desk, way: Way) -> bool:
        """Send until there is nothing more, or a parcel breaks the connection: then there may be more."""
        parcels = Parcels(desk, way, self._parcel)
        with closing(parcels), closing(way.send(parcels, self.net)) as receipts:
            try:
                for receipt in receipts:
                    parcels.settle(receipt)
                    self._watch(way, receipt)
            except (ChannelError, StoreError):
                raise
            except Exception as error:  # a fault of ours, or of a third party's kind: it must not stop the others
                if parcels.in_hand is None:
                    raise
                detail = f"{type(error).__name__}: {error}"
                parcels.settle(Receipt(delivery=parcels.in_hand.id, verdict=Verdict.BROKEN, detail=detail))
                return True
            if parcels.in_hand and not self.stop.is_set():
                raise ChannelError(f"{self.name} said nothing of a delivery", hint="its kind has a fault")
        return False

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

    # Parcels.

    def _parcel(self, row: Leased) -> Parcel:
        host, link = self.settings.site_host, token("unsubscribe", row.id, self.secret)
        subscriber = Subscriber(address=row.recipient, unsubscribe=f"{self.settings.site.url}/unsubscribe/{link}")
        return Parcel(
            delivery=row.id,
            recipient=row.recipient,
            message_id=message_id(row.issue, self.name, row.recipient, host, self.secret),
            issue=self._issue_for(row, subscriber),
            subscriber=subscriber,
            token=token("bounce", row.id, self.secret),
        )

    def _issue_for(self, row: Leased, subscriber: Subscriber) -> Issue:
        """The issue as it is for all; or, where its template looks at who reads it, as it is for one of them."""
        issue = self._issue(row.issue)
        rendering = self._rendering(issue.publication.name)
        if not rendering or not self.channel.options.personal:
            return issue
        documents = rendering.render(issue, subscriber)
        subject = next(document.text for document in documents if document.name == "subject.txt")
        return replace(issue, subject=subject, documents=documents)

    def _rendering(self, publication: str) -> DigestRenderer | None:
        """What renders a publication's digest for each reader; None where one rendering does for all."""
        with self.lock:
            if publication not in self.renderings:
                options = self.settings.digests.get(publication)  # none where it was taken out since
                found = options and digest(self.templates, template=options.template, subject=options.subject)
                self.renderings[publication] = found if found and found.personal else None
            return self.renderings[publication]

    def _issue(self, key: int) -> Issue:
        with self.lock:
            if self.issue is None or self.issue.id != key:
                self.issue = self._looked_up(key)
            return self.issue

    def _looked_up(self, key: int) -> Issue:
        with self.store.read() as tx:
            row, entries, documents = tx.issues.get(key), tx.issues.entries(key), tx.issues.documents(key)
        assert row  # noqa: S101 (a delivery's issue is a foreign key)
        return Issue(
            id=row.id,
            number=row.number,
            publication=self._publication(row.publication),
            created=row.created,
            entries=entries,
            subject=row.subject,
            documents=documents,
        )

    def _publication(self, name: str) -> Publication:
        """The publication of an issue; it may have been taken out of the configuration since."""
        if name in self.settings.publications:
            return self.settings.publication(name)
        return Publication(name=name, title=name, site=self.settings.model_site())

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
