"""Processes that send are killed at random moments: nothing is lost, and what came twice can be told.

``CHAOS_KILLS`` says how often (``make chaos``: 1000).
"""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest
from chaos_house import CONNECTIONS, KILLS, Sending

from publisher.model import State

SIZE = 80
"""How many recipients an issue has: worth four connections."""


def kill_again_and_again(sending: Sending, kills: int) -> None:
    """Let processes send a new issue and what the ones before left, and end each of them: one in three politely.

    One in five is ended at any moment of its first half second: it takes over what the one before held, or has not
    begun.
    """
    for _ in range(kills):
        sending.plan(SIZE)
        number = sending.chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
        process = sending.start(*sending.chance.choice([("run", "--only", "work"), ("deliver",)]))
        if sending.chance.random() < 0.2:
            sending.end(process, number, 0, within=0.5)
        else:
            sending.end(process, number, sending.chance.randrange(1, min(sending.waiting, 120)))


def counted(sending: Sending, number: signal.Signals) -> int:
    return sum(one is number for one in sending.ended.values())


def send_the_rest(sending: Sending) -> int:
    """What an operator does in the end; returns how many were parked."""
    sending.command("deliver")
    parked = sending.rows(State.PARKED)
    for issue in {row.issue for row in parked}:
        assert sending.command("delivery", "retry", "--issue", str(issue)) == 0
    assert sending.command("deliver") == 0
    return len(parked)


@pytest.mark.timeout(300 + KILLS * 12)
def test_processes_killed_while_they_send_lose_nothing_and_repeat_one_message_for_each_connection_at_most(
    start_sending: Callable[..., Sending],
) -> None:
    sending = start_sending()
    kill_again_and_again(sending, KILLS)
    parked = send_the_rest(sending)
    repeats = sending.repeats()
    kills, polite = counted(sending, signal.SIGKILL), counted(sending, signal.SIGTERM)
    sending.tell(
        "killed", kills=kills, polite=polite, most_for_one_kill=max(repeats.values(), default=0), parked=parked
    )
    sending.assert_all_arrived()
    for era, count in repeats.items():
        assert sending.ended[era] is signal.SIGKILL
        assert count <= min(CONNECTIONS, sending.relay.connections[era])
    assert 0 < repeats.total() <= CONNECTIONS * kills
    assert sending.relay.most_open == CONNECTIONS
    assert parked <= kills / 10


@pytest.mark.timeout(300 + KILLS * 12)
def test_what_was_in_flight_when_a_process_was_killed_is_held_and_nothing_comes_twice(
    start_sending: Callable[..., Sending],
) -> None:
    sending = start_sending("hold")
    kill_again_and_again(sending, KILLS // 2)
    sending.command("deliver")
    kills = counted(sending, signal.SIGKILL)
    held = sending.rows(State.UNCERTAIN)
    assert 0 < len(held) <= CONNECTIONS * kills
    assert not [row for row in held if row.tries], "its verdict was known"
    taken, named = ({one.recipient for one in sending.relay.taken}, {who for _, who in sending.relay.named})
    unheard = [row for row in held if row.recipient not in named]
    assert len(unheard) <= kills, "held, though no connection had got to it"

    arrived = [str(row.id) for row in held if row.recipient in taken]
    missing = [str(row.id) for row in held if row.recipient not in taken]
    for ids, words in ((arrived, ("close", "--sent")), (missing, ("retry",))):
        assert not ids or sending.command("delivery", *words, *ids) == 0
    parked = send_the_rest(sending)
    sending.tell(
        "killed, after_crash: hold", kills=kills, in_doubt=len(held), of_them_taken=len(arrived), parked=parked
    )
    sending.assert_all_arrived()
    assert len(sending.relay.taken) == len(sending.recipients), "twice"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_interrupted_finishes_what_is_on_its_way_and_begins_nothing_more(
    start_sending: Callable[..., Sending], number: signal.Signals
) -> None:
    sending = start_sending()
    sending.plan(300)
    assert sending.end(sending.start("deliver"), number, 30) == 130
    assert sending.waiting > 150
    assert set(sending.states()) == {State.SENT, State.PLANNED}
    assert sending.command("deliver") == 0
    sending.assert_all_arrived()
    assert len(sending.relay.taken) == 300
