"""What each reader is told, and when: readers with topics, languages, clocks and frequencies of their own."""

from __future__ import annotations

import random
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from outside import Clock, Mail, MailServer

from publisher.app import App, load
from publisher.compose.decisions import belongs
from publisher.errors import TooLong
from publisher.model import Document, Done, Issue, Item, Work
from publisher.selection import unsettled
from publisher.store import Arrival, SubscriberRow, SubscriptionRow
from publisher.tokens import opened

HOUSE = """
subscriptions: {{}}
sources:
  harbour: {{kind: folder, path: harbour, every: 1h}}
  council: {{kind: folder, path: council, every: 1h}}
publications:
  weekly:
    title: Weekly
    feeds: {{formats: [rss]}}
    topics:
      sea: {{title: The Sea, sources: [harbour], tags: [Sea]}}
      town: {{title: The Town, tags: [town]}}
    digest:
      schedule: {{weekly: "mon 08:00", daily: "daily 08:00", now: each entry}}
      timezone: subscriber
    recipients: [ops@example.org, ada@example.org]
    deliver: [post]
channels:
  post: {{kind: smtp, url: "smtp://127.0.0.1:{port}", from: News <news@example.org>}}
"""


class House:
    """The service under test, its readers, and what is written for them."""

    def __init__(self, config: Path, clock: Clock) -> None:
        self._config, self._clock = config, clock
        self.ids: dict[str, int] = {}

    def open(self) -> App:
        return App(load(self._config, {}), self._clock)

    def run(self, until: datetime) -> None:
        """Let the time pass hour by hour, doing at each what is due."""
        app = self.open()
        while self._clock() < until:
            self._clock.advance(hours=1)
            assert [report.words for report in app.once(lambda _: None, lambda *_: None) if not report.well] == []
        app.close()

    def write(self, title: str, source: str = "council", tags: str = "") -> None:
        """A note of half an hour from now, which the next visit finds."""
        moment = self._clock() + timedelta(minutes=30)
        folder = self._config.parent / source
        folder.mkdir(exist_ok=True)
        note = f"---\ntitle: About {title}\ndate: {moment:%Y-%m-%dT%H:%M:%SZ}\ntags: [{tags}]\n---\nText.\n"
        (folder / f"{title}.md").write_text(note)

    def subscribe(self, name: str, zone: str, *, language: str = "", **wish: Any) -> None:
        app = self.open()
        with app.store.write() as tx:
            row = tx.subscribers.add(
                f"{name}@example.org", name=name, timezone=zone, language=language, now=self._clock()
            )
            tx.subscribers.subscribe(SubscriptionRow(subscriber=row.id, publication="weekly", state="active", **wish))
        self.ids[name] = row.id
        app.close()

    def change(self, name: str, **changes: Any) -> None:
        """Change who somebody is."""
        app = self.open()
        with app.store.write() as tx:
            row = tx.subscribers.get(self.ids[name])
            assert isinstance(row, SubscriberRow)
            tx.subscribers.put(replace(row, **changes))
        app.close()

    def switch(self, name: str, frequency: str) -> None:
        """Change how often somebody is written to."""
        app = self.open()
        with app.store.write() as tx:
            [row] = tx.subscribers.subscriptions(self.ids[name])
            until = tx.subscribers.told_until(row, app.settings.digest("weekly").frequency(row.frequency))
            tx.subscribers.subscribe(replace(row, frequency=frequency, since=until))
        app.close()


@pytest.fixture
def config(write_config: Callable[[str], Path], mail_server: MailServer, tmp_path: Path) -> Path:
    for source in ("harbour", "council"):
        (tmp_path / source).mkdir()
    return write_config(HOUSE.format(port=mail_server.port))


@pytest.fixture
def house(config: Path, clock: Clock) -> House:
    return House(config, clock)


def at(day: int, hour: int, month: int = 10) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


def headlines(mail: Mail) -> str:
    return " ".join(sorted(set(re.findall(r"About (\w+)", mail.text))))


def told(mails: list[Mail], name: str) -> list[tuple[str, str]]:
    """When somebody was told what; the time is UTC."""
    return [(f"{mail.at:%a %d %H:%M}", headlines(mail)) for mail in mails if mail.to == f"{name}@example.org"]


