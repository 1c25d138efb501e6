"""A connection to a mail server, and its limits: how long it may take, and how much it may send."""

from __future__ import annotations

import imaplib
import poplib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from publisher.errors import NetError, PublisherError, SourceError, TooLarge, TooSlow, Unreachable
from publisher.mailbox.address import Mailbox

Dial = Callable[[tuple[str, int], float], socket.socket]
"""Connects to a host's port within so many seconds, as ``socket.create_connection`` does."""

SILENCE = 30.0  # seconds without a byte
ROOM = 8_000_000  # bytes of an answer beside a message: POP3 lists two hundred thousand messages in it
_READING = 0.75  # of the time; the rest is for removing what was handled


class Limits:
    """How long a server may take, and how much it may send.

    Attributes:
        passed: the time is over, and the connection was cut.
    """

    def __init__(self, place: str, seconds: float, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.seconds = seconds
        self.passed = False
        self._place = place
        self._reading_ends = time.monotonic() + seconds * _READING
        self._room = 0
        self.next_answer()

    @property
    def late(self) -> bool:
        """What is left of the time is needed to settle."""
        return time.monotonic() > self._reading_ends

    def next_answer(self) -> None:
        """Before something is asked: the answer to it has all the room."""
        self._room = self.max_bytes + ROOM

    def received(self, count: int) -> None:
        """So many bytes came, or are about to.

        Raises:
            TooLarge: the answer has no room for them.
        """
        self._room -= count
        if self._room < 0:
            raise TooLarge(f"{self._place} sent more than it was asked for")

    @contextmanager
    def applied_to(self, connected: socket.socket) -> Iterator[None]:
        """Cut the connection when the time is over.

        A socket's own timeout starts anew with every byte.  The duplicate is the same connection, and remains one
        whatever TLS does to the original.
        """
        with connected.dup() as line:
            timer = threading.Timer(self.seconds, self._cut, [line])
            timer.daemon = True
            timer.start()
            try:
                yield
            finally:
                timer.cancel()

    def _cut(self, line: socket.socket) -> None:
        self.passed = True
        with suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)


# --- the connection --------------------------------------------------------------------------------------------------


@contextmanager
def connected(mailbox: Mailbox, context: ssl.SSLContext, limits: Limits, dial: Dial) -> Iterator[socket.socket]:
    """A connection, encrypted where it is from the start, that is cut when its time is over."""
    silence = min(SILENCE, limits.seconds)
    plain = dial((mailbox.host, mailbox.port), silence)
    plain.settimeout(silence)
    with plain, limits.applied_to(plain):
        if mailbox.scheme in ("imaps", "pop3s"):
            with context.wrap_socket(plain, server_hostname=mailbox.host) as encrypted:
                yield encrypted
        else:
            yield plain


def trusting(ca: Path | None) -> ssl.SSLContext:
    """Trusts that certificate (PEM), else the public authorities.

    Raises:
        Unreachable: it cannot be read.
    """
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise Unreachable(f"ca: {ca}: {error.strerror or error}") from error


@contextmanager
def translated(mailbox: Mailbox, limits: Limits) -> Iterator[None]:
    """What goes wrong with a connection, in the words of the house.

    Raises:
        Unreachable, TooSlow, SourceError: in place of what sockets, imaplib and poplib raise.
    """
    try:
        yield
    except _FOREIGN as error:
        if limits.passed:
            raise TooSlow(f"{mailbox.place} took more than {limits.seconds:g} s") from error
        raise _translation(mailbox, error) from error


_FOREIGN = (OSError, imaplib.IMAP4.error, poplib.error_proto, ValueError, LookupError, TypeError, AttributeError)
"""The last four are how imaplib stumbles over what is not IMAP; ``handle`` has a barrier of its own."""


def _translation(mailbox: Mailbox, error: Exception) -> PublisherError:
    place, said = mailbox.place, words(error)
    match error:
        case OSError():
            return _no_connection(place, error)
        case imaplib.IMAP4.readonly():
            return SourceError(f"{place}: nothing can be removed from {mailbox.folder}")
        case imaplib.IMAP4.abort():
            return Unreachable(f"{place}: the connection was lost: {said}")
        case imaplib.IMAP4.error() | poplib.error_proto():
            return SourceError(f"{place}: {said}")
    return SourceError(f"{place}: it does not speak {mailbox.scheme[:4].upper()}: {said}")


def _no_connection(place: str, error: OSError) -> NetError:
    match error:
        case ssl.SSLCertVerificationError():
            hint = "If the server is your own, name its certificate in `ca`."
            return Unreachable(f"{place}: its certificate is not to be trusted: {error.verify_message}", hint=hint)
        case ssl.SSLError():
            hint = "Ports 993 and 995 are encrypted from the start (imaps://, pop3s://), 143 and 110 after STARTTLS."
            return Unreachable(f"{place}: no encrypted connection: {error.reason or error}", hint=hint)
        case TimeoutError():
            return TooSlow(f"{place} does not answer")
    return Unreachable(f"{place}: no connection: {error.strerror or error}")


def words(error: Exception) -> str:
    """The other side's words on one line, without what could confuse a terminal; at most 300 characters."""
    said = error.args[0] if error.args else ""
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    return "".join(c if c.isprintable() else " " for c in text)[:300]


@contextmanager
def logging_in(mailbox: Mailbox) -> Iterator[None]:
    """A refusal of what is done inside is one of the login.

    Raises:
        SourceError: the server refuses.
    """
    try:
        yield
    except imaplib.IMAP4.abort:
        raise
    except (imaplib.IMAP4.error, poplib.error_proto) as error:
        hint = "Check the user and the password in `url`."
        raise SourceError(f"{mailbox.place} refuses the login: {words(error)}", hint=hint) from error
