"""The smtp kind and a real mail system: Postfix takes the mail, Dovecot keeps it."""

from __future__ import annotations

import mailbox as mailboxes
import os
import re
import shutil
import socket
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import quote

import mta as mail_system
import pytest
from mta import PASSWORD, Mta
from receivers import make_issue, make_parcel
from waiting import wait_for

from publisher.channels.smtp import Smtp
from publisher.errors import ChannelError
from publisher.model import Parcel, Receipt, Verdict
from publisher.net import Net

SENT, DEFERRED, FAILED = Verdict.SENT, Verdict.DEFERRED, Verdict.FAILED
RETURNING = "{mailbox}+{token}@example.org"
"""The envelope sender that a returned mail goes to."""


def channel(mta: Mta, service: str = "smtp", *, scheme: str = "smtp", login: str = "", **options: object) -> Smtp:
    url = f"{scheme}://{login}127.0.0.1:{mta.ports[service]}"
    return Smtp(url=url, timeout=timedelta(seconds=30), **options)  # type: ignore[arg-type]  # passed through as they are


def send(options: Smtp, parcels: list[Parcel], net: Net) -> list[Receipt]:
    return list(options.send(parcels, net))


def verdicts(receipts: list[Receipt]) -> list[Verdict]:
    return [receipt.verdict for receipt in receipts]


def text_of(message: EmailMessage) -> str:
    body = message.get_body(("plain",))
    assert body
    return str(body.get_content())


# --- what arrives ----------------------------------------------------------------------------------------------------


def test_a_stream_arrives_whole_and_once(mta: Mta, net: Net) -> None:
    text = "Grüße vom Hafen\n.\n..zwei\n" + "Zeile\n" * 500
    boxes = [mta.new_mailbox() for _ in range(4)]
    issue = make_issue(text=text)
    parcels = [make_parcel(n, f"{boxes[n % 4]}+{n}@example.org", issue) for n in range(200)]
    receipts = send(channel(mta), parcels, net)
    assert [(receipt.delivery, receipt.verdict) for receipt in receipts] == [(n, SENT) for n in range(200)]
    arrived = [message for box in boxes for message in mta.messages(box, count=50)]
    assert Counter(message["To"] for message in arrived) == Counter(parcel.recipient for parcel in parcels)
    assert {message["Message-ID"] for message in arrived} == {f"<{parcel.message_id}>" for parcel in parcels}
    assert {text_of(message) for message in arrived} == {text.replace("\n", "\r\n")}


def test_commands_that_come_ahead_of_the_answers_are_taken_on_one_connection(mta: Mta, net: Net) -> None:
    box, since = mta.new_mailbox(), len(mta.log())
    options = channel(mta)
    parcels = [make_parcel(n, f"{box}+{n}@example.org") for n in range(20)]
    assert verdicts(send(options, parcels, net)) == [SENT] * 20
    log = mta.log("ehlo=1 mail=20 rcpt=20 data=20 quit=1 commands=62", since=since)
    assert log.count("disconnect from") == 1
    assert "improper command pipelining" not in log


def test_each_of_a_mixed_stream_gets_its_own_verdict(mta: Mta, net: Net) -> None:
    box = mta.new_mailbox()
    order = ["good", "refused", "good", "busy", "refused", "busy", "good", "busy", "busy", "refused", "refused", "good"]
    expected = {"good": (SENT, "250 2.0.0"), "refused": (FAILED, "550 5.1.1"), "busy": (DEFERRED, "450 4.2.1")}
    recipients = [f"{box}+{n}@example.org" if who == "good" else f"{who}@example.org" for n, who in enumerate(order)]
    receipts = send(channel(mta), [make_parcel(n, to) for n, to in enumerate(recipients)], net)
    assert [(receipt.verdict, receipt.detail[:9]) for receipt in receipts] == [expected[who] for who in order]
    arrived = {message["To"] for message in mta.messages(box, count=4)}
    assert arrived == {to for to in recipients if to.startswith(box)}


