"""SMTP on the wire (RFC 5321): commands go in groups (PIPELINING, RFC 2920) where the relay takes them.

Own code on sockets, because smtplib waits for the answer to each command before it sends the next: here the last dot of
a mail leaves together with MAIL, RCPT and DATA of the one after, so that a mail costs one round trip instead of four.

Nothing here blocks but the look-up of a name: what has to wait for the relay yields what it waits for (``Steps``), so
that one thread can serve many connections.
"""

from __future__ import annotations

import base64
import errno
import os
import re
import socket
import ssl
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from publisher.channels import Wait
from publisher.errors import ChannelDown, ChannelError

T = TypeVar("T")
Steps = Generator[Wait, None, T]
"""Yields what it waits for, and returns what it came to."""
Commands = tuple[bytes, bytes, bytes]
"""MAIL, RCPT and DATA of one mail, each with its line end."""

_PATIENCE = 10
"""How many times the usual wait the content and the answer to its last dot may take.  Whoever gives up there and tries
again doubles a message, so RFC 5321 section 4.5.3.2 asks for minutes."""
_FAREWELL = 2.0  # seconds
_LONGEST_LINE = 4096  # eight times what RFC 5321 section 4.5.3.1.5 allows
_LONGEST_REPLY = 65_536
_REPLY = re.compile(rb"([2-5]\d\d)(?:([ -])(.*))?", re.DOTALL)
_ENHANCED = re.compile(rb"[245]\.\d{1,3}\.\d{1,3} ")  # RFC 3463 section 2


class Lost(Exception):
    """The connection is gone; what was on its way over it has no verdict."""


@contextmanager
def _lost() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Lost(error.strerror or str(error)) from error


class NotSmtp(Lost):
    """What came over it is not SMTP, so nothing that follows can be trusted either."""


class InDoubt(Lost):
    """Lost after the last dot of a mail: the relay has it or not."""


class Astray(Lost):
    """Lost over a group of commands, before any content: nothing is in doubt, and one at a time it may go well."""


@dataclass(frozen=True, slots=True)
class Relay:
    """Where mail is handed over, and as whom."""

    scheme: str
    """``smtp``, ``smtp+starttls``, ``smtps`` or ``lmtp`` (RFC 2033)."""
    host: str
    """A name or address; the path of a socket where there is no port."""
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    token: bool = False
    """The password is an OAuth 2.0 access token."""

    @property
    def place(self) -> str:
        """How it is named to the operator."""
        return f"{self.host}:{self.port}" if self.port else self.host


class Reply(NamedTuple):
    """What the relay said to a command."""

    command: str
    """The verb, ``.`` for the end of the content."""
    code: int
    lines: tuple[bytes, ...] = ()

    @property
    def granted(self) -> bool:
        """The command did what it is for (RFC 5321 section 4.3.2)."""
        return self.code == 354 if self.command == "DATA" else 200 <= self.code < 300

    @property
    def words(self) -> str:
        """Code and text on one line; an enhanced status code (RFC 2034) that each line repeats is said once."""
        status = _ENHANCED.match(self.lines[0]) if self.lines else None
        repeated = status[0] if status else b""
        rest = [line.removeprefix(repeated) for line in self.lines[1:]]
        return f"{self.code} {printable(b' '.join([*self.lines[:1], *rest]))}".rstrip()


def printable(said: bytes) -> str:
    """The other side's words on one line, without what could confuse a terminal; at most 300 characters."""
    text = "".join(c if c.isprintable() else " " for c in said.decode(errors="replace"))
    return " ".join(text.split())[:300]


# --- the connection --------------------------------------------------------------------------------------------------


