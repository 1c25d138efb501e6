"""The ledger under many threads, on a real store; what is counted and broken is counted and broken around it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import pytest
from receivers import make_issue
from waiting import PATIENCE, wait_for

from publisher.deliver.ledger import Ledger, Note
from publisher.errors import StoreError
from publisher.model import State
from publisher.store import Leased, Settled, Store, Tx, open_store

NOW = datetime(2026, 11, 2, 8, tzinfo=UTC)


class Watched:
    """A store whose transactions are counted, take their time, and fail as they are told to."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.commits = 0
        self.pause = 0.0
        self.breaks: Callable[[], bool] = lambda: False

    @contextmanager
    def write(self) -> Iterator[Tx]:
        if self.breaks():
            raise StoreError("the store is away")
        with self._store.write() as tx:
            yield tx
            time.sleep(self.pause)
        self.commits += 1

    def state(self, id: int) -> State:
        with self._store.read() as tx:
            row = tx.deliveries.get(id)
        assert row
        return row.state


@pytest.fixture
def real_store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/store.db")
    yield opened
    opened.close()


@pytest.fixture
def store(real_store: Store) -> Watched:
    return Watched(real_store)


@pytest.fixture
def stop() -> Event:
    return Event()


@pytest.fixture
def ledger(store: Watched, stop: Event) -> Ledger:
    return Ledger(store, lambda: NOW, stop)  # type: ignore[arg-type]  # a store but for what is watched


@pytest.fixture
def rows(real_store: Store) -> list[Leased]:
    """Two hundred deliveries that are ours."""
    with real_store.write() as tx:
        issue = tx.issues.add("news", "News", (), make_issue().documents, NOW)
        tx.deliveries.plan(issue.id, [("post", f"reader{n}@example.org") for n in range(200)], NOW)
    with real_store.write() as tx:
        return tx.deliveries.lease("post", 200, NOW)


def sent(row: Leased) -> Note:
    return Note(settled=Settled(id=row.id, state=State.SENT, detail="250 taken", at=NOW, next_at=None, faults=0))


def test_each_write_returns_when_its_own_note_is_committed_and_many_share_a_commit(
    ledger: Ledger, store: Watched, rows: list[Leased]
) -> None:
    store.pause = 0.02  # longer than a busy machine needs to let all the others come

    def lane(number: int) -> None:
        for row in rows[number::8]:
            ledger.write([sent(row)])
            assert store.state(row.id) is State.SENT

    began = store.commits
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lane, range(8))) == [None] * 8
    commits = store.commits - began
    assert len(rows) / 8 <= commits <= len(rows) / 3, "one for each connection's next verdict at least, few for all"


def test_one_alone_is_committed_at_once(ledger: Ledger, store: Watched, rows: list[Leased]) -> None:
    for count, row in enumerate(rows[:5], 1):
        ledger.write([sent(row)])
        assert store.commits == count


def test_an_error_reaches_those_on_that_page_and_nobody_else(
    ledger: Ledger, store: Watched, rows: list[Leased], stop: Event
) -> None:
    stop.set()  # nothing is waited for
    entered, go_on = Event(), Event()

    def blocks_then_breaks() -> bool:
        entered.set()
        go_on.wait(PATIENCE)
        return True

    store.breaks = blocks_then_breaks
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(ledger.write, [sent(rows[0])])
        assert entered.wait(PATIENCE)
        others = [pool.submit(ledger.write, [sent(row)]) for row in rows[1:6]]
        wait_for(lambda: len(ledger._page.notes) == 5)
        store.breaks = lambda: False
        go_on.set()
        with pytest.raises(StoreError, match="away"):
            first.result(PATIENCE)
        assert [other.result(PATIENCE) for other in others] == [None] * 5
    assert [store.state(row.id) for row in rows[:6]] == [State.SENDING, *[State.SENT] * 5]
    assert store.commits == 1


def test_all_on_a_page_that_failed_hear_of_it(ledger: Ledger, store: Watched, rows: list[Leased], stop: Event) -> None:
    entered, go_on = Event(), Event()
    broken: list[bool] = [False, True]

    def second_page_breaks() -> bool:
        entered.set()
        go_on.wait(PATIENCE)
        return broken.pop(0)

    store.breaks = second_page_breaks
    stop.set()
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(ledger.write, [sent(rows[0])])
        assert entered.wait(PATIENCE)
        others = [pool.submit(ledger.write, [sent(row)]) for row in rows[1:6]]
        wait_for(lambda: len(ledger._page.notes) == 5)
        go_on.set()
        assert first.result(PATIENCE) is None
        assert {type(other.exception(PATIENCE)) for other in others} == {StoreError}
    assert [store.state(row.id) for row in rows[:6]] == [State.SENT, *[State.SENDING] * 5]


def test_a_store_that_is_away_for_a_second_costs_no_verdict(ledger: Ledger, store: Watched, rows: list[Leased]) -> None:
    back = time.monotonic() + 1
    store.breaks = lambda: time.monotonic() < back
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda row: ledger.write([sent(row)]), rows[:20]))
    assert time.monotonic() >= back
    assert {store.state(row.id) for row in rows[:20]} == {State.SENT}


def test_whoever_is_stopped_waits_no_longer_for_the_store(
    ledger: Ledger, store: Watched, rows: list[Leased], stop: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("publisher.deliver.ledger._PATIENCE", PATIENCE)
    store.breaks = lambda: True
    timer = threading.Timer(0.1, stop.set)
    timer.start()
    began = time.monotonic()
    with pytest.raises(StoreError):
        ledger.write([sent(rows[0])])
    assert time.monotonic() - began < PATIENCE / 2


def test_verdict_the_next_one_s_launch_and_the_end_of_the_issue_are_one_commit(
    ledger: Ledger, store: Watched, real_store: Store, rows: list[Leased]
) -> None:
    with real_store.write() as tx:
        tx.deliveries.settle([note.settled for note in map(sent, rows[:-1])])
    last = sent(rows[-1])
    ledger.write(
        [Note(settled=last.settled, launched=rows[0].id, finished=rows[0].issue, paused=(rows[0].issue, "so"))]
    )
    assert store.commits == 1
    with real_store.read() as tx:
        issue = tx.issues.get(rows[0].issue)
    assert issue
    assert (issue.finished, issue.paused) == (NOW, "so")
