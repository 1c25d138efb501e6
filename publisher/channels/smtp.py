"""Mail through a relay (RFC 5321): one connection for a stream of parcels."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Annotated, ClassVar
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import Discriminator, Field, Tag

from publisher.channels._wire import Astray, Commands, Lost, Relay, Reply, Stuffing, Wire, connect
from publisher.dkim import Signer
from publisher.errors import ChannelDown, ChannelError, RenderError
from publisher.mime import Letters, bare_address, check_address, needs_utf8
from publisher.model import Parcel, Receipt, Verdict
from publisher.net import Net
from publisher.options import Duration, LocalPath, Secret

_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465, "lmtp": 24}


@dataclass(frozen=True, kw_only=True)
class Dkim:
    """A domain's signature above each message (RFC 6376)."""

    domain: Annotated[str, Field(description="Who answers for the mail: the domain of `from`, or one above it.")]
    selector: Annotated[str, Field(description="Which key: DNS has the public one at selector._domainkey.domain.")]
    key: Annotated[Secret, Field(description="The private key in PEM: RSA, best of 2048 bits, or Ed25519.")] = field(
        repr=False
    )

    def __post_init__(self) -> None:
        _ = self.signer

    @cached_property
    def signer(self) -> Signer:
        """Made once: to read an RSA key takes as long as to sign a hundred messages."""
        return Signer(self.domain, self.selector, self.key)


_OneOrMore = Annotated[
    Annotated[Dkim, Tag("one")] | Annotated[tuple[Dkim, ...], Tag("more")],
    Discriminator(lambda value: "more" if isinstance(value, list | tuple) else "one"),
]


