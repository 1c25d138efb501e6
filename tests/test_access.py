from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outside import Clock

from publisher.access import FAILURES, SCOPES, USE, Access, Allowance, Bucket, Buckets
from publisher.errors import TooMany, Unfit
from publisher.store import open_store

NOW = datetime(2026, 11, 2, 8, tzinfo=UTC)
ZERO = timedelta()

allowances = st.builds(Allowance, burst=st.integers(1, 50), per_second=st.floats(0.01, 100))
pauses = st.lists(st.floats(0, 30), max_size=60)


@pytest.fixture
def access(tmp_path: Path, clock: Clock) -> Iterator[Access]:
    with closing(open_store(f"sqlite:///{tmp_path}/store.db")) as store:
        yield Access(store=store, clock=clock)


# --- how much --------------------------------------------------------------------------------------------------------


@given(allowances, pauses)
def test_never_more_than_the_burst_and_what_has_refilled_since(allowance: Allowance, pauses: list[float]) -> None:
    bucket, now, taken = Bucket(allowance.burst, NOW), NOW, list[datetime]()
    for pause in pauses:
        now += timedelta(seconds=pause)
        bucket, wait = bucket.take(allowance, now)
        taken += [now] * (not wait)
    for i, first in enumerate(taken):
        for count, last in enumerate(taken[i:], 1):
            assert count <= allowance.burst + (last - first).total_seconds() * allowance.per_second + 1e-3


@given(allowances, st.integers(0, 60))
def test_who_waits_as_long_as_is_said_is_served(allowance: Allowance, before: int) -> None:
    bucket = Bucket(allowance.burst, NOW)
    for _ in range(before):
        bucket, wait = bucket.take(allowance, NOW)
    _, wait = bucket.take(allowance, NOW)
    assert (wait == ZERO) == (before < allowance.burst)
    assert bucket.take(allowance, NOW + wait + timedelta(milliseconds=1))[1] == ZERO


@given(allowances, st.lists(st.integers(-1000, 0), max_size=60))
def test_a_clock_that_goes_back_refills_nothing(allowance: Allowance, steps: list[int]) -> None:
    bucket, served = Bucket(allowance.burst, NOW), 0
    for step in steps:
        bucket, wait = bucket.take(allowance, NOW + timedelta(seconds=step))
        served += not wait
    assert served <= allowance.burst


def test_each_name_has_a_bucket_of_its_own_and_only_so_many_are_remembered() -> None:
    buckets = Buckets(Allowance(burst=1, per_second=1))
    assert buckets.take("a", NOW) == buckets.take("b", NOW) == ZERO
    assert buckets.take("a", NOW) == timedelta(seconds=1)
    for number in range(10_000):
        buckets.take(str(number), NOW)
    assert len(buckets._buckets) == 10_000


# --- who -------------------------------------------------------------------------------------------------------------


def test_a_token_is_random_and_nowhere_in_the_store(access: Access, tmp_path: Path) -> None:
    one, two = access.grant("one", ["entries:write"]), access.grant("two", ["entries:write"])
    assert one != two
    assert len(one) == len("pub_") + 32
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        assert one.removeprefix("pub_") not in "\n".join(connection.iterdump())


def test_a_token_tells_whose_it_is_until_it_is_removed(access: Access) -> None:
    token = access.grant("bot", ["entries:write", "entries:read"])
    holder = access.admit(token, "192.0.2.0/24")
    assert holder
    assert (holder.name, holder.scopes) == ("bot", ("entries:read", "entries:write"))
    with access.store.write() as tx:
        tx.api_tokens.remove("bot")
    assert access.admit(token, "192.0.2.0/24") is None


@pytest.mark.parametrize("token", ["", "pub_", "pub_" + "a" * 32, "pub_" + "a" * 31 + "é", "x" * 9999, "pub_\x00" * 8])
def test_what_is_no_token_is_nobody_s(access: Access, token: str) -> None:
    assert access.admit(token, "") is None


@pytest.mark.parametrize(
    ("name", "scopes", "field"),
    [
        ("", ["entries:read"], "name"),
        ("a\nb", ["entries:read"], "name"),
        ("a" * 101, ["entries:read"], "name"),
        ("taken", ["entries:read"], "name"),
        ("bot", [], "scope"),
        ("bot", ["entries:read", "everything"], "scope"),
    ],
)
def test_a_token_needs_a_name_of_its_own_and_scopes_that_there_are(
    access: Access, name: str, scopes: list[str], field: str
) -> None:
    access.grant("taken", list(SCOPES))
    with pytest.raises(Unfit) as caught:
        access.grant(name, scopes)
    assert caught.value.field == field


def test_it_is_noted_once_a_minute_that_a_token_was_used(access: Access, clock: Clock) -> None:
    token = access.grant("bot", ["entries:read"])

    def used() -> datetime | None:
        access.admit(token, "")
        with access.store.read() as tx:
            return tx.api_tokens.list()[0].used

    first = clock()
    assert used() == first
    clock.advance(seconds=59)
    assert used() == first
    clock.advance(seconds=1)
    assert used() == first + timedelta(minutes=1)


def test_a_token_is_used_so_often_and_no_more(access: Access, clock: Clock) -> None:
    token, other = access.grant("bot", ["entries:read"]), access.grant("other", ["entries:read"])
    for _ in range(USE.burst):
        access.admit(token, "")
    with pytest.raises(TooMany) as caught:
        access.admit(token, "")
    assert caught.value.retry_after == timedelta(seconds=0.1)
    assert access.admit(other, "")
    clock.advance(seconds=1)
    for _ in range(10):
        assert access.admit(token, "")


def test_who_guesses_is_slowed_down_and_who_knows_is_not(access: Access, clock: Clock) -> None:
    token = access.grant("bot", ["entries:read"])
    for number in range(FAILURES.burst):
        assert access.admit(f"pub_{number:032}", "192.0.2.0/24") is None
    with pytest.raises(TooMany):
        access.admit("", "192.0.2.0/24")
    assert access.admit("", "198.51.100.0/24") is None
    assert access.admit(token, "192.0.2.0/24")
    clock.advance(minutes=1)
    assert access.admit("", "192.0.2.0/24") is None