def test_what_the_relay_takes_and_cannot_deliver_yet_is_its_own_affair(mta: Mta, net: Net) -> None:
    since = len(mta.log())
    assert verdicts(send(channel(mta), [make_parcel(1, "later@example.org")], net)) == [SENT]
    assert "status=deferred" in mta.log("status=deferred", since=since)


def test_a_mail_that_cannot_be_delivered_comes_back_to_its_token(mta: Mta, net: Net) -> None:
    box = mta.new_mailbox()
    returning = RETURNING.format(mailbox=box, token="tok3n")
    parcel = make_parcel(1, "gone@example.org")
    assert verdicts(send(channel(mta, sender=returning), [parcel], net)) == [SENT]
    (report,) = mta.messages(box, count=1)
    assert (report.get_content_type(), report["Return-Path"]) == ("multipart/report", "<>")
    assert report["Delivered-To"] == report["To"] == returning
    _, status, returned = report.iter_parts()
    _, recipient = status.get_payload()
    assert recipient["Final-Recipient"] == "rfc822; gone@example.org"
    assert (recipient["Action"], recipient["Status"]) == ("failed", "5.1.1")
    assert returned.get_payload(0)["Message-ID"] == f"<{parcel.message_id}>"


@pytest.mark.parametrize("local", [False, True], ids=["network", "socket"])
def test_mail_goes_straight_into_the_store_by_lmtp(mta: Mta, net: Net, local: bool) -> None:
    box = mta.new_mailbox()
    parcels = [make_parcel(n, f"{who}@example.org") for n, who in enumerate([f"{box}+1", "gone", f"{box}+2"])]
    by_socket = Smtp(url=f"lmtp+unix://{mta.folder / 'lmtp'}")
    receipts = send(by_socket if local else channel(mta, "lmtp", scheme="lmtp"), parcels, net)
    assert verdicts(receipts) == [SENT, FAILED, SENT]
    assert receipts[1].detail.startswith("550 5.1.1")
    assert [message["To"] for message in mta.messages(box, count=2)] == [f"{box}+{n}@example.org" for n in (1, 2)]


# --- what is offered, and what is not --------------------------------------------------------------------------------


def test_a_login_over_starttls(mta: Mta, certificate: Path, net: Net) -> None:
    box, since = mta.new_mailbox(), len(mta.log())
    login = f"{box}%40example.org:{quote(PASSWORD, safe='')}@"
    options = channel(mta, "submission", scheme="smtp+starttls", login=login, ca=certificate)
    assert options.check(net).endswith(f"answers, TLSv1.3, logged in as {box}@example.org")
    assert verdicts(send(options, [make_parcel(n, f"{box}@example.org") for n in range(3)], net)) == [SENT] * 3
    assert len(mta.messages(box, count=3)) == 3
    assert mta.log(since=since).count(f"sasl_method=PLAIN, sasl_username={box}@example.org") == 3


def test_a_wrong_password_is_refused(mta: Mta, certificate: Path, net: Net) -> None:
    options = channel(mta, "submission", scheme="smtp+starttls", login="box1%40example.org:no@", ca=certificate)
    with pytest.raises(ChannelError, match=r"535 5\.7\.8"):
        options.check(net)


def test_a_certificate_that_nobody_vouches_for_is_refused(mta: Mta, net: Net) -> None:
    with pytest.raises(ChannelError, match="not to be trusted"):
        channel(mta, scheme="smtp+starttls").check(net)


def test_a_local_part_beyond_ascii_arrives(mta: Mta, net: Net) -> None:
    assert verdicts(send(channel(mta), [make_parcel(1, "jösé@maildir.example.org")], net)) == [SENT]
    mta.log("to=<jösé@maildir.example.org>, relay=virtual")
    (message,) = mailboxes.Maildir(mta.folder / "maildir/inbox", create=False)
    assert "To: jösé@maildir.example.org\n".encode() in message.as_bytes()


