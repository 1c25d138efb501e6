"""The desk: deliveries that are ours to send, handed to connections one by one, and what becomes of them."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event

from publisher.channels import Stream, Way
from publisher.deliver.decisions import MANY, Retry, next_attempt
from publisher.deliver.ledger import Ledger, Note
from publisher.deliver.pace import Pace
from publisher.errors import PublisherError, StoreError
from publisher.model import Clock, Parcel, Receipt, State, Verdict
from publisher.store import Leased, Settled, Store, Suppression

_BATCH = 200
_LOW = 50
_RENEWAL = timedelta(minutes=3)  # well before a lease ends
_LOOK_AGAIN = 1.0  # seconds
_LONGEST_WAIT = 20.0
"""Seconds for which a connection is kept open with nothing to do; relays hang up after a minute or more."""


@dataclass(frozen=True, slots=True)
class Said:
    """What became of a delivery."""

    row: Leased
    receipt: Receipt
    following: Leased | None = None
    """The delivery that goes next on the same connection, where it was looked at: it is launched by the same commit."""


class Desk:
    """Leases deliveries of a channel and hands them out.  Connections share it, in one thread or several.

    Args:
        suspect: hands out those that broke somebody before, one at a time; else the others.
        budget: how many may be handed out; None: any number.
        closing: when the channel's hours are over; None: never.
    """

    def __init__(
        self,
        channel: str,
        store: Store,
        clock: Clock,
        stop: Event,
        *,
        pace: Pace,
        retry: Retry,
        suspect: bool = False,
        budget: int | None = None,
        closing: datetime | None = None,
    ) -> None:
        self._channel, self._store, self._clock, self._stop = channel, store, clock, stop
        self._pace, self._retry, self._suspect = pace, retry, suspect
        self._budget, self._closing = budget, closing
        self._ledger = Ledger(store, clock, stop)
        self._lock = threading.Lock()
        self._ready: list[Leased] = []
        self._held: dict[int, Leased] = {}
        """All that is leased and not settled, in order: what is ready, and what is in the connections' hands."""
        self._left: Counter[int] = Counter()
        """How many of them each issue has."""
        self._over = False
        """The store has failed us."""
        self._enough = 0
        """As long as so many are ready, nothing needs to be leased."""
        self._dry = False
        """There was nothing more to lease."""
        self._asked = -_LOOK_AGAIN
        """When there was nothing more to lease but for domains that are waited for."""
        self._renewed = clock()
        self._failures: Counter[int] = Counter()
        """Of each issue, in a row."""
        self.counts: Counter[State] = Counter()
        self.later: datetime | None = None
        """From when on what was put back can go; None where it can at once."""
        self.left = 0
        """How many were put back in the end."""

    @property
    def one_by_one(self) -> bool:
        """Whether one connection is enough."""
        return self._suspect

    def waiting(self) -> int:
        """How many are at hand to be sent; more may be in the store."""
        with self._lock:
            self._fill()
            return len(self._ready)

    def take(self, way: Way) -> tuple[Leased | None, float]:
        """The next delivery for a connection; else how long until there is one: 0 where there is nothing more for it.

        Returns:
            The delivery, or None; and seconds.

        Raises:
            StoreError: the store cannot say.  It is not asked again.
        """
        if self._over or self._stop.is_set():
            return None, 0
        try:
            with self._lock:
                row, pause = self._next(way)
        except StoreError:
            self._over = True  # for the other connections too: they end with what is on its way
            raise
        if pause > _LONGEST_WAIT:
            self.later = self._clock() + timedelta(seconds=pause)
            return None, 0
        return row, pause

    def _next(self, way: Way) -> tuple[Leased | None, float]:
        """A delivery whose turn it is; else how long until there is one, 0 where there is none at all."""
        if self._budget == 0 or (self._closing and self._clock() >= self._closing):
            return None, 0
        self._fill()
        shortest = 0.0
        for index, row in enumerate(self._ready):
            names = ("", f"way {way.name}", domain_of(row.recipient))
            pause = self._pace.take(names, time.monotonic())
            if not pause:
                del self._ready[index]
                self._budget = None if self._budget is None else self._budget - 1
                return row, 0
            shortest = min(pause, shortest or pause)
            if not self._pace.limits(names[2]):
                break  # it is not the domain that is waited for: the others wait as well
        return None, shortest

    def _fill(self) -> None:
        """Lease more when little is left: of all that wait, but of no domain that has some waiting for its turn."""
        if self._dry or len(self._ready) > self._enough or (self._suspect and self._held):
            return
        slow = {domain for row in self._ready if self._pace.limits(domain := domain_of(row.recipient))}
        swift = sum(domain_of(row.recipient) not in slow for row in self._ready) if slow else len(self._ready)
        low = 1 if self._suspect else _LOW
        self._enough = len(self._ready) - max(0, swift - low)
        if swift >= low or (slow and time.monotonic() < self._asked + _LOOK_AGAIN):
            return
        with self._store.write() as tx:
            limit = 1 if self._suspect else _BATCH
            rows = tx.deliveries.lease(self._channel, limit, self._clock(), suspect=self._suspect, but=slow)
        if not rows:
            self._dry, self._asked = not slow, time.monotonic()
        self._ready += rows
        self._held |= {row.id: row for row in rows}
        self._left.update(row.issue for row in rows)

    def launch(self, row: Leased) -> None:
        """Note that a delivery's last byte may leave, where the channel wants to know."""
        if self._retry.hold:
            self._ledger.write([Note(launched=row.id)])

    def settle(self, said: Sequence[Said]) -> None:
        """Commit what became of these, together.

        Raises:
            StoreError: it could not be committed.
        """
        if not said:
            return
        now = self._clock()
        with self._lock:
            notes = [self._noted(one, now) for one in said]
        self._ledger.write(notes)
        with self._lock:
            self.counts.update(note.settled.state for note in notes if note.settled)
        for issue, _ in filter(None, (note.paused for note in notes)):
            self._put_back_issue(issue)

    def _noted(self, said: Said, now: datetime) -> Note:
        row, receipt = said.row, said.receipt
        faults = row.faults + 1 if receipt.verdict is Verdict.BROKEN else 0
        state, at, detail = next_attempt(
            receipt,
            tries=row.tries + 1,
            first=row.first_try or now,
            now=now,
            retry=self._retry,
            jitter=random.random(),  # noqa: S311 (spreads retries; nobody gains by guessing it)
            faults=faults,
        )
        return Note(
            settled=Settled(id=row.id, state=state, detail=detail, at=now, next_at=at, faults=faults),
            launched=said.following.id if said.following and self._retry.hold else 0,
            finished=self._drop(row),
            paused=self._judged(row.issue, state, detail),
            suppressed=_suppression(row, receipt, now),
        )

    def _drop(self, row: Leased) -> int:
        """Out of our hands; returns its issue when nothing of that is left in them."""
        self._held.pop(row.id, None)
        self._left[row.issue] -= 1
        return 0 if self._left[row.issue] else row.issue

    def _judged(self, issue: int, state: State, detail: str) -> tuple[int, str] | None:
        """Whether an issue is to be paused: too many of its deliveries failed, one after the other."""
        if state is State.SENT:
            self._failures[issue] = 0
        self._failures[issue] += state is State.FAILED
        if self._failures[issue] != MANY:
            return None
        return issue, f"{MANY} deliveries in a row failed, the last one: {detail}"

    def give_back(self, row: Leased) -> None:
        """A connection could not do anything with it: it is the next for another one."""
        with self._lock:
            self._ready.insert(0, row)
            self._budget = None if self._budget is None else self._budget + 1

    def _put_back_issue(self, issue: int) -> None:
        with self._lock:
            rows = [row for row in self._ready if row.issue == issue]
            self._ready = [row for row in self._ready if row.issue != issue]
            for row in rows:
                self._drop(row)
        self._release([row.id for row in rows])

    def close(self) -> None:
        """Put back what was not sent."""
        self.left = len(self._held)
        with suppress(StoreError):  # what cannot be put back is taken over at the next run
            self._release(list(self._held))

    def _release(self, ids: Collection[int]) -> None:
        if ids:
            with self._store.write() as tx:
                tx.deliveries.release(ids, self.later or self._clock())

    def renew(self) -> None:
        """Keep what is not sent yet for longer: the relay is slow."""
        now = self._clock()
        with self._lock:
            if now - self._renewed < _RENEWAL:
                return
            self._renewed, held = now, list(self._held)
        with self._store.write() as tx:
            tx.deliveries.extend(held, now)


