from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from publisher import channels, sources
from publisher.collect import Collecting, collect, receive, tidy
from publisher.collect.decisions import (
    Changes,
    News,
    changes,
    digest,
    identity,
    link_key,
    retry_pause,
    told_apart,
    uid,
)
from publisher.config import Settings, load
from publisher.errors import BadStatus, SourceError, Unfit, Unreachable
from publisher.model import (
    Author,
    Certificate,
    Cursor,
    Done,
    Enclosure,
    Entry,
    Harvest,
    Item,
    Later,
    Never,
    Outcome,
    Work,
)
from publisher.net import Net
from publisher.store import Arrival, Known, SourceState, Store, open_store
from publisher.timetable import every

NOW = datetime(2026, 11, 2, 8, tzinfo=UTC)
DAY = timedelta(days=1)
ALL_NEWS = News(datetime(1970, 1, 1, tzinfo=UTC))


@dataclass
class Shelf:
    """The store's part in a visit, in memory: which entries of one source there are, and by which keys."""

    entries: list[Known] = field(default_factory=list)

    def visit(self, items: Sequence[Item], news: News = ALL_NEWS) -> Changes:
        """Decide, and write what was decided."""
        found = changes(self.known(items), items, source="blog", news=news)
        for number, key in found.aliases:
            assert not any(key in entry.keys for entry in self.entries), "a key that is another entry's already"
            self._change(number, keys=self.entries[number].keys | {key})
        for number, item, mark in found.revisions:
            self._change(number, digest=mark, title=item.title)
        for arrival in found.arrivals:
            assert not any(arrival.key in entry.keys for entry in self.entries), "an entry that arrived already"
            self.entries.append(_known(len(self.entries), arrival))
        return found

    def known(self, items: Iterable[Item]) -> Collection[Known]:
        keys, links = {identity(item) for item in items}, {link_key(item.link) for item in items} - {""}
        return [entry for entry in self.entries if entry.keys & keys or entry.link_key in links]

    def _change(self, number: int, **values: object) -> None:
        self.entries[number] = replace(self.entries[number], **values)


def _known(number: int, arrival: Arrival) -> Known:
    keys, title = frozenset({arrival.key}), arrival.item.title
    moment = arrival.item.published or NOW
    return Known(number=number, keys=keys, digest=arrival.digest, link_key=arrival.link_key, title=title, moment=moment)


def titles(arrivals: Iterable[Arrival]) -> list[str]:
    return [arrival.item.title for arrival in arrivals]


# --- what is new, what was edited ------------------------------------------------------------------------------------

# Few posts, few contents and few links: collisions of all sorts are what we are after.
some_links = st.sampled_from(["", "https://blog.example.org/", "https://blog.example.org/a", "https://other.example/b"])
edited_posts = st.builds(
    lambda name, edit, link: Item(guid=f"post-{name}", title=f"Post {name}, {edit}", link=link),
    st.integers(0, 7),
    st.integers(0, 2),
    some_links,
)


@given(st.lists(st.lists(edited_posts, max_size=12), max_size=8))
def test_whatever_a_feed_does_each_guid_arrives_once_and_its_edits_are_revisions(visits: list[list[Item]]) -> None:
    shelf, told = Shelf(), dict[str, str]()
    for items in visits:
        first = {item.guid: item for item in reversed(items)}
        first = {item.guid: first[item.guid] for item in items}
        found = shelf.visit(items)
        assert [a.item for a in found.arrivals] == [i for i in reversed(first.values()) if i.guid not in told]
        assert [i for _, i, _ in found.revisions] == [
            i for i in first.values() if i.guid in told and told[i.guid] != digest(i)
        ]
        assert not found.aliases
        told |= {guid: digest(item) for guid, item in first.items()}


@dataclass(frozen=True)
class Spelling:
    """One of the ways in which a site may tell of its posts at one visit."""

    guids: int
    link: str

    def item(self, post: int, edit: int) -> Item:
        guid = f"{self.guids}/{post}" if self.guids else ""
        return Item(guid=guid, title=f"Post {post}", link=self.link.format(post), content=f"Edit {edit}")


spellings = st.builds(
    Spelling,
    st.integers(0, 3),
    st.sampled_from(
        [
            "https://blog.example.org/posts/{}",
            "http://blog.example.org/posts/{}/",
            "https://www.blog.example.org/posts/{}?utm_source=feed&utm_medium=rss",
            "https://BLOG.example.org:443/posts/{}?fbclid=x",
        ]
    ),
)
tellings = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 2)), max_size=12)


