"""The lists that other systems export: which of them wrote a file, and what each of its rows says.

Nothing here knows the store.  A system is recognised by its header; a row becomes a ``Line``, which says what the
file says of a person and no more: what follows from that is decided in ``imports``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache, partial
from typing import Any

from publisher.errors import Unfit
from publisher.mime import bare_address
from publisher.subscribers.cells import Row, as_meant


class Says(StrEnum):
    """What a row says of a person."""

    WANTS = "wants it"
    """They said that they want it; ``Line.consent`` tells how that is known."""
    LISTED = "listed"
    """They are on the list, and nothing tells whether they wanted that."""
    UNCONFIRMED = "unconfirmed"
    """They were asked, and did not say yes."""
    LEFT = "left"
    DEAD = "dead"
    """What was sent to them came back."""
    COMPLAINED = "complained"
    BLOCKED = "blocked"
    """The operator wants nothing more to be sent to them."""
    NOTHING = "nothing"
    """It cannot be used; ``Line.why`` says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What one row says."""

    number: int
    says: Says
    address: str = ""
    why: str = ""
    name: str = ""
    language: str = ""
    timezone: str = ""
    frequency: str = ""
    topics: tuple[str, ...] = ()
    created: datetime | None = None
    moment: datetime | None = None
    """When they said yes, left, or proved dead."""
    consent: str = ""
    """What tells that they want it, or that they do not any more, with its time as the file writes it."""
    publication: str = ""
    """Of which it is told; empty where the file does not say."""


Told = dict[str, Any]
"""Some fields of a ``Line``, by name."""


class Cells:
    """The cells of a row by the names of their columns."""

    def __init__(self, columns: Mapping[str, int], cells: Sequence[str]) -> None:
        self._columns, self._cells = columns, cells

    def __call__(self, *names: str) -> str:
        """That of the first of the columns that there is; empty where there is none."""
        for name in names:
            column = self._columns.get(name)
            if column is not None:
                return self._cells[column].strip() if column < len(self._cells) else ""
        return ""

    def __contains__(self, name: str) -> bool:
        """Whether the file has that column."""
        return name in self._columns


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One that exports lists."""

    name: str
    marks: tuple[frozenset[str], ...]
    """Columns that its files have, and none of another; one such set is enough."""
    judge: Callable[[Cells], Told]
    """What a row says, as fields of ``Line``."""


# --- the systems -----------------------------------------------------------------------------------------------------


def _mailchimp(cell: Cells) -> Told:
    """Its files differ by two columns.  When they opted in is told of those who left, too."""
    shared = {
        "name": _joined(cell("first name", "fname"), cell("last name", "lname")),
        "language": cell("language"),
        "timezone": cell("timezone"),
        "created": moment_of(cell("optin_time") or cell("confirm_time")),
    }
    both = "clean_time" in cell and "unsub_time" in cell
    for says, column in ((Says.DEAD, "clean_time"), (Says.LEFT, "unsub_time")):
        if cell(column) or (column in cell and not both):
            return shared | _told(says, column.upper(), cell(column))
    for column in ("confirm_time", "optin_time"):
        if cell(column):
            return shared | _told(Says.WANTS, column.upper(), cell(column))
    return shared | {"says": Says.LISTED}


def _mailchimp_others(cell: Cells) -> Told:
    """Customers and the like, who never subscribed: whatever times their rows have."""
    return _mailchimp(cell) | {"says": Says.UNCONFIRMED}


_BUTTONDOWN = {
    **dict.fromkeys(("regular", "premium", "gifted", "trialed", "churning", "past_due", "paused"), Says.WANTS),
    **dict.fromkeys(("unsubscribed", "removed"), Says.LEFT),
    **dict.fromkeys(("undeliverable", "malformed"), Says.DEAD),
    **dict.fromkeys(("spammy", "blocked"), Says.BLOCKED),
    "complained": Says.COMPLAINED,
    "unactivated": Says.UNCONFIRMED,
    "unpaid": Says.LISTED,
}


