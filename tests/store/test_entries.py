from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_samples import LATER, NOW, arrival, new_issue

from publisher.model import Author, Enclosure, Item
from publisher.store import Arrival, Store, Tx, open_store
from publisher.store.content import pack, unpack
from publisher.store.tables import Moment, stored_key

HOUR = timedelta(hours=1)


def numbers(entries):
    return [entry.number for entry in entries]


def test_an_entry_comes_back_as_it_arrived(tx: Tx):
    item = Item(
        guid="g",
        link="https://a.example/1",
        title="Zażółć 🐟",
        summary="<p>s</p>",
        content="<p>c</p>",
        authors=(Author(name="Ann"), Author(email="b@example.org")),
        tags=("a", "b"),
        image="https://a.example/i.png",
        enclosures=(Enclosure(url="https://a.example/a.mp3", media_type="audio/mpeg", length=7),),
        published=NOW - HOUR,
        updated=NOW,
        language="pl",
    )
    given = Arrival(key="g", uid="urn:g", item=item, digest="d", link_key="l", backlog=True)
    assert tx.entries.add("blog", [given], NOW) == 1
    (entry,) = tx.entries.newest(["blog"], 5)
    assert {name: getattr(entry, name) for name in Item.__dataclass_fields__} == {
        name: getattr(item, name) for name in Item.__dataclass_fields__
    }
    assert (entry.number, entry.uid, entry.source, entry.version) == (1, "urn:g", "blog", 1)
    assert (entry.arrived, entry.changed, entry.backlog, entry.moment) == (NOW, NOW, True, NOW - HOUR)


def test_numbers_ascend_in_the_order_given_and_a_known_key_is_skipped(tx: Tx):
    assert tx.entries.add("blog", [arrival("a"), arrival("b")], NOW) == 2
    assert tx.entries.add("blog", [arrival("b"), arrival("c"), arrival("c")], LATER) == 1
    assert tx.entries.add("news", [arrival("a")], LATER) == 1
    assert tx.entries.add("news", [], LATER) == 0
    found = tx.entries.recent(["blog", "news"], NOW - HOUR, 9)
    assert [entry.guid for entry in sorted(found, key=lambda entry: entry.number)] == ["a", "b", "c", "a"]
    assert tx.entries.counts() == {"blog": 3, "news": 1}
    assert (tx.entries.count("blog"), tx.entries.count("none")) == (3, 0)
    assert tx.entries.last_number() == max(numbers(found))


def test_an_empty_store_answers_everything_with_nothing(tx: Tx):
    assert tx.entries.last_number() == tx.entries.mark(["blog"]) == tx.entries.mark([]) == 0
    assert tx.entries.newest(["blog"], 5) == tx.entries.newest([], 5) == tx.entries.known("blog", [], []) == ()
    assert [*tx.entries.news("weekly", "", [], 0), *tx.entries.recent([], NOW, 5)] == []


def test_known_finds_by_key_alias_and_link_within_one_source(tx: Tx):
    tx.entries.add("blog", [arrival("a", link_key="one"), arrival("b", link_key="two"), arrival("c")], NOW)
    tx.entries.add("news", [arrival("a", link_key="one")], NOW)
    tx.entries.alias("blog", "a2", 1)
    tx.entries.alias("blog", "b", 1)  # taken: nothing happens
    by_key, by_link = tx.entries.known("blog", ["a2"], []), tx.entries.known("blog", [], ["two", ""])
    assert [(known.number, known.keys, known.title) for known in by_key] == [(1, {"a", "a2"}, "Title of a")]
    assert [(known.number, known.link_key, known.digest) for known in by_link] == [(2, "two", "digest of b")]
    assert tx.entries.add("blog", [arrival("a2")], LATER) == 0


def test_known_copes_with_thousands_of_keys(tx: Tx):
    keys = [f"key {number}" for number in range(1_203)]
    tx.entries.add("blog", [arrival(key) for key in keys], NOW)
    assert len(tx.entries.known("blog", [*keys, "other"], keys)) == 1_203


@pytest.mark.parametrize("key", ["x" * 100_000, "a\x00b", "lone \ud800", "🐟" * 3_000])
def test_any_text_can_be_a_key_a_link_and_a_title(tx: Tx, key: str):
    given = replace(arrival(key, uid=key, link_key=key), digest="d")
    assert tx.entries.add("blog", [given], NOW) == 1
    assert tx.entries.add("blog", [given], NOW) == 0
    (known,) = tx.entries.known("blog", [key], [])
    assert key in known.keys
    assert tx.entries.known("blog", [], [key])[0].link_key == key
    assert tx.entries.newest(["blog"], 1)[0].content == f"<p>{key}</p>"