@given(st.lists(st.tuples(spellings, tellings), max_size=8))
def test_a_site_that_rewrites_its_guids_and_links_brings_no_post_twice(
    visits: list[tuple[Spelling, list[tuple[int, int]]]],
) -> None:
    shelf, told = Shelf(), dict[str, str]()
    for spelling, telling in visits:
        items = [spelling.item(post, edit) for post, edit in telling]
        first = {item.title: item for item in reversed(items)}
        found = shelf.visit(items)
        assert set(titles(found.arrivals)) == first.keys() - told.keys()
        assert {item.title for _, item, _ in found.revisions} == {
            title for title, item in first.items() if title in told and told[title] != digest(item)
        }
        told |= {title: digest(item) for title, item in first.items()}
    assert len(shelf.entries) == len(told)


anything = st.builds(
    lambda guid, link, title, content, published: Item(
        guid=guid, link=link, title=title, content=content, published=published
    ),
    st.sampled_from(["", "a", "b", "c", "https://blog.example.org/a"]),
    some_links,
    st.sampled_from(["", "One", "one ", "Two"]),
    st.sampled_from(["", "x", "y"]),
    st.sampled_from([None, NOW, NOW - DAY]),
)


@given(st.lists(st.lists(anything, max_size=6), max_size=6))
@example(
    [
        [Item(guid="a", link="https://blog.example.org/", title="One")],
        [Item(guid="b", link="https://blog.example.org/", title="One")],
        [
            Item(guid="a", link="https://blog.example.org/", title="One"),
            Item(guid="b", link="https://blog.example.org/", title="One", content="x"),
        ],
    ]
)
def test_the_same_harvest_twice_changes_nothing_the_second_time(visits: list[list[Item]]) -> None:
    shelf = Shelf()
    for items in visits:
        shelf.visit(items)
        assert shelf.visit(items) == Changes()


@given(st.lists(st.lists(anything, max_size=6), max_size=6))
def test_each_item_is_one_entry_and_each_entry_is_revised_once_at_most(visits: list[list[Item]]) -> None:
    shelf = Shelf()
    for items in visits:
        before = len(shelf.entries)
        found = shelf.visit(items)
        revised = [number for number, _, _ in found.revisions]
        assert len(revised) == len(set(revised))
        assert all(number < before for number in (*revised, *dict(found.aliases)))
        for item in items:
            assert sum(identity(item) in entry.keys for entry in shelf.entries) == 1


@given(st.lists(anything, max_size=8))
def test_arrivals_are_oldest_first(items: list[Item]) -> None:
    arrived = [arrival.item for arrival in Shelf().visit(items).arrivals]
    assert arrived == [item for item in reversed(items) if any(item is other for other in arrived)]
    assert [a.key for a in Shelf().visit(items).arrivals] == list(
        reversed(dict.fromkeys(identity(item) for item in items))
    )


def test_two_posts_under_one_link_stay_two() -> None:
    link, shelf = "https://blog.example.org/", Shelf()
    items = [Item(guid="2", link=link, title="Two"), Item(guid="1", link=link, title="One")]
    assert titles(shelf.visit(items).arrivals) == ["One", "Two"]
    assert shelf.visit([items[0]]) == shelf.visit([items[1]]) == Changes()


def test_a_new_post_under_the_link_of_an_old_one_is_new() -> None:
    link, shelf = "https://blog.example.org/", Shelf()
    shelf.visit([Item(guid="1", link=link, title="One")])
    assert titles(shelf.visit([Item(guid="2", link=link, title="Two")]).arrivals) == ["Two"]


def test_a_warning_in_the_same_words_is_another_one_next_week() -> None:
    shelf = Shelf()
    warning = Item(guid="w1", link="https://weather.example/now", title="Storm warning", published=NOW)
    shelf.visit([warning])
    again = replace(warning, guid="w2", published=NOW + 7 * DAY)
    assert titles(shelf.visit([again]).arrivals) == ["Storm warning"]


def test_posts_without_guids_that_share_an_address_are_told_apart_by_their_titles() -> None:
    shelf, page = Shelf(), "https://club.example/news"
    first = told_apart([Item(link=page, title=title) for title in ("Two", "One")])
    assert titles(shelf.visit(first).arrivals) == ["One", "Two"]
    later = told_apart([Item(link=page, title=title) for title in ("Three", "Two", "One")])
    assert titles(shelf.visit(later).arrivals) == ["Three"]


def test_a_post_alone_under_its_address_is_known_by_that_address_and_may_change_its_title() -> None:
    [item] = told_apart([Item(link="https://club.example/one", title="One")])
    assert identity(item) == "link club.example/one"


