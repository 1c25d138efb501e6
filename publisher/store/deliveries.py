"""The ledger of deliveries: one row for one issue to one recipient on one channel, never lost."""

from __future__ import annotations

import builtins
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Integer,
    Row,
    Select,
    Text,
    and_,
    bindparam,
    case,
    exists,
    false,
    func,
    literal,
    null,
    or_,
    select,
    true,
    type_coerce,
    update,
)

from publisher.model import State
from publisher.store.audience import READERS, group_key, key_of, listening
from publisher.store.concern import LEASE, Concern, chunks
from publisher.store.issues import finish
from publisher.store.rows import FINAL, OWN, Audience, DeliveryRow, Group, Leased, Settled
from publisher.store.tables import Moment, Words, deliveries, issues, stored_moment, subscribers, suppressions

_is_open = deliveries.c.settled.is_(None)
_waiting = case((deliveries.c.tries == 0, State.PLANNED), else_=State.DEFERRED)
_LEASED = ("id", "issue", "recipient", "tries", "first_try", "faults", "subscriber")
_THEIRS = {"name": "", "links": 0, "language": ""}
"""What is told of whose delivery it is, and what instead where it is nobody's."""
_TOLD = (*_LEASED, *_THEIRS)
_STUCK = (State.FAILED, State.PARKED, State.UNCERTAIN)
_IN_DOUBT = "it was on its way when the process that sent it came to an end"
_PLANNED_AT_ONCE = 5_000
_DEADLY = "each process that was to send it came to an end"

# In the driver's own words, all verdicts of a commit at once: by way of SQLAlchemy it takes three times as long.
_SETTLE = """
UPDATE deliveries SET state = ?, detail = ?, tries = tries + 1, faults = ?, launched = FALSE, next_at = ?, owner = '',
first_try = COALESCE(first_try, ?), settled = ? WHERE id = ? AND state = ? AND owner = ?
"""
_moment, _words = Moment().process_bind_param, Words().process_bind_param


