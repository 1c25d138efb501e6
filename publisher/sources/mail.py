"""Newsletters in a mailbox: each message becomes an item."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from publisher.confine import confined
from publisher.errors import PublisherError, SourceError
from publisher.mailbox import Mark, Peeked, look_into_mailbox, mailbox_at, peek_into_mailbox
from publisher.model import Author, Cursor, Harvest, Item
from publisher.net import Net
from publisher.options import LocalPath, Secret

_MOST = 200
"""Messages of one visit."""
_ENOUGH = 20_000_000
"""Characters of one visit, so that no mailbox fills the memory."""
_CPU = timedelta(seconds=5)
"""A newsletter of a megabyte takes one."""
_NOTES = 5
_SENDER = re.compile(r"(?:[\w.!#$%&'*+/=?^`{|}~-]+@)?(?:[a-z0-9-]{1,63}\.)*[a-z0-9-]{1,63}", re.ASCII)


def _sender(value: str) -> str:
    sender = value.strip().lower().removeprefix("@")
    if not _SENDER.fullmatch(sender):
        raise ValueError(f"neither an address nor a domain: {value!r} (write editor@example.org, or example.org)")
    return sender


@dataclass(frozen=True, kw_only=True)
class Mail:
    """Newsletters in a mailbox, read over IMAP; nothing in it is changed."""

    kind: ClassVar[str] = "mail"

    url: Annotated[
        Secret,
        Field(
            description="imaps://user:password@host/INBOX; also imap+starttls and imap. "
            "Write special characters of a password as %40, %2F, %3A."
        ),
    ] = field(repr=False)
    senders: Annotated[
        tuple[Annotated[str, AfterValidator(_sender)], ...],
        Field(
            alias="from",
            description="Whose messages are read: addresses, and domains with all below them; left out: everybody's.",
            examples=[["editor@example.org", "example.com"]],
        ),
    ] = ()
    ca: Annotated[
        LocalPath | None,
        Field(description="Certificate (PEM) to trust instead of the public authorities, for a server of one's own."),
    ] = None

    def __post_init__(self) -> None:
        if not mailbox_at(self.url).scheme.startswith("imap"):
            raise ValueError("url: newsletters are read over IMAP; POP3 does not tell which are new")

    def fetch(self, cursor: Cursor | None, net: Net) -> Harvest:
        """Read what came since the last visit; at the first one, the newest messages.

        The cursor holds ``validity`` and ``uid``, of the last message that was read.  When the server has renumbered
        its messages they are read as at a first visit, and their Message-IDs tell that they are known.

        Raises:
            NetError: the server cannot be reached.
            SourceError: it refuses the login or the folder, or does not speak IMAP.
        """
        reading = _Reading(_mark(cursor or {}), self.senders)
        looking = peek_into_mailbox(
            self.url,
            reading.known,
            senders=self.senders,
            ca=self.ca,
            dial=net.dial,
            seconds=net.timeout.total_seconds(),
            max_bytes=net.max_bytes,
            at_most=_MOST,
        )
        with closing(looking):
            try:
                for peeked in looking:
                    reading.take(peeked)
                    if reading.size > _ENOUGH:
                        break
            except PublisherError as error:
                if not reading.goes_on:
                    raise
                reading.notes.append(error.words)
        return reading.harvest()

    def check(self, net: Net) -> str:
        """Log in and look; return what answered.

        Raises:
            NetError: it cannot be reached.
            SourceError: it refuses the login or the folder.
        """
        return look_into_mailbox(self.url, ca=self.ca, seconds=net.timeout.total_seconds(), dial=net.dial)


KIND = Mail


class _Reading:
    """What one visit has read so far."""

    def __init__(self, known: Mark | None, senders: tuple[str, ...]) -> None:
        self.known = known
        self.size = 0
        self.notes: list[str] = []
        self._senders = senders
        self._items: list[Item] = []
        self._last: Peeked | None = None
        self._reached = known

    @property
    def goes_on(self) -> bool:
        """Something was read, oldest first: what follows is not lost, since the next visit begins there."""
        return bool(self.known and self._last and self._last.mark.validity == self.known.validity)

    def take(self, peeked: Peeked) -> None:
        """Read a message; what cannot be read is noted, and stops no other."""
        self._last = peeked
        self._reached = _further(self._reached, peeked.mark)
        try:
            item = _item(peeked, self._senders)
        except SourceError as error:
            self.notes.append(f"{_named(peeked)}: {error}")
            return
        if item:
            self._items.append(item)
            self.size += len(item.content)
            if not peeked.whole:
                self.notes.append(f"{_named(peeked)}: only its beginning was read, for it is larger than max_bytes")

    def harvest(self) -> Harvest:
        """All of it."""
        reached = self._reached
        return Harvest(
            items=tuple(reversed(self._items) if self.goes_on else self._items),
            cursor={"validity": str(reached.validity), "uid": str(reached.uid)} if reached else {},
            unchanged=not self._last,
            notes=tuple(self._told()),
        )

    def _told(self) -> list[str]:
        more = [f"{len(self.notes) - _NOTES} more like these"] if len(self.notes) > _NOTES else []
        behind = self._last.behind if self._last else 0
        rest = f"{behind} more at the next visit" if self.goes_on else f"{behind} older messages were left out"
        return [*self.notes[:_NOTES], *more, *([rest] if behind else [])]


def _item(peeked: Peeked, senders: tuple[str, ...]) -> Item | None:
    """The message as an item; None when it is from somebody else."""
    if not peeked.message:
        raise SourceError("the server cannot give it")
    arrived = peeked.arrived.isoformat() if peeked.arrived else ""
    found = confined("publisher.sources._message:read", peeked.message, arrived, senders, cpu=_CPU)
    return _made(found) if found else None


def _made(found: Mapping[str, str]) -> Item:
    return Item(
        guid=found["guid"],
        link=found["link"],
        title=found["title"],
        content=found["content"],
        authors=(Author(name=found["author"]),) if found["author"] else (),
        published=datetime.fromisoformat(found["published"]) if found["published"] else None,
        language=found["language"],
    )


def _named(peeked: Peeked) -> str:
    return f"the message that arrived on {peeked.arrived:%Y-%m-%d %H:%M}" if peeked.arrived else "a message"


def _further(known: Mark | None, mark: Mark) -> Mark:
    return known if known and known.validity == mark.validity and known.uid > mark.uid else mark


def _mark(cursor: Cursor) -> Mark | None:
    return Mark(int(cursor["validity"]), int(cursor["uid"])) if cursor else None
