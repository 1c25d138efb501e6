"""The one place that writes mail headers.

Every value is checked before it is written: a title, a name or an address that would begin another header, or end the
headers, never gets that far.  Headers are written as bytes here and not by ``EmailMessage``, which decodes what looks
like an encoded word in a subject and folds the outcome into a header of its own.
"""

from __future__ import annotations

import binascii
import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC
from email.header import Header
from email.utils import format_datetime
from functools import lru_cache, partial
from html import escape
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from publisher.dkim import Seal, Signer
from publisher.errors import RenderError
from publisher.model import Document, Issue, Parcel, Publication, Site, Subscriber
from publisher.tokens import keyed_hash

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
# Most addresses are of this shape (RFC 5321 section 4.1.2: Dot-string "@" Domain), and read forty times as fast by it.
# It also lets `root@localhost` and `team@office.local` through, which are right on a network of one's own.
_ORDINARY = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@(?:localhost|(?:{_LABEL}\.)+[A-Za-z]{_LABEL})")
_LONGEST_ADDRESS = 254  # RFC 5321 section 4.5.3.1.3, without the angle brackets

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_PRINTABLE = re.compile(r"[ -~]*")
_ATOMS = re.compile(rf"{_ATOM}(?: {_ATOM})*")
_UNQUOTED = re.compile(r"[^\W\d_]\w*(?: \w+)*")
_MESSAGE_ID = re.compile(r"(?!.*=\?)[!-;=?A-~]+@[!-;=?A-~]+")
_TOKEN = re.compile("[a-z0-9-]+")
_URL = re.compile(r"(?!.*=\?)https?://[!#-;=?-\[\]_a-z~]+")  # one that can be written as it is
_URL_SAFE = "%/:;?#[]@!$&'()*+,=~"
_MAIL_SAFE = "@!$'*+"  # RFC 6068 section 2

_LONGEST_PLAIN = 600  # with a header's name and an address it stays below the 998 bytes that a line may have
_LONGEST_LINE = 998  # RFC 5322 section 2.1.1
_LONGEST_ENCODED_LINE = 76  # RFC 2047 section 2

_PERSONAL = ("To", "Message-ID", "List-Unsubscribe", "List-Unsubscribe-Post")
# U+FFFF is no character, and XML cannot hold it: `collect.tidy` keeps it out of all that a template shows.
_SLOT = re.compile("\uffff([a-z_]+)\uffff".encode())
# In an encoded body all else is ASCII.
_MARK = re.compile("\uffff(txt|html):([a-z_]+)\uffff".encode())
_NAMES = frozenset(field.name for field in fields(Subscriber))
# What fills a slot as it is: one line of ASCII that neither HTML nor quoted-printable writes in another way.
_READY = re.compile(r"(?!\.)[ !#-%(-;?-~]{0,75}")
_DOTS = re.compile(rb"^\.+", re.MULTILINE)


