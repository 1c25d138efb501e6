"""A relay that dies in every phase of the dialogue, on several connections at once: nothing is lost, and what came
twice is what nobody could know of."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from chaos_house import CONFIG, CONNECTIONS, KILLS
from outside import Clock
from receivers import make_issue
from relays import HANG_UP, RESET, Recorder

from publisher.app import App, load
from publisher.model import State

RECIPIENTS = 15 * KILLS
MOMENTS = ("connect", "MAIL", "RCPT", "DATA", "half", ".", "taken", "told")
FAREWELL = "421 4.3.2 the machine goes down"
KEPT = ("taken", "told")
"""The moments after which an answer that does not come leaves us in doubt."""


class Faults:
    """What the relay does: mostly what is usual; at each moment, seldom, one of the ways to die."""

    def __init__(self) -> None:
        self.chance = random.Random(20261128)
        self.seen: Counter[tuple[str, str]] = Counter()
        self.doubtful: Counter[str] = Counter()
        """By recipient: how often their message was kept, and the answer withheld, or perhaps lost: a reset that comes
        right after it takes with it what we have not read."""
        self.answered = threading.local()

    def __call__(self, moment: str, recipient: str) -> str:
        if moment not in MOMENTS or self.chance.random() > (0.2 if moment == "connect" else 0.03):
            if moment == "told":  # each connection has a thread of its own
                self.answered.to = recipient
            return ""
        way = self.chance.choice([HANG_UP, RESET] if moment in KEPT else [HANG_UP, RESET, FAREWELL])
        self.seen[moment, way] += 1
        self.doubtful[recipient] += moment in KEPT
        if way == RESET and (before := getattr(self.answered, "to", "")):
            self.doubtful[before] += 1
        return way


@pytest.mark.timeout(300 + KILLS * 14)
@pytest.mark.parametrize("after_crash", ["resend", "hold"])
def test_a_relay_that_dies_in_each_phase_gets_every_message_and_none_twice_but_those_in_doubt(
    after_crash: str, write_config: Callable[[str], Path], clock: Clock
) -> None:
    began, faults = time.monotonic(), Faults()
    relay = Recorder(says=faults, pause=0.001)
    options = {"url": relay.url, "connections": CONNECTIONS, "after_crash": after_crash}
    app = App(load(write_config(CONFIG.format(**options) + "retry: {attempts: 99, for: 365d}\n")), clock)
    recipients = [f"reader{n}@example.org" for n in range(RECIPIENTS)]
    with app.store.write() as tx:
        issue = tx.issues.add("news", "News", (), make_issue().documents, clock()).id
        tx.deliveries.plan(issue, [("post", one) for one in recipients], clock())
    held, (passes, states) = 0, send_all(app, clock)
    while State.UNCERTAIN in states:
        held += settle_as_an_operator(app, relay)
        more, states = send_all(app, clock)
        passes += more
    app.close()
    relay.close()

    copies = Counter(one.recipient for one in relay.taken)
    twice = {who: count - 1 for who, count in copies.items() if count > 1}
    print(
        f"\nfailing relay, {after_crash:<14} {RECIPIENTS} mails, {faults.seen.total()} faults, {passes} passes, "
        f"{sum(faults.doubtful.values())} in doubt, {sum(twice.values())} repeats, {time.monotonic() - began:.0f} s"
    )
    assert set(copies) == set(recipients), "lost"
    assert states == {State.SENT: RECIPIENTS}
    assert len(relay.copies) == RECIPIENTS, "another Message-ID"
    assert {moment for moment, _ in faults.seen} == set(MOMENTS)
    if after_crash == "hold":
        assert twice == {}
        assert held <= sum(faults.doubtful.values()) + sum(n for (moment, _), n in faults.seen.items() if moment == ".")
    else:
        assert all(count <= faults.doubtful[who] for who, count in twice.items()), "twice without a doubt"
        assert twice


def send_all(app: App, clock: Clock) -> tuple[int, dict[State, int]]:
    """Send until nothing waits any more; returns after how many passes, and the states."""
    for number in range(1, 1000):
        app.once(lambda _: None, lambda *_: None)
        with app.store.read() as tx:
            states = {state: count for state, count in tx.deliveries.by_state().items() if count}
        if not set(states) & {State.PLANNED, State.DEFERRED, State.SENDING}:
            return number, states
        clock.advance(minutes=31)
    raise AssertionError(states)


def settle_as_an_operator(app: App, relay: Recorder) -> int:
    """Look up in the relay's log what it took, and say so; returns how many were held."""
    taken = {one.recipient for one in relay.taken}
    with app.store.write() as tx:
        held = tx.deliveries.list(State.UNCERTAIN, limit=10_000)
        for row in held:
            if row.recipient in taken:
                assert tx.deliveries.close(row.id, State.SENT, app.clock())
            else:
                assert tx.deliveries.retry(app.clock(), id=row.id)
    return len(held)