class Deliveries(Concern):
    """All deliveries of all issues."""

    def plan(
        self,
        issue: int,
        recipients: Iterable[tuple[str, str]],
        now: datetime,
        *,
        subscriber: int | None = None,
        at: datetime | None = None,
    ) -> int:
        """Write a delivery for each channel and recipient, thousands with one statement.

        Args:
            subscriber: whose they are, where they are somebody's.
            at: when they may be taken; left out: now.

        Returns:
            How many are new: what is planned already is left as it is.
        """
        row: dict[str, Any] = {"issue": issue, "state": State.PLANNED, "tries": 0, "planned": now}
        row |= {"next_at": at or now, "owner": "", "detail": "", "subscriber": subscriber}
        by_channel = groupby(recipients, key=itemgetter(0))
        return sum(
            self._plan(row | {"channel": channel}, [recipient for _, recipient in chunk])
            for channel, pairs in by_channel
            for chunk in chunks(pairs, _PLANNED_AT_ONCE)
        )

    def _plan(self, row: dict[str, Any], recipients: Sequence[str]) -> int:
        listed = self._elements(recipients)
        constants = [literal(value, deliveries.c[name].type).label(name) for name, value in row.items()]
        rows = select(*constants, listed.c.value).where(true())  # without a WHERE, SQLite takes ON CONFLICT for a join
        insert = self._insert(deliveries).from_select([*row, "recipient"], rows, include_defaults=False)
        return self._count(insert.on_conflict_do_nothing())

    def plan_readers(
        self,
        audience: Audience,
        channel: str,
        issues: Mapping[Group, int],
        now: datetime,
        *,
        base: int | None,
        at: datetime,
        moments: Mapping[str, datetime],
    ) -> int:
        """Write a delivery for each reader of these groups with one statement: it takes as long as the database does.

        Args:
            issues: which issue each group gets.
            base: the issue that has been planned for those whom the configuration names; they do not get another one.
            at: when the deliveries may be taken;
            moments: of readers in these time zones then, however early. What is due first gets the lowest id.

        Returns:
            How many.
        """
        made = self._table("made", {key_of(group): issue for group, issue in issues.items()})
        clocks = self._table("clocks", {zone: stored_moment(moment) for zone, moment in moments.items()})
        due = type_coerce(func.coalesce(clocks.c.value, literal(at, Moment)), Moment)
        row: dict[str, Any] = {"channel": channel, "state": State.PLANNED, "tries": 0, "planned": now}
        row |= {"owner": "", "detail": ""}
        constants = [literal(value, deliveries.c[name].type).label(name) for name, value in row.items()]
        who = READERS.join(made, made.c.key == group_key(audience))
        who = who.outerjoin(clocks, clocks.c.key == subscribers.c.timezone)
        told = [made.c.value.label("issue"), due.label("next_at"), subscribers.c.id.label("subscriber")]
        rows = select(*constants, *told, subscribers.c.address.label("recipient")).select_from(who)
        rows = rows.where(*listening(audience), ~_is_planned(base, channel))
        # Found first and sorted then, for SQLite would ask for each group anew if it had to do both at once; and in the
        # order of the widest index, which it otherwise would read and write over and over.
        found = rows.cte("found").prefix_with("MATERIALIZED")
        ordered = select(found).where(true()).order_by(found.c.next_at, found.c.recipient)
        insert = self._insert(deliveries).from_select(found.c.keys(), ordered, include_defaults=False)
        with self._roomy():
            return self._count(insert.on_conflict_do_nothing())

    def take_over(self, channel: str, now: datetime, *, most: int, hold: bool) -> int:
        """Free the deliveries of a channel that were being sent by a process that is no more, that fell silent, or by
        this one, which has lost sight of them.

        Each of them may be what that process broke on, and counts it as a fault.  After ``most`` it is parked.

        Args:
            hold: those whose last byte may have left become uncertain.

        Returns:
            How many there were.
        """
        sending = and_(deliveries.c.channel == channel, deliveries.c.state == State.SENDING)
        holders = select(deliveries.c.owner).where(deliveries.c.owner != "").distinct()
        gone = [*self._dead(holders), self._owner]
        left = and_(sending, or_(deliveries.c.owner.in_(gone), deliveries.c.next_at <= now))
        faults = deliveries.c.faults + 1
        in_doubt, parked = and_(deliveries.c.launched, literal(hold)), faults >= most
        freed = update(deliveries).where(left)
        freed = freed.values(
            state=case((in_doubt, State.UNCERTAIN), (parked, State.PARKED), else_=_waiting),
            detail=case((in_doubt, _IN_DOUBT), (parked, _DEADLY), else_=deliveries.c.detail),
            next_at=case((or_(in_doubt, parked), null()), else_=bindparam("at", now, type_=Moment)),
            faults=faults,
            launched=False,
            owner="",
        )
        return self._count(freed)

    def lease(
        self, channel: str, limit: int, now: datetime, *, suspect: bool = False, but: Collection[str] = ()
    ) -> builtins.list[Leased]:
        """Take deliveries of a channel that are due, issue by issue; they are being sent from now on.

        Whoever shall get nothing any more gets nothing: such a delivery is settled as suppressed, and not returned.

        Args:
            suspect: those that broke somebody before; else those that did not.
            but: domains whose recipients are left alone.
        """
        first = _due(frozenset(but)).params(channel=channel, now=now, suspect=suspect, most=limit)
        rows = self._wanted(first, now)
        if rows:
            taken = update(deliveries).where(deliveries.c.id.in_(self._listed([row.id for row in rows], BigInteger)))
            self._connection.execute(taken.values(state=State.SENDING, owner=self._owner, next_at=now + LEASE))
        return [Leased(**dict(zip(_TOLD, row, strict=False))) for row in rows]

    def _wanted(self, first: Select[Any], now: datetime) -> Sequence[Row[Any]]:
        """The first that are due and may be sent; looks past those that may not: none means that nothing is due."""
        while rows := self._connection.execute(first).all():
            unwanted = self._suppressed(rows, now)
            if wanted := [row for row in rows if row.id not in unwanted]:
                return wanted
        return ()

    def _suppressed(self, rows: Sequence[Any], now: datetime) -> set[int]:
        """Settle those of the rows that must not be sent, and tell which they are."""
        names = {row.id: self._names(row.recipient) for row in rows}
        told = select(suppressions.c.address, suppressions.c.publication, suppressions.c.reason)
        found = told.where(suppressions.c.address.in_(self._listed([*chain(*names.values())], Text)))
        closed: dict[str, dict[str, str]] = {}
        for one in self._connection.execute(found):
            closed.setdefault(one.address, {})[one.publication] = one.reason
        unwanted = {row.id for row in rows if _is_unwanted(row, names[row.id], closed)}
        for chunk in chunks(sorted(unwanted)):
            off = update(deliveries).where(deliveries.c.id.in_(chunk))
            self._connection.execute(
                off.values(state=State.SUPPRESSED, settled=now, next_at=None, detail="on the suppression list")
            )
        for issue in {row.issue for row in rows if row.id in unwanted}:
            finish(self._connection, issue, now)
        return unwanted

    def settle(self, attempts: Sequence[Settled]) -> int:
        """Write what attempts came to: deferred until ``next_at``, waiting for the operator, or final.

        Returns:
            How many of the deliveries were still ours; the others are left alone.
        """
        dialect, ours = self._connection.dialect, (State.SENDING.value, self._owner)
        rows = [
            (
                one.state.value,
                _words(one.detail, dialect),
                one.faults,
                _moment(one.next_at, dialect),
                at := _moment(one.at, dialect),
                at if one.state in FINAL else None,
                one.id,
                *ours,
            )
            for one in attempts
        ]
        statement = _SETTLE if dialect.paramstyle == "qmark" else _SETTLE.replace("?", "%s")
        return self._connection.exec_driver_sql(statement, rows).rowcount

    def launch(self, ids: Collection[int]) -> None:
        """Note, before the last byte of these can leave, that it may have left."""
        for chunk in chunks(ids):
            self._connection.execute(update(deliveries).where(deliveries.c.id.in_(chunk)).values(launched=True))

    def extend(self, ids: Collection[int], now: datetime) -> None:
        """Hold leased deliveries for longer; those that are no longer ours are left alone."""
        for chunk in chunks(ids):
            held = update(deliveries).where(deliveries.c.id.in_(chunk), self._is_ours())
            self._connection.execute(held.values(next_at=now + LEASE))

    def release(self, ids: Collection[int], at: datetime) -> None:
        """Give back leased deliveries of which nothing was said, to be taken again from that moment on: no attempt is
        counted.

        Those that are no longer ours, or were settled, are left alone.
        """
        for chunk in chunks(ids):
            back = update(deliveries).where(deliveries.c.id.in_(chunk), self._is_ours())
            self._connection.execute(back.values(state=_waiting, owner="", next_at=at, launched=False))

    def retry(self, now: datetime, *, id: int | None = None, issue: int | None = None) -> int:
        """Plan what failed, was parked or is uncertain again, with all its attempts; its issue is unfinished again.

        Args:
            id: that delivery.
            issue: those of that issue.

        Returns:
            How many.
        """
        anew = {"state": State.PLANNED, "tries": 0, "first_try": None, "next_at": now, "settled": None, "faults": 0}
        chosen = deliveries.c.id == id if id is not None else deliveries.c.issue == issue
        again = update(deliveries).where(chosen, deliveries.c.state.in_(_STUCK))
        found = self._connection.scalars(again.values(anew).returning(deliveries.c.issue)).all()
        for one in set(found):
            self._connection.execute(update(issues).where(issues.c.id == one).values(finished=None))
        return len(found)

    def close(self, id: int, state: State, now: datetime) -> bool:
        """Settle a parked or uncertain delivery as an operator says it is.

        Returns:
            False when there is no such delivery, or it waits for no operator.
        """
        stuck = deliveries.c.state.in_((State.PARKED, State.UNCERTAIN))
        said = update(deliveries).where(deliveries.c.id == id, stuck).values(state=state, settled=now)
        issue = self._connection.scalar(said.returning(deliveries.c.issue))
        if issue is not None:
            finish(self._connection, issue, now)
        return issue is not None

    def get(self, id: int) -> DeliveryRow | None:
        """One delivery; None when there is none of that id."""
        row = self._connection.execute(select(deliveries).where(deliveries.c.id == id)).one_or_none()
        return DeliveryRow(**row._asdict()) if row else None

    def to(self, recipient: str, *, limit: int) -> builtins.list[DeliveryRow]:
        """The deliveries to an address, newest first."""
        newest = select(deliveries).where(deliveries.c.recipient == recipient).order_by(deliveries.c.id.desc())
        return [DeliveryRow(**row._asdict()) for row in self._connection.execute(newest.limit(limit))]

    def attempted(self, channel: str, since: datetime) -> int:
        """How many deliveries of a channel were sent, or refused for good, since then."""
        over = deliveries.c.state.in_((State.SENT, State.FAILED))
        counted = select(func.count()).where(deliveries.c.channel == channel, over, deliveries.c.settled >= since)
        return self._connection.execute(counted).scalar_one()

    def open(self) -> dict[str, int]:
        """How many deliveries each channel has before it."""
        counted = select(deliveries.c.channel, func.count()).where(_is_open).group_by(deliveries.c.channel)
        return dict(self._connection.execute(counted).all())

    def due(self, now: datetime) -> builtins.list[str]:
        """The channels of which something could be leased or taken over now, by name."""
        holders = select(deliveries.c.owner).where(deliveries.c.owner != "").distinct()
        free = and_(deliveries.c.state == State.SENDING, deliveries.c.owner.in_([*self._dead(holders), self._owner]))
        wanted = or_(deliveries.c.next_at <= now, free)
        channels = select(deliveries.c.channel).join(issues, issues.c.id == deliveries.c.issue)
        return sorted(self._connection.scalars(channels.where(_is_open, wanted, issues.c.paused == "").distinct()))

    def by_state(self, issue: int | None = None) -> dict[State, int]:
        """How many deliveries are in each state, of one issue where it is given."""
        # All states are named, so that the index on (state, issue) answers both questions.
        counted = select(deliveries.c.state, func.count()).where(deliveries.c.state.in_(builtins.list(State)))
        if issue is not None:
            counted = counted.where(deliveries.c.issue == issue)
        return dict(self._connection.execute(counted.group_by(deliveries.c.state)).all())

    def list(self, state: State | None = None, issue: int | None = None, *, limit: int) -> builtins.list[DeliveryRow]:
        """Deliveries as they stand, newest first."""
        wanted: dict[str, Any] = {"state": state, "issue": issue}
        chosen = [deliveries.c[name] == value for name, value in wanted.items() if value is not None]
        ordered = select(deliveries).where(*chosen).order_by(deliveries.c.issue.desc(), deliveries.c.id.desc())
        return [DeliveryRow(**row._asdict()) for row in self._connection.execute(ordered.limit(limit))]

    def _is_ours(self) -> ColumnElement[bool]:
        return and_(deliveries.c.state == State.SENDING, deliveries.c.owner == self._owner)


