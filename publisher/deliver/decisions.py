"""What is decided about deliveries, in pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from publisher.model import Receipt, State, Verdict

MOST_FAULTS = 3
"""How often a delivery may break us before it is parked."""
MANY = 50
"""So many failures in a row pause an issue; so many deferrals in a row, and a relay counts as down."""

_FIRST_PAUSE = timedelta(minutes=1)
_LONGEST_PAUSE = timedelta(hours=12)
_LONGEST_HOLD = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how long a delivery is tried."""

    attempts: int
    within: timedelta
    hold: bool = False
    """What may have arrived is held for the operator, and not sent again."""


def next_attempt(
    receipt: Receipt, *, tries: int, first: datetime, now: datetime, retry: Retry, jitter: float, faults: int = 0
) -> tuple[State, datetime | None, str]:
    """Decide what becomes of a delivery after a verdict.

    Args:
        tries: attempts so far, this one counted.
        first: when the first attempt was made.
        jitter: 0 to 1; spreads the next attempts, so that a thousand refusals do not come back at once.
        faults: how often in a row it has broken us, this one counted.

    Returns:
        The state, the moment of the next attempt where there is one, and the detail to keep.  The pause after the first
        refusal is a minute, then four times as long after each, up to half a day, and never shorter than asked for.
    """
    if state := _settled(receipt.verdict, faults, retry):
        return state, None, receipt.detail
    pause = min(_FIRST_PAUSE * (1 << 2 * min(tries - 1, 10)), _LONGEST_PAUSE)
    pause = max(pause * (1 + jitter / 4), receipt.retry_after or timedelta(0))
    if receipt.verdict is not Verdict.BROKEN:  # that is for us to mend: parked in the end, and not given up
        if tries >= retry.attempts:
            return State.FAILED, None, f"given up after {tries} attempts: {receipt.detail}"
        if now + pause > first + retry.within:
            return State.FAILED, None, f"given up: no attempt left within {_days(retry.within)}: {receipt.detail}"
    return State.DEFERRED, now + pause, receipt.detail


def _settled(verdict: Verdict, faults: int, retry: Retry) -> State | None:
    """What becomes of a delivery that is not tried again; None where it is."""
    if verdict in (Verdict.SENT, Verdict.FAILED):
        return State(verdict)
    if verdict is Verdict.UNCERTAIN and retry.hold:
        return State.UNCERTAIN
    return State.PARKED if verdict is Verdict.BROKEN and faults >= MOST_FAULTS else None


def hold_pause(failures: int, asked: timedelta | None) -> timedelta:
    """How long a channel that is down is left alone: a minute, then doubling up to half an hour.

    What it asked for is granted, up to half a day.
    """
    asked = min(asked or timedelta(0), _LONGEST_PAUSE)
    return max(min(_FIRST_PAUSE * (1 << min(failures - 1, 10)), _LONGEST_HOLD), asked)


def connections(waiting: int, most: int) -> int:
    """How many connections so many deliveries are worth: one for each twenty-five."""
    return max(1, min(most, -(-waiting // 25)))


def _days(span: timedelta) -> str:
    return f"{span.days} days" if span >= timedelta(days=2) else f"{span.total_seconds() / 3600:g} hours"
