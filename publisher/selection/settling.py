"""When an entry has stopped changing, decided from dates alone."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

_MOST = 10


def settled_at(arrived: datetime, changes: Iterable[datetime], settle: timedelta) -> datetime:
    """The first moment before which an entry had not changed for as long as ``settle``; ten times that after it
    arrived at the latest, for some change for ever.

    What has settled once stays so: later changes move nothing.

    Args:
        arrived: when it was seen first, which is a change, too.
        changes: when it was seen changed, in any order.
    """
    last = arrived
    for change in sorted(changes):
        if change >= last + settle:
            break
        last = max(last, change)
    return min(last + settle, arrived + longest(settle))


def longest(settle: timedelta) -> timedelta:
    """After what time an entry is settled, whatever happens."""
    return _MOST * settle
