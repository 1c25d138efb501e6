"""How often a source is worth a visit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from publisher.model import Hints
from publisher.rhythm import LONGEST, SHORTEST, UNKNOWN, gap, interval, next_visit

NOW = datetime(2026, 11, 30, 12, 20, tzinfo=UTC)  # a Monday
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
moments = st.integers(0, 365 * 24 * 60).map(lambda minutes: NOW - timedelta(minutes=minutes))


def test_a_source_is_visited_eight_times_between_two_of_its_entries() -> None:
    assert interval([NOW - 16 * HOUR * n for n in range(10)], NOW) == 2 * HOUR


def test_one_exception_changes_nothing() -> None:
    regular = [NOW - 16 * HOUR * n for n in range(10)]
    assert interval([*regular, NOW - timedelta(minutes=1)], NOW) == 2 * HOUR


def test_what_came_all_at_once_tells_nothing_of_the_rhythm() -> None:
    assert gap([NOW - DAY] * 20) is None
    assert interval([NOW - DAY] * 20, NOW) == UNKNOWN
    assert interval([], NOW) == UNKNOWN


def test_a_source_that_falls_silent_is_visited_less_and_less() -> None:
    hourly = [NOW - HOUR * n for n in range(10)]
    assert [interval(hourly, NOW + silent) for silent in (HOUR, 16 * HOUR, 4 * DAY, 90 * DAY)] == [
        SHORTEST,
        2 * HOUR,
        12 * HOUR,
        LONGEST,
    ]


def test_what_a_source_says_of_its_freshness_is_heard_where_the_interval_is_ours() -> None:
    hints = Hints(fresh_for=6 * HOUR)
    assert next_visit(NOW + HOUR, NOW, hints, adaptive=True) == NOW + 6 * HOUR
    assert next_visit(NOW + 9 * HOUR, NOW, hints, adaptive=True) == NOW + 9 * HOUR
    assert next_visit(NOW + HOUR, NOW, hints, adaptive=False) == NOW + HOUR
    assert next_visit(NOW + HOUR, NOW, Hints(fresh_for=900 * DAY), adaptive=True) == NOW + LONGEST


def test_hours_and_days_to_stay_away_are_kept() -> None:
    night = Hints(skip_hours=frozenset(range(12, 18)))
    assert next_visit(NOW, NOW, night, adaptive=False) == NOW.replace(hour=18, minute=0)
    monday = Hints(skip_days=frozenset({0}))
    assert next_visit(NOW, NOW, monday, adaptive=False) == datetime(2026, 12, 1, tzinfo=UTC)


def test_who_leaves_no_hour_free_is_not_heard() -> None:
    assert next_visit(NOW, NOW, Hints(skip_hours=frozenset(range(24))), adaptive=True) == NOW
    assert next_visit(NOW, NOW, Hints(skip_days=frozenset(range(7))), adaptive=True) == NOW


@given(st.lists(moments), moments)
def test_an_interval_is_never_out_of_bounds(told: list[datetime], now: datetime) -> None:
    assert SHORTEST <= interval(told, now) <= LONGEST


@given(moments, st.sets(st.integers(0, 23)), st.sets(st.integers(0, 6)))
def test_a_visit_is_never_early_and_at_a_time_that_suits_if_there_is_any(
    planned: datetime, hours: set[int], days: set[int]
) -> None:
    hints = Hints(skip_hours=frozenset(hours), skip_days=frozenset(days))
    moment = next_visit(planned, planned, hints, adaptive=False)
    assert planned <= moment < planned + 8 * DAY
    if len(hours) < 24 and len(days) < 7:
        assert moment.hour not in hours
        assert moment.weekday() not in days
