"""What the operator is told: the clock is ours, the web, the mail server and the store are real."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from outside import Clock, Mail, MailServer, Post, Response, WebSite, rss

from publisher.app import App, load
from publisher.store import SourceState

CONFIG = """
database: {database}
sources:
{sources}
channels:
  post: {{kind: smtp, url: "smtp://127.0.0.1:{port}", from: News <news@example.org>}}
{alerts}
"""
ALERTS = "alerts: {deliver: [post], recipients: [ops@example.org]}"
DOWN = Response(b"", 503)


class House:
    """The service under test: sources of one web site, and an operator who reads mail."""

    def __init__(
        self, write: Callable[[str], Path], web: WebSite, mail: MailServer, clock: Clock, database: str
    ) -> None:
        self._write, self.web, self._mail, self.clock, self._database = write, web, mail, clock, database
        self.names: list[str] = []
        self.pages: list[str] = []
        self.alerts = ALERTS

    @property
    def mails(self) -> list[Mail]:
        return self._mail.mails

    def serve(self, *names: str) -> None:
        for name in names:
            self.web.pages[f"/{name}"] = rss(self.web.url, [Post(name, self.clock() - timedelta(days=1))])

    def fail(self, *names: str) -> None:
        for name in names:
            self.web.pages[f"/{name}"] = DOWN

    def open(self) -> App:
        every = "every: 30m, private: true"
        kinds = [*((name, "feed") for name in self.names), *((name, "page") for name in self.pages)]
        sources = "\n".join(f'  {n}: {{kind: {kind}, url: "{self.web.url}/{n}", {every}}}' for n, kind in kinds)
        text = CONFIG.format(sources=sources, port=self._mail.port, alerts=self.alerts, database=self._database)
        return App(load(self._write(text)), self.clock)

    def run(self, *, hours: float, step: float = 5) -> None:
        """Let the time pass, doing every few minutes what is due."""
        app = self.open()
        until = self.clock() + timedelta(hours=hours)
        while self.clock() < until:
            self.clock.advance(minutes=step)
            app.once(lambda _: None, lambda *_: None)
        app.close()


@pytest.fixture
def house(
    url: str, write_config: Callable[[str], Path], web_site: WebSite, mail_server: MailServer, clock: Clock
) -> House:
    return House(write_config, web_site, mail_server, clock, url)


def test_a_source_that_fails_for_two_days_is_one_message_and_one_when_it_is_well(house: House) -> None:
    house.names = ["blog", "council"]
    house.serve("blog", "council")
    house.run(hours=2)
    house.fail("council")
    house.run(hours=24, step=15)
    house.web.pages["/council"] = Response(b"", 500)  # the same ailment in other words
    house.run(hours=24, step=30)
    [ill] = house.mails
    assert (ill.to, ill.subject) == ("ops@example.org", "Harbour News: 1 source needs a look: council")
    assert "answered 503 Service Unavailable" in ill.text
    assert "publisher source test council" in ill.text
    assert ill.at - house.clock() < timedelta(hours=-44)
    assert ill.message["List-Unsubscribe"] is None
    house.serve("council")
    house.run(hours=30, step=30)
    [_, well] = house.mails
    assert well.subject == "Harbour News: council is well again"
    assert "Well again: council (Blog)" in well.text


def test_a_hiccup_is_no_message(house: House) -> None:
    house.names = ["blog"]
    house.serve("blog")
    house.run(hours=2)
    for _ in range(5):
        house.fail("blog")
        house.run(hours=0.75)
        house.serve("blog")
        house.run(hours=2)
    assert house.mails == []


def test_when_the_network_is_down_for_fifty_sources_it_is_one_message_and_one_when_it_is_back(house: House) -> None:
    house.names = [f"s{number:02}" for number in range(50)]
    house.serve(*house.names)
    house.run(hours=1, step=15)
    house.fail(*house.names)
    house.run(hours=3, step=15)
    [ill] = house.mails
    assert ill.subject == "Harbour News: 50 sources need a look: s00, s01, s02, s03, s04 and 45 more"
    assert all(f"{name} (Blog)" in ill.text for name in house.names)
    house.serve(*house.names)
    house.run(hours=3, step=15)
    [_, well] = house.mails
    assert well.subject == "Harbour News: s00, s01, s02, s03, s04 and 45 more are well again"


def test_a_new_source_with_a_wrong_address_is_told_of_within_minutes(house: House) -> None:
    house.names = ["typo"]
    house.run(hours=0.5)
    [ill] = house.mails
    assert "answered 404 Not Found" in ill.text


def test_what_is_well_before_it_was_told_is_no_message(house: House) -> None:
    house.names = ["typo"]
    app = house.open()
    app.once(lambda _: None, lambda *_: None)
    with app.store.read() as tx:
        assert [state.ailment for state in tx.sources.untold()] == ["failing"]
    house.serve("typo")
    app.do(app.by_hand("collect", ["typo"])[0])
    app.close()
    house.run(hours=2)
    assert house.mails == []


def test_without_alerts_nothing_is_sent_and_what_was_there_is_told_when_there_are(house: House) -> None:
    house.names, house.alerts = ["typo"], ""
    house.run(hours=2)
    assert house.mails == []
    house.alerts = ALERTS
    house.run(hours=1)
    assert [mail.subject for mail in house.mails] == ["Harbour News: 1 source needs a look: typo"]


def test_a_source_that_is_not_there_any_more_is_nobodys_concern(house: House) -> None:
    house.names, house.alerts = ["blog", "typo"], ""
    house.serve("blog")
    house.run(hours=1)
    house.names, house.alerts = ["blog"], ALERTS
    house.run(hours=2)
    assert house.mails == []


def test_a_page_that_is_held_is_told_at_once_and_accepted_by_a_command(house: House) -> None:
    golden = Path(__file__).parent.parent / "golden" / "redesigns" / "other_links"
    house.pages = ["council"]

    def show(name: str) -> None:
        body = (golden / f"{name}.html").read_bytes()
        house.web.pages["/council"] = Response(body, headers={"Content-Type": "text/html"})

    show("before")
    house.run(hours=1)
    show("after")
    house.run(hours=1)
    [held] = house.mails
    assert "looks different" in held.text
    assert held.text.count("publisher source accept council") == 1
    app = house.open()
    [wrong] = app.status().wrong
    assert wrong.count("publisher source accept council") == 1
    assert app.status().sources[0].entries == 4
    assert not app.accept("nobody")
    assert app.accept("council")
    app.close()
    house.run(hours=0.5)
    assert [mail.subject for mail in house.mails[1:]] == ["Harbour News: council is well again"]
    app = house.open()
    assert app.status().sources[0].entries == 7
    with app.store.read() as tx:
        assert all(entry.backlog for entry in tx.entries.newest(["council"], 10))
    app.close()


KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from publisher.app import App, load
from publisher.store import deliveries
when = {when!r}
app = App(load(Path(sys.argv[1])), lambda: datetime.fromisoformat(sys.argv[2])).ready()
def kill(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
if when == "before its end":
    deliveries.Deliveries.plan = kill
app.do(app.due("alert")[0])
kill()
"""


