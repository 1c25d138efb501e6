"""How often a source is worth a visit: decided from when its entries came, and from what it asks of those who visit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from zlib import crc32

from publisher.model import Hints

SHORTEST = timedelta(minutes=10)
LONGEST = timedelta(days=1)
UNKNOWN = timedelta(hours=1)
"""For a source of which nothing is known yet."""
RELAXED = timedelta(hours=6)
"""For one whose entries are pushed: a hub that falls silent says nothing of it."""

TOLD = 20
"""By the dates of as many entries the rhythm of a source is known."""
LARGEST_JITTER = 1.1

_LOOKS = 8
"""Visits between two entries: an entry is found when an eighth of the usual gap has passed, by and large half that."""
_HOUR = timedelta(hours=1)
_SEARCHED = timedelta(days=8)
"""More than a week: whoever leaves no hour of it free is not heard."""


def gap(moments: Sequence[datetime]) -> timedelta | None:
    """The usual time between two entries; None where too few are known to tell.

    Args:
        moments: when its last entries were published, in any order.  Those of one moment (a site that was moved, an
            import) count once.
    """
    told = sorted(set(moments))
    gaps = sorted(later - earlier for earlier, later in pairwise(told))
    return gaps[len(gaps) // 2] if len(gaps) > 1 else None


def interval(moments: Sequence[datetime], now: datetime) -> timedelta:
    """How long to leave a source alone, between ``SHORTEST`` and ``LONGEST``.

    One that has fallen silent is visited less and less often: its silence counts as a gap.
    """
    usual = gap(moments)
    if usual is None:
        return UNKNOWN
    return min(max(max(usual, now - max(moments)) / _LOOKS, SHORTEST), LONGEST)


def jitter(name: str, now: datetime) -> float:
    """A factor near one, so that what was visited together once is not so for ever."""
    return 0.9 + (LARGEST_JITTER - 0.9) * crc32(f"{name} {now.isoformat()}".encode()) / 2**32


def relaxed(planned: datetime, now: datetime, until: datetime) -> datetime:
    """When to visit a source whose hub has shown that it pushes: seldom, until what it has confirmed ends."""
    return max(planned, min(now + RELAXED * jitter(f"{until}", now), until))


def next_visit(planned: datetime, now: datetime, hints: Hints, *, adaptive: bool) -> datetime:
    """When to come again.

    Args:
        planned: when we should like to.
        hints: what the source asks for.  How long it stays fresh is heard, up to a day, where the interval is ours to
            choose and not the operator's; the hours and days to stay away are heard always.
        adaptive: it is ours.

    Returns:
        ``planned``, or the first moment after it that suits the source.
    """
    if adaptive and hints.fresh_for:
        planned = max(planned, now + min(hints.fresh_for, LONGEST))
    moment = planned
    while moment < planned + _SEARCHED:
        if moment.hour not in hints.skip_hours and moment.weekday() not in hints.skip_days:
            return moment
        moment = moment.replace(minute=0, second=0, microsecond=0) + _HOUR
    return planned
