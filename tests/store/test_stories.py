from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from store_samples import LATER, NOW, arrival, new_issue

from publisher.model import Mention, Voices
from publisher.store import Arrival, SourceState, Store, Tx
from publisher.stories import WINDOW

LONG = (
    "The council has voted for a new bridge over the canal, which is to be built next year by a firm from the region. "
    "The old one, of wood, has been shut since a barge ran into it in spring, and nobody was hurt then."
)
ALL = Voices(titles={"blog": "", "paper": "The Paper", "radio": ""})


def told(key: str, *, content: str = LONG, link: str = "", **fields) -> Arrival:
    made = arrival(key, **fields)
    return replace(made, item=replace(made.item, title="Council votes for a bridge", content=content, link=link))


def three_sources(tx: Tx) -> None:
    """One story: by its link, by its words, and another besides."""
    tx.entries.add("blog", [told("b", link="https://blog.example/bridge"), arrival("other")], NOW)
    tx.entries.add(
        "paper", [told("p", content="A bridge!", link="http://www.blog.example/bridge/?utm_source=p")], LATER
    )
    tx.entries.add("radio", [told("r", link="https://radio.example/1")], LATER)


def stories(tx: Tx) -> dict[str, int]:
    every = tx.entries.recent(["blog", "paper", "radio", "planet"], NOW - timedelta(days=99), 99)
    return {entry.guid: entry.story for entry in every}


def test_an_entry_gets_the_story_of_the_first_that_told_it(tx: Tx):
    three_sources(tx)
    assert stories(tx) == {"b": 1, "other": 2, "p": 1, "r": 1}


def test_a_story_is_in_a_publication_once_under_the_identity_of_its_first_source_there(tx: Tx):
    three_sources(tx)
    newest = tx.entries.newest(["blog", "paper", "radio"], 9)
    assert [(entry.guid, entry.uid) for entry in newest] == [("other", "urn:x:other"), ("b", "urn:x:b")]
    assert [entry.guid for entry in tx.entries.newest(["paper", "radio"], 9)] == ["p"]
    assert [(entry.guid, entry.uid) for entry in tx.entries.newest(["radio"], 9)] == [("r", "urn:x:r")]
    assert [entry.guid for entry in tx.entries.last(["radio", "paper"], 9)] == ["p"]
    recent = tx.entries.recent(["paper", "radio"], NOW, 9)
    assert [(entry.guid, entry.uid) for entry in recent] == [("p", "urn:x:p"), ("r", "urn:x:p")]


def test_news_of_a_story_has_one_identity_and_knows_who_told_it(tx: Tx):
    three_sources(tx)
    issue = new_issue(tx, "weekly", (1,))
    assert issue
    waiting = {one.entry.guid: one for one in tx.entries.news("weekly", "", ["paper", "radio"], 0)}
    assert {name: one.entry.uid for name, one in waiting.items()} == {"p": "urn:x:p", "r": "urn:x:p"}
    assert [(twin.entry.guid, twin.told) for twin in waiting["r"].twins] == [("b", True), ("p", False), ("r", False)]


def test_the_other_sources_are_named_as_they_are_called(tx: Tx):
    three_sources(tx)
    tx.sources.put(SourceState(name="radio", title="Radio One"))
    tx.sources.put(SourceState(name="paper", title="paper.example: latest"))
    first, second = tx.stories.shown(tx.entries.newest(ALL.titles, 9), ALL)
    assert first.also_in == ()
    assert (second.guid, second.uid) == ("b", "urn:x:b")
    assert second.also_in == (
        Mention(source="paper", title="The Paper", link="http://www.blog.example/bridge/?utm_source=p"),
        Mention(source="radio", title="Radio One", link="https://radio.example/1"),
    )
    (alone,) = tx.stories.shown(tx.entries.newest(["radio"], 9), Voices(titles={"radio": ""}))
    assert (alone.uid, alone.also_in) == ("urn:x:r", ())
    assert tx.stories.shown((), ALL) == ()


def test_a_preferred_source_is_shown_at_the_place_and_under_the_identity_of_the_first(tx: Tx):
    three_sources(tx)
    before = tx.entries.newest(ALL.titles, 9)[1]
    shown = tx.stories.shown([before], replace(ALL, prefer=("nobody", "radio", "paper")))[0]
    assert (shown.guid, shown.link, shown.source, shown.number) == ("r", "https://radio.example/1", "radio", 4)
    assert (shown.uid, shown.moment, shown.arrived) == (before.uid, before.moment, before.arrived)
    assert (shown.changed, shown.version > before.version) == (LATER, True)
    assert [one.source for one in shown.also_in] == ["blog", "paper"]


