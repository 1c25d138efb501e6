"""A house whose deliveries are sent by processes that come to harm."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import time
from collections import Counter, defaultdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from receivers import make_issue
from relays import Recorder

from publisher.model import State
from publisher.store import DeliveryRow, Store, open_store

KILLS = int(os.environ.get("CHAOS_KILLS", "32"))
CONNECTIONS = 4
CONFIG = """
channels:
  post:
    kind: smtp
    url: "{url}"
    from: News <news@example.org>
    connections: {connections}
    timeout: 30s
    after_crash: {after_crash}
"""


class Process:
    """A real process of the program, to be killed."""

    def __init__(self, launcher: subprocess.Popen[str], words: list[str]) -> None:
        assert launcher.stdin
        assert launcher.stdout
        self._said = launcher.stdout
        launcher.stdin.write(json.dumps(words) + "\n")
        launcher.stdin.flush()
        self.pid = int(self._said.readline())

    def end(self, number: signal.Signals) -> int:
        os.kill(self.pid, number)
        return self.wait()

    def wait(self) -> int:
        """Its exit code; negative for the signal that ended it."""
        return int(self._said.readline())


class Sending:
    """Issues to many recipients, whose deliveries one process after the other sends; an era for each."""

    def __init__(self, config: Path, relay: Recorder, launcher: subprocess.Popen[str]) -> None:
        self.config, self.relay, self._launcher = config, relay, launcher
        self.chance = random.Random(20261127)
        self.recipients: list[str] = []
        self.ended: dict[int, signal.Signals] = {}
        """What ended the process of an era."""
        self.database = config.parent / "data" / "publisher.db"
        self.command("deliver")  # makes the store
        self.store: Store = open_store(f"sqlite:///{self.database}")
        self.began = time.monotonic()

    def plan(self, count: int) -> None:
        """One issue more, to so many new recipients."""
        new = [f"reader{len(self.recipients) + n}@example.org" for n in range(count)]
        self.recipients += new
        with self.store.write() as tx:
            issue = tx.issues.add("news", "News", (), make_issue().documents, datetime.now(UTC))
            tx.deliveries.plan(issue.id, [("post", one) for one in new], datetime.now(UTC))

    def start(self, *words: str) -> Process:
        self.relay.era += 1
        return Process(self._launcher, ["-c", str(self.config), *words])

    def command(self, *words: str) -> int:
        """The exit code."""
        return self.start(*words).wait()

    @property
    def waiting(self) -> int:
        """How many recipients have got nothing yet."""
        return len(self.recipients) - len({one.recipient for one in self.relay.taken})

    def end(self, process: Process, number: signal.Signals, messages: int, *, within: float = 0.01) -> int:
        """End a process when it has sent so many messages, and a moment later.

        Args:
            within: how many seconds later at most.

        Returns:
            Its exit code.
        """
        self.relay.wait(partial(self.has_taken, len(self.relay.taken) + messages))
        time.sleep(self.chance.uniform(0, within))
        code = process.end(number)
        self.ended[self.relay.era] = number
        self.relay.wait(lambda: not self.relay.open)
        return code

    def has_taken(self, count: int) -> bool:
        """Whether the relay has taken so many messages."""
        return len(self.relay.taken) >= count

    def rows(self, state: State) -> list[DeliveryRow]:
        with self.store.read() as tx:
            return tx.deliveries.list(state=state, limit=100_000)

    def states(self) -> dict[State, int]:
        with self.store.read() as tx:
            return {state: count for state, count in tx.deliveries.by_state().items() if count}

    def repeats(self) -> Counter[int]:
        """How many messages were taken in an era and once more after it, by era."""
        eras: dict[str, list[int]] = defaultdict(list)
        for one in self.relay.taken:
            eras[one.recipient].append(one.era)
        return Counter(era for found in eras.values() for era in sorted(found)[:-1])

    def assert_all_arrived(self) -> None:
        """Each recipient got theirs, under one Message-ID however often it came; the store is sound and finished."""
        assert {one.recipient for one in self.relay.taken} == set(self.recipients), "lost"
        assert len(self.relay.copies) == len(self.recipients), "doubled under another Message-ID"
        assert self.states() == {State.SENT: len(self.recipients)}
        with sqlite3.connect(self.database) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert connection.execute("SELECT count(*) FROM issues WHERE finished IS NULL").fetchone() == (0,)

    def tell(self, what: str, **figures: int) -> None:
        """A line of the table that ``pytest -s`` shows."""
        known = {"mails": len(self.recipients), "repeats": len(self.relay.taken) - len(self.relay.copies)}
        told = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in (known | figures).items())
        print(f"\n{what:<28} {told}, {time.monotonic() - self.began:.0f} s")

    def close(self) -> None:
        self.store.close()