def test_a_rewritten_guid_is_known_from_then_on_even_if_the_title_changes() -> None:
    link, shelf = "https://blog.example.org/a", Shelf()
    shelf.visit([Item(guid="old", link=link, title="Title")])
    assert shelf.visit([Item(guid="new", link=link, title="TITLE ")]).aliases == ((0, "guid new"),)
    found = shelf.visit([Item(guid="new", link=link, title="Another")])
    assert [number for number, _, _ in found.revisions] == [0]
    assert not found.arrivals
    assert not shelf.visit([Item(guid="old", link=link, title="Another")]).arrivals


def test_a_rewrite_is_recognised_although_the_feed_lists_a_post_twice() -> None:
    link, shelf = "https://blog.example.org/a", Shelf()
    shelf.visit([Item(guid="old", link=link, title="Title")])
    found = shelf.visit([Item(guid="new", link=link, title="Title")] * 2)
    assert (found.arrivals, found.aliases) == ((), ((0, "guid new"),))


# --- news and backlog ------------------------------------------------------------------------------------------------

moments = st.integers(0, 20 * 365 * 86400).map(
    lambda second: datetime(2015, 1, 1, tzinfo=UTC) + timedelta(seconds=second)
)
states = st.builds(
    lambda since, later: SourceState(name="blog", since=since, visited=since + later if since else None),
    st.none() | moments,
    st.timedeltas(timedelta(0), timedelta(days=365)),
)
dates = st.none() | moments


@given(st.lists(anything, max_size=6))
def test_all_that_is_there_at_the_first_visit_is_backlog(items: list[Item]) -> None:
    arrivals = Shelf().visit(items, News.of(SourceState(name="blog"), same=False)).arrivals
    assert all(arrival.backlog for arrival in arrivals)


@given(states, dates)
def test_what_is_dated_a_day_before_we_knew_the_source_is_backlog_and_what_has_no_date_is_news(
    state: SourceState, published: datetime | None
) -> None:
    known_before = state.since is not None and (published is None or published >= state.since - DAY)
    assert News.of(state, same=True).is_news(Item(published=published)) == known_before


@given(states, dates)
def test_after_a_change_of_options_only_what_is_dated_after_the_last_visit_is_news(
    state: SourceState, published: datetime | None
) -> None:
    news = News.of(state, same=False).is_news(Item(published=published))
    assert news == bool(state.visited and published and published >= state.visited)


@given(states, dates)
def test_a_change_of_options_never_makes_more_news(state: SourceState, published: datetime | None) -> None:
    item = Item(published=published)
    assert News.of(state, same=True).is_news(item) >= News.of(state, same=False).is_news(item)


@given(states, moments, dates)
def test_what_is_pushed_is_news_from_the_first_push_on_unless_it_is_dated_more_than_a_day_before_it(
    state: SourceState, now: datetime, published: datetime | None
) -> None:
    first = state.since or now
    assert News.pushed(state, now).is_news(Item(published=published)) == (not published or published >= first - DAY)


@given(st.lists(anything, max_size=6), st.lists(anything, max_size=6))
def test_a_push_is_no_list_of_all_there_is_so_that_nothing_can_have_vanished(
    first: list[Item], second: list[Item]
) -> None:
    shelf = Shelf()
    shelf.visit(first)
    found = changes(shelf.known(second), second, source="blog", news=ALL_NEWS, whole=False)
    assert found.aliases == ()
    keys = {key for entry in shelf.entries for key in entry.keys}
    assert {arrival.key for arrival in found.arrivals} == {identity(item) for item in second} - keys


# --- names -----------------------------------------------------------------------------------------------------------

