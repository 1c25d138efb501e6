"""When a slot is due: what an operator writes as a schedule, as a pure function of the present moment.

Two kinds of schedule.  ``every 30m`` counts elapsed time from the epoch, so that every process arrives at the same
slots.  All others name times of day and are read by cronsim in the schedule's time zone (Debian's cron rules).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from itertools import takewhile
from typing import Protocol
from zlib import crc32
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

_UNDERSTOOD = (
    'write "every 30m", "daily 08:00", "mon 08:00", "mon,thu 08:00", "weekdays 08:00", "monthly 1 08:00" '
    'or five cron fields such as "0 8 * * 1"'
)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
EACH_ENTRY = "each entry"
"""A schedule that goes by no clock, and so has no timetable: an issue for each entry, when it arrives."""
FURTHEST = "Etc/GMT-14"
"""The time zone whose clocks are ahead of all others on earth."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MARGIN = timedelta(hours=3)
"""More than any hour that clocks repeat."""

_DAY = "(?:mon|tue|wed|thu|fri|sat|sun)"
_WORDS = re.compile(
    rf"(?:(?P<daily>daily)|(?P<weekdays>weekdays)|monthly (?P<day>\d+)|(?P<days>{_DAY}(?:,{_DAY})*))"
    r" (?P<hour>\d{1,2}):(?P<minute>\d\d)"
)


class Timetable(Protocol):
    """The slots of one schedule: a strictly increasing series of moments in UTC."""

    def latest(self, now: datetime) -> datetime:
        """The latest slot that is not after ``now``."""
        ...

    def next(self, now: datetime) -> datetime:
        """The first slot after ``now``."""
        ...


def timetable(text: str, zone: str = "UTC", *, spread: str = "") -> Timetable:
    """Read a schedule.

    Args:
        text: as an operator writes it; case does not matter.
        zone: IANA name of the time zone that times of day are in.
        spread: a name; schedules of one interval but different names fall on different moments of it.

    Raises:
        ValueError: it is not understood, or never fires; the message says what is understood.
    """
    words = re.sub(r" ?, ?", ",", " ".join(text.lower().split()))
    if words.startswith("every "):
        return every(_period(words.removeprefix("every ")), spread=spread)
    return _calendar(words, time_zone(zone))


def every(period: timedelta, *, spread: str = "") -> Timetable:
    """The timetable of what is done once in each period of whole seconds, at a moment of it that ``spread`` decides."""
    offset = timedelta(seconds=crc32(spread.encode()) % int(period.total_seconds()))
    return _Interval(period, _EPOCH + offset)


def wall_times(text: str) -> Timetable | None:
    """The times at which a schedule falls due on the wall clock of whoever looks at it, written as if they were UTC.

    None where it names no time of day: the same moment then is a slot for all.
    """
    if text == EACH_ENTRY or not isinstance(times := timetable(text), _Calendar):
        return None
    return times


def latest_wall(times: Timetable, now: datetime, zones: Collection[str]) -> datetime:
    """The latest of these times, naive, that a clock in one of the zones has shown; those are names of zones."""
    known = [time_zone(zone) for zone in zones]
    furthest = max(now.astimezone(zone).replace(tzinfo=UTC) for zone in known)
    # Whose clock is behind by more than the margin has not shown anything that the furthest has not.
    ahead = [zone for zone in known if now.astimezone(zone).replace(tzinfo=UTC) >= furthest - _MARGIN]
    slot = times.latest(furthest + _MARGIN)  # a clock that was set back has shown what it does not show now
    while all(_moment(slot.replace(tzinfo=None), zone) > now for zone in ahead):
        slot = times.latest(slot - _MICROSECOND)
    return slot.replace(tzinfo=None)


def moments(wall: datetime, zones: Iterable[str], home: str) -> dict[str, datetime]:
    """When the clocks of time zones show that time, in UTC, the earliest first.

    Where clocks show it twice it is the first time; where they skip it, the moment when they are set forward.

    Args:
        wall: a time of day on a date, naive.
        zones: their names; what is no zone's name is at ``home``.
    """
    found = {zone: _moment(wall, _zone_or(zone, home)) for zone in zones}
    return dict(sorted(found.items(), key=lambda pair: (pair[1], pair[0])))


