"""Which slots have run.  The unique row of a slot, not care, makes it run once."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Executable,
    Select,
    and_,
    bindparam,
    delete,
    not_,
    or_,
    select,
    true,
    tuple_,
    update,
)

from publisher.model import ENTRY_SLOT
from publisher.store.concern import LEASE, Concern, chunks, insert_for
from publisher.store.pages import of_page, page
from publisher.store.rows import Run
from publisher.store.tables import runs

_REMEMBERED = timedelta(days=30)

_SLOT = (runs.c.schedule, runs.c.slot)
_TAKEN = (*_SLOT, runs.c.owner, runs.c.started, runs.c.until, runs.c.detail)
_ENDED = (*_SLOT, runs.c.owner, runs.c.finished, runs.c.detail)


# Made once, for each visit to each source needs them, and to make them takes longer than to execute them.


@cache
def _taken(dialect: str) -> Executable:
    """Takes slots that nobody has taken before, and tells which."""
    rows = select(*of_page(dialect, _TAKEN)).where(true())  # else SQLite reads ON CONFLICT as a part of the SELECT
    return insert_for(dialect, runs).from_select(list(_TAKEN), rows).on_conflict_do_nothing().returning(*_SLOT)


@cache
def _ended(dialect: str) -> Executable:
    """Notes how runs ended that are ours."""
    schedule, slot, owner, finished, detail = of_page(dialect, _ENDED)
    mine = (runs.c.schedule == schedule, runs.c.slot == slot, runs.c.owner == owner, runs.c.finished.is_(None))
    return update(runs).where(*mine).values(finished=finished, detail=detail)


@cache
def _old(dialect: str) -> Executable:
    """Forgets what ended long ago of some schedules, but for the slots that have just run."""
    schedule, slot = of_page(dialect, _SLOT)
    of = (runs.c.schedule.in_(select(schedule)), runs.c.finished < bindparam("before", type_=runs.c.finished.type))
    return delete(runs).where(*of, tuple_(*_SLOT).not_in(select(schedule, slot)))


class Runs(Concern):
    """The runs of all schedules."""

    def claim(self, schedule: str, slot: str, now: datetime) -> bool:
        """Take a slot, or take it over from a process that is no more or whose time is over.

        Returns:
            False when the slot has run, was put off, or is somebody else's.
        """
        return bool(self.claim_all([(schedule, slot)], now))

    def claim_all(self, wanted: Collection[tuple[str, str]], now: datetime) -> set[tuple[str, str]]:
        """Take these slots of schedules; returns those that are ours now."""
        dialect, held = self._connection.dialect, {"owner": self._owner, "started": now, "until": now + LEASE}
        # In one order, so that two who want the same never wait for each other.
        slots = page(dialect, _TAKEN, [(*slot, self._owner, now, now + LEASE, "") for slot in sorted(wanted)])
        # As nearly always: nobody had them before.
        fresh = {(row.schedule, row.slot) for row in self._connection.execute(_taken(dialect.name), slots)}
        return fresh | {slot for slot in wanted if slot not in fresh and self._take_over(*slot, now, held)}

    def _take_over(self, schedule: str, slot: str, now: datetime, held: dict[str, Any]) -> bool:
        free = and_(runs.c.finished.is_(None), self._is_free(schedule, slot, now))
        return self._count(update(runs).where(*_of(schedule, slot), free).values(held)) == 1

    def finish(self, schedule: str, slot: str, detail: str, now: datetime) -> bool:
        """Note how a run ended, and forget the schedule's runs that ended long ago.

        Returns:
            False when it is no longer ours, or has finished.
        """
        return self.finish_all([(schedule, slot, detail)], now) == 1

    def finish_all(self, ended: Collection[tuple[str, str, str]], now: datetime) -> int:
        """Note how runs ended, each of a schedule and a slot; returns how many were ours and had not finished."""
        # A moment, or an arrival: the latest of its schedule, so none that is older can be asked for again.
        latest = [(run, slot) for run, slot, _ in ended if slot[:1].isdigit() or slot.startswith(ENTRY_SLOT)]
        if latest:
            self._on_page(_old, _SLOT, latest, before=now - _REMEMBERED)
        return self._on_page(_ended, _ENDED, [(run, slot, self._owner, now, words) for run, slot, words in ended])

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
