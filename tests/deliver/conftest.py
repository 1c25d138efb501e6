"""A house with one channel, and relays that record what they take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from outside import Clock
from receivers import make_issue
from relays import Recorder

from publisher.app import App, load
from publisher.model import State, Work
from publisher.store import DeliveryRow

HEAD = "version: 1\nsite: {title: Harbour News, url: 'https://news.example.org', timezone: Europe/Berlin}\n"


class House:
    """Issues to many recipients by the channel ``post``; its options are lines of YAML."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.config, self.clock = folder / "config.yaml", clock
        self._app: App | None = None

    def configure(self, *options: str, kind: str = "smtp") -> App:
        lines = [HEAD, "channels:", "  post:", f"    kind: {kind}", *(f"    {option}" for option in options)]
        self.config.write_text("\n".join([*lines, "retry: {attempts: 50, for: 90d}", ""]))
        self.close()
        self._app = App(load(self.config), self.clock)
        return self._app

    @property
    def app(self) -> App:
        assert self._app
        return self._app

    def plan(self, *recipients: str) -> int:
        """One issue more; returns its id."""
        with self.app.store.write() as tx:
            issue = tx.issues.add("news", "News", (), make_issue().documents, self.clock()).id
            tx.deliveries.plan(issue, [("post", one) for one in recipients], self.clock())
        return issue

    def deliver(self) -> str:
        """Send what is due, if anything is; returns what came of it."""
        return "; ".join(str(self.app.do(work)) for work in self.app.due("deliver"))

    def deliver_by_hand(self) -> None:
        self.app.do(Work(step="deliver", subject="post", slot="by hand"))

    def rows(self) -> list[DeliveryRow]:
        with self.app.store.read() as tx:
            return tx.deliveries.list(limit=100_000)

    def states(self) -> dict[State, int]:
        return dict(Counter(row.state for row in self.rows()))

    def finished(self, issue: int) -> bool:
        with self.app.store.read() as tx:
            row = tx.issues.get(issue)
        assert row
        return row.finished is not None

    def close(self) -> None:
        if self._app:
            self._app.close()


@pytest.fixture
def house(tmp_path: Path, clock: Clock) -> Iterator[House]:
    house = House(tmp_path, clock)
    yield house
    house.close()


@pytest.fixture
def start_relay() -> Iterator[Callable[..., Recorder]]:
    running: list[Recorder] = []

    def start(**settings: object) -> Recorder:
        running.append(Recorder(**settings))  # type: ignore[arg-type]  # the test's own
        return running[-1]

    yield start
    for relay in running:
        relay.close()


@pytest.fixture
def relay(start_relay: Callable[..., Recorder]) -> Recorder:
    return start_relay()
