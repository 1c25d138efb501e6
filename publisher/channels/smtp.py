"""Mail through a relay (RFC 5321): one connection for a stream of parcels."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from typing import Annotated, ClassVar
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import Field, Tag

from publisher.channels import Receipts, Sending, Stream, Way, in_place, patiently
from publisher.channels._mail import (
    Bounces,
    From,
    ReplyTo,
    Signatures,
    Unsubscribe,
    check_mailboxes,
    check_returns,
    one_or_more,
    signers,
)
from publisher.channels._wire import Astray, Commands, InDoubt, Lost, Relay, Reply, Steps, Wire, connect
from publisher.errors import ChannelDown, ChannelError, RenderError
from publisher.mime import Letters, bare_address, needs_utf8
from publisher.model import Parcel, Receipt, Verdict
from publisher.net import Net
from publisher.options import Duration, LocalPath, Pace, Secret
from publisher.replies import Fate, fate_of, status_in

_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465, "lmtp": 24}
_UNIX = "lmtp+unix://"


_ADDRESS = (
    "smtp+starttls://user:password@host:587, smtps://… (port 465), smtp://… (port 25, nothing is encrypted), lmtp://… "
    "(port 24, a mail store) or lmtp+unix:///path. Write special characters of a password as %40, %2F, %3A. With "
    "?auth=xoauth2 at the end the password is an OAuth 2.0 access token."
)


@dataclass(frozen=True, kw_only=True)
class OneRelay:
    """One relay of several."""

    url: Annotated[Secret, Field(description=f"The relay: {_ADDRESS}")] = field(repr=False)
    weight: Annotated[
        int,
        Field(ge=0, le=1000, description="Its share of the connections; 0: used only while none of the others works."),
    ] = 1
    connections: Annotated[
        int | None, Field(ge=1, le=100, description="How many are open at once, at most; left out: its share.")
    ] = None
    messages: Annotated[
        int | None, Field(ge=1, description="How many messages a connection carries; left out: as the channel says.")
    ] = None
    rate: Annotated[Pace | None, Field(description="How many messages it takes, such as 20/s.")] = None


@dataclass(frozen=True, kw_only=True)
class Smtp:
    """Hand each message to a mail relay."""

    kind: ClassVar[str] = "smtp"
    personal: ClassVar[bool] = True

    url: Annotated[
        Annotated[Secret, Tag("one")] | Annotated[tuple[OneRelay, ...], Tag("more")],
        one_or_more,
        Field(description=f"The relay: {_ADDRESS} Or a list of relays, of which each has a `url` and may have limits."),
    ] = field(repr=False)
    sender: From = ""
    reply_to: ReplyTo = ""
    ca: Annotated[
        LocalPath | None,
        Field(description="Certificate (PEM) to trust instead of the public authorities, for a relay of one's own."),
    ] = None
    bounces: Bounces = ""
    unsubscribe: Unsubscribe = ""
    connections: Annotated[int, Field(ge=1, le=100, description="How many connections are open at once, at most.")] = 4
    messages: Annotated[
        int | None, Field(ge=1, description="How many messages a connection carries, at most; left out: any number.")
    ] = None
    timeout: Annotated[Duration, Field(description="How long the relay may take for an answer.")] = timedelta(
        seconds=30
    )
    dkim: Signatures = ()

    def __post_init__(self) -> None:
        for relay in self.relays:
            _relay(relay.url)
        if len({_relay(relay.url).place for relay in self.relays}) < max(1, len(self.relays)):
            raise ValueError("url: each relay is named once, and at least one")
        check_mailboxes(**{"from": self.sender, "reply_to": self.reply_to})
        check_returns(bounces=self.bounces, unsubscribe=self.unsubscribe)

    @property
    def relays(self) -> Sequence[OneRelay]:
        """All there are."""
        return (OneRelay(url=self.url),) if isinstance(self.url, str) else self.url

    def ways(self) -> Sequence[Way]:
        """One for each relay."""
        if len(self.relays) == 1:
            return (self._way(self.relays[0], "", self.connections),)
        share = self.connections / (sum(relay.weight for relay in self.relays) or 1)
        return [
            self._way(relay, _relay(relay.url).place, max(1, round(relay.weight * share or self.connections)))
            for relay in self.relays
        ]

    def _way(self, relay: OneRelay, name: str, connections: int) -> Way:
        return Way(
            name=name,
            send=replace(self, url=relay.url, messages=relay.messages or self.messages).steps,
            cooperative=True,
            connections=relay.connections or connections,
            weight=relay.weight,
            rate=relay.rate,
        )

    def send(self, parcels: Iterable[Parcel], net: Net) -> Receipts:
        """See ``steps``."""
        return in_place(self.steps(parcels, net))

    def steps(self, parcels: Iterable[Parcel], net: Net) -> Sending:
        """Hand over each parcel; the connection is opened at the first one, and again after it was lost.

        Where the relay takes commands in groups, the commands of a parcel leave with the last dot of the parcel before,
        if that parcel may go at once; and its content after the receipt of the parcel before was taken.

        Raises:
            ChannelDown: no connection, or it was lost twice in a row.
            ChannelError: it refuses the login or the sender, or cannot encrypt.
        """
        mails = _Mails(Stream.of(parcels), self._pen())
        with closing(_Connection(self)) as connection:
            for item in mails:
                yield item if isinstance(item, Receipt) else (yield from connection.hand_over(item, mails))
            yield from connection.leave()

    def _pen(self) -> _Pen:
        letters = Letters(
            sender=self.sender,
            reply_to=self.reply_to,
            signers=signers(self.dkim),
            unsubscribe_mail=self.unsubscribe,
        )
        return _Pen(letters, self.bounces)

    def check(self, net: Net) -> str:
        """Connect to each relay, encrypt, log in."""
        return "; ".join(self._checked(relay) for relay in self.relays)

    def _checked(self, relay: OneRelay) -> str:
        with closing(_Connection(replace(self, url=relay.url))) as connection:
            return patiently(connection.describe())


KIND = Smtp


# --- the relay's address ---------------------------------------------------------------------------------------------


def _relay(url: str) -> Relay:
    """Read the option ``url``; the messages never show what is in it, for it holds a password."""
    if url.startswith(_UNIX):
        return _unix(url)
    parts = _split(url)
    if parts.scheme not in _PORTS:
        raise ValueError("url: it begins with smtp+starttls://, smtps://, smtp://, lmtp:// or lmtp+unix://")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if bool(user) != bool(password):
        raise ValueError("url: a user and a password come together")
    if not (user + password).isascii():
        raise ValueError("url: only ASCII letters, digits and signs can be used in a user and a password")
    port = parts.port or _PORTS[parts.scheme]
    return Relay(parts.scheme, parts.hostname or "", port, user, password, token=bool(parts.query))


def _unix(url: str) -> Relay:
    path = url.removeprefix(_UNIX)
    if not re.fullmatch(r"/[!-~]{1,100}", path):  # a socket's path has at most 107 bytes (unix(7))
        raise ValueError("url: write lmtp+unix:///run/dovecot/lmtp, the whole path of a socket")
    return Relay("lmtp", path, 0)


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
    content: Callable[[], bytes]
    """Waits for its signatures."""

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


class _Pen:
    """Makes mails of parcels."""

    def __init__(self, letters: Letters, returns: str) -> None:
        self._letters, self._returns = letters, returns

    def write(self, parcel: Parcel) -> _Mail | Receipt:
        """The mail; or the receipt of a parcel that cannot become one."""
        try:
            return self._mail(parcel)
        except RenderError as error:
            return Receipt(delivery=parcel.delivery, verdict=Verdict.BROKEN, detail=error.words)
        except ValueError as error:
            return Receipt(delivery=parcel.delivery, verdict=Verdict.FAILED, detail=str(error))

    def _mail(self, parcel: Parcel) -> _Mail:
        letter, recipient = self._letters.of(parcel.issue), bare_address(parcel.recipient)
        draft = letter.draft(parcel)
        returns = self._returns.replace("{token}", parcel.token) if parcel.token else ""
        return _Mail(
            parcel.delivery,
            returns or letter.sender,
            recipient,
            utf8=letter.utf8 or needs_utf8(recipient),
            eight_bit=not draft.ascii,
            size=draft.size,
            content=draft.signed if draft.unsigned else _hand().submit(draft.signed).result,
        )


@cache
def _hand() -> ThreadPoolExecutor:
    """Signs what goes next while the mails before it are on their way: other threads can work while OpenSSL does."""
    return ThreadPoolExecutor(1, thread_name_prefix="signing")


class _Mails:
    """Mails one by one, with a look at the next."""

    def __init__(self, parcels: Stream, pen: _Pen) -> None:
        self._parcels, self._pen = parcels, pen
        self._made: tuple[Parcel, _Mail | Receipt] | None = None

    def __iter__(self) -> Iterator[_Mail | Receipt]:
        return self

    def __next__(self) -> _Mail | Receipt:
        return self._mail_of(next(self._parcels))

    def peek(self) -> _Mail | Receipt | None:
        """The next one, which stays the next; None where there is none that may go at once."""
        parcel = self._parcels.peek()
        return None if parcel is None else self._mail_of(parcel)

    def _mail_of(self, parcel: Parcel) -> _Mail | Receipt:
        if self._made is None or self._made[0] is not parcel:
            self._made = parcel, self._pen.write(parcel)
        return self._made[1]


# --- the verdict, pure -----------------------------------------------------------------------------------------------


def _verdict(reply: Reply) -> Verdict:
    """RFC 5321 section 4.2.1: 5yz never, 4yz not now; anything else out of turn is no verdict on the parcel."""
    if reply.command == "." and reply.granted:
        return Verdict.SENT
    return Verdict.FAILED if 500 <= reply.code < 600 else Verdict.DEFERRED


def _refuses_us(reply: Reply) -> bool:
    """Whether it is we who are refused, and not this recipient or, by 552, this message (RFC 1870 section 6.1)."""
    return reply.command == "MAIL" and 500 <= reply.code < 600 and reply.code != 552


def _is_gone(reply: Reply) -> bool:
    """Whether there is nobody of that address."""
    if reply.command != "RCPT" or reply.granted:
        return False
    return fate_of(reply.code, status_in(reply.words), reply.words) is Fate.HARD


# --- the connection --------------------------------------------------------------------------------------------------


class _Connection:
    """A connection that is opened when it is needed."""

    def __init__(self, options: Smtp) -> None:
        self._options = options
        self._relay = _relay(options.relays[0].url)
        self._wire: Wire | None = None
        self._carried = 0
        """Messages since it was opened."""
        self._losses = 0
        """How often in a row it was lost with a parcel in flight."""
        self._pipelining = True
        """Until it is lost once: a relay may offer to take commands in groups, and not be able to."""

    def hand_over(self, mail: _Mail, mails: _Mails) -> Steps[Receipt]:
        """One mail transaction (RFC 5321 section 3.3)."""
        wire = self._wire or (yield from self._opened())
        if obstacle := mail.obstacle(wire.features):
            return Receipt(delivery=mail.delivery, verdict=Verdict.FAILED, detail=obstacle)
        try:
            reply = yield from wire.begin(mail.commands(wire.features))
            reply = reply or (yield from wire.content(mail.content()))
            reply = reply or (yield from wire.end(self._following(wire, mails)))
        except Astray:
            self._lose()
            return (yield from self.hand_over(mail, mails))  # once: from now on it is a command at a time
        except Lost as error:
            self._lose()
            verdict = Verdict.UNCERTAIN if isinstance(error, InDoubt) else Verdict.DEFERRED
            return Receipt(delivery=mail.delivery, verdict=verdict, detail=f"connection lost: {error}")
        self._carried += 1
        if wire.closing or self._carried == self._options.messages:
            yield from self.leave()
        return self._receipt(mail, reply)

    def describe(self) -> Steps[str]:
        wire = yield from self._opened()
        try:
            reply = yield from wire.command(b"NOOP")
        except Lost as error:
            raise ChannelDown(f"{self._relay.place}: no connection: {error}") from error
        if not reply.granted:
            raise ChannelError(f"{self._relay.place}: {reply.words}")
        encryption = wire.encryption
        login = f"logged in as {self._relay.user}" if self._relay.user else "without a login"
        yield from self.leave()
        return f"{self._relay.place} answers, {encryption or 'not encrypted'}, {login}"

    def leave(self) -> Steps[None]:
        """Part in friendship."""
        if self._wire is not None:
            yield from self._wire.close()
            self._wire = None

    def close(self) -> None:
        """Part at once: a generator that is closed can yield no more."""
        patiently(self.leave())

    def _opened(self) -> Steps[Wire]:
        if self._losses > 1:
            raise ChannelDown(f"{self._relay.place}: the connection was lost {self._losses} times in a row")
        seconds = self._options.timeout.total_seconds()
        self._wire = yield from connect(self._relay, seconds, ca=self._options.ca, pipelining=self._pipelining)
        self._carried = 0
        return self._wire

    def _lose(self) -> None:
        self._losses += 1
        self._pipelining = False
        if self._wire is not None:
            self._wire.drop()
            self._wire = None

    def _following(self, wire: Wire, mails: _Mails) -> Commands | None:
        """The commands of the next mail, where they may leave with the last dot of this one."""
        if not wire.pipelining or self._carried + 1 == self._options.messages:
            return None
        following = mails.peek()
        if not isinstance(following, _Mail) or following.obstacle(wire.features):
            return None
        return following.commands(wire.features)

    def _receipt(self, mail: _Mail, reply: Reply) -> Receipt:
        self._losses = self._losses + 1 if reply.code == 421 else 0
        if _refuses_us(reply):
            hint = "Check `from`, and whether the relay wants a login (`url`)."
            raise ChannelError(f"{self._relay.place} refuses the sender: {reply.words}", hint=hint)
        return Receipt(delivery=mail.delivery, verdict=_verdict(reply), detail=reply.words, gone=_is_gone(reply))
