"""One message in, one message out, whatever is in its body."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from receivers import Grouping, Relay, make_issue, make_parcel

from publisher.channels.smtp import Smtp
from publisher.collect import tidy
from publisher.mime import slot
from publisher.model import Item, Parcel, Subscriber, Verdict
from publisher.net import Net

ENDS = [f"{before}.{after}" for before in ("\r\n", "\n", "\r", "\r\r\n") for after in ("\r\n", "\n", "\r", "\r\r\n")]
SECOND = "MAIL FROM:<v@x.org>\r\nRCPT TO:<v@x.org>\r\nDATA\r\nFrom: v@x.org\r\nSubject: another\r\n\r\nanother\r\n.\r\n"
BITS = [
    *["\r", "\n", "\r\n", "\n\r", "\r\r\n", "\x00", "\x0b", "\x0c", "\x1a", "\x85", "\u2028", "\ufeff", "\b"],
    *[".", "..", "...", " .", ". ", ".\x00", "=2E", "=\r\n", "=", "=0D=0A.=0D=0A", "=\n.", " \r\n", "\t\n"],
    *["--", "--=_", "\r\n--=_" + "0" * 32, "--=_" + "0" * 32 + "--", "boundary=", "Content-Type: text/plain\r\n\r\n"],
    *[
        "From v@x.org\n",
        "\nBcc: v@x.org\n",
        "QUIT\r\n",
        "RSET\r\n",
        "\r\n\r\n",
        SECOND,
        "begin 644 x\n",
        "=?utf-8?q?a?=",
    ],
    *["x" * 75, "x" * 76, "x" * 77, "x" * 998, "x" * 5000, " " * 80, "." * 1000, "Grüße ", "📰" * 300],
    # What tidies entries takes the marks of slots out of them.
    tidy(Item(title=f"a{slot('address')}b{slot('nobody')}"), "").title,
]


def bodies() -> list[str]:
    """100 of them, the same each time: every sort of end, and crowds of tricks."""
    dice = random.Random("bodies")
    ends = [f"before{end}{SECOND}after{end}" for end in ENDS]
    return ends + ["".join(dice.choices([*BITS, *ENDS], k=dice.randint(1, 25))) for _ in range(100 - len(ends))]


def tricky_parcels() -> list[Parcel]:
    """Each with a body of its own, and with the same in a slot as far as that is allowed there."""
    made = []
    for number, body in enumerate(bodies(), 1):
        name = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", "", body) + slot("address")
        issue = make_issue(number, text=f"{body}{slot('name')}{body}")
        made.append(replace(make_parcel(number, issue=issue), subscriber=Subscriber(name=name)))
    return made


def meant(parcel: Parcel) -> str:
    text = parcel.issue.document("mail.txt").text.replace(slot("name"), parcel.subscriber.name, 1)
    return re.sub("\r\n|\r|\n", "\r\n", text)


def test_100_bodies_with_smuggling_tricks_are_100_messages_and_read_as_they_were_meant(relay: Relay, net: Net) -> None:
    parcels = tricky_parcels()
    receipts = list(Smtp(url=f"smtp://127.0.0.1:{relay.port}").send(parcels, net))
    assert [receipt.verdict for receipt in receipts] == [Verdict.SENT] * 100
    assert [envelope.rcpt_tos for envelope in relay.taken] == [[parcel.recipient] for parcel in parcels]
    for parcel, message in zip(parcels, relay.messages, strict=True):
        assert message.get_all("Subject") == [parcel.issue.subject]
        assert [part.get_content_type() for part in message.walk()][1:] == ["text/plain", "text/html"]
        plain, _ = message.iter_parts()
        assert plain.get_payload(decode=True).decode() == meant(parcel)


@pytest.fixture
def grouping() -> Iterator[Grouping]:
    with Grouping() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server
        server.shutdown()


def test_not_even_a_relay_that_takes_any_line_end_for_one_sees_an_end_in_a_message(
    grouping: Grouping, net: Net
) -> None:
    parcels = tricky_parcels()
    receipts = list(Smtp(url=f"smtp://127.0.0.1:{grouping.port}").send(parcels, net))
    assert [receipt.verdict for receipt in receipts] == [Verdict.SENT] * 100
    assert len(grouping.taken) == 100
    for content in grouping.taken:
        assert not re.search(rb"[\r\n]\.[\r\n]|\r(?!\n)|(?<!\r)\n|[^\t\r\n -~]", content)
        assert max(map(len, content.split(b"\r\n"))) <= 998
