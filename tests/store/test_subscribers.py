from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy
from store_samples import LATER, NOW, new_issue

from publisher.model import Document, State
from publisher.store import (
    ConsentRow,
    Departure,
    Enrolment,
    Return,
    Settled,
    SignUp,
    Standing,
    Store,
    SubscriberRow,
    SubscriptionRow,
    Suppression,
    Tx,
)

DAY = timedelta(days=1)
READERS: dict[str, tuple[str, ...]] = {"ada": ("active", "left"), "ben": ("active",), "cem": ()}
"""Names, and the states of their subscriptions."""


def subscriber(tx: Tx, address: str = "ada@example.org", *states: str) -> SubscriberRow:
    """A new one, with a subscription of each state, to a publication of that name."""
    row = tx.subscribers.add(address, now=NOW)
    for state in states:
        tx.subscribers.subscribe(SubscriptionRow(subscriber=row.id, publication=state, state=state, asked=NOW))
    return row


def sign_up(address: str = "ada@example.org", **more: Any) -> SignUp:
    given: dict[str, Any] = {"publications": ("weekly",), "door": "page", "moment": NOW} | more
    return SignUp(address=address, **given)


# --- who they are ----------------------------------------------------------------------------------------------------


def test_a_subscriber_is_known_by_their_address_however_it_is_written(tx: Tx) -> None:
    told = {"name": "Ada", "language": "de", "timezone": "Europe/Berlin"}
    ada = tx.subscribers.add("Ada@Bücher.example", **told, now=NOW)
    assert ada == SubscriberRow(id=ada.id, address="Ada@Bücher.example", **told, links=0, created=NOW)
    assert tx.subscribers.get(ada.id) == ada
    assert tx.subscribers.by_address("ada@xn--bcher-kva.example") == ada
    assert tx.subscribers.add("ADA@bücher.example", name="Other", now=LATER) == ada
    assert tx.subscribers.get(ada.id + 1) is tx.subscribers.by_address("b@example.org") is None


def test_a_change_of_address_kills_the_links_and_no_other_change_does(tx: Tx) -> None:
    ada = subscriber(tx)
    wanted = replace(ada, name="Ada", address="Ada@example.org", paused_until=LATER)
    assert tx.subscribers.put(replace(wanted, links=99)) == wanted
    moved = tx.subscribers.put(replace(wanted, address="new@example.org"))
    assert moved == replace(wanted, address="new@example.org", links=1) == tx.subscribers.by_address("new@example.org")
    assert tx.subscribers.by_address("ada@example.org") is None


def test_nobody_gets_somebody_elses_address(tx: Tx) -> None:
    ada, bob = subscriber(tx), subscriber(tx, "bob@example.org")
    assert tx.subscribers.put(replace(bob, address="ADA@example.org")) is None
    assert tx.subscribers.put(replace(ada, id=99, address="c@example.org")) is None
    assert (tx.subscribers.get(ada.id), tx.subscribers.get(bob.id)) == (ada, bob)


def test_an_id_is_never_given_again(tx: Tx) -> None:
    ada = subscriber(tx)
    tx.subscribers.erase(ada.id, NOW)
    assert subscriber(tx).id > ada.id


def test_subscribers_are_listed_page_by_page(tx: Tx) -> None:
    for number in range(5):
        subscriber(tx, f"{number}@example.org", "active" if number % 2 else "pending")
    first = tx.subscribers.list(limit=3)
    rest = tx.subscribers.list(limit=3, after=first[-1].id)
    assert [row.address[0] for row in (*first, *rest)] == list("01234")
    assert [row.address[0] for row in tx.subscribers.list("active", limit=9)] == ["1", "3"]
    assert [row.address[0] for row in tx.subscribers.list(state="pending", limit=9, after=first[0].id)] == ["2", "4"]
    assert tx.subscribers.list("active", "pending", limit=9) == ()
    asked = [(), ("active",), ("", "pending"), ("active", "left")]
    assert [tx.subscribers.count(*which) for which in asked] == [5, 2, 3, 0]


# --- what they wish --------------------------------------------------------------------------------------------------


