"""A mailbox that others write to, read over IMAP (RFC 3501) or POP3 (RFC 1939).

A message goes away only after it was handled; what nobody could make sense of stays for a person to look at.  After a
lost connection messages that were handled may come up again: whoever handles them must be able to tell.

imaplib and poplib speak the protocols; what they lack is done here, since a server may be anybody's: an end to waiting
that no drip of bytes puts off, and an end to what is read into memory.
"""

from __future__ import annotations

import imaplib
import poplib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from publisher.errors import NetError, PublisherError, SourceError, StoreError, TooLarge, TooSlow, Unreachable

Handle = Callable[[bytes], bool]
"""Takes a message, or as much of it as is read.  True: what it means was committed, and it can go.  False: it is not
for us, and stays."""

_PORTS = {"imaps": 993, "imap+starttls": 143, "imap": 143, "pop3s": 995, "pop3+starttls": 110, "pop3": 110}
_SILENCE = 30.0  # seconds without a byte
_READING = 0.75  # of the time; the rest is for removing what was handled
_BATCH = 25  # messages settled together: on a slow line that is one round trip for a message, and not three
_WINDOW = 10_000  # messages looked through at once: IMAP answers in one line, which imaplib reads up to a megabyte of
_ROOM = 8_000_000  # bytes of an answer beside a message: POP3 lists two hundred thousand messages in it
_LONG_LINE = 1000  # bytes (RFC 5322 section 2.1.1): POP3 cuts messages by lines


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Where messages are fetched, and as whom."""

    scheme: str
    host: str
    port: int
    user: str
    password: str = field(repr=False)
    folder: str
    """``INBOX`` or another one; POP3 knows no others."""

    @property
    def place(self) -> str:
        """How it is named to the operator."""
        return f"{self.host}:{self.port}"


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
    limits = _Limits(mailbox.place, seconds, max_bytes)
    with _entered(mailbox, ca, limits) as opened:
        return _read(opened, opened.waiting(at_most, known), handle, limits)


def look_into_mailbox(url: str, *, ca: Path | None = None, seconds: float = _SILENCE) -> str:
    """Log in and count the messages; change nothing, not even what is new to other readers.

    Returns:
        What answered.

    Raises:
        ValueError, Unreachable, TooSlow, TooLarge, SourceError: see ``read_mailbox``.
    """
    mailbox = mailbox_at(url)
    limits = _Limits(mailbox.place, seconds, max_bytes=0)
    with _entered(mailbox, ca, limits) as opened:
        count = opened.count()
    encryption = "not encrypted" if mailbox.scheme in ("imap", "pop3") else "encrypted"
    return f"{mailbox.place} answers, {encryption}, logged in as {mailbox.user}; messages in {mailbox.folder}: {count}"


@contextmanager
def _entered(mailbox: Mailbox, ca: Path | None, limits: _Limits) -> Iterator[_Opened]:
    opening = _imap if mailbox.scheme.startswith("imap") else _pop3
    with _translated(mailbox, limits), opening(mailbox, _context(ca), limits) as opened:
        yield opened


def _read(opened: _Opened, identities: Sequence[str], handle: Handle, limits: _Limits) -> Visit:
    outcomes: dict[str, str] = {}
    for start in range(0, len(identities), _BATCH):
        outcomes |= _read_batch(opened, identities[start : start + _BATCH], handle, limits)
    left = tuple(Left(identity, why) for identity, why in outcomes.items() if why)
    return Visit(handled=len(outcomes) - len(left), left=left)


def _read_batch(opened: _Opened, batch: Sequence[str], handle: Handle, limits: _Limits) -> dict[str, str]:
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
        return f"{type(error).__name__}: {_words(error)}"


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


# --- the address -----------------------------------------------------------------------------------------------------


def mailbox_at(url: str) -> Mailbox:
    """Read ``imaps://user:password@host/INBOX``; also imap+starttls, imap (not encrypted), and the same with pop3.

    Raises:
        ValueError: it is no such address; the message shows nothing of it, for it holds a password.
    """
    parts = _split(url)
    if parts.scheme not in _PORTS:
        raise ValueError(f"url: it begins with {'://, '.join(_PORTS)}://")
    user, password, folder = (unquote(text or "") for text in (parts.username, parts.password, parts.path[1:]))
    if not user or not password:
        raise ValueError("url: it names a user and a password")
    if not (user + password).isprintable():
        raise ValueError("url: a user and a password have no control characters")
    if not (folder.isascii() and folder.isprintable()) or (folder and parts.scheme.startswith("pop3")):
        raise ValueError("url: after the host comes a folder, in ASCII and for IMAP only")
    port = parts.port or _PORTS[parts.scheme]
    return Mailbox(parts.scheme, parts.hostname or "", port, user, password, folder or "INBOX")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        well = parts.hostname and parts.port != 0 and not parts.query and not parts.fragment
    except ValueError:
        well = False
    if not well:
        raise ValueError("url: write imaps://user:password@host/INBOX, with / ? # @ : in a password as %2F %3F %23 …")
    return parts


# --- limits ----------------------------------------------------------------------------------------------------------


class _Limits:
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
        self._room = self.max_bytes + _ROOM

    def received(self, count: int) -> None:
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
def _connected(mailbox: Mailbox, context: ssl.SSLContext, limits: _Limits) -> Iterator[socket.socket]:
    plain = socket.create_connection((mailbox.host, mailbox.port), min(_SILENCE, limits.seconds))
    with plain, limits.applied_to(plain):
        if mailbox.scheme in ("imaps", "pop3s"):
            with context.wrap_socket(plain, server_hostname=mailbox.host) as encrypted:
                yield encrypted
        else:
            yield plain


def _context(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise Unreachable(f"ca: {ca}: {error.strerror or error}") from error


@contextmanager
def _translated(mailbox: Mailbox, limits: _Limits) -> Iterator[None]:
    try:
        yield
    except _FOREIGN as error:
        if limits.passed:
            raise TooSlow(f"{mailbox.place} took more than {limits.seconds:g} s") from error
        raise _translation(mailbox, error) from error


_FOREIGN = (OSError, imaplib.IMAP4.error, poplib.error_proto, ValueError, LookupError, TypeError, AttributeError)
"""The last four are how imaplib stumbles over what is not IMAP; ``handle`` has a barrier of its own."""


def _translation(mailbox: Mailbox, error: Exception) -> PublisherError:
    place, words = mailbox.place, _words(error)
    match error:
        case OSError():
            return _no_connection(place, error)
        case imaplib.IMAP4.readonly():
            return SourceError(f"{place}: nothing can be removed from {mailbox.folder}")
        case imaplib.IMAP4.abort():
            return Unreachable(f"{place}: the connection was lost: {words}")
        case imaplib.IMAP4.error() | poplib.error_proto():
            return SourceError(f"{place}: {words}")
    return SourceError(f"{place}: it does not speak {mailbox.scheme[:4].upper()}: {words}")


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


def _words(error: Exception) -> str:
    """The other side's words on one line, without what could confuse a terminal; at most 300 characters."""
    said = error.args[0] if error.args else ""
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    return "".join(c if c.isprintable() else " " for c in text)[:300]


