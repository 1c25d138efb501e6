"""The readers: who they are, what they wish, what came in at the doors, and the log of their consents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Insert,
    Select,
    Text,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    tuple_,
    update,
)

from publisher.mime import address_key
from publisher.model import State, digest_name
from publisher.store.audience import READERS, group_key, key_of, listening, spoken
from publisher.store.concern import Concern, chunks
from publisher.store.issues import finish
from publisher.store.publications import Publications
from publisher.store.rows import (
    Audience,
    ConsentRow,
    Departure,
    Enrolment,
    Group,
    SignUp,
    Standing,
    SubscriberRow,
    SubscriptionRow,
    Suppression,
)
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

_Addressed = TypeVar("_Addressed", Enrolment, Departure)

_ROW = [column for column in subscribers.c if column.name != "key"]
_ROW_NAMES = [column.name for column in _ROW]
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

    # Many at once.

    def standings(self, addresses: Iterable[str], publication: str) -> dict[str, Standing]:
        """How many people stand to a publication, by the keys of their addresses; those of whom nothing is known not.

        A transaction that writes afterwards must be a writing one: it relies on nobody else writing meanwhile.
        """
        keys = {address_key(address) for address in addresses}
        listed = self._listed(list(keys), Text)
        found: dict[str, Standing] = {}
        waits = select(signups.c.key, signups.c.publications).where(signups.c.key.in_(listed))
        for key, names in self._connection.execute(waits.where(signups.c.done.is_(None))):
            if publication in names:
                found[key] = Standing(state="asked")
        theirs = select(subscribers.c.key, subscriptions.c.state, subscriptions.c.confirmed)
        theirs = theirs.join(subscriptions, subscriptions.c.subscriber == subscribers.c.id)
        theirs = theirs.where(subscribers.c.key.in_(listed), subscriptions.c.publication == publication)
        for key, state, confirmed in self._connection.execute(theirs):
            if state != "left" or key not in found:
                found[key] = Standing(state=state, confirmed=confirmed)
        suppressed = Suppressions(self._connection, self._owner).among(keys, publication)
        for key, reasons in suppressed.items():
            found[key] = replace(found.get(key, Standing()), suppressed=reasons)
        return found

    def enrol(self, publication: str, new: Sequence[Enrolment], door: str) -> None:
        """Let many get a publication: subscribers are added, subscriptions made active, and the log says why.

        Whoever gets it already is left as they are, and nothing is said in the log: ``standings`` tells who does.
        No two may have the same address.
        """
        keyed = _in_order(new)
        people = [_person(one, key) for key, one in keyed.items()]
        self._many(self._insert(subscribers).on_conflict_do_nothing(), people)
        ids = self._ids(keyed)
        rows = [_active(one, ids[key], publication) for key, one in keyed.items() if key in ids]
        self._many(self._activation(), rows)
        said = [(key, "imported", one.confirmed, one.wording) for key, one in keyed.items()]
        self._log(publication, door, said)

    def depart(self, publication: str, gone: Sequence[Departure], door: str) -> None:
        """Send many nothing more of a publication, subscribers or not: they are on the suppression list from now on.

        No two may have the same address.
        """
        keyed = _in_order(gone)
        Suppressions(self._connection, self._owner).add_all(
            Suppression(
                address=one.address,
                publication=publication,
                reason="unsubscribed",
                detail=one.wording,
                moment=one.moment,
            )
            for one in keyed.values()
        )
        ids = self._ids(keyed)
        rows = [{"who": ids[key], "at": one.moment} for key, one in keyed.items() if key in ids]
        if rows:
            theirs = update(subscriptions).where(
                subscriptions.c.subscriber == bindparam("who"),
                subscriptions.c.publication == publication,
                subscriptions.c.state != "left",
            )
            self._connection.execute(theirs.values(state="left", left=bindparam("at"), since=None), rows)
        said = [(key, "left", one.moment, one.wording) for key, one in keyed.items()]
        self._log(publication, door, said)

    def sign_up_all(self, new: Iterable[SignUp]) -> None:
        """Keep many sign-ups until they are dealt with."""
        rows = [asdict(one) | {"key": address_key(one.address)} for one in new]
        for row in rows:
            del row["id"]
        self._many(insert(signups), rows)

    def _ids(self, keys: Iterable[str]) -> dict[str, int]:
        found = select(subscribers.c.key, subscribers.c.id).where(subscribers.c.key.in_(self._listed(list(keys), Text)))
        return {row.key: row.id for row in self._connection.execute(found)}

    def _activation(self) -> Insert:
        insert = self._insert(subscriptions)
        told = {column.name: insert.excluded[column.name] for column in subscriptions.c if not column.primary_key}
        keys = [column.name for column in subscriptions.primary_key]
        return insert.on_conflict_do_update(index_elements=keys, set_=told, where=subscriptions.c.state != "active")

    def _log(self, publication: str, door: str, said: Iterable[tuple[str, str, datetime, str]]) -> None:
        """Append many lines to the log of consents, each with the key of an address, the act, moment and wording."""
        shared = {"publication": publication, "door": door, "network": ""}
        rows = [
            {"person": self._hashed_key(key), "act": act, "moment": moment, "wording": wording, **shared}
            for key, act, moment, wording in said
        ]
        self._many(insert(consents), rows)

    def page(
        self, publication: str = "", state: str = "", *, after: tuple[int, str] = (0, ""), limit: int
    ) -> tuple[tuple[SubscriberRow, SubscriptionRow], ...]:
        """Subscriptions with whose they are, in the order of ids; of a publication or state where one is named.

        Args:
            after: id and publication of the last that was told before.
        """
        which = {"publication": publication, "state": state}
        chosen = select(*_ROW, *subscriptions.c[1:]).join(subscriptions, subscriptions.c.subscriber == subscribers.c.id)
        chosen = chosen.where(*(subscriptions.c[name] == value for name, value in which.items() if value))
        place = (subscriptions.c.subscriber, subscriptions.c.publication)
        chosen = chosen.where(tuple_(*place) > tuple_(*after)).order_by(*place).limit(limit)
        cut = len(_ROW)
        names = [column.name for column in subscriptions.c]
        return tuple(
            (
                SubscriberRow(**dict(zip(_ROW_NAMES, row[:cut], strict=True))),
                SubscriptionRow(**dict(zip(names, (row[0], *row[cut:]), strict=True))),
            )
            for row in self._connection.execute(chosen)
        )

    def count_subscriptions(self, publication: str = "", state: str = "") -> int:
        """How many subscriptions there are, of a publication or in a state where one is named."""
        which = {"publication": publication, "state": state}
        counted = select(func.count()).select_from(subscriptions)
        counted = counted.where(*(subscriptions.c[name] == value for name, value in which.items() if value))
        return int(self._connection.execute(counted).scalar_one())

    # What was never confirmed.

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

    # For whom an issue is.

    def groups(self, audience: Audience) -> tuple[Group, ...]:
        """The readers of an audience, by what they want of it."""
        language = spoken(audience).label("language")
        columns = select(language, subscriptions.c.topics, subscriptions.c.since).select_from(READERS)
        each = columns.where(*listening(audience)).subquery()
        counted = select(*each.c, func.count().label("count")).group_by(*each.c).order_by(*each.c)
        return tuple(Group(**row._asdict()) for row in self._connection.execute(counted))

    def zones(self, audience: Audience) -> tuple[str, ...]:
        """The time zones of an audience, as their subscribers wrote them; empty for those who named none."""
        named = select(subscribers.c.timezone).select_from(READERS).where(*listening(audience)).distinct()
        return tuple(sorted(self._connection.scalars(named)))

    def tell(self, audience: Audience, until: Mapping[Group, int | None]) -> None:
        """Note up to which entry the readers of these groups have been told: its number, or None where it is the same
        as of all who have the frequency.

        It is one statement, because some may come to stand where others are led away from.
        """
        steps = self._table("steps", {key_of(group): -1 if to is None else to for group, to in until.items()})
        step = steps.c.key == group_key(audience)
        theirs = and_(subscribers.c.id == subscriptions.c.subscriber, *listening(audience), step)
        to = select(func.nullif(steps.c.value, -1)).where(theirs).correlate(subscriptions).scalar_subquery()
        moved = exists().where(theirs).correlate(subscriptions)
        mine = subscriptions.c.publication == audience.publication
        self._connection.execute(update(subscriptions).where(mine, moved).values(since=to))

    def hold_place(self, publication: str, frequency: str, since: int) -> None:
        """Let those who chose a frequency go on from that entry, whatever becomes of the frequency."""
        chosen = (subscriptions.c.publication == publication, subscriptions.c.frequency == frequency)
        follow = subscriptions.c.since.is_(None)
        self._connection.execute(update(subscriptions).where(*chosen, follow).values(since=since))

    def earliest(self) -> int | None:
        """The lowest number up to which anybody has been told who has a ``since`` of their own; None: nobody has."""
        lowest = select(func.min(subscriptions.c.since)).where(subscriptions.c.since.is_not(None))
        number: int | None = self._connection.scalar(lowest.where(subscriptions.c.state == "active"))
        return number

    def told_until(self, row: SubscriptionRow, frequency: str) -> int:
        """The number of the last entry that somebody has been told of: what becomes their ``since`` when they change to
        another frequency, so that nothing is lost and nothing told twice.

        Args:
            row: their subscription as it is before the change.
            frequency: by which they got it: ``DigestSettings.frequency`` of the row's.
        """
        if row.since is not None:
            return row.since
        state = Publications(self._connection, self._owner).get(digest_name(row.publication, frequency))
        return state.since if state else 0

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
        """How many sign-ups came in since then, from a network where one is named; of a list that was imported none."""
        counted = select(func.count()).select_from(signups).where(signups.c.moment >= moment)
        counted = counted.where(signups.c.door != "import")
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


def _in_order(many: Iterable[_Addressed]) -> dict[str, _Addressed]:
    """By key, and in its order: so that of two who write the same people at once none waits for the other for ever."""
    keyed = {address_key(one.address): one for one in many}
    return dict(sorted(keyed.items(), key=itemgetter(0)))


def _person(one: Enrolment, key: str) -> dict[str, Any]:
    told = {"key": key, "address": one.address, "name": one.name, "language": one.language}
    return told | {"timezone": one.timezone, "paused_until": None, "links": 0, "created": one.created}


def _active(one: Enrolment, id: int, publication: str) -> dict[str, Any]:
    told = {"subscriber": id, "publication": publication, "state": "active", "frequency": one.frequency}
    return told | {"topics": one.topics, "since": None, "asked": None, "confirmed": one.confirmed, "left": None}


def _subscribed(chosen: Select[Any], publication: str, state: str) -> Select[Any]:
    """Of subscribers, those with a subscription to that publication in that state; empty: any."""
    wanted = {"publication": publication, "state": state}
    named = [subscriptions.c[name] == value for name, value in wanted.items() if value]
    return chosen.where(exists().where(subscriptions.c.subscriber == subscribers.c.id, *named)) if named else chosen
