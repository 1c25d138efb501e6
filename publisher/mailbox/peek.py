"""Look into a mailbox over IMAP and change nothing in it, not even what is new to its other readers."""

from __future__ import annotations

import socket
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from publisher.mailbox.address import mailbox_at
from publisher.mailbox.connection import Dial, Limits, translated, trusting
from publisher.mailbox.imap import Imap, imap


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a reader has come in a folder."""

    validity: int
    """When the server says another one, all messages have new UIDs (RFC 3501 section 2.3.1.1)."""
    uid: int
    """Those of later messages are higher."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peeked:
    """A message that was looked at."""

    message: bytes
    """The message, or its beginning; empty when the server cannot give it."""
    arrived: datetime | None
    """As the server says, in UTC; None where it does not."""
    whole: bool
    mark: Mark
    """The reader has come as far as this message."""
    behind: int
    """How many more were found that come after it in this look."""


def peek_into_mailbox(
    url: str,
    known: Mark | None = None,
    *,
    senders: Sequence[str] = (),
    ca: Path | None = None,
    dial: Dial = socket.create_connection,
    seconds: float = 300,
    max_bytes: int = 1_000_000,
    at_most: int = 200,
) -> Generator[Peeked, None, None]:
    """The messages that came after the mark, oldest first; without one that still holds, the newest, newest first.

    The folder is opened with EXAMINE and messages are read with BODY.PEEK, so that the server itself lets nothing
    change.  At least one message is begun; after three quarters of the time no further one is.

    Args:
        url: see ``mailbox_at``; IMAP only, for POP3 has neither marks nor an order.
        known: how far the reader had come.
        senders: parts of addresses, in ASCII and without quotes: only messages that name one of them in From.
        ca: the certificate (PEM) to trust instead of the public authorities.
        dial: what connects.
        seconds: how long the look may take.
        max_bytes: how much of a message is read; of a larger one the beginning.
        at_most: how many messages are read.

    Raises:
        ValueError: the url cannot be used.
        NetError: no connection, no trust, or it was lost; it takes longer, or sends more, than it was given room for.
        SourceError: it refuses the login or the folder, or does not speak IMAP.
    """
    mailbox = mailbox_at(url)
    limits = Limits(mailbox.place, seconds, max_bytes)
    with translated(mailbox, limits), imap(mailbox, trusting(ca), limits, dial) as opened:
        validity, size = opened.examine()
        goes_on = known is not None and known.validity == validity
        uids = opened.found(size, known.uid if known and goes_on else 0, senders)
        uids = uids if goes_on else uids[::-1]
        for index, uid in enumerate(uids[:at_most]):
            if index and limits.late:
                return
            if peeked := _peeked(opened, Mark(validity, uid), max_bytes, len(uids) - index - 1):
                yield peeked


def _peeked(opened: Imap, mark: Mark, max_bytes: int, behind: int) -> Peeked | None:
    fetched = opened.peek(mark.uid, max_bytes)
    if fetched is None:
        return None
    whole = fetched.size <= max_bytes
    return Peeked(message=fetched.message, arrived=fetched.arrived, whole=whole, mark=mark, behind=behind)
