from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from renderer_samples import NOON, WEEKLY, entry

from publisher.model import Author, Enclosure
from publisher.renderers._complete import arranged, complete, one_line


def test_what_the_source_told_is_left_as_it_is() -> None:
    told = entry(
        title="T", link="https://a.example/b?c=d&e=%20#f", summary="<p>S</p>", content="<p>C</p>", language="pt-BR"
    )
    made = complete(told, WEEKLY)
    assert (made.title, made.link, made.summary) == (told.title, told.link, told.summary)
    assert (made.content, made.language, made.uid) == (told.content, told.language, told.uid)


@pytest.mark.parametrize(
    ("fields", "title"),
    [
        ({"summary": "<p>A &lt; B</p>"}, "A < B"),
        ({"content": "<p>" + "word " * 50 + "</p>"}, "word " * 15 + "word…"),
        ({"link": "https://a.example/"}, "https://a.example/"),
        ({}, "https://news.example.org/weekly/#e1"),
    ],
)
def test_an_entry_without_a_title_gets_one(fields: dict[str, str], title: str) -> None:
    assert complete(entry(**fields), WEEKLY).title == title


@pytest.mark.parametrize("link", ["", "javascript:alert(1)", "data:text/html,x", "//", "https://"])
def test_an_entry_without_a_link_is_found_on_the_publications_page(link: str) -> None:
    assert complete(entry(7, link=link), WEEKLY).link.startswith("https://news.example.org/weekly/")


def test_addresses_are_made_valid() -> None:
    made = complete(entry(link="https://a.example/ä b?100%&x=%41", image="data:x"), WEEKLY)
    assert made.link == "https://a.example/%C3%A4%20b?100%25&x=%41"
    assert made.image == ""


def test_endless_lines_are_cut_and_endless_addresses_dropped() -> None:
    made = complete(entry(title="x" * 9999, link="https://a.example/" + "x" * 9999), WEEKLY)
    assert len(made.title) == 500
    assert made.title.endswith("…")
    assert made.link == "https://news.example.org/weekly/#e1"


def test_the_summary_is_made_from_the_content_and_escaped() -> None:
    assert complete(entry(content="<p>1 &lt; 2</p>"), WEEKLY).summary == "1 &lt; 2"


def test_no_address_of_a_person_is_published() -> None:
    authors = (Author(name="Ana", email="ana@example.org"), Author(email="bo@example.org"), Author(email="@"))
    assert complete(entry(authors=authors), WEEKLY).authors == (Author(name="Ana"), Author(name="bo"))


def test_enclosures_have_a_media_type_and_an_address() -> None:
    files = (Enclosure(url="ftp://x"), Enclosure(url="https://a.example/x", media_type="nonsense", length=-1))
    made = complete(entry(enclosures=files), WEEKLY).enclosures
    assert made == (Enclosure(url="https://a.example/x", media_type="application/octet-stream", length=0),)


def test_dates_that_cannot_be_true_are_not_repeated() -> None:
    late = complete(entry(published=NOON + timedelta(days=900), updated=NOON + timedelta(days=999)), WEEKLY)
    assert (late.published, late.updated) == (late.arrived, late.arrived)
    early = complete(entry(updated=datetime(1999, 1, 1, tzinfo=UTC)), WEEKLY)
    assert early.updated == early.published == early.arrived


def test_dates_that_no_format_can_say_are_the_first_of_those_that_can_be_said() -> None:
    told = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))
    assert complete(entry(published=told), WEEKLY).published == datetime(1900, 1, 1, tzinfo=UTC)


def test_an_edit_that_the_source_does_not_date_has_the_date_when_it_was_seen() -> None:
    seen = NOON + timedelta(days=3)
    assert complete(entry(published=NOON, changed=seen, version=2), WEEKLY).updated == seen


def test_dates_are_in_utc_and_whole_seconds() -> None:
    told = datetime(2026, 11, 1, 9, 0, 0, 999, tzinfo=timezone(timedelta(hours=5, minutes=45)))
    made = complete(entry(published=told), WEEKLY)
    assert made.published == datetime(2026, 11, 1, 3, 15, tzinfo=UTC)
    assert made.published.tzinfo is UTC


@given(st.text())
def test_one_line_is_one_line(text: str) -> None:
    line = one_line(text)
    assert len(line.splitlines()) <= 1
    assert line == line.strip() == one_line(line)
    assert not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in line)
    line.encode()


@pytest.mark.parametrize(
    ("fields", "image"),
    [
        ({"image": "https://a.example/own.png", "content": '<img src="https://a.example/1.png">'}, "own.png"),
        ({"content": '<p>x</p><img alt="" src="https://a.example/1.png"><img src="https://a.example/2.png">'}, "1.png"),
        ({"summary": '<img src="https://a.example/3.png?a=1&amp;b=2">'}, "3.png?a=1&b=2"),
        ({"content": '<img src="https://a.example/emoji/72.png"><img src="https://a.example/4.png">'}, "4.png"),
    ],
)
def test_the_image_is_the_first_in_the_text_where_the_source_names_none(fields: dict[str, str], image: str) -> None:
    assert complete(entry(**fields), WEEKLY).image == f"https://a.example/{image}"


SECTIONED = replace(WEEKLY, sections=("Council", "Sea"))
sections = st.sampled_from(["", "Council", "Sea", "of a rule that is gone"])


@given(st.lists(st.tuples(sections, st.booleans()), max_size=8))
def test_what_is_pinned_comes_first_then_what_is_under_no_heading_then_heading_by_heading(
    told: list[tuple[str, bool]],
) -> None:
    entries = [entry(number, section=section, pinned=pinned) for number, (section, pinned) in enumerate(told)]
    made = arranged(entries, SECTIONED)
    known = {"Council": 2, "Sea": 3}
    parts = [0 if one.pinned else known.get(one.section, 1) for one in made]
    assert parts == sorted(parts)
    assert sorted(one.number for one in made) == list(range(len(told)))
    for part in set(parts):  # each stays as it was
        numbers = [one.number for one, place in zip(made, parts, strict=True) if place == part]
        assert numbers == sorted(numbers)
    for one in made:
        section, pinned = told[one.number]
        assert (one.pinned, one.section) == (pinned, section if section in known and not pinned else "")


def test_without_rules_nothing_is_arranged() -> None:
    entries = tuple(entry(number) for number in (3, 1, 2))
    assert arranged(entries, WEEKLY) == entries


def test_the_tags_end_with_the_section() -> None:
    assert complete(entry(tags=("a", "Sea"), section="Sea"), WEEKLY).tags == ("a", "Sea")
    assert complete(entry(tags=("a",), section="Sea"), WEEKLY).tags == ("a", "Sea")
