"""The readers: who they are, what they wish, what came in at the doors, and the log of their consents."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, delete, exists, func, insert, or_, select, update

from publisher.mime import address_key
from publisher.model import State
from publisher.store.concern import Concern, chunks
from publisher.store.issues import finish
from publisher.store.rows import ConsentRow, SignUp, SubscriberRow, SubscriptionRow, Suppression
from publisher.store.suppressions import Suppressions
from publisher.store.tables import (
    asked,
    consents,
    deliveries,
    documents,
    issues,
    returns,
    signups,
    subscribers,
    subscriptions,
)

ASK_AGAIN = timedelta(hours=24)
"""How long nobody is asked for a confirmation again, whoever wants it."""

_ROW = [column for column in subscribers.c if column.name != "key"]
_SIGN_UP = [column for column in signups.c if column.name != "key"]
_SAID = [column for column in consents.c if column.name not in ("id", "person")]


class Subscribers(Concern):
    """All that is known of readers."""

    def get(self, id: int) -> SubscriberRow | None:
        """One subscriber; None when there is none of that id."""
        return self._one(subscribers.c.id == id)

    def by_address(self, address: str) -> SubscriberRow | None:
        """The subscriber of an address, however it is written."""
        return self._one(subscribers.c.key == address_key(address))

    def _one(self, which: ColumnElement[bool]) -> SubscriberRow | None:
        row = self._connection.execute(select(*_ROW).where(which)).one_or_none()
        return SubscriberRow(**row._asdict()) if row else None

    def add(
        self, address: str, *, name: str = "", language: str = "", timezone: str = "", now: datetime
    ) -> SubscriberRow:
        """A new subscriber; or the one that has this address, who is left as they are."""
        row: dict[str, Any] = {"key": address_key(address), "address": address, "name": name, "language": language}
        row |= {"timezone": timezone, "links": 0, "created": now}
        new = self._insert(subscribers).values(row).on_conflict_do_nothing().returning(*_ROW)
        made = self._connection.execute(new).one_or_none()
        found = SubscriberRow(**made._asdict()) if made else self.by_address(address)
        assert found  # noqa: S101 (nobody was added because they are there)
        return found

    def put(self, row: SubscriberRow) -> SubscriberRow | None:
        """Write what a subscriber changed.  With another address their links are of a new generation.

        Returns:
            As they are now; None where they are gone, or the address is somebody else's.
        """
        key = address_key(row.address)
        if self._one(and_(subscribers.c.key == key, subscribers.c.id != row.id)):
            return None
        links = subscribers.c.links + case((subscribers.c.key != key, 1), else_=0)
        told = {name: value for name, value in asdict(row).items() if name not in ("id", "links", "created")}
        changed = update(subscribers).where(subscribers.c.id == row.id).values(**told, key=key, links=links)
        now = self._connection.execute(changed.returning(*_ROW)).one_or_none()
        return SubscriberRow(**now._asdict()) if now else None

    def list(self, publication: str = "", state: str = "", *, after: int = 0, limit: int) -> tuple[SubscriberRow, ...]:
        """Subscribers in the order of their ids, those of a publication or state where one is named.

        Args:
            after: the last id that was told before.
        """
        chosen = _subscribed(select(*_ROW), publication, state).where(subscribers.c.id > after)
        rows = self._connection.execute(chosen.order_by(subscribers.c.id).limit(limit))
        return tuple(SubscriberRow(**row._asdict()) for row in rows)

    def count(self, publication: str = "", state: str = "") -> int:
        """How many subscribers there are, of a publication or in a state where one is named."""
        counted = _subscribed(select(func.count()).select_from(subscribers), publication, state)
        return int(self._connection.execute(counted).scalar_one())

    # What they wish.

    def subscriptions(self, id: int) -> tuple[SubscriptionRow, ...]:
        """A subscriber's subscriptions, by publication; those that they left, too."""
        theirs = select(subscriptions).where(subscriptions.c.subscriber == id).order_by(subscriptions.c.publication)
        return tuple(SubscriptionRow(**row._asdict()) for row in self._connection.execute(theirs))

    def subscriptions_of(self, ids: Iterable[int]) -> dict[int, tuple[SubscriptionRow, ...]]:
        """The same of many at once, by subscriber."""
        theirs: dict[int, tuple[SubscriptionRow, ...]] = {}
        for chunk in chunks(ids):
            told = select(subscriptions).where(subscriptions.c.subscriber.in_(chunk))
            for row in self._connection.execute(told.order_by(subscriptions.c.subscriber, subscriptions.c.publication)):
                theirs[row.subscriber] = (*theirs.get(row.subscriber, ()), SubscriptionRow(**row._asdict()))
        return theirs

    def by_state(self) -> dict[str, dict[str, int]]:
        """How many subscriptions each publication has in each state."""
        columns = (subscriptions.c.publication, subscriptions.c.state)
        counted: dict[str, dict[str, int]] = {}
        for publication, state, count in self._connection.execute(select(*columns, func.count()).group_by(*columns)):
            counted.setdefault(publication, {})[state] = count
        return counted

    def subscribe(self, row: SubscriptionRow) -> None:
        """Write a subscription, be it new or not."""
        self._upsert(subscriptions, asdict(row))

    def leave(self, address: str, said: ConsentRow) -> None:
        """Send somebody nothing more, subscriber or not: of ``said.publication``, or of all where it is empty.

        They are on the suppression list then, until they themselves confirm that they want to come back.
        """
        of, reason = said.publication, "unsubscribed"
        on = Suppression(address=address, publication=of, reason=reason, detail=said.wording, moment=said.moment)
        Suppressions(self._connection, self._owner).add(on)
        row = self.by_address(address)
        if row:
            theirs = update(subscriptions).where(subscriptions.c.subscriber == row.id, subscriptions.c.state != "left")
            theirs = theirs.where(subscriptions.c.publication == of) if of else theirs
            self._connection.execute(theirs.values(state="left", left=said.moment, since=None))
        self.consent(address, said)

    def drop_unconfirmed(self, before: datetime, now: datetime) -> int:
        """Forget the subscriptions that have waited for a confirmation since before then, and who has no other.

        Returns:
            How many subscriptions.
        """
        waiting = delete(subscriptions).where(subscriptions.c.state == "pending", subscriptions.c.asked < before)
        owners = self._connection.scalars(waiting.returning(subscriptions.c.subscriber)).all()
        for id in set(owners):
            row = self.get(id)
            if row and not self.subscriptions(id):
                self._redact(deliveries.c.subscriber == id, self._hashed(row.address), now)
                self._connection.execute(delete(subscribers).where(subscribers.c.id == id))
        return len(owners)

    # What came in at the doors.

    def sign_up(self, new: SignUp) -> int:
        """Keep a sign-up until it is dealt with; returns its id."""
        row = {name: value for name, value in asdict(new).items() if name != "id"}
        kept = insert(signups).values(**row, key=address_key(new.address)).returning(signups.c.id)
        return int(self._connection.execute(kept).scalar_one())

    def waiting(self, limit: int) -> tuple[SignUp, ...]:
        """The sign-ups that nobody has dealt with, the first first.  In a writing transaction only: until it ends no
        other one gets them.
        """
        first = select(*_SIGN_UP).where(signups.c.done.is_(None)).order_by(signups.c.id).limit(limit)
        rows = self._connection.execute(first.with_for_update(skip_locked=True))
        return tuple(SignUp(**row._asdict()) for row in rows)

    def signed_up(self, id: int) -> SignUp | None:
        """One sign-up, dealt with or not; None where there is none of that id, or it was forgotten."""
        row = self._connection.execute(select(*_SIGN_UP).where(signups.c.id == id)).one_or_none()
        return SignUp(**row._asdict()) if row else None

    def is_waiting(self) -> bool:
        """Whether a sign-up waits to be dealt with."""
        return (
            self._connection.execute(select(signups.c.id).where(signups.c.done.is_(None)).limit(1)).first() is not None
        )

    def deal_with(self, ids: Iterable[int], now: datetime) -> None:
        """Note that these sign-ups were dealt with."""
        for chunk in chunks(ids):
            self._connection.execute(update(signups).where(signups.c.id.in_(chunk)).values(done=now))

    def signups_since(self, moment: datetime, network: str = "") -> int:
        """How many sign-ups came in since then, from a network where one is named."""
        counted = select(func.count()).select_from(signups).where(signups.c.moment >= moment)
        if network:
            counted = counted.where(signups.c.network == network)
        return self._connection.execute(counted).scalar_one()

    def prune_signups(self, before: datetime) -> int:
        """Forget the sign-ups that were dealt with and came in before then; returns how many."""
        self._connection.execute(delete(asked).where(asked.c.moment < before - ASK_AGAIN))
        old = delete(signups).where(signups.c.moment < before, signups.c.done.is_not(None))
        return self._connection.execute(old).rowcount

    def may_ask(self, address: str, now: datetime) -> bool:
        """Whether a confirmation may be mailed to an address; if so, the next one may in ``ASK_AGAIN``.

        One statement decides, so that of any number of askers in any number of processes one is told yes.
        """
        row = {"key": self._hashed(address), "moment": now}
        free = asked.c.moment <= now - ASK_AGAIN
        upsert = self._insert(asked).values(row).on_conflict_do_update(index_elements=["key"], set_=row, where=free)
        return self._count(upsert) == 1

    # What they said to it.

    def consent(self, address: str, said: ConsentRow) -> None:
        """Append to the log.  It knows the person by the hash of their address, and outlives their erasure."""
        self._connection.execute(insert(consents).values(**asdict(said), person=self._hashed(address)))

    def history(self, address: str) -> tuple[ConsentRow, ...]:
        """What the log knows of an address, the first first."""
        told = select(*_SAID).where(consents.c.person == self._hashed(address)).order_by(consents.c.id)
        return tuple(ConsentRow(**row._asdict()) for row in self._connection.execute(told))

    # Their end.

    def erase(self, id: int, now: datetime) -> None:
        """Forget a subscriber: nothing that is kept tells who they were, and nothing is sent to them any more."""
        row = self.get(id)
        if row is None:
            return
        key, hashed = self._names(row.address)
        self._redact(or_(deliveries.c.subscriber == id, deliveries.c.recipient.in_((row.address, key))), hashed, now)
        self._connection.execute(update(returns).where(returns.c.address == key).values(address=hashed, detail=""))
        Suppressions(self._connection, self._owner).erase(key, now)
        self._connection.execute(update(consents).where(consents.c.person == hashed).values(network=""))
        for gone in (
            delete(asked).where(asked.c.key == hashed),
            delete(signups).where(or_(signups.c.key == key, signups.c.subscriber == id)),
            delete(subscriptions).where(subscriptions.c.subscriber == id),
            delete(subscribers).where(subscribers.c.id == id),
        ):
            self._connection.execute(gone)

    def _redact(self, theirs: ColumnElement[bool], hashed: str, now: datetime) -> None:
        """Take a person out of their deliveries, what came back, and their notices; what was not yet sent is not."""
        known = or_(theirs, deliveries.c.recipient == hashed)
        rows = self._connection.execute(
            select(deliveries.c.id, deliveries.c.issue, deliveries.c.channel).where(known).order_by(deliveries.c.id)
        ).all()
        first = {(row.issue, row.channel): row.id for row in reversed(rows)}
        # An issue that went to two spellings of one address has two rows, which must not come to bear one name.
        for twin in sorted({row.id for row in rows}.difference(first.values())):
            self._rename([twin], f"{hashed}.{twin}", now)
        self._rename(first.values(), hashed, now)
        for chunk in chunks({row.issue for row in rows}):
            notices = select(issues.c.id).where(issues.c.id.in_(chunk), issues.c.number == 0)
            self._connection.execute(delete(documents).where(documents.c.issue.in_(notices)))
            for issue in chunk:
                finish(self._connection, issue, now)

    def _rename(self, ids: Iterable[int], recipient: str, now: datetime) -> None:
        off = {"state": State.SUPPRESSED, "settled": now, "next_at": None, "owner": ""}
        for chunk in chunks(ids):
            these = update(deliveries).where(deliveries.c.id.in_(chunk))
            self._connection.execute(these.values(recipient=recipient, detail=""))
            self._connection.execute(these.where(deliveries.c.settled.is_(None)).values(off))
            back = update(returns).where(returns.c.delivery.in_(chunk))
            self._connection.execute(back.values(address=recipient, detail=""))


def _subscribed(chosen: Select[Any], publication: str, state: str) -> Select[Any]:
    """Of subscribers, those with a subscription to that publication in that state; empty: any."""
    wanted = {"publication": publication, "state": state}
    named = [subscriptions.c[name] == value for name, value in wanted.items() if value]
    return chosen.where(exists().where(subscriptions.c.subscriber == subscribers.c.id, *named)) if named else chosen
