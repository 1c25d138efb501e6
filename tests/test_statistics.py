from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from outside import Clock

from publisher.app import App, load
from publisher.model import State
from publisher.statistics import FRESH, Statistics
from publisher.store.deliveries import Deliveries

HOUSE = """
sources: {notes: {kind: api}}
publications: {weekly: {title: Weekly, digest: {schedule: "mon 08:00"}, recipients: [ada@example.org]}}
"""


@pytest.fixture
def app(write_config: Callable[[str], Path], clock: Clock) -> Iterator[App]:
    with closing(App(load(write_config(HOUSE), {}), clock)) as app:
        yield app


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """Of which issues the deliveries were counted."""
    told: list[int | None] = []
    count = Deliveries.by_state

    def counted(self: Deliveries, issue: int | None = None) -> dict[State, int]:
        told.append(issue)
        return count(self, issue)

    monkeypatch.setattr(Deliveries, "by_state", counted)
    return told


def plan(app: App, *, finished: bool) -> int:
    with app.store.write() as tx:
        issue = tx.issues.add("weekly", "", (), (), app.clock()).id
        tx.deliveries.plan(issue, [("outbox", "a@example.org")] * (not finished), app.clock())
        tx.issues.finish(issue, app.clock())
    return issue


def test_what_many_ask_at_once_is_counted_once(app: App, asked: list[int | None]) -> None:
    issue = plan(app, finished=False)
    with ThreadPoolExecutor(8) as pool:
        found = set(map(id, pool.map(lambda _: app.statistics.figures(), range(40))))
    assert len(found) == 1
    assert asked == [issue]


def test_a_finished_issue_is_counted_once_and_an_open_one_each_time(
    app: App, clock: Clock, asked: list[int | None]
) -> None:
    done, waiting = plan(app, finished=True), plan(app, finished=False)
    statistics: Statistics = app.statistics
    for _ in range(3):
        statistics.figures()
        clock.advance(seconds=FRESH.total_seconds())
    assert sorted(asked, key=str) == [done, waiting, waiting, waiting]


def test_a_clock_that_goes_back_has_them_counted_anew(app: App, clock: Clock) -> None:
    first = app.statistics.figures()
    clock.advance(seconds=-60)
    assert app.statistics.figures() is not first