def test_a_subscription_is_kept_as_it_was_written_last(tx: Tx) -> None:
    ada = subscriber(tx)
    asked = SubscriptionRow(subscriber=ada.id, publication="weekly", state="pending", asked=NOW)
    active = replace(asked, state="active", frequency="daily", topics=("b", "a"), since=7, confirmed=LATER)
    other = replace(asked, publication="all")
    for row in (asked, active, other):
        tx.subscribers.subscribe(row)
    assert tx.subscribers.subscriptions(ada.id) == (other, replace(active, topics=("a", "b")))


def test_subscriptions_are_told_of_many_at_once_and_counted_by_state(tx: Tx) -> None:
    ada, ben, cem = (subscriber(tx, f"{name}@example.org", *states) for name, states in READERS.items())
    told = tx.subscribers.subscriptions_of([ada.id, ben.id, cem.id, 99])
    assert told == {row.id: tx.subscribers.subscriptions(row.id) for row in (ada, ben)}
    assert tx.subscribers.by_state() == {"active": {"active": 2}, "left": {"left": 1}}


def test_what_was_never_confirmed_is_forgotten_with_whom_has_nothing_else(tx: Tx) -> None:
    ada, bob = subscriber(tx, "ada@example.org", "pending"), subscriber(tx, "bob@example.org", "pending", "left")
    notice = tx.issues.notice("weekly", "Please confirm", (), NOW)
    tx.deliveries.plan(notice.id, [("post", "ada@example.org")], NOW, subscriber=ada.id)
    assert tx.subscribers.drop_unconfirmed(NOW, LATER) == 0
    assert tx.subscribers.drop_unconfirmed(LATER, LATER) == 2
    assert tx.subscribers.get(ada.id) is None
    assert [row.state for row in tx.subscribers.subscriptions(bob.id)] == ["left"]
    (row,) = tx.deliveries.list(limit=9)
    assert (row.recipient[0], row.state) == ("#", State.SUPPRESSED)
    assert tx.suppressions.of("ada@example.org") == ()


def test_who_leaves_one_keeps_the_others_and_who_leaves_all_keeps_none(tx: Tx) -> None:
    def states() -> dict[str, tuple[str, int | None]]:
        return {row.publication: (row.state, row.since) for row in tx.subscribers.subscriptions(ada.id)}

    ada = subscriber(tx, "ada@example.org", "pending", "left")
    tx.subscribers.subscribe(SubscriptionRow(subscriber=ada.id, publication="a", state="active", since=7))
    tx.subscribers.subscribe(SubscriptionRow(subscriber=ada.id, publication="b", state="active", since=7))
    said = ConsentRow(publication="a", act="left", moment=LATER, door="mail", wording="by mail")
    tx.subscribers.leave("Ada@example.org", said)
    assert states() == {"a": ("left", None), "b": ("active", 7), "left": ("left", None), "pending": ("pending", None)}
    tx.subscribers.leave("ada@example.org", replace(said, publication=""))
    assert states() == {"a": ("left", None), "b": ("left", None), "left": ("left", None), "pending": ("left", None)}
    assert [(one.publication, one.reason) for one in tx.suppressions.of("ada@example.org")] == [
        ("", "unsubscribed"),
        ("a", "unsubscribed"),
    ]
    assert [one.publication for one in tx.subscribers.history("ada@example.org")] == ["a", ""]


def test_whoever_is_no_subscriber_can_leave_too(tx: Tx) -> None:
    said = ConsentRow(publication="weekly", act="left", moment=NOW, door="link")
    tx.subscribers.leave("bob@example.org", said)
    assert len(tx.suppressions.of("bob@example.org", "weekly")) == 1
    assert tx.subscribers.history("bob@example.org") == (said,)


# --- many at once ----------------------------------------------------------------------------------------------------


def enrolment(address: str = "ada@example.org", **more: Any) -> Enrolment:
    given: dict[str, Any] = {"created": NOW, "confirmed": NOW, "wording": "Mailchimp, list.csv"} | more
    return Enrolment(address=address, **given)


