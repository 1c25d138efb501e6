"""What came back takes effect: on a real store, with the tokens that deliveries carry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from outside import Clock
from store_samples import new_issue

from publisher.app import load
from publisher.bounces import Fate, Returned, Returns
from publisher.bounces.policy import GOOD_AFTER, SOFT_MANY
from publisher.mime import message_id
from publisher.model import State
from publisher.store import Return, Settled, Store, open_store
from publisher.tokens import token

SECRET = "a secret"
ADA, BOB = "Ada@example.org", "bob@example.org"
DAY = timedelta(days=1)
CONFIG = """
channels:
  post: {kind: smtp, url: "smtp://127.0.0.1", bounces: "b+{token}@example.org", unsubscribe: "u+{token}@example.org"}
"""


@dataclass
class House:
    store: Store
    returns: Returns
    clock: Clock

    def send(self, recipient: str = ADA) -> int:
        """A delivery that was sent now."""
        with self.store.write() as tx:
            issue = new_issue(tx)
            tx.deliveries.plan(issue, [("post", recipient)], self.clock())
            [leased] = tx.deliveries.lease("post", 1, self.clock())
            tx.deliveries.settle([Settled(id=leased.id, state=State.SENT, detail="250", at=self.clock())])
        return leased.id

    def tell(self, fate: Fate, delivery: int, *, event: str = "", verified: bool = False, **told: str) -> bool:
        """Something that brings the token of a delivery."""
        found = Returned(fate=fate, token=token("bounce", delivery, SECRET), **told)
        return self.returns.apply([found], event=event, verified=verified)

    @property
    def suppressed(self) -> list[tuple[str, str, str]]:
        with self.store.read() as tx:
            return [(one.address, one.publication, one.reason) for one in tx.suppressions.list(limit=100)]

    @property
    def returned(self) -> list[Return]:
        with self.store.read() as tx:
            return tx.suppressions.returned(limit=100)


@pytest.fixture
def house(tmp_path: Path, write_config: Callable[[str], Path], clock: Clock) -> Iterator[House]:
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    settings = load(write_config(CONFIG), {})
    yield House(store, Returns(store=store, settings=settings, secret=SECRET, clock=clock), clock)
    store.close()


@pytest.mark.parametrize(
    ("fate", "expected"),
    [
        (Fate.HARD, ("ada@example.org", "", "hard")),
        (Fate.COMPLAINT, ("ada@example.org", "", "complaint")),
        (Fate.UNSUBSCRIBE, ("ada@example.org", "weekly", "unsubscribed")),
    ],
)
def test_hard_complaint_and_wish_suppress_at_once(house: House, fate: Fate, expected: tuple[str, str, str]) -> None:
    delivery = house.send()
    assert house.tell(fate, delivery, status="5.1.1", detail="550 unknown")
    assert house.suppressed == [expected]
    [row] = house.returned
    assert (row.delivery, row.address, row.fate, row.status) == (delivery, "ada@example.org", fate, "5.1.1")
    with house.store.read() as tx:
        assert tx.deliveries.get(delivery).state is State.SENT


def test_what_is_told_again_changes_nothing_even_after_the_operator_has_undone_it(house: House) -> None:
    delivery = house.send()
    house.tell(Fate.HARD, delivery, detail="first")
    before = house.returned
    with house.store.write() as tx:
        tx.suppressions.remove(ADA)
    house.clock.now += DAY
    house.tell(Fate.HARD, delivery, detail="the same, from a provider", event="x", verified=True)
    assert house.returned == before
    assert house.suppressed == []
    house.tell(Fate.HARD, house.send())
    assert [reason for *_, reason in house.suppressed] == ["hard"]


def test_an_answer_and_a_delay_leave_no_trace_but_are_ours(house: House) -> None:
    assert house.tell(Fate.NOTHING, house.send())
    assert not house.returns.apply([Returned(fate=Fate.NOTHING, recipient=ADA)], event="spam")
    assert (house.suppressed, house.returned) == ([], [])


@pytest.mark.parametrize("fate", [Fate.HARD, Fate.SOFT, Fate.COMPLAINT, Fate.UNSUBSCRIBE])
def test_what_may_be_forged_is_kept_and_shown_and_suppresses_nobody(house: House, fate: Fate) -> None:
    delivery = house.send()
    forged = token("bounce", delivery, "a guess")
    for purpose in (forged, "", token("archive", delivery, SECRET), token("bounce", 10**12, SECRET)):
        found = Returned(fate=fate, token=purpose, recipient=ADA, message_id="made@up.example", detail="550 5.1.1")
        assert house.returns.apply([found], event=f"message {purpose}")
    assert house.suppressed == []
    assert {(row.fate, row.delivery, row.detail) for row in house.returned} == {
        ("unproven", None, f"{fate}: 550 5.1.1")
    }


def test_a_bounce_without_a_token_counts_where_it_quotes_the_message_id(house: House) -> None:
    house.send(BOB)
    with house.store.read() as tx:
        [row] = tx.deliveries.to(BOB, limit=10)
    known = message_id(row.issue, "post", BOB, "news.example.org", SECRET)
    house.returns.apply([Returned(fate=Fate.HARD, recipient=ADA, message_id=known)], event="about another")
    assert house.suppressed == []
    house.returns.apply([Returned(fate=Fate.HARD, recipient=BOB, message_id=known)], event="about them")
    assert house.suppressed == [(BOB, "", "hard")]


def test_a_provider_needs_no_token(house: House) -> None:
    house.returns.apply([Returned(fate=Fate.HARD, recipient=BOB)], event="mailgun", verified=True)
    assert house.suppressed == [(BOB, "", "hard")]


def test_an_address_behind_an_alias_does_not_cost_the_alias(house: House) -> None:
    house.tell(Fate.HARD, house.send(), recipient="member@elsewhere.example")
    assert house.suppressed == []
    assert [(row.address, row.fate) for row in house.returned] == [("ada@example.org", "soft")]


def test_soft_ones_suppress_after_a_week_of_nothing_else(house: House) -> None:
    for day in range(8):
        assert house.suppressed == [], day
        house.tell(Fate.SOFT, house.send())
        house.clock.now += DAY
    assert house.suppressed == [("ada@example.org", "", "soft")]


def test_many_soft_ones_of_one_day_suppress_nobody(house: House) -> None:
    for _ in range(4 * SOFT_MANY):
        house.tell(Fate.SOFT, house.send())
        house.clock.now += timedelta(hours=1)
    assert house.suppressed == []


def test_a_delivery_that_arrived_forgives_what_was_before(house: House) -> None:
    for day in range(13):
        assert house.suppressed == [], day
        delivery = house.send()
        if day != 4:
            house.tell(Fate.SOFT, delivery)
        house.clock.now += DAY
    # Those from day 5 on counted: a week of them ended on day 12.
    assert house.suppressed == [("ada@example.org", "", "soft")]


def test_a_delivery_counts_as_arrived_only_when_it_has_not_come_back_for_some_days(house: House) -> None:
    for _ in range(8):
        house.tell(Fate.SOFT, house.send())
        house.clock.now += DAY
        with house.store.write() as tx:
            tx.suppressions.remove(ADA)
    last, _ = house.send(), house.send()
    house.clock.now += GOOD_AFTER - timedelta(hours=1)
    house.tell(Fate.SOFT, last)
    assert [reason for *_, reason in house.suppressed] == ["soft"]
    with house.store.write() as tx:
        tx.suppressions.remove(ADA)
    house.clock.now += timedelta(hours=2)
    house.tell(Fate.SOFT, house.send())
    assert house.suppressed == []


def test_a_wish_by_mail_counts_with_either_token_and_a_bounce_with_its_own_only(house: House) -> None:
    link = token("unsubscribe", house.send(), SECRET)
    mail = f"From: Someone <else@example.net>\nTo: u+{link}@example.org\nSubject: unsubscribe\n\n".encode()
    assert house.returns.take(mail)
    assert house.suppressed == [("ada@example.org", "weekly", "unsubscribed")]
    house.returns.apply([Returned(fate=Fate.HARD, token=link, recipient=ADA)], event="x")
    assert [row.fate for row in house.returned if row.delivery is None] == ["unproven"]


def test_all_that_a_message_tells_is_committed_or_nothing(house: House) -> None:
    first, broken = house.send(), house.send(BOB)

    def told() -> Iterator[Returned]:
        yield Returned(fate=Fate.HARD, token=token("bounce", first, SECRET))
        yield Returned(fate=Fate.HARD, token=token("bounce", broken, SECRET))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        house.returns.apply(told(), event="x")
    assert (house.suppressed, house.returned) == ([], [])


def test_a_link_leads_to_its_publication_and_to_no_other_purpose(house: House) -> None:
    delivery = house.send()
    link = token("unsubscribe", delivery, SECRET)
    assert house.returns.publication_of(link) == "weekly"
    for wrong in (token("bounce", delivery, SECRET), token("unsubscribe", 10**12, SECRET), "", "x" * 200):
        assert house.returns.publication_of(wrong) is None
        assert house.returns.unsubscribe(wrong) is None
    assert house.suppressed == []
    assert house.returns.unsubscribe(link) == "weekly"
    assert house.returns.unsubscribe(link, everything=True) == "weekly"
    assert {name for _, name, _ in house.suppressed} == {"", "weekly"}


def test_a_delivery_to_no_person_cannot_be_unsubscribed_or_suppressed(house: House) -> None:
    delivery = house.send("")
    assert house.returns.unsubscribe(token("unsubscribe", delivery, SECRET)) is None
    house.tell(Fate.COMPLAINT, delivery)
    assert house.suppressed == []
