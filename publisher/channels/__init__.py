"""How an issue leaves the house.  One file per kind; each exports its frozen dataclass as ``KIND``.

A kind's options are the fields of its dataclass.  A third party ships a kind as an entry point of the group
``publisher.channels``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Protocol

from publisher import kinds as _kinds
from publisher.model import Parcel, Receipt

if TYPE_CHECKING:
    from publisher.net import Net


class Channel(Protocol):
    """One channel, set up from its options."""

    kind: ClassVar[str]
    personal: ClassVar[bool]
    """True: one parcel for each recipient.  False: one for the issue, to the one place that the channel speaks to."""

    def send(self, parcels: Iterable[Parcel], net: Net) -> Iterator[Receipt]:
        """Send over one connection and yield a receipt for each parcel, in order.

        The caller commits each receipt before it asks for the next one, so a kind must not let the last byte of
        parcel *k+1* leave before it was resumed after the receipt of parcel *k*.  It may pull one parcel ahead of the
        receipts, not more.

        Raises:
            ChannelDown: it cannot be reached now; nothing was said about the parcels that have no receipt yet.
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
