"""Connections, served together by one thread: while one waits for its relay, the others go on.

What those that are ready have to say is committed together, and only then do they go on.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Sequence
from itertools import chain
from threading import Event

from publisher.channels import Wait, Way
from publisher.deliver.desk import Desk, Parcels, Said
from publisher.errors import ChannelError, StoreError
from publisher.model import Receipt, Verdict
from publisher.net import Net

_LONGEST_WAIT = 60.0
"""Seconds after which leases are looked at, however long nobody answers."""


class Lane:
    """One connection, from its first parcel to its last; opened anew after a parcel that broke it.

    Args:
        watch: hears of each receipt that is committed.  It raises ChannelDown where the way is to be left alone.

    Attributes:
        error: why it came to its end before its time: ChannelError where its way does not work.
    """

    def __init__(self, way: Way, parcels: Parcels, net: Net, watch: Callable[[Way, Receipt], None]) -> None:
        self.way, self._parcels, self._net, self._watch = way, parcels, net, watch
        self._sending = way.send(parcels, net)
        self.error: Exception | None = None

    def pause(self) -> float:
        """Seconds until its next parcel may go; 0 where it is at hand, and where there is none."""
        try:
            return self._parcels.pause()
        except StoreError as error:
            self._end(error)
            return 0

    def go_on(self) -> Said | Wait | None:
        """What it says of the parcel in hand, or what it waits for; None when it has come to its end."""
        if self.error:
            return None
        try:
            step = self._step()
        except Exception as error:
            self._end(error)
            return None
        return self._parcels.said(step) if isinstance(step, Receipt) else step

    def _step(self) -> Receipt | Wait | None:
        try:
            step = next(self._sending, None)
        except (ChannelError, StoreError):
            raise
        except Exception as error:  # a fault of ours, or of a third party's kind: it must not stop the others
            if self._parcels.in_hand is None:
                raise
            self._sending = self.way.send(self._parcels, self._net)
            detail = f"{type(error).__name__}: {error}"
            return Receipt(delivery=self._parcels.in_hand.id, verdict=Verdict.BROKEN, detail=detail)
        if step is None and self._parcels.in_hand:
            raise ChannelError("it said nothing of a delivery", hint="its kind has a fault")
        if step is None:
            self.close()
        return step

    def settled(self, said: Said) -> bool:
        """What it said is committed; returns whether it goes on."""
        try:
            self._watch(self.way, said.receipt)
        except ChannelError as error:
            self._end(error)
        return self.error is None

    def close(self) -> None:
        """Cut the connection where it still stands, and give back what was not carried."""
        self._sending.close()
        self._parcels.close()

    def _end(self, error: Exception) -> None:
        self.error = error
        self.close()


def serve(lanes: Sequence[Lane], desk: Desk, stop: Event) -> None:
    """Carry parcels until there are none for any of the lanes.

    Raises:
        StoreError: a verdict could not be committed.
    """
    waits, going, resting = _Waits(stop), list[Lane](), list(lanes)
    try:
        while going or resting or waits:
            going += [lane for lane in resting if not waits.sleeps(lane, lane.pause())]
            steps = [(lane, lane.go_on()) for lane in going]
            said = [(lane, step) for lane, step in steps if isinstance(step, Said)]
            for lane, step in steps:
                if isinstance(step, Wait):
                    waits.add(lane, step)
            desk.settle([step for _, step in said])
            resting = [lane for lane, step in said if lane.settled(step)]
            going, resting = ([], resting) if resting else waits.over()
            desk.renew()
    finally:
        for lane in lanes:
            lane.close()


class _Waits:
    """Lanes that wait for their sockets, and lanes that sleep until their turn has come."""

    def __init__(self, stop: Event) -> None:
        self._stop = stop
        self._poll = select.poll()  # an epoll would be told of each wait, and of its end, by a system call
        self._waiting: dict[int, tuple[Lane, Wait]] = {}
        """By the number of the socket."""
        self._asleep: dict[Lane, float] = {}
        """Until when, on the steady clock."""

    def __bool__(self) -> bool:
        return bool(self._waiting or self._asleep)

    def add(self, lane: Lane, wait: Wait) -> None:
        """It waits for its socket."""
        number = wait.socket.fileno()
        self._poll.register(number, select.POLLOUT if wait.write else select.POLLIN)
        self._waiting[number] = lane, wait

    def sleeps(self, lane: Lane, pause: float) -> bool:
        """Let it sleep so long; returns whether it has to."""
        if pause:
            self._asleep[lane] = time.monotonic() + pause
        return pause > 0

    def over(self) -> tuple[list[Lane], list[Lane]]:
        """Wait for the first of them; returns those whose waiting is over, and those that have slept."""
        ends = min(chain(self._asleep.values(), (wait.ends for _, wait in self._waiting.values())), default=0.0)
        pause = min(max(0.0, ends - time.monotonic()), _LONGEST_WAIT)
        answered = self._poll.poll(pause * 1000) if self._waiting else self._slept(pause)
        now = time.monotonic()
        late = [number for number, (_, wait) in self._waiting.items() if wait.ends <= now]
        over = list(dict.fromkeys([*(number for number, _ in answered), *late]))
        for number in over:
            self._poll.unregister(number)
        awake = [lane for lane, ends in self._asleep.items() if ends <= now or self._stop.is_set()]
        for lane in awake:
            del self._asleep[lane]
        return [self._waiting.pop(number)[0] for number in over], awake

    def _slept(self, pause: float) -> tuple[()]:
        self._stop.wait(pause)
        return ()