def _buttondown(cell: Cells) -> Told:
    kind = cell("type", "subscriber_type", "status").lower()
    created = cell("creation_date", "subscription_date")
    left, says = cell("unsubscription_date"), _BUTTONDOWN.get(kind)
    if says is None:
        return {"says": Says.NOTHING, "why": f"nobody knows here what the type {kind[:40]!r} means"}
    stated = created if says is Says.WANTS else left
    return _told(says, f"type {kind}", stated) | {"name": cell("name"), "created": moment_of(created)}


def _ghost(cell: Cells) -> Told:
    shared = {"name": cell("name"), "created": moment_of(cell("created_at"))}
    if cell("deleted_at"):
        return shared | _told(Says.LEFT, "deleted_at", cell("deleted_at"))
    wants = _is_true(cell("subscribed_to_emails"))
    if wants is None:
        return shared | {"says": Says.LISTED}
    if wants:
        return shared | _told(Says.WANTS, "subscribed_to_emails, created_at", cell("created_at"))
    return shared | {"says": Says.LEFT, "consent": "subscribed_to_emails false"}


def _substack(cell: Cells) -> Told:
    """Whether their subscription is ``active`` says who pays; those who do not are readers all the same."""
    came = cell("created_at", "start date", "subscription date")
    shared = {"name": cell("name"), "created": moment_of(came)}
    if _is_true(cell("email_disabled")):
        return shared | {"says": Says.LEFT, "consent": "email_disabled true"}
    return shared | _told(Says.WANTS, "subscribed", came)


def _listmonk(cell: Cells) -> Told:
    """A subscriber's status is about all lists, that of the subscription about the one that was exported."""
    status, wish = cell("status").lower(), cell("subscription_status").lower()
    shared = {"name": cell("name"), "created": moment_of(cell("created_at"))}
    if status == "blocklisted":
        return shared | _told(Says.BLOCKED, "status blocklisted", cell("updated_at"))
    if wish == "unsubscribed":
        return shared | _told(Says.LEFT, "subscription_status unsubscribed", cell("updated_at"))
    if status != "enabled":
        return {"says": Says.NOTHING, "why": f"their status is {status[:40] or 'missing'!r}, and not enabled"}
    if wish == "confirmed":
        return shared | _told(Says.WANTS, "subscription_status confirmed, created_at", cell("created_at"))
    return shared | {"says": Says.LISTED}


TOPICS_APART = ", "
"""What stands between the topics of a subscription."""

_OURS = {"active": Says.WANTS, "pending": Says.UNCONFIRMED, "left": Says.LEFT}


def _ours(cell: Cells) -> Told:
    meant = partial(_meant, cell)
    state = meant("state")
    if state not in _OURS:
        return {"says": Says.NOTHING, "why": f"there is no state {state[:40]!r}"}
    stated = meant("left" if state == "left" else "confirmed")
    return {
        **_told(_OURS[state], f"state {state}", stated),
        "name": meant("name"),
        "language": meant("language"),
        "timezone": meant("timezone"),
        "frequency": meant("frequency"),
        "topics": tuple(meant("topics").split(TOPICS_APART)) if meant("topics") else (),
        "created": moment_of(meant("created")),
        "publication": meant("publication"),
    }


def _meant(cell: Cells, column: str) -> str:
    return as_meant(cell(column))


def _plain(cell: Cells) -> Told:
    name = cell("name", "full name") or _joined(cell("first name", "first_name"), cell("last name", "last_name"))
    return {"says": Says.LISTED, "name": name, "language": cell("language"), "timezone": cell("timezone")}


OURS = System(name="this house", marks=(frozenset({"address", "publication", "state", "confirmed"}),), judge=_ours)
MAILCHIMP = System(
    name="Mailchimp",
    marks=(frozenset({"leid", "euid"}), frozenset({"optin_time", "confirm_time"}), frozenset({"member_rating"})),
    judge=_mailchimp,
)
MAILCHIMP_OTHERS = System(name="Mailchimp, who never subscribed", marks=(), judge=_mailchimp_others)
PLAIN = System(name="a plain list", marks=(), judge=_plain)
SYSTEMS = (
    OURS,
    MAILCHIMP,
    System(name="Ghost", marks=(frozenset({"email", "subscribed_to_emails"}),), judge=_ghost),
    System(
        name="Substack",
        marks=(
            frozenset({"email", "active_subscription"}),
            frozenset({"email", "email_disabled"}),
            frozenset({"email", "stripe plan", "start date"}),
        ),
        judge=_substack,
    ),
    System(name="listmonk", marks=(frozenset({"uuid", "email", "status"}),), judge=_listmonk),
    System(
        name="Buttondown",
        marks=tuple(
            frozenset({address, kind, "creation_date"})
            for address in ("email", "email_address")
            for kind in ("type", "subscriber_type")
        ),
        judge=_buttondown,
    ),
)
_ADDRESS = ("email address", "email_address", "email", "e-mail address", "e-mail", "mail", "address")


