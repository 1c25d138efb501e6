"""Lists of feeds: each feed is visited for itself, and all of them are one source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from outside import Clock, Post, Response, WebSite, rss

from publisher.app import App, load
from publisher.engine.local import Report

HOUSE = """
defaults: {{every: 1h}}
sources:
  planet: {{kind: opml, url: "{url}/list", private: true}}
publications:
  weekly:
    title: Weekly
    sources: [planet]
    feeds: {{formats: [rss], limit: 50}}
    digest: {{schedule: "every 2h"}}
    recipients: [ada@example.org]
"""


class Planet:
    def __init__(self, site: WebSite, clock: Clock, app: App) -> None:
        self.site, self.clock, self.app = site, clock, app
        self.blogs: dict[str, list[Post]] = {}

    def write(self, blog: str, *guids: str) -> None:
        now = self.clock() - timedelta(minutes=1)
        posts = [Post(f"{blog}-{guid}", now, title=f"{blog} {guid}", guid=guid) for guid in guids]
        self.blogs[blog] = [*posts, *self.blogs.get(blog, [])]
        self.site.pages[f"/{blog}"] = rss(self.site.url, self.blogs[blog])

    def list(self, *blogs: str) -> None:
        lines = "".join(f'<outline text="The {blog}" xmlUrl="{self.site.url}/{blog}"/>' for blog in blogs)
        self.site.pages["/list"] = Response(f"<opml><body>{lines}</body></opml>".encode())

    def once(self, **later: float) -> list[Report]:
        self.clock.advance(**later)
        return self.app.once(lambda _: None, lambda *_: None)

    @property
    def titles(self) -> list[str]:
        with self.app.store.read() as tx:
            return sorted(entry.title for entry in tx.entries.newest(["planet"], 50))

    @property
    def mailed(self) -> list[int]:
        return [issue.entries for issue in reversed(self.app.status().issues)]


@pytest.fixture
def planet(web_site: WebSite, clock: Clock, write_config: Callable[[str], Path]) -> Iterator[Planet]:
    app = App(load(write_config(HOUSE.format(url=web_site.url)), {}), clock)
    planet = Planet(web_site, clock, app)
    planet.write("ada", "1", "2")
    planet.write("bob", "1")
    planet.list("ada", "bob")
    yield planet
    app.close()


def test_the_feeds_of_a_list_are_one_source_though_they_use_the_same_identities(planet: Planet) -> None:
    reports = planet.once()
    assert reports[0].words == "2 feeds: 2 new"
    assert planet.titles == ["ada 1", "ada 2", "bob 1"]
    planet.once(hours=2)
    assert planet.titles == ["ada 1", "ada 2", "bob 1"]
    [source] = planet.app.status().sources
    assert (source.entries, source.feeds, source.error) == (3, 2, "")


def test_what_arrives_is_told_and_the_backlog_of_a_feed_that_is_new_on_the_list_is_not(planet: Planet) -> None:
    planet.once()
    planet.write("bob", "news")
    planet.write("eve", "old")
    planet.list("ada", "bob", "eve")
    planet.once(hours=4)
    assert planet.titles == ["ada 1", "ada 2", "bob 1", "bob news", "eve old"]
    planet.once(hours=4)
    assert planet.mailed == [1]
    planet.write("eve", "news")
    planet.once(hours=4)
    assert planet.mailed == [1, 1]


def test_a_feed_that_is_taken_off_is_not_visited_and_its_entries_stay(planet: Planet) -> None:
    planet.once()
    planet.list("ada")
    planet.once(hours=2)  # it is visited once more, beside the list
    planet.write("bob", "late")
    before = planet.site.hits.count("/bob")
    planet.once(hours=4)
    assert planet.site.hits.count("/bob") == before
    assert planet.titles == ["ada 1", "ada 2", "bob 1"]
    planet.list("ada", "bob")
    planet.once(hours=4)
    planet.once(hours=4)
    assert planet.titles == ["ada 1", "ada 2", "bob 1", "bob late"]


def test_a_list_that_cannot_be_read_or_is_empty_takes_no_feed_off(planet: Planet) -> None:
    planet.once()
    for answer in (b"<html>Oops</html>", b"<opml><body/></opml>"):
        planet.site.pages["/list"] = Response(answer)
        planet.write("bob", answer.decode()[1:5])
        planet.once(hours=26)
    assert planet.titles == ["ada 1", "ada 2", "bob 1", "bob html", "bob opml"]
    [source] = planet.app.status().sources
    assert "names no feed any more" in source.error


def test_a_feed_that_fails_harms_no_other_and_is_named(planet: Planet) -> None:
    planet.site.pages["/ada"] = Response(b"gone fishing", status=500)
    planet.once()
    assert planet.titles == ["bob 1"]
    [source] = planet.app.status().sources
    assert source.error == f"1 of 2 feeds is unwell: {planet.site.url}/ada (publisher source list planet)"
    feeds = {feed.title: feed for feed in planet.app.feeds("planet")}
    assert {title: feed.entries for title, feed in feeds.items()} == {"The ada": 0, "Blog": 1}
    assert "500" in feeds["The ada"].error


def test_whoever_drops_a_list_visits_none_of_its_feeds(
    planet: Planet, write_config: Callable[[str], Path], clock: Clock
) -> None:
    planet.once()
    text = HOUSE.format(url=planet.site.url).replace("[planet]", '["*"]')
    line = next(line for line in text.splitlines() if "opml" in line)
    app = App(load(write_config(text.replace(line, "  notes: {kind: folder, path: .}")), {}), clock)
    clock.advance(hours=3)
    assert [work.subject for work in app.due("collect")] == ["notes"]
    app.close()
