from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.compose import fit, pick
from publisher.compose.decisions import Wish, belongs, cursor, foremost, is_wanted, offered, portions, variant
from publisher.config import TopicSettings
from publisher.errors import RenderError, TooLong
from publisher.model import Document, Entry, Issue, Publication, Site
from publisher.store import Twin, Waiting

START = datetime(2026, 11, 2, 8, tzinfo=UTC)
SITE = Site(title="Harbour News", url="https://news.example.org")
WEEKLY = Publication(name="weekly", title="The Harbour Weekly", site=SITE)


def entry(number: int, name: int, age: int = 0) -> Entry:
    """One that arrived ``number`` minutes after the start, and was published ``age`` minutes before that."""
    arrived = START + timedelta(minutes=number)
    return Entry(
        number=number,
        uid=f"urn:x:{name}",
        source="blog",
        arrived=arrived,
        changed=arrived,
        published=arrived - timedelta(minutes=age),
    )


# Few names, so that several entries have one public identity; any ages, so that arrival says nothing of the moment.
waiting_lists = st.lists(st.tuples(st.integers(0, 15), st.integers(-100, 100)), max_size=20).map(
    lambda made: [entry(number, name, age) for number, (name, age) in enumerate(made, 1)]
)
limits = st.integers(1, 8)


def firsts(waiting: list[Entry]) -> list[Entry]:
    return list({entry.uid: entry for entry in reversed(waiting)}.values())


@given(waiting_lists, limits)
def test_nothing_is_lost_and_each_public_identity_is_told_once(waiting: list[Entry], most: int) -> None:
    chosen, carried = pick(waiting, most)
    assert len(chosen) == min(most, len(firsts(waiting)))
    assert sorted(e.number for e in (*chosen, *carried)) == sorted(e.number for e in firsts(waiting))


@given(waiting_lists, limits)
def test_what_arrived_first_goes_first_and_is_shown_newest_first(waiting: list[Entry], most: int) -> None:
    chosen, carried = pick(waiting, most)
    numbers = [e.number for e in carried]
    assert numbers == sorted(numbers)
    assert max((e.number for e in chosen), default=0) < min(numbers, default=10**9)
    moments = [(e.moment, e.number) for e in chosen]
    assert moments == sorted(moments, reverse=True)


@given(st.lists(waiting_lists, max_size=6), limits)
def test_week_after_week_each_identity_is_delivered_once_first_come_first_served(
    weeks: list[list[Entry]], most: int
) -> None:
    told: list[Entry] = []
    waiting: list[Entry] = []
    number = 0
    arrived: list[Entry] = []
    for week in [*weeks, *[[]] * 200]:
        for new in week:
            number += 1
            arrived.append(replace(new, number=number))
            if new.uid not in {e.uid for e in told}:
                waiting.append(arrived[-1])
        chosen, carried = pick(waiting, most)
        told += sorted(chosen, key=lambda e: e.number)
        waiting = list(carried)
    assert not waiting
    assert [e.number for e in told] == [e.number for e in sorted(firsts(arrived), key=lambda e: e.number)]


@dataclass
class Press:
    """A renderer whose paper holds so many entries."""

    holds: int
    tries: list[int] = field(default_factory=list)

    def render(self, subject: Issue) -> tuple[Document, ...]:
        self.tries.append(len(subject.entries))
        if len(subject.entries) > self.holds:
            raise TooLong(f"{len(subject.entries)} entries are too long")
        numbers = " ".join(str(e.number) for e in subject.entries)
        return tuple(
            Document(name=name, media_type="text/plain", body=body.encode())
            for name, body in [("subject.txt", f"News: {numbers}"), ("mail.txt", numbers)]
        )


def issue(waiting: list[Entry]) -> Issue:
    chosen, _ = pick(waiting, len(waiting))
    return Issue(number=1, publication=WEEKLY, created=START, entries=chosen)


@given(waiting_lists.filter(bool), limits)
def test_an_issue_that_is_too_long_keeps_what_arrived_first(waiting: list[Entry], holds: int) -> None:
    press = Press(holds)
    made = fit(issue(waiting), press)
    all_numbers = sorted(e.number for e in firsts(waiting))
    kept = [e.number for e in made.entries]
    assert sorted(kept) == all_numbers[: len(kept)]
    assert min(len(all_numbers), holds) >= len(kept) > min(len(all_numbers), holds) / 2 - 1
    assert press.tries == sorted(set(press.tries), reverse=True)


@given(waiting_lists.filter(bool), limits)
def test_what_was_rendered_is_what_the_issue_holds(waiting: list[Entry], holds: int) -> None:
    made = fit(issue(waiting), Press(holds))
    numbers = " ".join(str(e.number) for e in made.entries)
    assert (made.subject, made.document("mail.txt").text) == (f"News: {numbers}", numbers)


def test_an_entry_that_is_too_long_by_itself_is_an_error_and_not_a_loop() -> None:
    press = Press(0)
    with pytest.raises(TooLong, match="1 entries are too long"):
        fit(issue([entry(1, 1), entry(2, 2), entry(3, 3)]), press)
    assert press.tries == [3, 1]