@pytest.mark.parametrize(("when", "waiting"), [("before its end", True), ("after its end", False)])
def test_a_message_of_a_process_that_is_killed_is_neither_lost_nor_doubled(
    house: House, tmp_path: Path, when: str, waiting: bool
) -> None:
    house.names = ["typo"]
    app = house.open()
    app.once(lambda _: None, lambda *_: None)
    house.clock.advance(minutes=5)
    words = [sys.executable, "-c", KILLED.format(when=when), str(tmp_path / "config.yaml"), house.clock().isoformat()]
    killed = subprocess.run(words, env=os.environ, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert bool(app.due("alert")) == waiting
    app.close()
    house.run(hours=2)
    assert [mail.subject for mail in house.mails] == ["Harbour News: 1 source needs a look: typo"]


def test_a_folder_holds_one_message_for_each_recipient(house: House, tmp_path: Path) -> None:
    house.names = ["typo"]
    house.alerts = "alerts: {deliver: [outbox], recipients: [a@example.org, b@example.org]}"
    house.run(hours=0.5)
    assert [file.name.rpartition("-")[0] for file in sorted((tmp_path / "outbox").iterdir())] == [
        "alerts-notice-a-example.org",
        "alerts-notice-b-example.org",
    ]


def test_status_tells_what_is_wrong_although_the_last_visit_went_well(house: House) -> None:
    house.names = ["blog"]
    app = house.open()
    ends = house.clock() + timedelta(days=3)
    with app.store.write() as tx:
        tx.sources.put(SourceState(name="blog", ailment="certificate", expires=ends))
    assert app.status().wrong == [
        "source blog: the certificate of its server ends on 2026-10-22 (tell whoever runs the site; when it has ended, "
        "the source cannot be read any more)"
    ]
    app.close()
