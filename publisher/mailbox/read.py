"""Read a mailbox over IMAP or POP3, and empty it.

A message goes away only after it was handled; what nobody could make sense of stays for a person to look at.  After a
lost connection messages that were handled may come up again: whoever handles them must be able to tell.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from publisher.errors import StoreError
from publisher.mailbox.address import Mailbox, mailbox_at
from publisher.mailbox.connection import SILENCE, Dial, Limits, translated, trusting, words
from publisher.mailbox.imap import imap
from publisher.mailbox.pop3 import pop3

Handle = Callable[[bytes], bool]
"""Takes a message, or as much of it as is read.  True: what it means was committed, and it can go.  False: it is not
for us, and stays."""

_BATCH = 25  # messages settled together: on a slow line that is one round trip for a message, and not three


@dataclass(frozen=True, slots=True)
class Left:
    """A message that stays in the mailbox and is not to be read again."""

    identity: str
    """The server's name for it, the same at every visit: its UID (IMAP) or UIDL (POP3)."""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What a visit to a mailbox came to."""

    handled: int
    left: tuple[Left, ...] = ()


def read_mailbox(
    url: str,
    handle: Handle,
    *,
    ca: Path | None = None,
    seconds: float = 300,
    max_bytes: int = 1_000_000,
    at_most: int = 500,
    known: Collection[str] = (),
) -> Visit:
    """Hand each message to ``handle``, oldest first, and remove those that it is done with.

    They are deleted and not moved aside: what they mean is kept by ``handle``, and a mailbox that is never emptied is
    full one day, and refuses the next bounce.  What is not for us, and what ``handle`` stumbled over, stays and is
    not read again.  IMAP flags it ``\\Flagged``, which mail readers show as a star; whoever takes the star off has it
    read once more.  POP3 has no flags: there the caller names, in ``known``, what earlier visits left.

    Args:
        url: see ``mailbox_at``.
        handle: a message at a time.  What it raises is the message's fault, and told in the visit; but a StoreError
            is not, and ends the visit.
        ca: the certificate (PEM) to trust instead of the public authorities.
        seconds: how long the visit may take; after three quarters of it no further message is begun.
        max_bytes: how much of a message is read; of a larger one the beginning.
        at_most: how many messages are read.
        known: identities of messages to pass over (POP3).

    Raises:
        ValueError: the url cannot be used.
        Unreachable: no connection, no trust, or it was lost.
        TooSlow, TooLarge: it takes longer, or sends more, than it was given room for.
        SourceError: it refuses the login or the folder, or does not speak the protocol.
        StoreError: what ``handle`` raised.
    """
    mailbox = mailbox_at(url)
    limits = Limits(mailbox.place, seconds, max_bytes)
    with _entered(mailbox, ca, limits, socket.create_connection) as opened:
        return _read(opened, opened.waiting(at_most, known), handle, limits)


def look_into_mailbox(
    url: str, *, ca: Path | None = None, seconds: float = SILENCE, dial: Dial = socket.create_connection
) -> str:
    """Log in and count the messages; change nothing, not even what is new to other readers.

    Args:
        url: see ``mailbox_at``.
        ca: the certificate (PEM) to trust instead of the public authorities.
        seconds: how long it may take.
        dial: what connects.

    Returns:
        What answered.

    Raises:
        ValueError, Unreachable, TooSlow, TooLarge, SourceError: see ``read_mailbox``.
    """
    mailbox = mailbox_at(url)
    limits = Limits(mailbox.place, seconds, max_bytes=0)
    with _entered(mailbox, ca, limits, dial) as opened:
        count = opened.count()
    encryption = "not encrypted" if mailbox.scheme in ("imap", "pop3") else "encrypted"
    return f"{mailbox.place} answers, {encryption}, logged in as {mailbox.user}; messages in {mailbox.folder}: {count}"


@contextmanager
def _entered(mailbox: Mailbox, ca: Path | None, limits: Limits, dial: Dial) -> Iterator[_Opened]:
    opening = imap if mailbox.scheme.startswith("imap") else pop3
    with translated(mailbox, limits), opening(mailbox, trusting(ca), limits, dial) as opened:
        yield opened


def _read(opened: _Opened, identities: Sequence[str], handle: Handle, limits: Limits) -> Visit:
    outcomes: dict[str, str] = {}
    for start in range(0, len(identities), _BATCH):
        outcomes |= _read_batch(opened, identities[start : start + _BATCH], handle, limits)
    left = tuple(Left(identity, why) for identity, why in outcomes.items() if why)
    return Visit(handled=len(outcomes) - len(left), left=left)


def _read_batch(opened: _Opened, batch: Sequence[str], handle: Handle, limits: Limits) -> dict[str, str]:
    """What became of each message, as ``_handled`` says."""
    outcomes: dict[str, str] = {}
    try:
        for identity in batch:
            if limits.late:
                break
            message = opened.fetch(identity, limits.max_bytes)
            if message is not None:
                outcomes[identity] = _handled(handle, message)
    finally:
        opened.settle(
            [identity for identity, why in outcomes.items() if not why],
            [identity for identity, why in outcomes.items() if why],
        )
    return outcomes


def _handled(handle: Handle, message: bytes) -> str:
    """Why a message stays; empty when it can go."""
    try:
        return "" if handle(message) else "it is not for us"
    except StoreError:
        raise
    except Exception as error:  # one message must not stop the mailbox, whatever it does to its reader
        return f"{type(error).__name__}: {words(error)}"


class _Opened(Protocol):
    """A mailbox after the login."""

    def count(self) -> int:
        """How many messages there are; nothing is changed by asking."""

    def waiting(self, at_most: int, known: Collection[str]) -> Sequence[str]:
        """The identities of messages to read, oldest first."""

    def fetch(self, identity: str, max_bytes: int) -> bytes | None:
        """A message, or its beginning; None when somebody else has removed it since."""

    def settle(self, handled: Sequence[str], left: Sequence[str]) -> None:
        """Remove those that were handled, and mark those that stay."""
