"""Which slots have run.  The unique row of a slot, not care, makes it run once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, not_, or_, select, update

from publisher.model import ENTRY_SLOT
from publisher.store.concern import LEASE, Concern
from publisher.store.rows import Run
from publisher.store.tables import runs

_REMEMBERED = timedelta(days=30)


class Runs(Concern):
    """The runs of all schedules."""

    def claim(self, schedule: str, slot: str, now: datetime) -> bool:
        """Take a slot, or take it over from a process that is no more or whose time is over.

        Returns:
            False when the slot has run, was put off, or is somebody else's.
        """
        held = {"owner": self._owner, "started": now, "until": now + LEASE}
        free = and_(runs.c.finished.is_(None), self._is_free(schedule, slot, now))
        insert = self._insert(runs).values(schedule=schedule, slot=slot, detail="", **held)
        upsert = insert.on_conflict_do_update(index_elements=["schedule", "slot"], set_=held, where=free)
        return self._count(upsert) == 1

    def finish(self, schedule: str, slot: str, detail: str, now: datetime) -> bool:
        """Note how a run ended, and forget the schedule's runs that ended long ago.

        Returns:
            False when it is no longer ours, or has finished.
        """
        ended = update(runs).where(*self._ours(schedule, slot)).values(finished=now, detail=detail)
        # A moment, or an arrival: the latest of its schedule, so none that is older can be asked for again.
        if slot[:1].isdigit() or slot.startswith(ENTRY_SLOT):
            old = (runs.c.schedule == schedule, runs.c.finished < now - _REMEMBERED, runs.c.slot != slot)
            self._connection.execute(delete(runs).where(*old))
        return self._count(ended) == 1

    def postpone(self, schedule: str, slot: str, until: datetime, detail: str) -> None:
        """Give a slot back that could not run; nobody may take it before ``until``."""
        put_off = {"owner": "", "until": until, "detail": detail}
        self._connection.execute(update(runs).where(*self._ours(schedule, slot)).values(put_off))

    def is_open(self, schedule: str, slot: str, now: datetime) -> bool:
        """Whether ``claim`` would succeed now."""
        row = select(runs.c.slot).where(runs.c.schedule == schedule, runs.c.slot == slot)
        taken = or_(runs.c.finished.is_not(None), not_(self._is_free(schedule, slot, now)))
        return self._connection.execute(row.where(taken)).first() is None

    def _is_free(self, schedule: str, slot: str, now: datetime) -> ColumnElement[bool]:
        holders = select(runs.c.owner).where(runs.c.schedule == schedule, runs.c.slot == slot)
        return or_(runs.c.until < now, runs.c.owner.in_(self._dead(holders)))

    def _ours(self, schedule: str, slot: str) -> tuple[ColumnElement[bool], ...]:
        return (
            runs.c.schedule == schedule,
            runs.c.slot == slot,
            runs.c.owner == self._owner,
            runs.c.finished.is_(None),
        )

    def last(self, schedule: str) -> Run | None:
        """The run of the latest slot that anybody took."""
        newest = select(runs).where(runs.c.schedule == schedule).order_by(runs.c.slot.desc()).limit(1)
        return next(iter(self._list(newest)), None)

    def recent(self, limit: int) -> list[Run]:
        """The runs that started last, newest first."""
        return self._list(select(runs).order_by(runs.c.started.desc()).limit(limit))

    def _list(self, statement: Select[Any]) -> list[Run]:
        return [Run(**row._asdict()) for row in self._connection.execute(statement)]
