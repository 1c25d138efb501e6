"""Step 4: deliveries → the world.

Rows are leased in batches and handed to the channel one by one; the verdict on each is committed before the channel is
asked for the next, so that a process killed at any moment leaves at most one message in doubt.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from threading import Event

from publisher.config import Settings
from publisher.errors import ChannelDown, ChannelError
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
    Verdict,
    Work,
)
from publisher.net import Net
from publisher.store import ChannelState, Leased, Store

_BATCH = 100
_RENEWAL = timedelta(minutes=3)  # well before a lease ends
_FIRST_PAUSE = timedelta(minutes=1)
_LONGEST_PAUSE = timedelta(hours=12)
_LONGEST_HOLD = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how long a delivery is tried."""

    attempts: int
    within: timedelta


def deliver(
    work: Work, settings: Settings, *, store: Store, net: Net, secret: str, clock: Clock, stop: Event
) -> Outcome:
    """Carry out all deliveries of a channel that can go now.

    Args:
        secret: the key from which Message-IDs are derived.
        stop: set from outside, it ends the work after the message that is on its way; the others wait in the store.

    Returns:
        Done, ``changed`` when there was anything to do; Later when the channel is down: its deliveries wait, and none
        of them has lost an attempt; Never when some failed for good.
    """
    run = _Run(work.subject, settings, store, net, secret, clock, stop)
    counts: Counter[State] = Counter()
    while not stop.is_set() and (batch := run.lease()):
        try:
            counts.update(run.send(batch))
        except ChannelError as error:
            return run.hold(error)
    run.well()
    told = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    if counts[State.FAILED]:
        return Never(f"{told} (publisher delivery list --state failed)")
    return Done(told or "nothing to deliver", changed=bool(counts))


@dataclass
class _Run:
    """One pass over a channel's open deliveries."""

    channel: str
    settings: Settings
    store: Store
    net: Net
    secret: str
    clock: Clock
    stop: Event

    @cached_property
    def _retry(self) -> Retry:
        return Retry(self.settings.retry.attempts, self.settings.retry.for_)

    def lease(self) -> list[Leased]:
        with self.store.write() as tx:
            return tx.deliveries.lease(self.channel, _BATCH, self.clock())

    def send(self, batch: list[Leased]) -> Iterator[State]:
        """Send one batch; yields the new state of each delivery, after it was committed."""
        rows, left = {row.id: row for row in batch}, Counter(row.issue for row in batch)
        options = self.settings.channels[self.channel].options
        receipts = options.send(self._parcels(batch), self.net)
        leased = self.clock()
        try:
            for receipt in receipts:
                row = rows.pop(receipt.delivery)
                left[row.issue] -= 1
                yield self._settle(row, receipt, last=not left[row.issue])
                if self.clock() - leased > _RENEWAL:
                    leased = self._renew(rows)
        finally:
            receipts.close()
            self._give_back(rows)
        if rows and not self.stop.is_set():
            raise ChannelError(f"{self.channel} said nothing of {len(rows)} deliveries", hint="its kind has a fault")

    def _give_back(self, rows: Collection[int]) -> None:
        """Put back what was not reached."""
        if rows:
            with self.store.write() as tx:
                tx.deliveries.release(rows, self.clock())

    def _renew(self, rows: Collection[int]) -> datetime:
        """Keep what is not sent yet for longer: the relay is slow."""
        now = self.clock()
        with self.store.write() as tx:
            tx.deliveries.extend(rows, now)
        return now

    def _parcels(self, batch: list[Leased]) -> Iterator[Parcel]:
        issues: dict[int, Issue] = {}
        host = self.settings.site_host
        for row in batch:
            if self.stop.is_set():
                return
            if row.issue not in issues:
                issues = {row.issue: self._issue(row.issue)}  # rows come issue by issue; one is kept in memory
            identity = message_id(row.issue, self.channel, row.recipient, host, self.secret)
            yield Parcel(delivery=row.id, recipient=row.recipient, message_id=identity, issue=issues[row.issue])

    def _issue(self, key: int) -> Issue:
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

    def _settle(self, row: Leased, receipt: Receipt, *, last: bool) -> State:
        """Commit the verdict; after the last of an issue, with the note that nothing of it is left, if so."""
        now, jitter = self.clock(), random.random()  # noqa: S311 (spreads retries; nobody gains by guessing it)
        state, at, detail = next_attempt(
            receipt, tries=row.tries + 1, first=row.first_try or now, now=now, retry=self._retry, jitter=jitter
        )
        with self.store.write() as tx:
            tx.deliveries.settle(row.id, state, detail, next_at=at, now=now)
            if last:
                tx.issues.finish(row.issue, now)
        return state

    def hold(self, error: ChannelError) -> Outcome:
        """Leave the channel alone for a while; what was not sent waits as it was."""
        now = self.clock()
        with self.store.write() as tx:
            state = tx.channels.get(self.channel) or ChannelState(name=self.channel)
            asked = error.retry_after if isinstance(error, ChannelDown) else None
            until = now + hold_pause(state.failures + 1, asked)
            mark = self.settings.channels[self.channel].fingerprint
            tx.channels.put(
                ChannelState(
                    name=self.channel,
                    failures=state.failures + 1,
                    error=error.words,
                    retry_at=until,
                    fingerprint=mark,
                )
            )
        return Later(error.words, until)

    def well(self) -> None:
        with self.store.read() as tx:
            state = tx.channels.get(self.channel)
        if state and state.failures:
            with self.store.write() as tx:
                tx.channels.put(ChannelState(name=self.channel))


# --- the decisions, pure ---------------------------------------------------------------------------------------------


def next_attempt(
    receipt: Receipt, *, tries: int, first: datetime, now: datetime, retry: Retry, jitter: float
) -> tuple[State, datetime | None, str]:
    """Decide what becomes of a delivery after a verdict.

    Args:
        tries: attempts so far, this one counted.
        first: when the first attempt was made.
        jitter: 0 to 1; spreads the next attempts, so that a thousand refusals do not come back at once.

    Returns:
        The state, the moment of the next attempt where there is one, and the detail to keep.  The pause after the first
        refusal is a minute, then four times as long after each, up to half a day, and never shorter than asked for.
    """
    if receipt.verdict in (Verdict.SENT, Verdict.FAILED):
        return State(receipt.verdict), None, receipt.detail
    pause = min(_FIRST_PAUSE * (1 << 2 * min(tries - 1, 10)), _LONGEST_PAUSE)
    pause = max(pause * (1 + jitter / 4), receipt.retry_after or timedelta(0))
    if tries >= retry.attempts:
        return State.FAILED, None, f"given up after {tries} attempts: {receipt.detail}"
    if now + pause > first + retry.within:
        return State.FAILED, None, f"given up: no attempt left within {_days(retry.within)}: {receipt.detail}"
    return State.DEFERRED, now + pause, receipt.detail


def hold_pause(failures: int, asked: timedelta | None) -> timedelta:
    """How long a channel that is down is left alone: a minute, then doubling up to half an hour.

    What it asked for is granted, up to half a day.
    """
    asked = min(asked or timedelta(0), _LONGEST_PAUSE)
    return max(min(_FIRST_PAUSE * (1 << min(failures - 1, 10)), _LONGEST_HOLD), asked)


def _days(span: timedelta) -> str:
    return f"{span.days} days" if span >= timedelta(days=2) else f"{span.total_seconds() / 3600:g} hours"