@lru_cache(maxsize=16)
def _due(but: frozenset[str]) -> Select[Any]:
    """The first deliveries of a channel that can be leased; built once, like what it is compiled to."""
    due = [deliveries.c.channel == bindparam("channel"), _is_open, issues.c.paused == ""]
    due += [deliveries.c.next_at <= bindparam("now", type_=Moment), deliveries.c.state != State.SENDING]
    due += [(deliveries.c.faults > 0) == bindparam("suspect", type_=Boolean)]
    due += [~deliveries.c.recipient.iendswith(f"@{domain}", autoescape=True) for domain in but]
    columns: list[ColumnElement[Any]] = [deliveries.c[name] for name in _LEASED]
    columns += [func.coalesce(subscribers.c[name], default).label(name) for name, default in _THEIRS.items()]
    columns += [issues.c.publication, issues.c.number]
    first = select(*columns).join(issues, issues.c.id == deliveries.c.issue).where(*due)
    first = first.outerjoin(subscribers, subscribers.c.id == deliveries.c.subscriber)
    first = first.order_by(deliveries.c.issue, deliveries.c.id).limit(bindparam("most", type_=Integer))
    return first.with_for_update(skip_locked=True, of=deliveries)


def _is_planned(issue: int | None, channel: str) -> ColumnElement[bool]:
    """Whether an issue goes to a subscriber's address, written as they do or in its plainest form."""
    if issue is None:
        return false()
    same = deliveries.alias()
    names = (subscribers.c.address, subscribers.c.key)
    return exists().where(same.c.issue == issue, same.c.channel == channel, same.c.recipient.in_(names))


def _is_unwanted(row: Any, names: tuple[str, str], closed: Mapping[str, Mapping[str, str]]) -> bool:
    """Whether a delivery must not be sent.  A notice answers what its reader has just asked for: their having left, or
    having been erased, does not stop it.

    Args:
        closed: by name and publication, why nothing goes there.
    """
    told = [closed[name] for name in names if name in closed]
    reasons = {said[of] for said in told for of in ("", row.publication) if of in said}
    is_erased = row.recipient.startswith("#") and "@" not in row.recipient
    return is_erased or bool(reasons.difference(OWN) if row.number == 0 else reasons)
