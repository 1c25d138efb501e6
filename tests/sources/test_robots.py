"""What a site asks of robots.  Loopback counts as a public address here, so that we are guests on it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outside import Response, WebSite
from waiting import wait_for

from publisher.app import App, load
from publisher.errors import SourceError
from publisher.model import Item, Later
from publisher.net import Net
from publisher.sources import _robots, whole
from publisher.sources._robots import polite
from publisher.sources.feed import Feed
from publisher.sources.page import Page

ROWS = "".join(f"<h3><a href=/n{n}>Bridge {n} was opened</a></h3><p>The mayor was there.</p>" for n in range(4))
NO_PAUSE = ["0", "-5", "inf", "nan", "soon", ""]
PAGE = Response(f"<main>{ROWS}</main>".encode(), headers={"Content-Type": "text/html"})
FEED = Response(
    b"<rss version='2.0'><channel><item><title>A</title><link>https://a.example/</link></item></channel></rss>"
)


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> Iterator[Net]:
    monkeypatch.setattr("publisher.net.sockets.is_global", lambda _: True)
    _robots._known.clear()
    net = Net()
    yield net
    net.close()


def robots(site: WebSite, text: str, status: int = 200) -> Page:
    site.pages |= {"/robots.txt": Response(text.encode(), status), "/news": PAGE}
    return Page(url=f"{site.url}/news")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "User-agent: *\nDisallow: /admin",
        "User-agent: *\nDisallow: /\n\nUser-agent: Publisher\nAllow: /",
        "User-agent: *\nDisallow: /n\nAllow: /news",
        "<html>what you look for is not here</html>",
        "\x00\xff: \n*",
    ],
)
def test_a_page_is_read_where_nothing_stands_against_it(web_site: WebSite, net: Net, text: str) -> None:
    assert len(robots(web_site, text).fetch(None, net).items) == 4


@pytest.mark.parametrize(
    "text",
    [
        "User-agent: *\nDisallow: /",
        "\ufeffuser-agent: publisher\ndisallow: /news",
        "User-agent: *\nDisallow: /*ws$",
    ],
)
def test_a_page_is_left_alone_where_robots_are_not_wanted(web_site: WebSite, net: Net, text: str) -> None:
    page = robots(web_site, text)
    for visit in (lambda: page.fetch(None, net), lambda: page.explain(net)):
        with pytest.raises(SourceError, match="asks robots to stay away") as caught:
            visit()
        assert "robots: ignore" in caught.value.hint
    assert web_site.hits == ["/robots.txt"]


@pytest.mark.parametrize("how", [{"robots": False}, {"private": True}])
def test_who_is_at_home_or_has_leave_asks_nobody(web_site: WebSite, net: Net, how: dict[str, bool]) -> None:
    page = robots(web_site, "User-agent: *\nDisallow: /")
    assert len(page.fetch(None, net.bound(**how)).items) == 4
    assert "/robots.txt" not in web_site.hits


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_where_there_are_no_rules_all_is_allowed(web_site: WebSite, net: Net, status: int) -> None:
    assert robots(web_site, "User-agent: *\nDisallow: /", status).fetch(None, net).items


def test_where_nobody_answers_all_is_forbidden_until_somebody_does(web_site: WebSite, net: Net) -> None:
    page = robots(web_site, "", 503)
    with pytest.raises(SourceError, match=r"robots\.txt cannot be read, .*503"):
        page.fetch(None, net)
    assert robots(web_site, "").fetch(None, net).items


def test_a_site_is_asked_once_a_day(web_site: WebSite, net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    page, now = robots(web_site, ""), time.monotonic()
    for later, asked in ((0, 1), (86_000, 1), (87_000, 2)):
        monkeypatch.setattr(_robots.time, "monotonic", lambda later=later: now + later)
        page.fetch(None, net)
        assert web_site.hits.count("/robots.txt") == asked


def test_what_is_remembered_of_sites_is_bounded(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_robots, "_asked", lambda origin, net: None)
    for number in range(2 * _robots._MOST):
        _robots._site(f"https://{number}.example", net)
    assert len(_robots._known) == _robots._MOST


def test_a_feed_is_made_for_programs(web_site: WebSite, net: Net) -> None:
    robots(web_site, "User-agent: *\nDisallow: /")
    web_site.pages["/feed"] = FEED
    assert len(Feed(url=f"{web_site.url}/feed").fetch(None, net).items) == 1


def test_an_article_is_not_fetched_where_robots_are_not_wanted(web_site: WebSite, net: Net) -> None:
    robots(web_site, "User-agent: *\nDisallow: /private/")
    web_site.pages["/private/a"] = Response(b"<p>text</p>", headers={"Content-Type": "text/html"})
    with pytest.raises(SourceError, match="asks robots to stay away"):
        whole(Item(link=f"{web_site.url}/private/a"), net)
    assert web_site.hits == ["/robots.txt"]


def test_older_pages_are_left_alone_too(web_site: WebSite, net: Net) -> None:
    page = robots(web_site, "User-agent: *\nDisallow: /news?page")
    web_site.pages["/news"] = Response(PAGE.body + b"<a rel=next href='/news?page=2'>2</a>", headers=PAGE.headers)
    assert "asks robots to stay away" in page.fetch(None, net).notes[0]
    assert "/news?page=2" not in web_site.hits


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits, each to a tenth of a second; nobody waits."""
    naps: list[float] = []
    now = [time.monotonic()]

    def sleep(seconds: float) -> None:
        naps.append(round(seconds, 1))
        now[0] += seconds

    monkeypatch.setattr(_robots, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(Net, "rest", lambda net, seconds: sleep(seconds))
    return naps


@pytest.mark.parametrize(
    ("text", "pause"),
    [
        ("User-agent: *\nCrawl-delay: 2", 2),
        ("User-agent: *\nCrawl-delay: 0.5 # seconds", 0.5),
        ("User-agent: *\nCrawl-delay: 7\n\nUser-agent: publisher\nCrawl-delay: 3", 3),
        ("User-agent: *\nCrawl-delay: 3600", 10),
    ],
)
def test_between_two_pages_is_the_pause_that_the_site_asks_for(
    web_site: WebSite, net: Net, naps: list[float], text: str, pause: float
) -> None:
    page = robots(web_site, text)
    web_site.pages["/news"] = Response(PAGE.body + b"<a rel=next href='/older'>Older</a>", headers=PAGE.headers)
    text = "<p>The mayor cut the ribbon, and hundreds of people crossed the bridge for the first time.</p>" * 9
    web_site.pages["/n1"] = Response(f"<article>{text}</article>".encode(), headers=PAGE.headers)
    web_site.pages["/older"] = PAGE
    page.fetch(None, net)
    assert web_site.hits == ["/robots.txt", "/news", "/older"]
    assert naps == [pause]
    whole(Item(link=f"{web_site.url}/n1"), net)
    assert naps == [pause, pause]


@pytest.mark.parametrize("text", ["User-agent: *\nDisallow:"] + [f"User-agent: *\nCrawl-delay: {n}" for n in NO_PAUSE])
def test_nobody_waits_where_no_pause_is_asked_for(web_site: WebSite, net: Net, naps: list[float], text: str) -> None:
    page = robots(web_site, text)
    for _ in range(2):
        page.fetch(None, net)
    assert not naps


def test_a_pause_that_has_passed_is_not_made_again(web_site: WebSite, net: Net) -> None:
    page = robots(web_site, "User-agent: *\nCrawl-delay: 0.3")
    page.fetch(None, net)
    time.sleep(0.3)
    started = time.monotonic()
    page.fetch(None, net)
    assert time.monotonic() - started < 0.3


def test_who_come_at_the_same_time_go_one_after_the_other(web_site: WebSite, net: Net) -> None:
    page = robots(web_site, "User-agent: *\nCrawl-delay: 0.3")
    page.fetch(None, net)
    started = time.monotonic()
    with ThreadPoolExecutor(3) as threads:
        for visit in [threads.submit(page.fetch, None, net) for _ in range(3)]:
            visit.result()
    assert time.monotonic() - started >= 0.85


def test_a_house_that_closes_waits_for_no_pause_and_makes_the_visit_when_it_opens(
    web_site: WebSite, net: Net, write_config: Callable[[str], Path]
) -> None:
    robots(web_site, "User-agent: *\nCrawl-delay: 10")
    web_site.pages["/news"] = Response(PAGE.body + b"<a rel=next href='/older'>Older</a>", headers=PAGE.headers)
    web_site.pages["/older"] = PAGE
    config = write_config(f"sources: {{town: {{kind: page, url: '{web_site.url}/news'}}}}\n")
    with contextlib.closing(App(load(config, {})).ready()) as app, ThreadPoolExecutor() as threads:
        [work] = app.due("collect")
        visit = threads.submit(app.do, work)
        wait_for(lambda: "/news" in web_site.hits)
        app.stopping.set()
        outcome = visit.result(5)
        assert isinstance(outcome, Later)
        assert "closing" in outcome.why
        [source] = app.status().sources
        assert (source.failures, source.error, source.entries) == (0, "", 0)
        assert app.due("collect") == [work]


def test_a_login_in_the_address_is_not_told_to_anybody(web_site: WebSite, net: Net) -> None:
    robots(web_site, "User-agent: *\nDisallow: /")
    with pytest.raises(SourceError) as caught:
        polite(net).get(web_site.url.replace("://", "://ann:secret@") + "/news")
    assert "secret" not in str(caught.value)
    assert not any("secret" in origin for origin in _robots._known)


@given(st.text(alphabet="user-agent: *\ndisallow/$%?ä\x00\r#", max_size=300), st.text(max_size=60))
def test_whatever_a_site_writes_can_be_read(text: str, path: str) -> None:
    from protego import Protego

    assert Protego.parse(text).can_fetch(f"https://a.example/{path}", "publisher") in (True, False)


@pytest.mark.parametrize("line", ["Disallow: /{}\n", "Disallow: *{}*a*b*c\n", "Disallow: /" + "*a" * 1000 + "{}\n"])
def test_the_longest_rules_are_read_in_a_second_or_two(line: str) -> None:
    from protego import Protego

    text = "User-agent: *\n" + "".join(line.format(number) for number in range(_robots._LARGEST // len(line)))
    started = time.process_time()
    Protego.parse(text[: _robots._LARGEST]).can_fetch("https://a.example/" + "a" * 2000, "publisher")
    assert time.process_time() - started < 10
