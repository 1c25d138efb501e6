"""Lists of feeds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from publisher.errors import SourceError
from publisher.model import ListedFeed
from publisher.net import Net
from publisher.sources.opml import Opml, parse

EXPORTED = """<?xml version="1.0" encoding="ISO-8859-1"?>
<!-- exported by a reader -->
<opml version="1.1">
  <head><title>My  blogs</title></head>
  <body>
    <outline text="News" title="News">
      <outline type="rss" text="Café" title="Le Café" xmlUrl="https://cafe.example.org/feed?a=1&b=2" htmlUrl="https://x/"/>
      <outline text="Deep"><outline text="Old" xmlurl=" http://old.example.org/rss "/></outline>
    </outline>
    <outline type="rss" text="Twice" xmlUrl="http://old.example.org/rss"/>
    <outline type="link" text="No feed" url="https://example.org/"/>
    <outline type="rss" text="Here" xmlUrl="/feeds/here.xml"/>
    <outline type="rss" text="Elsewhere" xmlUrl="file:///etc/passwd"/>
    <outline type="rss" text="Nothing" xmlUrl=""/>
  </body>
</opml>"""


@pytest.fixture
def net() -> Iterator[Net]:
    net = Net(private=True)
    yield net
    net.close()


def test_each_feed_is_found_once_however_deep_it_lies_and_however_it_is_written() -> None:
    found = parse(EXPORTED.encode("latin-1"), "", "https://planet.example.org/list.opml")
    assert found["title"] == "My blogs"
    assert found["feeds"] == [
        {"url": "https://cafe.example.org/feed?a=1&b=2", "title": "Le Café"},
        {"url": "http://old.example.org/rss", "title": "Old"},
        {"url": "https://planet.example.org/feeds/here.xml", "title": "Here"},
    ]
    assert found["notes"] == ["'file:///etc/passwd' is no web address"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "is no list of feeds"),
        (b"<html><body>Not found</body></html>", "but <html>"),
        (b"<opml><body><outline xmlUrl='https://a.example/'>", "is no list of feeds"),
        (b"<rss version='2.0'><channel><title>x</title></channel></rss>", "but <rss>"),
        (b'{"version": "https://jsonfeed.org/version/1"}', "is no list of feeds"),
    ],
)
def test_what_is_no_list_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(SourceError, match=words) as caught:
        parse(body, "", "")
    assert caught.value.hint


def test_a_file_is_read_again_only_when_its_bytes_changed(tmp_path: Path, net: Net) -> None:
    file = tmp_path / "planet.opml"
    file.write_text("<opml><body><outline text='A' xmlUrl='https://a.example/'/></body></opml>")
    source = Opml(path=file)
    first = source.fetch(None, net)
    assert first.feeds == (ListedFeed(url="https://a.example/", title="A"),)
    assert source.fetch(first.cursor, net).unchanged
    file.write_text("<opml><body/></opml>")
    with pytest.raises(SourceError, match="names no feed any more, where it named 1"):
        source.fetch(first.cursor, net)
    file.unlink()
    with pytest.raises(SourceError, match="cannot be read"):
        source.fetch(first.cursor, net)


def test_a_list_on_the_web_is_asked_for_with_what_is_known_of_it(httpserver: HTTPServer, net: Net) -> None:
    body = "<opml><body><outline text='A' xmlUrl='a.xml'/></body></opml>"
    httpserver.expect_oneshot_request("/l").respond_with_data(body, headers={"ETag": '"1"'})
    httpserver.expect_oneshot_request("/l", headers={"If-None-Match": '"1"'}).respond_with_data("", status=304)
    source = Opml(url=httpserver.url_for("/l"))
    first = source.fetch(None, net)
    assert first.feeds == (ListedFeed(url=httpserver.url_for("/a.xml"), title="A"),)
    second = source.fetch(first.cursor, net)
    assert (second.unchanged, second.feeds) == (True, None)


def test_it_is_in_one_place(tmp_path: Path) -> None:
    for wrong in ({}, {"path": tmp_path, "url": "https://a.example/"}):
        with pytest.raises(ValueError, match="needs either path"):
            Opml(**wrong)


def test_a_bomb_is_defused() -> None:
    pairs = zip("abcdefghi", "bcdefghij", strict=True)
    bomb = '<!ENTITY a "lol">' + "".join(f'<!ENTITY {more} "{f"&{less};" * 10}">' for less, more in pairs)
    with pytest.raises(SourceError):
        parse(f"<!DOCTYPE opml [{bomb}]><opml><head><title>&j;</title></head></opml>".encode(), "", "")
