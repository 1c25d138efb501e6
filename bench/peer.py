"""How it is usually done: an ``EmailMessage`` built for each recipient, signed by dkimpy, sent by smtplib."""

from __future__ import annotations

import smtplib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

import dkim  # type: ignore[import-untyped]  # it ships no type information

from bench.house import DOMAIN, SELECTOR, SENDER, unsubscribe
from publisher.mime import filled
from publisher.model import Issue, Subscriber

_SIGNED = (
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "List-Id",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "MIME-Version",
    "Content-Type",
)
_INCLUDED = [name.lower().encode() for name in _SIGNED]


def message(issue: Issue, recipient: str) -> EmailMessage:
    """The same documents and much the same headers as the house mails."""
    reader = Subscriber(address=recipient, unsubscribe=unsubscribe(0))
    mail = EmailMessage(policy=SMTP)
    mail["To"] = recipient
    mail["Message-ID"] = f"<{recipient.partition('@')[0]}.{issue.number}@news.example.org>"
    mail["From"] = SENDER
    mail["Subject"] = issue.document("subject.txt").text
    mail["Date"] = format_datetime(issue.created)
    mail["List-Id"] = "<weekly.news.example.org>"
    mail["List-Unsubscribe"] = f"<{reader.unsubscribe}>"
    mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail["Auto-Submitted"] = "auto-generated"
    mail["Precedence"] = "bulk"
    mail.set_content(filled(issue.document("mail.txt"), reader).text)
    mail.add_alternative(filled(issue.document("mail.html"), reader).text, subtype="html")
    return mail


def signed(mail: EmailMessage, key: bytes) -> bytes:
    """The message with its signature (relaxed/relaxed, as ours)."""
    content = mail.as_bytes()
    ways = {"canonicalize": (b"relaxed", b"relaxed"), "include_headers": _INCLUDED}
    signature: bytes = dkim.sign(content, SELECTOR.encode(), DOMAIN.encode(), key, **ways)
    return signature + content


def send(port: int, issue: Issue, count: int, key: bytes = b"", connections: int = 1) -> None:
    """Send the issue to that many recipients over so many connections, each in a thread of its own."""
    with ThreadPoolExecutor(connections) as pool:
        parts = [range(first, count, connections) for first in range(connections)]
        list(pool.map(lambda numbers: _sent(port, issue, numbers, key), parts))


def _sent(port: int, issue: Issue, numbers: Iterable[int], key: bytes) -> None:
    with smtplib.SMTP("127.0.0.1", port) as relay:
        for number in numbers:
            recipient = f"reader{number}@example.org"
            mail = message(issue, recipient)
            relay.sendmail(SENDER, [recipient], signed(mail, key) if key else mail.as_bytes())