class Wire:
    """A connection that speaks SMTP: commands out, replies in.

    All of it raises ``Lost``, after which only ``drop`` makes sense.

    Args:
        connected: does not block.
        timeout: seconds for a whole reply; ten times as long at the end of a mail.
        pipelining: False for a command at a time, whatever the relay offers.

    Attributes:
        features: what the relay offers (RFC 5321 section 4.1.1.1): keyword in capitals -> parameters.
        closing: the relay takes leave (421), or cannot be brought back to rest; no mail can follow.
    """

    def __init__(self, connected: socket.socket, timeout: float, *, pipelining: bool = True) -> None:
        self._socket = connected
        self._timeout = timeout
        self._may_pipeline = pipelining
        self._received = bytearray()
        self._resting = True
        """The relay has answered all it was asked, and is in no mail transaction."""
        self._ahead = False
        """The commands of the next mail left together with the last dot."""
        self.features: dict[str, str] = {}
        self.closing = False

    @property
    def pipelining(self) -> bool:
        """Whether commands go in groups."""
        return self._may_pipeline and "PIPELINING" in self.features

    @property
    def encryption(self) -> str:
        """The TLS version; empty when nothing is encrypted."""
        return (self._socket.version() or "") if isinstance(self._socket, ssl.SSLSocket) else ""

    def command(self, line: bytes) -> Steps[Reply]:
        """Send one command and wait for its reply."""
        yield from self._write(line + b"\r\n")
        return (yield from self.reply(line.split(b" ", 1)[0].decode()))

    def reply(self, command: str) -> Steps[Reply]:
        """Wait for the reply to a command that was sent before."""
        ends = time.monotonic() + self._timeout * (_PATIENCE if command == "." else 1)
        found = yield from self._lines(ends)
        codes = {int(match[1]) for match in found}
        if len(codes) > 1:
            raise NotSmtp(f"it does not speak SMTP: one reply with the codes {sorted(codes)}")
        code = codes.pop()
        self.closing = self.closing or code == 421  # RFC 5321 section 3.8
        return Reply(command, code, tuple(match[3] or b"" for match in found))

    def encrypt(self, context: ssl.SSLContext, host: str) -> Steps[None]:
        """Speak TLS from here on.

        Raises:
            ssl.SSLError: it could not be agreed upon.
        """
        if self._received:  # what came unencrypted must not be read as if it had come encrypted (CVE-2011-0411)
            raise NotSmtp("it speaks before encryption has begun")
        encrypted = context.wrap_socket(self._socket, server_hostname=host, do_handshake_on_connect=False)
        self._socket, ends = encrypted, time.monotonic() + self._timeout
        yield from self._patiently(encrypted.do_handshake, ends)

    # A mail transaction (RFC 5321 section 3.3): begin, content, end.

    def begin(self, commands: Commands) -> Steps[Reply | None]:
        """Ask the relay to take a mail, unless it was asked at the end of the one before.

        Returns:
            The refusal, after which another mail may follow; None when the content may come.

        Raises:
            Astray: lost in a group of commands.
            Lost: lost with a command at a time.
        """
        self._resting = False
        try:
            replies = yield from self._replies(commands)
            refusal = next((reply for reply in replies if not reply.granted), None)
            if self.pipelining and replies[0].code == 503:
                raise NotSmtp(f"it loses its way in a group of commands: {replies[0].words}")
        except Lost as error:
            if self.pipelining:
                raise Astray(str(error)) from error
            raise
        if refusal:
            yield from self._call_off(replies[-1])
        return refusal

    def content(self, message: bytes) -> Steps[Reply | None]:
        """Send a mail but for its last dot, so that nothing is delivered yet.

        Args:
            message: CRLF lines, of which none begins with a dot (RFC 5321 section 4.5.2).

        Returns:
            What the relay said where it hung up in the middle; None when it took it all.
        """
        try:
            yield from self._write(message, patience=_PATIENCE)
        except Lost:
            said = yield from self.reply("content")
            self.closing = True
            return said
        return None

    def end(self, following: Commands | None = None) -> Steps[Reply]:
        """Send the last dot, and with it the commands of the mail that will follow; return the reply to the dot.

        Args:
            following: only where there is pipelining; that mail is then to be begun with the same.

        Raises:
            InDoubt: no answer came.
        """
        try:
            yield from self._write(b"".join((b".\r\n", *(following or ()))))
            self._ahead = following is not None
            reply = yield from self.reply(".")
        except Lost as error:
            raise InDoubt(str(error)) from error
        self._resting = not self._ahead
        return reply

    def close(self) -> Steps[None]:
        """Take leave where that can be understood, but do not wait long for an answer.

        In the middle of a mail QUIT would be content: there the connection is cut, and the relay forgets the mail.
        """
        if self._resting and not self.closing:
            self._timeout = _FAREWELL
            with suppress(Lost):
                yield from self.command(b"QUIT")
        self.drop()

    def drop(self) -> None:
        """Cut the connection."""
        self._socket.close()

    def _replies(self, commands: Commands) -> Steps[list[Reply]]:
        """The replies as far as they come: to all commands of a group, else up to a refusal."""
        if self.pipelining and not self._ahead:
            yield from self._write(b"".join(commands))
        self._ahead = False
        replies = []
        for command in commands:
            if not self.pipelining:
                yield from self._write(command)
            reply = yield from self.reply(command[:4].decode())
            replies.append(reply)
            if self.closing or not (reply.granted or self.pipelining):
                break
        return replies

    def _call_off(self, last: Reply) -> Steps[None]:
        """Come to rest after a refusal.

        A relay that refused the recipient and still waits for the content gets an empty one, which goes to nobody
        (RFC 2920 section 3.1); others are reset.
        """
        if self.closing:
            return
        awaited = last.code == 354
        try:
            reply = yield from self.command(b"." if awaited else b"RSET")
            self._resting = reply.granted or awaited
        except Lost:
            self._resting = False
        self.closing = self.closing or not self._resting

    def _write(self, data: bytes, *, patience: int = 1) -> Steps[None]:
        if self._received and not self._received.startswith(b"421"):
            raise NotSmtp(f"it answers what it was not asked: {printable(bytes(self._received))}")
        left, ends = memoryview(data), time.monotonic() + self._timeout * patience
        with _lost():
            while left:
                sent = yield from self._patiently(partial(self._socket.send, left), ends, write=True)
                left = left[sent:]

    def _patiently(self, act: Callable[[], T], ends: float, *, write: bool = False) -> Steps[T]:
        """Try again after each wait that was in vain, until the time is over."""
        while True:
            try:
                return act()
            except (BlockingIOError, ssl.SSLWantReadError):
                wait = Wait(self._socket, ends, write=write)
            except ssl.SSLWantWriteError:
                wait = Wait(self._socket, ends, write=True)
            if time.monotonic() >= ends:
                raise TimeoutError("timed out")
            yield wait

    def _lines(self, ends: float) -> Steps[list[re.Match[bytes]]]:
        """The lines of one reply (RFC 5321 section 4.2.1)."""
        lines, size = [], 0
        while size < _LONGEST_REPLY:
            while (line := self._line()) is None:
                yield from self._receive(ends)
            match = _REPLY.fullmatch(line)
            if not match:
                raise NotSmtp(f"it does not speak SMTP: {printable(line)}")
            lines.append(match)
            if match[2] != b"-":
                return lines
            size += len(line) + 2
        raise NotSmtp("it does not speak SMTP: a reply without end")

    def _line(self) -> bytes | None:
        """The next line of what was received; None while its end has not come."""
        end = self._received.find(b"\n")
        if end < 0 and len(self._received) <= _LONGEST_LINE:
            return None
        if not 0 <= end <= _LONGEST_LINE:
            raise NotSmtp("it does not speak SMTP: a line without end")
        line = bytes(self._received[:end]).removesuffix(b"\r")
        del self._received[: end + 1]
        return line

    def _receive(self, ends: float) -> Steps[None]:
        if time.monotonic() >= ends:  # it drips
            raise Lost("timed out")
        with _lost():
            data = yield from self._patiently(partial(self._socket.recv, _LONGEST_LINE), ends)
        if not data:
            raise Lost("the relay hung up")
        self._received += data