@contextmanager
def _login(mailbox: Mailbox) -> Iterator[None]:
    try:
        yield
    except imaplib.IMAP4.abort:
        raise
    except (imaplib.IMAP4.error, poplib.error_proto) as error:
        hint = "Check the user and the password in `url`."
        raise SourceError(f"{mailbox.place} refuses the login: {_words(error)}", hint=hint) from error


# --- IMAP ------------------------------------------------------------------------------------------------------------


class _ImapClient(imaplib.IMAP4):
    """Over a connection that there is, and within limits."""

    def __init__(self, connected: socket.socket, host: str, limits: _Limits) -> None:
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
def _imap(mailbox: Mailbox, context: ssl.SSLContext, limits: _Limits) -> Iterator[_Opened]:
    with _connected(mailbox, context, limits) as connected:
        client = _ImapClient(connected, mailbox.host, limits)
        try:
            if mailbox.scheme == "imap+starttls":
                client.starttls(context)
            with _login(mailbox):  # RFC 4616: PLAIN carries any character, LOGIN does not
                client.authenticate("PLAIN", lambda _: f"\0{mailbox.user}\0{mailbox.password}".encode())
            yield _Imap(client, mailbox, limits)
        finally:
            with suppress(Exception):  # all is done; a goodbye that fails changes nothing
                client.logout()
            client.sock.close()