def test_two_weeks_mail_by_mail(house: House, mail_server: MailServer, clock: Clock) -> None:
    clock.now = at(19, 8)
    house.write("nothing-new", tags="sea")
    house.subscribe("ada", "Europe/Berlin")  # the configuration names her, too
    house.subscribe("bert", "", language="de")  # at home, which is Berlin
    house.subscribe("kim", "Pacific/Kiritimati", topics=("sea",))
    house.subscribe("lou", "Mars/Olympus", topics=("gone",))
    house.subscribe("hal", "Pacific/Honolulu", frequency="daily")
    house.subscribe("dora", "Europe/Berlin", language="de", frequency="daily", topics=("sea",))
    house.subscribe("ida", "Asia/Tokyo", frequency="now")
    house.subscribe("sam", "Europe/Berlin", frequency="weekly")
    house.run(at(20, 10))
    assert mail_server.mails == []

    house.write("ferry", "harbour")
    house.run(at(21, 10))
    house.write("mayor", tags="town")
    house.run(at(22, 10))
    house.write("storm", tags="SEA")
    house.run(at(22, 20))
    house.switch("sam", "daily")
    house.run(at(23, 0))
    clock.now = at(23, 10)  # it is down since midnight
    house.write("crane", "harbour")
    clock.now = at(24, 11)
    house.run(at(26, 10))  # and the clocks in Berlin go back
    house.write("tower", tags="town")
    house.run(at(27, 12))
    house.change("dora", paused_until=at(30, 12))
    house.run(at(28, 10))
    house.write("whale", "harbour")
    house.run(at(28, 20))
    house.switch("sam", "weekly")
    house.run(at(30, 10))
    house.write("budget", tags="town")
    house.run(at(3, 12, 11))

    mails = mail_server.mails
    first, second = "crane ferry mayor storm", "budget tower whale"
    weekly = [("Mon 26 07:00", first), ("Mon 02 07:00", second)]
    assert told(mails, "ops") == told(mails, "ada") == told(mails, "bert") == told(mails, "lou") == weekly
    assert told(mails, "kim") == [("Sun 25 18:00", "crane ferry storm"), ("Sun 01 18:00", "whale")]
    assert told(mails, "hal") == [
        ("Wed 21 18:00", "ferry"),
        ("Thu 22 18:00", "mayor"),
        ("Sat 24 18:00", "crane storm"),
        ("Tue 27 18:00", "tower"),
        ("Thu 29 18:00", "whale"),
        ("Sat 31 18:00", "budget"),
    ]
    assert told(mails, "dora") == [("Wed 21 06:00", "ferry"), ("Sat 24 12:00", "crane storm")]
    each = ["ferry", "mayor", "storm", "crane", "tower", "whale", "budget"]
    assert [what for _, what in told(mails, "ida")] == each
    assert told(mails, "ida")[0] == ("Tue 20 11:00", "ferry")
    assert told(mails, "sam") == [
        ("Sat 24 12:00", first),
        ("Tue 27 07:00", "tower"),
        ("Mon 02 07:00", "budget whale"),
    ]

    one = {mail.to.partition("@")[0]: mail for mail in mails}
    assert [one[name].message["Content-Language"] for name in ("ada", "bert", "dora")] == ["en", "de", "de"]
    assert "Abbestellen" in one["bert"].text
    app = house.open()
    assert "/preferences/" not in one["ops"].text
    links = {name: re.findall(r"/preferences/(\S+)", one[name].text)[0] for name in ("bert", "kim")}
    assert {name: opened("preferences 0", link, app.secret) for name, link in links.items()} == {
        name: house.ids[name] for name in links
    }
    found = {(issue.number, issue.variant, issue.frequency) for issue in app.status().issues}
    assert len(found) == len(app.status().issues)
    with app.store.read() as tx:
        variants = {row.variant for row in tx.issues.recent(99)}
        languages = {row.variant: row.language for row in tx.issues.recent(99)}
    assert variants >= {"", "de"}
    assert languages["de"] == "de"
    app.close()


# --- each entry once -------------------------------------------------------------------------------------------------