every_character = st.characters(exclude_categories=())  # surrogates and control characters too
any_text = st.text(every_character, max_size=30)
hostile_links = st.sampled_from(
    [
        "http://[",
        "http://[::1",
        "http://a:99999999999999999999/",
        "http://a:port/",
        "http://\x00/",
        "https://a/?\ud800=1",
        "//[v1.x]/",
        "http://℀.example/",
        "javascript:alert(1)",
        "mailto:",
        "http://a@b@c:80:80/",
        "?" + "&" * 100,
        "http://xn--a.example/%ff%fe?%80=%80#%",
    ]
)
any_link = hostile_links | any_text | any_text.map("https://a.example/".__add__) | any_text.map("http://".__add__)
any_date = st.none() | st.datetimes(timezones=st.just(UTC))
any_item = st.builds(
    Item,
    guid=any_text | any_link,
    link=any_link,
    title=any_text | st.text(" ab&<>/;", max_size=20) | st.just("word " * 120),
    summary=any_text,
    content=st.text("<>/ap&; =\"'\n\x00", max_size=30)
    | st.sampled_from(["<script>alert(1)</script>", "<p><a href='javascript:x'>y</a>", "<img src='data:x' onerror=x>"]),
    authors=st.lists(
        st.builds(Author, name=any_text, email=any_text | st.just("a@b.example\r\nBcc: c@d"), url=any_link), max_size=3
    ).map(tuple),
    tags=st.lists(any_text, max_size=4).map(tuple),
    image=any_link,
    enclosures=st.lists(st.builds(Enclosure, url=any_link, media_type=any_text, length=st.integers()), max_size=3).map(
        tuple
    ),
    published=any_date,
    updated=any_date,
    language=any_text | st.sampled_from(["de", "pt-BR", "de\n"]),
)


@given(any_item)
def test_naming_never_raises_and_says_the_same_each_time(item: Item) -> None:
    for name in (identity, digest, lambda item: uid("blog", item), lambda item: link_key(item.link)):
        assert name(item) == name(replace(item))


# RFC 3987: no blanks, no control characters, none of <>"{}|\^`, no surrogates and no private or non-characters.
IRI = re.compile(
    r"[a-z][a-z0-9+.-]*:[^\x00-\x20\x7f-\x9f<>\"{}|\\^`\s\ud800-\udfff\ufdd0-\ufdef\ufff0-\uffff]+", re.IGNORECASE
)


@given(any_item, any_text)
def test_a_uid_is_always_an_iri(item: Item, source: str) -> None:
    assert IRI.fullmatch(uid(source, item))


@pytest.mark.parametrize(
    "own", ["https://a.example/1", "http://a.example/ü?p=1", "urn:isbn:0451450523", "tag:a.example,2026:post-1"]
)
def test_a_guid_that_is_an_iri_is_the_uid_whatever_the_source_is_called(own: str) -> None:
    assert uid("blog", Item(guid=own)) == uid("news", Item(guid=own)) == own


@pytest.mark.parametrize("own", ["17", "https://", "urn:", "tag: x", "https://a.example/a b", "javascript:alert(1)"])
def test_a_guid_that_is_no_iri_becomes_a_urn_that_differs_from_source_to_source(own: str) -> None:
    assert uid("blog", Item(guid=own)).startswith("urn:uuid:")
    assert uid("blog", Item(guid=own)) != uid("news", Item(guid=own))


paths = st.text("abc/.-_~%25", max_size=10).map(lambda text: "/" + text.strip("/"))


@given(
    paths,
    st.sampled_from(["http://", "https://", "HTTPS://"]),
    st.sampled_from(["a.example", "www.a.example", "A.Example", "user@a.example", "a.example:80", "a.example:443"]),
    st.sampled_from(["", "/"]),
    st.sampled_from(["", "?utm_source=rss", "?fbclid=1&utm_campaign=x", "?mc_cid=1", "?UTM_Term=x"]),
)
def test_spellings_of_one_link_have_one_key(path: str, scheme: str, host: str, slash: str, query: str) -> None:
    assert link_key(scheme + host + path + slash + query) == link_key(f"https://a.example{path}")


@given(paths, paths)
def test_different_paths_have_different_keys(one: str, other: str) -> None:
    same = one.rstrip("/") == other.rstrip("/")
    assert (link_key(f"https://a.example{one}") == link_key(f"https://a.example{other}")) == same


@pytest.mark.parametrize("rest", ["?p=1", "?p=2", "?P=1", "?utm=1", "#top", "/a", "/A", ":8080", ""])
def test_what_tells_two_pages_apart_stays_in_the_key(rest: str) -> None:
    others = {"?p=1", "?p=2", "?P=1", "?utm=1", "#top", "/a", "/A", ":8080", ""} - {rest}
    key = link_key(f"https://a.example{rest}")
    assert key not in {link_key(f"https://a.example{other}") for other in others}
    assert key != link_key(f"https://b.example{rest}")


@pytest.mark.parametrize(
    "edit",
    [
        {"title": "x"},
        {"link": "https://b.example/"},
        {"summary": "x"},
        {"content": "x"},
        {"authors": (Author(name="x"),)},
        {"tags": ("x",)},
        {"image": "https://b.example/x.png"},
        {"enclosures": (Enclosure(url="https://b.example/x.mp3"),)},
    ],
)
def test_what_a_reader_would_see_changes_the_mark(edit: dict[str, object]) -> None:
    item = Item(guid="1", title="Title", content="Text")
    assert digest(replace(item, **edit)) != digest(item)


