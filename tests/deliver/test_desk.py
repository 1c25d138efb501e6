"""What the desk promises, through the whole house and to real relays."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

from receivers import free_port
from relays import Recorder

from publisher.deliver.decisions import MANY
from publisher.model import State
from publisher.store import Suppression

House = Any
Start = Callable[..., Recorder]


def readers(count: int, domain: str = "example.org") -> list[str]:
    return [f"reader{n}@{domain}" for n in range(count)]


def recipients(relay: Recorder) -> list[str]:
    return sorted(one.recipient for one in relay.taken)


# --- several relays --------------------------------------------------------------------------------------------------


def test_relays_get_connections_by_their_weight(house: House, start_relay: Start) -> None:
    heavy, light = start_relay(pause=0.003), start_relay(pause=0.003)
    house.configure(f"url: [{{url: '{heavy.url}', weight: 3}}, {{url: '{light.url}', weight: 1}}]", "connections: 4")
    house.plan(*readers(200))
    house.deliver()
    assert (heavy.most_open, light.most_open) == (3, 1)
    assert sorted(recipients(heavy) + recipients(light)) == sorted(readers(200))
    assert len(heavy.taken) > 1.5 * len(light.taken) > 0


def test_a_dead_relay_s_share_goes_by_the_other_and_it_is_asked_again_later(house: House, start_relay: Start) -> None:
    dead, alive = f"127.0.0.1:{free_port()}", start_relay()
    house.configure(f"url: [{{url: 'smtp://{dead}'}}, {{url: '{alive.url}'}}]", "connections: 4")
    issue = house.plan(*readers(100))
    house.deliver()
    assert (recipients(alive), house.finished(issue)) == (sorted(readers(100)), True)
    assert {row.tries for row in house.rows()} == {1}
    assert house.app.status().wrong == [f"channel post: {dead}: no connection: Connection refused"]

    revived = start_relay(port=int(dead.partition(":")[2]))
    house.plan("soon@example.org")
    house.deliver()
    assert not revived.connections, "it is left alone for a minute"
    house.clock.advance(minutes=2)
    house.plan(*readers(100))
    house.deliver()
    assert revived.taken
    assert house.app.status().wrong == []


def test_a_relay_without_weight_is_used_only_while_no_other_works(house: House, start_relay: Start) -> None:
    port = free_port()
    main, standby = start_relay(port=port), start_relay()
    house.configure(f"url: [{{url: '{standby.url}', weight: 0}}, {{url: '{main.url}'}}]")
    house.plan(*readers(60))
    house.deliver()
    assert (len(main.taken), standby.connections.total()) == (60, 0)
    main.close()
    house.plan(*readers(60, "example.net"))
    house.deliver()
    assert recipients(standby) == sorted(readers(60, "example.net"))
    assert house.states() == {State.SENT: 120}


def test_a_relay_sees_no_more_connections_and_no_more_messages_on_one_than_it_allows(
    house: House, start_relay: Start
) -> None:
    small, large = start_relay(pause=0.002), start_relay(pause=0.002)
    relays = f"{{url: '{small.url}', connections: 2, messages: 7}}, {{url: '{large.url}', connections: 3}}"
    house.configure(f"url: [{relays}]", "connections: 50", "messages: 20")
    house.plan(*readers(200))
    house.deliver()
    assert (small.most_open, large.most_open) == (2, 3)
    assert max(Counter(one.connection for one in small.taken).values()) == 7
    assert max(Counter(one.connection for one in large.taken).values()) == 20
    assert len(small.taken) + len(large.taken) == 200


# --- pace, hours, ceilings -------------------------------------------------------------------------------------------


def test_twenty_in_a_second_are_twenty_in_a_second_over_all_connections(house: House, relay: Recorder) -> None:
    house.configure(f"url: '{relay.url}'", "rate: 20/s", "connections: 4")
    house.plan(*readers(25))
    house.deliver()
    moments = [one.at for one in relay.taken]
    assert 24 / 20 * 0.8 < moments[-1] - moments[0] < 4  # a busy machine may be late, but nothing may be early
    assert len([at for at in moments if at < moments[0] + 0.5]) <= 12


def test_a_domain_that_is_slow_does_not_hold_up_the_others(house: House, relay: Recorder) -> None:
    house.configure(f"url: '{relay.url}'", "domains: {slow.example: 5/s}", "connections: 4")
    house.plan(*readers(5, "slow.example"), *readers(60), *readers(60, "example.net"))
    house.deliver()
    slow = [one.at for one in relay.taken if one.recipient.endswith("@slow.example")]
    others = [one.at for one in relay.taken if not one.recipient.endswith("@slow.example")]
    assert (len(slow), len(others)) == (5, 120)
    assert slow[-1] - slow[0] > 4 / 5 * 0.5  # the first may come late
    assert len([at for at in others if at < slow[-1]]) > len(others) / 2


def test_outside_its_hours_a_channel_sends_nothing_and_then_all(house: House, relay: Recorder) -> None:
    house.configure(f"url: '{relay.url}'", "hours: 20:00-22:00")
    issue = house.plan(*readers(30))
    assert "outside its hours: it goes on at 2026-10-19 20:00 CEST" in house.deliver()  # it is eleven in Berlin
    house.clock.advance(hours=8, minutes=59)
    assert house.deliver() == ""
    assert not relay.connections
    house.clock.advance(minutes=1)
    house.deliver()
    assert (recipients(relay), house.finished(issue)) == (sorted(readers(30)), True)


def test_a_new_channel_sends_no_more_in_a_day_than_its_ceiling(house: House, relay: Recorder) -> None:
    house.configure(f"url: '{relay.url}'", "warm_up: {since: 2026-10-19, first_day: 20, growth: 2}", "connections: 4")
    house.plan(*readers(100))
    sent = []
    for _ in range(4):
        before = len(relay.taken)
        house.deliver()
        house.deliver()
        sent.append(len(relay.taken) - before)
        house.clock.advance(days=1)
    assert sent == [20, 40, 40, 0]
    assert {row.tries for row in house.rows()} == {1}


# --- what goes wrong -------------------------------------------------------------------------------------------------


def test_fifty_failures_in_a_row_pause_the_issue_until_it_is_resumed(house: House, start_relay: Start) -> None:
    relay = start_relay(says=lambda moment, _: "550 5.7.1 we do not like this" if moment == "RCPT" else "")
    house.configure(f"url: '{relay.url}'", "connections: 4")
    issue = house.plan(*readers(300))
    house.deliver()
    states = house.states()
    assert MANY <= states[State.FAILED] < 2 * MANY
    assert states == {State.FAILED: states[State.FAILED], State.PLANNED: 300 - states[State.FAILED]}
    [paused, _] = house.app.status().wrong
    told = "50 deliveries in a row failed, the last one: 550 5.7.1 we do not like this"
    assert paused == f"issue 1 of news is paused: {told} (publisher issue resume {issue})"
    house.clock.advance(days=1)
    assert house.deliver() == ""

    relay.says = lambda moment, _: ""
    publisher(house, "issue", "resume", str(issue))
    house.deliver()
    assert house.states() == {State.FAILED: states[State.FAILED], State.SENT: 300 - states[State.FAILED]}
    assert house.finished(issue)


def test_fifty_deferrals_in_a_row_hold_the_channel_and_cost_the_rest_of_the_list_no_attempt(
    house: House, start_relay: Start
) -> None:
    relay = start_relay(says=lambda moment, _: "451 4.7.1 later" if moment == "RCPT" else "")
    house.configure(f"url: '{relay.url}'", "connections: 4")
    house.plan(*readers(300))
    assert "50 deliveries in a row were put off, the last one: 451 4.7.1 later" in house.deliver()
    tried = house.states()[State.DEFERRED]
    assert MANY <= tried < MANY + 4
    assert sorted(row.tries for row in house.rows()) == [0] * (300 - tried) + [1] * tried
    assert house.deliver() == ""
    relay.says = lambda moment, _: ""
    house.clock.advance(minutes=5)
    house.deliver()
    assert house.states() == {State.SENT: 300}


def test_whoever_is_suppressed_gets_nothing_and_the_issue_is_finished(house: House, relay: Recorder) -> None:
    house.configure(f"url: '{relay.url}'")
    issue = house.plan(*readers(10))
    with house.app.store.write() as tx:
        for address, publication in (("READER3@example.org", ""), ("reader4@example.org", "news")):
            gone = {"address": address, "publication": publication, "reason": "unsubscribed"}
            tx.suppressions.add(Suppression(**gone, moment=house.clock()))
        other = Suppression(address="reader5@example.org", publication="other", reason="hard", moment=house.clock())
        tx.suppressions.add(other)
    house.deliver()
    assert house.states() == {State.SENT: 8, State.SUPPRESSED: 2}
    assert not {"reader3@example.org", "reader4@example.org"} & set(recipients(relay))
    assert house.finished(issue)


def test_an_address_that_is_not_there_is_suppressed_from_then_on(house: House, start_relay: Start) -> None:
    relay = start_relay(says=lambda moment, to: "550 5.1.1 no such user" * (moment == "RCPT" and "reader3" in to))
    house.configure(f"url: '{relay.url}'")
    house.plan(*readers(5))
    house.deliver()
    house.plan(*readers(5))
    house.deliver()
    assert Counter(recipients(relay)) == Counter({one: 2 for one in readers(5) if "3" not in one})
    assert house.states() == {State.SENT: 8, State.FAILED: 1, State.SUPPRESSED: 1}


def publisher(house: House, *words: str) -> str:
    command = [sys.executable, "-m", "publisher", "-c", str(house.config), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
