"""POP3 (RFC 1939)."""

from __future__ import annotations

import poplib
import socket
import ssl
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from publisher.mailbox.address import Mailbox
from publisher.mailbox.connection import ROOM, Dial, Limits, connected, logging_in

_LONG_LINE = 1000  # bytes (RFC 5322 section 2.1.1): POP3 cuts messages by lines


class _Client(poplib.POP3):
    """Over a connection that there is, within limits, and with lines of any length."""

    def __init__(self, connected: socket.socket, host: str, limits: Limits) -> None:
        self._connected = connected
        self._limits = limits
        super().__init__(host)

    def _create_socket(self, timeout: float) -> socket.socket:
        return self._connected

    def _getline(self) -> tuple[bytes, int]:
        # poplib gives a line 2048 bytes, and cannot go on after a longer one.
        line = self.file.readline(self._limits.max_bytes + ROOM)
        if not line:
            raise ConnectionError("the server hung up")
        self._limits.received(len(line))
        return line.removesuffix(b"\n").removesuffix(b"\r"), len(line)


@contextmanager
def pop3(mailbox: Mailbox, context: ssl.SSLContext, limits: Limits, dial: Dial) -> Iterator[Pop3]:
    """The mailbox, logged in."""
    with connected(mailbox, context, limits, dial) as line:
        client = _Client(line, mailbox.host, limits)
        try:
            if mailbox.scheme == "pop3+starttls":
                client.stls(context)
            with logging_in(mailbox):
                client.user(mailbox.user)
                client.pass_(mailbox.password)
            try:
                yield Pop3(client, limits)
            finally:
                client.quit()  # only now are messages removed (RFC 1939 section 6)
        finally:
            with suppress(OSError):
                client.close()


class Pop3:
    """The messages of a POP3 server."""

    def __init__(self, client: poplib.POP3, limits: Limits) -> None:
        self._client = client
        self._limits = limits
        self._numbers: dict[str, int] = {}
        self._sizes: dict[int, int] = {}

    def count(self) -> int:
        """How many messages there are."""
        self._limits.next_answer()
        return self._client.stat()[0]

    def waiting(self, at_most: int, known: Collection[str]) -> Sequence[str]:
        """The UIDLs of messages to read, oldest first."""
        self._numbers = {
            name.decode(errors="replace"): int(number) for number, name in self._listing(self._client.uidl)
        }
        self._sizes = {int(number): int(size) for number, size in self._listing(self._client.list)}
        return [name for name in self._numbers if name not in known][:at_most]

    def fetch(self, identity: str, max_bytes: int) -> bytes:
        """A message, or its beginning."""
        number = self._numbers[identity]
        self._limits.next_answer()
        if self._sizes[number] > max_bytes:
            lines = self._client.top(number, max_bytes // _LONG_LINE)[1]
        else:
            lines = self._client.retr(number)[1]
        return b"".join(line + b"\r\n" for line in lines)[:max_bytes]

    def settle(self, handled: Sequence[str], left: Sequence[str]) -> None:
        """Remove those that were handled; those that stay cannot be marked."""
        for identity in handled:
            self._limits.next_answer()
            self._client.dele(self._numbers[identity])

    def _listing(self, command: Callable[[], Any]) -> Iterator[list[bytes]]:
        self._limits.next_answer()
        return (line.split()[:2] for line in command()[1])
