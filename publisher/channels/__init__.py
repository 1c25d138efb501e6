"""How an issue leaves the house.  One file per kind; each exports its frozen dataclass as ``KIND``.

A kind's options are the fields of its dataclass.  A third party ships a kind as an entry point of the group
``publisher.channels``.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol, TypeVar

from publisher import kinds as _kinds
from publisher.errors import RenderError
from publisher.model import Parcel, Receipt, Verdict
from publisher.net import Net
from publisher.options import Rate

T = TypeVar("T")


class Stream(Iterator[Parcel]):
    """Parcels for one connection, one by one, with a look at the next."""

    def __init__(self, parcels: Iterable[Parcel]) -> None:
        self._parcels = iter(parcels)
        self._seen: list[Parcel | Exception] = []

    @classmethod
    def of(cls, parcels: Iterable[Parcel]) -> Stream:
        """Any parcels as such a stream; one that is one already stays as it is."""
        return parcels if isinstance(parcels, Stream) else cls(parcels)

    def __next__(self) -> Parcel:
        """The next one, waited for where it may not go yet."""
        item = self._seen.pop() if self._seen else next(self._parcels)
        if isinstance(item, Exception):
            raise item
        return item

    def peek(self) -> Parcel | None:
        """The next one, which stays the next; None where there is none that may go at once.

        What goes wrong with it is raised in its turn, so that the parcel before it can be finished.
        """
        if not self._seen:
            try:
                self._seen.append(next(self._parcels))
            except StopIteration:
                return None
            except Exception as error:  # whatever the caller's iterator raises: it is kept, not handled
                self._seen.append(error)
        return self._seen[0] if isinstance(self._seen[0], Parcel) else None


class Wait(NamedTuple):
    """What one connection waits for; others can be served meanwhile."""

    socket: socket.socket
    ends: float
    """When to go on at the latest, on the steady clock (``time.monotonic``)."""
    write: bool = False
    """Until it takes bytes, and not until it has some."""

    def here(self) -> None:
        """Wait, and serve nobody meanwhile."""
        poll = select.poll()
        poll.register(self.socket, select.POLLOUT if self.write else select.POLLIN)
        poll.poll(max(0, self.ends - time.monotonic()) * 1000)


Receipts = Generator[Receipt, None, None]
"""Closed by whoever stops early."""
Sending = Generator[Receipt | Wait, None, None]
"""The same, which yields what it waits for in between."""


def patiently(steps: Generator[Wait, None, T]) -> T:
    """What the steps come to; waits here for what they wait for."""
    while True:
        try:
            next(steps).here()
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # it is what a generator returns


def in_place(sending: Sending) -> Receipts:
    """The receipts alone; waits here for what is waited for."""
    with closing(sending):
        for item in sending:
            if isinstance(item, Wait):
                item.here()
            else:
                yield item


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A place that takes a channel's parcels.  A channel has several where it has several relays."""

    send: Callable[[Iterable[Parcel], Net], Sending]
    """See ``Channel.send``; called once for each connection."""
    cooperative: bool = False
    """It yields a ``Wait`` where others would block, so that one thread serves all its connections; each of those that
    block has a thread of its own."""
    name: str = ""
    """Tells it from the channel's other ways; empty where there is but one."""
    connections: int = 1
    """How many it takes at once, at most."""
    weight: int = 1
    """Its share of the connections beside the other ways; 0: used only while none of the others works."""
    rate: Rate | None = None
    """How many parcels it takes, at most."""


class Channel(Protocol):
    """One channel, set up from its options."""

    kind: ClassVar[str]

    @property
    def personal(self) -> bool:
        """True: one parcel for each recipient.  False: one for the issue, to the one place that it speaks to."""
        ...

    def ways(self) -> Sequence[Way]:
        """Where parcels can be handed over; at least one."""
        ...

    def send(self, parcels: Iterable[Parcel], net: Net) -> Receipts:
        """Send over one connection, by its first way, and yield a receipt for each parcel, in order.

        The caller commits each receipt before it asks for the next one, so a kind must not let the last byte of
        parcel *k+1* leave before it was resumed after the receipt of parcel *k*.  It may look one parcel ahead
        (``Stream.peek``), and pulls none ahead of the receipts.

        Raises:
            ChannelDown: it cannot be reached now; nothing was said about the parcels that have no receipt yet, and the
                last byte of none of them has left.
            ChannelGone: the other side wants nothing from us any more.
            ChannelError: it refuses us altogether (a wrong password).
        """
        ...

    def check(self, net: Net) -> str:
        """Connect, log in, send nothing; return what answered.

        Raises:
            ChannelError: it would not take a parcel now.
        """
        ...


def kinds() -> Mapping[str, type[Channel]]:
    """The kinds that there are, by name."""
    return _kinds.kinds("publisher.channels")


def unsendable(parcel: Parcel, error: RenderError | ValueError) -> Receipt:
    """The receipt of a parcel of which nothing can be made: by its documents, or by its recipient, which is wrong."""
    if isinstance(error, RenderError):
        return Receipt(delivery=parcel.delivery, verdict=Verdict.BROKEN, detail=error.words)
    return Receipt(delivery=parcel.delivery, verdict=Verdict.FAILED, detail=str(error))
