from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from waiting import PATIENCE, wait_for

from publisher.engine.local import Local, Report
from publisher.errors import ChannelDown, StoreError
from publisher.model import Done, Later, Never, Outcome, Work


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
    meeting = threading.Barrier(3, timeout=PATIENCE)

    def meet(work: Work) -> Outcome:
        meeting.wait()
        return Done(changed=True)

    with engine(meet) as local:
        works = [collect("a"), collect("b"), Work(step="publish", subject="a")]
        assert [report.outcome for report in local.run(works)] == [Done(changed=True)] * 3


def test_what_is_underway_is_not_taken_again_until_it_is_done() -> None:
    go, told = threading.Event(), threading.Event()

    def wait(work: Work) -> Outcome:
        assert go.wait(PATIENCE)
        return Done()

    with engine(wait, lambda report: told.set()) as local:
        assert local.submit(collect("a"))
        assert local.submit(collect("a")) is None
        assert local.submit(Work(step="collect", subject="a", slot="another")) is None
        go.set()
        assert told.wait(PATIENCE)
        assert local.submit(collect("a"))


def test_what_was_asked_for_while_it_was_underway_is_told_so_that_it_can_be_done_again() -> None:
    go, told = threading.Event(), list[Report]()

    def wait(work: Work) -> Outcome:
        assert go.wait(PATIENCE)
        return Done()

    with engine(wait, told.append) as local:
        futures = [local.submit(collect("a")), local.submit(collect("b"))]
        local.submit(collect("a"))
        go.set()
        for future in futures:
            future.result(PATIENCE)
        local.submit(collect("a")).result(PATIENCE)
    assert sorted((report.work.subject, report.again) for report in told) == [("a", False), ("a", True), ("b", False)]


def test_a_step_waits_for_no_other_however_many_works_that_has() -> None:
    go, started = threading.Event(), threading.Semaphore(0)

    def work(work: Work) -> Outcome:
        if work.step == "collect":
            started.release()
            assert go.wait(PATIENCE)
        return Done()

    with engine(work) as local:
        visits = [local.submit(collect(str(number))) for number in range(100)]
        for _ in range(8):
            assert started.acquire(timeout=PATIENCE)
        local.submit(Work(step="publish", subject="a")).result(PATIENCE)
        assert not any(visit.done() for visit in visits)
        go.set()


def test_reports_come_in_the_order_of_the_works_and_each_is_told() -> None:
    told: list[Report] = []

    def slow_first(work: Work) -> Outcome:
        if work.subject == "a":
            wait_for(lambda: len(told) == 3)
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
        assert go.wait(PATIENCE)
        done.append(work.subject)
        return Done()

    local = Local(wait, no_one, workers=1)
    local.submit(collect("a"))
    local.submit(collect("b"))
    assert begun.wait(PATIENCE)
    closing = threading.Thread(target=local.close)
    closing.start()
    closing.join(0.05)
    assert closing.is_alive()
    assert local.submit(collect("c")) is None
    go.set()
    closing.join(PATIENCE)
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
    go, others = threading.Event(), threading.Barrier(2, timeout=PATIENCE)

    def do(work: Work) -> Outcome:
        assert go.wait(PATIENCE) if work.lane == "slow" else others.wait() >= 0
        return Done()

    local = Local(do, no_one, workers=3, pause=0)
    slow = [local.submit(visit(f"slow{number}", "slow")) for number in range(5)]
    assert all(report.well for report in local.run([collect("a"), collect("b")]))
    go.set()
    assert all(future and future.result(PATIENCE).well for future in slow)
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
        assert go.wait(PATIENCE)
        return Done()

    local = Local(do, no_one)
    first, second = local.submit(visit("a", "lane")), local.submit(visit("b", "lane"))
    assert begun.wait(PATIENCE)
    closing = threading.Thread(target=local.close)
    closing.start()
    go.set()
    closing.join(PATIENCE)
    assert first
    assert second
    assert first.result(PATIENCE).well
    assert second.cancelled()


def test_one_who_cannot_be_told_leaves_nobody_waiting() -> None:
    def deaf(report: Report) -> None:
        raise ValueError("I cannot hear you")

    local = Local(lambda work: Done(), deaf)
    future = local.submit(collect("a"))
    assert future
    assert future.result(PATIENCE).well
    local.close()


# --- steps that are begun and ended for several works at a time ------------------------------------------------------


@dataclass
class Visits:
    """Such a step, and what it was asked to do."""

    perform: Callable[[str], object] = lambda subject: subject
    begun: list[list[str]] = field(default_factory=list)
    ended: list[list[str]] = field(default_factory=list)
    given_back: list[str] = field(default_factory=list)

    def begin(self, works: Sequence[Work]) -> Sequence[str | Outcome]:
        self.begun.append([work.subject for work in works])
        if any(work.subject == "unknown" for work in works):
            raise StoreError("there is no such source")
        return [Done("somebody else's") if work.subject == "taken" else work.subject for work in works]

    def undo(self, tasks: Sequence[str]) -> None:
        self.given_back += tasks

    def end(self, performed: Sequence[str]) -> Sequence[Outcome | Exception]:
        self.ended.append(list(performed))
        if "poison" in performed:
            raise ValueError("poison")
        return [KeyError(name) if name == "faulty" else Done(name, changed=True) for name in performed]


