from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.deliver.pace import Pace
from publisher.options import Rate

rates = st.builds(Rate, st.integers(1, 1000), st.sampled_from([1, 60, 3600]).map(lambda s: timedelta(seconds=s)))
patience = st.lists(st.floats(0, 5), min_size=1, max_size=60)
"""How many seconds later somebody asks again."""


@given(rates, patience)
def test_in_any_span_there_are_never_more_turns_than_the_rate_allows_and_one(rate: Rate, story: list[float]) -> None:
    pace, now, taken = Pace({"": rate}), 1000.0, list[float]()
    for pause in story:
        now += pause
        while not pace.take([""], now):
            taken.append(now)
    for first, start in enumerate(taken):
        for count, end in enumerate(taken[first:], 1):
            # Whoever comes late may be made up for, by a tenth of a second.
            assert count <= (end - start + 0.1) / rate.pause + 1.000001


@given(rates, st.integers(2, 30))
def test_whoever_waits_as_long_as_told_has_a_turn_then_and_the_turns_are_even(rate: Rate, count: int) -> None:
    pace, now, taken = Pace({"": rate}), 1000.0, list[float]()
    while len(taken) < count:
        if wait := pace.take([""], now):
            now += wait
        else:
            taken.append(now)
    early = min(rate.pause, 0.1)
    assert taken[1] - taken[0] == pytest.approx(rate.pause - early, abs=1e-6)
    assert [b - a for a, b in pairwise(taken[1:])] == pytest.approx([rate.pause] * (count - 2), abs=1e-6)


@given(rates, rates, st.integers(1, 20))
def test_of_several_names_the_slowest_decides_and_none_loses_a_turn_in_vain(a: Rate, b: Rate, count: int) -> None:
    pace, now = Pace({"a": a, "b": b}), 1000.0
    for _ in range(count):
        while wait := pace.take(["a", "b", "unknown"], now):
            assert wait == pace.take(["b", "a"], now)
            now += wait
    slowest = max(a.pause, b.pause)
    assert now - 1000.0 >= (count - 1) * slowest - 0.1 - 1e-6
    # Whom the other one held up has lost nothing: it had its turns when the slower one had.
    assert pace.take(["a"], now + a.pause) == pytest.approx(0, abs=1e-6)


def test_a_name_without_a_rate_has_a_turn_at_any_time() -> None:
    pace = Pace({"slow": Rate(1, timedelta(hours=1))})
    assert [pace.take(["", "way x"], 1000.0) for _ in range(100)] == [0] * 100
    assert pace.limits("slow")
    assert not pace.limits("")
    assert pace.take(["slow", ""], 1000.0) == 0
    assert pace.take(["slow", ""], 1000.0) > 3599
