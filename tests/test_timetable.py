from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from publisher.timetable import EACH_ENTRY, Timetable, time_zone, timetable

# Ordinary ones, one whose clocks change by half an hour, some that change at midnight, and one that left out a day.
ZONES = [
    "UTC",
    "Europe/Lisbon",
    "America/New_York",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Atlantic/Azores",
    "Asia/Beirut",
    "Africa/Casablanca",
    "America/Havana",
    "Pacific/Apia",
]
TIMES = [f"{hour}:{minute:02}" for hour in range(24) for minute in (0, 15, 30, 45)]

zones = st.sampled_from(ZONES)
times = st.sampled_from(TIMES)
moments = st.integers(0, 30 * 365 * 86400).map(
    lambda second: datetime(2005, 1, 1, tzinfo=UTC) + timedelta(seconds=second)
)
schedules = st.one_of(
    st.sampled_from(
        ["daily {}", "weekdays {}", "sun {}", "sat,sun {}", "mon, thu {}", "monthly 1 {}", "monthly 31 {}"]
    ).flatmap(lambda text: times.map(text.format)),
    st.sampled_from(["every 7m", "every 30m", "every 1h30m", "every 2h", "every 1d", "every 2w"]),
    st.sampled_from(
        [
            "* * * * *",
            "30 * * * *",
            "15 * * * 0",
            "*/30 2 * * *",
            "30 */2 * * *",
            "0 8 * * 7",
            "0 0 * * SUN#1",
            "0 0 29 2 *",
            "59 23 L * *",
            "*/20 0-3 * 3,4,10,11 *",
            "0,30 * 1 1 *",
            "45 1 * * *",
            "30 23,0 * * 6",
        ]
    ),
)


def changes_of_clocks() -> list[tuple[str, datetime]]:
    found = []
    for zone in ZONES:
        tz = time_zone(zone)
        hours = (datetime(2010, 1, 1, tzinfo=UTC) + timedelta(hours=n) for n in range(3 * 366 * 24))
        offsets = ((hour, hour.astimezone(tz).utcoffset()) for hour in hours)
        found += [(zone, after) for (_, was), (after, now) in pairwise(offsets) if was != now]
    return found


around_changes = st.tuples(
    st.sampled_from(changes_of_clocks()), st.timedeltas(-timedelta(hours=4), timedelta(hours=4))
).map(lambda drawn: (drawn[0][0], drawn[0][1] + drawn[1]))


def slots(table: Timetable, begin: datetime, end: datetime) -> list[datetime]:
    found = []
    while (begin := table.next(begin)) < end:
        found.append(begin)
    return found


@given(text=schedules, where=st.one_of(st.tuples(zones, moments), around_changes))
@example(text="daily 02:30", where=("Europe/Berlin", datetime(2026, 10, 25, 1, 15, tzinfo=UTC)))
@settings(max_examples=150, deadline=None)
def test_now_lies_between_the_latest_slot_and_the_next(text: str, where: tuple[str, datetime]) -> None:
    zone, now = where
    table = timetable(text, zone)
    latest, following = table.latest(now), table.next(now)
    assert latest <= now < following
    assert latest.tzinfo is following.tzinfo is UTC
    assert table.latest(latest) == latest
    assert table.next(latest) == following
    assert table.next(latest - timedelta(seconds=1)) == latest
    assert table.latest(following) == following
    assert table.latest(following - timedelta(microseconds=1)) == latest


@given(text=schedules, where=around_changes)
@settings(max_examples=40, deadline=None)
def test_walking_back_meets_the_same_slots_as_walking_on(text: str, where: tuple[str, datetime]) -> None:
    zone, now = where
    table = timetable(text, zone)
    begin = end = table.latest(now)
    for _ in range(5):
        begin = table.latest(begin - timedelta(microseconds=1))
    ahead, back = [begin], [end]
    while ahead[-1] < end:
        ahead.append(table.next(ahead[-1]))
    while back[-1] > begin:
        back.append(table.latest(back[-1] - timedelta(microseconds=1)))
    assert ahead == back[::-1]
    assert len(ahead) == 6


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("at", ["00:00", "00:30", "01:30", "02:30", "23:30"])
def test_a_daily_slot_comes_once_for_each_day_of_a_year(zone: str, at: str) -> None:
    tz = time_zone(zone)
    for year, days in [(2019, 365), (2024, 366)]:
        begin = datetime(year, 1, 1, tzinfo=tz).astimezone(UTC) - timedelta(microseconds=1)
        end = datetime(year + 1, 1, 1, tzinfo=tz).astimezone(UTC)
        assert len(slots(timetable(f"daily {at}", zone), begin, end)) == days