# --- opening one -----------------------------------------------------------------------------------------------------


def connect(relay: Relay, timeout: float, *, ca: Path | None = None, pipelining: bool = True) -> Steps[Wire]:
    """Connect, encrypt where the relay's scheme asks for it, and log in.

    Args:
        timeout: see ``Wire``.
        ca: the certificate (PEM) to trust instead of the public authorities.
        pipelining: see ``Wire``.

    Raises:
        ChannelDown: nobody there, or not now.
        ChannelError: it refuses us, offers less than was asked for, or is not to be trusted.
    """
    context = _context(ca) if relay.scheme in ("smtps", "smtp+starttls") else None
    with _translated(relay.place):
        wire = Wire((yield from _dialled(relay, timeout)), timeout, pipelining=pipelining)
        try:
            yield from _introduce(wire, relay, context)
        except BaseException:
            wire.drop()
            raise
    return wire


def _dialled(relay: Relay, timeout: float) -> Steps[socket.socket]:
    """A connection to the first of the relay's addresses that answers.

    Raises:
        OSError: none does; the reason of the last one.
    """
    if not relay.port:
        return (yield from _answered(socket.socket(socket.AF_UNIX), relay.host, timeout))
    failure = OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    for family, kind, protocol, _, address in socket.getaddrinfo(relay.host, relay.port, type=socket.SOCK_STREAM):
        dialled = socket.socket(family, kind, protocol)
        # Content and last dot are written apart: Nagle's algorithm would hold the dot back until the content is
        # confirmed.
        dialled.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            return (yield from _answered(dialled, address, timeout))
        except OSError as error:
            failure = error
    raise failure


def _answered(dialled: socket.socket, address: Any, timeout: float) -> Steps[socket.socket]:
    """The socket, once the other side has taken the call (connect(2), EINPROGRESS)."""
    ends = time.monotonic() + timeout
    try:
        dialled.setblocking(False)
        code = dialled.connect_ex(address)
        if code == errno.EINPROGRESS:
            yield Wait(dialled, ends, write=True)
            code = dialled.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not code and time.monotonic() >= ends:
                raise TimeoutError("timed out")
        if code:
            raise OSError(code, os.strerror(code))
    except BaseException:
        dialled.close()
        raise
    return dialled


