from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from publisher.collect import tidy
from publisher.model import Item
from publisher.stories import Newcomer, Search, Teller, Trace, canonical, same, tale, traces

NOW = datetime(2026, 11, 2, 8, tzinfo=UTC)
FOLDER = Path(__file__).parent / "golden" / "stories"


# --- pairs of articles -----------------------------------------------------------------------------------------------


def pairs(name: str) -> list[dict[str, Any]]:
    return YAML(typ="safe", pure=True).load(FOLDER / f"{name}.yaml")


def named(cases: Iterable[dict[str, Any]]) -> list[Any]:
    return [pytest.param(case, id=case["case"]) for case in cases]


@dataclass
class World:
    """The store's part in it, in memory: who has told what."""

    entries: list[tuple[Teller, Newcomer]] = field(default_factory=list)
    stories: dict[int, int] = field(default_factory=dict)
    traces: list[Trace] = field(default_factory=list)

    def bring(self, source: str, *items: Item, moment: datetime = NOW, member: str = "") -> list[int]:
        """One harvest; returns the story of each item."""
        teller, first = (source, member), len(self.entries) + 1
        fresh = [
            Newcomer(number=number, uid=f"urn:x:{item.guid or number}", item=item, moment=moment, traces=traces(item))
            for number, item in enumerate(items, first)
        ]
        values = {value for one in fresh for value in one.traces}
        search = Search(teller, fresh, [trace for trace in self.traces if trace.value in values])
        told_by: dict[int, set[Teller]] = {}
        for other, one in self.entries:
            told_by.setdefault(self.stories[one.number], set()).add(other)
        by_uid = {one.uid: self.stories[one.number] for _, one in reversed(self.entries)}
        tales = {one.number: tale(one.item, one.moment) for _, one in self.entries}
        found = search.stories(by_uid, tales, told_by)
        self.stories |= found
        self.entries += [(teller, one) for one in fresh]
        self.traces += [
            Trace(value=value, number=number, teller=teller, moment=moment, story=found[number])
            for value, number in search.left()
        ]
        return [found[one.number] for one in fresh]


def tells_one_story(case: dict[str, Any]) -> bool:
    """Whether the two of a pair are one story, when two sources bring them; in either order the same."""
    one, other = (tidy(Item(**case[name]), "https://any.example/") for name in ("one", "other"))
    moments = NOW, NOW + timedelta(hours=case.get("hours", 0))
    found = []
    for first, second in ((0, 1), (1, 0)):
        world = World()
        world.bring("paper", (one, other)[first], moment=moments[first])
        found.append(world.bring("radio", (one, other)[second], moment=moments[second]) == [1])
    assert found[0] == found[1]
    return found[0]


@pytest.mark.parametrize("case", named(pairs("different")))
def test_what_only_looks_alike_is_never_taken_for_one_story(case: dict[str, Any]) -> None:
    assert not tells_one_story(case)


@pytest.mark.parametrize("case", named(pairs("same")))
def test_what_tells_the_same_is_found_but_for_what_is_known_to_be_missed(case: dict[str, Any]) -> None:
    assert tells_one_story(case) == (not case.get("missed", False))


# --- links -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "link",
    [
        "http://paper.example/news/bridge",
        "https://www.paper.example/news/bridge/",
        "https://PAPER.example:443/news/bridge/index.html",
        "https://m.paper.example/news/bridge?utm_source=x&UTM_medium=y&fbclid=z",
        "https://mobile.paper.example/news//bridge",
        "https://amp.paper.example/news/bridge",
        "https://paper.example/amp/news/bridge",
        "https://paper.example/news/bridge/amp/",
        "https://paper.example/news/bridge.amp",
        "https://paper.example/news/bridge?amp=1",
        "https://paper.example/news/bridge?outputType=amp",
        "https://paper.example/news/bridge#xtor=RSS-1",
        "https://paper.example/news/bridge#:~:text=bridge",
        "https://paper-example.cdn.ampproject.org/c/s/paper.example/news/bridge",
        "https://paper-example.cdn.ampproject.org/v/s/paper.example/news/bridge/amp?amp_js_v=0.1&usqp=mq331",
        "https://www.google.co.uk/amp/s/paper.example/news/bridge/amp",
    ],
)
def test_all_addresses_of_a_page_are_one(link: str) -> None:
    assert canonical(link) == "paper.example/news/bridge"


