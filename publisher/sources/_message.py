"""A message as an item (RFC 5322, MIME: RFC 2045 to 2047).

``read`` runs in a confined child.  Anybody may write anything into a message, and much honest mail is ill-formed: wrong
labels, broken encodings and missing headers are put up with.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email.errors import MessageError
from email.header import decode_header
from email.message import Message
from email.parser import BytesParser
from email.utils import collapse_rfc2231_value, parseaddr, parsedate_to_datetime
from html import escape, unescape
from itertools import islice

from publisher.charset import decoded
from publisher.errors import SourceError
from publisher.html import absolute, clean, plain
from publisher.sources._dates import read_date
from publisher.sources._layout import flattened, is_blank
from publisher.sources._outline import word_set

_LONGEST_FIELD = 4000
"""Characters of a header that are looked at: its parsers take time by the square of it."""
_MOST_PARTS = 200
_SECRET = frozenset(
    ("multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime", "application/pgp-encrypted")
)
"""RFC 1847 section 2.2, RFC 8551 section 3.2; what is signed in the open is multipart/signed, and can be read."""
_PGP = "-----BEGIN PGP MESSAGE-----"
_ANGLED = re.compile(r"<\s*([^<>\s]+@[^<>\s]+?)\s*>")
_LINK = re.compile(r'<a href="([^"]*)"[^<>]*>(.*?)</a>', re.DOTALL)
_ON_THE_WEB = word_set(
    "browser browseren online web webversion onlineversion online-version ligne navigateur navegador nettleser "
    "nettleseren webbläsare webbläsaren"
)
_BESIDE = word_set(
    "view read open see this the it in your a email e-mail mail message newsletter issue version page "
    "im deinem ihrem zur ansehen anzeigen lesen öffnen diese ansicht "
    "voir lire afficher la le cette ce dans votre en lettre ver el su tu este esta correo mensaje no seu "
    "visualizza nel leggi apri questa bekijk lees deze dit bericht nieuwsbrief je uw de se vis visa les åbn i din "
    "nyhetsbrev nyhedsbrev brevet mailet"
)
"""The words of a link to the same issue on the web; one of the former is among them, and no other."""
_URL = re.compile(r"""https?://[^\s<>"]*[^\s<>".,;:!?)\]}'’”]""")


def read(message: bytes, arrived: str, senders: Sequence[str]) -> dict[str, str] | None:
    """The fields of an Item, and ``author``, by name; dates in ISO 8601.

    Args:
        message: as it lay in the mailbox, or its beginning.
        arrived: when; empty when that is not known.
        senders: addresses, and domains with all below them; empty: anybody.

    Returns:
        None when it is from somebody else.

    Raises:
        SourceError: there is nothing in it that could be shown.
    """
    parsed = _parsed(message)
    name, address = _sender(_field(parsed, "From"))
    if not is_from(address, senders):
        return None
    title, date = _words(_field(parsed, "Subject")), _date(_words(_field(parsed, "Date")))
    content = _content(parsed, title)
    moments = [moment for moment in (date, arrived and datetime.fromisoformat(arrived)) if moment]
    return {
        "guid": _identity(parsed) or _mark(title, address, _field(parsed, "Date"), content),
        "link": _archived(parsed) or _in_browser(content),
        "title": title,
        "content": content,
        "author": name or address,
        "published": min(moments).isoformat() if moments else "",
        "language": _field(parsed, "Content-Language").partition(",")[0].strip(),
    }


def is_from(address: str, senders: Sequence[str]) -> bool:
    """Whether an address is one of the senders, or in one of their domains or below."""
    address = address.lower()
    domain = address.rpartition("@")[2]
    return not senders or any(
        sender == address or ("@" not in sender and f".{domain}".endswith(f".{sender}")) for sender in senders
    )


def _parsed(message: bytes) -> Message:
    try:
        return BytesParser().parsebytes(message)
    except RecursionError as error:
        raise SourceError("its parts lie too deep inside each other") from error
    except (TypeError, ValueError) as error:  # RFC 2231 cuts parameters into pieces, and some do not fit together
        raise SourceError("its headers are broken") from error


# --- headers ---------------------------------------------------------------------------------------------------------


def _field(message: Message, name: str) -> str:
    """The first header of that name on one line; bytes that are no ASCII are taken for UTF-8, else for windows-1252."""
    found = next((str(value) for key, value in message.raw_items() if key.lower() == name.lower()), "")
    raw = found[:_LONGEST_FIELD].encode("utf-8", "surrogateescape")
    return " ".join(_text(raw, "").split())


def _words(field: str) -> str:
    """Without encoded words (RFC 2047, with the language of RFC 2231 section 5), however broken they are."""
    try:
        chunks = decode_header(field)
    except (MessageError, ValueError):
        return field
    text = "".join(_chunk(chunk, (charset or "").partition("*")[0]) for chunk, charset in chunks)
    return " ".join(text.split())


def _chunk(chunk: str | bytes, charset: str) -> str:
    """A piece of a header, as ``decode_header`` gives it."""
    if isinstance(chunk, str):
        return chunk
    return _text(chunk, charset) if charset else chunk.decode("raw-unicode-escape", "replace")


def _sender(field: str) -> tuple[str, str]:
    """Name and address.  A comma in a name that has no quotes around it is put up with."""
    name, address = parseaddr(field)
    if "@" not in address and (found := _ANGLED.search(field)):
        name, address = field[: found.start()].strip().strip('"'), found[1]
    return _words(name), address if "@" in address else ""