def test_dates_alone_do_not_change_the_mark() -> None:
    item = Item(guid="1", title="Title")
    assert digest(replace(item, published=NOW, updated=NOW + DAY)) == digest(item)


# --- what is kept ----------------------------------------------------------------------------------------------------


@given(any_item, any_link)
def test_tidying_never_raises_and_tidying_twice_changes_nothing(item: Item, base: str) -> None:
    tidied = tidy(item, base)
    assert tidy(tidied, base) == tidied


@given(any_item, any_link)
def test_what_is_tidy_can_be_written_in_utf_8(item: Item, base: str) -> None:
    for text in _texts(tidy(item, base)):
        assert text.encode().decode() == text


def _texts(item: Item) -> Iterable[str]:
    yield from (item.guid, item.link, item.title, item.summary, item.content, item.image, item.language, *item.tags)
    for author in item.authors:
        yield from (author.name, author.email, author.url)
    for enclosure in item.enclosures:
        yield from (enclosure.url, enclosure.media_type)


@given(any_item, any_link)
def test_what_is_tidy_links_to_the_web_or_to_a_mailbox_only(item: Item, base: str) -> None:
    tidied = tidy(item, base)
    links = [tidied.link, tidied.image, *(a.url for a in tidied.authors), *(e.url for e in tidied.enclosures)]
    links += re.findall(r'(?:href|src|cite)="([^"]*)"', tidied.summary + tidied.content)
    assert {urlsplit(link).scheme for link in links if link} <= {"http", "https", "mailto"}
    assert "<script" not in tidied.summary + tidied.content


@given(any_item, any_link)
def test_what_is_tidy_has_one_line_titles_and_sane_addresses_and_lengths(item: Item, base: str) -> None:
    tidied = tidy(item, base)
    for line in (tidied.title, *tidied.tags, *(author.name for author in tidied.authors)):
        assert line == " ".join(line.split())
    assert len(tidied.title) <= 500
    assert all("\r" not in author.email and "\n" not in author.email for author in tidied.authors)
    assert all(author.name or author.email for author in tidied.authors)
    assert all(enclosure.url and enclosure.length >= 0 for enclosure in tidied.enclosures)
    assert "\n" not in tidied.language


def test_relative_addresses_are_those_of_the_entrys_own_page() -> None:
    item = Item(
        link="/posts/1/", image="a.png", content='<a href="../2/">two</a>', enclosures=(Enclosure(url="a.mp3"),)
    )
    tidied = tidy(item, "https://blog.example.org/feed/")
    assert tidied.link == "https://blog.example.org/posts/1/"
    assert tidied.image == "https://blog.example.org/posts/1/a.png"
    assert 'href="https://blog.example.org/posts/2/"' in tidied.content
    assert tidied.enclosures[0].url == "https://blog.example.org/posts/1/a.mp3"


def test_an_item_without_addresses_does_not_get_those_of_its_source() -> None:
    tidied = tidy(Item(title="No link, no image", authors=(Author(name="Ann"),)), "https://blog.example.org/")
    assert (tidied.link, tidied.image, tidied.authors[0].url) == ("", "", "")


def test_a_title_is_plain_text_and_may_speak_of_markup() -> None:
    assert tidy(Item(title="The  <canvas> element,\n&amp; more"), "").title == "The <canvas> element, &amp; more"


# --- failures --------------------------------------------------------------------------------------------------------

intervals = st.timedeltas(timedelta(minutes=1), timedelta(days=30))
asked_pauses = st.none() | st.timedeltas(timedelta(0), timedelta(days=30))


def test_the_first_failure_costs_nothing_the_next_ones_twice_as_much_each() -> None:
    pauses = [retry_pause(failures, timedelta(hours=1), None) for failures in range(1, 8)]
    assert pauses == [None, *(timedelta(hours=hours) for hours in (2, 4, 8, 16, 24, 24))]


@given(st.integers(1, 10**9), intervals, asked_pauses)
def test_a_failing_source_is_left_alone_for_ever_longer_but_never_for_more_than_a_day(
    failures: int, every: timedelta, asked: timedelta | None
) -> None:
    nothing = timedelta(0)
    pause = retry_pause(failures, every, asked) or nothing
    assert nothing <= pause <= (retry_pause(failures + 1, every, asked) or nothing) <= DAY
    assert pause >= min(asked or nothing, DAY)


# --- the step, with a real store --------------------------------------------------------------------------------------