def test_a_revision_keeps_the_former_version_and_the_place_in_the_order(tx: Tx):
    tx.entries.add("blog", [arrival("a"), arrival("b")], NOW)
    issue = new_issue(tx, entries=(2, 1))
    tx.entries.revise(1, Item(title="Better", published=NOW - HOUR), "new", LATER, link_key="")
    tx.entries.revise(1, Item(title="Best", published=NOW - HOUR), "newer", LATER + HOUR, link_key="")
    tx.entries.revise(1, Item(title="Best"), "newer", LATER + 2 * HOUR, link_key="")  # another process was first
    newest = tx.entries.newest(["blog"], 5)
    assert [(entry.number, entry.title, entry.version) for entry in newest] == [(2, "Title of b", 1), (1, "Best", 3)]
    assert (newest[1].arrived, newest[1].changed) == (NOW, LATER + HOUR)
    told = tx.issues.entries(issue)
    assert [(entry.number, entry.title, entry.version) for entry in told] == [
        (2, "Title of b", 1),
        (1, "Title of a", 1),
    ]
    assert (told[1].changed, told[1].content) == (NOW, "<p>a</p>")


def test_of_a_text_that_changes_at_every_visit_only_the_last_versions_and_those_told_are_kept(tx: Tx):
    tx.entries.add("blog", [arrival("a")], NOW)
    issue = new_issue(tx, entries=(1,))
    for turn in range(30):
        tx.entries.revise(1, Item(title=f"Turn {turn}"), str(turn), LATER, link_key="x")
    kept = tx.entries._connection.exec_driver_sql("SELECT version FROM versions ORDER BY version").scalars().all()
    assert kept == [1, *range(21, 31)]
    assert tx.issues.entries(issue)[0].version == 1


def test_an_edit_may_change_the_link_by_which_an_entry_is_known(tx: Tx):
    tx.entries.add("blog", [arrival("a")], NOW)
    tx.entries.revise(1, Item(title="Moved"), "new", LATER, link_key="blog.example/new")
    assert [known.number for known in tx.entries.known("blog", [], ["blog.example/new"])] == [1]


def test_the_mark_moves_with_every_change_of_its_sources_and_no_other(tx: Tx):
    tx.entries.add("blog", [arrival("a")], NOW)
    tx.entries.add("news", [arrival("a")], NOW)
    blog, both = tx.entries.mark(["blog"]), tx.entries.mark(["blog", "news"])
    tx.entries.revise(1, Item(title="Better"), "new", LATER, link_key="")
    assert tx.entries.mark(["blog"]) > blog
    assert tx.entries.mark(["blog", "news"]) > both
    blog = tx.entries.mark(["blog"])
    tx.entries.add("news", [arrival("b")], LATER)
    tx.entries.add("blog", [arrival("a")], LATER)
    assert tx.entries.mark(["blog"]) == blog


def test_the_newest_come_by_moment_then_number(tx: Tx):
    dated = [NOW - HOUR, NOW - 3 * HOUR, None, NOW + 9 * HOUR, NOW - HOUR]  # one pretends to come from the future
    tx.entries.add("blog", [arrival(str(number), published=when) for number, when in enumerate(dated, 1)], NOW)
    assert numbers(tx.entries.newest(["blog"], 9)) == [4, 3, 5, 1, 2]
    assert numbers(tx.entries.newest(["blog"], 2)) == [4, 3]
    assert numbers(tx.entries.recent(["blog"], NOW - HOUR, 9)) == [1, 5, 3, 4]
    assert numbers(tx.entries.recent(["blog"], NOW - HOUR, 1)) == [1]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.integers(0, 9)), max_size=30),
    st.sets(st.sampled_from("abc")),
    st.integers(1, 8),
)
def test_the_newest_are_what_a_plain_sort_would_choose(sqlite_store: Store, given, sources, limit):
    with suppress(ZeroDivisionError), sqlite_store.write() as tx:
        for key, (source, uid, age) in enumerate(given):
            tx.entries.add(source, [arrival(str(key), uid=f"urn:{uid}", published=NOW - age * HOUR)], NOW)
        every = tx.entries.recent(sources, NOW - 99 * HOUR, 99)
        first = {entry.uid: entry for entry in sorted(every, key=lambda entry: -entry.number)}
        expected = sorted(first.values(), key=lambda entry: (entry.moment, entry.number), reverse=True)[:limit]
        assert tx.entries.newest(sources, limit) == tuple(expected)
        raise ZeroDivisionError  # leaves the store empty for the next example


