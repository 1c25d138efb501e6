from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from store_samples import NOW, new_issue, plan

from publisher.model import State
from publisher.store import UNPROVEN, Return, Settled, Store, Suppression, Tx

DAY = timedelta(days=1)


def suppression(address: str, publication: str = "", reason: str = "hard") -> Suppression:
    return Suppression(address=address, publication=publication, reason=reason, moment=NOW)


def returned(key: str, address: str = "a@example.org", *, delivery: int | None = None, days: int = 0) -> Return:
    return Return(key=key, delivery=delivery, address=address, fate="soft", moment=NOW + days * DAY)


def test_the_list_keeps_the_first_reason_and_knows_no_capitals(tx: Tx) -> None:
    assert tx.suppressions.add(suppression("Ada@Example.org"))
    assert not tx.suppressions.add(suppression("ada@example.org", reason="complaint"))
    assert [(one.address, one.reason) for one in tx.suppressions.list(limit=9)] == [("ada@example.org", "hard")]
    assert tx.suppressions.remove("ADA@example.org") == 1
    assert tx.suppressions.list(limit=9) == []


def test_one_publication_is_left_or_all(tx: Tx) -> None:
    tx.suppressions.add(suppression("a@example.org", "weekly"))
    tx.suppressions.add(suppression("b@example.org"))
    everybody = [("post", f"{name}@Example.org") for name in "abc"]
    for publication in ("weekly", "daily"):
        issue = tx.issues.add(publication, "", (), (), NOW)
        tx.deliveries.plan(issue.id, everybody, NOW)
    leased = [(row.issue, row.recipient[0]) for row in tx.deliveries.lease("post", 9, NOW)]
    assert leased == [(1, "c"), (2, "a"), (2, "c")]


def test_what_came_back_is_kept_once_and_told_newest_first(tx: Tx) -> None:
    assert [tx.suppressions.note(returned(key, days=day)) for day, key in enumerate(["x", "y", "x"])] == [1, 1, 0]
    tx.suppressions.note(returned("z", "B@example.org", days=9))
    assert [one.key for one in tx.suppressions.returned(limit=9)] == ["z", "y", "x"]
    assert [one.key for one in tx.suppressions.returned("A@example.org", limit=1)] == ["y"]
    assert [one.address for one in tx.suppressions.returned("b@example.org", limit=9)] == ["b@example.org"]


def test_what_proved_nothing_is_forgotten_after_a_while_and_nothing_else_is(store: Store) -> None:
    with store.write() as tx:
        plan(tx, 1)
        [known] = tx.deliveries.lease("post", 1, NOW)
        for key, days in {"old": -1, "at that moment": 0, "fresh": 1}.items():
            tx.suppressions.note(replace(returned(key, days=days), fate=UNPROVEN))
        tx.suppressions.note(returned("told by a provider", days=-1))
        tx.suppressions.note(returned("of a delivery", delivery=known.id, days=-2))
        assert (tx.suppressions.forget(NOW), tx.suppressions.forget(NOW)) == (1, 0)
        left = [one.key for one in tx.suppressions.returned(limit=9)]
    assert left == ["fresh", "at that moment", "told by a provider", "of a delivery"]


def test_the_deliveries_to_an_address_are_told_newest_first(store: Store) -> None:
    with store.write() as tx:
        plan(tx, 2)
        plan(tx, 2)
        rows = tx.deliveries.to("reader1@example.org", limit=9)
        assert [row.recipient for row in rows] == ["reader1@example.org"] * 2
        assert rows[0].id > rows[1].id
        assert tx.deliveries.to("reader1@example.org", limit=1) == rows[:1]


def test_a_good_delivery_was_sent_and_did_not_come_back(tx: Tx) -> None:
    tx.deliveries.plan(new_issue(tx), [("post", name) for name in ("a@example.org", "b@example.org")], NOW)
    leased = tx.deliveries.lease("post", 2, NOW)
    tx.deliveries.settle([Settled(id=one.id, state=State.SENT, detail="", at=NOW + DAY) for one in leased])
    assert tx.suppressions.good_since("a@example.org", NOW, NOW + DAY) == 1
    assert tx.suppressions.good_since("a@example.org", NOW + DAY, NOW + 2 * DAY) == 0
    tx.suppressions.note(returned("x", "a@example.org", delivery=leased[0].id))
    assert tx.suppressions.good_since("a@example.org", NOW, NOW + DAY) == 0
    assert tx.suppressions.good_since("b@example.org", NOW, NOW + DAY) == 1


def test_an_address_is_on_the_list_however_it_is_written(tx: Tx) -> None:
    tx.suppressions.add(suppression("Ada@B\u00fccher.example"))
    assert [one.address for one in tx.suppressions.of("ada@xn--BCHER-kva.example")] == ["ada@xn--bcher-kva.example"]
    tx.deliveries.plan(new_issue(tx), [("post", "ada@b\u00fccher.example"), ("post", "b@example.org")], NOW)
    assert [row.recipient for row in tx.deliveries.lease("post", 9, NOW)] == ["b@example.org"]