class Letter:
    """The part of a message that all recipients share, serialised once.

    A multipart/alternative message (RFC 2046 section 5.1.4) of the documents ``mail.txt`` and ``mail.html``, with the
    subject of ``subject.txt``; the headers of a list (RFC 2919, RFC 2369) and of an automatic message (RFC 3834).  The
    same issue gives the same bytes.

    What its templates left open with ``slot`` is filled in for each recipient; nothing else of the bodies is touched.

    Args:
        sender: ``Name <address>``; when empty, see ``default_sender``.
        reply_to: where answers go; when empty, to the sender.
        signers: whose signatures (DKIM) stand above it.  They tell the moment of the issue and not the present one, so
            that each attempt sends the same bytes.
        unsubscribe_mail: where a mail leads off the list, such as ``unsubscribe+{token}@example.org``; empty: nowhere.

    Attributes:
        sender: the bare address, for the envelope.
        utf8: it can only travel where SMTPUTF8 (RFC 6531) is spoken, whoever it goes to.

    Raises:
        RenderError: it cannot be written: a document is missing, a header's value has control characters, nothing is
            known to fill one of its slots with.
    """

    def __init__(
        self,
        issue: Issue,
        *,
        sender: str,
        reply_to: str = "",
        signers: Sequence[Signer] = (),
        unsubscribe_mail: str = "",
    ) -> None:
        try:
            writer = _writer(sender, issue.publication.site)
            answers = _mailbox(reply_to) if reply_to else None
            self._mailto = _mailto(unsubscribe_mail) if unsubscribe_mail else None
            message = _headers(issue, writer, answers) + _alternatives(_body(issue, "txt"), _body(issue, "html"))
        except KeyError as error:
            raise RenderError(f"{_told(issue)} has no document {error}") from error
        except ValueError as error:
            raise RenderError(f"{_told(issue)} cannot be mailed: {error}") from error
        headers, _, body = message.partition(b"\r\n\r\n")
        self._headers = headers + b"\r\n"
        self._pieces, self._slots = _taken_apart(body)
        self._ascii = all(shared.isascii() for shared in (self._headers, *self._pieces))
        if unknown := {name for _, name in self._slots} - _NAMES:
            raise RenderError(f"{_told(issue)}: nothing is known to fill the slot {min(unknown)!r} with")
        self._seal = (
            Seal(signers, shared=self._headers, personal=_PERSONAL, body=self._pieces, moment=issue.created)
            if signers
            else None
        )
        self.sender = writer.address
        self.utf8 = needs_utf8(writer.address) or bool(answers and needs_utf8(answers.address))

    def to(self, parcel: Parcel) -> bytes:
        """The whole message to one recipient, as ``draft`` makes it, with its signatures."""
        return self.draft(parcel).signed()

    def draft(self, parcel: Parcel) -> Draft:
        """The message to one recipient, ready for DATA: CRLF throughout, and no line begins with a dot, so that there
        is none to double (RFC 5321 section 4.5.2).

        Its slots are filled from ``parcel.subscriber``, escaped where they are in HTML.  Where there is an address to
        unsubscribe at, the headers say so (RFC 2369; for one click, RFC 8058).

        Raises:
            ValueError: the recipient is no address, or something else of the parcel cannot be written.
        """
        personal = b"".join(_field(name, value) for name, value in self._own_values(parcel))
        filled = [_filling(kind, getattr(parcel.subscriber, name)) for kind, name in self._slots]
        message = [personal, self._headers, b"\r\n", self._pieces[0]]
        for own, shared in zip(filled, self._pieces[1:], strict=True):
            message += own, shared
        return Draft(message, self._ascii and personal.isascii(), self._seal, personal, filled)

    def _own_values(self, parcel: Parcel) -> Iterator[tuple[str, str]]:
        if not _MESSAGE_ID.fullmatch(parcel.message_id):
            raise ValueError(f"not a message id: {parcel.message_id!r}")
        yield "To", _mailbox(parcel.recipient).written("To")
        yield "Message-ID", f"<{parcel.message_id}>"
        if not parcel.subscriber.unsubscribe:
            return
        url = _url(parcel.subscriber.unsubscribe)
        by_mail = f", <{self._mailto.of(parcel.token)}>" if self._mailto and parcel.token else ""
        yield "List-Unsubscribe", f"<{url}>{by_mail}"
        if url.startswith("https://"):
            yield "List-Unsubscribe-Post", "List-Unsubscribe=One-Click"


@dataclass(frozen=True, slots=True)
class Draft:
    """A message that waits for its signatures, which take longer than all else."""

    _message: Sequence[bytes]
    ascii: bool
    """All of its bytes are."""
    _seal: Seal | None
    _personal: bytes
    _filled: Sequence[bytes]

    @property
    def size(self) -> int:
        """Bytes of the whole message."""
        return sum(map(len, self._message)) + (self._seal.size if self._seal else 0)

    @property
    def unsigned(self) -> bool:
        """Nobody signs it."""
        return self._seal is None

    def signed(self) -> bytes:
        """The whole message."""
        signatures = self._seal.on(self._personal, self._filled) if self._seal else b""
        return b"".join((signatures, *self._message))


class Letters:
    """The letters of a stream of parcels, which come issue by issue: each issue is serialised once."""

    def __init__(
        self, *, sender: str, reply_to: str = "", signers: Sequence[Signer] = (), unsubscribe_mail: str = ""
    ) -> None:
        self._letter = partial(
            Letter, sender=sender, reply_to=reply_to, signers=signers, unsubscribe_mail=unsubscribe_mail
        )
        self._last: tuple[Issue, Letter] | None = None

    def of(self, issue: Issue) -> Letter:
        """The letter of an issue.

        Raises:
            RenderError: it cannot be written.
        """
        if self._last is None or self._last[0] != issue:
            self._last = issue, self._letter(issue)
        return self._last[1]


