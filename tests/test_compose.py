from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.compose import fit, pick
from publisher.errors import RenderError, TooLong
from publisher.model import Document, Entry, Issue, Publication, Site

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
