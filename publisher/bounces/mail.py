"""Mail that came back: what each message says of whom.

It may be a delivery status notification (RFC 3464, RFC 6533), a complaint (ARF, RFC 5965), a wish to be left alone
(RFC 8058, RFC 2369), an automatic answer (RFC 3834), or what some server thought a bounce should look like.  Anybody
may write anything here, so what is looked at is bounded, and nothing that it holds raises.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesParser, HeaderParser
from itertools import islice

from publisher.bounces.returned import Addresses, Returned, addresses_in
from publisher.replies import Fate, code_in, fate_of, status_in

_ENOUGH = 96 * 1024
"""Bytes: reports come first, and what they return comes last."""
_MOST_PARTS = 24
_MOST_RECIPIENTS = 50
_LONGEST_FIELD = 4000
_LONGEST_NOTICE = 16_000


def read(message: bytes, addresses: Addresses) -> tuple[Returned, ...]:
    """What a message that came back tells, at least one thing; whatever its bytes are, it does not raise.

    The token of the address it came back to tells most: it is taken from the headers that name the recipient, else
    from the report, else from what was sent back.

    Args:
        message: as it lay in the mailbox; its first 96 KiB are looked at.
        addresses: where mail of ours comes back to.
    """
    try:
        return tuple(islice(_read(_parsed(message), addresses), _MOST_RECIPIENTS))
    except Exception as error:  # whatever a hostile message does to a parser must not stop the mailbox
        return (Returned(fate=Fate.NOTHING, detail=f"cannot be read: {type(error).__name__}"),)


def _read(message: Message, addresses: Addresses) -> Iterator[Returned]:
    parts = list(_parts(message))
    if (token := addresses.unsubscribed(_recipients(message))) and not _is_automatic(message, parts):
        yield Returned(fate=Fate.UNSUBSCRIBE, token=token, recipient=_field(message, "From"), detail=_subject(message))
        return
    original = _original(parts)
    token = addresses.bounced(_trail(message, parts, original))
    for found in _told(message, parts, original, token):
        yield replace(found, token=token, message_id=_field(original, "Message-ID"))


def _told(message: Message, parts: list[Message], original: Message, token: str) -> Iterable[Returned]:
    if complaint := _complaint(parts, original):
        return [complaint]
    if statuses := list(_statuses(parts)):
        return (_status(fields, _notice(parts), original) for fields in statuses)
    if _is_answer(message):
        return [Returned(fate=Fate.NOTHING, detail=f"an automatic answer: {_subject(message)}")]
    return _plain(message, _notice(parts), original, token)


# --- the message, taken apart ----------------------------------------------------------------------------------------

_BOUNDARY = re.compile(rb"boundary", re.IGNORECASE)
_LONG_LINE = re.compile(rb"([^\n]{4000})[^\n]+")
_LONG_FOLD = re.compile(rb"((?:\n[ \t][^\n]*){40})(?:\n[ \t][^\n]*)+")


def _parsed(message: bytes) -> Message:
    """The message, cut to what Python's parser reads in time.

    It needs time by the square of a header's length and of the depth of parts, and 300 levels end its stack.
    """
    message = _LONG_LINE.sub(rb"\1", message[:_ENOUGH])
    head, end, body = message.replace(b"\r\n", b"\n").partition(b"\n\n")
    message = _LONG_FOLD.sub(rb"\1", head) + end + body
    deepest = next(islice(_BOUNDARY.finditer(message), _MOST_PARTS, None), None)
    return BytesParser().parsebytes(message[: deepest.start()] if deepest else message)


def _parts(message: Message) -> Iterator[Message]:
    """The parts that are no containers, but not those of messages that are enclosed."""
    found = [message]
    for _ in range(4 * _MOST_PARTS):
        if not found:
            return
        part = found.pop(0)
        inner = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(inner, list):
            found[:0] = [one for one in inner[: 2 * _MOST_PARTS] if isinstance(one, Message)]
        else:
            yield part


def _content(part: Message) -> str:
    """What a part says, its transfer encoding undone; also of those that Python's parser takes apart itself."""
    if not part.is_multipart():
        content = part.get_payload(decode=True)
        return _decoded(content if isinstance(content, bytes) else b"", part.get_content_charset("utf-8"))
    inner = part.as_bytes().partition(b"\n\n")[2]
    bare = Message()
    bare["Content-Transfer-Encoding"] = _field(part, "Content-Transfer-Encoding") or "8bit"
    bare.set_payload(inner.decode("ascii", "surrogateescape"))
    content = bare.get_payload(decode=True)
    return _decoded(content if isinstance(content, bytes) else inner, "utf-8")


def _decoded(content: bytes, charset: str) -> str:
    try:
        return content.decode(charset, "replace")
    except LookupError:
        return content.decode("utf-8", "replace")


def _field(message: Message, name: str) -> str:
    return next(iter(_fields(message, name)), "")


