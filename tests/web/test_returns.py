"""Readers who leave, and providers that report: a real server on loopback."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import pytest
import requests
from outside import Clock

from publisher.app import App, load
from publisher.model import State
from publisher.tokens import token
from publisher.web import serving

ADA = "ada@example.org"
HOUSE = """
sources:
  notes: {kind: folder, path: notes}
publications:
  news: {title: News & <Views>, recipients: [ada@example.org], digest: {schedule: "mon 08:00", first_issue: 520w}}
  plain: {title: Plain, recipients: [ada@example.org], digest: {schedule: "mon 08:00", first_issue: 520w}}
bounces:
  mailgun: {signing_key: key}
  postmark: {password: "user:word"}
  ses: {topic: "arn:aws:sns:eu-west-1:123456789012:bounces"}
  mailbox: {url: "imap://bounce:word@127.0.0.1:1/INBOX"}
"""
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@dataclass
class House:
    app: App
    address: str

    @property
    def suppressed(self) -> list[tuple[str, str, str]]:
        with self.app.store.read() as tx:
            return [(one.address, one.publication, one.reason) for one in tx.suppressions.list(limit=100)]

    def link(self, publication: str = "news") -> str:
        """Where the reader of a delivery leaves."""
        with self.app.store.read() as tx:
            [issue] = tx.issues.recent(1, publication)
            [delivery] = tx.deliveries.list(issue=issue.id, limit=10)
        return f"{self.address}/unsubscribe/{token('unsubscribe', delivery.id, self.app.secret)}"

    def report(self, provider: str, body: object, **headers: str) -> requests.Response:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return requests.post(f"{self.address}/bounces/{provider}", data=data, headers=headers, timeout=30)


@pytest.fixture
def house(tmp_path: Path, write_config: Callable[[str], Path], clock: Clock) -> Iterator[House]:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/first.md").write_text("---\ntitle: First\ndate: 2026-10-01\n---\nText.\n")
    app = App(load(write_config(HOUSE), {}), clock)
    for step in ("collect", "compose"):
        for work in app.due(step):
            app.do(work)
    with serving(lambda: app) as where:
        yield House(app, where.rstrip("/"))
    app.close()


def test_looking_at_the_page_changes_nothing(house: House, tmp_path: Path) -> None:
    def content() -> list[str]:
        with sqlite3.connect(tmp_path / "data/publisher.db") as database:
            return list(database.iterdump())

    before = content()
    for ask in (requests.get, requests.head, requests.options):
        ask(house.link(), timeout=30)
        ask(f"{house.link()}?from=everything", timeout=30)
        ask(f"{house.address}/bounces/mailgun", timeout=30)
    assert content() == before


def test_the_page_has_a_form_no_script_and_nothing_about_the_reader(house: House) -> None:
    answer = requests.get(house.link(), timeout=30)
    assert answer.status_code == 200
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self';")
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in answer.headers
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=|javascript:", answer.text, re.IGNORECASE)
    assert "News &amp; &lt;Views&gt;" in answer.text
    assert answer.text.count("<form method") == 1
    assert ADA not in answer.text
    [sheet] = re.findall(r'<link rel="stylesheet" href="([^"]+)"', answer.text)
    assert requests.get(urljoin(house.link(), sheet), timeout=30).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"data": ONE_CLICK},
        {"files": {name: (None, value) for name, value in ONE_CLICK.items()}},
        {"data": {"from": "publication"}},
        {"data": b""},
        {"data": b"\xff\x00&&=%%"},
    ],
    ids=["one click", "one click, multipart", "the button", "nothing", "rubbish"],
)
def test_one_post_leaves_the_publication_without_cookie_or_redirect(house: House, body: dict[str, object]) -> None:
    for _ in range(2):
        answer = requests.post(house.link(), **body, timeout=30, allow_redirects=False)
        assert answer.status_code == 200
        assert "You are unsubscribed" in answer.text
    assert house.suppressed == [(ADA, "news", "unsubscribed")]


def test_the_other_button_leaves_everything(house: House) -> None:
    answer = requests.post(house.link(), data={"from": "everything"}, timeout=30)
    assert "<form" not in answer.text
    assert house.suppressed == [(ADA, "", "unsubscribed")]


@pytest.mark.parametrize("wrong", ["x", "1-aaaaaaaaaaaaaaaaaaaaaaaaaa", "%00", "<b>"])
def test_a_wrong_link_is_said_to_be_one(house: House, wrong: str) -> None:
    for ask in (requests.get, requests.post):
        answer = ask(f"{house.address}/unsubscribe/{wrong}", timeout=30)
        assert answer.status_code == 404
        assert "This link does not work" in answer.text
        assert "<form" not in answer.text
    assert house.suppressed == []


def test_a_form_that_is_too_large_is_refused(house: House) -> None:
    assert requests.post(house.link(), data=b"x" * 20_000, timeout=30).status_code == 413
    assert house.suppressed == []


def test_a_delivery_planned_before_its_reader_left_is_suppressed_and_the_issue_is_finished(
    house: House, tmp_path: Path
) -> None:
    requests.post(house.link("news"), data=ONE_CLICK, timeout=30)
    for work in house.app.due("deliver"):
        house.app.do(work)
    with house.app.store.read() as tx:
        issues = {row.publication: (row.finished, tx.deliveries.by_state(row.id)) for row in tx.issues.recent(9)}
    assert all(finished for finished, _ in issues.values())
    assert {name: states for name, (_, states) in issues.items()} == {
        "news": {State.SUPPRESSED: 1},
        "plain": {State.SENT: 1},
    }
    [mail] = (tmp_path / "outbox").rglob("*.eml")
    assert b"Plain" in mail.read_bytes()


def test_a_store_that_is_away_is_told_so_that_the_provider_tries_again(house: House, tmp_path: Path) -> None:
    link = house.link()
    with sqlite3.connect(tmp_path / "data/publisher.db") as database:
        for table in ("suppressions", "returns"):
            database.execute(f"ALTER TABLE {table} RENAME TO lost_{table}")
    assert requests.post(link, data=ONE_CLICK, timeout=30).status_code == 503
    answer = house.report("postmark", {"RecordType": "SpamComplaint", "Email": ADA}, Authorization=_basic("user:word"))
    assert answer.status_code == 503


def _basic(secret: str) -> str:
    return f"Basic {base64.b64encode(secret.encode()).decode()}"


def test_a_providers_report_takes_effect_and_a_forged_one_does_not(house: House) -> None:
    report = {"RecordType": "SpamComplaint", "Email": ADA}
    assert house.report("postmark", report, Authorization=_basic("user:guess")).status_code == 403
    assert house.report("postmark", report).status_code == 403
    assert house.suppressed == []
    for _ in range(2):
        assert house.report("postmark", report, Authorization=_basic("user:word")).status_code == 204
    assert house.suppressed == [(ADA, "", "complaint")]


def test_mailgun_is_told_not_to_repeat_what_is_forged(house: House, clock: Clock) -> None:
    stamp = str(int(clock().timestamp()))
    sign = hmac.digest(b"key", f"{stamp}token".encode(), hashlib.sha256).hex()
    event = {"event": "complained", "recipient": ADA}
    said = {"signature": {"timestamp": stamp, "token": "token", "signature": sign}, "event-data": event}
    forged = {**said, "signature": {"timestamp": stamp, "token": "token", "signature": "x"}}
    assert house.report("mailgun", forged).status_code == 406
    assert house.suppressed == []
    assert house.report("mailgun", said).status_code == 204
    assert house.suppressed == [(ADA, "", "complaint")]


@pytest.mark.parametrize("name", ["brevo", "nothing", "mailbox", "part", "model_fields", "__class__"])
def test_who_is_not_configured_is_not_found(house: House, name: str) -> None:
    assert house.report(name, {}).status_code == 404


def test_what_cannot_be_read_is_a_bad_request_and_what_is_too_large_is_refused(house: House) -> None:
    assert house.report("postmark", b"{", Authorization=_basic("user:word")).status_code == 400
    assert house.report("postmark", b" " * 5_000_001, Authorization=_basic("user:word")).status_code == 413
    assert house.report("ses", {"TopicArn": "arn:aws:sns:eu-west-1:123456789012:another"}).status_code == 403
