"""What is pushed reaches the readers, once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

from api_house import Api

PUSH = "/sources/newsroom/entries"


def test_what_is_pushed_is_in_the_feed_at_once_and_in_one_digest(api: Api, tmp_path: Path) -> None:
    entry = {
        "id": "https://news.example.org/bridge",
        "title": "The bridge <is> open",
        "link": "https://news.example.org/bridge",
        "content": '<p onclick="x()">At <a href="last">last</a>.</p><script>alert(1)</script>',
        "authors": [{"name": "Ada"}],
        "tags": ["town"],
        "enclosures": [{"url": "https://news.example.org/a.mp3", "media_type": "audio/mpeg", "length": 5}],
        "published": "2026-10-19T10:00:00+02:00",
        "language": "en",
    }
    answer = api.ask("POST", PUSH, entry)
    assert (answer.status_code, answer.json()) == (200, {"arrived": 1, "edited": 0, "unchanged": 0})
    assert api.woken == [True]
    assert api.work() == ["publish weekly", "publish all"]
    feed = json.loads((tmp_path / "feeds/weekly/feed.json").read_text())
    [item] = feed["items"]
    assert (item["id"], item["title"]) == (entry["id"], entry["title"])
    assert 'href="https://news.example.org/last"' in item["content_html"]
    assert "alert" not in item["content_html"]
    assert "onclick" not in item["content_html"]
    api.clock.advance(days=7)
    api.work()
    [mail] = api.mail.mails
    assert mail.subject == "The Weekly: The bridge <is> open"
    assert "alert" not in mail.text
    api.clock.advance(days=7)
    api.ask("POST", PUSH, entry | {"title": "The bridge is closed"})
    api.work()
    assert len(api.mail.mails) == 1  # an edit is no news


def test_the_same_again_changes_nothing_and_wakes_nobody(api: Api) -> None:
    assert api.push("1", "2") == (2, 0, 0)
    assert api.push("1", "2") == (0, 0, 2)
    assert api.push("1", "2", "3", content="<p>New.</p>") == (1, 2, 0)
    assert len(api.woken) == 2


def test_ids_alone_tell_entries_apart_whatever_else_is_the_same(api: Api) -> None:
    for id in ("mon", "tue", "wed"):
        assert api.push(id, title="Storm", link="https://news.example.org/storm") == (1, 0, 0)


def test_an_archive_is_published_and_never_mailed(api: Api) -> None:
    old = (api.clock() - timedelta(days=3)).isoformat()
    api.push("old", published=old)
    api.push("new")
    items = api.get("/publications/weekly/entries")["items"]
    assert [(item["title"], item["backlog"]) for item in items] == [("Title of new", False), ("Title of old", True)]


def test_of_a_batch_with_a_fault_nothing_is_kept_and_each_fault_is_told_with_its_place(api: Api) -> None:
    entries: list[Any] = [
        {"id": "1", "title": "Well"},
        {"title": "No id"},
        {"id": "3", "title": 3, "link": "javascript:alert(1)"},
        {"id": "4", "published": "2026-10-19 10:00:00", "tags": "town", "evil": 1},
        {"id": "5", "enclosures": [{"url": "/relative", "length": -1}]},
        "six",
    ]
    answer = api.ask("POST", PUSH, {"entries": entries})
    assert answer.status_code == 422
    assert [fault["place"] for fault in answer.json()["errors"]] == [
        "entries[1].id",
        "entries[2].title",
        "entries[2].link",
        "entries[3].tags",
        "entries[3].published",
        "entries[3].evil",
        "entries[4].enclosures[0].url",
        "entries[4].enclosures[0].length",
        "entries[5]",
    ]
    assert answer.json()["errors"][5]["message"] == "is not known here"
    assert api.get("/publications/all/entries")["items"] == []


UNFIT: list[tuple[Any, str]] = [
    ({"title": "x"}, "id"),
    ({"id": " "}, "id"),
    ({"id": "1", "published": "9999-12-31T23:59:59-14:00"}, "published"),
    ({"id": "1", "published": "0001-01-01T00:00:00+14:00"}, "published"),
    ({"id": "1", "published": 1e300}, "published"),
    ({"id": "1", "authors": [{"name": "x", "url": "file:///etc/passwd"}]}, "authors[0].url"),
    ({"id": "1", "language": "de\n"}, "language"),
    ({"id": "1", "title": "x" * 501}, "title"),
    ({"id": "1", "enclosures": [{"url": "https://a.example/", "length": 10**30}]}, "enclosures[0].length"),
    ({"entries": []}, "entries"),
    ({"entries": [{"id": "1", "title": "x"}] * 2}, "entries"),
    ({"entries": [{"id": str(n), "title": "x"} for n in range(101)]}, "entries"),
    ({"entries": [{"id": "1", "content": "<script>alert(1)</script>"}]}, "entries[0]"),
]


def test_one_that_cannot_be_used_is_refused(api: Api) -> None:
    for entry, place in UNFIT:
        answer = api.ask("POST", PUSH, entry)
        assert answer.status_code == 422, entry
        assert [fault["place"] for fault in answer.json()["errors"]] == [place]


def test_what_no_text_may_hold_is_taken_out_and_the_rest_kept(api: Api) -> None:
    assert api.push("a\x00b", title="NUL \x00 and \x07 bell", content="<p>\x00￾</p>text") == (1, 0, 0)
    assert api.push("a\x00b", title="NUL \x00 and \x07 bell", content="<p>\x00￾</p>text") == (0, 0, 1)
    [item] = api.get("/publications/all/entries")["items"]
    assert item["title"] == "NUL and bell"


def test_hostile_html_is_cleaned_in_time(api: Api) -> None:
    hostile = ["<div>" * 100_000, "<p><b>" * 50_000, "<a href='x'>" * 50_000, "<" * 400_000, "&" * 400_000]
    for number, html in enumerate(hostile):
        assert api.push(str(number), content=html) == (1, 0, 0)


def test_only_to_a_source_of_that_kind_can_be_pushed(api: Api) -> None:
    for name in ("notes", "nowhere", "..", "a b"):
        answer = api.ask("POST", f"/sources/{name}/entries", {"id": "1", "title": "x"})
        assert answer.status_code == 404


def test_of_a_thousand_that_are_pushed_at_once_none_is_lost_and_none_doubled(api: Api) -> None:
    batches = [[f"{batch}-{number}" for number in range(100)] for batch in range(10)]
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda ids: api.push(*ids), [*batches, *batches]))
    assert sum(arrived for arrived, _, _ in told) == 1000
    assert sum(unchanged for _, _, unchanged in told) == 1000
    numbers = [item["number"] for item in api.pages("/publications/weekly/entries", 200)]
    assert sorted(numbers, reverse=True) == numbers
    assert len(set(numbers)) == 1000


def test_who_pushes_is_told_by_the_status_of_the_source(api: Api) -> None:
    api.push("1")
    [newsroom] = [source for source in api.app.status().sources if source.name == "newsroom"]
    assert (newsroom.entries, newsroom.visited, newsroom.next) == (1, api.clock(), None)