def test_many_are_enrolled_at_once_as_one_would_be(tx: Tx) -> None:
    bob = subscriber(tx, "bob@example.org", "pending")
    told = {"name": "Ada", "language": "de", "timezone": "Europe/Berlin"}
    wish = {"frequency": "daily", "topics": ("b", "a")}
    tx.subscribers.enrol(
        "pending", [enrolment("Ada@Bücher.example", **told, **wish), enrolment("BOB@example.org", name="x")], "import"
    )
    ada = tx.subscribers.by_address("ada@bücher.example")
    assert ada == SubscriberRow(id=ada.id, address="Ada@Bücher.example", **told, created=NOW)
    active = SubscriptionRow(subscriber=ada.id, publication="pending", state="active", confirmed=NOW)
    assert tx.subscribers.subscriptions(ada.id) == (replace(active, frequency="daily", topics=("a", "b")),)
    assert tx.subscribers.by_address("bob@example.org") == bob
    assert tx.subscribers.subscriptions(bob.id) == (replace(active, subscriber=bob.id),)
    said = ConsentRow(publication="pending", act="imported", moment=NOW, door="import", wording="Mailchimp, list.csv")
    assert tx.subscribers.history("bob@example.org") == tx.subscribers.history("ada@bücher.example") == (said,)


def test_who_gets_it_already_is_left_as_they_are(tx: Tx) -> None:
    ada = subscriber(tx)
    active = SubscriptionRow(subscriber=ada.id, publication="weekly", state="active", frequency="daily", since=7)
    tx.subscribers.subscribe(active)
    tx.subscribers.enrol("weekly", [enrolment(confirmed=LATER)], "import")
    assert tx.subscribers.subscriptions(ada.id) == (active,)


def test_to_enrol_nobody_does_nothing(tx: Tx) -> None:
    tx.subscribers.enrol("weekly", [], "import")
    tx.subscribers.depart("weekly", [], "import")
    tx.subscribers.sign_up_all([])
    assert tx.suppressions.add_all([]) == 0
    assert tx.subscribers.standings([], "weekly") == {}


def test_many_leave_at_once_be_they_subscribers_or_not(tx: Tx) -> None:
    tx.subscribers.enrol("weekly", [enrolment()], "import")
    tx.subscribers.depart(
        "weekly",
        [Departure(address=f"{name}@example.org", moment=LATER, wording="gone") for name in ("ADA", "bob")],
        "import",
    )
    ada = tx.subscribers.by_address("ada@example.org")
    assert ada
    [sub] = tx.subscribers.subscriptions(ada.id)
    assert (sub.state, sub.left, sub.confirmed) == ("left", LATER, NOW)
    for address in ("ada@example.org", "bob@example.org"):
        [one] = tx.suppressions.of(address)
        assert (one.publication, one.reason, one.detail, one.moment) == ("weekly", "unsubscribed", "gone", LATER)
        assert tx.subscribers.history(address)[-1].act == "left"


def test_how_many_stand_to_a_publication_is_known_at_once(tx: Tx) -> None:
    tx.subscribers.enrol("weekly", [enrolment(confirmed=LATER), enrolment("erased@example.org")], "import")
    subscriber(tx, "bob@example.org", "weekly", "left")
    for address, reason, publication in [
        ("dead", "hard", ""),
        ("gone", "unsubscribed", "weekly"),
        ("x", "hard", "all"),
    ]:
        tx.suppressions.add(
            Suppression(address=f"{address}@example.org", publication=publication, reason=reason, moment=NOW)
        )
    erased = tx.subscribers.by_address("erased@example.org")
    assert erased
    tx.subscribers.erase(erased.id, NOW)
    tx.subscribers.sign_up_all([sign_up("wants@example.org"), sign_up("other@example.org", publications=("all",))])
    names = ("ADA", "bob", "dead", "gone", "x", "erased", "wants", "other", "nobody")
    assert tx.subscribers.standings([f"{name}@example.org" for name in names], "weekly") == {
        "ada@example.org": Standing(state="active", confirmed=LATER),
        "bob@example.org": Standing(state="weekly"),
        "dead@example.org": Standing(suppressed=frozenset({"hard"})),
        "gone@example.org": Standing(suppressed=frozenset({"unsubscribed"})),
        "erased@example.org": Standing(suppressed=frozenset({"erased"})),
        "wants@example.org": Standing(state="asked"),
    }
    assert [one.address for one in tx.subscribers.waiting(9)] == ["wants@example.org", "other@example.org"]


def test_many_more_than_a_statement_has_room_for(tx: Tx) -> None:
    many = [enrolment(f"r{number}@example.org") for number in range(40_000)]
    tx.subscribers.enrol("weekly", many, "import")
    standings = tx.subscribers.standings([one.address for one in many], "weekly")
    assert len(standings) == tx.subscribers.count("weekly", "active") == 40_000


