"""The types that options in config.yaml may have, beyond text and numbers.

A kind's options are the fields of its frozen dataclass; validation, JSON Schema and the reference page are made from
them.  Each type here reads what an operator writes and gives what the code wants.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, ValidationInfo, WithJsonSchema

MASK = "********"
"""What is shown in place of a secret."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_SIZES = {"": 1, "B": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "KIB": 1024, "MIB": 1024**2, "GIB": 1024**3}


def duration(value: Any) -> timedelta:
    """Read ``90s``, ``30m``, ``6h``, ``7d``, ``2w`` or a sum of them such as ``1h30m``.

    Raises:
        ValueError: it is none of these, or zero.
    """
    if isinstance(value, timedelta):
        return value
    text = str(value).strip().lower()
    if not re.fullmatch(r"(\d+\s*[smhdw]\s*)+", text):
        raise ValueError(f"not a duration: {value!r} (write 90s, 30m, 6h, 7d or 2w)")
    try:
        total = timedelta(seconds=sum(int(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+)\s*([smhdw])", text)))
    except OverflowError:
        raise ValueError(f"longer than anything here can wait: {value!r}") from None
    if not total:
        raise ValueError("a duration must be longer than nothing")
    return total


def spell(value: timedelta) -> str:
    """Write a duration of whole seconds as an operator would: ``1h30m``; what ``duration`` reads back."""
    left, words = int(value.total_seconds()), ""
    for unit in "dhms":
        count, left = divmod(left, _UNITS[unit])
        words += f"{count}{unit}" if count else ""
    return words


def size(value: Any) -> int:
    """Read ``5MB``, ``512KiB`` or a plain number of bytes.

    Raises:
        ValueError: it is none of these, or zero.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]?I?B?)", str(value).strip().upper())
    if not match or match[2] not in _SIZES:
        raise ValueError(f"not a size: {value!r} (write 500KB, 5MB or a number of bytes)")
    try:
        total = int(float(match[1]) * _SIZES[match[2]])
    except OverflowError:
        raise ValueError(f"larger than anything here can hold: {value!r}") from None
    if not total:
        raise ValueError("a size must be more than nothing")
    return total


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in so long."""

    count: int
    per: timedelta

    def __str__(self) -> str:
        return f"{self.count}/{spell(self.per).lstrip('1')}"

    @property
    def pause(self) -> float:
        """Seconds from one to the next."""
        return self.per.total_seconds() / self.count


def rate(value: Any) -> Rate:
    """Read ``20/s``, ``600/m``, ``5000/h`` or ``100000/d``.

    Raises:
        ValueError: it is none of these, or none at all.
    """
    if isinstance(value, Rate):
        return value
    match = re.fullmatch(r"(\d{1,9})\s*/\s*([smhd])", str(value).strip().lower())
    if not match or not int(match[1]):
        raise ValueError(f"not a rate: {value!r} (write 20/s, 600/m, 5000/h or 100000/d)")
    return Rate(int(match[1]), timedelta(seconds=_UNITS[match[2]]))


@dataclass(frozen=True, slots=True)
class Hours:
    """From one time of day to another; over midnight where the second is the earlier one."""

    start: time
    end: time

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M}"

    def around(self, now: datetime, zone: tzinfo) -> tuple[datetime | None, datetime | None]:
        """When they begin, if it is not the time; else when they end.  Aware moments; one of the two is None."""
        local = now.astimezone(zone)
        today, tomorrow = local.date(), local.date() + timedelta(days=1)
        start, end, clock = self.start, self.end, local.time()
        within = start <= clock < end if start < end else clock >= start or clock < end
        if within:
            return None, datetime.combine(today if clock < end else tomorrow, end, zone)
        return datetime.combine(today if clock < start else tomorrow, start, zone), None


def hours(value: Any) -> Hours:
    """Read ``08:00-20:00``.

    Raises:
        ValueError: it is not that.
    """
    if isinstance(value, Hours):
        return value
    match = re.fullmatch(r"(\d\d?:\d\d)\s*[-–]\s*(\d\d?:\d\d)", str(value).strip())
    try:
        start, end = (time.fromisoformat(text.zfill(5)) for text in match.groups()) if match else (None, None)
    except ValueError:
        start = end = None
    if start is None or end is None or start == end:
        raise ValueError(f"not hours: {value!r} (write 08:00-20:00)")
    return Hours(start, end)


def _web_address(value: str) -> str:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"not a web address: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"[\s\x00-\x1f]", value):
        raise ValueError(f"not a web address: {value!r} (it begins with http:// or https://)")
    return value


def _resolve(value: Path, info: ValidationInfo) -> Path:
    base = (info.context or {}).get("folder")
    try:
        return Path(base, value.expanduser()) if base else value
    except RuntimeError:
        raise ValueError(f"nobody here has the home folder of {str(value)!r}") from None


Duration = Annotated[
    timedelta,
    BeforeValidator(duration),
    PlainSerializer(spell, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^(\d+\s*[smhdw]\s*)+$", "examples": ["90s", "30m", "6h", "7d"]}),
]
"""A length of time, written ``30m``."""

Pace = Annotated[
    Rate,
    BeforeValidator(rate),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^\d+\s*/\s*[smhd]$", "examples": ["20/s", "600/m", "5000/h"]}),
]
"""How many in how long at most, written ``20/s``."""

OpeningHours = Annotated[
    Hours,
    BeforeValidator(hours),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "examples": ["08:00-20:00"]}),
]
"""From when to when, written ``08:00-20:00``."""

Size = Annotated[
    int,
    BeforeValidator(size),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["500KB", "5MB"]}),
]
"""A number of bytes, written ``5MB``."""

WebAddress = Annotated[str, AfterValidator(_web_address)]
"""An absolute http or https URL."""

LocalPath = Annotated[Path, AfterValidator(_resolve)]
"""A file or folder; relative to the folder that config.yaml is in."""

Secret = Annotated[
    str,
    PlainSerializer(lambda text: text and MASK, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "writeOnly": True}),
]
"""Text that no command, page or log shows."""