class _Imap:
    """A folder of an IMAP server."""

    def __init__(self, client: imaplib.IMAP4, mailbox: Mailbox, limits: _Limits) -> None:
        self._client = client
        self._limits = limits
        # Asked after the login, for there may be more now.
        self._uidplus = b"UIDPLUS" in self._granted(client.capability())[-1].upper().split()
        quoted = mailbox.folder.replace("\\", "\\\\").replace('"', '\\"')
        self._folder = f'"{quoted}"'

    def count(self) -> int:
        return self._selected(readonly=True)

    def waiting(self, at_most: int, known: Collection[str]) -> Sequence[str]:
        size = self._selected(readonly=False)
        found: list[str] = []
        for first in range(1, size + 1, _WINDOW):
            window = f"{first}:{min(first + _WINDOW - 1, size)}"
            found += (self._ask("SEARCH", window, "UNFLAGGED")[0] or b"").decode().split()
            if len(found) >= at_most:
                break
        return found[:at_most]

    def fetch(self, identity: str, max_bytes: int) -> bytes | None:
        answer = self._ask("FETCH", identity, f"(BODY.PEEK[]<0.{max_bytes}>)")
        return next((part[1] for part in answer if isinstance(part, tuple)), None)

    def settle(self, handled: Sequence[str], left: Sequence[str]) -> None:
        if left:
            self._ask("STORE", ",".join(left), "+FLAGS.SILENT", "(\\Flagged)")
        if handled:
            self._ask("STORE", ",".join(handled), "+FLAGS.SILENT", "(\\Deleted)")
            self._expunge(handled)

    def _selected(self, *, readonly: bool) -> int:
        """How many messages the folder holds, which is entered with EXAMINE or with SELECT (RFC 3501 section 6.3)."""
        return int(self._granted(self._client.select(self._folder, readonly))[0])

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


# --- POP3 ------------------------------------------------------------------------------------------------------------


class _Pop3Client(poplib.POP3):
    """Over a connection that there is, within limits, and with lines of any length."""

    def __init__(self, connected: socket.socket, host: str, limits: _Limits) -> None:
        self._connected = connected
        self._limits = limits
        super().__init__(host)

    def _create_socket(self, timeout: float) -> socket.socket:
        return self._connected

    def _getline(self) -> tuple[bytes, int]:
        # poplib gives a line 2048 bytes, and cannot go on after a longer one.
        line = self.file.readline(self._limits.max_bytes + _ROOM)
        if not line:
            raise ConnectionError("the server hung up")
        self._limits.received(len(line))
        return line.removesuffix(b"\n").removesuffix(b"\r"), len(line)


@contextmanager
def _pop3(mailbox: Mailbox, context: ssl.SSLContext, limits: _Limits) -> Iterator[_Opened]:
    with _connected(mailbox, context, limits) as connected:
        client = _Pop3Client(connected, mailbox.host, limits)
        try:
            if mailbox.scheme == "pop3+starttls":
                client.stls(context)
            with _login(mailbox):
                client.user(mailbox.user)
                client.pass_(mailbox.password)
            try:
                yield _Pop3(client, limits)
            finally:
                client.quit()  # only now are messages removed (RFC 1939 section 6)
        finally:
            with suppress(OSError):
                client.close()


class _Pop3:
    """The messages of a POP3 server."""

    def __init__(self, client: poplib.POP3, limits: _Limits) -> None:
        self._client = client
        self._limits = limits
        self._numbers: dict[str, int] = {}
        self._sizes: dict[int, int] = {}

    def count(self) -> int:
        self._limits.next_answer()
        return self._client.stat()[0]

    def waiting(self, at_most: int, known: Collection[str]) -> Sequence[str]:
        self._numbers = {
            name.decode(errors="replace"): int(number) for number, name in self._listing(self._client.uidl)
        }
        self._sizes = {int(number): int(size) for number, size in self._listing(self._client.list)}
        return [name for name in self._numbers if name not in known][:at_most]

    def fetch(self, identity: str, max_bytes: int) -> bytes:
        number = self._numbers[identity]
        self._limits.next_answer()
        if self._sizes[number] > max_bytes:
            lines = self._client.top(number, max_bytes // _LONG_LINE)[1]
        else:
            lines = self._client.retr(number)[1]
        return b"".join(line + b"\r\n" for line in lines)[:max_bytes]

    def settle(self, handled: Sequence[str], left: Sequence[str]) -> None:
        for identity in handled:
            self._limits.next_answer()
            self._client.dele(self._numbers[identity])

    def _listing(self, command: Callable[[], Any]) -> Iterator[list[bytes]]:
        self._limits.next_answer()
        return (line.split()[:2] for line in command()[1])
