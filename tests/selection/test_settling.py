"""When an entry has settled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from publisher.selection import settled_at

ARRIVED = datetime(2026, 11, 2, 8, tzinfo=UTC)
SETTLE = timedelta(minutes=15)

edits = st.lists(st.integers(1, 400), max_size=20).map(lambda found: [ARRIVED + timedelta(minutes=m) for m in found])


def at(minutes: int) -> datetime:
    return ARRIVED + timedelta(minutes=minutes)


def test_what_never_changes_has_settled_that_long_after_it_arrived() -> None:
    assert settled_at(ARRIVED, [], SETTLE) == at(15)


def test_each_change_before_it_has_settled_makes_it_wait_anew() -> None:
    assert settled_at(ARRIVED, [at(24), at(10)], SETTLE) == at(39)


def test_what_changes_when_it_had_settled_stays_settled() -> None:
    assert settled_at(ARRIVED, [at(15), at(20)], SETTLE) == at(15)


def test_what_changes_for_ever_has_settled_after_ten_times_that_long() -> None:
    assert settled_at(ARRIVED, [at(minute) for minute in range(1, 999)], SETTLE) == at(150)


@given(edits)
def test_nothing_changed_for_that_long_before_it_had_settled_unless_it_was_the_limit(changes: list[datetime]) -> None:
    moment = settled_at(ARRIVED, changes, SETTLE)
    last = max([ARRIVED, *(change for change in changes if change < moment)])
    assert ARRIVED + SETTLE <= moment <= at(150)
    assert moment == at(150) or moment - last == SETTLE


@given(edits, st.lists(st.integers(0, 99), max_size=5))
def test_what_has_settled_once_stays_so_whatever_changes_later(changes: list[datetime], later: list[int]) -> None:
    moment = settled_at(ARRIVED, changes, SETTLE)
    more = [moment + timedelta(minutes=minutes) for minutes in later]
    assert settled_at(ARRIVED, [*changes, *more], SETTLE) == moment


@given(edits)
def test_it_is_the_first_moment_at_which_a_witness_of_each_minute_sees_no_change_for_that_long(
    changes: list[datetime],
) -> None:
    """Told again in the plainest way: somebody looks every minute, and knows what has happened until then."""

    def calm(now: datetime) -> bool:
        return all(not now - SETTLE < change <= now for change in (ARRIVED, *changes))

    first = next((at(minute) for minute in range(150) if calm(at(minute))), at(150))
    found = settled_at(ARRIVED, changes, SETTLE)
    # A change at the very moment comes too late: it had settled then.
    assert found == first or (found in changes and found < first)
