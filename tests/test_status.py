"""What is told of the next visit: when it is, and why then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from outside import Clock, Post, Response, WebSite, rss

from publisher.app import App, load


@pytest.fixture
def open_house(write_config: Callable[[str], Path], web_site: WebSite, clock: Clock) -> Iterator[Callable[[str], App]]:
    apps = []

    def opened(source: str) -> App:
        file = write_config(f"sources: {{blog: {{{source.format(url=web_site.url)}}}}}\n")
        apps.append(App(load(file, {}), clock).ready())
        return apps[-1]

    yield opened
    for app in apps:
        app.close()


FEED = 'kind: feed, url: "{url}/feed.xml", private: true, every: '


def visit(app: App) -> str:
    app.once(lambda _: None, lambda *_: None)
    return app.next_visit("blog")[1]


@pytest.mark.parametrize(
    ("ages", "why"),
    [
        ([], "too little is known of it, so it is visited every 1h or so"),
        ([1, 2, 3, 4], "it has something new every 1h, so it is visited every 10m or so"),
        ([20, 44, 68], "it has something new every 1d, so it is visited every 3h or so"),
        ([200, 224, 248], "nothing came for 8d, so it is visited every 1d or so"),
    ],
)
def test_an_adaptive_interval_tells_what_it_adapts_to(
    open_house: Callable[[str], App], web_site: WebSite, clock: Clock, ages: list[int], why: str
) -> None:
    posts = [Post(f"n{age}", clock() - timedelta(hours=age)) for age in ages]
    web_site.pages["/feed.xml"] = rss(web_site.url, posts)
    app = open_house(FEED + "adaptive")
    assert app.next_visit("blog") == (clock(), "for the first time")
    assert visit(app) == why


def test_it_tells_what_the_source_itself_asks_for(
    open_house: Callable[[str], App], web_site: WebSite, clock: Clock
) -> None:
    web_site.pages["/feed.xml"] = rss(web_site.url, [])
    web_site.pages["/feed.xml"].headers["Cache-Control"] = "max-age=7200"
    app = open_house(FEED + "adaptive")
    assert visit(app).endswith(
        "so it is visited every 1h or so, and later this time: it asked for that, or had less to tell"
    )
    assert app.next_visit("blog")[0] == clock() + timedelta(hours=2)


def test_each_other_reason_is_told_too(open_house: Callable[[str], App], web_site: WebSite, clock: Clock) -> None:
    web_site.pages["/feed.xml"] = rss(web_site.url, [Post("a", clock())])
    app = open_house(FEED + "30m")
    assert visit(app) == "it is visited every 30m"
    web_site.pages["/feed.xml"] = Response(status=500)
    for failures in (1, 2):
        clock.advance(hours=1)
        assert visit(app) == (f"its last visit failed, {failures} in a row; each more doubles the pause, up to a day")
    web_site.pages["/feed.xml"] = Response(status=410)
    clock.advance(days=1)
    assert visit(app) == "it has ended"
    assert app.next_visit("blog")[0] is None
    (app.settings.folder / "planet.opml").write_text(
        "<opml version='2.0'><body><outline xmlUrl='{url}/b'/></body></opml>"
    )
    planet = open_house("kind: opml, path: planet.opml, every: adaptive")
    assert visit(planet) == "it is visited as often as its feeds together have news"
    assert open_house("kind: api").next_visit("blog") == (None, "its entries are pushed")
