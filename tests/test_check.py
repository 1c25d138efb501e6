from __future__ import annotations

import re
import smtplib
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from mta import PASSWORD, Mta
from typer.testing import CliRunner
from waiting import wait_for

from publisher.app import load
from publisher.check import Finding, check, connect
from publisher.cli import cli
from publisher.net import Net
from publisher.templating import Templates

HOUSE = """
publications:
  news:
    title: News
    sources: []
    digest: {{schedule: "mon 08:00", subject: "{subject}"}}
    recipients: [ada@example.org]
"""

Found = Callable[..., list[str]]


@pytest.fixture
def found(tmp_path: Path, write_config: Callable[[str], Path]) -> Found:
    """What is found well of a digest besides that it compiles."""

    def find(template: str = "", subject: str = "News") -> list[str]:
        settings = load(write_config(HOUSE.format(subject=subject)))
        (tmp_path / "templates").mkdir()
        if template:
            (tmp_path / "templates/digest.html.j2").write_text(template)
        findings = check(settings, Templates(tmp_path / "templates"))
        ours = [finding for finding in findings if finding.place.startswith("publications.news.digest")]
        assert all(finding.well for finding in ours)
        return [finding.message for finding in ours if "compiles" not in finding.message]

    return find


def test_of_a_template_that_only_prints_its_subscriber_nothing_is_said(found: Found) -> None:
    assert found("{{ subscriber.name }}") == []


def test_a_template_that_asks_about_its_subscriber_is_told_with_its_line(found: Found) -> None:
    [said] = found(
        "{% extends 'built-in/digest.html.j2' %}\n{% block footer %}{{ subscriber.name | upper }}{% endblock %}"
    )
    assert said.startswith("digest.html.j2:2: `subscriber` is not only printed, so each recipient's mail is rendered")


def test_a_subject_that_knows_its_subscriber_is_told(found: Found) -> None:
    [said] = found(subject="For {{ subscriber.name }}")
    assert said.startswith("`subscriber` is in the subject, so each recipient's mail is rendered")


# --- the mailbox that mail comes back to -----------------------------------------------------------------------------


@pytest.fixture
def answered(write_config: Callable[[str], Path]) -> Callable[..., Finding]:
    """What is found when the mailbox at an address is asked."""

    def ask(url: str, **options: Path) -> Finding:
        written = "".join(f", {name}: {value}" for name, value in options.items())
        settings = load(write_config(f'bounces:\n  mailbox: {{url: "{url}"{written}}}\n'), {})
        [of_outbox, found] = connect(settings, Net())
        assert (of_outbox.place, found.place) == ("channels.outbox", "bounces.mailbox")
        return found

    return ask


def mailbox_url(mta: Mta, box: str, scheme: str, *, password: str = PASSWORD, folder: str = "") -> str:
    port = mta.ports[scheme]
    return f"{scheme}://{box}%40example.org:{quote(password, safe='')}@127.0.0.1:{port}{folder}"


@pytest.mark.parametrize(
    ("scheme", "encryption"), [("imap", "not encrypted"), ("imaps", "encrypted"), ("pop3", "not encrypted")]
)
def test_the_mailbox_is_logged_into_and_keeps_its_messages(
    mta: Mta, certificate: Path, answered: Callable[..., Finding], scheme: str, encryption: str
) -> None:
    box, messages = mta.new_mailbox(), [b"Subject: one\r\n\r\nText\r\n", b"Subject: two\r\n\r\nText\r\n"]
    mta.fill(box, *messages)
    login = f"logged in as {box}@example.org; messages in INBOX: 2"
    said = f"127.0.0.1:{mta.ports[scheme]} answers, {encryption}, {login}"
    assert answered(mailbox_url(mta, box, scheme), ca=certificate) == Finding("bounces.mailbox", said, True)
    assert mta.contents(box) == messages
    with mta.open_mailbox(box) as reader:
        assert reader.search(None, "UNSEEN", "UNFLAGGED")[1] == [b"1 2"]


def test_what_is_new_in_the_mailbox_stays_new_to_others(mta: Mta, answered: Callable[..., Finding]) -> None:
    box = mta.new_mailbox()
    with smtplib.SMTP("127.0.0.1", mta.ports["smtp"]) as relay:
        relay.sendmail("ada@example.org", f"{box}@example.org", b"Subject: one\r\n\r\nText\r\n")
    new = mta.folder / "mail" / box / "mail/new"
    arrived = wait_for(lambda: list(new.glob("*")))
    assert "messages in INBOX: 1" in answered(mailbox_url(mta, box, "imap")).message
    assert list(new.glob("*")) == arrived


@pytest.mark.parametrize(
    ("scheme", "wrong", "said"),
    [
        ("imap", {"password": "wrong"}, "refuses the login: "),
        ("pop3", {"password": "wrong"}, "refuses the login: "),
        ("imap", {"folder": "/Nowhere"}, "doesn't exist"),
        ("imaps", {}, "its certificate is not to be trusted"),
    ],
)
def test_a_mailbox_that_does_not_let_us_in_is_told_with_its_place(
    mta: Mta, answered: Callable[..., Finding], scheme: str, wrong: dict[str, str], said: str
) -> None:
    found = answered(mailbox_url(mta, mta.new_mailbox(), scheme, **wrong))
    assert not found.well
    assert found.message.startswith(f"127.0.0.1:{mta.ports[scheme]}")
    assert said in found.message


def test_nobody_is_asked_where_no_mailbox_is_configured(write_config: Callable[[str], Path]) -> None:
    assert [found.place for found in connect(load(write_config(""), {}), Net())] == ["channels.outbox"]


def test_the_command_ends_with_3_where_the_mailbox_does_not_answer(write_config: Callable[[str], Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    file = write_config(f'bounces: {{mailbox: {{url: "imap://ada:hunter2@127.0.0.1:{port}"}}}}\n')
    done = CliRunner().invoke(cli, ["-c", str(file), "check", "--connect"])
    assert done.exit_code == 3
    assert re.search(rf"! +bounces\.mailbox +127\.0\.0\.1:{port}: no connection: Connection refused", done.output)
    assert "hunter2" not in done.output
