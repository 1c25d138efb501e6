"""Feeds and pages that mean harm, or are merely broken: each is answered in time, and nothing harmful comes of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from outside import Response, WebSite
from waiting import done_in

from publisher.collect import tidy
from publisher.confine import confined
from publisher.errors import SourceError
from publisher.html import clean
from publisher.model import Item
from publisher.net import Net
from publisher.sources import feed, page
from publisher.sources._syndicated import parse
from publisher.sources.feed import Feed
from publisher.sources.page import Page

GOLDEN = Path(__file__).parent.parent / "golden"
ADDRESS = "https://blog.example.org/news/feed.xml"
LARGEST = 5_000_000
"""Bytes that a visit reads where the configuration does not say otherwise."""


# --- bombs -----------------------------------------------------------------------------------------------------------


def rss(items: str, head: str = "") -> str:
    return f"<rss version='2.0'><channel><title>T</title>{head}{items}</channel></rss>"


def json_feed(items: str) -> str:
    return f'{{"version": "https://jsonfeed.org/version/1.1", "title": "T", "items": [{items}]}}'


ENTITIES = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "ha"}">' for n in range(12))
FEEDS = {
    "entities": f"<!DOCTYPE rss [{ENTITIES}]>{rss('<item><title>&e11;</title></item>')}",
    "entities, quadratic": f"<!DOCTYPE rss [<!ENTITY a '{'a' * 100_000}'>]>{rss('<item>' + '&a;' * 900_000)}</rss>",
    "nesting": rss("<item>" + "<a>" * 1_000_000),
    "nesting in a text": rss(f"<item><description>{'&lt;div&gt;' * 400_000}</description></item>"),
    "attributes": rss("<item " + " ".join(f"a{n}=''" for n in range(400_000)) + "></item>"),
    "items": rss("<item><title>T</title></item>" * 170_000),
    "ampersands": rss("<item><title>" + "&" * 4_900_000),
    "half a reference": rss("<item><title>" + "&a" * 2_400_000),
    "open CDATA": rss("<item><title>" + "<![CDATA[" * 550_000),
    "open comments": "<!--" * 1_200_000 + rss(""),
    "declarations": "<!DOCTYPE a [" * 300_000 + rss(""),
    "dates": rss("<item><pubDate>" + "9 9 9 : " * 600_000 + "</pubDate></item>"),
    "one long title": rss(f"<item><title>{'x ' * 2_400_000}</title></item>"),
    "JSON, nesting": json_feed("[" * 4_900_000),
    "JSON, items": json_feed(", ".join(['{"id": "1"}'] * 350_000)),
    "JSON, number": json_feed(f'{{"id": {"9" * 4_900_000}}}'),
}
PAGES = {
    "attributes": "<p" + " a=1" * 1_200_000 + "><a href=/x>The story that is not told</a>",
    "many attributes": "<ul>" + f"<li{''.join(f' a{n}' for n in range(50))}><a href=/x>A story of it</a>" * 20_000,
    "nesting": "<div>" * 1_000_000,
    "items": "<ul>" + "".join(f"<li><a href=/{n}>The story number {n}</a>" for n in range(120_000)),
    "pagers": "<nav>" + "".join(f"<a href=/p/{n}>older</a>" for n in range(200_000)),
    "next": "".join(f"<link rel=next href=https://{n}.example/>" for n in range(120_000)),
    "JSON-LD": f'<script type="application/ld+json">{"[" * 4_900_000}</script>',
    "classes": f"<a class='{'x ' * 2_400_000}' href=/x>The story that is not told</a>" * 2,
}


def spent() -> float:
    """Seconds of processor time of the children, those that have ended and the one that is asked next."""
    ended = os.times()
    return ended.children_user + ended.children_system + float(confined("time:process_time"))


@pytest.fixture
def net() -> Iterator[Net]:
    net = Net(private=True)
    yield net
    net.close()


def answered(visit: Callable[[], Any]) -> None:
    """Something is read, or an error says what is the matter; in either case in less than five seconds."""
    before, error = spent(), "read"
    try:
        visit()
    except SourceError as refused:
        error = str(refused)
    assert spent() - before < 10, "they get less than five, and a slow machine is long in starting the process"
    assert error


@pytest.mark.parametrize("name", FEEDS)
def test_a_bomb_for_a_feed_is_answered_in_five_seconds(web_site: WebSite, net: Net, name: str) -> None:
    web_site.pages["/feed"] = Response(FEEDS[name].encode()[:LARGEST])
    answered(lambda: Feed(url=f"{web_site.url}/feed").fetch(None, net))


@pytest.mark.parametrize("name", PAGES)
def test_a_bomb_for_a_page_is_answered_in_five_seconds(web_site: WebSite, net: Net, name: str) -> None:
    web_site.pages["/news"] = Response(PAGES[name].encode()[:LARGEST], headers={"Content-Type": "text/html"})
    answered(lambda: Page(url=f"{web_site.url}/news").fetch(None, net))


# --- broken bytes ----------------------------------------------------------------------------------------------------

SEEDS = {
    kind: [next(case.glob("input.*")).read_bytes() for case in sorted((GOLDEN / kind).iterdir())]
    for kind in ("feed", "page")
}
words = str.split

TOKENS = [
    *words(
        "<![CDATA[ ]]> <!-- --> & &#0; &#x110000; &amp; &nbsp; &a; < > \" ' \0 \ufffe \ud7ff </item> </entry> <item> "
        "<entry> <content/> <base> </div> </script> </title> { } [ ] \\u0000 \\ud800 : , null 1e999 -1"
    ),
    "<script>alert(1)</script>",
    "&lt;script src=//a.example/x&gt;&lt;/script&gt;",
    "<img src=x onerror=alert(1)>",
    "&lt;a href='java&#10;script:alert(1)'>x&lt;/a>",
    "<svg><style><img src='</style><script>'>",
    "<link>javascript:alert(1)</link>",
    " xml:base='javascript:'",
    " type='xhtml'",
    " src='data:text/html,x'",
    " href=http://[::1",
    "<!DOCTYPE a [<!ENTITY a 'b'>]>",
    "<?xml version='1.0' encoding='utf-16'?>",
    "9999-99-99T99:99:99+99:99",
]
BYTES = [b"\xff\xfe", b"\xc3", b"\x1b$B", *(token.encode() for token in TOKENS)]


@st.composite
def broken(draw: st.DrawFn, kind: str) -> bytes:
    """A real document with some damage."""
    body = draw(st.sampled_from(SEEDS[kind]))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(body)))
        end = min(len(body), start + draw(st.sampled_from((0, 0, 1, 5, 50, 400))))
        what = draw(st.sampled_from(BYTES) | st.binary(max_size=6) | st.just(body[start:end] * 3))
        body = body[:start] + what + body[end:]
    return body


ACTIVE = words("script style iframe object embed form input svg link meta base")


class Acting(HTMLParser):
    """What in a text could act when somebody opens it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ACTIVE:
            self.found.append(tag)
        for name, value in attrs:
            if name.startswith("on") or name in ("style", "srcdoc"):
                self.found.append(name)
            elif name in ("href", "src") and not (value or "").startswith(("http://", "https://", "mailto:")):
                self.found.append(f"{name}={value}")