# --- a file ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Who wrote a file, and where in it what is."""

    system: System
    columns: Mapping[str, int]
    address: int
    """The column that holds it."""
    has_header: bool = True
    header: tuple[str, ...] = ()

    def line(self, row: Row) -> Line:
        """What a row says."""
        if row.fault:
            return Line(number=row.line, says=Says.NOTHING, why=row.fault)
        written = row.cells[self.address].strip() if self.address < len(row.cells) else ""
        if self.has_header and tuple(row.cells) == self.header:
            return Line(number=row.line, says=Says.NOTHING, why="the header once more")
        if self.system is OURS:
            written = as_meant(written)
        address, why = _address(written)
        if why:
            return Line(number=row.line, says=Says.NOTHING, address=written[:_SHOWN], why=why)
        told = self.system.judge(Cells(self.columns, row.cells))
        return Line(number=row.line, address=address, **told)


_SHOWN = 100


def layout(first: Row, file: str = "") -> Layout:
    """Who wrote a file, by its first row.

    Args:
        file: its name; nothing else tells Mailchimp's customers from its subscribers.

    Raises:
        Unfit: it has no column with addresses, as far as can be told.
    """
    heads = [cell.strip().lower() for cell in first.cells]
    columns = {head: column for column, head in reversed(list(enumerate(heads)))}
    system = next((one for one in SYSTEMS if any(mark <= columns.keys() for mark in one.marks)), PLAIN)
    named = next((columns[head] for head in _ADDRESS if head in columns), None)
    if named is None and system is MAILCHIMP:
        named = 0  # whose operators may call the column of the addresses what they like; it is the first one
    if system is MAILCHIMP and "nonsubscribed" in file.lower():
        system = MAILCHIMP_OTHERS
    if named is not None:
        return Layout(system=system, columns=columns, address=named, header=tuple(first.cells))
    found = [column for column, cell in enumerate(first.cells) if not _address(cell.strip())[1]]
    if len(found) == 1:
        return Layout(system=PLAIN, columns={}, address=found[0], has_header=False)
    raise Unfit(
        f"line {first.line}: {first.fault or 'no column is called email'}",
        field="file",
        hint="the first line names the columns: let the one with the addresses be called email",
    )


def _address(written: str) -> tuple[str, str]:
    """An address, and why it is none."""
    if not written:
        return "", "no address"
    if "<" in written or len(written) > 320:
        return "", "not a mail address"
    try:
        return bare_address(written), ""
    except ValueError:
        return "", "not a mail address"


# --- cells -----------------------------------------------------------------------------------------------------------

_GO = re.compile(r"^(.{19}(?:\.\d+)?) ([+-]\d\d)(\d\d) UTC$")  # 2024-01-02 15:04:05.999 +0000 UTC
_LONGEST_MOMENT = 40


@lru_cache(maxsize=64)  # the times of one row are often the same
def moment_of(written: str) -> datetime | None:
    """A moment as these systems write it, in UTC where they do not say; None where it is none."""
    if not written or len(written) > _LONGEST_MOMENT:
        return None
    if written.endswith(" UTC"):
        written = _GO.sub(r"\1\2:\3", written)
    try:
        moment = datetime.fromisoformat(written)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _told(says: Says, what: str, stated: str) -> Told:
    shown = f"{what} {stated[:_LONGEST_MOMENT]}".strip()
    return {"says": says, "moment": moment_of(stated), "consent": shown}


def _joined(*names: str) -> str:
    return " ".join(filter(None, names))


def _is_true(written: str) -> bool | None:
    return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(written.lower())
