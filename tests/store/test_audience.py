"""Whom an issue is for, asked and written without a look at one reader after another."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from store_samples import LATER, NOW, arrival, new_issue

from publisher.store import Audience, Group, PublicationState, Store, SubscriptionRow, Tx

WEEKLY = Audience(publication="weekly", others=("daily", "now"), language="en", now=NOW)
DAILY = replace(WEEKLY, frequency="daily")


def reader(tx: Tx, name: str, *, language: str = "", timezone: str = "", paused: datetime | None = None, **more: Any):
    """A subscriber to the weekly; ``more`` is told of the subscription."""
    row = tx.subscribers.add(f"{name}@example.org", name=name, language=language, timezone=timezone, now=NOW)
    if paused:
        tx.subscribers.put(replace(row, paused_until=paused))
    given = {"publication": "weekly", "state": "active"} | more
    tx.subscribers.subscribe(SubscriptionRow(subscriber=row.id, **given))
    return row


def planned(tx: Tx, issue: int) -> list[tuple[str, datetime | None]]:
    rows = tx.deliveries.list(issue=issue, limit=99)
    return [(row.recipient.split("@")[0], row.next_at) for row in sorted(rows, key=lambda row: row.id)]


def names(tx: Tx, issue: int) -> list[str]:
    return [name for name, _ in planned(tx, issue)]


def plan(tx: Tx, issues: dict[Group, int], base: int | None = None, audience: Audience = WEEKLY, **more: Any) -> int:
    given = {"at": NOW, "moments": {}} | more
    return tx.deliveries.plan_readers(audience, "post", issues, NOW, base=base, **given)


def test_readers_who_want_the_same_are_one_group(tx: Tx) -> None:
    reader(tx, "ada")
    reader(tx, "bob", language="en", frequency="weekly")  # the publication's language, and the first one's own name
    reader(tx, "cem", topics=("sea", "art"), frequency="monthly")  # which is not offered any more
    reader(tx, "dan", topics=("art", "sea"))
    reader(tx, "eva", language="de", since=7)
    reader(tx, "fay", paused=NOW)
    for name, more in [("gus", {"state": "left"}), ("hal", {"frequency": "daily"}), ("ivy", {"publication": "other"})]:
        reader(tx, name, **more)
    reader(tx, "joe", paused=LATER)
    found = {group: group.count for group in tx.subscribers.groups(WEEKLY)}
    assert found == {Group(): 3, Group(topics=("art", "sea")): 2, Group(language="de", since=7): 1}
    assert [group.count for group in tx.subscribers.groups(DAILY)] == [1]
    assert tx.subscribers.groups(replace(WEEKLY, publication="none")) == ()


def test_the_zones_of_an_audience_are_told_as_they_were_written(tx: Tx) -> None:
    for number, zone in enumerate(["Asia/Tokyo", "", "Asia/Tokyo", "nowhere"]):
        reader(tx, f"r{number}", timezone=zone)
    reader(tx, "daily", timezone="Europe/Berlin", frequency="daily")
    assert tx.subscribers.zones(WEEKLY) == ("", "Asia/Tokyo", "nowhere")


def test_each_reader_of_a_group_gets_its_issue(tx: Tx) -> None:
    ada, dan = reader(tx, "ada"), reader(tx, "dan", language="de", topics=("sea", "art"), since=3)
    reader(tx, "tom", topics=("sea",))
    reader(tx, "joe", paused=LATER)
    issues = {Group(): new_issue(tx), Group(language="de", topics=("art", "sea"), since=3): new_issue(tx)}
    assert plan(tx, issues) == 2
    assert [names(tx, issue) for issue in issues.values()] == [["ada"], ["dan"]]
    assert {row.recipient: row.subscriber for row in tx.deliveries.list(limit=9)} == {
        ada.address: ada.id,
        dan.address: dan.id,
    }
    assert plan(tx, issues) == 0  # they are planned already


def test_whom_the_configuration_names_gets_one_mail_and_not_two(tx: Tx) -> None:
    tx.subscribers.add("ADA@example.org", now=NOW)
    for name in ("ada", "Bob", "cem"):
        reader(tx, name)
    base, variant = new_issue(tx), new_issue(tx)
    tx.deliveries.plan(
        base, [("post", "ada@example.org"), ("post", "Bob@example.org"), ("copy", "cem@example.org")], NOW
    )
    assert plan(tx, {Group(): variant}, base=base) == 1
    assert names(tx, variant) == ["cem"]


def test_what_is_due_first_has_the_lowest_id_and_waits_for_its_moment(tx: Tx) -> None:
    for name, zone in [("hal", "Pacific/Honolulu"), ("ben", ""), ("kim", "Pacific/Kiritimati"), ("ann", "")]:
        reader(tx, name, timezone=zone)
    issue, noon, night = new_issue(tx), NOW + timedelta(hours=5), NOW + timedelta(hours=20)
    plan(tx, {Group(): issue}, at=noon, moments={"Pacific/Kiritimati": NOW, "Pacific/Honolulu": night})
    assert planned(tx, issue) == [("kim", NOW), ("ann", noon), ("ben", noon), ("hal", night)]
    assert [row.recipient for row in tx.deliveries.lease("post", 9, NOW)] == ["kim@example.org"]


def test_a_lease_tells_whose_each_delivery_is(tx: Tx) -> None:
    ada = reader(tx, "ada", language="de")
    issue = new_issue(tx)
    tx.deliveries.plan(issue, [("post", "zoe@example.org")], NOW)
    plan(tx, {Group(language="de"): issue})
    zoe, hers = tx.deliveries.lease("post", 9, NOW)
    assert (zoe.subscriber, zoe.name, zoe.links, zoe.language) == (None, "", 0, "")
    assert (hers.subscriber, hers.name, hers.links, hers.language) == (ada.id, "ada", 0, "de")


def since(tx: Tx) -> dict[str, int | None]:
    rows = tx.subscribers.list(limit=999)
    return {row.name: one.since for row in rows for one in tx.subscribers.subscriptions(row.id)}


def test_how_far_a_group_was_told_is_noted_of_its_readers_alone(tx: Tx) -> None:
    reader(tx, "ada")
    reader(tx, "bob", since=4)
    reader(tx, "cem", topics=("art",), since=4)
    reader(tx, "joe", since=4, paused=LATER)
    reader(tx, "kay", since=4, frequency="daily")
    tx.subscribers.tell(WEEKLY, {Group(since=4): 9})
    assert since(tx) == {"ada": None, "bob": 9, "cem": 4, "joe": 4, "kay": 4}
    tx.subscribers.tell(WEEKLY, {Group(): 9, Group(since=9): None, Group(since=1): 3})
    assert since(tx) == {"ada": 9, "bob": None, "cem": 4, "joe": 4, "kay": 4}
    assert tx.subscribers.earliest() == 4


def test_who_chose_a_frequency_goes_on_from_where_they_are(tx: Tx) -> None:
    reader(tx, "ada", frequency="daily")
    reader(tx, "bob", frequency="daily", since=2)
    reader(tx, "cem")
    tx.subscribers.hold_place("weekly", "daily", 6)
    assert since(tx) == {"ada": 6, "bob": 2, "cem": None}


def test_who_follows_all_was_told_what_they_were(tx: Tx) -> None:
    ada, bob = reader(tx, "ada", frequency="daily"), reader(tx, "bob", frequency="daily", since=2)
    tx.publications.put(PublicationState(name="weekly", since=5, known=NOW))
    tx.publications.put(PublicationState(name="weekly/daily", since=8, known=NOW))
    [hers], [his] = tx.subscribers.subscriptions(ada.id), tx.subscribers.subscriptions(bob.id)
    assert tx.subscribers.told_until(hers, "daily") == 8
    assert tx.subscribers.told_until(hers, "") == 5
    assert tx.subscribers.told_until(his, "daily") == 2


def test_nobody_waits_for_an_entry_who_has_left(tx: Tx) -> None:
    assert tx.subscribers.earliest() is None
    reader(tx, "ada", since=3, state="left")
    reader(tx, "bob", since=5, paused=LATER)
    assert tx.subscribers.earliest() == 5


def test_many_groups_are_planned_and_told_at_once(store: Store) -> None:
    with store.write() as tx:
        tx.entries.add("blog", [arrival("a")], NOW)
        for number in range(700):
            reader(tx, f"r{number}", topics=(f"topic{number}",), since=number)
        groups = tx.subscribers.groups(WEEKLY)
        assert len(groups) == 700
        issue = new_issue(tx)
        assert plan(tx, dict.fromkeys(groups, issue)) == 700
        tx.subscribers.tell(WEEKLY, dict.fromkeys(groups))
        assert set(since(tx).values()) == {None}


@pytest.mark.parametrize("slot", ["2026-01-01T08:00:00", "entry 12"])
def test_a_schedules_old_runs_are_forgotten_whatever_it_goes_by(tx: Tx, slot: str) -> None:
    later = slot.replace("12", "13").replace("2026-01-01", "2026-03-01")
    for name, now in [(slot, NOW - timedelta(days=40)), (later, NOW)]:
        assert tx.runs.claim("compose weekly/now", name, now)
        assert tx.runs.finish("compose weekly/now", name, "", now)
    assert [run.slot for run in tx.runs.recent(9)] == [later]
