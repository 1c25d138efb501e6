"""Sources, publications, channels, runs and their owners."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from threading import Thread

import pytest
from store_samples import LATER, LONG_AFTER, NOW, arrival, ended

from publisher.store import ChannelState, HubRow, PublicationState, Push, SourceState, Store, Tx
from publisher.store.owner import dead, this_process

Join = Callable[[str], Store]


def claim(store: Store, slot: str = "1", now=NOW, schedule: str = "weekly") -> bool:
    with store.write() as tx:
        free = tx.runs.is_open(schedule, slot, now)
        assert tx.runs.claim(schedule, slot, now) == free
    return free


def finish(store: Store, slot: str = "1", now=NOW, schedule: str = "weekly") -> bool:
    with store.write() as tx:
        return tx.runs.finish(schedule, slot, "12 entries", now)


def test_the_state_of_a_source_is_kept(tx: Tx):
    state = SourceState(
        name="blog", fingerprint="f", cursor={"etag": '"ü"'}, title="B\x00log", since=NOW, visited=NOW, tried=LATER,
        failures=2, error="too slow", next_at=LATER, gone=True, plan="p",
        url="https://example.org/", ailment="silent", expires=LATER, failing=NOW, turned=LATER,
    )  # fmt: skip
    tx.sources.put(SourceState(name="blog"))
    tx.sources.put(SourceState(name="a"))
    tx.sources.put(state)
    assert tx.sources.get("blog") == replace(state, title="B\ufffdlog")
    assert tx.sources.get("blog").cursor == {"etag": '"ü"'}
    assert [found.name for found in tx.sources.all()] == ["a", "blog"]
    assert tx.sources.get("a") == SourceState(name="a")
    assert tx.sources.get("none") is None


def test_what_the_operator_was_told_outlives_a_visit_that_began_before(tx: Tx):
    before = SourceState(name="blog", ailment="failing", failures=3, turned=NOW)
    for state in (before, SourceState(name="well"), SourceState(name="told", ailment="silent")):
        tx.sources.put(state)
    tx.sources.tell([SourceState(name="told", ailment="silent")])
    assert tx.sources.untold(hold=True) == [before]
    tx.sources.tell([before])
    assert tx.sources.untold() == []
    tx.sources.visited([replace(before, failures=4)])
    assert tx.sources.untold() == []
    tx.sources.visited([replace(before, ailment="", failures=0)])
    assert tx.sources.untold() == [SourceState(name="blog", told="failing", turned=NOW)]


def test_what_is_accepted_is_visited_now_as_if_its_options_had_changed(tx: Tx):
    tx.sources.put(SourceState(name="blog", fingerprint="f", visited=NOW, next_at=LATER, ailment="held", failures=2))
    tx.sources.put(SourceState(name="new", fingerprint="f", next_at=LATER))
    assert [tx.sources.accept(name, NOW) for name in ("blog", "new", "none")] == [True, False, False]
    assert tx.sources.get("blog") == SourceState(name="blog", visited=NOW, next_at=NOW, ailment="held", failures=2)
    assert tx.sources.get("new").next_at == LATER


def test_who_tells_of_sources_at_the_same_moment_finds_nothing_left(store: Store, join: Join):
    with store.write() as tx:
        tx.sources.put(SourceState(name="blog", ailment="failing"))
    other, found = join("other"), list[SourceState]()

    def tell() -> None:
        with other.write() as tx:
            found.extend(tx.sources.untold(hold=True))

    with store.write() as tx:
        tx.sources.tell(tx.sources.untold(hold=True))
        second = Thread(target=tell)
        second.start()
        second.join(0.5)
        assert second.is_alive()
    second.join(30)
    assert found == []


def test_those_that_fail_and_are_visited_soon_are_waited_for(tx: Tx):
    told = SourceState(name="told", plan="p", failures=9, ailment="failing", next_at=NOW)
    well = SourceState(name="well", next_at=NOW)
    late = SourceState(name="late", plan="p", failures=1, next_at=LATER)
    new = SourceState(name="new", plan="p", failures=3, ailment="failing", next_at=NOW)
    for state in (told, well, late, new):
        tx.sources.put(state)
    tx.sources.tell([told])
    assert tx.sources.undecided(NOW) == ["told"]
    assert sorted(tx.sources.undecided(LATER)) == ["late", "told"]


def hub(name: str = "blog", **more) -> HubRow:
    told = {"hub": "https://hub/", "topic": "https://a/", "token": f"t {name}", "secret": "s", "next_at": NOW}
    return HubRow(name=name, **told | more)


def test_how_it_stands_with_a_hub_is_kept(tx: Tx):
    row = hub(
        state=Push.PROVEN, callback="https://b/", until=LATER, failures=2, error="r\x00efused", next_at=LATER, token="t"
    )
    tx.hubs.put(hub())
    tx.hubs.put(row)
    tx.hubs.put(hub("api", next_at=None))
    kept = replace(row, error="r\ufffdefused")
    assert tx.hubs.get("blog") == tx.hubs.by_token("t") == kept
    assert tx.hubs.all() == [hub("api", next_at=None), kept]
    assert tx.hubs.get("none") is None
    assert tx.hubs.by_token("none") is None
    tx.hubs.remove("blog")
    assert tx.hubs.get("blog") is None


def test_hubs_that_are_to_be_asked_are_told_and_when_the_next_one_is(tx: Tx):
    for name, moment in (("b", NOW), ("a", NOW), ("later", LATER), ("never", None)):
        tx.hubs.put(hub(name, next_at=moment))
    assert [row.name for row in tx.hubs.due(NOW)] == ["a", "b"]
    assert tx.hubs.next_moment(NOW) == LATER
    assert tx.hubs.next_moment(LATER) is None


def test_a_hub_is_asked_by_one_and_what_it_says_meanwhile_stays(tx: Tx):
    tx.hubs.put(hub())
    asked = hub(next_at=LATER, failures=1)
    assert tx.hubs.claim(hub(), asked)
    assert not tx.hubs.claim(hub(), asked)
    confirmed = replace(asked, state=Push.ACTIVE, next_at=LONG_AFTER)
    tx.hubs.put(confirmed)
    tx.hubs.trouble(asked, "too slow", LATER)
    assert tx.hubs.get("blog") == confirmed
    tx.hubs.trouble(confirmed, "not signed", LONG_AFTER)
    assert tx.hubs.get("blog") == replace(confirmed, error="not signed")
    never = hub("api", next_at=None)
    tx.hubs.put(never)
    tx.hubs.trouble(never, "not signed", None)
    assert tx.hubs.get("api").error == "not signed"


def test_a_hub_that_has_confirmed_is_asked_to_end_it_and_makes_room_for_another(tx: Tx):
    row = hub(state=Push.ACTIVE, until=LATER, failures=3, error="x")
    tx.hubs.put(row)
    tx.hubs.leave(row, NOW)
    assert tx.hubs.get("blog") is None
    [left] = tx.hubs.due(NOW)
    assert (left.state, left.visited, left.token, left.failures, left.error) == (Push.LEAVING, "blog", row.token, 0, "")
    tx.hubs.put(hub(token="another"))
    assert len(tx.hubs.all()) == 2
    tx.hubs.leave(tx.hubs.get("blog"), NOW)
    assert tx.hubs.all() == [left]


def test_a_visit_is_hastened_unless_the_source_is_unwell_or_was_visited_just_now(tx: Tx):
    minute = timedelta(minutes=1)

    def planned(**state) -> object:
        tx.sources.put(SourceState(name="blog", **state))
        tx.sources.hasten("blog", NOW, minute)
        return tx.sources.get("blog").next_at

    assert planned(next_at=LONG_AFTER) == NOW
    assert planned(next_at=LONG_AFTER, tried=NOW) == NOW + minute
    assert planned(next_at=LONG_AFTER, tried=NOW - minute) == NOW
    assert planned(next_at=NOW - minute) == NOW - minute - timedelta(microseconds=1)
    assert planned(next_at=LONG_AFTER, failures=1) == LONG_AFTER
    assert planned(next_at=None) is None
    tx.sources.hasten("none", NOW, minute)
    assert tx.sources.get("none") is None


def test_a_visit_leaves_alone_what_others_decided_while_it_was_made(tx: Tx):
    state = SourceState(name="blog", plan="hourly", next_at=NOW)
    tx.sources.visited([state])
    assert tx.sources.get("blog") == state
    tx.sources.visited([replace(state, next_at=LATER, error="too slow")])
    assert tx.sources.get("blog") == replace(state, next_at=LATER, error="too slow")
    tx.sources.plan(["blog"], "", None)
    tx.sources.visited([replace(state, next_at=LATER, told="silent")])
    assert tx.sources.get("blog") == SourceState(name="blog")


def test_the_state_of_a_publication_is_kept(tx: Tx):
    state = PublicationState(name="weekly", since=7, opened=True, schedule="daily 08:00", stamp="s", known=NOW)
    tx.publications.put(PublicationState(name="weekly", known=NOW))
    tx.publications.put(state)
    tx.publications.stamp("weekly", "t")
    assert tx.publications.get("weekly").stamp == "t"
    assert [found.since for found in tx.publications.all()] == [7]
    assert tx.publications.get("none") is None


def test_the_state_of_a_channel_is_kept(tx: Tx):
    tx.channels.put(ChannelState(name="post", failures=2, error="refused", retry_at=LATER))
    assert tx.channels.all() == [ChannelState(name="post", failures=2, error="refused", retry_at=LATER)]
    tx.channels.put(ChannelState(name="post"))
    assert tx.channels.get("post") == ChannelState(name="post")
    assert tx.channels.get("none") is None


def test_one_owner_holds_a_publication_at_a_time(store: Store, join: Join):
    other = join("elsewhere")
    with store.hold("weekly", lambda: NOW) as mine, other.hold("weekly", lambda: NOW) as theirs:
        assert (mine, theirs) == (True, False)
        with store.hold("weekly", lambda: NOW) as again, other.hold("daily", lambda: NOW) as another:
            assert (again, another) == (False, True)
        with other.hold("weekly", lambda: NOW) as still:
            assert not still
    with other.hold("weekly", lambda: NOW) as free:
        assert free


def test_a_publication_is_given_back_when_the_work_fails(store: Store):
    with pytest.raises(ZeroDivisionError), store.hold("weekly", lambda: NOW):
        raise ZeroDivisionError
    with store.hold("weekly", lambda: NOW) as held:
        assert held


@pytest.mark.parametrize(("holder", "now"), [(ended(), NOW), ("elsewhere", LONG_AFTER)], ids=["dead", "silent"])
def test_a_publication_held_by_the_dead_or_the_silent_is_taken_over(store: Store, join: Join, holder: str, now):
    with join(holder).hold("weekly", lambda: NOW), store.hold("weekly", lambda: now) as held:
        assert held
    with join("third").hold("weekly", lambda: now) as free:
        assert free


def test_a_slot_runs_once(store: Store, join: Join):
    other = join("elsewhere")
    assert claim(store)
    assert not claim(store)
    assert not claim(other)
    assert not finish(other)
    assert finish(store, now=LATER)
    assert not finish(store)
    assert not claim(other, now=LONG_AFTER)
    with store.read() as tx:
        run = tx.runs.last("weekly")
        assert tx.runs.last("none") is None
    assert (run.slot, run.started, run.finished, run.detail) == ("1", NOW, LATER, "12 entries")


@pytest.mark.parametrize(("holder", "now"), [(ended(), NOW), ("elsewhere", LONG_AFTER)], ids=["dead", "silent"])
def test_a_run_of_the_dead_or_the_silent_is_taken_over(store: Store, join: Join, holder: str, now):
    gone = join(holder)
    assert claim(gone)
    assert claim(store, now=now)
    assert not finish(gone)
    assert finish(store)


def test_a_run_that_was_put_off_waits_for_its_moment(store: Store, join: Join):
    assert claim(store)
    with store.write() as tx:
        tx.runs.postpone("weekly", "1", LATER, "the template is wrong")
        assert tx.runs.last("weekly").detail == "the template is wrong"
    assert not finish(store)
    assert not claim(store, now=LATER)
    assert claim(join("elsewhere"), now=LATER + timedelta(seconds=1))


def test_runs_are_forgotten_after_a_month_but_never_the_latest_slot(store: Store):
    first, second = "2026-11-01T08:00:00+00:00", "2026-12-01T08:00:00+00:00"
    month = timedelta(days=31)
    assert claim(store, first)
    assert finish(store, first)
    assert claim(store, "by hand", NOW + month)
    assert finish(store, "by hand", NOW + month)
    assert not claim(store, first, NOW + month)
    assert claim(store, second, NOW + month)
    assert finish(store, second, NOW + month)
    with store.read() as tx:
        assert {run.slot for run in tx.runs.recent(9)} == {second, "by hand"}


def test_recent_runs_come_newest_first(store: Store):
    for hours, slot in enumerate("abc"):
        claim(store, slot, now=NOW + timedelta(hours=hours))
    with store.read() as tx:
        assert [run.slot for run in tx.runs.recent(2)] == ["c", "b"]


# --- owners ----------------------------------------------------------------------------------------------------------


def test_this_process_is_alive_and_names_itself_alike_each_time():
    assert this_process() == this_process()
    assert dead({this_process()}) == set()


def test_a_process_that_ended_is_dead_reaped_or_not():
    code = "from publisher.store.owner import this_process; print(this_process(), flush=True)"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    owner = child.stdout.readline().strip()
    child.stdout.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert dead({owner, this_process()}) == {owner}
    child.wait()
    assert dead({owner}) == {owner}


def test_a_later_process_of_the_same_number_is_another():
    assert dead({ended()}) == {ended()}


@pytest.mark.parametrize("owner", ["elsewhere:1:x", "", "me", "a:b:c", ":::", f"{this_process().split(':')[0]}:x:1"])
def test_owners_elsewhere_and_other_names_are_never_dead(owner: str):
    assert dead({owner}) == set()


def test_when_something_will_have_settled_is_kept_with_the_stamp(tx: Tx):
    for name in ("all", "weekly"):
        tx.publications.put(PublicationState(name=name, known=NOW))
    assert tx.publications.next_moment(NOW) is None
    tx.publications.stamp("all", "a", next_at=LONG_AFTER, error="rule 1 failed")
    tx.publications.stamp("weekly", "b", next_at=LATER)
    assert tx.publications.get("all") == PublicationState(
        name="all", known=NOW, stamp="a", next_at=LONG_AFTER, error="rule 1 failed"
    )
    assert tx.publications.next_moment(NOW) == LATER
    assert tx.publications.next_moment(LATER) == LONG_AFTER
    tx.publications.stamp("all", "c")
    assert tx.publications.next_moment(LATER) is None


# --- by the page -----------------------------------------------------------------------------------------------------


def test_of_the_slots_of_a_page_those_are_ours_that_nobody_has_or_that_have_become_free(store: Store, join: Join):
    assert claim(join("elsewhere"), "theirs")
    assert claim(join(ended()), "left behind")
    assert claim(store, "ours")
    assert claim(store, "run")
    assert finish(store, "run")
    slots = [("weekly", slot) for slot in ("new", "theirs", "left behind", "ours", "run", "neü 'er\"")]
    with store.write() as tx:
        assert tx.runs.claim_all(slots, NOW) == {("weekly", slot) for slot in ("new", "left behind", "neü 'er\"")}
        assert tx.runs.claim_all(slots, NOW) == set()
        assert tx.runs.claim_all([], NOW) == set()


def test_runs_end_by_the_page_but_for_those_that_are_not_ours(store: Store, join: Join):
    assert claim(join("elsewhere"), "theirs")
    with store.write() as tx:
        tx.runs.claim_all([("weekly", "1"), ("daily", "1")], NOW)
        ends = [
            ("weekly", "1", "a\x00b"),
            ("daily", "1", "'nothing' new"),
            ("weekly", "theirs", "x"),
            ("none", "1", "x"),
        ]
        assert tx.runs.finish_all(ends, LATER) == 2
        assert tx.runs.finish_all(ends, LATER) == 0
    with store.read() as tx:
        assert [(run.finished, run.detail) for run in map(tx.runs.last, ("weekly", "daily"))] == [
            (None, ""),
            (LATER, "'nothing' new"),
        ]


def test_the_end_of_a_page_of_runs_forgets_what_ended_long_ago_of_these_schedules_alone(store: Store):
    long_ago, now = NOW.isoformat(), NOW + timedelta(days=31)
    for schedule in ("weekly", "daily", "hourly"):
        assert claim(store, long_ago, schedule=schedule)
        assert finish(store, long_ago, schedule=schedule)
    slots = [("weekly", now.isoformat()), ("daily", now.isoformat()), ("hourly", "by hand")]
    with store.write() as tx:
        assert tx.runs.claim_all(slots, now) == set(slots)
        assert tx.runs.finish_all([(*slot, "done") for slot in slots], now) == 3
    assert [claim(store, long_ago, now, schedule) for schedule in ("weekly", "daily", "hourly")] == [True, True, False]


def test_the_states_of_many_are_written_and_found_by_the_page(tx: Tx):
    full = SourceState(
        name="blog \u00fc'\"", fingerprint="f", cursor={"etag": '"\u00fc"'}, title="B\x00log", since=NOW, visited=NOW,
        tried=LATER, failures=2, error="too 'slow'", next_at=LATER, gone=True, ailment="silent", expires=LATER,
        failing=NOW, turned=LATER,
    )  # fmt: skip
    tx.sources.visited([full, SourceState(name="a"), SourceState(name="b", next_at=NOW)])
    kept = replace(full, title="B\ufffdlog")
    assert tx.sources.some([full.name, "a", "none"]) == {full.name: kept, "a": SourceState(name="a")}
    assert tx.sources.some([]) == {}
    assert tx.sources.planned([full.name, "b", "none"]) == {full.name: ("", LATER), "b": ("", NOW)}
    tx.hubs.put(hub())
    assert tx.hubs.some(["none", hub().name]) == {hub().name: hub()}


def test_the_newest_moments_of_sources_and_of_feeds_that_they_list_are_found_at_once(tx: Tx):
    def add(source: str, key: str, hours: int, member: str = "") -> None:
        tx.entries.add(source, [arrival(key, published=NOW - timedelta(hours=hours))], NOW, member=member)

    for source, key, hours, member in (
        ("blog", "1", 5, ""), ("blog", "2", 3, ""), ("planet", "3", 2, "a"), ("planet", "4", 1, "b"),
        ("other", "5", 0, "b")
    ):  # fmt: skip
        add(source, key, hours, member)
    asked = ["blog", "planet/a", "planet/b", "planet", "planet/c", "none"]
    hours = {"blog": 3, "planet/a": 2, "planet/b": 1, "planet": 1}
    assert tx.entries.last_moments(asked) == {name: NOW - timedelta(hours=ago) for name, ago in hours.items()}
    assert tx.entries.last_moment("planet/a") == NOW - timedelta(hours=2)