def _fields(message: Message, name: str) -> list[str]:
    return [str(value)[:_LONGEST_FIELD] for value in message.get_all(name, [])[:_MOST_PARTS]]


def _subject(message: Message) -> str:
    subject = _field(message, "Subject")
    try:
        return str(make_header(decode_header(subject)))
    except (MessageError, ValueError, LookupError):
        return subject


def _blocks(text: str) -> Iterator[Message]:
    """Groups of fields with empty lines between them (RFC 3464 section 2.1)."""
    blocks = re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n"))
    return (HeaderParser().parsestr(block.lstrip("\n")) for block in blocks[: 2 * _MOST_RECIPIENTS])


_RETURNED = {"message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers"}
_MARK = re.compile(
    r"^[ >]*(?:--[^\n]{0,80}?(?:original|copy|returned|below|header|nachricht|message)"
    r"|(?:Received|Return-Path|DKIM-Signature):)",
    re.IGNORECASE | re.MULTILINE,
)
_QUOTED = re.compile(
    r"^[ >]*((?:Message-ID|Return-Path|To|Sender):[^\n]*(?:\n[ \t]+<[^\n]*)?)", re.IGNORECASE | re.MULTILINE
)


def _original(parts: list[Message]) -> Message:
    """The headers of our message as far as they were sent back: as a part of its own, else quoted in the text."""
    for part in parts:
        if part.get_content_type() in _RETURNED:
            return next(_blocks(_content(part)), Message())
    quoted = _MARK.search(text := _text(parts))
    lines = _QUOTED.findall(text, quoted.start()) if quoted else []
    return HeaderParser().parsestr("\n".join(lines[:_MOST_PARTS]))


def _text(parts: list[Message]) -> str:
    plain = [part for part in parts if part.get_content_type() == "text/plain"]
    if plain:
        return "\n".join(_content(part) for part in plain[:3])[:_ENOUGH].replace("\r\n", "\n")
    html = next((part for part in parts if part.get_content_type() == "text/html"), None)
    return re.sub(r"<[^<>]{0,2000}>", " ", _content(html)) if html else ""


def _notice(parts: list[Message]) -> str:
    """What the server says to a human, without the message that it quotes."""
    text = _text(parts)
    quoted = _MARK.search(text, 1)
    return text[: quoted.start() if quoted else None][:_LONGEST_NOTICE]


# --- whose message it was --------------------------------------------------------------------------------------------