def slot(name: str) -> str:
    """What a template of a mail writes where each recipient gets something else: a link, a greeting.

    Raises:
        ValueError: the name is not made of ``a`` to ``z`` and ``_``.
    """
    if not re.fullmatch("[a-z_]+", name):
        raise ValueError(f"not the name of a slot: {name!r} (a to z and _)")
    return f"\uffff{name}\uffff"


ANYBODY = Subscriber(**{name: slot(name) for name in _NAMES})
"""What templates are given as the subscriber where each is written to later: each field is a slot."""


def filled(document: Document, subscriber: Subscriber) -> Document:
    """A document of a mail as one subscriber reads it, for those who only look at it: its slots are filled."""

    def own(slot: re.Match[bytes]) -> bytes:
        text: str = getattr(subscriber, slot[1].decode())
        return (escape(text) if document.media_type == "text/html" else text).encode()

    return replace(document, body=_SLOT.sub(own, document.body))


def check_address(text: str) -> str:
    """Check ``a@b`` or ``Name <a@b>`` and give it back in its normal form; a foreign domain becomes ASCII (IDNA).

    Raises:
        ValueError: it is not an address; the message says why.
    """
    return str(_mailbox(text))


def bare_address(text: str) -> str:
    """The address of ``Name <a@b>``, as an envelope wants it.

    Raises:
        ValueError: it is not an address.
    """
    return _mailbox(text).address


def address_key(address: str) -> str:
    """By what an address is known again: the same for all ways of writing it; of what is no address, too, a text.

    In NFC and without capitals (RFC 5321 section 2.4 lets the local part tell them apart; nobody does), the domain by
    its A-labels (RFC 5890 section 2.3.2.1).
    """
    if address.isascii():
        return address.lower()
    local, at, domain = address.rpartition("@")
    return unicodedata.normalize("NFC", local.casefold()) + at + _a_labels(domain)


@lru_cache(maxsize=1024)
def _a_labels(domain: str) -> str:
    import idna

    try:
        return idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        return unicodedata.normalize("NFC", domain.casefold())


def needs_utf8(address: str) -> bool:
    """Whether an address can only be written where SMTPUTF8 is spoken (RFC 6531): its local part is not ASCII."""
    return not bare_address(address).isascii()


def default_sender(site: Site) -> str:
    """Who writes when the operator names nobody: the site itself, ``news@`` its host.

    Raises:
        ValueError: the site's title has control characters.
    """
    return str(_Mailbox(_one_line(site.title.strip()), f"news@{_mail_domain(site.url)}"))


def message_id(issue: int | str, channel: str, recipient: str, domain: str, secret: str) -> str:
    """The identity of one issue to one recipient on one channel: ``local@domain``, a function of its arguments.

    The local part is a keyed hash of 160 bits, so that nobody learns a recipient from it or can guess another's.
    """
    return f"{keyed_hash(json.dumps([issue, channel, recipient]), secret, 20)}@{quote(domain, safe='')}"


# --- addresses -------------------------------------------------------------------------------------------------------


class _Mailbox(NamedTuple):
    """RFC 5322 section 3.4: a name, which may be empty, and an address."""

    name: str
    address: str

    def __str__(self) -> str:
        if not self.name:
            return self.address
        return f"{self.name if _UNQUOTED.fullmatch(self.name) else _quoted(self.name)} <{self.address}>"

    def written(self, header: str) -> str:
        """As a header has it; the name in encoded words where it must be."""
        if not self.name:
            return self.address
        plain = self.name if _ATOMS.fullmatch(self.name) else _quoted(self.name)
        if _is_plain(plain):
            return f"{plain} <{self.address}>"
        return f"{_encoded_words(header, self.name)}\r\n <{self.address}>"


def _writer(sender: str, site: Site) -> _Mailbox:
    try:
        return _mailbox(sender or default_sender(site))
    except ValueError as error:
        message = f"no mail can come from {sender or site.url}: {error}"
        raise RenderError(message, hint="Write `from: Name <news@example.org>` in the channel.") from error