@pytest.mark.parametrize(
    "link",
    [
        "",
        "https://paper.example",
        "https://paper.example/",
        "https://www.paper.example/index.php?utm_source=rss",
        "https://paper.example/amp/",
        "https://paper.example/#news",
        "mailto:desk@paper.example",
        "https://[paper.example/1",
        "https://paper.example:port/1",
    ],
)
def test_what_leads_to_no_page_of_its_own_says_nothing(link: str) -> None:
    assert canonical(link) == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://paper.example/?p=1", "https://paper.example/?p=2"),
        ("https://paper.example/1", "https://paper.example:8443/1"),
        ("https://paper.example/example", "https://paper.example/ex"),
        ("https://paper.example/champ", "https://paper.example/ch"),
        ("https://paper.example/a%2Fb", "https://paper.example/a%252Fb"),
        ("https://news.paper.example/1", "https://paper.example/1"),
        ("https://www.google.com/amp/help", "https://help/"),
    ],
)
def test_different_pages_stay_different(one: str, other: str) -> None:
    assert canonical(one) != canonical(other)


PARTS = "www. m. amp. paper.example example.org / /amp .amp .html index.html ? & = # a 1 % %41 %2e : 80"
parts = st.sampled_from(re.findall(r"\S+", PARTS))
links = st.lists(parts, max_size=12).map(lambda made: "https://" + "".join(made)) | st.text(max_size=60)


@given(links)
@example("https://www.google.com/amp/s/www.google.com/amp/s/a.example/x/amp/amp")
@example("https://a.example/amp/amp/index.html/index.html")
def test_the_canonical_form_of_a_link_is_its_own_canonical_form(link: str) -> None:
    found = canonical(link)
    assert not found or canonical(f"https://{found}") == found


# --- texts -----------------------------------------------------------------------------------------------------------

WORDS = "The the bridge Council council votes not 12 13 Monday tuesday harbour . ( ) - : <p> </p> …"
words = st.sampled_from(re.findall(r"\S+", WORDS))
prose = st.lists(words, max_size=120).map(" ".join)
items = st.builds(
    Item, title=prose.map(lambda text: text[:60]), content=prose | st.just(""), summary=prose | st.text(max_size=200)
)


@given(items, items, st.integers(0, 100))
def test_who_is_asked_first_does_not_matter(one: Item, other: Item, hours: int) -> None:
    first, second = tale(one, NOW), tale(other, NOW + timedelta(hours=hours))
    assert same(first, second) == same(second, first)


LONG = (
    "The council has voted for a new bridge over the canal, which is to be built next year by a firm from the region. "
    "The old one, of wood, has been shut since a barge ran into it in spring, and nobody was hurt then."
)


@given(items)
def test_what_is_long_enough_is_the_same_as_itself_and_what_is_short_never_is(item: Item) -> None:
    told = replace(item, title="Council votes for a bridge", content=LONG + item.content)
    assert same(tale(told, NOW), tale(told, NOW))
    short = replace(item, content="Bridge shut today.", summary="")
    assert not same(tale(short, NOW), tale(short, NOW))


@given(items)
def test_an_entry_leaves_few_traces_and_always_the_same(item: Item) -> None:
    linked = replace(item, link="https://paper.example/1")
    found = traces(linked)
    assert found == traces(linked)
    assert len(found) == len(set(found)) <= 11
    assert all(-(2**63) <= value < 2**63 for value in found)
    assert [value < 0 for value in found].count(True) == 1


@given(st.sets(st.integers(16, 60), min_size=1, max_size=6), st.integers(0, 999))
def test_a_teaser_and_the_whole_text_leave_a_trace_in_common(lengths: set[int], seed: int) -> None:
    story = [f"word{(seed + place) * 7919 % 1009}" for place in range(300)]
    whole = set(traces(Item(title="Council votes for a bridge", content=" ".join(story))))
    for length in lengths:
        assert whole & set(traces(Item(title="Council votes for a bridge", summary=" ".join(story[:length]))))


