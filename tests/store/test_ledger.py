"""Issues and their deliveries."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from sqlalchemy.exc import IntegrityError
from store_samples import LATER, LONG_AFTER, NOW, arrival, ended, new_issue, plan

from publisher.model import Document, State
from publisher.store import Settled, Store, Suppression, Tx, open_store

FINAL = (State.SENT, State.FAILED, State.SUPPRESSED)


def lease(tx: Tx, limit: int = 99, now=NOW, *, suspect: bool = False):
    return tx.deliveries.lease("post", limit, now, suspect=suspect)


def take_over(tx: Tx, now=NOW, *, most: int = 3, hold: bool = False) -> int:
    return tx.deliveries.take_over("post", now, most=most, hold=hold)


def settle(tx: Tx, id: int, state: State = State.SENT, next_at=None, now=NOW) -> bool:
    return tx.deliveries.settle([Settled(id=id, state=state, detail="250 ok", at=now, next_at=next_at)]) == 1


def test_an_issue_comes_back_as_it_was_written(tx: Tx):
    tx.entries.add("blog", [arrival("a"), arrival("b")], NOW)
    documents = (
        Document(name="mail.html", media_type="text/html", body=b"\x00\xff"),
        Document(name="a.txt", media_type="text/plain", body=b""),
    )
    issue = tx.issues.add("weekly", "News", (2, 1), documents, NOW)
    assert (issue.publication, issue.number, issue.subject, issue.created, issue.entries, issue.finished) == (
        "weekly", 1, "News", NOW, 2, None,
    )  # fmt: skip
    assert tx.issues.get(issue.id) == issue
    assert tx.issues.documents(issue.id) == documents
    assert [entry.number for entry in tx.issues.entries(issue.id)] == [2, 1]
    assert tx.issues.get(99) is None


def test_the_variants_of_an_edition_share_its_number_and_count_once(tx: Tx):
    first = tx.issues.add("weekly", "All", (), (), NOW)
    second = tx.issues.add("weekly", "Ships", (), (), NOW, variant="ships", number=first.number)
    daily = tx.issues.add("weekly", "Daily", (), (), NOW, frequency="daily")
    assert [row.id for row in tx.issues.recent(9)] == [first.id]  # the others went to nobody
    assert tx.issues.count("weekly") == 1
    for issue in (second, daily):
        tx.deliveries.plan(issue.id, [("post", "ada@example.org")], NOW)
    found = [(row.number, row.frequency, row.variant) for row in tx.issues.recent(9)]
    assert found == [(2, "daily", ""), (1, "", "ships"), (1, "", "")]
    assert tx.issues.count("weekly") == 2
    assert [tx.issues.get(row.id) for row in (first, second, daily)] == [first, second, daily]


def test_editions_are_found_by_number_and_listed_once_each_newest_first(tx: Tx):
    for number in (1, 2, 3):
        issue = tx.issues.add("weekly", f"No. {number}", (), (), NOW)
        tx.issues.add("weekly", "Ships", (), (), NOW, variant="ships", number=issue.number)
    tx.issues.add("daily", "Another", (), (), NOW)
    notice = tx.issues.notice("weekly", "Please confirm", (), NOW)
    assert [row.subject for row in tx.issues.editions("weekly", 2)] == ["No. 3", "No. 2"]
    assert [row.subject for row in tx.issues.editions("weekly", 2, before=2)] == ["No. 1"]
    found = [tx.issues.edition("weekly", 2), tx.issues.edition("weekly", 2, "ships"), tx.issues.edition("daily", 1)]
    assert [row and row.subject for row in found] == ["No. 2", "Ships", "Another"]
    assert tx.issues.edition("weekly", 4) is None
    assert tx.issues.edition("weekly", 2, "town") is None
    assert tx.issues.edition("weekly", 0, notice.variant) is None


def test_an_edition_has_each_variant_once(tx: Tx):
    number = tx.issues.add("weekly", "", (), (), NOW).number
    with pytest.raises(IntegrityError, match=r"(?i)unique"):
        tx.issues.add("weekly", "", (), (), NOW, number=number)


def test_a_notice_is_an_issue_that_no_list_shows(tx: Tx):
    body = Document(name="mail.txt", media_type="text/plain", body=b"Please confirm")
    notices = [tx.issues.notice("weekly", "Please confirm", [body], NOW) for _ in range(2)]
    assert all(notice.is_notice and notice.number == notice.entries == 0 for notice in notices)
    assert tx.issues.documents(notices[0].id) == (body,)
    assert (tx.issues.recent(9), tx.issues.count("weekly"), tx.issues.next_number("weekly")) == ([], 0, 1)


def test_a_delivery_knows_whose_it_is(tx: Tx):
    issue = new_issue(tx)
    tx.deliveries.plan(issue, [("post", "a@example.org")], NOW, subscriber=7)
    tx.deliveries.plan(issue, [("post", "b@example.org")], NOW)
    assert [row.subscriber for row in tx.deliveries.lease("post", 9, NOW)] == [7, None]
    assert [row.subscriber for row in tx.deliveries.list(limit=9)] == [None, 7]


def test_issues_are_numbered_within_their_publication(tx: Tx):
    made = [tx.issues.add(name, "", (), (), NOW) for name in ("weekly", "daily", "weekly")]
    assert [issue.number for issue in made] == [1, 1, 2]
    assert (tx.issues.next_number("weekly"), tx.issues.next_number("new")) == (3, 1)
    assert (tx.issues.count("weekly"), tx.issues.count("new")) == (2, 0)
    assert tx.issues.recent(9) == made[::-1]
    assert tx.issues.recent(1, "daily") == [made[1]]


def test_a_number_is_not_used_up_by_an_issue_that_was_rolled_back(store: Store):
    with suppress(ZeroDivisionError), store.write() as tx:
        new_issue(tx)
        raise ZeroDivisionError
    with store.write() as tx:
        assert tx.issues.next_number("weekly") == 1
        assert tx.issues.recent(1) == []


def test_planning_twice_plans_once(tx: Tx):
    issue = plan(tx, 3)
    again = [("post", "reader1@example.org"), ("post", "new@example.org"), ("chat", "")]
    assert tx.deliveries.plan(issue, again, NOW) == 2
    assert tx.deliveries.plan(issue, [], NOW) == 0
    assert tx.deliveries.by_state() == {State.PLANNED: 5}
    assert tx.deliveries.open() == {"post": 4, "chat": 1}


def test_an_issue_is_finished_when_nothing_is_open(tx: Tx):
    issue = plan(tx, 3)
    first, second, third = (row.id for row in lease(tx))
    settle(tx, first)
    settle(tx, second, State.FAILED)
    assert not tx.issues.finish(issue, NOW)
    settle(tx, third, State.SUPPRESSED)
    assert tx.issues.finish(issue, LATER)
    assert tx.issues.finish(issue, LATER + timedelta(days=1))
    assert tx.issues.get(issue).finished == LATER
    assert tx.deliveries.by_state(issue) == {State.SENT: 1, State.FAILED: 1, State.SUPPRESSED: 1}


def test_leases_come_issue_by_issue_and_only_once(tx: Tx):
    first, second = plan(tx, 2), plan(tx, 2)
    rows = lease(tx, 3)
    assert [(row.issue, row.recipient[:7], row.tries, row.first_try) for row in rows] == [
        (first, "reader0", 0, None), (first, "reader1", 0, None), (second, "reader0", 0, None),
    ]  # fmt: skip
    assert [row.issue for row in lease(tx, 3)] == [second]
    assert lease(tx) == []
    assert tx.deliveries.lease("chat", 9, NOW) == []


@pytest.mark.parametrize("suspect", [False, True])
def test_a_lease_looks_past_those_who_are_suppressed(tx: Tx, suspect: bool):
    issue = plan(tx, 4)
    if suspect:
        assert len(lease(tx)) == take_over(tx) == 4
    for reader in (0, 1, 2):
        entry = Suppression(address=f"reader{reader}@example.org", reason="hard", moment=NOW)
        assert tx.suppressions.add(entry)
    assert [row.recipient for row in lease(tx, 1, suspect=suspect)] == ["reader3@example.org"]
    assert tx.deliveries.by_state(issue) == {State.SUPPRESSED: 3, State.SENDING: 1}


def test_a_deferred_delivery_comes_back_when_its_time_has_come(tx: Tx):
    plan(tx, 1)
    (row,) = lease(tx)
    assert settle(tx, row.id, State.DEFERRED, next_at=LATER)
    assert lease(tx) == []
    assert tx.deliveries.due(NOW) == []
    assert tx.deliveries.due(LATER) == ["post"]
    (again,) = lease(tx, now=LATER)
    assert (again.id, again.tries, again.first_try) == (row.id, 1, NOW)


def test_the_first_attempt_is_remembered(tx: Tx):
    plan(tx, 1)
    (row,) = lease(tx)
    settle(tx, row.id, State.DEFERRED, next_at=LATER)
    lease(tx, now=LATER)
    settle(tx, row.id, now=LATER)
    (told,) = tx.deliveries.list(limit=9)
    assert (told.first_try, told.settled, told.next_at, told.owner, told.detail) == (NOW, LATER, None, "", "250 ok")


@pytest.mark.parametrize(("holder", "now"), [(ended(), NOW), ("elsewhere", LONG_AFTER)], ids=["dead", "silent"])
def test_what_the_dead_or_the_silent_were_sending_is_taken_over(store: Store, join, holder: str, now):
    gone = join(holder)
    with gone.write() as tx:
        plan(tx, 2)
        first, second = (row.id for row in lease(tx))
    with store.write() as tx:
        assert tx.deliveries.due(now) == ["post"]
        assert lease(tx, 1, now=now) == []
        assert take_over(tx, now=now) == 2
        assert lease(tx, now=now) == []  # they are suspect
        assert [row.id for row in lease(tx, 1, now=now, suspect=True)] == [first]
    with gone.write() as tx:
        assert not settle(tx, first)
        assert not settle(tx, second)
        tx.deliveries.release([first, second], now)
        tx.deliveries.extend([first, second], now)
    with store.write() as tx:
        assert settle(tx, first)
        assert not settle(tx, first)


def test_what_another_process_is_sending_is_not_taken_over(store: Store, join):
    with join("elsewhere").write() as tx:
        plan(tx, 2)
        lease(tx)
    with store.write() as tx:
        assert tx.deliveries.due(NOW) == lease(tx) == []
        assert take_over(tx) == 0


def test_an_extended_lease_is_not_taken_over(store: Store, join):
    with join("elsewhere").write() as tx:
        plan(tx, 1)
        (row,) = lease(tx)
        tx.deliveries.extend([row.id], LONG_AFTER)
    with store.write() as tx:
        assert take_over(tx, now=LONG_AFTER) == 0


def test_released_deliveries_are_as_they_were_and_settled_ones_stay(tx: Tx):
    plan(tx, 3)
    rows = lease(tx)
    settle(tx, rows[0].id, State.DEFERRED, next_at=NOW)
    settle(tx, rows[1].id)
    lease(tx)
    tx.deliveries.release([row.id for row in rows], LATER)
    states = {row.id: (row.state, row.tries, row.next_at, row.owner) for row in tx.deliveries.list(limit=9)}
    assert states[rows[0].id] == (State.DEFERRED, 1, LATER, "")
    assert states[rows[1].id] == (State.SENT, 1, None, "")
    assert states[rows[2].id] == (State.PLANNED, 0, LATER, "")


def test_a_failed_delivery_can_be_planned_again_and_no_other(tx: Tx):
    issue = plan(tx, 2)
    failed, sent = (row.id for row in lease(tx))
    settle(tx, failed, State.FAILED)
    settle(tx, sent)
    assert tx.issues.finish(issue, NOW)
    assert not tx.deliveries.retry(LATER, id=sent)
    assert not tx.deliveries.retry(LATER, id=99)
    assert tx.deliveries.retry(LATER, id=failed) == 1
    assert tx.issues.get(issue).finished is None
    assert not tx.issues.finish(issue, LATER)
    assert [(row.id, row.tries, row.first_try) for row in lease(tx, now=LATER)] == [(failed, 0, None)]


def test_deliveries_are_listed_newest_first_by_state_and_issue(tx: Tx):
    first, second = plan(tx, 2), plan(tx, 2)
    settle(tx, lease(tx, 1)[0].id, State.FAILED)
    assert [row.issue for row in tx.deliveries.list(limit=3)] == [second, second, first]
    (failed,) = tx.deliveries.list(State.FAILED, limit=9)
    assert (failed.state, failed.issue, failed.channel, failed.planned) == (State.FAILED, first, "post", NOW)
    assert tx.deliveries.list(State.FAILED, second, limit=9) == []
    assert len(tx.deliveries.list(issue=second, limit=9)) == 2


class Ledger(RuleBasedStateMachine):
    """Whatever happens in whatever order: no delivery is lost, none is held twice, none leaves a final state."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        url = f"sqlite:///{self.folder.name}/store.db"
        self.stores = {owner: open_store(url, owner) for owner in "ab"}
        self.now, self.final, self.held = NOW, {}, {"a": set(), "b": set()}
        with self.stores["a"].write() as tx:
            plan(tx, 6)

    def teardown(self) -> None:
        for store in self.stores.values():
            store.close()
        self.folder.cleanup()

    @rule(owner=st.sampled_from("ab"), limit=st.integers(1, 4))
    def leases(self, owner: str, limit: int) -> None:
        with self.stores[owner].write() as tx:
            rows = {row.id for row in lease(tx, limit, now=self.now)}
        for others in self.held.values():
            others.difference_update(rows)
        self.held[owner] |= rows

    @rule(owner=st.sampled_from("ab"), id=st.integers(1, 6), state=st.sampled_from([*FINAL, State.DEFERRED]))
    def settles(self, owner: str, id: int, state: State) -> None:
        with self.stores[owner].write() as tx:
            done = settle(tx, id, state, next_at=None if state in FINAL else self.now, now=self.now)
        assert done == (id in self.held[owner])
        self.held[owner].discard(id)
        if done and state in FINAL:
            self.final[id] = state

    @rule(owner=st.sampled_from("ab"), ids=st.sets(st.integers(1, 6)))
    def releases(self, owner: str, ids: set[int]) -> None:
        with self.stores[owner].write() as tx:
            tx.deliveries.release(ids, self.now)
        self.held[owner] -= ids

    @rule()
    def time_passes(self) -> None:
        self.now += timedelta(hours=1)

    @invariant()
    def nothing_is_lost(self) -> None:
        with self.stores["a"].read() as tx:
            rows = {row.id: row for row in tx.deliveries.list(limit=99)}
        assert len(rows) == 6
        assert {id: row.state for id, row in rows.items() if row.settled} == self.final
        assert {id for id, row in rows.items() if row.state is State.SENDING} == self.held["a"] | self.held["b"]


Ledger.TestCase.settings = settings(max_examples=12, stateful_step_count=20, deadline=None)
TestLedger = Ledger.TestCase


def test_issues_are_told_page_by_page_and_from_a_moment_on_without_notices(tx: Tx):
    ids = [new_issue(tx) for _ in range(3)]
    tx.issues.notice("weekly", "Confirm", (), NOW)
    assert [issue.id for issue in tx.issues.recent(2)] == [ids[2], ids[1]]
    assert [issue.id for issue in tx.issues.recent(2, before=ids[1])] == [ids[0]]
    assert tx.issues.recent(2, before=ids[0]) == []
    assert [issue.id for issue in tx.issues.since(NOW)] == ids[::-1]
    assert tx.issues.since(LATER) == []
