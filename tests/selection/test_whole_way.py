"""Rules and settling, from the configuration to the feeds, pages and mails of a publication."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from outside import Clock, MailServer

from publisher.app import App, load
from publisher.config import RuleSettings
from publisher.errors import ConfigError
from publisher.model import Done, Item, Work
from publisher.store import Arrival, SubscriptionRow

HOUSE = """
subscriptions: {{}}
sources:
  blog: {{kind: folder, path: blog, every: 1d}}
  council: {{kind: folder, path: council, every: 1d}}
publications:
  all:
    title: All
    feeds: {{formats: [json, html, rss], limit: {limit}}}
    topics: {{bridges: {{title: Bridges, tags: [bridge]}}}}
    digest: {{schedule: {schedule}, max_entries: 3{digest}}}
    recipients: [ops@example.org]
    {options}
"""
WEEKLY = '"mon 08:00"'
COUNCIL = """rules:
      - drop: '"sponsored" in entry.tags'
      - tag: bridge
        when: '"bridge" in entry.title'
      - retitle: "{{ entry.title | replace('Council: ', '') }}"
      - section: Council
        when: 'entry.source == "council"'
      - pin: '"urgent" in entry.tags'
"""


_RUNS = itertools.count()


class House:
    """A house, and what arrives in it."""

    def __init__(self, config: Path, clock: Clock) -> None:
        self.app, self.clock = App(load(config, {}), clock).ready(), clock

    def arrive(self, title: str, source: str = "blog", *, tags: tuple[str, ...] = (), backlog: bool = False) -> int:
        item = Item(guid=title, title=title, tags=tags, link=f"https://a.example/{title[:3]}", content="<p>Text.</p>")
        new = Arrival(key=title, uid=f"urn:{title}", item=item, digest="", link_key="", backlog=backlog)
        with self.app.store.write() as tx:
            tx.entries.add(source, [new], self.clock())
            return tx.entries.last_number()

    def edit(self, number: int, title: str) -> None:
        with self.app.store.write() as tx:
            tx.entries.revise(number, Item(guid="x", title=title), title, self.clock(), link_key="")

    def publish(self) -> str:
        outcome = self.app.do(Work(step="publish", subject="all"))
        assert isinstance(outcome, Done)
        return outcome.detail

    def compose(self) -> str:
        outcome = self.app.do(Work(step="compose", subject="all", slot=f"by hand {next(_RUNS)}"))
        assert isinstance(outcome, Done)
        return outcome.detail

    def file(self, name: str) -> str:
        return (self.app.settings.feeds / "all" / name).read_text()

    @property
    def feed(self) -> list[str]:
        self.publish()
        return [item["title"] for item in json.loads(self.file("feed.json"))["items"]]

    @property
    def told(self) -> list[list[str]]:
        """The titles in each issue for all, first issue first."""
        with self.app.store.read() as tx:
            found = [tx.issues.documents(row.id) for row in reversed(tx.issues.recent(99)) if not row.variant]
        return [
            [entry["title"] for entry in json.loads(document.body)["entries"]]
            for documents in found
            for document in documents
            if document.name == "issue.json"
        ]


Opened = Callable[..., House]


@pytest.fixture
def house(write_config: Callable[[str], Path], clock: Clock) -> Iterator[Opened]:
    """Opens the house, with these options of its publication and its digest."""
    opened: list[House] = []

    def open_house(options: str = "", *, limit: int = 50, digest: str = "", schedule: str = WEEKLY) -> House:
        text = HOUSE.format(options=options, limit=limit, digest=digest, schedule=schedule)
        opened.append(House(write_config(text), clock))
        return opened[-1]

    yield open_house
    for one in opened:
        one.app.close()


# --- what is written -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ("drop: sponsored in entry.tags", ".drop: there is no 'sponsored', only entry (text stands in quotes"),
        ("keep: entry.titel", ".keep: entry has no 'titel' (did you mean 'title'?)"),
        ("{tag: x, when: entry.source = 1}", ".when: cannot be understood: chunk after expression (compare by ==)"),
        ('retitle: "{{ entry.titel }}"', ".retitle: entry has no 'titel' (did you mean 'title'?)"),
        ('section: "{{ entry.source }}"', ".section: is taken as it is written: no {{ … }} here"),
        ("{tag: a, pin: true}", ": a rule does one thing: write one of drop, keep, tag, retitle, section, pin"),
        ("when: true", ": a rule does one thing: write one of drop, keep, tag, retitle, section, pin"),
        ("{drop: true, when: true}", ": `drop` says itself of which entries: join the two conditions by `and`"),
        ("{dorp: true}", ".dorp: unknown option (did you mean 'drop'?)"),
    ],
)
def test_a_wrong_rule_is_told_with_its_line(house: Opened, rule: str, fault: str) -> None:
    with pytest.raises(ConfigError) as raised:
        house(f"rules:\n      - pin: 'true'\n      - {rule}")
    assert f"config.yaml:18: publications.all.rules.1{fault}" in str(raised.value)


@pytest.mark.parametrize(
    ("settle", "fault"),
    [("25h", "must be at most 1d, not 1d1h"), ("0s", "longer than nothing"), ("x", "not a duration")],
)
def test_how_long_an_entry_may_have_to_settle_is_bounded(house: Opened, settle: str, fault: str) -> None:
    with pytest.raises(ConfigError) as raised:
        house(f"settle: {settle}")
    assert "config.yaml:16: publications.all.settle: " in str(raised.value)
    assert fault in str(raised.value)


def test_check_names_a_wrong_expression_with_its_line(write_config: Callable[[str], Path]) -> None:
    text = HOUSE.format(options="rules: [drop: entry.titel]", limit=5, digest="", schedule=WEEKLY)
    command = [sys.executable, "-m", "publisher", "-c", str(write_config(text)), "check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    told = "config.yaml:16: publications.all.rules.0.drop: entry has no 'titel' (did you mean 'title'?)"
    assert (done.returncode, told in " ".join(done.stderr.split())) == (2, True)


# --- where they show -------------------------------------------------------------------------------------------------


@pytest.fixture
def news(house: Opened) -> House:
    """A house with rules, and five entries."""
    ours = house(COUNCIL)
    for title, source, tags in [
        ("Council: The bridge", "council", ()),
        ("Buy this", "blog", ("sponsored",)),
        ("Flood", "blog", ("urgent",)),
        ("A walk", "blog", ()),
        ("A bridge of sand", "blog", ()),
    ]:
        ours.arrive(title, source, tags=tags)
        ours.clock.advance(minutes=1)
    return ours


BY_DATE = ["A bridge of sand", "A walk", "Flood", "The bridge"]
ARRANGED = ["Flood", "A bridge of sand", "A walk", "The bridge"]


def headlines(page: str) -> list[str]:
    return re.findall(r"<h\d[^>]*><a [^>]*>([^<]+)</a></h\d>", page)


def test_feeds_show_what_the_rules_leave_by_date_with_tags_and_sections_as_categories(news: House) -> None:
    assert news.feed == BY_DATE
    items = {item["title"]: item.get("tags", []) for item in json.loads(news.file("feed.json"))["items"]}
    assert items["The bridge"] == ["bridge", "Council"]
    assert items["A bridge of sand"] == ["bridge"]
    assert "<category>Council</category>" in news.file("rss.xml")
    assert "Buy this" not in news.file("rss.xml")


def test_the_page_shows_what_is_pinned_first_and_sections_under_their_headings(news: House) -> None:
    news.publish()
    page = news.file("index.html")
    assert headlines(page) == ARRANGED
    assert re.findall(r"<h2 class=\"section\"[^>]*>(\w+)</h2>", page) == ["Council"]
    assert page.index("A walk</a></h2>") < page.index(">Council</h2>") < page.index("The bridge</a></h3>")
    assert ".section {" in news.file("style.css")


def test_an_issue_shows_the_same_and_the_subject_names_what_comes_first(news: House) -> None:
    news.compose()  # it holds three
    news.compose()
    assert news.told == [["Flood", "A walk", "The bridge"], ["A bridge of sand"]]
    with news.app.store.read() as tx:
        [second, first] = tx.issues.recent(9)
        mail = {document.name: document.text for document in tx.issues.documents(first.id)}
    assert first.subject == "All: Flood"
    assert headlines(mail["mail.html"]) == ["Flood", "A walk", "The bridge"]
    assert re.search(r"<h2[^>]*>Council</h2>", mail["mail.html"])
    assert re.search(r"={76}\nCouncil\n\n-{76}\n\nThe bridge\n", mail["mail.txt"])
    assert [entry.get("section") for entry in json.loads(mail["issue.json"])["entries"]] == [None, None, "Council"]
    assert second.subject == "All: A bridge of sand"


def test_the_preview_the_front_page_and_the_api_show_the_same(news: House) -> None:
    issue, waiting = news.app.preview("all")
    assert (waiting, issue.subject) == (True, "All: Flood")
    news.compose(), news.compose()
    issue, waiting = news.app.preview("all")
    assert (waiting, [entry.title for entry in issue.entries]) == (False, BY_DATE[:3])
    assert "Buy this" not in news.app.front().text
    assert "A walk" in news.app.front().text
    with news.app.store.read() as tx:
        rows, more = news.app.choice(tx, "all").last(3)
        assert ([row.title for row in rows], more) == (BY_DATE[:3], rows[-1].number)
        rows, more = news.app.choice(tx, "all").last(3, more)
        assert ([row.title for row in rows], more) == (BY_DATE[3:], None)


def test_topics_see_the_tags_that_rules_add(news: House) -> None:
    with news.app.store.write() as tx:
        row = tx.subscribers.add("ada@example.org", now=news.clock())
        tx.subscribers.subscribe(
            SubscriptionRow(subscriber=row.id, publication="all", state="active", topics=("bridges",))
        )
    news.compose()
    with news.app.store.read() as tx:
        [theirs] = [row for row in tx.issues.recent(9) if row.variant]
        assert [entry.number for entry in tx.issues.entries(theirs.id)] == [5, 1]


def test_what_is_rendered_for_each_reader_has_its_sections_too(
    write_config: Callable[[str], Path], tmp_path: Path, clock: Clock, mail_server: MailServer
) -> None:
    (tmp_path / "templates").mkdir()
    personal = "{% extends 'built-in/digest.html.j2' %}{% block footer %}{{ subscriber.address | upper }}{% endblock %}"
    (tmp_path / "templates/digest.html.j2").write_text(personal)
    post = f"channels: {{post: {{kind: smtp, url: 'smtp://127.0.0.1:{mail_server.port}', from: n@example.org}}}}\n"
    text = HOUSE.format(options=COUNCIL + "    deliver: [post]", limit=5, digest="", schedule=WEEKLY) + post
    ours = House(write_config(text), clock)
    ours.arrive("Council: The bridge", "council")
    ours.compose()
    ours.app.do(Work(step="deliver", subject="post"))
    ours.app.close()
    [mail] = mail_server.mails
    [rich] = [part for part in mail.message.walk() if part.get_content_type() == "text/html"]
    page = rich.get_payload(decode=True)
    assert isinstance(page, bytes)
    assert re.search(r"<h2[^>]*>Council</h2>", page.decode())
    assert "OPS@EXAMPLE.ORG" in page.decode()
    assert headlines(page.decode()) == ["The bridge"]


def test_a_feed_is_filled_though_most_is_left_out_and_the_search_ends(house: Opened) -> None:
    ours = house("rules: [{keep: '\"keep\" in entry.tags'}]", limit=2)
    for number in range(50):
        ours.arrive(f"n{number}", tags=("keep",) if number in (1, 11, 20, 44) else ())
    assert ours.feed == ["n44", "n20"]  # of the newest forty
    for number in range(50, 58):
        ours.arrive(f"n{number}")
    assert ours.feed == ["n44", "n20"]
    ours.arrive("n58"), ours.arrive("n59"), ours.arrive("n60")
    assert ours.feed == ["n44"]
    with ours.app.store.read() as tx:
        rows, more = ours.app.choice(tx, "all").last(2)
        assert ([row.title for row in rows], more is None) == (["n44", "n20"], False)


def test_other_rules_and_another_patience_are_published_at_once(house: Opened) -> None:
    first = house()
    first.arrive("A walk")
    first.publish()
    assert first.app.due("publish") == []
    for options in ("rules: [{drop: 'true'}]", "settle: 1h", "rules: [{tag: x}]"):
        other = house(options)
        assert [work.subject for work in other.app.due("publish")] == ["all"]
        other.publish()
        assert other.app.due("publish") == []


def test_a_rule_that_fails_on_an_entry_leaves_it_in_and_is_told(house: Opened) -> None:
    ours = house("rules: [{drop: 'entry.authors[0].name == 1'}]")
    ours.arrive("A walk")
    assert ours.feed == ["A walk"]
    words = "publication all: rule 1 failed on an entry: condition"
    assert [wrong[: len(words)] for wrong in ours.app.status().wrong] == [words]
    ours.compose()
    assert ours.told == [["A walk"]]
    assert [wrong[: len(words)] for wrong in ours.app.status().wrong] == [words]
    mended = house()
    mended.publish()
    assert mended.app.status().wrong == []


def test_every_act_is_in_the_settings() -> None:
    assert set(RuleSettings.model_fields) == {"drop", "keep", "tag", "retitle", "section", "pin", "when"}


# --- issues ----------------------------------------------------------------------------------------------------------


def test_what_is_dropped_is_never_told_and_nothing_waits_behind_it(house: Opened) -> None:
    ours = house("rules: [{drop: '\"no\" in entry.tags'}]")
    ours.arrive("one", tags=("no",))
    assert ours.compose() == "nothing new, so no mail"
    with ours.app.store.read() as tx:
        state = tx.publications.get("all")
        assert state
        assert state.since == 1
    ours.arrive("two"), ours.arrive("three", tags=("no",))
    ours.compose(), ours.compose()
    later = house()  # the rule is gone
    assert later.compose() == "nothing new, so no mail"
    assert later.told == [["two"]]


def test_a_first_issue_looks_back_on_what_the_rules_leave(house: Opened) -> None:
    ours = house("rules: [{keep: '\"yes\" in entry.tags'}]", digest=", first_issue: 7d")
    for number in range(8):
        ours.arrive(f"n{number}", tags=("yes",) if number % 2 else (), backlog=number < 6)
        ours.clock.advance(minutes=1)
    ours.app.do(Work(step="compose", subject="all", slot="first x"))
    assert ours.told == [["n5", "n3", "n1"]]
    ours.compose()
    assert ours.told[1:] == [["n7"]]


def test_who_has_each_entry_hears_of_none_that_is_dropped(house: Opened) -> None:
    ours = house("rules: [{drop: '\"no\" in entry.tags'}]", schedule="each entry")
    for number in range(6):
        ours.arrive(f"n{number}", tags=("no",) if number % 2 else ())
    ours.compose()
    assert ours.told == [["n0"], ["n2"], ["n4"]]


def test_one_that_is_dropped_does_not_stand_for_its_twin(house: Opened) -> None:
    ours = house("rules: [{drop: 'entry.source == \"blog\"'}]")
    for source in ("blog", "council"):
        new = Arrival(key="a", uid="urn:a", item=Item(title="A"), digest="", link_key="", backlog=False)
        with ours.app.store.write() as tx:
            tx.entries.add(source, [new], ours.clock())
        ours.compose()
    assert ours.told == [["A"]]


# --- settling --------------------------------------------------------------------------------------------------------


def test_an_entry_is_in_the_feed_when_it_has_settled_though_nothing_else_happened(house: Opened) -> None:
    ours = house("settle: 15m")
    ours.arrive("old", backlog=True)
    number = ours.arrive("new")
    assert ours.feed == ["old"]
    assert ours.publish() == "1 entries, 1 not settled yet; wrote nothing"
    assert ours.app.due("publish") == []
    assert ours.app.pause() == timedelta(minutes=15)
    ours.clock.advance(minutes=10)
    ours.edit(number, "newer")
    assert ours.feed == ["old"]
    ours.clock.advance(minutes=5)
    assert (ours.app.due("publish"), ours.app.pause()) == ([], timedelta(minutes=10))
    ours.clock.advance(minutes=10)
    assert [work.subject for work in ours.app.due("publish")] == ["all"]
    assert ours.feed == ["newer", "old"]
    assert (ours.app.due("publish"), ours.app.pause()) == ([], None)
    ours.edit(number, "newest")
    assert ours.feed == ["newest", "old"]
    assert "newest" in ours.app.front().text


@pytest.mark.parametrize("minutes", [5, 19])
def test_what_changes_for_ever_is_published_after_the_tenth_edit_and_stays(house: Opened, minutes: int) -> None:
    ours = house("settle: 20m")
    number, shown = ours.arrive("v0"), list[list[str]]()
    for edit in range(1, 25):
        ours.clock.advance(minutes=minutes)
        shown.append(ours.feed)
        ours.edit(number, f"v{edit}")
    assert shown == [[]] * 10 + [[f"v{edit}"] for edit in range(10, 24)]


def test_an_issue_waits_for_what_has_not_settled_and_for_what_is_behind_it(house: Opened) -> None:
    ours = house("settle: 15m")
    first, second = ours.arrive("first"), ours.arrive("second")
    ours.arrive("history", backlog=True)
    ours.clock.advance(minutes=10)
    ours.edit(first, "First")
    ours.clock.advance(minutes=10)
    ours.arrive("third")
    assert ours.compose() == "nothing new, so no mail"
    assert second
    ours.clock.advance(minutes=5)
    ours.compose()
    assert ours.told == [["second", "First"]]
    ours.edit(first, "FIRST")
    ours.clock.advance(minutes=15)
    ours.compose(), ours.compose()
    assert ours.told == [["second", "First"], ["third"]]


def test_who_has_each_entry_hears_of_one_as_soon_as_it_has_settled(house: Opened) -> None:
    ours = house("settle: 15m", schedule="each entry")

    def due() -> list[str]:
        for work in ours.app.due("compose"):
            ours.app.do(work)
        return [title for issue in ours.told for title in issue]

    ours.arrive("first")
    ours.publish()
    assert due() == []
    assert ours.app.pause() == timedelta(minutes=15)
    ours.clock.advance(minutes=5)
    ours.arrive("second")
    assert due() == []
    ours.clock.advance(minutes=10)
    assert due() == ["first"]
    assert due() == ["first"]
    ours.clock.advance(minutes=5)
    assert due() == ["first", "second"]


def test_a_first_issue_leaves_what_has_not_settled_to_the_next(house: Opened) -> None:
    ours = house("settle: 15m", digest=", first_issue: 7d")
    ours.arrive("old", backlog=True)
    ours.arrive("calm")
    ours.clock.advance(minutes=10)
    ours.arrive("young")
    ours.clock.advance(minutes=5)
    ours.app.do(Work(step="compose", subject="all", slot="first x"))
    assert ours.told == [["calm", "old"]]
    ours.clock.advance(minutes=10)
    ours.compose(), ours.compose()
    assert ours.told == [["calm", "old"], ["young"]]


def test_a_patience_that_comes_later_takes_nothing_back(house: Opened) -> None:
    ours = house()
    ours.arrive("first")
    ours.compose()
    other = house("settle: 1d")
    other.arrive("second")
    assert other.compose() == "nothing new, so no mail"
    other.clock.advance(days=1)
    other.compose()
    assert other.told == [["first"], ["second"]]
