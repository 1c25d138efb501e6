import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from renderer_samples import entry, selection

from publisher.model import Author, Enclosure, Selection
from publisher.renderers.jsonfeed import JsonFeed
from publisher.templating import Templates


def feed(given: Selection) -> dict[str, Any]:
    (document,) = JsonFeed(Templates()).render(given)
    assert document.media_type == "application/feed+json"
    assert document.text.endswith("}\n")
    return json.loads(document.body)


def test_the_feed_says_where_it_is() -> None:
    made = feed(selection())
    assert made["version"] == "https://jsonfeed.org/version/1.1"
    assert made["feed_url"] == "https://news.example.org/weekly/feed.json"
    assert made["home_page_url"] == "https://news.example.org/weekly/"
    assert made["items"] == []


def test_an_item_says_all_that_the_entry_says() -> None:
    told = entry(
        title="T",
        link="https://a.example/",
        summary="<p>S &amp; s</p>",
        content="<p>C</p>",
        image="https://a.example/i.png",
        authors=(Author(name="Ana", email="ana@example.org"),),
        tags=("one",),
        enclosures=(
            Enclosure(url="https://a.example/x"),
            Enclosure(url="https://a.example/y", media_type="a/b", length=5),
        ),
        language="pt",
    )
    (item,) = feed(selection(told))["items"]
    assert item == {
        "id": told.uid,
        "url": "https://a.example/",
        "title": "T",
        "content_html": "<p>C</p>",
        "summary": "S & s",
        "image": "https://a.example/i.png",
        "date_published": "2026-11-03T12:01:00+00:00",
        "date_modified": "2026-11-03T12:01:00+00:00",
        "authors": [{"name": "Ana"}],
        "tags": ["one"],
        "language": "pt",
        "attachments": [
            {"url": "https://a.example/x", "mime_type": "application/octet-stream"},
            {"url": "https://a.example/y", "mime_type": "a/b", "size_in_bytes": 5},
        ],
    }


def test_a_teaser_stands_where_the_whole_text_is_not_wanted() -> None:
    (item,) = feed(selection(entry(summary="<p>S</p>", content="<p>C</p>"), full=False))["items"]
    assert item["content_html"] == "<p>S</p>"
    assert "summary" not in item


def test_an_entry_without_a_title_has_none() -> None:
    (item,) = feed(selection(entry(content="<p>C</p>")))["items"]
    assert "title" not in item
    assert item["url"] == "https://news.example.org/weekly/#e1"


@given(st.text(alphabet=st.characters()) | st.just("\ud800"))
def test_any_text_gives_a_feed_that_can_be_read(text: str) -> None:
    (item,) = feed(selection(entry(title=text, content=text, link=text)))["items"]
    assert item["id"]
    assert item["url"]
    assert "content_html" in item
