"""What options may be, beyond the types that kinds share (publisher.options)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
    ValidationInfo,
    WithJsonSchema,
)

from publisher.model import ALERTS
from publisher.options import Duration, WebAddress, duration, spell
from publisher.timetable import EACH_ENTRY, time_zone, timetable

SUBSCRIBER = "subscriber"
"""In place of a time zone: that of each reader."""
ADAPTIVE = "adaptive"
"""In place of an interval: as often as is worth while."""
_NAME = r"[a-z0-9][a-z0-9_-]{0,63}"
_RESERVED = (
    "static", "api", "image", "status", "health", "bounces", "websub", "subscribe", "confirm", "preferences",
    "unsubscribe", ALERTS,
)  # fmt: skip


def _name(value: str) -> str:
    if not re.fullmatch(_NAME, value):
        raise ValueError(
            "a name is made of a–z, 0–9, _ and -, begins with a letter or digit, and has at most 64 of them"
        )
    return value


def _free(value: str) -> str:
    if value in _RESERVED:
        raise ValueError(f"this name is taken by the house itself (as are {', '.join(_RESERVED)})")
    return value


def _language(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*", value):
        raise ValueError(f"not a language: {value!r} (write en, de, pt-BR …)")
    return value


def _line_of_text(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty")
    if not value.isprintable():
        raise ValueError("must be one line of plain text")
    return value


def _version(value: Any) -> Any:
    if str(value) != "1":
        raise ValueError(f"only version 1 is known here, not {value!r}")
    return 1


def _zone(value: str) -> str:
    return time_zone(value).key


def _zone_or_theirs(value: str) -> str:
    return value if value == SUBSCRIBER else _zone(value)


def _interval(value: Any) -> Any:
    return value if value == ADAPTIVE else duration(value)


def _spell_interval(value: timedelta | str) -> str:
    return value if isinstance(value, str) else spell(value)


def _schedule(value: str) -> str:
    if " ".join(value.lower().split()) == EACH_ENTRY:
        return EACH_ENTRY
    timetable(value)
    return value


def _judged(kind: str) -> AfterValidator:
    """A text that is run later; whoever reads the file hands in who judges it, for they are not of this floor."""

    def check(value: str, info: ValidationInfo) -> str:
        if judge := (info.context or {}).get("judges", {}).get(kind):
            judge(value)
        return value

    return AfterValidator(check)


def _as_it_is(value: str) -> str:
    if "{{" in value or "{%" in value:
        raise ValueError("is taken as it is written: no {{ … }} here")
    return value


def _patience(value: timedelta) -> timedelta:
    if value > timedelta(days=1):
        raise ValueError(f"must be at most 1d, not {spell(value)}")
    return value


def _base(value: str) -> str:
    if "?" in value or "#" in value:
        raise ValueError("must end before any ? or #: addresses are built from it")
    return value.rstrip("/")


def _endpoint(value: str) -> str:
    match = re.fullmatch(r"(?:[\w.-]+|\[[\da-fA-F:.]+\]):(\d{1,5})", value, re.ASCII)
    if not match or int(match[1]) > 65535:
        raise ValueError(f"not an address to listen on: {value!r} (write 127.0.0.1:8080 or [::1]:8080)")
    return value


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise ValueError(f"not an IP address or network: {value!r} (write 127.0.0.1 or 10.0.0.0/8)") from None
    return value


def _database(value: str, info: ValidationInfo) -> str:
    path, mark, query = value.partition("?")
    if value.startswith("postgresql://"):
        return value
    if not re.match("sqlite:///[^?:]", value):
        raise ValueError("write sqlite:///data/publisher.db or postgresql://user:password@host/name")
    file = Path((info.context or {}).get("folder", ""), path.removeprefix("sqlite:///"))
    return f"sqlite:///{file}{mark}{query}"


def _address(value: str) -> str:
    from email_validator import EmailNotValidError, validate_email

    try:
        # A relay of one's own may well serve a name that is not of the public DNS.
        return validate_email(value, check_deliverability=False, globally_deliverable=False).normalized
    except EmailNotValidError as error:
        raise ValueError(f"not a mail address: {value!r}: {error}") from None


def _domain(value: str) -> str:
    if not re.fullmatch(r"(?:[a-z0-9-]{1,63}\.)*[a-z0-9-]{1,63}", value.lower()):
        raise ValueError(f"not the domain of an address: {value!r} (write gmail.com)")
    return value.lower()


def _once(values: tuple[str, ...]) -> tuple[str, ...]:
    seen: set[str] = set()
    for value in values:
        if value.casefold() in seen:
            raise ValueError(f"{value!r} is listed twice")
        seen.add(value.casefold())
    return values


def _some(values: tuple[str, ...]) -> tuple[str, ...]:
    if not values:
        raise ValueError("names nothing; leave it out, or name at least one")
    return values


def _known(room: str) -> AfterValidator:
    """A name that must be written in that room of the file; whether what it names is right is told there."""

    def check(value: str, info: ValidationInfo) -> str:
        names = (info.context or {}).get(room)
        if names is not None and value not in names:
            raise ValueError(f"there is no {room.removesuffix('s')} {value!r}{_near(value, names)}")
        return value

    return AfterValidator(check)


def _near(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, known, 1)
    return f" (did you mean {near[0]!r}?)" if near else ""


Version = Annotated[Literal[1], BeforeValidator(_version)]
Name = Annotated[str, AfterValidator(_name), WithJsonSchema({"type": "string", "pattern": f"^{_NAME}$"})]
PublicationName = Annotated[Name, AfterValidator(_free)]
SourceName = Annotated[str, _known("sources")]
ChannelName = Annotated[str, _known("channels")]
TemplateName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
Line = Annotated[str, AfterValidator(_line_of_text), WithJsonSchema({"type": "string", "minLength": 1})]
Heading = Annotated[Line, AfterValidator(_as_it_is)]
Condition = Annotated[str, _judged("condition")]
PlainCondition = Annotated[Condition, WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "boolean"}]})]
Wording = Annotated[str, _judged("wording")]
Patience = Annotated[Duration, AfterValidator(_patience)]
Language = Annotated[str, AfterValidator(_language)]
ZoneName = Annotated[str, AfterValidator(_zone)]
DigestZone = Annotated[str, AfterValidator(_zone_or_theirs)]
Interval = Annotated[
    timedelta | Literal["adaptive"],
    BeforeValidator(_interval),
    PlainSerializer(_spell_interval, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^((\d+\s*[smhdw]\s*)+|adaptive)$", "examples": ["30m", ADAPTIVE]}),
]
Schedule = Annotated[str, AfterValidator(_schedule)]
# The tags are no names, so that they are never taken for a key of the file.
Schedules = Annotated[
    Annotated[Schedule, Tag("one schedule")]
    | Annotated[dict[Name, Schedule], Field(min_length=1), Tag("several schedules")],
    Discriminator(lambda value: "several schedules" if isinstance(value, dict) else "one schedule"),
]
SiteAddress = Annotated[WebAddress, AfterValidator(_base)]
MailAddress = Annotated[str, AfterValidator(_address)]
MailDomain = Annotated[str, AfterValidator(_domain)]
DatabaseAddress = Annotated[str, AfterValidator(_database)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
Network = Annotated[str, AfterValidator(_network)]
_Item = TypeVar("_Item")
Once = Annotated[tuple[_Item, ...], AfterValidator(_once)]
Some = Annotated[Once[_Item], AfterValidator(_some)]
