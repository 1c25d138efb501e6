"""Whole texts: which articles are fetched, and how often."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest
from outside import Clock, Post, Response, WebSite, rss
from pydantic import TypeAdapter, ValidationError

from publisher.confine import confined
from publisher.errors import SourceError
from publisher.model import Cursor, Harvest, Item
from publisher.net import Net
from publisher.sources import _fulltext
from publisher.sources.feed import Feed
from publisher.sources.page import Page

SENTENCE = "The ferry leaves at eight in the morning and comes back when the tide allows it, says the harbour master. "


def article(title: str, text: str = SENTENCE * 4, head: str = "") -> Response:
    menu = "<nav><a href=/>Home</a><a href=/about>About us</a></nav>"
    body = f"<article><h1>{title}</h1><p>{text}</p><p>{text} <a href='more'>More</a></p></article>"
    page = f"<html><head><title>{title}</title>{head}</head><body>{menu}<main>{body}</main><footer>©</footer></body>"
    return Response(page.encode(), headers={"Content-Type": "text/html; charset=utf-8"})


class Blog:
    """A feed of teasers, and its articles."""

    def __init__(self, site: WebSite, clock: Clock) -> None:
        self.site, self.clock = site, clock
        self.posts: list[Post] = []

    def write(self, *slugs: str) -> None:
        for slug in slugs:
            self.posts.insert(0, Post(slug, self.clock(), text=f"A teaser for {slug}."))
            self.site.pages[f"/posts/{slug}"] = article(f"About {slug}")
        self.list()

    def list(self) -> None:
        self.site.pages["/feed"] = rss(self.site.url, self.posts)

    def edit(self, slug: str) -> None:
        self.posts = [replace(post, text="Another teaser.") if post.slug == slug else post for post in self.posts]
        self.list()

    def visit(self, cursor: Cursor | None, net: Net) -> tuple[Harvest, list[str]]:
        """The harvest, and the articles that were asked for."""
        self.site.hits.clear()
        harvest = Feed(url=f"{self.site.url}/feed", full_text=True).fetch(cursor, net)
        return harvest, [hit.removeprefix("/posts/") for hit in self.site.hits if hit != "/feed"]


@pytest.fixture
def blog(web_site: WebSite, clock: Clock) -> Blog:
    return Blog(web_site, clock)


@pytest.fixture
def net() -> Iterator[Net]:
    net = Net(private=True)
    yield net
    net.close()


def test_an_article_brings_its_text_without_menu_and_title(blog: Blog, net: Net) -> None:
    blog.write("tide")
    blog.site.pages["/posts/tide"] = article("About tide", head="<meta property=og:image content=/tide.jpg>")
    harvest, _ = blog.visit(None, net)
    (item,) = harvest.items
    assert item.summary == "A teaser for tide."
    assert item.content.startswith("<p>The ferry leaves")
    assert f'href="{blog.site.url}/posts/more"' in item.content
    assert "Home" not in item.content
    assert "About tide" not in item.content
    assert item.image == f"{blog.site.url}/tide.jpg"


def test_an_article_without_a_picture_has_none(blog: Blog, net: Net) -> None:
    blog.write("a")
    assert blog.visit(None, net)[0].items[0].image == ""


def test_each_article_is_fetched_once(blog: Blog, net: Net) -> None:
    blog.write("a", "b")
    first, asked = blog.visit(None, net)
    assert sorted(asked) == ["a", "b"]
    again, asked = blog.visit(first.cursor, net)
    assert (again.unchanged, asked) == (True, [])
    blog.write("c")
    second, asked = blog.visit(again.cursor, net)
    assert asked == ["c"]
    assert [item.title for item in second.items] == ["About c"]
    assert second.items[0].content


def test_an_edited_article_is_fetched_again_and_no_other(blog: Blog, net: Net) -> None:
    blog.write("a", "b")
    first, _ = blog.visit(None, net)
    blog.site.pages["/posts/a"] = article("About a", "Everything is different now, says everybody. " * 9)
    blog.edit("a")
    second, asked = blog.visit(first.cursor, net)
    assert asked == ["a"]
    assert "different now" in second.items[0].content


def test_an_article_that_fails_keeps_its_teaser_and_is_tried_three_times(blog: Blog, net: Net) -> None:
    blog.write("a", "b")
    blog.site.pages["/posts/a"] = Response(b"", 500)
    cursor: Cursor | None = None
    for visit in range(4):
        harvest, asked = blog.visit(cursor, net)
        cursor = harvest.cursor
        assert asked == [["b", "a"], ["a"], ["a"], []][visit]
        if visit < 3:
            failed = harvest.items[-1]
            assert (failed.title, failed.summary, failed.content) == ("About a", "A teaser for a.", "")
            assert harvest.notes[0].startswith("1 articles could not be fetched: ")
    assert not harvest.items


def test_an_article_that_comes_back_brings_its_text_although_the_list_did_not_change(blog: Blog, net: Net) -> None:
    blog.write("a")
    page, blog.site.pages["/posts/a"] = blog.site.pages["/posts/a"], Response(b"", 500)
    first, _ = blog.visit(None, net)
    blog.site.pages["/posts/a"] = page
    second, _ = blog.visit(first.cursor, net)
    assert second.items[0].content
    third, asked = blog.visit(second.cursor, net)
    assert (third.items, asked) == ((), [])
    assert blog.visit(third.cursor, net)[0].unchanged


def test_an_edited_article_that_fails_leaves_its_text_alone(blog: Blog, net: Net) -> None:
    blog.write("a", "b")
    first, _ = blog.visit(None, net)
    blog.site.pages["/posts/a"] = Response(b"", 500)
    blog.edit("a")
    second, asked = blog.visit(first.cursor, net)
    assert (asked, second.items) == (["a"], ())
    blog.site.pages["/posts/a"] = article("About a")
    third, _ = blog.visit(second.cursor, net)
    assert [item.summary for item in third.items] == ["Another teaser."]


def test_a_visit_fetches_so_many_and_the_next_ones_the_rest(
    blog: Blog, net: Net, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_fulltext, "_MOST", 3)
    blog.write(*"abcdefgh")
    first, asked = blog.visit(None, net)
    assert asked == ["h", "g", "f"]
    assert [bool(item.content) for item in first.items] == [True] * 3 + [False] * 5
    assert first.notes == ("5 articles are left to fetch",)
    second, asked = blog.visit(first.cursor, net)
    assert asked == ["e", "d", "c"]
    third, asked = blog.visit(second.cursor, net)
    assert asked == ["b", "a"]
    assert blog.visit(third.cursor, net)[1] == []


def test_a_site_that_asks_to_come_later_is_left_alone(blog: Blog, net: Net) -> None:
    blog.write("a", "b", "c")
    blog.site.pages["/posts/c"] = Response(b"", 429)
    first, asked = blog.visit(None, net)
    assert asked == ["c"]
    assert len(first.items) == 3


def test_a_visit_ends_in_time_whatever_the_articles_do(blog: Blog, net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fulltext, "_PATIENCE", -1)
    blog.write("a")
    first, asked = blog.visit(None, net)
    assert (asked, first.items[0].content) == ([], "")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (article("Cookies", "Do you agree?"), "no text of an article"),
        (Response(b"%PDF", headers={"Content-Type": "application/pdf"}), "application/pdf is not a web page"),
        (Response(b"<div>" * 200_000, headers={"Content-Type": "text/html"}), "/posts/a|took more|cannot be read"),
    ],
)
def test_what_is_no_article_is_said_so(blog: Blog, net: Net, answer: Response, says: str) -> None:
    blog.write("a")
    blog.site.pages["/posts/a"] = answer
    harvest, _ = blog.visit(None, net)
    assert harvest.items[0].summary == "A teaser for a."
    with pytest.raises(SourceError, match=says):
        _fulltext.whole(harvest.items[0], net)


def test_the_longer_text_is_kept(blog: Blog, net: Net) -> None:
    blog.write("a")
    item = Item(link=f"{blog.site.url}/posts/a", content=f"<p>{SENTENCE * 20}</p>")
    assert _fulltext.whole(item, net).content == item.content


def test_articles_elsewhere_are_never_looked_for_at_private_addresses(blog: Blog, net: Net) -> None:
    blog.write("a")
    blog.site.pages["/feed"].body = blog.site.pages["/feed"].body.replace(b"127.0.0.1", b"localhost")
    harvest, asked = blog.visit(None, net)
    assert asked == []
    assert "not a public address" in harvest.notes[0]


@pytest.mark.parametrize("section", ["", "#{}"])
def test_items_that_share_a_page_or_are_files_have_none_of_their_own(web_site: WebSite, net: Net, section: str) -> None:
    links = (f"{web_site.url}/all{section.format(n)}" for n in range(2))
    items = "".join(f"<item><title>{n}</title><link>{link}</link></item>" for n, link in enumerate(links))
    items += f"<item><title>3</title><enclosure url='{web_site.url}/3.mp3' type='audio/mpeg'/></item>"
    web_site.pages["/feed"] = Response(f"<rss version='2.0'><channel><title>T</title>{items}</channel></rss>".encode())
    source = Feed(url=f"{web_site.url}/feed", full_text=True)
    first = source.fetch(None, net)
    assert [item.title for item in first.items] == ["0", "1", "3"]
    assert web_site.hits == ["/feed"]


def test_a_page_brings_the_texts_of_its_articles(web_site: WebSite, net: Net) -> None:
    rows = "".join(f"<h3><a href=/{n}>The story that has the number {n}</a></h3><p>Some words.</p>" for n in range(3))
    web_site.pages["/news"] = Response(f"<main>{rows}</main>".encode(), headers={"Content-Type": "text/html"})
    web_site.pages |= {f"/{n}": article(f"The story that has the number {n}") for n in range(3)}
    source = Page(url=f"{web_site.url}/news", full_text=True)
    first = source.fetch(None, net)
    assert [SENTENCE.strip() in item.content for item in first.items] == [True] * 3
    assert source.fetch(first.cursor, net).unchanged


def test_what_is_remembered_is_bounded(blog: Blog, net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fulltext, "_REMEMBERED", 3)
    blog.write("a", "b")
    first, _ = blog.visit(None, net)
    blog.posts.clear()
    blog.write("c", "d")
    second, _ = blog.visit(first.cursor, net)
    assert len(second.cursor["texts"]) == 3 * 22 + 2
    assert blog.visit(second.cursor, net)[0].unchanged


def test_without_trafilatura_the_configuration_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fulltext, "find_spec", lambda name: None)
    assert importlib.util.find_spec("trafilatura")
    with pytest.raises(ValidationError, match=r"pip install 'publisher\[fulltext\]'"):
        TypeAdapter(Page).validate_python({"url": "https://a.example.org/", "full_text": True})
    assert TypeAdapter(Page).validate_python({"url": "https://a.example.org/"}).full_text is False


@pytest.mark.parametrize(
    "page",
    [
        b"<p>word " * 600_000,
        b"<b><i><a href=/>" * 100_000,
        b"<div>" * 1_000_000,
        b"<table><tr><td>" * 200_000,
        b"<p" + b" a=1" * 1_000_000 + b">",
        b"<article>" + b"<p>A sentence of some words.</p>" * 150_000,
    ],
    ids=range(6),
)
def test_a_hostile_article_is_done_with_in_five_seconds(page: bytes) -> None:
    started = time.monotonic()
    with suppress(SourceError):
        confined("publisher.sources._article:read", page[:5_000_000], "", "https://a.example.org/", cpu=_fulltext._CPU)
    assert time.monotonic() - started < 30, "on a busy machine; of processor time it gets four seconds"