def _recipients(message: Message) -> Iterator[str]:
    for name in ("Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "To", "Cc"):
        yield from _fields(message, name)


def _trail(message: Message, parts: list[Message], original: Message) -> Iterator[str]:
    """All that may hold the address our message came from, the most trustworthy first."""
    yield from _recipients(message)
    for part in parts:
        if part.get_content_type() in _REPORTS:
            for block in islice(_blocks(_content(part)), _MOST_RECIPIENTS):
                for name in ("Original-Mail-From", "Original-Recipient", "Final-Recipient"):
                    yield from _fields(block, name)
    for name in ("Return-Path", "Sender", "X-Envelope-From", "Errors-To"):
        yield from _fields(original, name)


# --- complaints (RFC 5965) -------------------------------------------------------------------------------------------

_NO_COMPLAINT = {"not-spam", "auth-failure", "virus", "dmarc"}


def _complaint(parts: list[Message], original: Message) -> Returned | None:
    for part in parts:
        if part.get_content_type() == "message/feedback-report":
            return _feedback(next(_blocks(_content(part)), Message()), original)
    if recipient := _field(original, "X-HmXmrOriginalRecipient"):  # Outlook.com encloses the message, and no report
        return Returned(fate=Fate.COMPLAINT, recipient=recipient, detail="complaint from Outlook.com")
    return None


def _feedback(report: Message, original: Message) -> Returned:
    kind = _field(report, "Feedback-Type").strip().lower()
    recipient = _field(report, "Original-Rcpt-To") or _field(report, "Removal-Recipient") or _field(original, "To")
    return Returned(
        fate=Fate.NOTHING if kind in _NO_COMPLAINT else Fate.COMPLAINT,
        recipient="" if "redacted" in recipient.lower() else recipient,
        detail=f"{kind} reported by {_field(report, 'User-Agent') or _field(report, 'Reporting-MTA')}",
    )


# --- delivery status notifications (RFC 3464, RFC 6533) --------------------------------------------------------------

_DELIVERY = {"message/delivery-status", "message/global-delivery-status"}
_REPORTS = {*_DELIVERY, "message/feedback-report"}
_LATER = {"delayed", "delivered", "relayed", "expanded"}
"""RFC 3464 section 2.3.3: what is not, or not yet, a failure."""


def _statuses(parts: list[Message]) -> Iterator[Message]:
    """The fields of each recipient."""
    for part in parts:
        if part.get_content_type() in _DELIVERY:
            yield from (block for block in _blocks(_content(part)) if "Final-Recipient" in block or "Action" in block)


def _status(fields: Message, notice: str, original: Message) -> Returned:
    typed = _field(fields, "Original-Recipient") or _field(fields, "Final-Recipient") or _field(original, "To")
    recipient = _UNICODE.sub(lambda found: chr(min(int(found[1], 16), 0x10FFFF)), typed.rpartition(";")[2])
    words = _field(fields, "Diagnostic-Code").partition(";")[2].strip() or _paragraph(notice, recipient)
    status = _field(fields, "Status").strip().partition(" ")[0]
    action = _field(fields, "Action").strip().lower()
    late = action in _LATER or (not action and status[:1] != "5")
    fate = Fate.NOTHING if late else fate_of(code_in(words), status, words)
    known = status if not status.endswith(".0.0") else status_in(words) or status
    return Returned(fate=fate, recipient=recipient, status=known, detail=f"{action}: {words}" if late else words)


_UNICODE = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")
"""RFC 6533 section 3."""


# --- automatic answers (RFC 3834) ------------------------------------------------------------------------------------

_ANSWERS = re.compile(
    r"out of (?:the )?office|auto(?:matic|mated)?[- ]?(?:reply|response|answer)|on vacation|away from|abwesenheit"
    r"|automatische (?:antwort|r[eé]ponse)|r[eé]ponse automatique|absence|respuesta autom|risposta automatica"
    r"|fuori sede|自動応答|不在|please confirm|confirm your (?:message|e-?mail)|challenge",
    re.IGNORECASE,
)
_DAEMON = re.compile(
    r"mailer[-_ ]?daemon|post ?master|mail[-_ ]?daemon|mail delivery|delivery sub|mdaemon|microsoft exchange"
    r"|mailadministrator|mail administrator|mail system|mta@|bounce",
    re.IGNORECASE,
)


def _is_answer(message: Message) -> bool:
    """Whether a person's mailbox answered; mail systems too call their bounces automatic."""
    if "X-Failed-Recipients" in message:
        return False
    marked = "X-Autoreply" in message or "X-Autorespond" in message or "auto_reply" in _field(message, "Precedence")
    automatic = _field(message, "Auto-Submitted").strip().lower().startswith("auto-replied")
    return marked or bool(_ANSWERS.search(_subject(message))) or (automatic and not _is_from_daemon(message))


def _is_from_daemon(message: Message) -> bool:
    return bool(_DAEMON.search(_field(message, "From"))) or _field(message, "Return-Path").strip() == "<>"


def _is_automatic(message: Message, parts: list[Message]) -> bool:
    """Whether no reader meant it: reports, and answers to what never was sent from there."""
    reports = any(part.get_content_type() in _REPORTS for part in parts)
    return reports or _is_answer(message)


# --- what is written for humans --------------------------------------------------------------------------------------

_WAITING = re.compile(
    r"not yet been delivered|no action is required|will (?:be|continue to be|keep) (?:re)?tr(?:ied|ying)|delayed"
    r"|warning message|delivery attempts will continue|still trying",
    re.IGNORECASE,
)


def _plain(message: Message, notice: str, original: Message, token: str) -> Iterable[Returned]:
    late, failed = _scanned(message)
    if late and not failed:
        return [_late(address, notice) for address in late]
    if failed:
        return [_failed(address, notice) for address in failed]
    if not _is_from_daemon(message) or not (token or "Message-ID" in original):
        return [Returned(fate=Fate.NOTHING, detail=f"not understood: {_subject(message)}")]
    recipient = next(addresses_in(_field(original, "To")), "")
    return [_late(recipient, notice) if _WAITING.search(notice) else _failed(recipient, notice)]


def _scanned(message: Message) -> tuple[list[str], list[str]]:
    """The addresses that are late, and those that failed, by the wordings that flufl.bounce knows."""
    from flufl.bounce import all_failures

    logging.getLogger("flufl.bounce").setLevel(
        logging.CRITICAL
    )  # it tells a stack for each message that makes it stumble
    try:
        late, failed = all_failures(message)
    except Exception:  # a detector stumbled, as some do over a missing or 8-bit From: our own eyes remain
        return [], []
    return sorted(address.decode() for address in late), sorted(address.decode() for address in failed)


def _late(recipient: str, notice: str) -> Returned:
    return Returned(fate=Fate.NOTHING, recipient=recipient, detail=f"delayed: {_paragraph(notice, recipient)}")


def _failed(recipient: str, notice: str) -> Returned:
    words = _paragraph(notice, recipient)
    fate = fate_of(code_in(words), status_in(words), words)
    return Returned(fate=fate, recipient=recipient, status=status_in(words), detail=words)


def _paragraph(notice: str, recipient: str) -> str:
    """The part of a notice that tells of the recipient, and what follows it; else the whole."""
    paragraphs = [one.strip() for one in re.split(r"\n[ \t]*\n", notice) if one.strip()]
    name = recipient.strip().lower()
    for number, paragraph in enumerate(paragraphs):
        if name and name in paragraph.lower():
            return "\n".join(paragraphs[number : number + 3])
    return "\n".join(paragraphs)