SCRIPT: list[Harvest | Exception] = []
CURSORS: list[Cursor | None] = []


@dataclass(frozen=True)
class Scripted:
    """A source that brings what ``SCRIPT`` says, visit by visit, and notes the cursors it is handed."""

    kind: ClassVar[str] = "scripted"
    url: str

    def fetch(self, cursor: Cursor | None, net: Net) -> Harvest:
        CURSORS.append(cursor)
        found = SCRIPT.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


NET = Net()
KINDS = {**sources.kinds(), "scripted": Scripted}


@dataclass
class TurningClock:
    """A clock that goes when it is told to."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now


class Blog:
    """A house with one scripted source."""

    def __init__(self, config: Path, store: Store, clock: TurningClock) -> None:
        self.config, self.store, self.clock = config, store, clock
        self.slots = 0
        self.move("https://blog.example.org/")
        SCRIPT.clear()
        CURSORS.clear()

    def move(self, url: str) -> None:
        self.config.write_text(
            "version: 1\nsite: {title: News, url: 'https://news.example.org'}\n"
            f"sources: {{blog: {{kind: scripted, url: '{url}', every: 1h}}}}\n"
        )
        self.settings = load(self.config, sources=KINDS, channels=channels.kinds(), environ={})

    def visit(self, *script: Harvest | Exception, slot: str = "") -> Outcome:
        SCRIPT[:] = script
        self.slots += 1
        self.clock.now += timedelta(hours=1)
        work = Work(step="collect", subject="blog", slot=slot or str(self.slots))
        return collect(work, self.settings, store=self.store, net=NET, clock=self.clock)

    @property
    def entries(self) -> list[Entry]:
        with self.store.read() as tx:
            return sorted(tx.entries.newest(["blog"], 100), key=lambda entry: entry.number)

    @property
    def state(self) -> SourceState:
        with self.store.read() as tx:
            state = tx.sources.get("blog")
        assert state
        return state


@pytest.fixture
def blog(tmp_path: Path) -> Iterator[Blog]:
    store = open_store(f"sqlite:///{tmp_path / 'publisher.db'}")
    yield Blog(tmp_path / "config.yaml", store, TurningClock(NOW))
    store.close()


def harvest(*names: str, cursor: str = "", **fields: object) -> Harvest:
    items = tuple(Item(guid=name, title=name, link=f"https://blog.example.org/{name}", **fields) for name in names)
    return Harvest(items=items, cursor={"etag": cursor}, title="The Blog", link="https://blog.example.org/")


def test_what_is_there_at_the_first_visit_is_backlog_and_what_comes_later_is_news(blog: Blog) -> None:
    assert blog.visit(harvest("b", "a", cursor="1")) == Done("2 new", changed=True)
    assert blog.visit(harvest("c", "b", "a", cursor="2")) == Done("1 new", changed=True)
    assert [(entry.title, entry.backlog) for entry in blog.entries] == [("a", True), ("b", True), ("c", False)]
    assert CURSORS == [None, {"etag": "1"}]


def test_a_slot_is_visited_once(blog: Blog) -> None:
    blog.visit(harvest("a"), slot="x")
    assert blog.visit(harvest("b"), slot="x") == Done("this slot has run")
    assert len(CURSORS) == len(blog.entries) == 1


def test_a_visit_that_is_given_back_can_be_made_by_whoever_comes_next(blog: Blog) -> None:
    collecting = Collecting(blog.settings, store=blog.store, net=NET, clock=blog.clock)
    work = Work(step="collect", subject="blog", slot="1")
    [begun] = collecting.begin([work])
    assert collecting.begin([work]) == [Done("this slot has run")]
    collecting.undo([begun])
    assert blog.visit(Harvest(items=(Item(guid="1", title="One"),)), slot="1") == Done("1 new", changed=True)


def test_an_edit_makes_a_new_version_and_no_new_entry(blog: Blog) -> None:
    blog.visit(harvest("a"))
    assert blog.visit(harvest("a", content="<p>edited</p>")) == Done("1 edited", changed=True)
    [entry] = blog.entries
    assert (entry.version, entry.content, entry.backlog) == (2, "<p>edited</p>", True)


def test_a_visit_that_fails_changes_nothing_but_the_health(blog: Blog) -> None:
    blog.visit(harvest("a", cursor="1"))
    before, entries, since = blog.state, blog.entries, blog.clock() + timedelta(hours=1)
    unreachable = blog.visit(Unreachable("no route", hint="look"))
    assert unreachable == Later("no route (look)", every(timedelta(hours=1), spread="blog").next(blog.clock()))
    again = blog.clock() + timedelta(hours=3)
    assert blog.visit(SourceError("no feed")) == Later("no feed", again)
    assert blog.entries == entries
    assert blog.state == replace(before, tried=blog.clock(), failures=2, failing=since, error="no feed", next_at=again)
    assert blog.visit(Harvest(unchanged=True, cursor={"etag": "1"})) == Done("unchanged")
    assert CURSORS[-1] == {"etag": "1"}
    following = every(timedelta(hours=1), spread="blog").next(blog.clock())
    assert blog.state == replace(before, tried=blog.clock(), visited=blog.clock(), next_at=following)


def test_a_source_is_ill_after_three_failures_and_well_after_one_visit(blog: Blog) -> None:
    blog.visit(harvest("a"))
    for ailment in ("", "", "failing", "failing"):
        blog.visit(Unreachable("no route"))
        assert blog.state.ailment == ailment
    assert blog.state.turned == blog.clock() - timedelta(hours=1)
    blog.visit(Harvest(unchanged=True))
    assert (blog.state.ailment, blog.state.turned) == ("", blog.clock())


def test_what_a_source_suffers_from_is_not_over_when_a_visit_fails(blog: Blog) -> None:
    ends = blog.clock() + timedelta(days=3)
    certificate = Certificate(begins=ends - timedelta(days=90), ends=ends)
    blog.visit(replace(harvest("a"), certificate=certificate))
    assert (blog.state.ailment, blog.state.expires) == ("certificate", ends)
    blog.visit(Unreachable("no route"))
    assert (blog.state.ailment, blog.state.expires) == ("certificate", ends)


def test_a_source_that_falls_silent_is_ill_although_its_visits_go_well(blog: Blog) -> None:
    start = blog.clock()
    items = [Item(guid=str(day), title=str(day), published=start - timedelta(days=day)) for day in range(10)]
    blog.visit(Harvest(items=tuple(items)))
    blog.clock.now = start + timedelta(days=7)
    blog.visit(Harvest(unchanged=True))
    assert blog.state.ailment == ""
    blog.clock.now = start + timedelta(days=9)
    blog.visit(Harvest(unchanged=True))
    assert blog.state.ailment == "silent"
    blog.visit(Harvest(items=(Item(guid="new", title="new", published=blog.clock()), *items)))
    assert blog.state.ailment == ""


def test_what_has_just_arrived_is_a_sign_of_life_however_old_it_says_it_is(blog: Blog) -> None:
    start = blog.clock()
    items = [Item(guid=str(day), title=str(day), published=start - timedelta(days=day)) for day in range(20, 30)]
    blog.visit(Harvest(items=tuple(items)))
    assert blog.state.ailment == "silent"
    blog.clock.now = start + timedelta(days=1)
    minutes = Item(guid="new", title="Minutes of the last sitting", published=start - timedelta(days=19))
    for brought in (Harvest(items=(minutes, *items)), Harvest(unchanged=True)):
        blog.visit(brought)
        assert blog.state.ailment == ""
    with blog.store.read() as tx:
        assert tx.entries.last_sign("blog", blog.state.since) == start + timedelta(days=1, hours=1)
    blog.clock.now = start + timedelta(days=11)
    blog.visit(Harvest(unchanged=True))
    assert blog.state.ailment == "silent"


def test_a_server_that_asks_for_rest_gets_it(blog: Blog) -> None:
    outcome = blog.visit(BadStatus("503", status=503, retry_after=timedelta(hours=5)))
    assert outcome == Later("503", blog.clock() + timedelta(hours=5))


def test_a_source_that_is_gone_is_told_and_keeps_its_entries(blog: Blog) -> None:
    blog.visit(harvest("a"))
    assert isinstance(blog.visit(Harvest(gone=True)), Never)
    assert blog.state.gone
    assert blog.state.ailment == "ended"
    assert len(blog.entries) == 1


def test_under_a_new_address_the_cursor_is_void_and_what_looks_new_is_no_news(blog: Blog) -> None:
    blog.visit(harvest("a", cursor="1"))
    blog.move("https://elsewhere.example/")
    blog.visit(harvest("c", "b"))
    assert CURSORS == [None, None]
    assert [(entry.title, entry.backlog) for entry in blog.entries] == [("a", True), ("b", True), ("c", True)]


def test_an_empty_harvest_forgets_nothing(blog: Blog) -> None:
    blog.visit(harvest("a", "b"))
    assert blog.visit(Harvest()) == Done("nothing new")
    assert blog.visit(harvest("a", "b")) == Done("nothing new")
    assert len(blog.entries) == 2


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a store that is new: a copy is at hand sooner than the next one is made."""
    file = tmp_path_factory.mktemp("store") / "empty.db"
    open_store(f"sqlite:///{file}").close()
    return file


