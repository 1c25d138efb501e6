"""What every format keeps to; the suite runs for each format that is found."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from renderer_samples import WEEKLY, entry

from publisher.model import Document, Selection
from publisher.renderers import FILES, FORMATS, Renderer
from publisher.templating import Templates

HOSTILE = "]]> <script>alert(1)</script> & \x00\x0b\ud800 \u2028 {{ 7 * 7 }} {% raw %}"


@pytest.fixture(params=sorted(FORMATS))
def renderer(request: pytest.FixtureRequest) -> Renderer[Selection]:
    return FORMATS[request.param](Templates())


@pytest.fixture
def selection() -> Selection:
    return Selection(
        publication=WEEKLY, entries=tuple(entry(number, title=f"Entry no. {number}") for number in (3, 2, 1))
    )


def test_the_same_selection_gives_the_same_bytes(renderer: Renderer[Selection], selection: Selection) -> None:
    assert renderer.render(selection) == renderer.render(selection)


def test_many_threads_give_the_same_bytes(renderer: Renderer[Selection], selection: Selection) -> None:
    made: list[tuple[Document, ...]] = []
    threads = [threading.Thread(target=lambda: made.append(renderer.render(selection))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [renderer.render(selection)] * 8


def test_the_documents_are_those_that_are_looked_for_on_disk(selection: Selection) -> None:
    for name, made in FORMATS.items():
        assert tuple(document.name for document in made(Templates()).render(selection)) == FILES[name]


def test_documents_have_names_of_their_own_a_media_type_and_text(
    renderer: Renderer[Selection], selection: Selection
) -> None:
    documents = renderer.render(selection)
    assert len({document.name for document in documents}) == len(documents) >= 1
    for document in documents:
        assert "/" not in document.name
        assert "/" in document.media_type
        assert document.text


def test_every_entry_is_told_newest_first(renderer: Renderer[Selection], selection: Selection) -> None:
    text = renderer.render(selection)[0].text
    told = [text.index(one.title) for one in selection.entries]
    assert told == sorted(told)


def test_an_empty_selection_is_rendered(renderer: Renderer[Selection]) -> None:
    assert renderer.render(Selection(publication=WEEKLY, entries=()))[0].body


@pytest.mark.parametrize("full", [True, False])
def test_whatever_an_entry_says_stays_text(renderer: Renderer[Selection], full: bool) -> None:
    bad = replace(entry(number=1), title=HOSTILE, tags=(HOSTILE,), language="")
    text = renderer.render(Selection(publication=WEEKLY, entries=(bad,), full=full))[0].text
    assert "{{ 7 * 7 }}" in text
    assert "\x00" not in text
    if text.startswith("<"):
        assert "<script>alert" not in text
