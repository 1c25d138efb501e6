"""What each reader of an issue gets of their own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from outside import Clock

from publisher.app import App, load
from publisher.model import State
from publisher.tokens import opened

HOUSE = """
sources:
  notes: {kind: folder, path: notes}
publications:
  weekly:
    title: Weekly
    digest: {schedule: "mon 08:00", first_issue: 60d}
    recipients: [ada@example.org, "bob&co@example.org"]
"""
PERSONAL = "<p>{% if subscriber.address.startswith('ada') %}Good morning{% else %}Hello{% endif %}</p>"


@pytest.fixture
def config(tmp_path: Path, write_config: Callable[[str], Path]) -> Path:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/first.md").write_text("---\ntitle: First\ndate: 2026-10-01\n---\nText.\n")
    return write_config(HOUSE)


@contextmanager
def sent(config: Path, clock: Clock) -> Iterator[tuple[App, dict[str, EmailMessage]]]:
    app = App(load(config, {}), clock)
    reports = app.once(lambda _: None, lambda *_: None)
    assert all(report.well for report in reports)
    files = (config.parent / "outbox").glob("*.eml")
    mails = [message_from_bytes(file.read_bytes(), policy=policy.default) for file in files]
    yield app, {str(mail["To"]): mail for mail in mails}
    app.close()


def body(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    assert part
    return str(part.get_content())


def test_each_reader_gets_a_link_of_their_own_to_leave_by(config: Path, clock: Clock) -> None:
    with sent(config, clock) as (app, mails):
        assert set(mails) == {"ada@example.org", "bob&co@example.org"}
        numbers = set()
        for mail in mails.values():
            [link] = re.findall(r"<(\S+/unsubscribe/\S+)>", str(mail["List-Unsubscribe"]))
            assert f'href="{link}"' in body(mail, "html")
            assert link in body(mail, "plain")
            numbers.add(opened("unsubscribe", link.rpartition("/")[2], app.secret))
        assert numbers == {1, 2}


def test_a_template_that_looks_at_who_reads_it_is_rendered_for_each_of_them(config: Path, clock: Clock) -> None:
    templates = config.parent / "templates"
    templates.mkdir()
    (templates / "digest.html.j2").write_text(PERSONAL + '<a href="{{ subscriber.unsubscribe }}">Leave</a>')
    with sent(config, clock) as (_, mails):
        told = {to: "Good morning" in body(mail, "html") for to, mail in mails.items()}
        assert told == {"ada@example.org": True, "bob&co@example.org": False}
        assert len({body(mail, "html") for mail in mails.values()}) == 2


def test_one_for_whom_the_template_cannot_be_rendered_is_named_and_the_others_get_theirs(
    config: Path, clock: Clock
) -> None:
    templates = config.parent / "templates"
    templates.mkdir()
    (templates / "digest.html.j2").write_text("<p>{% if subscriber.address.startswith('ada') %}{{ 1 // 0 }}{% endif %}")
    with sent(config, clock) as (app, mails):
        assert set(mails) == {"bob&co@example.org"}
        with app.store.read() as tx:
            told = {row.recipient: (row.state, row.faults) for row in tx.deliveries.list(limit=9)}
            [detail] = [row.detail for row in tx.deliveries.list(State.DEFERRED, limit=9)]
        assert told == {"ada@example.org": (State.DEFERRED, 1), "bob&co@example.org": (State.SENT, 0)}
        assert detail.startswith("digest.html.j2")