@contextmanager
def paged(visits: Visits, workers: int = 4, tell: Callable[[Report], None] = no_one) -> Iterator[Local]:
    local = Local(lambda work: Done("as ever"), tell, workers, pause=0, paged={"collect": visits})
    yield local
    local.close()


def test_what_comes_while_others_begin_or_end_begins_and_ends_with_them_all_at_once() -> None:
    go = threading.Event()
    visits = Visits(lambda subject: go.wait(PATIENCE) and subject)
    names = [str(number) for number in range(30)]
    with paged(visits) as local:
        futures = [local.submit(collect(name)) for name in names]
        wait_for(lambda: sum(map(len, visits.begun)) == 8)  # two for each thread, and no more
        go.set()
        assert [future.result(PATIENCE).words for future in futures if future] == names
    assert [name for page in visits.begun for name in page] == names
    assert sorted(name for page in visits.ended for name in page) == sorted(names)
    assert max(map(len, visits.begun)) > 1
    assert max(map(len, visits.ended)) > 1


def test_what_has_nothing_to_perform_is_told_at_once_and_other_steps_go_on_as_ever() -> None:
    visits = Visits()
    with paged(visits) as local:
        reports = local.run([collect("taken"), collect("a"), Work(step="publish", subject="a")])
    assert [report.words for report in reports] == ["somebody else's", "a", "as ever"]
    assert visits.ended == [["a"]]


def test_one_that_is_at_fault_harms_none_that_begins_or_ends_with_it() -> None:
    def perform(subject: str) -> str:
        if subject == "broken":
            raise OSError("broken")
        return subject

    names = ["a", "unknown", "poison", "faulty", "broken", "b"]
    with paged(Visits(perform)) as local:
        reports = dict(zip(names, local.run(map(collect, names)), strict=True))
    assert [name for name, report in reports.items() if report.well] == ["a", "b"]
    assert reports["unknown"].outcome == Later("there is no such source")
    assert reports["poison"].words == "unexpected ValueError: poison"
    assert isinstance(reports["faulty"].fault, KeyError)
    assert isinstance(reports["broken"].fault, OSError)


def test_closing_waits_for_what_is_performed_and_gives_back_what_nobody_performs_yet() -> None:
    performing, go = threading.Barrier(3, timeout=PATIENCE), threading.Event()

    def perform(subject: str) -> str:
        performing.wait()
        assert go.wait(PATIENCE)
        return subject

    visits = Visits(perform)
    with paged(visits, workers=2) as local:
        futures = [local.submit(collect(name)) for name in "abcdef"]
        futures += [local.submit(visit(name, "lane")) for name in "gh"]
        performing.wait()
        wait_for(lambda: sum(map(len, visits.begun)) == 4)
        closing = threading.Thread(target=local.close)
        closing.start()
        wait_for(lambda: len(visits.given_back) == 2)
        assert closing.is_alive()
        go.set()
        closing.join(PATIENCE)
    told = [future.cancelled() or future.result(PATIENCE).words for future in futures if future]
    assert sorted(map(str, told)) == ["True"] * 6 + ["a", "b"]
    assert sorted(visits.given_back) == ["c", "d"]


def test_a_work_of_a_lane_begins_when_the_one_before_it_was_performed() -> None:
    lock, underway, done = threading.Lock(), Counter[str](), list[str]()

    def perform(subject: str) -> str:
        with lock:
            underway[subject[0]] += 1
            assert underway[subject[0]] == 1
        time.sleep(random.random() / 500)
        with lock:
            underway[subject[0]] -= 1
            done.append(subject)
        return subject

    names = [f"{lane}{number}" for number in range(10) for lane in "abc"]
    with paged(Visits(perform)) as local:
        reports = local.run([visit("taken", "a"), visit("unknown", "b"), *(visit(name, name[0]) for name in names)])
    assert all(report.well for report in reports[2:])
    assert sorted(done, key=lambda name: name[0]) == sorted(names, key=lambda name: (name[0], int(name[1:])))


def test_what_is_performed_may_be_asked_for_again_when_it_has_ended() -> None:
    go, visits = threading.Event(), Visits(lambda subject: go.wait(PATIENCE) and subject)
    with paged(visits) as local:
        first = local.submit(collect("a"))
        assert first
        assert local.submit(collect("a")) is None
        go.set()
        assert first.result(PATIENCE).again
        assert local.run([collect("a")])[0].well