def test_what_no_database_can_hold_is_kept_as_well_as_it_can_be(tx: Tx) -> None:
    tx.subscribers.enrol("weekly", [enrolment(name="A\0da", wording="x\ud800")], "import")
    row = tx.subscribers.by_address("ada@example.org")
    assert row
    assert row.name == "A\ufffdda"
    assert tx.subscribers.history("ada@example.org")[0].wording == "x\ufffd"


def test_subscriptions_are_told_page_by_page(tx: Tx) -> None:
    ada, bob = subscriber(tx, "ada@example.org", "left", "active"), subscriber(tx, "bob@example.org", "active")
    first = tx.subscribers.page(limit=2)
    assert [(row, sub.publication) for row, sub in first] == [(ada, "active"), (ada, "left")]
    assert tx.subscribers.page(after=(ada.id, "left"), limit=2) == ((bob, tx.subscribers.subscriptions(bob.id)[0]),)
    assert [row for row, _ in tx.subscribers.page("active", "active", limit=9)] == [ada, bob]
    asked = [(), ("active",), ("", "left"), ("active", "left")]
    assert [tx.subscribers.count_subscriptions(*which) for which in asked] == [3, 2, 1, 0]


# --- what came in at the doors ---------------------------------------------------------------------------------------


def test_a_sign_up_waits_until_it_is_dealt_with(tx: Tx) -> None:
    first = sign_up(publications=("weekly", "daily"), topics=("b", "a"), network="192.0.2.0/24", wording="Yes!")
    assert not tx.subscribers.is_waiting()
    ids = [tx.subscribers.sign_up(one) for one in (first, sign_up(moment=LATER), sign_up())]
    assert tx.subscribers.is_waiting()
    waiting = tx.subscribers.waiting(2)
    assert waiting[0] == replace(first, id=ids[0], publications=("daily", "weekly"), topics=("a", "b"))
    assert [one.id for one in waiting] == ids[:2]
    tx.subscribers.deal_with(ids[:2], LATER)
    assert [one.id for one in tx.subscribers.waiting(9)] == ids[2:]
    assert tx.subscribers.signed_up(ids[0]) == replace(waiting[0], done=LATER)
    assert tx.subscribers.signed_up(ids[2] + 1) is None


def test_two_processes_never_deal_with_one_sign_up(store: Store, join: Callable[[str], Store], url: str) -> None:
    if url.startswith("sqlite"):
        pytest.skip("SQLite has one writing transaction at a time")
    with store.write() as tx:
        ids = [tx.subscribers.sign_up(sign_up()) for _ in range(2)]
    with store.write() as tx, join("elsewhere").write() as other:
        assert [one.id for one in tx.subscribers.waiting(1)] == ids[:1]
        assert [one.id for one in other.subscribers.waiting(9)] == ids[1:]


NETWORKS = [("192.0.2.0/24", 0), ("198.51.100.0/24", 0), ("192.0.2.0/24", 1), ("192.0.2.0/24", 2)]


def test_sign_ups_are_counted_by_time_and_network_and_forgotten_once_dealt_with(tx: Tx) -> None:
    ids = [tx.subscribers.sign_up(sign_up(network=network, moment=NOW + days * DAY)) for network, days in NETWORKS]
    assert tx.subscribers.signups_since(NOW) == 4
    assert tx.subscribers.signups_since(NOW + DAY) == 2
    assert tx.subscribers.signups_since(NOW, "192.0.2.0/24") == 3
    tx.subscribers.deal_with(ids[1:], LATER)
    assert tx.subscribers.prune_signups(NOW + DAY) == 1
    assert tx.subscribers.signups_since(NOW) == 3


def test_an_address_is_asked_once_a_day_whoever_asks(tx: Tx) -> None:
    moments = [NOW, NOW, NOW + DAY - timedelta(seconds=1), NOW + DAY, NOW + DAY]
    answers = [tx.subscribers.may_ask("Ada@example.org", moment) for moment in moments]
    assert answers == [True, False, False, True, False]
    assert tx.subscribers.may_ask("bob@example.org", NOW)
    tx.subscribers.prune_signups(NOW + DAY)  # may not forget what still counts
    assert not tx.subscribers.may_ask("BOB@example.org", NOW + DAY / 2)


