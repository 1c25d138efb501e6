"""Many threads and processes at one store."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import pairwise
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from threading import Timer
from typing import Any

from store_samples import NOW, arrival, plan
from waiting import PATIENCE

from publisher.model import State
from publisher.store import Settled, Store, open_store
from publisher.store.database import prepare_sqlite

fork = multiprocessing.get_context("fork")


def in_processes(count: int, work: Callable[..., Any], *args: Any) -> list[Any]:
    """What each of the processes answers; all of them begin at the same time."""
    start = fork.Barrier(count)
    pipes = [fork.Pipe(duplex=False) for _ in range(count)]
    children = [fork.Process(target=_answer, args=(pipe[1], start, work, args)) for pipe in pipes]
    for child in children:
        child.start()
    answers = [receiver.recv() if receiver.poll(PATIENCE) else None for receiver, _ in pipes]
    for child in children:
        child.join()
    return answers


def _answer(pipe: Connection, start: Any, work: Callable[..., Any], args: tuple[Any, ...]) -> None:
    start.wait()
    pipe.send(work(*args))


def open_and_count(url: str) -> int:
    store = open_store(url)
    with store.read() as tx:
        return tx.entries.last_number()


def run_the_slot(url: str) -> bool:
    store = open_store(url)
    with store.write() as tx:
        won = tx.runs.claim("weekly", "1", NOW)
    if won:
        time.sleep(0.1)
        with store.write() as tx:
            assert tx.runs.finish("weekly", "1", "done", NOW)
    return won


def add(url: str) -> list[int]:
    store, seen = open_store(url), []
    for number in range(15):
        with store.write() as tx:
            tx.entries.add(str(os.getpid()), [arrival(f"{number}a"), arrival(f"{number}b")], NOW)
            seen.append(tx.entries.last_number())
    return seen


def add_the_same(url: str) -> int:
    store, added = open_store(url), 0
    for number in range(15):
        with store.write() as tx:
            tx.entries.alias("blog", f"{number} alias", 1)
            added += tx.entries.add("blog", [arrival(str(number)), arrival(f"{number} alias")], NOW)
    return added


def test_a_new_store_can_be_opened_by_many_at_once(sqlite_url: str):
    assert in_processes(6, open_and_count, sqlite_url) == [0] * 6


def test_who_finds_another_about_to_write_into_a_new_database_waits_until_it_is_done(tmp_path: Path):
    """SQLite itself waits for nobody when it turns to write-ahead, whatever its busy_timeout."""
    with closing(sqlite3.connect(tmp_path / "new.db", isolation_level=None, check_same_thread=False)) as first:
        first.execute("BEGIN IMMEDIATE")
        first.execute("CREATE TABLE t (x)")
        done = Timer(0.2, first.commit)
        done.start()
        with closing(sqlite3.connect(tmp_path / "new.db")) as second:
            prepare_sqlite(second, None)
            assert second.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        done.join()


def test_an_empty_postgresql_database_can_be_opened_by_many_at_once(postgresql):
    url = postgresql.url(postgresql.new_database())
    assert in_processes(4, open_and_count, url) == [0] * 4


def test_of_four_processes_one_runs_the_slot(store: Store, url: str):
    store.close()
    assert sorted(in_processes(4, run_the_slot, url)) == [False, False, False, True]


def test_of_two_threads_of_one_process_one_runs_the_slot(store: Store):
    """Both are at it before either has committed, and both go by the same name."""
    with ThreadPoolExecutor(1) as pool:
        with store.write() as tx:
            assert tx.runs.claim_all([("collect blog", "1")], NOW)
            other = pool.submit(claim, store, ["1", "2"])
            time.sleep(0.2)
            assert not other.done()
        assert other.result(PATIENCE) == {("collect blog", "2")}


def claim(store: Store, slots: list[str]) -> set[tuple[str, str]]:
    with store.write() as tx:
        return tx.runs.claim_all([("collect blog", slot) for slot in slots], NOW)


def test_numbers_are_in_the_order_of_the_commits(store: Store, url: str):
    """A reader that has seen a number never finds a lower one later."""
    store.close()
    seen = in_processes(4, add, url)
    assert all(one < other for numbers in seen for one, other in pairwise(numbers))
    assert sorted(number for numbers in seen for number in numbers) == list(range(2, 121, 2))


def test_two_collectors_of_one_source_add_each_entry_once(store: Store, url: str):
    with store.write() as tx:
        tx.entries.add("blog", [arrival("first")], NOW)
    store.close()
    assert sum(in_processes(3, add_the_same, url)) == 15
    with open_store(url).read() as tx:
        assert tx.entries.count("blog") == 16


def test_threads_lease_what_no_other_has_and_settle_everything(store: Store):
    with store.write() as tx:
        issue = plan(tx, 200)

    def send(_: int) -> list[int]:
        mine: list[int] = []
        while True:
            with store.write() as tx:
                rows = tx.deliveries.lease("post", 7, NOW)
            if not rows:
                return mine
            for row in rows:
                with store.write() as tx:
                    assert tx.deliveries.settle([Settled(id=row.id, state=State.SENT, detail="", at=NOW)]) == 1
                mine.append(row.id)

    with ThreadPoolExecutor(8) as pool:
        sent = [id for ids in pool.map(send, range(8)) for id in ids]
    assert len(sent) == len(set(sent)) == 200
    with store.write() as tx:
        assert tx.deliveries.by_state() == {State.SENT: 200}
        assert tx.issues.finish(issue, NOW)


def write_for_ever(url: str, begun: Event) -> None:
    store = open_store(url)
    for number in range(1_000_000):
        with store.write() as tx:
            tx.entries.add("blog", [arrival(f"{os.getpid()} {number} {part}") for part in range(20)], NOW)
            plan(tx, 20)
            tx.runs.claim("weekly", f"{os.getpid()} {number}", NOW)
            tx.deliveries.lease("post", 5, NOW)
        begun.set()


def test_a_process_killed_while_it_writes_leaves_whole_transactions(store: Store, url: str):
    store.close()
    for round_ in range(4):
        begun = fork.Event()
        child = fork.Process(target=write_for_ever, args=(url, begun))
        child.start()
        assert begun.wait(PATIENCE)
        time.sleep(0.1 + 0.07 * round_)
        os.kill(child.pid, signal.SIGKILL)
        child.join()
    again = open_store(url)
    with again.write() as tx:
        entries, deliveries = tx.entries.count("blog"), sum(tx.deliveries.by_state().values())
        assert entries == deliveries == 20 * tx.issues.count("weekly") > 0
        assert all(tx.runs.claim("weekly", run.slot, NOW) for run in tx.runs.recent(9))
        held = tx.deliveries.take_over("post", NOW, most=3, hold=False)
        leased = [tx.deliveries.lease("post", deliveries, NOW, suspect=suspect) for suspect in (True, False)]
        assert [len(rows) for rows in leased] == [held, deliveries - held]
    again.close()
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_who_holds_the_entries_finds_known_what_another_has_just_added(store: Store) -> None:
    def add_unless_known(_: int) -> int:
        with store.write() as tx:
            tx.entries.hold()
            known = tx.entries.known("newsroom", ["one"], [])
            return 0 if known else tx.entries.add("newsroom", [arrival("one")], NOW)

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(add_unless_known, range(8))) == [0] * 7 + [1]