def test_the_longest_and_oddest_texts_are_read_in_bounds() -> None:
    for text in (
        "a " * 500_000,
        "<" * 500_000,
        "(" * 500_000,
        "1," * 500_000,
        "read more " * 100_000,
        "A (b" * 100_000,
    ):
        item = Item(title=text[:500], content=text, summary=text, link="https://paper.example/" + "amp/" * 400)
        assert len(traces(item)) <= 11
        assert len(tale(item, NOW).content.words) <= 400
        same(tale(item, NOW), tale(item, NOW))


# --- who tells what --------------------------------------------------------------------------------------------------

BRIDGE = Item(title="Council votes for a bridge", content=LONG, link="https://paper.example/bridge")
elsewhere = replace(BRIDGE, link="https://radio.example/1")


def test_a_source_whose_items_all_lead_to_one_page_merges_nothing() -> None:
    world = World()
    notices = [Item(guid=f"{day}", title=f"Notice {day}", link="https://town.example/notices") for day in range(3)]
    assert world.bring("town", *notices) == [1, 2, 3]
    assert world.bring("paper", Item(title="Notices", link="https://town.example/notices")) == [4]
    assert world.bring("radio", Item(title="All notices", link="https://town.example/notices")) == [5]


def test_a_link_says_nothing_any_more_when_its_source_uses_it_again() -> None:
    world = World()
    page = "https://town.example/notices"
    assert world.bring("town", Item(guid="1", title="Notice 1", link=page)) == [1]
    assert world.bring("paper", Item(guid="2", title="Notice 1", link=page)) == [1]
    assert world.bring("town", Item(guid="3", title="Notice 2", link=page)) == [3]
    assert world.bring("radio", Item(guid="4", title="Notice 2", link=page)) == [4]


def test_nobody_tells_a_story_twice() -> None:
    world = World()
    assert world.bring("paper", BRIDGE) == [1]
    again = replace(elsewhere, guid="again", link="")
    assert world.bring("radio", elsewhere, again) == [1, 3]
    assert world.bring("paper", replace(BRIDGE, guid="again", link="")) == [3]
    assert world.bring("paper", replace(BRIDGE, guid="once more", link="")) == [5]


def test_the_members_of_a_list_are_sources_of_their_own() -> None:
    world = World()
    assert world.bring("planet", BRIDGE, member="ann") == [1]
    assert world.bring("planet", elsewhere, member="bo") == [1]
    assert world.bring("planet", replace(elsewhere, guid="again"), member="bo") == [3]


def test_one_public_identity_is_one_story_even_within_a_source() -> None:
    world = World()
    assert world.bring("paper", Item(guid="x", title="One"), Item(guid="x", title="Two")) == [1, 1]
    assert world.bring("radio", Item(guid="x", title="Three")) == [1]


def test_boilerplate_that_thousands_share_leaves_a_bounded_number_of_traces_and_candidates() -> None:
    boiler = "Subscribe to our letter and get all the news from the harbour, the ships and the people every single day."
    world = World()
    for number in range(300):
        item = Item(guid=f"{number}", title=f"Number {number}", content=f"<p>{boiler}</p> {number} " * 3)
        assert world.bring(f"source {number}", item) == [number + 1]
    counted: dict[int, int] = {}
    for trace in world.traces:
        counted[trace.value] = counted.get(trace.value, 0) + 1
    assert max(counted.values()) <= 8
    newcomer = Newcomer(number=999, uid="x", item=item, moment=NOW, traces=traces(item))
    assert 0 < len(Search(("new", ""), [newcomer], world.traces).alike(newcomer)) <= 6


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.lists(st.sampled_from([BRIDGE, elsewhere, Item(title="x")]), max_size=3))
    )
)
def test_a_story_is_always_that_of_its_first_entry_and_each_source_is_in_it_once(
    harvests: list[tuple[str, list[Item]]],
) -> None:
    world = World()
    for source, brought in harvests:
        world.bring(source, *brought)
    for number, story in world.stories.items():
        assert story <= number
        assert world.stories[story] == story
    told = [(teller, world.stories[one.number]) for teller, one in world.entries]
    assert len(told) == len(set(told))
