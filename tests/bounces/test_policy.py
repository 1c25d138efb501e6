"""What follows from what came back, whatever that is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from publisher.bounces import Fate, Returned
from publisher.bounces.policy import SOFT_MANY, SOFT_SPAN, believed, patience_began

NOW = datetime(2026, 10, 19, 9, 0, tzinfo=UTC)
ADDRESSES = ["ada@example.org", "bob@example.org", "eve@bücher.example", ""]

told = st.builds(Returned, fate=st.sampled_from(Fate), recipient=st.sampled_from(ADDRESSES))
moments = st.lists(st.timedeltas(timedelta(0), timedelta(days=30)).map(lambda ago: NOW - ago), max_size=20)


@given(told)
def test_nothing_follows_from_what_anybody_may_have_made_up(found: Returned) -> None:
    assert believed(found, "", verified=False) is None


@given(told)
def test_a_provider_is_believed_where_it_says_whom_it_is_about(found: Returned) -> None:
    assert believed(found, "", verified=True) == (found.fate if found.recipient else None)


@given(told, st.sampled_from(ADDRESSES[:3]), st.booleans())
def test_what_knows_a_delivery_is_believed_but_a_hard_one_only_of_its_recipient(
    found: Returned, recipient: str, verified: bool
) -> None:
    fate = believed(found, recipient, verified=verified)
    if found.fate is Fate.HARD and found.recipient not in ("", recipient):
        assert fate is Fate.SOFT
    else:
        assert fate is found.fate


@pytest.mark.parametrize(
    ("told", "known"),
    [("ADA@Example.org", "ada@example.org"), ("eve@xn--bcher-kva.example", "eve@bücher.example")],
)
def test_an_address_is_the_same_however_it_is_written(told: str, known: str) -> None:
    assert believed(Returned(fate=Fate.HARD, recipient=told), known, verified=False) is Fate.HARD


@given(moments)
def test_patience_does_not_end_with_a_few_or_within_some_days(softs: list[datetime]) -> None:
    assume(len(softs) < SOFT_MANY or min(softs) > NOW - SOFT_SPAN)
    assert patience_began(softs, NOW) is None


@given(moments)
def test_patience_ends_with_many_over_some_days_and_began_as_late_as_can_be(softs: list[datetime]) -> None:
    began = patience_began(softs, NOW)
    enough = [one for one in softs if one <= NOW - SOFT_SPAN and sum(other >= one for other in softs) >= SOFT_MANY]
    assert began == max(enough, default=None)


@given(moments)
def test_the_order_in_which_they_are_told_is_of_no_matter(softs: list[datetime]) -> None:
    assert patience_began(softs, NOW) == patience_began(softs[::-1], NOW)