@lru_cache(maxsize=64)  # the same address is asked for several times in a row
def _mailbox(text: str) -> _Mailbox:
    text = text.strip(" ")
    if not text.endswith(">"):
        return _Mailbox("", _address(text))
    name, _, address = text[:-1].rpartition("<")
    return _Mailbox(_one_line(_unquoted(name.strip(" "))), _address(address))


def _address(text: str) -> str:
    if "=?" in text:  # readers decode encoded words even here, where there are none (RFC 2047 section 5)
        raise ValueError(f"not an address that can be mailed: {text[:60]!r}")
    if len(text) <= _LONGEST_ADDRESS and _ORDINARY.fullmatch(text):
        local, _, domain = text.rpartition("@")
        return f"{local}@{domain.lower()}"
    from email_validator import validate_email

    found = validate_email(_one_line(text), check_deliverability=False, allow_domain_literal=True)
    return f"{found.local_part}@{found.ascii_domain}"


def _quoted(name: str) -> str:
    escaped = re.sub(r'(["\\])', r"\\\1", name)
    return f'"{escaped}"'


def _unquoted(name: str) -> str:
    if len(name) > 1 and name[0] == name[-1] == '"':
        return re.sub(r"\\(.)", r"\1", name[1:-1])
    return name


class _Mailto(NamedTuple):
    """Addresses as URLs (RFC 6068), of which each has another token."""

    before: str
    after: str

    def of(self, token: str) -> str:
        if not _TOKEN.fullmatch(token):
            raise ValueError(f"not a token: {token[:60]!r}")
        return f"mailto:{self.before}{token}{self.after}"


def _mailto(pattern: str) -> _Mailto:
    before, token, after = _address(pattern).partition("{token}")
    if not token:
        raise ValueError(f"{pattern!r} does not say where the {{token}} goes")
    return _Mailto(quote(before, safe=_MAIL_SAFE), quote(after, safe=_MAIL_SAFE))


def _mail_domain(url: str) -> str:
    """The host of a URL as a mail domain; an IP address as a literal (RFC 5321 section 4.1.3)."""
    host = urlsplit(url).hostname or ""
    try:
        ip = ip_address(host)
    except ValueError:
        return host
    return f"[IPv6:{ip}]" if ip.version == 6 else f"[{ip}]"


# --- headers ---------------------------------------------------------------------------------------------------------


def _headers(issue: Issue, sender: _Mailbox, reply_to: _Mailbox | None) -> bytes:
    return b"".join(_field(name, value) for name, value in _values(issue, sender, reply_to))


def _values(issue: Issue, sender: _Mailbox, reply_to: _Mailbox | None) -> Iterator[tuple[str, str]]:
    publication = issue.publication
    yield "From", sender.written("From")
    if reply_to:
        yield "Reply-To", reply_to.written("Reply-To")
    yield "Subject", _unstructured("Subject", issue.document("subject.txt").text.strip())
    yield "Date", format_datetime(issue.created.astimezone(UTC))
    yield "List-Id", _list_id(publication)
    yield "List-Archive", f"<{_url(publication.address())}>"
    yield "List-Help", f"<{_url(publication.address())}>"
    yield "Feedback-ID", _feedback_id(issue)
    yield "Auto-Submitted", "auto-generated"
    yield "Precedence", "bulk"
    yield "Content-Language", quote(publication.language, safe="")
    yield "MIME-Version", "1.0"


def _list_id(publication: Publication) -> str:
    """RFC 2919 section 3."""
    host = urlsplit(publication.site.url).hostname or ""
    return f"<{quote(publication.name, safe='')}.{quote(host, safe='')}>"


def _feedback_id(issue: Issue) -> str:
    """By what Gmail counts complaints: https://support.google.com/mail/answer/6254652.

    The issue, its publication, and last the sender in 5 to 15 characters; no two of them may be the same.
    """
    publication = issue.publication
    name, host = quote(publication.name, safe=""), urlsplit(publication.site.url).hostname or ""
    sender = hashlib.sha256(host.encode()).hexdigest()[:10]
    return f"{name}-{issue.number}:{name}:{sender}"


def _url(text: str) -> str:
    """The address of a page as a header has it, in ASCII."""
    if _URL.fullmatch(text):
        return text
    if not text.startswith(("http://", "https://")):
        raise ValueError(f"not the address of a web page: {text[:60]!r}")
    # Readers look for encoded words even here.
    return quote(_one_line(text), safe=_URL_SAFE).replace("=?", "=%3F")


