from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from publisher.deliver.decisions import Retry, hold_pause, next_attempt
from publisher.model import Receipt, State, Verdict

NOW = datetime(2026, 11, 2, 8, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)

refusals = st.builds(
    Receipt,
    delivery=st.just(1),
    verdict=st.just(Verdict.DEFERRED),
    detail=st.text(),
    retry_after=st.none() | st.timedeltas(timedelta(0), timedelta(days=30)),
)
retries = st.builds(Retry, st.integers(1, 20), st.timedeltas(MINUTE, timedelta(days=30)))
jitters = st.floats(0, 1)


@given(st.sampled_from([Verdict.SENT, Verdict.FAILED]), st.text(), st.integers(1, 99), retries, jitters)
def test_sent_and_failed_are_final_whatever_was_before(
    verdict: Verdict, detail: str, tries: int, retry: Retry, jitter: float
) -> None:
    receipt = Receipt(delivery=1, verdict=verdict, detail=detail, retry_after=MINUTE)
    settled = next_attempt(receipt, tries=tries, first=NOW, now=NOW + DAY, retry=retry, jitter=jitter)
    assert settled == (State(verdict.value), None, detail)


@given(refusals, st.integers(1, 99), st.timedeltas(timedelta(0), timedelta(days=60)), retries, jitters)
def test_a_refusal_is_tried_again_later_and_within_the_limits_or_given_up(
    receipt: Receipt, tries: int, gone: timedelta, retry: Retry, jitter: float
) -> None:
    now = NOW + gone
    state, at, detail = next_attempt(receipt, tries=tries, first=NOW, now=now, retry=retry, jitter=jitter)
    assert receipt.detail in detail
    if state is State.DEFERRED:
        assert at is not None
        assert now < at <= NOW + retry.within
        assert at >= now + (receipt.retry_after or timedelta(0))
        assert tries < retry.attempts
    else:
        assert (state, at) == (State.FAILED, None)
        assert "given up" in detail


@given(st.lists(st.tuples(refusals, jitters), min_size=20, max_size=20), retries)
def test_a_delivery_that_is_always_refused_ends_as_failed_after_all_its_attempts_at_most(
    story: list[tuple[Receipt, float]], retry: Retry
) -> None:
    now, tries = NOW, 0
    for receipt, jitter in story:
        tries += 1
        state, at, _ = next_attempt(receipt, tries=tries, first=NOW, now=now, retry=retry, jitter=jitter)
        if at is None:
            assert state is State.FAILED
            break
        now = at
    assert tries <= retry.attempts
    assert state is State.FAILED
    assert now <= NOW + retry.within


@given(st.lists(jitters, min_size=10, max_size=10))
def test_the_pauses_between_attempts_grow_up_to_half_a_day_and_a_little(spread: list[float]) -> None:
    retry = Retry(99, timedelta(days=999))
    receipt = Receipt(delivery=1, verdict=Verdict.DEFERRED)
    moments = [
        next_attempt(receipt, tries=tries, first=NOW, now=NOW, retry=retry, jitter=jitter)[1]
        for tries, jitter in enumerate(spread, 1)
    ]
    pauses = [at - NOW for at in moments if at]
    assert len(pauses) == len(spread)
    assert all(MINUTE <= pause <= timedelta(hours=15) for pause in pauses)
    assert all(longer > shorter for shorter, longer in pairwise(pauses[:6]))
    assert all(pause >= timedelta(hours=12) for pause in pauses[6:])


def test_without_jitter_a_delivery_is_tried_after_1_4_16_and_64_minutes() -> None:
    retry, receipt = Retry(8, timedelta(days=3)), Receipt(delivery=1, verdict=Verdict.DEFERRED)
    told = [next_attempt(receipt, tries=n, first=NOW, now=NOW, retry=retry, jitter=0)[1] for n in range(1, 9)]
    assert told == [*(NOW + MINUTE * pause for pause in (1, 4, 16, 64, 256, 720, 720)), None]


@given(st.integers(1, 10**9), st.none() | st.timedeltas(timedelta(0), timedelta(days=30)))
def test_a_channel_that_is_down_is_left_alone_for_ever_longer_but_not_for_ever(
    failures: int, asked: timedelta | None
) -> None:
    pause = hold_pause(failures, asked)
    assert MINUTE <= pause <= hold_pause(failures + 1, asked) <= DAY
    assert pause >= min(asked or MINUTE, timedelta(hours=12))


def test_a_channel_is_asked_again_after_a_minute_then_twice_as_late_each_time_up_to_half_an_hour() -> None:
    assert [hold_pause(failures, None) / MINUTE for failures in range(1, 8)] == [1, 2, 4, 8, 16, 30, 30]
