from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from publisher.discover import discover, try_site
from publisher.errors import NetError, PublisherError
from publisher.net import Net

RSS = """<?xml version="1.0"?><rss version="2.0"><channel><title>{title}</title><link>http://site.example.org/</link>
<description/>{items}</channel></rss>"""
ITEM = "<item><title>One</title><link>http://site.example.org/1</link><guid>1</guid></item>"
PAGE = (Path(__file__).parent / "golden" / "page" / "plain_flat" / "input.html").read_text()


@pytest.fixture
def net() -> Iterator[Net]:
    net = Net(private=True)
    yield net
    net.close()


def serve_feed(server: HTTPServer, path: str, title: str = "The feed", items: str = ITEM) -> None:
    server.expect_request(path).respond_with_data(
        RSS.format(title=title, items=items), content_type="application/rss+xml"
    )


def serve_page(server: HTTPServer, html: str, path: str = "/") -> str:
    server.expect_request(path).respond_with_data(html, content_type="text/html; charset=utf-8")
    return server.url_for(path)


def alternate(href: str, title: str = "", media_type: str = "application/rss+xml") -> str:
    return f'<link rel="alternate" type="{media_type}" title="{title}" href="{href}">'


def test_an_address_that_is_a_feed_is_the_source(httpserver: HTTPServer, net: Net) -> None:
    serve_feed(httpserver, "/news.xml")
    found = discover(httpserver.url_for("/news.xml"), net)
    assert (found.kind, found.source) == ("feed", httpserver.url_for("/news.xml"))
    assert (found.title, found.source_title) == ("The feed", "The feed")
    assert found.url == "http://site.example.org/"
    assert [item.title for item in found.items] == ["One"]


def test_the_feed_that_a_page_names_is_found(httpserver: HTTPServer, net: Net) -> None:
    serve_feed(httpserver, "/f/news.xml")
    url = serve_page(
        httpserver,
        f"<html lang=de-AT><head><title>Die\n Zeitung</title><base href=/f/>{alternate('news.xml')}</head>{PAGE}",
    )
    found = discover(url, net)
    assert (found.kind, found.source) == ("feed", httpserver.url_for("/f/news.xml"))
    assert (found.title, found.language, found.url, found.source_title) == ("Die Zeitung", "de-AT", url, "The feed")


def test_the_feed_of_comments_is_tried_last(httpserver: HTTPServer, net: Net) -> None:
    serve_feed(httpserver, "/comments/feed", "Comments")
    serve_feed(httpserver, "/all", "Articles")
    head = alternate("/comments/feed", "Comments feed") + alternate("/all", "Articles", "application/atom+xml")
    assert discover(serve_page(httpserver, head), net).source_title == "Articles"


def test_the_feed_of_comments_is_known_in_other_languages(httpserver: HTTPServer, net: Net) -> None:
    serve_feed(httpserver, "/2026/feed", "Kommentare")
    serve_feed(httpserver, "/all", "Artikel")
    head = alternate("/2026/feed", "Kommentar-Feed zu: Neue Buslinie") + alternate("/all", "Artikel")
    assert discover(serve_page(httpserver, head, "/2026"), net).source_title == "Artikel"


def test_of_the_feeds_that_a_section_names_its_own_is_taken(httpserver: HTTPServer, net: Net) -> None:
    serve_feed(httpserver, "/feed", "All of it")
    serve_feed(httpserver, "/local/feed", "Local")
    head = alternate("/feed", "All of it") + alternate("/local/feed", "Local")
    assert discover(serve_page(httpserver, head, "/local/"), net).source_title == "Local"


@pytest.mark.parametrize(
    "link",
    [
        "<a href=/f/41>RSS</a>",
        "<a href=/f/41>Subscribe via RSS</a>",
        "<a href=/f/41 title='RSS feed'><svg></svg></a>",
        "<a href=/f/41 type=application/atom+xml>Follow us</a>",
    ],
)
def test_a_feed_that_a_page_only_links_to_is_found(httpserver: HTTPServer, net: Net, link: str) -> None:
    serve_feed(httpserver, "/f/41")
    found = discover(serve_page(httpserver, f"{PAGE}<p>{link}"), net)
    assert found.source == httpserver.url_for("/f/41")
    assert found.told == f"The page links to this feed: {found.source}"


@pytest.mark.parametrize("path", ["/news.rss", "/rss/news.xml", "/feed/", "/site/atom.php"])
def test_an_address_may_say_that_it_is_a_feed(httpserver: HTTPServer, net: Net, path: str) -> None:
    serve_feed(httpserver, path)
    if path == "/rss/news.xml":  # it is said in the middle: nothing is made of that
        assert discover(serve_page(httpserver, f"{PAGE}<a href={path}>here</a>"), net).kind == "page"
    else:
        found = discover(serve_page(httpserver, f"{PAGE}<a href={path}>here</a>"), net)
        assert found.source == httpserver.url_for(path)