PLAIN = """
sources:
  harbour: {kind: folder, path: harbour}
  council: {kind: folder, path: council}
publications:
  weekly:
    title: Weekly
    topics:
      sea: {title: The Sea, sources: [harbour], tags: [sea]}
      town: {title: The Town, tags: [town]}
    digest:
      schedule: {weekly: "mon 08:00", daily: "daily 08:00", now: each entry}
      max_entries: 3
"""
RULED = f"""{PLAIN}    settle: 15m
    rules:
      - drop: entry.number % 5 == 0
      - tag: town
        when: entry.number % 4 == 0
"""
FEW = PLAIN.replace("max_entries: 3", "max_entries: 2")
SUBJECTS = {"weekly": "weekly", "daily": "weekly/daily", "now": "weekly/now"}


@dataclass
class Press:
    """A renderer whose paper holds fewer German entries than English ones."""

    def render(self, subject: Issue) -> tuple[Document, ...]:
        if len(subject.entries) > {"en": 2, "de": 1}[subject.publication.language]:
            raise TooLong("too long")
        return (Document(name="subject.txt", media_type="text/plain", body=b"News"),)


@dataclass
class Readers:
    """Readers who change their minds, and a house that does not know when the next entry arrives."""

    app: App
    chance: random.Random
    ids: list[int] = field(default_factory=list)
    items: dict[int, Item] = field(default_factory=dict)
    """What arrived, by number."""
    runs: int = 0
    number: int = 0

    def come(self) -> None:
        with self.app.store.write() as tx:
            row = tx.subscribers.add(
                f"r{len(self.ids)}@example.org", language=self.chance.choice(["", "de"]), now=self.app.clock()
            )
            self.ids.append(row.id)
            topics = self.chance.choice([(), (), ("sea",), ("town",), ("sea", "town")])
            frequency = self.chance.choice(list(SUBJECTS))
            wish = SubscriptionRow(
                subscriber=row.id, publication="weekly", state="active", frequency=frequency, topics=topics
            )
            tx.subscribers.subscribe(wish)

    def arrive(self) -> None:
        """One to four entries, some of which are known by the name of another."""
        with self.app.store.write() as tx:
            for _ in range(self.chance.randint(1, 4)):
                self.number += 1
                name = self.chance.randint(1, self.number) if self.chance.random() < 0.3 else self.number
                item = Item(guid=str(self.number), title="x", tags=self.chance.choice([(), ("sea",), ("Town",)]))
                new = Arrival(key=str(self.number), uid=f"urn:{name}", item=item, digest="", link_key="", backlog=False)
                tx.entries.add(self.chance.choice(["harbour", "council"]), [new], self.app.clock())
                self.items[tx.entries.last_number()] = item

    def edit(self) -> None:
        """Somebody mends one of the last, whether it was told or not."""
        with self.app.store.write() as tx:
            for number in self.chance.sample(sorted(self.items)[-6:], min(2, len(self.items))):
                item = replace(self.items[number], title=str(self.chance.random()))
                tx.entries.revise(number, item, item.title, self.app.clock(), link_key="")

    def change(self) -> None:
        """Somebody wants to be written to more or less often."""
        with self.app.store.write() as tx:
            [row] = tx.subscribers.subscriptions(self.chance.choice(self.ids))
            until = tx.subscribers.told_until(row, self.app.settings.digest("weekly").frequency(row.frequency))
            wanted = self.chance.choice([name for name in SUBJECTS if name != row.frequency])
            tx.subscribers.subscribe(replace(row, frequency=wanted, since=until))

    def compose(self, frequency: str = "") -> bool:
        self.runs += 1
        subject = SUBJECTS[frequency or self.chance.choice(list(SUBJECTS))]
        outcome = self.app.do(Work(step="compose", subject=subject, slot=f"by hand {self.runs}"))
        return isinstance(outcome, Done) and outcome.changed

    def end(self) -> None:
        """Nothing more arrives, and all that waits is told."""
        while sum(self.compose(frequency) for frequency in SUBJECTS):
            pass

    def told(self, id: int) -> list[str]:
        """The public identities that somebody was told of."""
        with self.app.store.read() as tx:
            issues = [row.issue for row in tx.deliveries.list(limit=9999) if row.subscriber == id]
            return sorted(entry.uid for issue in issues for entry in tx.issues.entries(issue))

    def due(self, id: int) -> list[str]:
        """Those that they wanted to be told of."""
        with self.app.store.read() as tx:
            [row] = tx.subscribers.subscriptions(id)
            news = tx.entries.news("weekly", "", ["harbour", "council"], 0)
            every = [entry for one in news if (entry := self.app.choice(tx, "weekly").rules.apply(one.entry))]
        topics = self.app.settings.publications["weekly"].topics
        return sorted({entry.uid for entry in every if belongs(entry, row.topics, topics)})