def _date(field: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(field)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return read_date(field)


def _identity(message: Message) -> str:
    """The Message-ID without what stands around it; empty when there is none."""
    field = "".join(_field(message, "Message-ID").split())
    return field.removeprefix("<").removesuffix(">")


def _mark(*told: str) -> str:
    return "sha256 " + hashlib.sha256("\n".join(told).encode(errors="replace")).hexdigest()


# --- the same on the web ---------------------------------------------------------------------------------------------


def _archived(message: Message) -> str:
    """Where this message is kept (Archived-At, RFC 5064); List-Archive is where all are, and names none of them."""
    return _web(_field(message, "Archived-At").strip("<> "))


def _in_browser(content: str) -> str:
    """Where the link for those whose mail program shows it badly leads; empty where none says so in plain words."""
    return next((_web(unescape(url)) for url, text in _LINK.findall(content) if _says_so(plain(text))), "")


def _says_so(text: str) -> bool:
    words = re.findall(r"[\w-]+", text.lower()[:100])
    is_plain = len(words) > 1 or text.lower().endswith("version")
    return is_plain and _ON_THE_WEB & set(words) != set() and set(words) <= _ON_THE_WEB | _BESIDE


def _web(url: str) -> str:
    found = absolute(url, "") if url else ""
    return found if found.startswith("http") else ""


# --- the text --------------------------------------------------------------------------------------------------------


def _content(message: Message, title: str) -> str:
    """What it says, as HTML: its parts in HTML, else those in plain text.

    Of a message that says the same in both (multipart/alternative) that is the better one; what mailing lists put below
    it in plain text is left out.
    """
    parts = list(_parts(message))
    is_secret = any(part.get_content_type() in _SECRET for part in parts)
    html = "".join(flattened(_body(part)) for part in parts if part.get_content_type() == "text/html")
    if is_blank(html) and not is_secret:
        html = clean("".join(_paragraphs(part) for part in parts if part.get_content_type() == "text/plain"))
    if _PGP in html or (is_secret and is_blank(html)):
        raise SourceError(f"{_shown(title)} is encrypted")
    if is_blank(html):
        raise SourceError(f"{_shown(title)} holds no text")
    return html


def _shown(title: str) -> str:
    """Without what could confuse a terminal."""
    return f"“{''.join(c if c.isprintable() else ' ' for c in title[:100])}”"


def _parts(message: Message) -> Iterator[Message]:
    """The parts that are shown, and containers of what is encrypted; not those of a message that is enclosed."""
    pending = [message]
    for _ in range(_MOST_PARTS):
        if not pending:
            return
        part = pending.pop(0)
        kind = part.get_content_type()
        if kind.startswith("multipart/") and kind not in _SECRET:
            pending[:0] = islice(_inner(part), _MOST_PARTS)
        elif part.get_content_disposition() != "attachment":
            yield part


def _inner(part: Message) -> Iterator[Message]:
    inner = part.get_payload() if part.is_multipart() else []
    return (one for one in inner if isinstance(one, Message))


def _body(part: Message) -> str:
    content = part.get_payload(decode=True)
    return _text(content, _parameter(part, "charset")) if isinstance(content, bytes) else ""


def _text(content: bytes, charset: str) -> str:
    """What reads as UTF-8 is UTF-8, whatever the label says, for hardly anything else does."""
    if b"\x1b" not in content and b"\0" not in content:  # ISO-2022 and UTF-16 look like ASCII, but for these
        try:
            return content.decode().removeprefix("\ufeff")
        except UnicodeDecodeError:
            pass
    return decoded(content, charset).replace("\0", "")


def _parameter(part: Message, name: str) -> str:
    """Of Content-Type, in lower case; empty where there is none that can be read (RFC 2231)."""
    try:
        return collapse_rfc2231_value(part.get_param(name, "")).lower()
    except (TypeError, ValueError):
        return ""


# --- plain text ------------------------------------------------------------------------------------------------------


def _paragraphs(part: Message) -> str:
    """An empty line parts paragraphs; addresses become links."""
    text = _body(part).replace("\r\n", "\n").replace("\r", "\n")
    if _parameter(part, "format") == "flowed":
        text = "\n".join(_unflowed(text.split("\n"), _parameter(part, "delsp") == "yes"))
    blocks = (block.strip("\n") for block in re.split(r"\n[ \t]*\n", text))
    return "".join(f"<p>{'<br>'.join(map(_linked, block.split(chr(10))))}</p>" for block in blocks if block.strip())


def _unflowed(lines: Sequence[str], delete_space: bool) -> Iterator[str]:
    """Lines put together as RFC 3676 section 4 says: one that ends with a space goes on, where it is quoted as deep."""
    open_depth, text = 0, ""
    for line in lines:
        depth = len(line) - len(line.lstrip(">"))
        said = line[depth:].removeprefix(" ")
        if text and (depth != open_depth or said == "-- "):
            yield _quoted(open_depth, text)
            text = ""
        goes_on = said.endswith(" ") and said != "-- "
        open_depth, text = depth, text + (said[:-1] if goes_on and delete_space else said)
        if not goes_on:
            yield _quoted(depth, text)
            text = ""
    if text:
        yield _quoted(open_depth, text)


def _quoted(depth: int, text: str) -> str:
    return f"{'>' * depth} {text}" if depth else text


def _linked(line: str) -> str:
    at, written = 0, ""
    for found in _URL.finditer(line):
        address = escape(found[0])
        written += f'{escape(line[at : found.start()], quote=False)}<a href="{address}">{address}</a>'
        at = found.end()
    return written + escape(line[at:], quote=False).rstrip()