def test_a_wrong_template_is_not_tried_with_fewer_entries() -> None:
    class Broken(Press):
        def render(self, subject: Issue) -> tuple[Document, ...]:
            self.tries.append(len(subject.entries))
            raise RenderError("digest.html.j2:12: no such thing")

    press = Broken(1)
    with pytest.raises(RenderError, match="12: no such thing"):
        fit(issue([entry(1, 1), entry(2, 2)]), press)
    assert press.tries == [2]


# --- who is told what ------------------------------------------------------------------------------------------------

TOPICS = {
    "sea": TopicSettings(title="The Sea", sources=("harbour",), tags=("Ships",)),
    "town": TopicSettings(title="The Town", tags=("council",)),
}


def waiting_list(made: list[tuple[int, str, tuple[str, ...], bool]]) -> list[Waiting]:
    entries = [
        replace(entry(number, name), source=source, tags=tags) for number, (name, source, tags, _) in enumerate(made, 1)
    ]
    told = {one.number for one, (*_, was_told) in zip(entries, made, strict=True) if was_told}
    twins = [Twin(entry=one, told=one.number in told, forgotten=False) for one in entries]
    return [Waiting(entry=one, twins=tuple(twin for twin in twins if twin.entry.uid == one.uid)) for one in entries]


news = st.lists(
    st.tuples(
        st.integers(0, 12),
        st.sampled_from(["harbour", "blog"]),
        st.sampled_from([(), ("SHIPS",), ("council", "x")]),
        st.booleans(),
    ),
    max_size=20,
).map(waiting_list)
wishes = st.builds(
    Wish, topics=st.sets(st.sampled_from(["sea", "town"])).map(frozenset), since=st.integers(0, 20), own=st.just(True)
)


def test_an_entry_is_of_a_topic_by_its_source_or_by_a_tag_however_it_is_written() -> None:
    by_source, by_tag = replace(entry(1, 1), source="harbour"), replace(entry(2, 2), tags=("ships",))
    assert [belongs(one, chosen, TOPICS) for one in (by_source, by_tag) for chosen in ((), ("sea",), ("town",))] == [
        True,
        True,
        False,
    ] * 2


def test_who_chose_only_topics_that_are_no_more_gets_everything() -> None:
    assert offered(["gone"], TOPICS) == offered([], TOPICS) == frozenset()
    assert offered(["gone", "sea"], TOPICS) == {"sea"}


@given(news, wishes, limits)
def test_issue_after_issue_a_reader_is_told_of_all_that_they_want_once(
    waiting: list[Waiting], wish: Wish, most: int
) -> None:
    last, told = len(waiting), list[str]()
    wanted = {
        one.entry.uid for one in waiting if one.entry.number > wish.since and belongs(one.entry, wish.topics, TOPICS)
    }
    before = {
        one.entry.uid for one in waiting if one.entry.number <= wish.since and belongs(one.entry, wish.topics, TOPICS)
    }
    for _ in range(last + 1):
        found = portions(waiting, [wish], TOPICS, most)[wish]
        chosen, left = pick(found, most)
        told += [one.uid for one in chosen]
        wish = replace(wish, since=cursor(wish, left, last))
    assert sorted(told) == sorted(wanted - before)
    assert wish.since >= last


@given(news, st.lists(wishes, min_size=1, max_size=4), limits)
def test_what_one_is_told_does_not_depend_on_what_others_want(
    waiting: list[Waiting], several: list[Wish], most: int
) -> None:
    together = portions(iter(waiting), several, TOPICS, most)
    assert together == {wish: portions(waiting, [wish], TOPICS, most)[wish] for wish in several}
    assert all(len(found) <= most + 1 for found in together.values())


@given(news, st.booleans())
def test_what_the_issue_for_all_told_is_told_to_none_of_those_who_follow_it(waiting: list[Waiting], some: bool) -> None:
    wish = Wish(since=0, topics=frozenset({"sea"}) if some else frozenset())
    for one in waiting:
        if any(twin.told and belongs(twin.entry, wish.topics, TOPICS) for twin in one.twins):
            assert not is_wanted(one, wish, TOPICS)


@given(news, st.lists(wishes, min_size=1, max_size=4))
def test_entry_by_entry_nobody_is_led_past_one_that_waits_for_them(waiting: list[Waiting], several: list[Wish]) -> None:
    found = portions(waiting, several, TOPICS, 1)
    first, seen = foremost(found, len(waiting))
    assert all(entries in ([], found[wish][:1]) for wish, entries in first.items())
    assert all(entry.number >= seen for entries in found.values() for entry in entries)


def test_a_variant_is_named_by_its_language_and_its_entries() -> None:
    one, two = entry(1, 1), entry(2, 2)
    assert variant([two, one], [two, one], "") == ""
    assert variant([two, one], [two, one], "de") == "de"
    named = variant([one], [two, one], "")
    assert variant([one], [], "de-AT") == f"de-AT-{named}"
    assert re.fullmatch("[0-9a-f]{8}", named)
    assert named != variant([two], [two, one], "")