@pytest.mark.parametrize("seed", range(3))
def test_whatever_readers_change_each_entry_is_told_once(
    seed: int, write_config: Callable[[str], Path], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("publisher.compose.renderer", lambda *_: Press())
    with closing(App(load(write_config(PLAIN), {}), clock).ready()) as app:
        readers = Readers(app, random.Random(seed))
        for _ in range(6):
            readers.come()
        for _ in range(60):
            readers.chance.choice([readers.arrive, readers.compose, readers.compose, readers.change])()
        readers.end()
        readers.arrive()  # what waits for somebody who chose `each entry` goes with the next one that arrives
        readers.end()
        for id in readers.ids:
            assert readers.told(id) == readers.due(id)


@pytest.mark.parametrize("seed", range(2))
def test_with_rules_and_edits_each_entry_is_told_once_and_never_before_it_has_settled(
    seed: int, write_config: Callable[[str], Path], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("publisher.compose.renderer", lambda *_: Press())
    with closing(App(load(write_config(RULED), {}), clock).ready()) as app:
        readers = Readers(app, random.Random(seed))

        def wait() -> None:
            clock.advance(minutes=readers.chance.randint(1, 12))

        def compose() -> None:
            with app.store.read() as tx:
                before = {row.id for row in tx.issues.recent(9999)}
                waiting = unsettled(tx, app.settings, "weekly", clock())
            readers.compose()
            with app.store.read() as tx:
                issues = [row.id for row in tx.issues.recent(9999) if row.id not in before]
                assert not {entry.number for issue in issues for entry in tx.issues.entries(issue)}.intersection(
                    waiting
                )

        for _ in range(6):
            readers.come()
        acts = [readers.arrive, compose, compose, readers.change, readers.edit, readers.edit, wait, wait]
        for _ in range(100):
            readers.chance.choice(acts)()
        for _ in range(2):  # what waits for somebody who chose `each entry` goes with the next one that arrives
            clock.advance(days=1)
            readers.end()
            readers.arrive()
        clock.advance(days=1)
        readers.end()
        for id in readers.ids:
            assert readers.told(id) == readers.due(id)


# --- one transaction -------------------------------------------------------------------------------------------------


@pytest.fixture
def app(write_config: Callable[[str], Path], clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """A house with two readers and three entries, of which nobody has been told."""
    monkeypatch.setattr("publisher.compose.renderer", lambda *_: Press())
    with closing(App(load(write_config(FEW), {}), clock).ready()) as app:
        with app.store.write() as tx:
            for name, topics in [("ada", ()), ("bob", ("town",))]:
                row = tx.subscribers.add(f"{name}@example.org", now=clock())
                tx.subscribers.subscribe(
                    SubscriptionRow(subscriber=row.id, publication="weekly", state="active", topics=topics)
                )
            for number in (1, 2, 3):
                new = arrival(str(number), tags=("town",) if number == 2 else ())
                tx.entries.add("council", [new], clock())
        yield app


def arrival(key: str, *, uid: str = "", tags: tuple[str, ...] = ()) -> Arrival:
    item = Item(guid=key, title="x", tags=tags)
    return Arrival(key=key, uid=uid or f"urn:{key}", item=item, digest="", link_key="", backlog=False)


def compose(app: App, slot: str = "by hand 1", subject: str = "weekly") -> str:
    outcome = app.do(Work(step="compose", subject=subject, slot=slot))
    assert isinstance(outcome, Done)
    return outcome.detail


def recipients(app: App) -> dict[str, list[int]]:
    """Who was told of which entries."""
    found: dict[str, list[int]] = {}
    with app.store.read() as tx:
        for row in reversed(tx.deliveries.list(limit=99)):
            numbers = sorted(entry.number for entry in tx.issues.entries(row.issue))
            found[row.recipient.partition("@")[0]] = found.get(row.recipient.partition("@")[0], []) + numbers
    return found


@pytest.mark.parametrize("where", ["Issues.add", "Deliveries.plan_readers", "Subscribers.tell", "Runs.finish"])
def test_an_edition_that_fails_halfway_leaves_nothing_and_is_made_again(
    app: App, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    concern, _, method = where.partition(".")
    target = f"publisher.store.{concern.lower()}.{concern}.{method}"

    def state() -> list[object]:
        with app.store.read() as tx:
            wishes = [tx.subscribers.subscriptions(row.id) for row in tx.subscribers.list(limit=9)]
            return [tx.issues.recent(9), tx.deliveries.list(limit=9), tx.publications.all(), wishes]

    before = state()
    with monkeypatch.context() as patch:
        patch.setattr(target, lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            compose(app)
    assert state() == before
    compose(app, "by hand 2")
    assert recipients(app) == {"ada": [1, 2], "bob": [2]}
    compose(app, "by hand 3")
    assert recipients(app) == {"ada": [1, 2, 3], "bob": [2]}


def test_who_wants_something_else_while_the_edition_is_made_loses_nothing(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*_: object) -> Press:
        with app.store.write() as tx:
            [row] = tx.subscribers.subscriptions(2)
            tx.subscribers.subscribe(replace(row, topics=("sea", "town")))
        return Press()

    monkeypatch.setattr("publisher.compose.renderer", late)
    compose(app)
    assert recipients(app) == {"ada": [1, 2]}
    compose(app, "by hand 2")
    assert recipients(app) == {"ada": [1, 2, 3], "bob": [2]}


def test_a_channel_that_speaks_to_nobody_gets_what_all_get_by_the_first_schedule(
    app: App, write_config: Callable[[str], Path], clock: Clock
) -> None:
    secret = "whsec_" + b64encode(b"secret" * 4).decode()
    hook = f"channels: {{hook: {{kind: webhook, url: 'https://a.example.org', secret: {secret}}}}}\n"
    config = write_config(FEW + "    deliver: [hook, outbox]\n" + hook)
    with closing(App(load(config, {}), clock).ready()) as other:
        compose(other)
        compose(other, subject="weekly/daily")
        with other.store.read() as tx:
            rows = [row for row in tx.deliveries.list(limit=9) if row.channel == "hook"]
            assert [(row.recipient, tx.issues.get(row.issue).frequency) for row in rows] == [("", "")]  # type: ignore[union-attr]  # it is there


# --- frequencies come and go -----------------------------------------------------------------------------------------


def test_who_chose_a_frequency_that_is_taken_away_goes_on_with_the_first_from_where_they_are(
    app: App, write_config: Callable[[str], Path], clock: Clock
) -> None:
    with app.store.write() as tx:
        [row] = tx.subscribers.subscriptions(1)
        tx.subscribers.subscribe(replace(row, frequency="daily"))
    compose(app, subject="weekly/daily")
    assert recipients(app) == {"ada": [1, 2]}
    config = write_config(FEW.replace(', daily: "daily 08:00"', ""))
    with closing(App(load(config, {}), clock).ready()) as other:
        compose(other)
        assert recipients(other) == {"ada": [1, 2, 3], "bob": [2]}
        with other.store.write() as tx:
            tx.entries.add("council", [arrival("4")], clock())
    with closing(App(load(write_config(FEW), {}), clock).ready()) as again:
        compose(again, "by hand 9", "weekly/daily")
        assert recipients(again)["ada"] == [1, 2, 3, 4]


def test_contents_are_kept_for_whoever_still_waits_for_them(
    app: App, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("publisher.collect.keeping._SPARED", 0)
    with app.store.write() as tx:
        for state in tx.publications.all():
            tx.publications.put(replace(state, since=3))
        [row] = tx.subscribers.subscriptions(2)
        tx.subscribers.subscribe(replace(row, since=1))
    note = app.settings.folder / "council/new.md"
    note.parent.mkdir()
    note.write_text("---\ntitle: New\ndate: 2026-10-19\n---\nText.\n")
    clock.advance(days=400)
    app.do(Work(step="collect", subject="council", slot="x"))
    with app.store.read() as tx:
        waiting = [one.entry.number for one in tx.entries.news("weekly", "", ["council"], 0)]
    assert waiting == [2, 3]
