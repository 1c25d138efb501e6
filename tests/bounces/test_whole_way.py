"""The whole way: the house sends to a real mail system, what that sends back takes effect, and the house goes on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from mta import PASSWORD, Mta
from outside import Clock, MailServer

from publisher.app import App, load
from publisher.engine.local import Report
from publisher.model import State
from publisher.store import UNPROVEN

HOUSE = """
sources:
  notes: {{kind: folder, path: notes, every: 1h}}
publications:
  news:
    title: News
    digest: {{schedule: "daily 08:00", first_issue: 520w}}
    recipients: [{recipients}]
    deliver: [post]
channels:
  post: {{kind: smtp, url: "smtp://127.0.0.1:{port}", from: news@example.org, bounces: "{box}+{{token}}@example.org"}}
"""
MAILBOX = """
bounces:
  mailbox: {{url: "imap://{box}%40example.org:{password}@127.0.0.1:{port}/INBOX", every: 5m}}
"""
NOTE = "---\ntitle: Note {n}\ndate: 2026-10-{n}\n---\nText.\n"
REPORT = """\
From: MAILER-DAEMON@mx.example.net
To: {to}
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net

Final-Recipient: rfc822; gone@example.org
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 unknown user

--b--
"""


def once(app: App) -> list[Report]:
    return app.once(lambda _: None, lambda *_: None)


def write_note(folder: Path, n: int) -> None:
    (folder / "notes").mkdir(exist_ok=True)
    (folder / f"notes/{n}.md").write_text(NOTE.format(n=n))


@pytest.fixture
def start(write_config: Callable[[str], Path], clock: Clock) -> Iterator[Callable[[str], App]]:
    running: list[App] = []

    def started(text: str) -> App:
        running.append(App(load(write_config(text), {}), clock))
        return running[-1]

    yield started
    for app in running:
        app.close()


def states(app: App) -> list[dict[State, int]]:
    """Of each issue, the newest first; all of them are finished."""
    with app.store.read() as tx:
        rows = tx.issues.recent(10)
        assert all(row.finished for row in rows)
        return [tx.deliveries.by_state(row.id) for row in rows]


def test_a_reader_whom_a_real_mail_system_does_not_know_gets_one_mail_and_no_second(
    mta: Mta, start: Callable[[str], App], tmp_path: Path, clock: Clock
) -> None:
    box, reader = mta.new_mailbox(), mta.new_mailbox()
    write_note(tmp_path, 12)
    people = f"{reader}@example.org, nobody-here@example.org"
    mailbox = MAILBOX.format(box=box, password=quote(PASSWORD, safe=""), port=mta.ports["imap"])
    app = start(HOUSE.format(recipients=people, port=mta.ports["smtp"], box=box) + mailbox)
    once(app)
    [report] = mta.messages(box, count=1)
    assert report.get_content_type() == "multipart/report"
    clock.advance(minutes=10)
    [told] = [one for one in once(app) if one.work.step == "bounces"]
    assert (told.words, told.changed) == ("1 taken", True)
    assert mta.contents(box) == []
    with app.store.read() as tx:
        [row] = tx.suppressions.returned(limit=9)
        [suppressed] = tx.suppressions.list(limit=9)
    assert (row.address, row.fate, row.status) == ("nobody-here@example.org", "hard", "5.1.1")
    assert (suppressed.address, suppressed.reason) == ("nobody-here@example.org", "hard")
    write_note(tmp_path, 19)
    clock.advance(days=1)
    once(app)
    assert states(app) == [{State.SENT: 1, State.SUPPRESSED: 1}, {State.SENT: 2}]
    assert len(mta.messages(reader, count=2)) == 2
    assert mta.contents(box) == []


def test_a_mailbox_that_cannot_be_read_is_told_and_left_alone_longer_and_longer(
    mta: Mta, start: Callable[[str], App], clock: Clock
) -> None:
    box = mta.new_mailbox()
    wrong = MAILBOX.format(box=box, password="wrong", port=mta.ports["imap"])
    app = start(wrong)
    clock.advance(minutes=1)
    asked = []
    for _ in range(12):
        reports = once(app)
        assert all("refuses the login" in one.words and not one.well for one in reports)
        asked.append(len(reports))
        clock.advance(minutes=5)
    assert asked == [1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0]
    assert [line for line in app.status().wrong if line.startswith("bounces: ") and "refuses the login" in line]
    mended = start(MAILBOX.format(box=box, password=quote(PASSWORD, safe=""), port=mta.ports["imap"]))
    assert [one.words for one in once(mended)] == ["0 taken"]
    assert mended.status().wrong == []


def test_what_is_not_about_our_mail_stays_in_the_mailbox_and_is_told_once(
    mta: Mta, start: Callable[[str], App], clock: Clock
) -> None:
    box = mta.new_mailbox()
    mta.fill(box, b"From: reader@example.net\r\nSubject: Hello\r\n\r\nA letter.\r\n")
    text = MAILBOX.format(box=box, password=quote(PASSWORD, safe=""), port=mta.ports["pop3"])
    app = start(text.replace("imap://", "pop3://").replace("/INBOX", ""))
    said = []
    for _ in range(2):
        said += [one.words for one in once(app)]
        clock.advance(minutes=5)
    assert said == ["0 taken; 1 left in the mailbox for you to look at (the first: it is not for us)", "0 taken"]
    assert len(mta.contents(box)) == 1


def test_what_proved_nothing_is_forgotten_by_a_visit_a_year_later(
    mta: Mta, start: Callable[[str], App], clock: Clock
) -> None:
    box = mta.new_mailbox()
    mta.fill(box, REPORT.format(to="bounce+1-aaaaaaaaaaaaaaaaaaaaaaaaaa@example.org").replace("\n", "\r\n").encode())
    house = HOUSE.format(recipients="", port=mta.ports["smtp"], box="bounce")
    app = start(house + MAILBOX.format(box=box, password=quote(PASSWORD, safe=""), port=mta.ports["imap"]))
    kept = []
    for days in (365, 1, 0):
        [told] = [one for one in once(app) if one.work.step == "bounces"]
        with app.store.read() as tx:
            kept.append((told.words, [row.fate for row in tx.suppressions.returned(limit=9)]))
        clock.advance(days=days)
    assert kept == [("1 taken", [UNPROVEN]), ("0 taken", [UNPROVEN]), ("0 taken", [])]


def piped(config: Path, message: str) -> subprocess.CompletedProcess[str]:
    """What a mail server's pipe does."""
    command = [sys.executable, "-m", "publisher", "-c", str(config), "bounce", "take"]
    return subprocess.run(command, input=message, capture_output=True, text=True, timeout=60, check=False)