def _introduce(wire: Wire, relay: Relay, context: ssl.SSLContext | None) -> Steps[None]:
    if context and relay.scheme == "smtps":
        yield from wire.encrypt(context, relay.host)
    _need((yield from wire.reply("greeting")), relay)
    yield from _hello(wire, relay)
    if context and relay.scheme == "smtp+starttls":
        _offered(wire, relay, "STARTTLS")
        _need((yield from wire.command(b"STARTTLS")), relay)
        yield from wire.encrypt(context, relay.host)
        yield from _hello(wire, relay)  # what was said before counts no more (RFC 3207 section 4.2)
    if relay.user:
        yield from _login(wire, relay)


def _hello(wire: Wire, relay: Relay) -> Steps[None]:
    name = _our_name().encode()
    reply = yield from wire.command((b"LHLO " if relay.scheme == "lmtp" else b"EHLO ") + name)
    if reply.command == "EHLO" and 500 <= reply.code < 600:  # a relay from before ESMTP (RFC 5321 section 3.2)
        reply = yield from wire.command(b"HELO " + name)
    _need(reply, relay)
    offers = (line.decode(errors="replace").replace("=", " ", 1).partition(" ") for line in reply.lines[1:])
    wire.features = {keyword.upper(): parameters.strip() for keyword, _, parameters in offers}


def _login(wire: Wire, relay: Relay) -> Steps[None]:
    """RFC 4954."""
    offered = _offered(wire, relay, "AUTH").upper().split()
    responses = _responses(relay)
    mechanism = next((name for name in responses if name in offered), "")
    if not mechanism:
        message = f"{relay.place}: it offers {' '.join(offered)} for a login, not {' or '.join(responses)}"
        raise ChannelError(message, hint="`url` asks for more than the relay offers.")
    first, *more = (base64.b64encode(response) for response in responses[mechanism])
    reply = yield from wire.command(b" ".join(filter(None, (b"AUTH", mechanism.encode(), first))))
    for response in more:
        if reply.code == 334:
            reply = (yield from wire.command(response))._replace(command="AUTH")
    what = "token" if relay.token else "password"
    _need(reply, relay, hint=f"Check the user and the {what} in `url`.")


def _responses(relay: Relay) -> dict[str, list[bytes]]:
    """What is said for each mechanism, best first: one with the command (RFC 4954 section 4), the rest when asked."""
    user, password = relay.user.encode(), relay.password.encode()
    if relay.token:  # what it asks after a refusal is to be answered with nothing
        return {"XOAUTH2": [b"user=%b\x01auth=Bearer %b\x01\x01" % (user, password), b""]}
    return {"PLAIN": [b"\0%b\0%b" % (user, password)], "LOGIN": [b"", user, password]}


def _offered(wire: Wire, relay: Relay, keyword: str) -> str:
    if keyword not in wire.features:
        message = f"{relay.place}: {keyword} extension not supported by the relay"
        raise ChannelError(message, hint="`url` asks for more than the relay offers.")
    return wire.features[keyword]


def _need(reply: Reply, relay: Relay, *, hint: str = "") -> None:
    if not reply.granted:
        down = 400 <= reply.code < 500
        raise (ChannelDown if down else ChannelError)(f"{relay.place}: {reply.words}", hint="" if down else hint)


@cache
def _our_name() -> str:
    """A host name of ours, or an address literal where there is none (RFC 5321 section 4.1.4)."""
    name = socket.getfqdn()
    return name if "." in name and name.isascii() else "[127.0.0.1]"


def _context(ca: Path | None) -> ssl.SSLContext:
    try:
        return _trusting(ca, ca.stat().st_mtime_ns if ca else 0)
    except OSError as error:
        raise ChannelError(f"ca: {ca}: {error.strerror or error}") from error


@lru_cache(maxsize=8)
def _trusting(ca: Path | None, _changed: int) -> ssl.SSLContext:
    """One for all connections: reading the public authorities takes longer than sending ten mails."""
    return ssl.create_default_context(cafile=ca)


@contextmanager
def _translated(place: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        hint = "If the relay is your own, name its certificate in `ca`."
        message = f"{place}: its certificate is not to be trusted: {error.verify_message}"
        raise ChannelError(message, hint=hint) from error
    except ssl.SSLError as error:
        hint = "Port 465 is encrypted from the start (smtps://), port 587 after STARTTLS (smtp+starttls://)."
        raise ChannelDown(f"{place}: no encrypted connection: {error.reason or error}", hint=hint) from error
    except NotSmtp as error:
        raise ChannelError(f"{place}: {error}", hint="`url` must name a mail relay.") from error
    except (Lost, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise ChannelDown(f"{place}: no connection: {reason or error}") from error