def test_of_many_who_ask_at_one_moment_one_may(store: Store) -> None:
    def ask(_: int) -> bool:
        with store.write() as tx:
            return tx.subscribers.may_ask("ada@example.org", NOW)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(24))) == 1


# --- what they said to it --------------------------------------------------------------------------------------------


def test_the_log_of_consents_is_told_from_the_first_word_on(tx: Tx) -> None:
    asked = ConsentRow(publication="weekly", act="asked", moment=NOW, door="page", network="n", wording="Yes!")
    confirmed = replace(asked, act="confirmed", moment=LATER, door="link")
    for address, said in (("Ada@example.org", asked), ("bob@example.org", asked), ("ada@example.org", confirmed)):
        tx.subscribers.consent(address, said)
    assert tx.subscribers.history("ADA@example.org") == (asked, confirmed)


# --- their end -------------------------------------------------------------------------------------------------------


def test_nothing_in_the_whole_store_tells_who_was_erased(store: Store, url: str) -> None:
    with store.write() as tx:
        ada = live(tx)
    assert mentions(url) > 10
    with store.write() as tx:
        tx.subscribers.erase(ada.id, LATER)
        tx.subscribers.erase(ada.id, LATER)
    assert mentions(url) == 0
    with store.write() as tx:
        (consent,) = tx.subscribers.history("ada@example.org")
        assert (consent.network, consent.wording, consent.act) == ("", "Yes!", "confirmed")
        assert [one.reason for one in tx.suppressions.of("ada@example.org")] == ["erased", "complaint"]
        rows = tx.deliveries.list(limit=9)
        assert all(tx.issues.get(row.issue).finished for row in rows)
        assert tx.deliveries.by_state() == {State.SENT: 1, State.SUPPRESSED: 4}
        assert tx.subscribers.may_ask("ada@example.org", NOW)


def live(tx: Tx) -> SubscriberRow:
    """Somebody who left traces everywhere."""
    before = tx.subscribers.add("Ada@old.example", name="Ada", now=NOW)
    tx.deliveries.plan(new_issue(tx), [("post", "Ada@old.example")], NOW, subscriber=before.id)
    (row,) = tx.deliveries.lease("post", 1, NOW)
    tx.deliveries.settle([Settled(id=row.id, state=State.SENT, detail="250 for Ada@old.example", at=NOW)])
    tx.suppressions.note(Return(key="k", delivery=row.id, address="ada@old.example", fate="soft", moment=NOW))
    ada = tx.subscribers.put(replace(before, address="Ada@example.org"))
    assert ada
    tx.subscribers.subscribe(SubscriptionRow(subscriber=ada.id, publication="weekly", state="active"))
    tx.subscribers.sign_up(sign_up("ADA@example.org", name="Ada"))
    tx.subscribers.may_ask("ada@example.org", NOW)
    said = ConsentRow(act="confirmed", moment=NOW, door="page", network="198.51.100.0/24", wording="Yes!")
    tx.subscribers.consent(ada.address, said)
    body = Document(name="mail.txt", media_type="text/plain", body=b"Dear ada@example.org")
    notice = tx.issues.notice("weekly", "Please confirm", [body], NOW)
    tx.deliveries.plan(notice.id, [("post", "ada@example.org")], NOW, subscriber=ada.id)
    issue = new_issue(tx)
    tx.deliveries.plan(issue, [("post", "Ada@example.org"), ("other", "Ada@example.org")], NOW, subscriber=ada.id)
    tx.deliveries.plan(issue, [("post", "ada@example.org")], NOW)  # the configuration names them, too
    tx.suppressions.note(Return(key="l", delivery=None, address="ada@example.org", fate="soft", moment=NOW))
    for publication, reason in (("weekly", "unsubscribed"), ("daily", "complaint")):
        tx.suppressions.add(Suppression(address="ada@example.org", publication=publication, reason=reason, moment=NOW))
    return ada


def mentions(url: str) -> int:
    """How many fields of the whole store tell her name or address."""
    engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        tables = sqlalchemy.inspect(connection).get_table_names()
        rows = [row for table in tables for row in connection.exec_driver_sql(f"SELECT * FROM {table}")]
    engine.dispose()
    texts = [
        value.decode(errors="replace") if isinstance(value, bytes) else str(value) for row in rows for value in row
    ]
    return sum(text.lower() == "ada" or "ada@" in text.lower() for text in texts)