@given(visits=st.lists(st.lists(any_item, max_size=3), min_size=1, max_size=3))
@settings(max_examples=25, deadline=None)
def test_whatever_a_source_brings_can_be_kept_and_comes_only_once(empty_store: Path, visits: list[list[Item]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = shutil.copy(empty_store, folder)
        with contextlib.closing(open_store(f"sqlite:///{file}")) as store:
            blog = Blog(Path(folder, "config.yaml"), store, TurningClock(NOW))
            for items in visits:
                found = Harvest(items=tuple(items), link="https://blog.example.org/")
                blog.visit(found)
                kept = blog.entries
                assert blog.visit(found) == Done("nothing new")
                assert blog.entries == kept


# --- what is pushed --------------------------------------------------------------------------------------------------


@dataclass
class Newsroom:
    """A source that entries are pushed to."""

    store: Store
    settings: Settings
    now: datetime = NOW

    def push(self, *names: str, **fields: object) -> tuple[int, int, int]:
        pushed = harvest(*names, **fields)
        found = receive("newsroom", pushed, self.settings, store=self.store, clock=lambda: self.now)
        return found.arrived, found.edited, found.unchanged

    def entries(self) -> dict[str, Entry]:
        with self.store.read() as tx:
            return {entry.title: entry for entry in tx.entries.newest(["newsroom"], 100)}


@pytest.fixture
def newsroom(tmp_path: Path, write_config: Callable[[str], Path]) -> Iterator[Newsroom]:
    file = write_config("sources: {newsroom: {kind: api}}\n")
    settings = load(file, sources=sources.kinds(), channels=channels.kinds(), environ={})
    with contextlib.closing(open_store(settings.database)) as store:
        yield Newsroom(store, settings)


def test_what_is_pushed_first_is_news_and_no_backlog(newsroom: Newsroom) -> None:
    assert newsroom.push("one", "two") == (2, 0, 0)
    assert [entry.backlog for entry in newsroom.entries().values()] == [False, False]


def test_what_is_pushed_again_is_an_edit_or_nothing(newsroom: Newsroom) -> None:
    newsroom.push("one", "two")
    assert newsroom.push("one", "two") == (0, 0, 2)
    assert newsroom.push("one", "two", "three", content="More.") == (1, 2, 0)
    assert {title: entry.version for title, entry in newsroom.entries().items()} == {"one": 2, "two": 2, "three": 1}


def test_an_archive_that_is_pushed_is_backlog_also_later(newsroom: Newsroom) -> None:
    newsroom.push("old", published=NOW - 2 * DAY)
    newsroom.now += 9 * DAY
    newsroom.push("older", published=NOW - 3 * DAY)
    newsroom.push("late", published=NOW + DAY)
    assert {title: entry.backlog for title, entry in newsroom.entries().items()} == {
        "late": False,
        "old": True,
        "older": True,
    }


def test_a_push_of_which_an_item_tells_nothing_is_refused_whole(newsroom: Newsroom) -> None:
    good, bad = harvest("one").items[0], Item(guid="2", content="<script>alert(1)</script>")
    with pytest.raises(Unfit) as caught:
        receive(
            "newsroom", Harvest(items=(good, bad)), newsroom.settings, store=newsroom.store, clock=lambda: newsroom.now
        )
    assert caught.value.field == "entries[1]"
    assert newsroom.entries() == {}


def test_a_source_that_is_pushed_to_is_well_and_its_last_push_is_its_last_visit(newsroom: Newsroom) -> None:
    newsroom.push("one")
    newsroom.now += DAY
    newsroom.push("two")
    with newsroom.store.read() as tx:
        state = tx.sources.get("newsroom")
    assert state
    assert (state.since, state.visited, state.tried, state.error) == (NOW, NOW + DAY, NOW + DAY, "")


def test_to_visit_where_entries_are_pushed_leaves_no_trace(newsroom: Newsroom) -> None:
    work = Work(step="collect", subject="newsroom", slot="by hand 1")
    with contextlib.closing(Net()) as net:
        done = collect(work, newsroom.settings, store=newsroom.store, net=net, clock=lambda: NOW)
    assert isinstance(done, Done)
    assert not done.changed
    with newsroom.store.read() as tx:
        assert tx.sources.get("newsroom") is None