def _field(name: str, value: str) -> bytes:
    """One header; a value comes already checked and encoded, this is the last look at it."""
    header = f"{name}: {value}"
    if len(header) <= _LONGEST_LINE and _PRINTABLE.fullmatch(header):
        return header.encode() + b"\r\n"
    lines = header.encode().split(b"\r\n")
    folded = all(line.startswith(b" ") and line.strip() for line in lines[1:])
    if not folded or any(len(line) > _LONGEST_LINE or _BROKEN.search(line) for line in lines):
        raise ValueError(f"{name} cannot be written in a header: {value[:60]!r}")
    return b"\r\n".join(lines) + b"\r\n"


_BROKEN = re.compile(rb"[\x00-\x1f\x7f]")


def _unstructured(header: str, text: str) -> str:
    """RFC 5322 section 2.2.1, RFC 2047."""
    text = _one_line(text)
    return text if _is_plain(text) else _encoded_words(header, text)


def _is_plain(text: str) -> bool:
    """Readers get it back as it is: nothing in it can be taken for an encoded word, or for folding."""
    plain = _PRINTABLE.fullmatch(text) and "=?" not in text and text == text.strip()
    return bool(plain) and len(text) <= _LONGEST_PLAIN


def _encoded_words(header: str, text: str) -> str:
    """RFC 2047 section 2; in B or in Q, whichever is shorter."""
    return Header(text, "utf-8", header_name=header, maxlinelen=_LONGEST_ENCODED_LINE).encode(linesep="\r\n")


def _one_line(text: str) -> str:
    if found := _CONTROL.search(text):
        raise ValueError(f"a control character (U+{ord(found[0]):04X}) in {text[:60]!r}")
    return text


# --- bodies ----------------------------------------------------------------------------------------------------------


def _body(issue: Issue, kind: str) -> bytes:
    """A body in quoted-printable, with a mark where each slot is."""
    *before, last = _SLOT.split(issue.document(f"mail.{kind}").body)
    marked = (
        _to_be_continued(text) + f"\uffff{kind}:{name.decode()}\uffff".encode()
        for text, name in zip(before[::2], before[1::2], strict=True)
    )
    return b"".join(marked) + _quoted_printable(last)


def _taken_apart(body: bytes) -> tuple[list[bytes], list[tuple[str, str]]]:
    """What is shared, and the slots between its pieces: which body each is in, and its name."""
    found = _MARK.split(body)
    slots = zip(found[1::3], found[2::3], strict=True)
    return found[::3], [(kind.decode(), name.decode()) for kind, name in slots]


def _filling(kind: str, value: str) -> bytes:
    if _READY.fullmatch(value):
        return value.encode() + b"=\r\n"
    line = _one_line(value)
    return _to_be_continued((escape(line) if kind == "html" else line).encode())


def _to_be_continued(text: bytes) -> bytes:
    """Quoted-printable that ends in a soft break, so that what follows begins a line of its own and nobody sees it."""
    return _quoted_printable(text + b"x")[:-1] + b"=\r\n"  # the x keeps a column free, and a blank from ending a line


def _quoted_printable(body: bytes) -> bytes:
    """RFC 2045 section 6.7: lines of at most 76 bytes, CRLF, whatever ended the lines before.

    A dot that would begin a line is encoded, and has a line of its own: to look for such lines in each message that is
    sent would take longer than to make it.
    """
    text = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    lines = _DOTS.sub(lambda dots: b"=2E=\n" * len(dots[0]), binascii.b2a_qp(text))
    return lines.replace(b"\n", b"\r\n")


def _alternatives(text: bytes, html: bytes) -> bytes:
    # Quoted-printable never has an underscore after an equals sign, so no body can hold the boundary (RFC 2045, 6.7).
    boundary = "=_" + hashlib.sha256(text + html).hexdigest()[:32]
    line = f"--{boundary}".encode()
    return b"\r\n".join(
        [
            f'Content-Type: multipart/alternative;\r\n boundary="{boundary}"\r\n'.encode(),
            line,
            _part("plain", text),
            line,
            _part("html", html),
            line + b"--\r\n",
        ]
    )


def _part(subtype: str, body: bytes) -> bytes:
    head = f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    return head.encode() + body


def _told(issue: Issue) -> str:
    return f"{issue.publication.name}, issue {issue.number}"
