"""Connections that share a thread do not stand in each other's way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from relays import HANG_UP, Recorder
from waiting import PATIENCE

from publisher.errors import StoreError
from publisher.model import State

House = Any
Start = Callable[..., Recorder]


def readers(count: int) -> list[str]:
    return [f"reader{n}@example.org" for n in range(count)]


def test_a_connection_that_waits_long_for_its_answer_does_not_hold_up_the_others(
    house: House, start_relay: Start
) -> None:
    def slow(moment: str, recipient: str) -> str:
        if (moment, recipient) == (".", "reader0@example.org"):
            relay.wait(lambda: len(relay.taken) > 100)
        return ""

    relay = start_relay(says=slow)
    house.configure(f"url: '{relay.url}'", "connections: 4")
    house.plan(*readers(200))
    house.deliver()
    assert house.states() == {State.SENT: 200}
    order = [one.recipient for one in sorted(relay.taken, key=lambda one: one.at)]
    assert order.index("reader0@example.org") > 100


def test_a_connection_that_never_answers_is_given_up_in_its_time_and_the_others_have_gone_on(
    house: House, start_relay: Start
) -> None:
    released = threading.Event()

    def silent(moment: str, recipient: str) -> str:
        if (moment, recipient) == ("RCPT", "reader0@example.org"):
            released.wait(PATIENCE)
        return ""

    relay = start_relay(says=silent)
    house.configure(f"url: '{relay.url}'", "connections: 4", "timeout: 2s")
    house.plan(*readers(200))
    began = time.monotonic()
    house.deliver()
    released.set()
    assert time.monotonic() - began < PATIENCE / 2
    assert house.states() == {State.SENT: 199, State.DEFERRED: 1}
    [row] = [row for row in house.rows() if row.state is State.DEFERRED]
    assert (row.recipient, row.detail) == ("reader0@example.org", "connection lost: timed out")


def test_connections_that_share_a_thread_share_commits(house: House, start_relay: Start) -> None:
    relay = start_relay(pause=0.005)
    house.configure(f"url: '{relay.url}'", "connections: 8")
    house.plan(*readers(200))
    house.deliver()
    assert house.states() == {State.SENT: 200}
    moments = {row.settled for row in house.rows()}
    assert len(moments) < 100, "what is committed together has one moment"


def test_one_that_hangs_up_costs_the_others_nothing(house: House, start_relay: Start) -> None:
    relay = start_relay(says=lambda moment, to: HANG_UP if (moment, to) == ("half", "reader7@example.org") else "")
    house.configure(f"url: '{relay.url}'", "connections: 4")
    house.plan(*readers(100))
    house.deliver()
    assert house.states() == {State.SENT: 99, State.DEFERRED: 1}
    assert set(relay.copies.values()) == {1}


def test_who_waits_for_their_turn_is_woken_when_we_are_stopped(house: House, relay: Recorder) -> None:
    house.configure(f"url: '{relay.url}'", "rate: 5/m")
    house.plan(*readers(10))

    def stop() -> None:
        relay.wait(lambda: len(relay.taken) == 1)
        time.sleep(0.3)  # until the next one waits
        house.app.stopping.set()

    stopper = threading.Thread(target=stop)
    stopper.start()
    began = time.monotonic()
    house.deliver()
    stopper.join(PATIENCE)
    assert time.monotonic() - began < 11, "the next turn would have come after twelve seconds"
    assert house.states() == {State.SENT: 1, State.PLANNED: 9}


def test_when_the_store_fails_at_the_next_batch_all_that_was_sent_is_known(house: House, start_relay: Start) -> None:
    relay = start_relay(pause=0.002)
    house.configure(f"url: '{relay.url}'", "connections: 4")
    house.plan(*readers(300))
    with house.app.store.write() as tx:
        refusing = "BEFORE UPDATE ON deliveries WHEN NEW.state = 'sending' AND NEW.id > 200"
        tx._connection.exec_driver_sql(f"CREATE TRIGGER refusing {refusing} BEGIN SELECT RAISE(FAIL, 'no'); END")
    with pytest.raises(StoreError):
        house.deliver()
    sent = {row.recipient for row in house.rows() if row.state is State.SENT}
    assert 100 < len(sent) <= 200
    assert {one.recipient for one in relay.taken} == sent
    assert house.states() == {State.SENT: len(sent), State.PLANNED: 300 - len(sent)}
