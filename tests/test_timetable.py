from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import available_timezones

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from publisher.timetable import (
    EACH_ENTRY,
    FURTHEST,
    Timetable,
    latest_wall,
    moments,
    time_zone,
    timetable,
    wall_times,
)

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
instants = st.integers(0, 30 * 365 * 86400).map(
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


@given(text=schedules, where=st.one_of(st.tuples(zones, instants), around_changes))
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


@given(names=st.lists(st.text(max_size=10), min_size=2, max_size=2, unique=True), now=instants)
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


# --- the time on the readers' own clocks -----------------------------------------------------------------------------

EVERYWHERE = sorted(available_timezones() - {"localtime", "Factory"})
walls = st.one_of(
    st.datetimes(datetime.fromisoformat("2015-01-01"), datetime.fromisoformat("2030-01-01")),
    around_changes.flatmap(
        lambda drawn: st.just(drawn[1].astimezone(time_zone(drawn[0])).replace(tzinfo=None, second=0, microsecond=0))
    ),
)


@given(wall=walls, zone=st.sampled_from(EVERYWHERE))
@settings(max_examples=300, deadline=None)
def test_a_clock_shows_a_time_at_its_moment_and_had_not_shown_it_before(wall: datetime, zone: str) -> None:
    [moment] = moments(wall, [zone], "UTC").values()
    tz = time_zone(zone)
    assert moment.astimezone(tz).replace(tzinfo=None) >= wall
    before = moment - timedelta(microseconds=1)
    assert before.astimezone(tz).replace(tzinfo=None) < wall


@given(wall=walls, later=st.timedeltas(timedelta(0), timedelta(hours=3)), zone=st.sampled_from(EVERYWHERE))
@settings(max_examples=200, deadline=None)
def test_a_later_time_is_never_shown_first(wall: datetime, later: timedelta, zone: str) -> None:
    first, second = (moments(time, [zone], "UTC")[zone] for time in (wall, wall + later))
    assert first <= second


def test_moments_come_in_their_order_and_what_is_no_zone_is_at_home() -> None:
    found = moments(
        datetime.fromisoformat("2026-11-30T08:00"),
        ["Pacific/Honolulu", "", "Mars/Olympus", "Pacific/Kiritimati"],
        "Europe/Berlin",
    )
    assert list(found) == ["Pacific/Kiritimati", "", "Mars/Olympus", "Pacific/Honolulu"]
    assert [moment.isoformat()[5:16] for moment in found.values()] == [
        "11-29T18:00",
        "11-30T07:00",
        "11-30T07:00",
        "11-30T18:00",
    ]


@pytest.mark.parametrize(("wall", "moment"), [("2026-03-29T02:30", "01:00"), ("2026-10-25T02:30", "00:30")])
def test_half_past_two_is_once_on_a_clock_that_skips_or_repeats_it(wall: str, moment: str) -> None:
    found = moments(datetime.fromisoformat(wall), ["Europe/Berlin"], "UTC")
    assert f"{found['Europe/Berlin']:%H:%M}" == moment


@given(
    text=st.sampled_from(["daily {}", "weekdays {}", "mon,thu {}", "monthly 31 {}"]).flatmap(
        lambda text: times.map(text.format)
    )
    | st.sampled_from(["*/30 1-3 * * *", "0 * * * *"]),
    where=around_changes,
    others=st.lists(st.sampled_from(EVERYWHERE), max_size=5),
)
@settings(max_examples=150, deadline=None)
def test_the_latest_time_is_the_last_that_the_first_of_the_clocks_has_shown(
    text: str, where: tuple[str, datetime], others: list[str]
) -> None:
    zone, now = where
    table = wall_times(text)
    assert table
    latest = latest_wall(table, now, [zone, *others])
    following = table.next(latest.replace(tzinfo=UTC)).replace(tzinfo=None)
    assert min(moments(latest, [zone, *others], "UTC").values()) <= now
    assert min(moments(following, [zone, *others], "UTC").values()) > now
    assert latest_wall(table, now, [FURTHEST]) >= latest


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe", "Asia/Beirut", "America/Havana"])
@pytest.mark.parametrize("at", ["00:00", "02:15"])
@pytest.mark.parametrize("month", [3, 10])
def test_a_time_of_each_day_becomes_due_once_and_in_order(zone: str, at: str, month: int) -> None:
    table = wall_times(f"daily {at}")
    assert table
    begin = datetime(2026, month, 1, 12, tzinfo=UTC)
    seen = [latest_wall(table, begin + timedelta(minutes=30 * step), [zone]) for step in range(48 * 40)]
    assert seen == sorted(seen)
    assert len(set(seen)) == 41


@pytest.mark.parametrize("text", [EACH_ENTRY, "every 2h"])
def test_what_names_no_time_of_day_is_on_no_wall_clock(text: str) -> None:
    assert wall_times(text) is None