@pytest.fixture
def sqlite_store(sqlite_url: str):
    opened = open_store(sqlite_url)
    yield opened
    opened.close()


def test_news_comes_with_what_may_have_told_it_before(tx: Tx):
    tx.entries.add("blog", [arrival("a"), arrival("old", backlog=True), arrival("b"), arrival("c")], NOW)
    tx.entries.add("planet", [arrival("a"), arrival("d")], NOW)  # the first has the uid of the blog's
    tx.entries.add("other", [arrival("e"), arrival("b")], NOW)
    new_issue(tx, "weekly", (1,))
    new_issue(tx, "daily", (4,))
    tx.issues.add("weekly", "S", (6,), (), NOW, frequency="daily")
    tx.issues.add("weekly", "S", (3,), (), NOW, variant="de", number=1)

    def told(publication: str, frequency: str, since: int) -> list[tuple[int, list[tuple[int, bool]]]]:
        news = tx.entries.news(publication, frequency, ["blog", "planet"], since)
        return [(one.entry.number, [(twin.entry.number, twin.told) for twin in one.twins]) for one in news]

    assert told("weekly", "", 0) == [
        (1, [(1, True), (5, False)]),
        (3, [(3, False)]),
        (4, [(4, False)]),
        (5, [(1, True), (5, False)]),
        (6, [(6, False)]),
    ]
    assert told("weekly", "", 5) == [(6, [(6, False)])]
    assert told("weekly", "daily", 5) == [(6, [(6, True)])]
    assert told("daily", "", 3)[0] == (4, [(4, True)])


def test_news_is_read_page_by_page(tx: Tx, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("publisher.store.entries._PAGE", 2)
    tx.entries.add("blog", [arrival(key) for key in "abcde"], NOW)
    assert [one.entry.number for one in tx.entries.news("weekly", "", ["blog"], 0)] == [1, 2, 3, 4, 5]


def test_forgetting_empties_old_entries_and_keeps_their_identities(tx: Tx):
    tx.entries.add("blog", [arrival(key) for key in "abcdef"], NOW)
    tx.entries.add("news", [arrival("n")], NOW)
    issue = new_issue(tx, entries=(1,))
    tx.entries.revise(1, Item(title="Edited", content="x"), "new", NOW, link_key="")
    tx.entries.add("blog", [arrival("young")], LATER)
    assert tx.entries.forget("blog", LATER, spare=2, keep_after=4) == 4
    assert tx.entries.forget("blog", LATER, spare=2, keep_after=4) == 0
    assert [entry.guid for entry in tx.entries.newest(["blog"], 9)] == ["young", "f", "e"]
    assert next(tx.entries.news("daily", "", ["blog"], 0)).entry.guid == "e"
    assert tx.entries.add("blog", [arrival("a")], LATER) == 0
    assert tx.entries.known("blog", ["a"], [])[0].title == "Edited"
    assert [(entry.title, entry.content) for entry in tx.issues.entries(issue)] == [("Edited", "")]
    tx.entries.revise(1, Item(title="Again", content="y"), "newest", LATER, link_key="")
    assert tx.entries.known("blog", ["a"], [])[0].digest == "newest"
    assert [entry.guid for entry in tx.entries.newest(["blog"], 9)] == ["young", "f", "e"]
    assert tx.entries.count("blog") == 7


def test_forgetting_spares_the_newest(tx: Tx):
    tx.entries.add("blog", [arrival(key) for key in "abcd"], NOW)
    assert tx.entries.forget("blog", LATER, spare=3, keep_after=99) == 1
    assert [entry.guid for entry in tx.entries.newest(["blog"], 9)] == ["d", "c", "b"]


# As sources tell them.  A moment in an hour that clocks repeat equals none of another zone (PEP 495), not even itself.
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(
    st.builds(
        Item,
        guid=st.text(),
        title=st.text(),
        content=st.text(),
        authors=st.lists(st.builds(Author, name=st.text(), email=st.text())).map(tuple),
        tags=st.lists(st.text()).map(tuple),
        enclosures=st.lists(st.builds(Enclosure, url=st.text(), length=st.integers(0))).map(tuple),
        published=st.none() | st.datetimes(timezones=offsets),
    )
)
def test_an_item_survives_being_stored(item: Item):
    assert Item(**unpack(pack(item))) == item


@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_moments_are_exact_and_sort_like_datetimes(one: datetime, other: datetime):
    kind, dialect = Moment(), None
    first, second = kind.process_bind_param(one, dialect), kind.process_bind_param(other, dialect)
    assert kind.process_result_value(first, dialect) == one
    assert (first < second) == (one < other)


@given(st.text(max_size=2_000), st.text(max_size=2_000))
def test_a_stored_key_fits_an_index_and_two_keys_never_become_one(one: str, other: str):
    assert len(stored_key(one).encode()) <= 2_600
    assert stored_key(stored_key(one)) == stored_key(one)
    if one.isprintable() and other.isprintable():
        assert (stored_key(one) == stored_key(other)) == (one == other)


def test_the_last_come_by_number_page_by_page_while_others_arrive(tx: Tx):
    tx.entries.add("a", [arrival("1"), arrival("2", uid="urn:x:same"), arrival("3")], NOW)
    tx.entries.add("b", [arrival("4", uid="urn:x:same"), arrival("5", published=NOW - timedelta(days=9))], NOW)
    tx.entries.add("c", [arrival("6")], NOW)
    first = tx.entries.last(["a", "b"], 2)
    tx.entries.add("a", [arrival("7")], NOW)
    second = tx.entries.last(["a", "b"], 2, before=first[-1].number)
    assert (numbers(first), numbers(second)) == ([5, 3], [2, 1])
    assert tx.entries.last(["a", "b"], 2, before=1) == ()


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["", "x", "y"])), max_size=25),
    st.sets(st.sampled_from("abc")),
    st.integers(1, 5),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_pages_of_any_size_hold_all_of_some_sources_once(sqlite_store: Store, given, sources, limit):
    with suppress(RuntimeError), sqlite_store.write() as tx:
        for n, (source, uid) in enumerate(given):
            tx.entries.add(source, [arrival(str(n), uid=uid and f"urn:x:{uid}")], NOW)
        told, before = [], 2**63 - 1
        while page := tx.entries.last(sources, limit, before):
            told += numbers(page)
            before = told[-1]
        wanted = [(uid or n, n) for n, (source, uid) in enumerate(given, 1) if source in sources]
        firsts = dict(reversed(wanted))
        assert told == sorted(firsts.values(), reverse=True)
        raise RuntimeError  # nothing of this is kept