@pytest.mark.parametrize(
    ("service", "detail"),
    [("small", "the relay takes 1,500"), ("small_untold", "552 5.3.4 Error: message file too big")],
)
def test_a_message_that_is_too_large_fails_and_the_next_one_arrives(
    mta: Mta, net: Net, service: str, detail: str
) -> None:
    box = mta.new_mailbox()
    large = make_parcel(1, f"{box}@example.org", make_issue(text="x" * 5000))
    receipts = send(channel(mta, service), [large, make_parcel(2, f"{box}@example.org", make_issue(text="-"))], net)
    assert verdicts(receipts) == [FAILED, SENT]
    assert detail in receipts[0].detail
    assert len(mta.messages(box, count=1)) == 1


# --- one message in, one out -----------------------------------------------------------------------------------------

SECOND = "MAIL FROM:<evil@example.org>{0}RCPT TO:<{1}@example.org>{0}DATA{0}Subject: smuggled{0}{0}x{0}.{0}"
ENDS = {
    "CRLF.CRLF": "\r\n.\r\n",
    "LF.LF": "\n.\n",
    "CR.CR": "\r.\r",
    "LF.CRLF": "\n.\r\n",
    "CRLF.LF": "\r\n.\n",
    "CR.CRLF": "\r.\r\n",
    "CRLF.CR": "\r\n.\r",
    "LF.CR": "\n.\r",
    "CR.LF": "\r.\n",
    "CRLF..CRLF": "\r\n..\r\n",
    "LFCR.LFCR": "\n\r.\n\r",
    "CRCRLF.CRCRLF": "\r\r\n.\r\r\n",
    "NUL": "\r\n\x00.\r\n",
    "dot NUL": "\r\n.\x00\r\n",
    "VT": "\x0b.\x0b",
    "FF": "\x0c.\x0c",
    "NEL": "\x85.\x85",
    "LS": "\u2028.\u2028",
    "the same as quoted-printable": "=0D=0A.=0D=0A",
    "a soft break": "=\r\n.\r\n",
}


def test_no_body_becomes_a_second_message_or_loses_its_end(mta: Mta, net: Net) -> None:
    box = mta.new_mailbox()
    smuggled = {name: end + SECOND.format("\r\n", box) + f"END {name}" for name, end in ENDS.items()}
    parcels = [
        make_parcel(number, f"{box}+{number}@example.org", make_issue(number, text=f"START {name}{text}"))
        for number, (name, text) in enumerate(smuggled.items())
    ]
    assert verdicts(send(channel(mta), parcels, net)) == [SENT] * len(ENDS)
    last = make_parcel(99, f"{box}+99@example.org")
    assert verdicts(send(channel(mta), [last], net)) == [SENT]
    arrived = {message["To"]: message for message in mta.messages(box, count=len(ENDS) + 1)}
    assert len(mta.contents(box)) == len(arrived) == len(ENDS) + 1
    for parcel, (name, text) in zip(parcels, smuggled.items(), strict=True):
        received = text_of(arrived[parcel.recipient])
        assert _lines(received) == _lines(f"START {name}{text}")


def _lines(text: str) -> list[str]:
    """The same for any way to write a line's end."""
    return re.split(r"\r\n|\r|\n", text.rstrip("\r\n"))


# --- the harness -----------------------------------------------------------------------------------------------------


def test_nothing_is_left_running_when_the_test_run_is_killed(mta: Mta, certificate: Path) -> None:
    script = (
        "import os, pathlib, sys, mta\n"
        "with mta.running(pathlib.Path(sys.argv[1])) as system:\n"
        "    system.contents('box1')\n"
        "    print(system.folder, system.ports['smtp'], system.ports['imap'], flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(mail_system.__file__).parent)}
    command = [sys.executable, "-c", script, certificate]
    ended = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=False)
    folder, *ports = ended.stdout.decode().split()
    assert ended.returncode == -9
    wait_for(lambda: not _processes(folder))
    shutil.rmtree(folder)
    for port in map(int, ports):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 1)


def _processes(about: str) -> list[str]:
    """The command lines of running processes that name it."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(process.read_text(errors="replace"))
    return [line for line in found if about in line]