class Parcels(Stream):
    """What one connection carries: deliveries from the desk, made into parcels."""

    def __init__(self, desk: Desk, way: Way, wrap: Callable[[Leased], Parcel]) -> None:
        self._desk, self._way, self._wrap = desk, way, wrap
        self._following: tuple[Leased, Parcel] | None = None
        self._launched = False
        """The last byte of the following one may leave."""
        self.in_hand: Leased | None = None
        """The delivery that has no receipt yet."""

    def __iter__(self) -> Iterator[Parcel]:
        return self

    def __next__(self) -> Parcel:
        if self.peek() is None or self._following is None:
            raise StopIteration
        (self.in_hand, parcel), self._following = self._following, None
        if not self._launched:
            self._desk.launch(self.in_hand)
        self._launched = False
        return parcel

    def peek(self) -> Parcel | None:
        """See ``Stream.peek``."""
        self.pause()
        return self._following[1] if self._following else None

    def pause(self) -> float:
        """Seconds until there is one that may go; 0 where it is at hand, and where there is nothing more."""
        while self._following is None:
            row, pause = self._desk.take(self._way)
            if row is None:
                return pause
            self._following = self._wrapped(row)
        return 0

    def _wrapped(self, row: Leased) -> tuple[Leased, Parcel] | None:
        """The delivery as a parcel; None where none can be made of it, which is settled then."""
        try:
            return row, self._wrap(row)
        except StoreError:
            self._desk.give_back(row)
            raise
        except Exception as error:  # a fault in what it is made of: it must not stop the others
            words = error.words if isinstance(error, PublisherError) else f"{type(error).__name__}: {error}"
            self._desk.settle([Said(row, Receipt(delivery=row.id, verdict=Verdict.BROKEN, detail=words))])
            return None

    def said(self, receipt: Receipt) -> Said:
        """The verdict on the one in hand; once that is committed, the following one may leave."""
        row, self.in_hand = self.in_hand, None
        assert row  # noqa: S101 (a receipt comes after its parcel was taken)
        self._launched = self._following is not None
        return Said(row, receipt, self._following[0] if self._following else None)

    def close(self) -> None:
        """Give back what was not carried."""
        for row in (self._following and self._following[0], self.in_hand):
            if row:
                self._desk.give_back(row)
        self._following = self.in_hand = None


def domain_of(recipient: str) -> str:
    """The domain of an address, in small letters."""
    return recipient.rpartition("@")[2].rstrip(">").lower()


def _suppression(row: Leased, receipt: Receipt, now: datetime) -> Suppression | None:
    if not receipt.gone:
        return None
    return Suppression(address=row.recipient, reason="hard", detail=receipt.detail, moment=now)