# --- what has not settled --------------------------------------------------------------------------------------------


def test_of_young_news_it_is_known_when_each_changed(tx: Tx):
    tx.entries.add("blog", [arrival("old")], NOW - HOUR)
    tx.entries.add("blog", [arrival("calm"), replace(arrival("history"), backlog=True)], NOW)
    tx.entries.add("planet", [arrival("elsewhere")], NOW)
    tx.entries.add("news", [arrival("edited")], NOW + HOUR)
    for hours in (2, 3):
        tx.entries.revise(5, Item(guid="edited"), str(hours), NOW + hours * HOUR, link_key="")
    young = tx.entries.young(["blog", "news"], NOW - HOUR)
    assert [(one.number, one.arrived) for one in young] == [(2, NOW), (5, NOW + HOUR)]
    assert young[0].changes == ()
    assert {change for change in young[1].changes if change > young[1].arrived} == {NOW + 2 * HOUR, NOW + 3 * HOUR}
    assert tx.entries.young(["blog", "news"], NOW + HOUR) == tx.entries.young([], NOW - HOUR) == ()


def test_what_is_edited_so_often_that_former_versions_were_given_up_is_young_no_more(tx: Tx):
    tx.entries.add("blog", [arrival("a")], NOW)
    for edit in range(1, 11):
        [young] = tx.entries.young(["blog"], NOW - HOUR)
        assert {NOW, *young.changes} == {NOW + n * HOUR for n in range(edit)}
        tx.entries.revise(1, Item(guid="a"), str(edit), NOW + edit * HOUR, link_key="")
    assert tx.entries.young(["blog"], NOW - HOUR) == ()


def test_the_last_entries_of_a_source_are_found_by_their_titles_with_what_they_say(tx: Tx):
    for key in ("one", "two"):
        tx.entries.add("blog", [arrival(key, link_key=f"blog.example/{key}")], NOW)
        tx.entries.add("other", [arrival(key)], NOW)
        tx.entries.add("planet", [arrival(key)], NOW, member="a")
    [found] = tx.entries.namesakes("blog", ["Title of one", "Title of none"])
    assert (found.number, found.keys, found.link_key, found.title) == (
        1,
        frozenset(),
        "blog.example/one",
        "Title of one",
    )
    assert found.item == arrival("one").item
    assert [known.number for known in tx.entries.namesakes("planet", ["Title of one"], member="a")] == [3]
    assert tx.entries.namesakes("planet", ["Title of one"]) == ()
    assert tx.entries.namesakes("blog", []) == ()
