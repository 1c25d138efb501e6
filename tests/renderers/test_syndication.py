import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from pathlib import Path

import feedparser
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from renderer_samples import NOON, WEEKLY, entry, selection

from publisher.model import Author, Enclosure, Selection
from publisher.renderers._complete import complete
from publisher.renderers.syndication import Atom, Rss
from publisher.templating import Templates

CONTENT = "{http://purl.org/rss/1.0/modules/content/}encoded"
CREATOR = "{http://purl.org/dc/elements/1.1/}creator"
ATOM = "{http://www.w3.org/2005/Atom}"
URL = re.compile(r"https?://[!-~]+")
FULL = entry(
    title="A & <b>",
    link="https://a.example/1?b=1&c=2",
    summary="<p>Short &amp; sweet</p>",
    content="<p>Long</p>",
    authors=(Author(name="Ana"), Author(name="Bo", url="https://bo.example/")),
    tags=("one", "two"),
    enclosures=(
        Enclosure(url="https://a.example/1.mp3", media_type="audio/mpeg", length=12),
        Enclosure(url="https://a.example/2.ogg", media_type="audio/ogg"),
    ),
    published=datetime(2026, 11, 1, 8, 0, tzinfo=UTC),
    updated=datetime(2026, 11, 2, 9, 0, tzinfo=UTC),
    language="pt",
)


def rss(given: Selection) -> etree._Element:
    (document,) = Rss(Templates()).render(given)
    channel = etree.fromstring(document.body)[0]
    check_rss(channel)
    return channel


def atom(given: Selection) -> etree._Element:
    (document,) = Atom(Templates()).render(given)
    feed = etree.fromstring(document.body)
    _schema().assertValid(feed)
    return feed


@cache
def _schema() -> etree.RelaxNG:
    return etree.RelaxNG(etree.parse(Path(__file__).parents[1] / "schemas" / "atom.rng"))


