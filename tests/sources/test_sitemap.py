"""Sitemaps of news, as a page source."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from outside import Response, WebSite

from publisher.errors import SourceError
from publisher.model import Item
from publisher.net import Net
from publisher.sources.page import Page

SPACES = (
    'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:news="http://www.google.com/schemas/sitemap-news/0.9" '
    'xmlns:image="http://www.google.com/schemas/sitemap-image/1.1"'
)
XML = {"Content-Type": "application/xml"}


def url(link: str, title: str = "", date: str = "2026-11-03T08:00:00+01:00") -> str:
    news = (
        "<news:news><news:publication><news:name>The Gazette</news:name><news:language>en</news:language>"
        f"</news:publication><news:publication_date>{date}</news:publication_date><news:title>{title}</news:title>"
        "<news:keywords>harbour, tide</news:keywords></news:news>"
        "<image:image><image:loc>https://gazette.example.org/i.jpg</image:loc></image:image>"
    )
    return f"<url><loc>{link}</loc><lastmod>2026-11-04</lastmod>{news if title else ''}</url>"


def urlset(*entries: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset {SPACES}>{"".join(entries)}</urlset>'.encode()


def index(*entries: tuple[str, str]) -> bytes:
    maps = "".join(f"<sitemap><loc>{loc}</loc><lastmod>{date}</lastmod></sitemap>" for loc, date in entries)
    return f'<?xml version="1.0"?><sitemapindex {SPACES}>{maps}</sitemapindex>'.encode()


@pytest.fixture
def net() -> Iterator[Net]:
    net = Net(private=True)
    yield net
    net.close()


def items(site: WebSite, net: Net, path: str = "/map.xml") -> tuple[Item, ...]:
    return Page(url=site.url + path).fetch(None, net).items


def test_a_sitemap_of_news_brings_its_articles_newest_first(web_site: WebSite, net: Net) -> None:
    older = url("/2", "The weir &amp;amp; the lock", "2026-11-02")
    body = urlset(older, url("https://gazette.example.org/1", "The ferry"), url("https://gazette.example.org/about"))
    web_site.pages["/map.xml"] = Response(body, headers=XML)
    first, second = items(web_site, net)
    assert first == Item(
        link="https://gazette.example.org/1",
        title="The ferry",
        tags=("harbour", "tide"),
        image="https://gazette.example.org/i.jpg",
        published=datetime(2026, 11, 3, 7, tzinfo=UTC),
        updated=datetime(2026, 11, 4, tzinfo=UTC),
        language="en",
    )
    assert (second.title, second.link) == ("The weir & the lock", f"{web_site.url}/2")


def test_the_same_sitemap_again_is_unchanged(web_site: WebSite, net: Net) -> None:
    web_site.pages["/map.xml"] = Response(urlset(url("/1", "One")), headers=XML)
    source = Page(url=f"{web_site.url}/map.xml")
    assert source.fetch(source.fetch(None, net).cursor, net).unchanged


def test_an_index_leads_to_the_sitemaps_of_news(web_site: WebSite, net: Net) -> None:
    maps = [(f"{web_site.url}/{name}.xml.gz", "2026-11-03") for name in ("pages", "news-1", "news-2")]
    web_site.pages["/map.xml"] = Response(index(*maps), headers=XML)
    for number in (1, 2):
        body = gzip.compress(urlset(url(f"/{number}", f"Number {number}")))
        web_site.pages[f"/news-{number}.xml.gz"] = Response(body, headers={"Content-Type": "application/gzip"})
    assert {item.title for item in items(web_site, net)} == {"Number 1", "Number 2"}
    assert "/pages.xml.gz" not in web_site.hits


def test_an_index_without_one_for_news_is_tried_at_what_changed_last(web_site: WebSite, net: Net) -> None:
    maps = [(f"{web_site.url}/{day}.xml", f"2026-11-{day:02}") for day in range(1, 10)]
    web_site.pages["/map.xml"] = Response(index(*maps), headers=XML)
    web_site.pages["/9.xml"] = Response(urlset(url("/nine", "Nine")), headers=XML)
    assert [item.title for item in items(web_site, net)] == ["Nine"]
    assert web_site.hits == ["/map.xml", "/9.xml", "/8.xml", "/7.xml", "/6.xml", "/5.xml"]


def test_an_index_is_read_again_although_it_looks_the_same(web_site: WebSite, net: Net) -> None:
    web_site.pages["/map.xml"] = Response(index((f"{web_site.url}/news.xml", "")), headers=XML)
    web_site.pages["/news.xml"] = Response(urlset(url("/1", "One")), headers=XML)
    source = Page(url=f"{web_site.url}/map.xml")
    first = source.fetch(None, net)
    web_site.pages["/news.xml"] = Response(urlset(url("/2", "Two"), url("/1", "One")), headers=XML)
    assert len(source.fetch(first.cursor, net).items) == 2


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (urlset(url("/1"), url("/2")), "a sitemap that tells of no news, only of addresses"),
        (urlset(url("/1", "One"))[:-20], "a broken sitemap"),
        (index(("/missing.xml", "")), "none of its sitemaps tells of news: .*404"),
        (gzip.compress(urlset(url("/1", "One")))[:50] + b"xxxx", "a (broken gzip file|gzip file that breaks off)"),
        (gzip.compress(b" " * 30_000_000), "more than 20 MB when it is unpacked"),
    ],
    ids=["addresses", "cut off", "missing", "gzip", "gzip bomb"],
)
def test_what_brings_no_news_is_said_so(web_site: WebSite, net: Net, body: bytes, says: str) -> None:
    web_site.pages["/map.xml"] = Response(body, headers=XML)
    with pytest.raises(SourceError, match=says) as caught:
        items(web_site, net)
    assert caught.value.hint


ENTITIES = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "ha"}">' for n in range(12))


@pytest.mark.parametrize(
    "body",
    [
        f"<!DOCTYPE urlset [{ENTITIES}]><urlset {SPACES}><url><loc>&e11;</loc></url></urlset>".encode(),
        b"<urlset>" + b"<url>" * 900_000,
        urlset(*[url("/1", "One")] * 8_000),
        b"<urlset" + b" a='1'" * 500_000 + b"/>",
    ],
    ids=["entities", "nesting", "items", "attributes"],
)
def test_a_hostile_sitemap_is_done_with_in_five_seconds(web_site: WebSite, net: Net, body: bytes) -> None:
    web_site.pages["/map.xml"] = Response(body[:5_000_000], headers=XML)
    started = time.monotonic()
    with suppress(SourceError):
        assert len(items(web_site, net)) <= 1000
    assert time.monotonic() - started < 30, "on a busy machine; of processor time it gets four seconds"
