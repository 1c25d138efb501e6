from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest

from publisher.engine.local import Local, Report
from publisher.errors import ChannelDown
from publisher.model import Done, Later, Never, Outcome, Work

SOON = 5  # seconds; what takes longer is stuck


def collect(subject: str) -> Work:
    return Work(step="collect", subject=subject)


def no_one(report: Report) -> None:
    pass


@contextmanager
def engine(do: Callable[[Work], Outcome], tell: Callable[[Report], None] = no_one, workers: int = 8) -> Iterator[Local]:
    local = Local(do, tell, workers)
    yield local
    local.close()


class Busy:
    """A step that takes a moment, and notices when it is done to the same subject twice at a time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.underway: Counter[tuple[str, str]] = Counter()
        self.overlaps: list[Work] = []
        self.done: list[Work] = []

    def __call__(self, work: Work) -> Outcome:
        key = (work.step, work.subject)
        with self.lock:
            self.underway[key] += 1
            self.overlaps += [work] * (self.underway[key] > 1)
        time.sleep(random.random() / 1000)
        with self.lock:
            self.underway[key] -= 1
            self.done.append(work)
        return Done()


def test_a_step_is_never_done_to_one_subject_by_two_threads_at_a_time() -> None:
    busy = Busy()
    works = [Work(step=step, subject=subject) for step in ("collect", "publish") for subject in "abc"]
    with engine(busy) as local:

        def submit_at_random() -> None:
            for _ in range(100):
                local.submit(random.choice(works))
                time.sleep(random.random() / 2000)

        threads = [threading.Thread(target=submit_at_random) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not busy.overlaps
    assert set(busy.done) == set(works)


def test_different_subjects_are_worked_on_in_parallel() -> None:
    meeting = threading.Barrier(3, timeout=SOON)

    def meet(work: Work) -> Outcome:
        meeting.wait()
        return Done(changed=True)

    with engine(meet) as local:
        works = [collect("a"), collect("b"), Work(step="publish", subject="a")]
        assert [report.outcome for report in local.run(works)] == [Done(changed=True)] * 3


def test_what_is_underway_is_not_taken_again_until_it_is_done() -> None:
    go, told = threading.Event(), threading.Event()

    def wait(work: Work) -> Outcome:
        assert go.wait(SOON)
        return Done()

    with engine(wait, lambda report: told.set()) as local:
        assert local.submit(collect("a"))
        assert local.submit(collect("a")) is None
        assert local.submit(Work(step="collect", subject="a", slot="another")) is None
        go.set()
        assert told.wait(SOON)
        assert local.submit(collect("a"))


def test_what_was_asked_for_while_it_was_underway_is_told_so_that_it_can_be_done_again() -> None:
    go, told = threading.Event(), list[Report]()

    def wait(work: Work) -> Outcome:
        assert go.wait(SOON)
        return Done()

    with engine(wait, told.append) as local:
        futures = [local.submit(collect("a")), local.submit(collect("b"))]
        local.submit(collect("a"))
        go.set()
        for future in futures:
            future.result(SOON)
        local.submit(collect("a")).result(SOON)
    assert sorted((report.work.subject, report.again) for report in told) == [("a", False), ("a", True), ("b", False)]


def test_a_step_waits_for_no_other_however_many_works_that_has() -> None:
    go, started = threading.Event(), threading.Semaphore(0)

    def work(work: Work) -> Outcome:
        if work.step == "collect":
            started.release()
            assert go.wait(SOON)
        return Done()

    with engine(work) as local:
        visits = [local.submit(collect(str(number))) for number in range(100)]
        for _ in range(8):
            assert started.acquire(timeout=SOON)
        local.submit(Work(step="publish", subject="a")).result(SOON)
        assert not any(visit.done() for visit in visits)
        go.set()


def test_reports_come_in_the_order_of_the_works_and_each_is_told() -> None:
    told: list[Report] = []

    def slow_first(work: Work) -> Outcome:
        time.sleep(0.03 if work.subject == "a" else 0)
        return Done(work.subject)

    with engine(slow_first, told.append) as local:
        reports = local.run(map(collect, "abcd"))
    assert [report.words for report in reports] == ["a", "b", "c", "d"]
    assert sorted(report.words for report in told) == ["a", "b", "c", "d"]
    assert told[-1].words == "a"


def test_an_error_of_the_house_means_later_in_its_own_words() -> None:
    def refuse(work: Work) -> Outcome:
        raise ChannelDown("post: 421 too busy", hint="ask them")

    with engine(refuse) as local:
        [report] = local.run([collect("a")])
    assert report == Report(collect("a"), Later("post: 421 too busy (ask them)"))
    assert report.words == "post: 421 too busy (ask them)"
    assert not report.well
    assert not report.changed


def test_anything_unexpected_means_never_and_keeps_what_was_raised() -> None:
    def break_down(work: Work) -> Outcome:
        raise KeyError("guid")

    with engine(break_down) as local:
        [report] = local.run([collect("a")])
        assert local.submit(collect("a")), "a fault does not keep its subject for ever"
    assert report.outcome == Never("unexpected KeyError: 'guid'")
    assert isinstance(report.fault, KeyError)
    assert report.fault.__traceback__
    assert not report.well


@pytest.mark.parametrize(
    ("outcome", "words", "well", "changed"),
    [
        (Done("3 new", changed=True), "3 new", True, True),
        (Done("nothing new"), "nothing new", True, False),
        (Later("busy"), "busy", False, False),
        (Never("gone"), "gone", False, False),
    ],
)
def test_a_report_says_what_the_outcome_says(outcome: Outcome, words: str, well: bool, changed: bool) -> None:
    report = Report(collect("a"), outcome)
    assert (report.words, report.well, report.changed) == (words, well, changed)


def test_closing_waits_for_what_is_underway_and_starts_nothing_more() -> None:
    begun, go = threading.Event(), threading.Event()
    done: list[str] = []

    def wait(work: Work) -> Outcome:
        begun.set()
        assert go.wait(SOON)
        done.append(work.subject)
        return Done()

    local = Local(wait, no_one, workers=1)
    local.submit(collect("a"))
    local.submit(collect("b"))
    assert begun.wait(SOON)
    closing = threading.Thread(target=local.close)
    closing.start()
    closing.join(0.05)
    assert closing.is_alive()
    assert local.submit(collect("c")) is None
    go.set()
    closing.join(SOON)
    assert not closing.is_alive()
    assert done == ["a"]


# --- lanes -----------------------------------------------------------------------------------------------------------


def visit(subject: str, lane: str) -> Work:
    return Work(step="collect", subject=subject, lane=lane)


def test_works_of_one_lane_are_done_one_after_the_other_in_their_order() -> None:
    lock, underway = threading.Lock(), Counter[str]()
    done: list[str] = []

    def do(work: Work) -> Outcome:
        with lock:
            underway[work.lane] += 1
            assert underway[work.lane] == 1
        time.sleep(random.random() / 500)
        with lock:
            underway[work.lane] -= 1
            done.append(work.subject)
        return Done()

    works = [visit(f"{lane}{number}", lane) for number in range(10) for lane in "abc"]
    local = Local(do, no_one, pause=0)
    assert all(report.well for report in local.run(works))
    local.close()
    for lane in "abc":
        assert [name for name in done if name.startswith(lane)] == [f"{lane}{number}" for number in range(10)]


def test_a_lane_that_is_slow_holds_up_no_other_and_takes_one_thread() -> None:
    go, others = threading.Event(), threading.Barrier(2, timeout=SOON)

    def do(work: Work) -> Outcome:
        assert go.wait(SOON) if work.lane == "slow" else others.wait() >= 0
        return Done()

    local = Local(do, no_one, workers=3, pause=0)
    slow = [local.submit(visit(f"slow{number}", "slow")) for number in range(5)]
    assert all(report.well for report in local.run([collect("a"), collect("b")]))
    go.set()
    assert all(future and future.result(SOON).well for future in slow)
    local.close()


def test_between_two_works_of_a_lane_there_is_a_pause() -> None:
    moments: list[float] = []

    def do(work: Work) -> Outcome:
        moments.append(time.monotonic())
        return Done()

    local = Local(do, no_one, pause=0.05)
    local.run([visit(name, "lane") for name in "abc"])
    local.run([visit("d", "lane")])
    local.close()
    assert len(moments) == 4
    assert min(later - earlier for earlier, later in pairwise(moments)) >= 0.05


def test_closing_does_not_wait_for_what_waits_in_a_lane() -> None:
    begun, go = threading.Event(), threading.Event()

    def do(work: Work) -> Outcome:
        begun.set()
        assert go.wait(SOON)
        return Done()

    local = Local(do, no_one)
    first, second = local.submit(visit("a", "lane")), local.submit(visit("b", "lane"))
    assert begun.wait(SOON)
    closing = threading.Thread(target=local.close)
    closing.start()
    go.set()
    closing.join(SOON)
    assert first
    assert second
    assert first.result(SOON).well
    assert second.cancelled()


def test_one_who_cannot_be_told_leaves_nobody_waiting() -> None:
    def deaf(report: Report) -> None:
        raise ValueError("I cannot hear you")

    local = Local(lambda work: Done(), deaf)
    future = local.submit(collect("a"))
    assert future
    assert future.result(SOON).well
    local.close()