@dataclass(frozen=True, kw_only=True)
class Smtp:
    """Hand each message to a mail relay."""

    kind: ClassVar[str] = "smtp"
    personal: ClassVar[bool] = True

    url: Annotated[
        Secret,
        Field(
            description="The relay: smtp+starttls://user:password@host:587, smtps://… (port 465), smtp://… (port 25, "
            "nothing is encrypted), or lmtp://… (port 24, a mail store). Write special characters of a password as "
            "%40, %2F, %3A. With ?auth=xoauth2 at the end the password is an OAuth 2.0 access token."
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
    dkim: Annotated[
        _OneOrMore,
        Field(description="What signs each message (DKIM); a list signs with each, such as RSA and Ed25519."),
    ] = ()

    def __post_init__(self) -> None:
        _relay(self.url)
        for option, address in (("from", self.sender), ("reply_to", self.reply_to)):
            if address:
                _check(option, address)

    def send(self, parcels: Iterable[Parcel], net: Net) -> Iterator[Receipt]:
        """Hand over each parcel; the connection is opened at the first one, and again after it was lost.

        Where the relay takes commands in groups, one parcel is pulled ahead: its commands leave with the last dot of
        the parcel before, and its content after that parcel's receipt was taken.

        Raises:
            ChannelDown: no connection, or it was lost twice in a row.
            ChannelError: it refuses the login or the sender, or cannot encrypt; or an issue cannot be mailed.
        """
        letters = Letters(sender=self.sender, reply_to=self.reply_to, signers=self._signers)
        queue = _Queue(_ready(parcels, letters))
        with closing(_Connection(self)) as connection:
            for item in queue:
                yield item if isinstance(item, Receipt) else connection.hand_over(item, queue)

    @property
    def _signers(self) -> list[Signer]:
        return [one.signer for one in (self.dkim if isinstance(self.dkim, tuple) else (self.dkim,))]

    def check(self, net: Net) -> str:
        """Connect, encrypt, log in."""
        with closing(_Connection(self)) as connection:
            return connection.describe()


KIND = Smtp


# --- the relay's address ---------------------------------------------------------------------------------------------


def _relay(url: str) -> Relay:
    """Read the option ``url``; the messages never show what is in it, for it holds a password."""
    parts = _split(url)
    if parts.scheme not in _PORTS:
        raise ValueError("url: it begins with smtp+starttls://, smtps://, smtp:// or lmtp://")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if bool(user) != bool(password):
        raise ValueError("url: a user and a password come together")
    if not (user + password).isascii():
        raise ValueError("url: only ASCII letters, digits and signs can be used in a user and a password")
    port = parts.port or _PORTS[parts.scheme]
    return Relay(parts.scheme, parts.hostname or "", port, user, password, token=bool(parts.query))


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        well = parts.hostname and parts.port != 0 and parts.path in ("", "/") and not parts.fragment
        well = well and parts.query in ("", "auth=xoauth2")
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


# --- what is handed over, pure ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Mail:
    """A parcel ready for the wire."""

    delivery: int
    sender: str
    recipient: str
    utf8: bool
    """It can only travel where SMTPUTF8 is spoken."""
    eight_bit: bool
    size: int
    """Bytes, before dots were doubled (RFC 1870 section 3)."""
    content: bytes

    def obstacle(self, features: Mapping[str, str]) -> str:
        """Why a relay with such features would not take it; empty when it would."""
        limit = features.get("SIZE", "")
        if limit.isdigit() and 0 < int(limit) < self.size:  # RFC 1870 section 4: 0 is no limit
            return f"the message has {self.size:,} bytes, the relay takes {int(limit):,}"
        if self.utf8 and "SMTPUTF8" not in features:
            return "the address is not ASCII before the @, and the relay does not speak SMTPUTF8"
        return ""

    def commands(self, features: Mapping[str, str]) -> Commands:
        """RFC 5321 section 3.3, with what RFC 1870, RFC 6152 and RFC 6531 add to MAIL."""
        options = f" SIZE={self.size}" if "SIZE" in features else ""
        options += " BODY=8BITMIME" if self.eight_bit and "8BITMIME" in features else ""
        options += " SMTPUTF8" if self.utf8 else ""
        mail, recipient = f"MAIL FROM:<{self.sender}>{options}\r\n", f"RCPT TO:<{self.recipient}>\r\n"
        return mail.encode(), recipient.encode(), b"DATA\r\n"


def _ready(parcels: Iterable[Parcel], letters: Letters) -> Iterator[_Mail | Receipt]:
    stuffing = Stuffing()
    for parcel in parcels:
        try:
            yield _mail(parcel, letters, stuffing)
        except RenderError as error:
            raise ChannelError(str(error), hint=error.hint) from error
        except ValueError as error:
            yield Receipt(delivery=parcel.delivery, verdict=Verdict.FAILED, detail=str(error))


def _mail(parcel: Parcel, letters: Letters, stuffing: Stuffing) -> _Mail:
    letter, recipient = letters.of(parcel.issue), bare_address(parcel.recipient)
    message = letter.to(parcel.recipient, parcel.message_id)
    return _Mail(
        parcel.delivery,
        letter.sender,
        recipient,
        utf8=letter.utf8 or needs_utf8(recipient),
        eight_bit=not message.isascii(),
        size=len(message),
        content=stuffing.of(message),
    )


_Item = _Mail | Receipt | Exception
"""What comes next: a mail; the receipt of a parcel that cannot become one; what went wrong instead."""


class _Queue:
    """Mails one by one, with a look at the next.

    What goes wrong with the next one is raised in its turn, so that the mail before it can be finished.
    """

    def __init__(self, items: Iterator[_Mail | Receipt]) -> None:
        self._items = items
        self._seen: deque[_Item] = deque()

    def __iter__(self) -> Iterator[_Mail | Receipt]:
        return self

    def __next__(self) -> _Mail | Receipt:
        item = self._seen.popleft() if self._seen else next(self._items)
        if isinstance(item, Exception):
            raise item
        return item

    def peek(self) -> _Item | None:
        """The next one, which stays the next; None at the end."""
        if not self._seen:
            try:
                self._seen.append(next(self._items))
            except StopIteration:
                return None
            except Exception as error:  # whatever the caller's iterator raises: it is kept, not handled
                self._seen.append(error)
        return self._seen[0]


# --- the verdict, pure -----------------------------------------------------------------------------------------------


def _verdict(reply: Reply) -> Verdict:
    """RFC 5321 section 4.2.1: 5yz never, 4yz not now; anything else out of turn is no verdict on the parcel."""
    if reply.command == "." and reply.granted:
        return Verdict.SENT
    return Verdict.FAILED if 500 <= reply.code < 600 else Verdict.DEFERRED


def _refuses_us(reply: Reply) -> bool:
    """Whether it is we who are refused, and not this recipient or, by 552, this message (RFC 1870 section 6.1)."""
    return reply.command == "MAIL" and 500 <= reply.code < 600 and reply.code != 552


# --- the connection --------------------------------------------------------------------------------------------------


class _Connection:
    """A connection that is opened when it is needed."""

    def __init__(self, options: Smtp) -> None:
        self._options = options
        self._relay = _relay(options.url)
        self._wire: Wire | None = None
        self._losses = 0
        """How often in a row it was lost with a parcel in flight."""
        self._pipelining = True
        """Until it is lost once: a relay may offer to take commands in groups, and not be able to."""

    def hand_over(self, mail: _Mail, queue: _Queue) -> Receipt:
        """One mail transaction (RFC 5321 section 3.3)."""
        wire = self._opened()
        if obstacle := mail.obstacle(wire.features):
            return Receipt(delivery=mail.delivery, verdict=Verdict.FAILED, detail=obstacle)
        try:
            reply = wire.begin(mail.commands(wire.features)) or self._content(wire, mail, queue)
        except Astray:
            self._lose()
            return self.hand_over(mail, queue)  # once: from now on it is a command at a time
        except Lost as error:
            self._lose()
            return Receipt(delivery=mail.delivery, verdict=Verdict.DEFERRED, detail=f"connection lost: {error}")
        return self._receipt(mail, reply, wire)

    def describe(self) -> str:
        wire = self._opened()
        try:
            reply = wire.command(b"NOOP")
        except Lost as error:
            raise ChannelDown(f"{self._relay.place}: no connection: {error}") from error
        if not reply.granted:
            raise ChannelError(f"{self._relay.place}: {reply.words}")
        login = f"logged in as {self._relay.user}" if self._relay.user else "without a login"
        return f"{self._relay.place} answers, {wire.encryption or 'not encrypted'}, {login}"

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    def _opened(self) -> Wire:
        if self._wire is None:
            if self._losses > 1:
                raise ChannelDown(f"{self._relay.place}: the connection was lost {self._losses} times in a row")
            seconds = self._options.timeout.total_seconds()
            self._wire = connect(self._relay, seconds, ca=self._options.ca, pipelining=self._pipelining)
        return self._wire

    def _lose(self) -> None:
        self._losses += 1
        self._pipelining = False
        if self._wire is not None:
            self._wire.drop()
            self._wire = None

    def _content(self, wire: Wire, mail: _Mail, queue: _Queue) -> Reply:
        return wire.content(mail.content) or wire.end(self._following(wire, queue))

    def _following(self, wire: Wire, queue: _Queue) -> Commands | None:
        """The commands of the next mail, where they may leave with the last dot of this one."""
        following = queue.peek() if wire.pipelining else None
        if not isinstance(following, _Mail) or following.obstacle(wire.features):
            return None
        return following.commands(wire.features)

    def _receipt(self, mail: _Mail, reply: Reply, wire: Wire) -> Receipt:
        self._losses = self._losses + 1 if reply.code == 421 else 0
        if wire.closing:
            self.close()
        if _refuses_us(reply):
            hint = "Check `from`, and whether the relay wants a login (`url`)."
            raise ChannelError(f"{self._relay.place} refuses the sender: {reply.words}", hint=hint)
        return Receipt(delivery=mail.delivery, verdict=_verdict(reply), detail=reply.words)
