"""The same story from several sources, from their arrival to feeds and issues."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from publisher import channels, sources
from publisher.collect import receive
from publisher.compose import compose, preview
from publisher.config import Settings, load
from publisher.errors import ConfigError
from publisher.model import Entry, Harvest, Item, Work
from publisher.publish import publish, stale
from publisher.store import PublicationState, Store, open_store
from publisher.templating import Templates

LONG = (
    "The council has voted for a new bridge over the canal, which is to be built next year by a firm from the region. "
    "The old one, of wood, has been shut since a barge ran into it in spring, and nobody was hurt then."
)
CONFIG = """
sources:
  blog: {kind: api}
  paper: {kind: api, title: The Paper}
  radio: {kind: api, title: Radio One}
publications:
  all: {title: All, sources: ["*"], digest: {schedule: "daily 08:00"}, recipients: [a@example.org]}
  others: {title: Others, sources: [radio, paper], digest: {schedule: "daily 08:00"}, recipients: [a@example.org]}
  preferring: {title: P, sources: ["*"], prefer: [radio, paper], digest: {schedule: "daily 08:00"}, language: de}
"""
TEMPLATES = Templates()


@dataclass
class House:
    settings: Settings
    store: Store
    now: datetime = datetime(2026, 11, 2, 8, tzinfo=UTC)
    issues: int = field(default=0)

    def brings(self, source: str, title: str = "Council votes for a bridge", **fields: Any) -> None:
        self.now += timedelta(minutes=1)
        fields = {"link": f"https://{source}.example/1", "summary": LONG} | fields
        item = Item(guid=f"{source} {fields['link']} {title}", title=title, **fields)
        receive(source, Harvest(items=(item,)), self.settings, store=self.store, clock=lambda: self.now)

    def feed(self, publication: str) -> list[dict[str, Any]]:
        publish(
            Work(step="publish", subject=publication),
            self.settings,
            store=self.store,
            templates=TEMPLATES,
            clock=lambda: self.now,
        )
        return json.loads((self.settings.feeds / publication / "feed.json").read_text())["items"]

    def is_stale(self, publication: str) -> bool:
        with self.store.read() as tx:
            return stale(tx, publication, self.settings, TEMPLATES, self.now)

    def issue(self, publication: str) -> list[Entry]:
        """The entries of the issue that is made now; none where there is none."""
        self.issues += 1
        work = Work(step="compose", subject=publication, slot=f"by hand {self.issues}")
        done = compose(work, self.settings, store=self.store, templates=TEMPLATES, clock=lambda: self.now)
        with self.store.read() as tx:
            return list(tx.issues.entries(tx.issues.recent(1, publication)[0].id)) if done.changed else []

    def mail(self, publication: str, name: str = "mail.txt") -> str:
        with self.store.read() as tx:
            last = tx.issues.recent(1, publication)[0]
            return next(document.text for document in tx.issues.documents(last.id) if document.name == name)


@pytest.fixture
def house(write_config: Callable[[str], Path]) -> Iterator[House]:
    settings = load(write_config(CONFIG), sources=sources.kinds(), channels=channels.kinds(), environ={})
    with contextlib.closing(open_store(settings.database)) as store:
        house = House(settings, store)
        with store.write() as tx:
            for name in settings.publications:
                tx.publications.put(PublicationState(name=name, known=house.now))
        yield house


def test_three_sources_with_one_story_make_one_entry_in_the_feed_that_names_the_others(house: House) -> None:
    for source in ("blog", "paper", "radio"):
        house.brings(source)
    (item,) = house.feed("all")
    assert item["url"] == "https://blog.example/1"
    links = '<a href="https://paper.example/1">The Paper</a>, <a href="https://radio.example/1">Radio One</a>'
    assert item["content_html"].endswith(f"<p>Also in: {links}</p>")
    assert links in (house.settings.feeds / "all" / "index.html").read_text()


def test_feeds_are_made_anew_when_a_source_joins_and_the_entry_stays_what_it_was(house: House) -> None:
    house.brings("blog")
    (before,) = house.feed("all")
    assert not house.is_stale("all")
    house.brings("radio")
    assert house.is_stale("all")
    (after,) = house.feed("all")
    assert before["id"] == after["id"]
    assert before["date_published"] == after["date_published"]
    assert "Radio One" in after["content_html"]
    assert "Radio One" not in before["content_html"]


def test_each_publication_goes_by_its_own_sources(house: House) -> None:
    for source in ("blog", "paper", "radio"):
        house.brings(source)
    (item,) = house.feed("others")
    assert item["url"] == "https://paper.example/1"
    assert item["content_html"].endswith('<p>Also in: <a href="https://radio.example/1">Radio One</a></p>')


def test_a_preferred_source_takes_the_place_of_the_first_under_its_identity(house: House) -> None:
    house.brings("blog")
    (before,) = house.feed("preferring")
    house.brings("paper")
    house.brings("radio", content=f"<p>{LONG}</p><p>Listen!</p>")
    (after,) = house.feed("preferring")
    assert (before["url"], after["url"]) == ("https://blog.example/1", "https://radio.example/1")
    assert "Listen!" in after["content_html"]
    assert "Auch bei: " in after["content_html"]
    assert before["id"] == after["id"]
    assert before["date_published"] == after["date_published"] < after["date_modified"]


def test_a_story_is_told_once_in_an_issue_and_the_others_are_named(house: House) -> None:
    for source in ("blog", "paper", "radio"):
        house.brings(source)
    house.brings("paper", "Ferry aground", link="https://paper.example/2", summary="It is stuck.")
    assert [entry.title for entry in house.issue("all")] == ["Ferry aground", "Council votes for a bridge"]
    assert "Also in:\n- The Paper: https://paper.example/1\n- Radio One: https://radio.example/1\n" in house.mail("all")
    assert '<a href="https://radio.example/1"' in house.mail("all", "mail.html")
    assert house.issue("all") == []


def test_what_one_source_has_told_in_an_issue_is_not_told_again_when_another_brings_it(house: House) -> None:
    house.brings("blog")
    assert [entry.source for entry in house.issue("all")] == ["blog"]
    house.now += timedelta(days=1)
    house.brings("radio")
    house.brings("paper", "A bridge", link="https://m.blog.example/1/amp?utm_source=paper", summary="")
    assert house.issue("all") == []
    assert [entry.source for entry in house.issue("others")] == ["radio"]
    assert house.issue("others") == []


def test_of_several_that_wait_the_preferred_one_is_told_once_and_for_all(house: House) -> None:
    for source in ("blog", "radio"):
        house.brings(source)
    (told,) = house.issue("preferring")
    assert told.source == "radio"
    assert "https://radio.example/1" in house.mail("preferring")
    assert "Auch bei:\n- blog: https://blog.example/1" in house.mail("preferring")
    house.brings("paper")
    assert house.issue("preferring") == []


def test_a_preview_shows_what_an_issue_would(house: House) -> None:
    for source in ("blog", "radio"):
        house.brings(source)
    shown, waiting = preview(
        "preferring", house.settings, store=house.store, templates=TEMPLATES, clock=lambda: house.now
    )
    assert waiting
    assert [(entry.source, [one.title for one in entry.also_in]) for entry in shown.entries] == [("radio", ["blog"])]
    house.issue("preferring")
    again, waiting = preview(
        "preferring", house.settings, store=house.store, templates=TEMPLATES, clock=lambda: house.now
    )
    assert not waiting
    assert [(entry.uid, entry.also_in) for entry in again.entries] == [(one.uid, one.also_in) for one in shown.entries]


def test_two_weekly_notices_stay_two(house: House) -> None:
    for day, source in ((12, "blog"), (13, "radio")):
        house.brings(
            source, "Road closed", summary=f"Harbour Street is closed on {day} November because of work on a main."
        )
    assert len(house.feed("all")) == len(house.issue("all")) == 2


def test_a_story_that_does_not_fit_into_an_issue_is_carried_over_once(write_config: Callable[[str], Path]) -> None:
    config = CONFIG.replace('digest: {schedule: "daily 08:00"}', 'digest: {schedule: "daily 08:00", max_entries: 1}')
    settings = load(write_config(config), sources=sources.kinds(), channels=channels.kinds(), environ={})
    with contextlib.closing(open_store(settings.database)) as store:
        house = House(settings, store)
        house.brings("paper", "Ferry aground", link="https://paper.example/2", summary="It is stuck.")
        for source in ("blog", "paper", "radio"):
            house.brings(source)
        for publication, source in (("all", "blog"), ("preferring", "radio")):
            told = [[entry.source for entry in house.issue(publication)] for _ in range(3)]
            assert told == [["paper"], [source], []]


def test_only_the_publications_own_sources_can_be_preferred(write_config: Callable[[str], Path]) -> None:
    file = write_config(CONFIG.replace("sources: [radio, paper]", "sources: [radio], prefer: [paper]"))
    with pytest.raises(ConfigError, match="prefer: 'paper' is not among the publication's sources"):
        load(file, sources=sources.kinds(), channels=channels.kinds(), environ={})
