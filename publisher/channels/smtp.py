"""Mail through a relay (RFC 5321): one connection for a stream of parcels."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, ClassVar, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import Field

from publisher.errors import ChannelDown, ChannelError, RenderError
from publisher.mime import Letter, Letters, bare_address, check_address, needs_utf8
from publisher.model import Parcel, Receipt, Verdict
from publisher.net import Net
from publisher.options import Duration, LocalPath, Secret

_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
_PATIENCE = 10
"""How many times ``timeout`` the answer to the last dot may take.  Whoever gives up there and tries again doubles a
message, so RFC 5321 section 4.5.3.2.6 asks for minutes."""
_FAREWELL = 2.0  # seconds


@dataclass(frozen=True, kw_only=True)
class Smtp:
    """Hand each message to a mail relay."""

    kind: ClassVar[str] = "smtp"
    personal: ClassVar[bool] = True

    url: Annotated[
        Secret,
        Field(
            description="The relay: smtp+starttls://user:password@host:587, smtps://… (port 465), or smtp://… (port "
            "25, nothing is encrypted). Write special characters of a password as %40, %2F, %3A."
        ),
    ] = field(repr=False)
    sender: Annotated[
        str,
        Field(alias="from", description="Who it is from: Name <address>. Left out: the site's title, news@ its host."),
    ] = ""
    reply_to: Annotated[str, Field(description="Where answers go, when not to the sender.")] = ""
    ca: Annotated[
        LocalPath | None,
        Field(description="Certificate (PEM) to trust instead of the public authorities, for a relay of one's own."),
    ] = None
    timeout: Annotated[Duration, Field(description="How long the relay may take for an answer.")] = timedelta(
        seconds=30
    )

    def __post_init__(self) -> None:
        _relay(self.url)
        for option, address in (("from", self.sender), ("reply_to", self.reply_to)):
            if address:
                _check(option, address)

    def send(self, parcels: Iterable[Parcel], net: Net) -> Iterator[Receipt]:
        """Hand over each parcel; the connection is opened at the first one, and again after it was lost.

        Raises:
            ChannelDown: no connection, or it was lost twice in a row.
            ChannelError: it refuses the login or the sender, or cannot encrypt; or an issue cannot be mailed.
        """
        letters = Letters(sender=self.sender, reply_to=self.reply_to)
        with closing(_Connection(self)) as connection:
            for parcel in parcels:
                yield connection.hand_over(parcel, letters)

    def check(self, net: Net) -> str:
        """Connect, encrypt, log in."""
        with closing(_Connection(self)) as connection:
            return connection.describe()


KIND = Smtp


# --- the relay's address ---------------------------------------------------------------------------------------------


class _Relay(NamedTuple):
    scheme: str
    host: str
    port: int
    user: str
    password: str

    @property
    def place(self) -> str:
        return f"{self.host}:{self.port}"


def _relay(url: str) -> _Relay:
    """Read the option ``url``; the messages never show what is in it, for it holds a password."""
    parts = _split(url)
    if parts.scheme not in _PORTS:
        raise ValueError("url: it begins with smtp+starttls://, smtps:// or smtp://")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if bool(user) != bool(password):
        raise ValueError("url: a user and a password come together")
    if not (user + password).isascii():
        raise ValueError("url: only ASCII letters, digits and signs can be used in a user and a password")
    return _Relay(parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme], user, password)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        well = parts.hostname and parts.port != 0 and parts.path in ("", "/") and not parts.query and not parts.fragment
    except ValueError:
        well = False
    if not well:
        raise ValueError(
            "url: write smtp+starttls://user:password@host:587, with / ? # @ : in a password as %2F %3F %23 …"
        )
    return parts


def _check(option: str, address: str) -> None:
    try:
        check_address(address)
    except ValueError as error:
        raise ValueError(f"{option}: {address!r}: {error}") from None


# --- the verdict, pure -----------------------------------------------------------------------------------------------


class _Reply(NamedTuple):
    """What the relay said last of a parcel, and to which command."""

    command: str
    code: int
    text: bytes

    @property
    def words(self) -> str:
        return f"{self.code} {_words(self.text)}" if self.code > 0 else _words(self.text)

    @property
    def final(self) -> bool:
        """The connection is closing, is lost, or carries what is not SMTP (smtplib's -1)."""
        return self.code in (421, -1)


def _verdict(reply: _Reply) -> Verdict:
    """RFC 5321 section 4.2.1: 5yz never, 4yz not now; anything else out of turn is no verdict on the parcel."""
    if reply.command == "." and 200 <= reply.code < 300:
        return Verdict.SENT
    return Verdict.FAILED if 500 <= reply.code < 600 else Verdict.DEFERRED


def _refuses_us(reply: _Reply) -> bool:
    """Whether it is we who are refused, and not this recipient or, by 552, this message (RFC 1870 section 6.1)."""
    return reply.command == "MAIL" and 500 <= reply.code < 600 and reply.code != 552


def _translated(error: OSError, place: str) -> ChannelError:
    """What went wrong before the first parcel; smtplib's errors are all OSErrors."""
    match error:
        case smtplib.SMTPResponseException():
            return _refused(error, place)
        case ssl.SSLCertVerificationError():
            hint = "If the relay is your own, name its certificate in `ca`."
            return ChannelError(f"{place}: its certificate is not to be trusted: {error.verify_message}", hint=hint)
        case ssl.SSLError():
            hint = "Port 465 is encrypted from the start (smtps://), port 587 after STARTTLS (smtp+starttls://)."
            return ChannelDown(f"{place}: no encrypted connection: {error.reason or error}", hint=hint)
        case smtplib.SMTPException() if not isinstance(error, smtplib.SMTPServerDisconnected):
            return ChannelError(f"{place}: {error}", hint="`url` asks for more than the relay offers.")
        case _:
            return ChannelDown(f"{place}: no connection: {error.strerror or error}")


def _refused(error: smtplib.SMTPResponseException, place: str) -> ChannelError:
    message = f"{place}: {error.smtp_code} {_words(error.smtp_error)}"
    if 400 <= error.smtp_code < 500:
        return ChannelDown(message)
    login = isinstance(error, smtplib.SMTPAuthenticationError)
    return ChannelError(message, hint="Check the user and the password in `url`." if login else "")


def _words(text: bytes | str) -> str:
    """The other side's words on one line, without what could confuse a terminal."""
    said = text.decode(errors="replace") if isinstance(text, bytes) else text
    return " ".join("".join(c if c.isprintable() else " " for c in said).split())[:300]


# --- the connection --------------------------------------------------------------------------------------------------


class _Connection:
    """A connection that is opened when it is needed."""

    def __init__(self, options: Smtp) -> None:
        self._options = options
        self._relay = _relay(options.url)
        self._client: smtplib.SMTP | None = None
        self._losses = 0
        """How often in a row it was lost with a parcel in flight."""

    def hand_over(self, parcel: Parcel, letters: Letters) -> Receipt:
        """One mail transaction (RFC 5321 section 3.3)."""
        try:
            letter = letters.of(parcel.issue)
            recipient, message = bare_address(parcel.recipient), letter.to(parcel.recipient, parcel.message_id)
        except RenderError as error:
            raise ChannelError(str(error), hint=error.hint) from error
        except ValueError as error:
            return Receipt(delivery=parcel.delivery, verdict=Verdict.FAILED, detail=str(error))
        client = self._opened()
        utf8 = letter.utf8 or needs_utf8(recipient)
        if obstacle := _obstacle(client, len(message), utf8=utf8):
            return Receipt(delivery=parcel.delivery, verdict=Verdict.FAILED, detail=obstacle)
        try:
            reply = self._transact(client, letter, recipient, message, utf8=utf8)
        except OSError as error:
            reply = _Reply("", -1, f"connection lost: {error}".encode())
        return self._receipt(parcel, reply)

    def describe(self) -> str:
        client = self._opened()
        try:
            code, text = client.noop()
        except OSError as error:
            raise _translated(error, self._relay.place) from error
        if code != 250:
            raise ChannelError(f"{self._relay.place}: {code} {_words(text)}")
        secured = client.sock.version() if isinstance(client.sock, ssl.SSLSocket) else "not encrypted"
        login = f"logged in as {self._relay.user}" if self._relay.user else "without a login"
        return f"{self._relay.place} answers, {secured}, {login}"

    def close(self) -> None:
        """Take leave, but do not wait long for an answer."""
        if self._client is None:
            return
        with suppress(OSError):
            _wait_at_most(self._client, _FAREWELL)
            self._client.quit()
        self._drop()

    def _opened(self) -> smtplib.SMTP:
        if self._client is None:
            if self._losses > 1:
                raise ChannelDown(f"{self._relay.place}: the connection was lost {self._losses} times in a row")
            try:
                self._client = _open(self._relay, self._options.timeout.total_seconds(), self._options.ca)
            except OSError as error:
                raise _translated(error, self._relay.place) from error
        return self._client

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _transact(self, client: smtplib.SMTP, letter: Letter, recipient: str, message: bytes, *, utf8: bool) -> _Reply:
        reply = _Reply("MAIL", *client.mail(letter.sender, _mail_options(client, len(message), utf8=utf8)))
        if reply.code != 250:
            return reply
        reply = _Reply("RCPT", *client.rcpt(recipient))
        if reply.code not in (250, 251):
            return reply
        reply = _Reply("DATA", *client.docmd("DATA"))
        if reply.code != 354:
            return reply
        return _Reply(".", *self._content(client, message))

    def _content(self, client: smtplib.SMTP, message: bytes) -> tuple[int, bytes]:
        """Send the message, dot-stuffed (RFC 5321 section 4.5.2); return what the relay says to it."""
        seconds = self._options.timeout.total_seconds()
        client.send(message.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        _wait_at_most(client, seconds * _PATIENCE)
        answer = client.getreply()
        _wait_at_most(client, seconds)
        return answer

    def _receipt(self, parcel: Parcel, reply: _Reply) -> Receipt:
        verdict = _verdict(reply)
        if reply.final:
            self._losses += 1
            self._drop()
        else:
            self._losses = 0
            if verdict is not Verdict.SENT:
                self._reset()
        if _refuses_us(reply):
            hint = "Check `from`, and whether the relay wants a login (`url`)."
            raise ChannelError(f"{self._relay.place} refuses the sender: {reply.words}", hint=hint)
        return Receipt(delivery=parcel.delivery, verdict=verdict, detail=reply.words)

    def _reset(self) -> None:
        """Make ready for the next transaction; where that fails, a new connection will."""
        if self._client is not None:
            try:
                well = self._client.rset()[0] == 250
            except OSError:
                well = False
            if not well:
                self._drop()


def _open(relay: _Relay, timeout: float, ca: Path | None) -> smtplib.SMTP:
    """Connect, encrypt where the URL asks for it, and log in.

    Raises:
        OSError: any of it failed; smtplib's errors are OSErrors.
        ChannelError: the certificate to trust cannot be read.
    """
    context = None if relay.scheme == "smtp" else _context(ca)
    if relay.scheme == "smtps":
        client: smtplib.SMTP = smtplib.SMTP_SSL(relay.host, relay.port, timeout=timeout, context=context)
    else:
        client = smtplib.SMTP(relay.host, relay.port, timeout=timeout)
    try:
        if client.sock:  # a command and its answer at a time: Nagle's algorithm would hold back each of them
            client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if relay.scheme == "smtp+starttls":
            client.starttls(context=context)
        client.ehlo_or_helo_if_needed()
        if relay.user:
            client.login(relay.user, relay.password)
    except BaseException:
        client.close()
        raise
    return client


def _context(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise ChannelError(f"ca: {ca}: {error.strerror or error}") from error


def _obstacle(client: smtplib.SMTP, size: int, *, utf8: bool) -> str:
    """Why the relay would not take a message of that many bytes; empty when it would."""
    limit = client.esmtp_features.get("size", "")
    if limit.isdigit() and 0 < int(limit) < size:  # RFC 1870 section 4: 0 is no limit
        return f"the message has {size:,} bytes, the relay takes {int(limit):,}"
    if utf8 and not client.has_extn("smtputf8"):
        return "the address is not ASCII before the @, and the relay does not speak SMTPUTF8"
    return ""


def _mail_options(client: smtplib.SMTP, size: int, *, utf8: bool) -> list[str]:
    """RFC 1870 section 6, RFC 6531 section 3.4; all but an address beyond ASCII is seven-bit already."""
    announced = [f"SIZE={size}"] if client.has_extn("size") else []
    return [*announced, "BODY=8BITMIME", "SMTPUTF8"] if utf8 else announced


def _wait_at_most(client: smtplib.SMTP, seconds: float) -> None:
    if client.sock:
        client.sock.settimeout(seconds)
