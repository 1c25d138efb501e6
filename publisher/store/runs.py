"""Which slots have run.  The unique row of a slot, not care, makes it run once."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Executable, Select, and_, bindparam, delete, not_, or_, select, tuple_, update

from publisher.model import ENTRY_SLOT
from publisher.store.concern import LEASE, Concern, chunks, insert_for
from publisher.store.rows import Run
from publisher.store.tables import runs

_REMEMBERED = timedelta(days=30)

# Made once, for each visit to each source needs them, and to make them takes longer than to execute them.
_mine = (runs.c.schedule == bindparam("of"), runs.c.slot == bindparam("at"))
_ENDED = (
    update(runs)
    .where(*_mine, runs.c.owner == bindparam("by"), runs.c.finished.is_(None))
    .values(finished=bindparam("finished"), detail=bindparam("detail"))
)
_OLD = delete(runs).where(
    runs.c.schedule == bindparam("of"), runs.c.finished < bindparam("before"), runs.c.slot != bindparam("at")
)


@cache
def _new(dialect: str) -> Executable:
    """Takes a slot that nobody has taken before."""
    return insert_for(dialect, runs).on_conflict_do_nothing()


class Runs(Concern):
    """The runs of all schedules."""

    def claim(self, schedule: str, slot: str, now: datetime) -> bool:
        """Take a slot, or take it over from a process that is no more or whose time is over.

        Returns:
            False when the slot has run, was put off, or is somebody else's.
        """
        held = {"owner": self._owner, "started": now, "until": now + LEASE}
        new = _new(self._connection.dialect.name)
        if self._count(new, [{"schedule": schedule, "slot": slot, "detail": "", **held}]) == 1:
            return True  # as nearly always: nobody had it before
        free = and_(runs.c.finished.is_(None), self._is_free(schedule, slot, now))
        return self._count(update(runs).where(*_of(schedule, slot), free).values(held)) == 1

    def finish(self, schedule: str, slot: str, detail: str, now: datetime) -> bool:
        """Note how a run ended, and forget the schedule's runs that ended long ago.

        Returns:
            False when it is no longer ours, or has finished.
        """
        names = {"of": schedule, "at": slot}
        # A moment, or an arrival: the latest of its schedule, so none that is older can be asked for again.
        if slot[:1].isdigit() or slot.startswith(ENTRY_SLOT):
            self._connection.execute(_OLD, names | {"before": now - _REMEMBERED})
        return self._count(_ENDED, [names | {"by": self._owner, "finished": now, "detail": detail}]) == 1

    def postpone(self, schedule: str, slot: str, until: datetime, detail: str) -> None:
        """Give a slot back that could not run; nobody may take it before ``until``."""
        put_off = {"owner": "", "until": until, "detail": detail}
        self._connection.execute(update(runs).where(*self._ours(schedule, slot)).values(put_off))

    def is_open(self, schedule: str, slot: str, now: datetime) -> bool:
        """Whether ``claim`` would succeed now."""
        row = select(runs.c.slot).where(runs.c.schedule == schedule, runs.c.slot == slot)
        taken = or_(runs.c.finished.is_not(None), not_(self._is_free(schedule, slot, now)))
        return self._connection.execute(row.where(taken)).first() is None

    def open(self, wanted: Collection[tuple[str, str]], now: datetime) -> set[tuple[str, str]]:
        """Those of these schedules' slots that ``claim`` would give now."""
        known: set[tuple[str, str]] = set()
        for chunk in chunks(wanted):
            some = select(runs.c.schedule, runs.c.slot).where(tuple_(runs.c.schedule, runs.c.slot).in_(chunk))
            known |= {(row.schedule, row.slot) for row in self._connection.execute(some)}
        return {slot for slot in wanted if slot not in known or self.is_open(*slot, now)}

    def _is_free(self, schedule: str, slot: str, now: datetime) -> ColumnElement[bool]:
        holders = select(runs.c.owner).where(runs.c.schedule == schedule, runs.c.slot == slot)
        return or_(runs.c.until < now, runs.c.owner.in_(self._dead(holders)))

    def _ours(self, schedule: str, slot: str) -> tuple[ColumnElement[bool], ...]:
        return (
            *_of(schedule, slot),
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


def _of(schedule: str, slot: str) -> tuple[ColumnElement[bool], ...]:
    return (runs.c.schedule == schedule, runs.c.slot == slot)