def test_what_keeps_a_publication_from_somebody_is_told_apart_from_the_rest(tx: Tx) -> None:
    for publication in ("weekly", "daily", ""):
        tx.suppressions.add(suppression("a@example.org", publication))
    assert [one.publication for one in tx.suppressions.of("A@example.org")] == ["", "daily", "weekly"]
    assert [one.publication for one in tx.suppressions.of("a@example.org", "weekly")] == ["", "weekly"]
    assert tx.suppressions.of("b@example.org") == ()


def test_a_reason_of_the_readers_own_gives_way_to_another_and_never_the_other_way(tx: Tx) -> None:
    assert tx.suppressions.add(suppression("a@example.org", reason="unsubscribed"))
    assert not tx.suppressions.add(suppression("a@example.org", reason="erased"))
    assert tx.suppressions.add(suppression("a@example.org", reason="complaint"))
    assert not tx.suppressions.add(suppression("a@example.org", reason="unsubscribed"))
    assert [one.reason for one in tx.suppressions.of("a@example.org")] == ["complaint"]


def test_a_reader_takes_back_what_they_said_themselves_and_nothing_else(tx: Tx) -> None:
    reasons = {"weekly": "unsubscribed", "daily": "unsubscribed", "monthly": "complaint", "": "unsubscribed"}
    for publication, reason in reasons.items():
        tx.suppressions.add(suppression("a@example.org", publication, reason))
    assert tx.suppressions.lift("A@example.org", "weekly", ["daily", "monthly", "yearly"]) == 2
    left = {one.publication: one.reason for one in tx.suppressions.of("a@example.org")}
    assert left == {"daily": "unsubscribed", "monthly": "complaint", "yearly": "unsubscribed"}
    assert tx.suppressions.lift("a@example.org", "monthly") == 0


NOTICED = [("unsubscribed", State.SENDING), ("erased", State.SENDING), ("hard", State.SUPPRESSED)]
NOTICED += [("soft", State.SUPPRESSED), ("complaint", State.SUPPRESSED), ("by hand", State.SUPPRESSED)]


@pytest.mark.parametrize(("reason", "state"), NOTICED)
def test_a_notice_goes_to_who_had_left_and_to_nobody_else_on_the_list(tx: Tx, reason: str, state: State) -> None:
    tx.suppressions.add(suppression("a@example.org", reason=reason))
    notice = tx.issues.notice("weekly", "Please confirm", (), NOW)
    tx.deliveries.plan(notice.id, [("post", "a@example.org")], NOW, subscriber=7)
    issue = new_issue(tx)
    tx.deliveries.plan(issue, [("post", "a@example.org")], NOW)
    leased = tx.deliveries.lease("post", 9, NOW)
    assert [row.subscriber for row in leased] == [7] * (state is State.SENDING)
    assert tx.deliveries.by_state(notice.id) == {state: 1}
    assert tx.deliveries.by_state(issue) == {State.SUPPRESSED: 1}


def test_an_erased_address_is_on_the_list_without_being_told(tx: Tx) -> None:
    tx.suppressions.add(suppression("a@example.org", "weekly", "unsubscribed"))
    tx.suppressions.add(suppression("b@example.org", "weekly", "complaint"))
    for address in ("A@example.org", "b@example.org"):
        tx.suppressions.erase(address, NOW)
    listed = tx.suppressions.list(limit=9)
    assert sorted((one.publication, one.reason) for one in listed) == [("", "erased")] * 2 + [("weekly", "complaint")]
    assert all(re.fullmatch("#[0-9a-f]{40}", one.address) for one in listed)
    assert [one.reason for one in tx.suppressions.of("a@EXAMPLE.org")] == ["erased"]
    tx.deliveries.plan(new_issue(tx), [("post", "a@example.org"), ("post", listed[0].address)], NOW)
    assert tx.deliveries.lease("post", 9, NOW) == []
    assert tx.suppressions.remove("a@example.org") == 1
    assert tx.suppressions.of("a@example.org") == ()


def test_the_list_is_told_page_by_page_while_it_grows(tx: Tx) -> None:
    for address, publication in (("b@example.org", "weekly"), ("b@example.org", ""), ("c@example.org", "")):
        tx.suppressions.add(suppression(address, publication))
    first = tx.suppressions.page(limit=1)
    tx.suppressions.add(suppression("a@example.org"))
    rest = tx.suppressions.page((first[0].address, first[0].publication), limit=9)
    told = [(one.address[0], one.publication) for one in (*first, *rest)]
    assert told == [("b", ""), ("b", "weekly"), ("c", "")]
