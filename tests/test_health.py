from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.errors import (
    AddressRefused,
    BadStatus,
    Held,
    PublisherError,
    SourceError,
    TooSlow,
    UnknownHost,
    Unreachable,
)
from publisher.health import (
    FAILING,
    GATHERING,
    SETTLING,
    is_ending,
    is_silent,
    is_time_to_tell,
    of_failed,
    of_well,
)
from publisher.model import Certificate

NOW = datetime(2026, 11, 2, 8, tzinfo=UTC)  # a Monday
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
HICCUP = BadStatus("503", status=503)


# --- visits that fail ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failures", "lasting", "ailment"),
    [
        (1, timedelta(), ""),
        (1, 30 * DAY, ""),
        (2, 23 * HOUR, ""),
        (2, DAY, FAILING),
        (3, 59 * MINUTE, ""),
        (3, HOUR, FAILING),
        (90, HOUR, FAILING),
    ],
)
def test_a_source_is_ill_that_fails_again_and_again_and_for_some_time(
    failures: int, lasting: timedelta, ailment: str
) -> None:
    assert of_failed(HICCUP, failures, lasting, before="", is_new=False) == ailment


@given(st.integers(1, 50), st.timedeltas(timedelta(), 9 * DAY), st.integers(0, 9), st.timedeltas(timedelta(), DAY))
def test_what_fails_more_often_or_for_longer_is_not_less_ill(
    failures: int, lasting: timedelta, more: int, longer: timedelta
) -> None:
    before = of_failed(HICCUP, failures, lasting, before="", is_new=False)
    assert of_failed(HICCUP, failures + more, lasting + longer, before="", is_new=False) >= before


def test_a_visit_that_fails_heals_nothing_and_only_a_visit_that_goes_well_ends_a_hold() -> None:
    assert of_failed(HICCUP, 1, timedelta(), before="silent", is_new=False) == "silent"
    assert of_failed(HICCUP, 3, HOUR, before="silent", is_new=False) == FAILING
    assert of_failed(Held("different"), 1, timedelta(), before="", is_new=False) == "held"
    assert of_failed(HICCUP, 3, HOUR, before="held", is_new=False) == "held"


@pytest.mark.parametrize(
    ("error", "is_wrong"),
    [
        (BadStatus("404", status=404), True),
        (BadStatus("410", status=410), True),
        (BadStatus("403", status=403), True),
        (SourceError("this is no feed"), True),
        (UnknownHost("no such host"), True),
        (AddressRefused("private"), True),
        (BadStatus("429", status=429), False),
        (BadStatus("500", status=500), False),
        (Unreachable("refused"), False),
        (TooSlow("20 s"), False),
    ],
)
def test_what_looks_like_a_wrong_address_is_told_at_the_first_visit_of_a_new_source_only(
    error: PublisherError, is_wrong: bool
) -> None:
    assert of_failed(error, 1, timedelta(), before="", is_new=True) == (FAILING if is_wrong else "")
    assert of_failed(error, 1, timedelta(), before="", is_new=False) == ""


# --- certificates ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("valid", "left", "ends"), [(90, 15, False), (90, 13, True), (6, 2, False), (6, 1, True)])
def test_a_certificate_is_warned_of_in_its_last_days_which_are_fewer_where_it_is_short_lived(
    valid: int, left: int, ends: bool
) -> None:
    certificate = Certificate(begins=NOW + (left - valid) * DAY, ends=NOW + left * DAY)
    assert is_ending(certificate, NOW) == ends
    assert of_well(certificate, [], NOW) == ("certificate" if ends else "")


# --- silence ---------------------------------------------------------------------------------------------------------


def days(*ago: float) -> list[datetime]:
    return [NOW - day * DAY for day in ago]


def test_a_source_that_posts_on_weekdays_is_silent_after_a_fortnight_and_not_on_monday() -> None:
    weekdays = [NOW - ago * DAY for ago in range(40) if (NOW - ago * DAY).weekday() < 5]
    friday = [moment for moment in weekdays if moment < NOW - 2 * DAY]
    assert not is_silent(friday, NOW)
    assert is_silent(friday, NOW + 14 * DAY)


def test_a_source_that_posts_each_hour_is_silent_after_three_days() -> None:
    hourly = days(*(hour / 24 for hour in range(100)))
    assert not is_silent(hourly, NOW + 3 * DAY)
    assert is_silent(hourly, NOW + 3 * DAY + MINUTE)


def test_a_source_that_posts_ten_times_each_monday_is_not_silent_on_friday() -> None:
    mondays = days(*(7 * week + minute / 1440 for week in range(4) for minute in range(10)))
    assert not is_silent(mondays, NOW + 4 * DAY)
    assert not is_silent(mondays, NOW + 7 * DAY)
    assert is_silent(mondays, NOW + 21 * DAY)


def test_a_holiday_of_the_past_is_no_habit() -> None:
    daily = days(*range(10), *range(60, 70))
    assert is_silent(daily, NOW + 9 * DAY)


def test_of_a_source_with_few_entries_nobody_knows_the_rhythm() -> None:
    assert not is_silent(days(*range(7)), NOW + 400 * DAY)
    assert not is_silent(days(*[1] * 90), NOW + 400 * DAY)
    assert is_silent(days(*range(8)), NOW + 400 * DAY)


@given(st.lists(st.floats(0, 400), max_size=30), st.floats(0, 400))
def test_a_source_that_was_not_silent_last_time_is_so_only_because_time_has_passed(
    ago: list[float], more: float
) -> None:
    moments, later = days(*ago), NOW + more * DAY
    assert not is_silent(moments, NOW) or is_silent(moments, later)
    assert not is_silent([*moments, later], later)


# --- when it is told -------------------------------------------------------------------------------------------------


def test_what_turned_is_told_when_it_has_settled_all_at_once() -> None:
    def is_told(*minutes: int, undecided: bool = False) -> bool:
        return is_time_to_tell([NOW - minute * MINUTE for minute in minutes], undecided=undecided, now=NOW)

    assert not is_told()
    assert not is_told(4)
    assert is_told(5, 0)
    assert not is_told(59, 0, undecided=True)
    assert is_told(60, undecided=True)
    assert SETTLING < GATHERING