def is_zone(name: str) -> bool:
    """Whether there is a time zone of that IANA name."""
    try:
        time_zone(name)
    except ValueError:
        return False
    return True


def _zone_or(name: str, home: str) -> ZoneInfo:
    return time_zone(name if name and is_zone(name) else home)


def _moment(wall: datetime, zone: ZoneInfo) -> datetime:
    before, after = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if after >= before:  # it is shown once, or twice: fold=0 is the first time (PEP 495)
        return before
    # Skipped: the offset from before the change leads to a moment after it, and the other way round.
    while before - after > _MICROSECOND:
        middle = after + (before - after) / 2
        is_past = middle.astimezone(zone).replace(tzinfo=None) >= wall
        after, before = (after, middle) if is_past else (middle, before)
    return before


def time_zone(name: str) -> ZoneInfo:
    """The time zone of that IANA name.

    Raises:
        ValueError: there is none.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; not a plain name; the name of a folder
        near = get_close_matches(name, available_timezones(), 1)
        advice = f"did you mean {near[0]!r}?" if near else "write Europe/Lisbon, America/New_York, UTC …"
        raise ValueError(f"no such time zone: {name!r} ({advice})") from None


@dataclass(frozen=True, slots=True)
class _Interval:
    period: timedelta
    start: datetime

    def latest(self, now: datetime) -> datetime:
        return self.start + (now - self.start) // self.period * self.period

    def next(self, now: datetime) -> datetime:
        return self.latest(now) + self.period


def _period(text: str) -> timedelta:
    if not re.fullmatch(r"(?:\d+ ?[smhdw] ?)+", text, re.ASCII):
        raise ValueError(f"not a schedule: 'every {text}' ({_UNDERSTOOD})")
    seconds = sum(int(count) * _UNITS[unit] for count, unit in re.findall(r"(\d+) ?([smhdw])", text))
    if not 0 < seconds <= 366 * 86400:
        raise ValueError(f"'every {text}' must be more than nothing and at most a year")
    return timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True)
class _Calendar:
    cron: str
    zone: ZoneInfo

    def latest(self, now: datetime) -> datetime:
        # Backwards cronsim loses slots near a change of clocks, so it only says where to begin walking forwards.
        near = next(CronSim(self.cron, now.astimezone(self.zone), reverse=True))
        *_, slot = takewhile(lambda slot: slot <= now, self._walk(near.astimezone(UTC) - _MARGIN))
        return slot

    def next(self, now: datetime) -> datetime:
        return next(slot for slot in self._walk(now.astimezone(UTC) - _MARGIN) if slot > now)

    def _walk(self, begin: datetime) -> Iterator[datetime]:
        # From within a repeated hour cronsim goes on in its first passage, that is in the past: not later than the
        # margin, which is why walks begin that much early.
        return (slot.astimezone(UTC) for slot in CronSim(self.cron, begin.astimezone(self.zone)))


def _calendar(words: str, zone: ZoneInfo) -> _Calendar:
    cron = _cron(words)
    try:
        next(CronSim(cron, datetime(2000, 1, 1, tzinfo=zone)))
    except CronSimError as error:
        raise ValueError(f"not a schedule: {words!r}: {str(error).lower()} ({_UNDERSTOOD})") from None
    except StopIteration:
        raise ValueError(f"{words!r} names a day that never comes") from None
    return _Calendar(cron, zone)


def _cron(words: str) -> str:
    """The five fields that say the same; what names no time of day in words must be cron already."""
    if match := _WORDS.fullmatch(words):
        days = match["days"] or (match["weekdays"] and "1-5") or "*"
        return f"{match['minute']} {match['hour']} {match['day'] or '*'} * {days}"
    fields = words.split()
    if len(fields) != 5:
        raise ValueError(f"not a schedule: {words!r} ({_UNDERSTOOD})")
    return " ".join([*_times(*fields[:2]), *fields[2:]])


def _times(minute: str, hour: str) -> tuple[str, str]:
    # A leading star makes cronsim follow the wall clock, which shows some hours twice and some never; that is right
    # only for what happens in every hour.
    if hour == "*":
        return minute, hour
    return re.sub(r"^\*", "0-59", minute), re.sub(r"^\*", "0-23", hour)