def judged(items: list[Item], base: str) -> None:
    for item in items:
        kept = tidy(item, base)
        for html in (kept.summary, kept.content):
            assert Acting(html).found == []
            assert clean(html, base) == html
        for url in (kept.link, kept.image, *(enclosure.url for enclosure in kept.enclosures)):
            assert url == "" or url.startswith(("http://", "https://", "mailto:"))
        assert tidy(kept, base) == replace(kept)


FUZZ = settings(max_examples=int(os.environ.get("FUZZ", "300")), deadline=None, suppress_health_check=list(HealthCheck))


@FUZZ
@given(broken("feed"), st.sampled_from(("", "utf-8", "iso-8859-1", "utf-16", "nonsense", "rot13")))
@example(SEEDS["feed"][0], "undefined")
def test_a_broken_feed_is_read_or_refused_and_what_is_kept_is_harmless(body: bytes, charset: str) -> None:
    with done_in(5), suppress(SourceError):
        judged([feed._item(raw) for raw in parse(body, charset, ADDRESS)["items"]], ADDRESS)


@FUZZ
@given(broken("page"), st.sampled_from(("", "utf-8", "windows-1252")))
@example(b"<title>x</title>", "undefined")
def test_a_broken_page_is_read_or_refused_and_what_is_kept_is_harmless(body: bytes, charset: str) -> None:
    with done_in(5), suppress(SourceError):
        judged([page._item(raw) for raw in page.read(body, charset, ADDRESS, None)["items"]], ADDRESS)
