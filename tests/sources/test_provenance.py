"""Where the parts of items stand on a page, and the selectors that find them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from waiting import done_in

from publisher.errors import SourceError
from publisher.model import Item
from publisher.sources._listing import Selectors, find
from publisher.sources._provenance import provenance

GOLDEN = Path(__file__).parent.parent / "golden" / "page"
URL = "https://site.example.org/news/"
SCATTERED = {
    *("category_of_teasers", "definition_list", "explicit_selectors", "headings_begin_with_dates", "links_with_stars"),
    *("numbered_table", "plain_flat", "sections_with_dates", "table_two_rows", "terms_are_dates", "terms_are_numbers"),
}
"""Pages on which the parts of an item have no element around them, or which need selectors of their own."""


def lists() -> list[str]:
    return sorted(case.name for case in GOLDEN.iterdir() if '"error"' not in (case / "expected.json").read_text())


@pytest.mark.parametrize("case", lists())
def test_the_selectors_of_a_golden_page_find_what_was_found_without_them(case: str) -> None:
    html = (GOLDEN / case / "input.html").read_text()
    items = find(html, URL).items
    found = provenance(html, URL, items)
    assert len(found.elements) == len(items)
    assert all("link" in elements for elements in found.elements)
    assert (case in SCATTERED) == (found.select == {})
    if found.select:
        again = find(html, URL, Selectors(**found.select)).items
        assert [(item.link, item.title, item.published) for item in again] == [
            (item.link, item.title, item.published) for item in items
        ]


def test_each_part_has_its_element() -> None:
    row = (
        "<li class='news new'><img data-src=/{0}.jpg><h3><a href=/{0}>The story number {0}</a></h3>"
        "<p class='teaser'>This is what it says of the story number {0}.</p><i class=when>{0}.11.2026</i></li>"
    )
    html = f"<ul id=list>{''.join(row.format(n) for n in (1, 2, 3))}</ul>"
    found = provenance(html, URL, find(html, URL).items)
    assert found.elements[0] == {
        "title": "li.new > h3",
        "link": "h3 > a@href",
        "date": "li.new > i.when",
        "teaser": "li.new > p.teaser",
        "image": "li.new > img@data-src",
    }
    assert found.select == {
        "item": "li.new",
        "title": "h3",
        "link": "a@href",
        "date": "i.when",
        "teaser": "p.teaser",
        "image": "img@data-src",
    }


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(lists()), st.integers(0, 3000), st.integers(0, 300), st.text("<>/=\"' ab", max_size=20))
def test_any_page_that_lists_something_can_be_explained(case: str, at: int, length: int, text: str) -> None:
    html = (GOLDEN / case / "input.html").read_text()
    html = html[:at] + text + html[at + length :]
    try:
        items = find(html, URL).items
    except SourceError:
        return
    provenance(html, URL, items)


def test_a_large_page_is_explained_in_five_seconds() -> None:
    html = "".join(f"<h3><a href=/{n}>The story number {n}</a></h3><p>And so on</p>" for n in range(70_000))
    items = tuple(Item(link=f"https://site.example.org/{n}", title=f"The story number {n}") for n in range(200))
    with done_in(5):
        provenance(html, URL, items)