def test_the_members_of_a_list_are_named_by_their_own_titles(tx: Tx):
    tx.entries.add("planet", [told("a", link="https://a.example/1")], NOW, member="ann")
    tx.entries.add("planet", [told("b", link="https://b.example/1"), told("c")], NOW, member="bo")
    tx.sources.put(SourceState(name="planet", title="The Planet"))
    tx.sources.put(SourceState(name="planet/bo", title="Bo's log"))
    assert stories(tx) == {"a": 1, "b": 1, "c": 3}
    shown = tx.stories.shown(tx.entries.newest(["planet"], 9), Voices(titles={"planet": "Planet"}))
    assert [one.also_in for one in shown] == [
        (),
        (Mention(source="planet", title="Bo's log", link="https://b.example/1"),),
    ]


def test_what_was_forgotten_still_gives_a_story_its_identity_and_is_not_named(tx: Tx):
    three_sources(tx)
    assert tx.entries.forget("blog", LATER, spare=0, keep_after=99) == 2
    (shown,) = tx.stories.shown(tx.entries.newest(ALL.titles, 9), ALL)
    assert (shown.guid, shown.uid) == ("p", "urn:x:b")
    assert [one.source for one in shown.also_in] == ["radio"]
    tx.entries.add("blog", [told("late", link="https://blog.example/bridge")], LATER)
    assert stories(tx)["late"] == 5  # its source has told that story


def test_a_mark_moves_when_a_source_joins_a_story(tx: Tx):
    tx.entries.add("blog", [told("b")], NOW)
    before = tx.entries.mark(ALL.titles)
    tx.entries.add("paper", [told("p")], LATER)
    assert tx.entries.mark(ALL.titles) > before


def test_traces_of_words_are_forgotten_with_time_and_those_of_links_with_their_entry(tx: Tx):
    def left() -> tuple[int, int]:
        values = tx.entries._connection.exec_driver_sql("SELECT value FROM traces").scalars().all()
        return sum(value < 0 for value in values), sum(value >= 0 for value in values)

    three_sources(tx)
    links, found = left()
    assert links == 3
    assert found > 3
    tx.stories.forget(NOW)
    assert left() == (3, found)
    tx.stories.forget(LATER)
    assert left()[0] == 3
    assert 0 < left()[1] < found
    tx.stories.forget(LATER + WINDOW)
    assert left() == (3, 0)
    tx.entries.forget("blog", LATER, spare=0, keep_after=99)
    assert left() == (2, 0)


def test_thousands_of_old_traces_are_forgotten_at_once(tx: Tx, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("publisher.store.stories._AT_ONCE", 7)
    tx.entries.add("blog", [told(f"{n}", content=f"<p>Number {n} of many.</p> {n} {LONG}") for n in range(20)], NOW)
    tx.entries.add("paper", [told("young")], LATER)
    tx.stories.forget(LATER)
    numbers = tx.entries._connection.exec_driver_sql("SELECT DISTINCT number FROM traces").scalars().all()
    assert numbers == [21]


def test_two_processes_that_bring_one_story_at_the_same_moment_find_each_other(
    store: Store, join: Callable[[str], Store]
):
    other, entered = join("other"), threading.Event()

    def second() -> None:
        entered.set()
        with other.write() as tx:
            tx.entries.add("radio", [told("r")], NOW)

    thread = threading.Thread(target=second)
    with store.write() as tx:
        tx.entries.add("blog", [told("b")], NOW)
        thread.start()
        entered.wait()
        time.sleep(0.3)  # it waits for us now, or will; either way it must see what we wrote
    thread.join()
    with store.read() as tx:
        assert stories(tx) == {"b": 1, "r": 1}


def test_a_harvest_of_thousands_costs_a_few_queries(tx: Tx):
    from sqlalchemy import event

    statements: list[str] = []

    def count(*args: object) -> None:
        statements.append(str(args[2]))

    many = [told(f"{n}", content=f"{LONG} {n}", link=f"https://blog.example/{n}") for n in range(2_000)]
    tx.entries.add("paper", [told("p")], NOW)
    event.listen(tx.entries._connection, "before_cursor_execute", count)
    tx.entries.add("blog", many, NOW)
    event.remove(tx.entries._connection, "before_cursor_execute", count)
    assert len(statements) < 60
