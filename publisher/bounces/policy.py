"""What follows from what came back: the decisions, pure.

Anybody can write a message that looks like a bounce.  So only what shows that it knows our mail counts (a token, or the
Message-ID that one recipient got), and what a provider has signed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from publisher.bounces.returned import Returned
from publisher.mime import bare_address
from publisher.replies import Fate

SOFT_MANY = 5
"""So many soft ones end our patience…"""
SOFT_SPAN = timedelta(days=7)
"""…unless all of them came within this time: servers are mended and mailboxes emptied in a week, and a publication that
is mailed every hour would otherwise lose its readers in an afternoon."""
GOOD_AFTER = timedelta(days=3)
"""How long a delivery must not have come back to be a good one.  A relay may try for five days (RFC 5321 section
4.5.4.1) before it gives up; most tell after one or two, and what comes later is still counted then."""

REASONS = {Fate.HARD: "hard", Fate.COMPLAINT: "complaint", Fate.UNSUBSCRIBE: "unsubscribed"}
"""The fates after which somebody gets nothing more at once, and how the suppression list calls them."""


def believed(found: Returned, recipient: str, *, verified: bool) -> Fate | None:
    """What may follow from it; None where anybody may have made it up.

    A hard bounce about another address than the one we wrote to is that of an alias behind it: one member of somebody's
    list is gone, which does not make the list so.

    Args:
        recipient: of the delivery that it is known to be about; empty when that is unknown.
        verified: a provider has signed it.
    """
    if not recipient:
        return found.fate if verified and found.recipient else None
    is_alias = found.recipient and _plain(found.recipient) != _plain(recipient)
    return Fate.SOFT if found.fate is Fate.HARD and is_alias else found.fate


def patience_began(softs: Sequence[datetime], now: datetime) -> datetime | None:
    """From when on soft ones must have come, and nothing good, to be too many; None while they are few or fresh.

    Args:
        softs: when each of them came, in any order.
    """
    old_enough = [moment for moment in sorted(softs)[: 1 - SOFT_MANY] if moment <= now - SOFT_SPAN]
    return max(old_enough, default=None)


def _plain(address: str) -> str:
    """For comparing: without a name and without capitals, a foreign domain in ASCII."""
    try:
        return bare_address(address).casefold()
    except ValueError:
        return address.casefold()