@pytest.mark.parametrize("text", ["daily 02:30", "30 2 * * *", "*/30 2 * * *", "30 */2 * * *"])
def test_half_past_two_comes_once_when_clocks_go_back(text: str) -> None:
    begin, end = datetime(2026, 10, 24, 22, 10, tzinfo=UTC), datetime(2026, 10, 25, 3, tzinfo=UTC)
    found = slots(timetable(text, "Europe/Berlin"), begin, end)
    assert found.count(datetime(2026, 10, 25, 0, 30, tzinfo=UTC)) == 1
    assert datetime(2026, 10, 25, 1, 30, tzinfo=UTC) not in found


@pytest.mark.parametrize("text", ["daily 02:30", "*/30 2 * * *", "30 */2 * * *"])
def test_a_slot_that_clocks_leave_out_moves_to_just_after_the_gap(text: str) -> None:
    begin, end = datetime(2026, 3, 29, 0, 45, tzinfo=UTC), datetime(2026, 3, 29, 2, tzinfo=UTC)
    assert slots(timetable(text, "Europe/Berlin"), begin, end) == [datetime(2026, 3, 29, 1, tzinfo=UTC)]


def test_what_comes_every_hour_comes_in_the_repeated_hour_too() -> None:
    begin, end = datetime(2026, 10, 24, 23, tzinfo=UTC), datetime(2026, 10, 25, 3, tzinfo=UTC)
    found = slots(timetable("15 * * * *", "Europe/Berlin"), begin, end)
    assert [slot.hour for slot in found] == [23, 0, 1, 2]


@pytest.mark.parametrize(
    ("text", "following"),
    [
        ("daily 08:00", "2026-11-05 08:00"),
        ("DAILY 8:00", "2026-11-05 08:00"),
        ("mon 08:00", "2026-11-09 08:00"),
        ("mon, Thu 08:00", "2026-11-05 08:00"),
        ("weekdays 08:00", "2026-11-05 08:00"),
        ("sun 08:00", "2026-11-08 08:00"),
        ("0 8 * * 0", "2026-11-08 08:00"),
        ("0 8 * * 7", "2026-11-08 08:00"),
        ("monthly 1 08:00", "2026-12-01 08:00"),
        ("0 8 * * 1", "2026-11-09 08:00"),
        ("*/20 * * * *", "2026-11-04 12:20"),
        ("every 2h", "2026-11-04 14:00"),
    ],
)
def test_what_an_operator_writes_is_understood(text: str, following: str) -> None:
    now = datetime(2026, 11, 4, 12, 0, 5, tzinfo=UTC)  # a Wednesday
    assert timetable(text).next(now) == datetime.fromisoformat(following).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "often",
        "daily",
        "daily 25:00",
        "daily 08:60",
        "mond 08:00",
        "monthly 32 08:00",
        "every",
        "every 30",
        "every 0m",
        "every 400d",
        "0 0 30 2 *",
        "* * * * * *",
        "0 8 * *",
        "1-0 * * * *",
        "mon,, 08:00",
        "every ٣m",
        "@daily",
    ],
)
def test_anything_else_is_refused_in_words_that_help(text: str) -> None:
    with pytest.raises(ValueError, match=r"daily 08:00|at most a year"):
        timetable(text)


@given(st.text(max_size=20) | st.text("0123456789*,-/#L ", max_size=20))
def test_no_text_brings_more_than_a_refusal(text: str) -> None:
    try:
        table = timetable(text, "Europe/Lisbon")
    except ValueError:
        return
    now = datetime(2026, 11, 4, tzinfo=UTC)
    assert table.latest(now) <= now < table.next(now)


def test_each_entry_goes_by_no_clock() -> None:
    with pytest.raises(ValueError, match=r"^not a schedule: 'each entry'"):
        timetable(EACH_ENTRY)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "Europe", "/etc/localtime", "a\0b"])
def test_an_unknown_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(ValueError, match="no such time zone"):
        timetable("daily 08:00", zone)


def test_a_misspelt_time_zone_is_met_with_the_right_one() -> None:
    with pytest.raises(ValueError, match="did you mean 'Europe/Lisbon'"):
        time_zone("Europe/Lisabon")


@given(names=st.lists(st.text(max_size=10), min_size=2, max_size=2, unique=True), now=moments)
def test_names_spread_an_interval_but_do_not_change_it(names: list[str], now: datetime) -> None:
    tables = [timetable("every 6h", spread=name) for name in names]
    for table in tables:
        assert table.next(now) - table.latest(now) == timedelta(hours=6)


def test_a_hundred_names_fall_on_many_moments() -> None:
    now = datetime(2026, 11, 4, tzinfo=UTC)
    assert len({timetable("every 30m", spread=f"source {n}").next(now) for n in range(100)}) > 90


def test_every_process_arrives_at_the_same_slots() -> None:
    code = (
        "from datetime import UTC, datetime; from publisher.timetable import timetable;"
        "print(timetable('every 30m', spread='blog').next(datetime(2026, 11, 4, tzinfo=UTC)))"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1