def test_a_bounce_that_a_mail_server_pipes_in_takes_effect(
    mail_server: MailServer, start: Callable[[str], App], tmp_path: Path, clock: Clock
) -> None:
    senders: list[str] = []

    async def handle_mail(server: object, session: object, envelope: object, address: str, options: object) -> str:
        senders.append(address)
        envelope.mail_from = address
        return "250 OK"

    mail_server.handle_MAIL = handle_mail
    write_note(tmp_path, 12)
    app = start(HOUSE.format(recipients="gone@example.org", port=mail_server.port, box="bounce"))
    once(app)
    done = piped(tmp_path / "config.yaml", REPORT.format(to=senders[0]))
    assert (done.returncode, done.stdout) == (0, "taken\n")
    done = piped(tmp_path / "config.yaml", REPORT.format(to="bounce+1-aaaaaaaaaaaaaaaaaaaaaaaaaa@example.org"))
    assert (done.returncode, done.stdout) == (0, "taken\n")
    with app.store.read() as tx:
        assert [row.reason for row in tx.suppressions.list(limit=9)] == ["hard"]
        assert sorted(row.fate for row in tx.suppressions.returned(limit=9)) == ["hard", "unproven"]
    done = piped(tmp_path / "config.yaml", "Subject: Hello\n\nA letter.\n")
    assert (done.returncode, done.stdout) == (0, "nothing in it is about our mail\n")


@pytest.mark.parametrize("harm", ["database: sqlite:////dev/null/store.db\n", "sorces: {}\n", None])
def test_the_mail_server_is_asked_to_try_again_when_the_fault_is_ours(
    write_config: Callable[[str], Path], harm: str | None
) -> None:
    config = write_config(harm or "")
    if harm is None:
        config.unlink()
    done = piped(config, REPORT.format(to="bounce+x@example.org"))
    assert done.returncode == 75, done.stderr
    assert "Traceback" not in done.stderr