def test_a_feed_that_a_section_links_to_is_taken_where_it_tells_what_the_section_lists(
    httpserver: HTTPServer, net: Net
) -> None:
    serve_feed(httpserver, "/all.rss", "All of it")
    link, listed = "<a href=/all.rss>RSS</a>", "<a href=http://site.example.org/1#x>One</a>"
    assert discover(serve_page(httpserver, PAGE + link, "/local/"), net).kind == "page"
    assert discover(serve_page(httpserver, PAGE + listed + link, "/archive/"), net).source_title == "All of it"


@pytest.mark.parametrize("text", ["The feed store opens", "Feed the birds", "Atomic clocks"])
def test_a_link_about_something_else_is_no_feed(httpserver: HTTPServer, net: Net, text: str) -> None:
    serve_feed(httpserver, "/f/41")
    assert discover(serve_page(httpserver, f"{PAGE}<a href=/f/41>{text}</a>"), net).kind == "page"


@pytest.mark.parametrize("broken", ["missing", "empty", "no feed"])
def test_a_named_feed_that_brings_nothing_is_passed_over(httpserver: HTTPServer, net: Net, broken: str) -> None:
    if broken == "empty":
        serve_feed(httpserver, "/a", items="")
    if broken == "no feed":
        serve_page(httpserver, "<p>Oops", "/a")
    serve_feed(httpserver, "/b")
    url = serve_page(httpserver, alternate("/a") + alternate("/b") + alternate("javascript:alert(1)"))
    assert discover(url, net).source == httpserver.url_for("/b")


@pytest.mark.parametrize(
    ("page", "path"), [("/", "/feed"), ("/", "/rss.xml"), ("/blog", "/blog/index.xml"), ("/blog/", "/blog/feed.json")]
)
def test_the_usual_addresses_are_tried_below_the_page(httpserver: HTTPServer, net: Net, page: str, path: str) -> None:
    serve_feed(httpserver, path)
    assert discover(serve_page(httpserver, PAGE, page), net).source == httpserver.url_for(path)


def test_the_feed_of_a_whole_site_is_not_taken_for_that_of_one_of_its_pages(httpserver: HTTPServer, net: Net) -> None:
    serve_feed(httpserver, "/feed.xml")
    assert discover(serve_page(httpserver, PAGE, "/local"), net).kind == "page"


def test_without_a_feed_the_list_on_the_page_is_the_source(httpserver: HTTPServer, net: Net) -> None:
    found = discover(serve_page(httpserver, PAGE, "/local/"), net)
    assert (found.kind, found.source, found.url) == ("page", *[httpserver.url_for("/local/")] * 2)
    assert found.title == "Hillside Gazette: Local"
    assert len(found.items) == 4
    assert found.items[0].title == "Bridge closes for repairs until spring"


def test_a_redirect_is_followed_to_the_sites_own_address(httpserver: HTTPServer, net: Net) -> None:
    httpserver.expect_request("/start").respond_with_data("", 302, headers={"Location": "/local/"})
    url = serve_page(httpserver, PAGE, "/local/")
    assert discover(httpserver.url_for("/start"), net).url == url


def test_a_scheme_may_be_left_out(httpserver: HTTPServer, net: Net) -> None:
    url = serve_page(httpserver, PAGE)
    assert discover(url.removeprefix("http://"), net).url == url


def test_where_nothing_can_be_followed_it_says_what_to_do(httpserver: HTTPServer, net: Net) -> None:
    with pytest.raises(PublisherError, match="no feed was found, and no list of articles") as caught:
        discover(serve_page(httpserver, "<h1>Hello</h1>"), net)
    assert caught.value.hint


def test_a_site_that_does_not_answer_is_said_so(net: Net) -> None:
    with pytest.raises(NetError):
        discover("127.0.0.1:1", net)


def test_a_page_in_an_odd_charset_is_read_all_the_same(httpserver: HTTPServer, net: Net) -> None:
    body = f"<title>Müller</title>{PAGE}".encode("windows-1252")
    httpserver.expect_request("/").respond_with_data(body, content_type="text/html; charset=nonsense")
    assert discover(httpserver.url_for("/"), net).title == "Müller"


def test_a_trial_says_how_its_source_was_found(httpserver: HTTPServer, net: Net) -> None:
    serve_feed(httpserver, "/f/a")
    serve_feed(httpserver, "/guessed/feed")
    pages = {
        "/named": (f"<html>{alternate('/f/a')}", "The page names this feed: {}/f/a"),
        "/guessed": ("<html><p>Hello", "The page names no feed; this one is at a usual address: {}/guessed/feed"),
        "/broken": (
            f"<html>{alternate('/f/b')}{PAGE}",
            "The page names a feed that brings nothing ({}/f/b): this is what it lists.",
        ),
        "/page": (PAGE, "The page names no feed, and none is at a usual address: this is what it lists."),
    }
    for path, (html, says) in pages.items():
        trial = try_site(serve_page(httpserver, html, path), net).trial
        assert trial.notes == (says.format(httpserver.url_for("/").rstrip("/")),)
    assert try_site(httpserver.url_for("/f/a"), net).trial.notes == ("The address is a feed.",)
