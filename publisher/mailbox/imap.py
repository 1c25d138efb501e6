"""IMAP (RFC 3501)."""

from __future__ import annotations

import imaplib
import re
import socket
import ssl
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import reduce
from typing import Any, NamedTuple

from publisher.errors import SourceError
from publisher.mailbox.address import Mailbox
from publisher.mailbox.connection import Dial, Limits, connected, logging_in, words

_WINDOW = 10_000  # messages looked through at once: IMAP answers in one line, which imaplib reads up to a megabyte of
_ARRIVED = re.compile(rb'INTERNALDATE "([^"]*)"', re.IGNORECASE)
_SIZE = re.compile(rb"RFC822\.SIZE (\d+)", re.IGNORECASE)


class _Client(imaplib.IMAP4):
    """Over a connection that there is, and within limits."""

    def __init__(self, connected: socket.socket, host: str, limits: Limits) -> None:
        self._connected = connected
        self._limits = limits
        super().__init__(host)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        return self._connected

    def read(self, size: int) -> bytes:
        # Before it is read: as much memory is asked for as the server announces.
        self._limits.received(size)
        return super().read(size)

    def readline(self) -> bytes:
        line = super().readline()
        self._limits.received(len(line))
        return line


@contextmanager
def imap(mailbox: Mailbox, context: ssl.SSLContext, limits: Limits, dial: Dial) -> Iterator[Imap]:
    """The server, logged in; a folder is entered by what is asked first."""
    with connected(mailbox, context, limits, dial) as line:
        client = _Client(line, mailbox.host, limits)
        try:
            if mailbox.scheme == "imap+starttls":
                client.starttls(context)
            with logging_in(mailbox):  # RFC 4616: PLAIN carries any character, LOGIN does not
                client.authenticate("PLAIN", lambda _: f"\0{mailbox.user}\0{mailbox.password}".encode())
            yield Imap(client, mailbox, limits)
        finally:
            with suppress(Exception):  # all is done; a goodbye that fails changes nothing
                client.logout()
            client.sock.close()


class Fetched(NamedTuple):
    """A message, or its beginning."""

    message: bytes
    arrived: datetime | None
    """As the server says (INTERNALDATE), in UTC; None where it does not."""
    size: int
    """Bytes, of the whole message."""


class Imap:
    """A folder of an IMAP server."""

    def __init__(self, client: imaplib.IMAP4, mailbox: Mailbox, limits: Limits) -> None:
        self._client = client
        self._limits = limits
        self._mailbox = mailbox
        # Asked after the login, for there may be more now.
        self._uidplus = b"UIDPLUS" in self._granted(client.capability())[-1].upper().split()
        quoted = mailbox.folder.replace("\\", "\\\\").replace('"', '\\"')
        self._folder = f'"{quoted}"'

    def count(self) -> int:
        """How many messages there are."""
        return self._selected(readonly=True)

    def waiting(self, at_most: int, known: Collection[str]) -> Sequence[str]:
        """The UIDs of messages to read, oldest first."""
        size = self._selected(readonly=False)
        found: list[str] = []
        for first in range(1, size + 1, _WINDOW):
            window = f"{first}:{min(first + _WINDOW - 1, size)}"
            found += (self._ask("SEARCH", window, "UNFLAGGED")[0] or b"").decode().split()
            if len(found) >= at_most:
                break
        return found[:at_most]

    def fetch(self, identity: str, max_bytes: int) -> bytes | None:
        """A message, or its beginning; None when it is gone."""
        answer = self._ask("FETCH", identity, f"(BODY.PEEK[]<0.{max_bytes}>)")
        return next((part[1] for part in answer if isinstance(part, tuple)), None)

    def settle(self, handled: Sequence[str], left: Sequence[str]) -> None:
        """Remove those that were handled, and flag those that stay."""
        if left:
            self._ask("STORE", ",".join(left), "+FLAGS.SILENT", "(\\Flagged)")
        if handled:
            self._ask("STORE", ",".join(handled), "+FLAGS.SILENT", "(\\Deleted)")
            self._expunge(handled)

    def examine(self) -> tuple[int, int]:
        """Enter the folder so that nothing in it can change: UIDVALIDITY, and how many messages there are."""
        size = self._selected(readonly=True)
        return int(self._client.response("UIDVALIDITY")[1][0] or 0), size

    def found(self, size: int, after: int, senders: Sequence[str]) -> list[int]:
        """The UIDs beyond ``after`` of messages that name one of the senders in From, or any; in ascending order.

        Args:
            size: how many messages there are.
            after: a UID; 0 for all.
            senders: parts of addresses, in ASCII and without quotes.
        """
        found: list[int] = []
        for first in range(1, size + 1, _WINDOW):
            window = f"{first}:{min(first + _WINDOW - 1, size)}"
            answer = self._ask("SEARCH", window, "UID", f"{after + 1}:*", *_naming(senders))
            found += map(int, (answer[0] or b"").split())
        # The last message is always in n:*, also where its UID is less than n (RFC 3501 section 6.4.8).
        return sorted(uid for uid in found if uid > after)

    def peek(self, uid: int, max_bytes: int) -> Fetched | None:
        """A message without setting its flag \\Seen; None when it is gone.

        One that the server cannot give, as happens where its own store is damaged, holds nothing.
        """
        try:
            answer = self._ask("FETCH", str(uid), f"(INTERNALDATE RFC822.SIZE BODY.PEEK[]<0.{max_bytes}>)")
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error:
            return Fetched(b"", None, 0)
        message = next((part[1] for part in answer if isinstance(part, tuple)), None)
        if message is None:
            return None
        told = b" ".join(part[0] if isinstance(part, tuple) else part for part in answer if part)
        size = _SIZE.search(told)
        return Fetched(message, _arrived(told), int(size[1]) if size else len(message))

    def _selected(self, *, readonly: bool) -> int:
        """How many messages the folder holds, which is entered with EXAMINE or with SELECT (RFC 3501 section 6.3)."""
        try:
            return int(self._granted(self._client.select(self._folder, readonly))[0])
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error as error:
            hint = "Name a folder of this mailbox at the end of `url`."
            raise SourceError(f"{self._mailbox.place}: {words(error)}", hint=hint) from error

    def _expunge(self, handled: Sequence[str]) -> None:
        """Only what is ours, where the server can (RFC 4315)."""
        if self._uidplus:
            self._ask("EXPUNGE", ",".join(handled))
        else:
            self._limits.next_answer()
            self._granted(self._client.expunge())

    def _ask(self, command: str, *arguments: str) -> list[Any]:
        self._limits.next_answer()
        return self._granted(self._client.uid(command, *arguments))

    @staticmethod
    def _granted(answer: tuple[str, list[Any]]) -> list[Any]:
        status, data = answer
        if status != "OK":
            raise imaplib.IMAP4.error(*data[-1:])
        return data


def _naming(senders: Sequence[str]) -> list[str]:
    """Search keys; OR has two operands (RFC 3501 section 6.4.4)."""
    keys = [["FROM", f'"{sender}"'] for sender in senders]
    return reduce(lambda either, other: ["OR", *either, *other], keys) if keys else []


def _arrived(told: bytes) -> datetime | None:
    written = _ARRIVED.search(told)
    try:
        # Like a date in a mail, but for the dashes.
        return parsedate_to_datetime(written[1].decode().replace("-", " ", 2)).astimezone(UTC) if written else None
    except (ValueError, OverflowError):
        return None
