"""Feeds: golden documents, and what is remembered between two visits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from pytest_httpserver import HTTPServer
from werkzeug import Response

from publisher.errors import BadStatus, SourceError
from publisher.model import Author, Enclosure, Hub, Item
from publisher.net import Net
from publisher.sources._syndicated import parse
from publisher.sources.feed import Feed

GOLDEN = Path(__file__).parent.parent / "golden" / "feed"
ADDRESS = "https://blog.example.org/feed.xml"
EMPTY = json.loads(json.dumps(asdict(Item())))

RSS = (GOLDEN / "rss-2.0" / "input.xml").read_bytes()


@pytest.fixture
def net() -> Iterator[Net]:
    net = Net(private=True)
    yield net
    net.close()


def charset(case: Path) -> str:
    header = Message()
    if (case / "headers.json").exists():
        header["Content-Type"] = json.loads((case / "headers.json").read_text())["Content-Type"]
    return header.get_content_charset("")


def rss(items: str) -> bytes:
    return f"<rss version='2.0'><channel><title>T</title>{items}</channel></rss>".encode()


# --- documents ---


@pytest.mark.parametrize("case", sorted(path.name for path in GOLDEN.iterdir()))
def test_a_golden_feed_gives_what_is_expected(case: str) -> None:
    folder = GOLDEN / case
    expected = json.loads((folder / "expected.json").read_text())
    body = next(folder.glob("input.*")).read_bytes()
    if "error" in expected:
        with pytest.raises(SourceError) as refused:
            parse(body, charset(folder), ADDRESS)
        assert str(refused.value) == expected["error"]
        assert refused.value.hint or "json" in case
        return
    found = parse(body, charset(folder), ADDRESS)
    assert (found["title"], found["link"], found["notes"]) == (expected["title"], expected["link"], [])
    for item, fields in zip(found["items"], expected["items"], strict=True):
        for name, value in (EMPTY | fields).items():
            assert (name, item[name]) == (name, value)


def test_every_golden_feed_says_what_is_expected() -> None:
    assert [path.name for path in GOLDEN.iterdir() if not (path / "expected.json").is_file()] == []


def test_a_thousand_items_are_taken_and_the_rest_is_told() -> None:
    found = parse(rss("".join(f"<item><guid>{n}</guid></item>" for n in range(1_234))), "", ADDRESS)
    assert [item["guid"] for item in found["items"]] == [str(n) for n in range(1_000)]
    assert found["notes"] == ["234 of 1234 items were left out: one visit takes 1000"]


@pytest.mark.parametrize("cut", range(0, len(RSS) - 30, 97))
def test_half_a_feed_is_never_taken(cut: int) -> None:
    with pytest.raises(SourceError):
        parse(RSS[:cut], "utf-8", ADDRESS)


def test_an_identity_does_not_depend_on_where_the_feed_is() -> None:
    for address in (ADDRESS, "https://elsewhere.example.org/"):
        assert parse(rss("<item><guid>7</guid></item>"), "", address)["items"][0]["guid"] == "7"


def test_what_an_item_says_of_its_base_is_forgotten_after_it() -> None:
    items = "<item xml:base='https://other.example.org/'><link>a</link></item><item><link>b</link></item>"
    links = [item["link"] for item in parse(rss(items), "", ADDRESS)["items"]]
    assert links == ["https://other.example.org/a", "https://blog.example.org/b"]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.integers(0, len(RSS)).map(lambda n: RSS[:n] + b"&#99999999;<" + RSS[n:]))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with suppress(SourceError):
        json.dumps(parse(body, "utf-8", ADDRESS))


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["id", "url", "tags", "authors", "author", "name", "attachments", "date_published", "title"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_in_a_json_feed_is_read(value: Any) -> None:
    document = {"version": "https://jsonfeed.org/version/1.1", "items": [value, {"authors": value, "tags": value}]}
    for item in parse(json.dumps(document | {"author": value}).encode(), "", ADDRESS)["items"]:
        assert item.keys() == EMPTY.keys()


# --- visits ---


def test_a_visit_gives_items(httpserver: HTTPServer, net: Net) -> None:
    httpserver.expect_request("/feed").respond_with_data(RSS, content_type="application/rss+xml")
    harvest = Feed(url=httpserver.url_for("/feed")).fetch(None, net)
    assert (harvest.title, harvest.link) == ("Harbour & Town", httpserver.url_for("/"))
    assert harvest.items[1] == Item(
        guid="https://blog.example.org/2026/div",
        link="https://blog.example.org/2026/div",
        title="Use <div> sparingly",
        summary="<p>Only a teaser.</p>",
        authors=(Author(name="Rui Dias", email="editor@example.org"),),
        image="https://cdn.example.org/t.png",
        enclosures=(Enclosure(url="https://cdn.example.org/a.mp3", media_type="audio/mpeg", length=1234567),),
        published=datetime(2026, 11, 2, 22, 15, tzinfo=UTC),
        language="en",
    )


def test_the_second_visit_asks_only_for_what_is_new(httpserver: HTTPServer, net: Net) -> None:
    marks = {"ETag": '"one"', "Last-Modified": "Tue, 03 Nov 2026 08:00:00 GMT"}
    httpserver.expect_ordered_request("/feed").respond_with_data(RSS, headers=marks)
    conditions = {"If-None-Match": '"one"', "If-Modified-Since": "Tue, 03 Nov 2026 08:00:00 GMT"}
    httpserver.expect_ordered_request("/feed", headers=conditions).respond_with_data(b"", status=304)
    feed = Feed(url=httpserver.url_for("/feed"))
    first = feed.fetch(None, net)
    second = feed.fetch(first.cursor, net)
    assert second.unchanged
    assert second.cursor == first.cursor


def test_the_same_bytes_are_not_read_again(httpserver: HTTPServer, net: Net) -> None:
    httpserver.expect_ordered_request("/feed").respond_with_data(RSS, headers={"ETag": '"one"'})
    httpserver.expect_ordered_request("/feed").respond_with_data(RSS, headers={"ETag": '"two"'})
    feed = Feed(url=httpserver.url_for("/feed"))
    second = feed.fetch(feed.fetch(None, net).cursor, net)
    assert second.unchanged
    assert second.cursor["etag"] == '"two"'


def test_a_feed_that_moved_for_good_is_asked_at_its_new_address(httpserver: HTTPServer, net: Net) -> None:
    moved = Response(status=301, headers={"Location": "/new"})
    httpserver.expect_ordered_request("/old").respond_with_response(moved)
    httpserver.expect_ordered_request("/new").respond_with_data(RSS)
    httpserver.expect_ordered_request("/new").respond_with_data(RSS.replace(b"pier", b"quay"))
    feed = Feed(url=httpserver.url_for("/old"))
    first = feed.fetch(None, net)
    assert first.cursor["url"] == httpserver.url_for("/new")
    second = feed.fetch(first.cursor, net)
    assert second.items[0].title == "The new quay & its lamps"
    assert second.cursor["url"] == httpserver.url_for("/new")


def test_a_feed_whose_new_address_dies_is_looked_for_at_its_old_one(httpserver: HTTPServer, net: Net) -> None:
    moved = {"Location": httpserver.url_for("/new")}
    httpserver.expect_ordered_request("/old").respond_with_data(status=301, headers=moved)
    httpserver.expect_ordered_request("/new").respond_with_data(RSS, content_type="application/rss+xml")
    httpserver.expect_ordered_request("/new").respond_with_data("not here any more", 404)
    httpserver.expect_ordered_request("/old").respond_with_data(RSS + b"\n", content_type="application/rss+xml")
    source = Feed(url=httpserver.url_for("/old"))
    first = source.fetch(None, net)
    assert first.cursor["url"] == httpserver.url_for("/new")
    assert source.fetch(first.cursor, net).cursor["url"] == ""


def test_a_feed_that_moved_for_a_while_is_asked_at_its_own_address(httpserver: HTTPServer, net: Net) -> None:
    httpserver.expect_request("/old").respond_with_response(Response(status=302, headers={"Location": "/new"}))
    httpserver.expect_request("/new").respond_with_data(RSS)
    assert not Feed(url=httpserver.url_for("/old")).fetch(None, net).cursor["url"]


def test_a_feed_that_is_gone_is_over(httpserver: HTTPServer, net: Net) -> None:
    httpserver.expect_request("/feed").respond_with_data(b"", status=410)
    assert Feed(url=httpserver.url_for("/feed")).fetch({"etag": '"one"'}, net).gone


def test_other_refusals_are_errors(httpserver: HTTPServer, net: Net) -> None:
    httpserver.expect_request("/feed").respond_with_data(b"", status=404)
    with pytest.raises(BadStatus):
        Feed(url=httpserver.url_for("/feed")).fetch(None, net)


def test_an_error_page_is_named_with_its_host_and_a_way_out(httpserver: HTTPServer, net: Net) -> None:
    httpserver.expect_request("/feed").respond_with_data("<!doctype html><p>Sorry", content_type="text/html")
    with pytest.raises(SourceError, match=r"^localhost:\d+ answered with a web page, not a feed$") as refused:
        Feed(url=httpserver.url_for("/feed")).fetch(None, net)
    assert "kind: page" in refused.value.hint


def test_an_address_that_is_none_is_a_fault_of_the_configuration() -> None:
    with pytest.raises(ValidationError, match="not a web address"):
        TypeAdapter(Feed).validate_python({"url": "blog.example.org"})


# --- hubs ---

ATOM_LINKS = """<feed xmlns="http://www.w3.org/2005/Atom"><title>T</title>
<link rel="hub" href="https://hub.example/?a=1&amp;b=2"/><link rel="HUB" href="/second"/><link rel="hub" href="ftp://x/"/>
<link rel="self" href="https://blog.example.org/self.xml"/><link rel="alternate" href="/"/></feed>"""
RSS_LINKS = """<rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom"><channel><title>T</title>
<atom:link rel="hub" href="https://hub.example/?a=1&amp;b=2"/><atom:link rel="hub" href="/second"/>
<atom:link href="https://blog.example.org/self.xml" rel="self" type="application/rss+xml"/><link>https://b.example/</link>
<item><guid>1</guid><atom:link rel="hub" href="https://evil.example/"/></item></channel></rss>"""
JSON_LINKS = json.dumps(
    {
        "version": "https://jsonfeed.org/version/1.1",
        "title": "T",
        "feed_url": "https://blog.example.org/self.xml",
        "hubs": [
            {"type": "rssCloud", "url": "https://cloud.example/"},
            {"type": "WebSub", "url": "https://hub.example/?a=1&b=2"},
            {"type": "WebSub", "url": "/second"},
            {"type": "WebSub", "url": None},
            "hub",
        ],
        "items": [],
    }
)


@pytest.mark.parametrize("body", [ATOM_LINKS, RSS_LINKS, JSON_LINKS], ids=["atom", "rss", "json"])
def test_a_feed_says_who_pushes_it(body: str) -> None:
    found = parse(body.encode(), "", ADDRESS)
    assert found["hubs"] == ["https://hub.example/?a=1&b=2", "https://blog.example.org/second"]
    assert found["self"] == "https://blog.example.org/self.xml"


HUB, HERE = "<https://hub.example/>; rel=hub", '<https://a.example/self>; rel="self"'
ADVERTISED: list[tuple[str, str, tuple[str, list[str]] | None]] = [
    (RSS.decode(), "", None),
    (RSS.decode(), HERE, None),
    (RSS.decode(), f"{HUB}, {HERE}", ("https://a.example/self", ["https://hub.example/"])),
    (RSS.decode(), f"{HUB}, </feed?b=1>; rel=self", ("{url}/feed?b=1", ["https://hub.example/"])),
    (RSS_LINKS, HUB, ("https://blog.example.org/self.xml", ["https://hub.example/"])),
    (RSS_LINKS, f"{HUB}, {HERE}", ("https://a.example/self", ["https://hub.example/"])),
    (RSS_LINKS, HERE, ("https://blog.example.org/self.xml", ["https://hub.example/?a=1&b=2", "{url}/second"])),
    (RSS.decode(), "<javascript:1>; rel=hub, <mailto:a@b>; rel=hub", None),
]


@pytest.mark.parametrize(("body", "header", "expected"), ADVERTISED)
def test_what_the_headers_say_of_hubs_goes_before_what_the_feed_says(
    net: Net, httpserver: HTTPServer, body: str, header: str, expected: tuple[str, list[str]] | None
) -> None:
    httpserver.expect_request("/feed.xml").respond_with_data(body, headers={"Link": header} if header else {})
    hub = Feed(url=httpserver.url_for("/feed.xml")).fetch(None, net).hub
    here = httpserver.url_for("").rstrip("/")
    wanted = expected and (expected[0].format(url=here), [url.format(url=here) for url in expected[1]])
    assert (hub and (hub.topic, [*hub.urls])) == wanted


def test_several_link_headers_are_read_together_and_a_topic_is_known_by_where_it_was_found(
    net: Net, httpserver: HTTPServer
) -> None:
    headers = [("Link", "<https://one.example/>; rel=hub"), ("Link", "<https://two.example/>; rel=hub")]
    httpserver.expect_request("/feed.xml").respond_with_response(Response(rss(""), headers=headers))
    url = httpserver.url_for("/feed.xml")
    hub = Feed(url=url.replace("//", "//ada:swordfish@")).fetch(None, net).hub
    assert hub == Hub(topic=url, urls=("https://one.example/", "https://two.example/"))