def check_rss(channel: etree._Element) -> None:
    """What RSS 2.0 asks of a channel and its items."""
    assert channel.getparent().attrib == {"version": "2.0"}
    for name in ("title", "link", "description"):
        assert [bool(element.text) for element in channel.findall(name)] == [True], name
    assert [link.get("rel") for link in channel.findall(f"{ATOM}link")] == ["self"]
    for element in channel.iter("link", "url"):
        assert URL.fullmatch(element.text), element.text
    for element in channel.iter("pubDate", "lastBuildDate"):
        parsedate_to_datetime(element.text)
        assert re.fullmatch(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0000", element.text)
    for item in channel.findall("item"):
        _check_item(item)


def _check_item(item: etree._Element) -> None:
    for name in ("title", "link", "guid", "pubDate"):
        assert [bool(element.text) for element in item.findall(name)] == [True], name
    assert len(item.findall("description")) <= 1
    assert len(item.findall("enclosure")) <= 1
    assert item.find("guid").get("isPermaLink") == "false"
    assert item.find("author") is None
    for enclosure in item.findall("enclosure"):
        assert URL.fullmatch(enclosure.get("url"))
        assert enclosure.get("length").isdigit()
        assert "/" in enclosure.get("type")


def test_rss_says_all_that_the_entry_says() -> None:
    channel = rss(selection(FULL))
    item = channel.find("item")
    assert channel.findtext("link") == "https://news.example.org/weekly/"
    assert channel.find(f"{ATOM}link").get("href") == "https://news.example.org/weekly/rss.xml"
    assert channel.findtext("generator") == "publisher"
    assert item.findtext("title") == "A & <b>"
    assert item.findtext("description") == "<p>Short &amp; sweet</p>"
    assert item.findtext(CONTENT) == "<p>Long</p>"
    assert item.findtext("guid") == FULL.uid
    assert item.findtext("pubDate") == "Sun, 01 Nov 2026 08:00:00 +0000"
    assert [element.text for element in item.findall(CREATOR)] == ["Ana", "Bo"]
    assert [element.text for element in item.findall("category")] == ["one", "two"]
    assert dict(item.find("enclosure").attrib) == {
        "url": "https://a.example/1.mp3",
        "length": "12",
        "type": "audio/mpeg",
    }


def test_atom_links_keep_what_they_say() -> None:
    links = [dict(link.attrib) for link in atom(selection(FULL)).find(f"{ATOM}entry").findall(f"{ATOM}link")]
    assert {"href": "https://a.example/1?b=1&c=2", "rel": "alternate"} in links
    assert {"href": "https://a.example/1.mp3", "rel": "enclosure", "type": "audio/mpeg", "length": "12"} in links
    assert {"href": "https://a.example/2.ogg", "rel": "enclosure", "type": "audio/ogg"} in links


def test_atom_reads_back_field_by_field() -> None:
    parsed = feedparser.parse(Atom(Templates()).render(selection(FULL))[0].body, sanitize_html=False)
    (item,) = parsed.entries
    assert not parsed.bozo
    assert parsed.version == "atom10"
    assert parsed.feed.id == parsed.feed.link == "https://news.example.org/weekly/"
    assert (parsed.feed.title, parsed.feed.subtitle, parsed.feed.language) == (WEEKLY.title, WEEKLY.description, "en")
    assert (item.id, item.title, item.link) == (FULL.uid, FULL.title, FULL.link)
    assert (item.summary, item.content[0].value) == (FULL.summary, FULL.content)
    assert item.content[0].language == "pt"
    assert (item.published, item.updated) == ("2026-11-01T08:00:00+00:00", "2026-11-02T09:00:00+00:00")
    assert [(author.get("name"), author.get("href")) for author in item.authors] == [
        ("Ana", None),
        ("Bo", "https://bo.example/"),
    ]
    assert [tag.term for tag in item.tags] == ["one", "two"]
    assert {file.href: file.get("length") for file in item.enclosures} == {
        "https://a.example/1.mp3": "12",
        "https://a.example/2.ogg": None,
    }


def test_rss_reads_back_with_feedparser() -> None:
    parsed = feedparser.parse(Rss(Templates()).render(selection(FULL))[0].body, sanitize_html=False)
    (item,) = parsed.entries
    assert not parsed.bozo
    assert parsed.version == "rss20"
    assert (item.id, item.link, item.summary) == (FULL.uid, FULL.link, FULL.summary)
    assert item.content[0].value == FULL.content
    assert not item.guidislink


def test_entries_stand_in_the_order_of_the_selection() -> None:
    entries = [entry(number, title=str(number)) for number in (3, 2, 1)]
    assert [item.findtext("title") for item in rss(selection(*entries)).findall("item")] == ["3", "2", "1"]
    titles = [item.findtext(f"{ATOM}title") for item in atom(selection(*entries)).findall(f"{ATOM}entry")]
    assert titles == ["3", "2", "1"]


def test_teasers_only_when_that_is_asked_for() -> None:
    item = rss(selection(FULL, full=False)).find("item")
    assert item.find(CONTENT) is None
    assert item.findtext("description") == FULL.summary
    assert atom(selection(FULL, full=False)).find(f"{ATOM}entry/{ATOM}content") is None


def test_the_feed_was_updated_when_an_entry_changed_and_not_now() -> None:
    old = entry(1, changed=NOON + timedelta(hours=5), version=2)
    assert rss(selection(entry(2), old)).findtext("lastBuildDate") == "Tue, 03 Nov 2026 17:00:00 +0000"
    assert atom(selection(entry(2), old)).findtext(f"{ATOM}updated") == "2026-11-03T17:00:00+00:00"


def test_an_empty_selection_is_a_valid_feed() -> None:
    assert rss(selection()).find("lastBuildDate") is None
    assert atom(selection()).findtext(f"{ATOM}updated") == "1970-01-01T00:00:00+00:00"


def test_an_entry_of_nothing_is_valid() -> None:
    assert rss(selection(entry(4))).findtext("item/link") == "https://news.example.org/weekly/#e4"
    assert atom(selection(entry(4))).findtext(f"{ATOM}entry/{ATOM}title") == "https://news.example.org/weekly/#e4"


hostile = st.text() | st.sampled_from(
    ["]]>", "<![CDATA[x]]>", "&amp;", "</title>", "\x00\x0b\ufffe", "😀", "\ud800", "<b>x</b>"]
)


@given(title=hostile, text=hostile, tag=hostile, author=hostile, url=hostile)
@pytest.mark.parametrize("full", [True, False])
def test_any_text_gives_valid_feeds_that_read_back(
    full: bool, title: str, text: str, tag: str, author: str, url: str
) -> None:
    told = entry(
        title=title,
        link=url,
        summary=text,
        content=text + title,
        image=url,
        authors=(Author(name=author, url=url),),
        tags=(tag,),
        enclosures=(Enclosure(url=url, media_type=tag),),
        language=tag,
    )
    expected = complete(told, WEEKLY)
    given = selection(told, full=full)
    assert rss(given).findtext("item/title") == atom(given).findtext(f"{ATOM}entry/{ATOM}title") == expected.title
    assert atom(given).findtext(f"{ATOM}entry/{ATOM}summary", "") == expected.summary
    assert rss(given).findtext(f"item/{CONTENT}", expected.content) == expected.content
