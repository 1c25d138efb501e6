"""What a doctor says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Severity(StrEnum):
    """How much a diagnosis matters."""

    WELL = "well"
    NOTE = "note"
    """Mail arrives, and something could be better, or cannot be known from here."""
    WRONG = "wrong"
    """Mail, answers or bounces go astray because of it."""
    UNASKED = "unasked"
    """The name server did not answer, so nothing is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """One thing that was looked at."""

    place: str
    """Dotted path of the option in config.yaml that leads there."""
    about: str
    """SPF, DKIM, DMARC, MX, or what else was looked at."""
    severity: Severity
    message: str
    mend: str = ""
    """What to do; a record to publish stands in lines of its own.  Empty when there is nothing to do."""


class Remark(NamedTuple):
    """A diagnosis that does not know yet where in config.yaml it belongs."""

    severity: Severity
    message: str
    mend: str = ""


Remarks = Iterator[Remark]


def well(message: str) -> Remark:
    """It is as it should be."""
    return Remark(Severity.WELL, message)


def note(message: str, mend: str = "") -> Remark:
    """It could be better."""
    return Remark(Severity.NOTE, message, mend)


def wrong(message: str, mend: str) -> Remark:
    """It must be mended."""
    return Remark(Severity.WRONG, message, mend)


def publish(name: str, value: str) -> str:
    """A TXT record, to be pasted."""
    return f"Publish this TXT record:\nname   {name}\nvalue  {_printable(value)}"


def instead(name: str, value: str) -> str:
    """A TXT record, to be pasted over the one there is."""
    return f"Replace the TXT record by:\nname   {name}\nvalue  {_printable(value)}"


def shown(text: str, most: int = 120) -> str:
    """What somebody else wrote, fit for a screen: printable, in quotes, and not too long."""
    return f'"{_printable(text[:most])}{"…" if len(text) > most else ""}"'


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
