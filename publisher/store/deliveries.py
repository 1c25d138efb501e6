"""The ledger of deliveries: one row for one issue to one recipient on one channel, never lost."""

from __future__ import annotations

import builtins
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, case, func, or_, select, update

from publisher.model import State
from publisher.store.concern import LEASE, Concern, chunks
from publisher.store.rows import OPEN, DeliveryRow, Leased
from publisher.store.tables import Moment, deliveries, issues

_is_open = deliveries.c.settled.is_(None)

# Built once: for each message SQLAlchemy would take longer to build it than SQLite takes to write it to the disk.
_SETTLE = (
    update(deliveries)
    .where(
        deliveries.c.id == bindparam("of"),
        deliveries.c.state == State.SENDING,
        deliveries.c.owner == bindparam("us"),
    )
    .values(
        state=bindparam("verdict"),
        detail=bindparam("words"),
        tries=deliveries.c.tries + 1,
        next_at=bindparam("again"),
        owner="",
        first_try=func.coalesce(deliveries.c.first_try, bindparam("at", type_=Moment)),
        settled=bindparam("final"),
    )
)


class Deliveries(Concern):
    """All deliveries of all issues."""

    def plan(self, issue: int, recipients: Iterable[tuple[str, str]], now: datetime) -> int:
        """Write a delivery for each channel and recipient.

        Returns:
            How many are new: what is planned already is left as it is.
        """
        common = {"issue": issue, "state": State.PLANNED, "tries": 0, "planned": now, "next_at": now}
        common |= {"owner": "", "detail": ""}
        insert = self._insert(deliveries).on_conflict_do_nothing()
        return sum(
            self._count(insert, [common | {"channel": channel, "recipient": one} for channel, one in chunk])
            for chunk in chunks(recipients)
        )

    def lease(self, channel: str, limit: int, now: datetime) -> builtins.list[Leased]:
        """Take deliveries of a channel that are due, issue by issue; they are being sent from now on.

        Due are those whose next attempt has come, and those that were being sent by a process that is no more or whose
        time is over.
        """
        due = (deliveries.c.channel == channel, _is_open, self._is_due(now))
        columns = [deliveries.c[name] for name in ("id", "issue", "recipient", "tries", "first_try")]
        first = select(*columns).where(*due).order_by(deliveries.c.issue, deliveries.c.id).limit(limit)
        rows = self._connection.execute(first.with_for_update(skip_locked=True)).all()
        for chunk in chunks([row.id for row in rows]):
            taken = update(deliveries).where(deliveries.c.id.in_(chunk))
            self._connection.execute(taken.values(state=State.SENDING, owner=self._owner, next_at=now + LEASE))
        return [Leased(**row._asdict()) for row in rows]

    def settle(self, id: int, state: State, detail: str, *, next_at: datetime | None, now: datetime) -> bool:
        """Write the verdict on an attempt at a delivery: deferred until ``next_at``, or final.

        Returns:
            False when the delivery is no longer ours.
        """
        verdict = {"of": id, "us": self._owner, "verdict": state, "words": detail, "again": next_at, "at": now}
        verdict["final"] = None if state in OPEN else now
        return self._connection.execute(_SETTLE, verdict).rowcount == 1

    def extend(self, ids: Collection[int], now: datetime) -> None:
        """Hold leased deliveries for longer; those that are no longer ours are left alone."""
        for chunk in chunks(ids):
            held = update(deliveries).where(deliveries.c.id.in_(chunk), self._is_ours())
            self._connection.execute(held.values(next_at=now + LEASE))

    def release(self, ids: Collection[int], now: datetime) -> None:
        """Give back leased deliveries of which nothing was said: no attempt is counted.

        Those that are no longer ours, or were settled, are left alone.
        """
        state = case((deliveries.c.tries == 0, State.PLANNED), else_=State.DEFERRED)
        for chunk in chunks(ids):
            back = update(deliveries).where(deliveries.c.id.in_(chunk), self._is_ours())
            self._connection.execute(back.values(state=state, owner="", next_at=now))

    def retry(self, id: int, now: datetime) -> bool:
        """Plan a failed delivery again, with all its attempts; its issue is unfinished again.

        Returns:
            False when there is no such delivery, or it has not failed.
        """
        anew = {"state": State.PLANNED, "tries": 0, "first_try": None, "next_at": now, "settled": None}
        failed = update(deliveries).where(deliveries.c.id == id, deliveries.c.state == State.FAILED)
        issue = self._connection.scalar(failed.values(anew).returning(deliveries.c.issue))
        if issue is None:
            return False
        self._connection.execute(update(issues).where(issues.c.id == issue).values(finished=None))
        return True

    def open(self) -> dict[str, int]:
        """How many deliveries each channel has before it."""
        counted = select(deliveries.c.channel, func.count()).where(_is_open).group_by(deliveries.c.channel)
        return dict(self._connection.execute(counted).all())

    def due(self, now: datetime) -> builtins.list[str]:
        """The channels of which something could be leased now, by name."""
        channels = select(deliveries.c.channel).where(_is_open, self._is_due(now)).distinct()
        return sorted(self._connection.scalars(channels))

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

    def _is_due(self, now: datetime) -> ColumnElement[bool]:
        sending = select(deliveries.c.owner).where(deliveries.c.state == State.SENDING).distinct()
        return or_(deliveries.c.next_at <= now, deliveries.c.owner.in_(self._dead(sending)))

    def _is_ours(self) -> ColumnElement[bool]:
        return and_(deliveries.c.state == State.SENDING, deliveries.c.owner == self._owner)
