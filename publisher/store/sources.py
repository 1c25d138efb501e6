"""How each source stands."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, func, select, update

from publisher.store.concern import Concern, chunks
from publisher.store.rows import Due, SourceState
from publisher.store.tables import sources


class Sources(Concern):
    """The states of the sources."""

    def get(self, name: str) -> SourceState | None:
        """The state of one; None when it was never put."""
        row = self._connection.execute(select(sources).where(sources.c.name == name)).one_or_none()
        return _state(row) if row else None

    def put(self, state: SourceState) -> None:
        """Write a state, be it new or not."""
        self._upsert(sources, _row(state))

    def due(self, now: datetime) -> list[Due]:
        """Those whose visit is due, longest overdue first; what is not due costs nothing."""
        columns = (sources.c.name, sources.c.url, sources.c.tried, sources.c.next_at)
        found = select(*columns).where(sources.c.next_at <= now).order_by(sources.c.next_at, sources.c.name)
        return [Due(**row._asdict()) for row in self._connection.execute(found)]

    def next_moment(self, now: datetime) -> datetime | None:
        """When the next visit will be due that is not due yet."""
        moment: datetime | None = self._connection.scalar(
            select(func.min(sources.c.next_at)).where(sources.c.next_at > now)
        )
        return moment

    def plans(self) -> dict[str, str]:
        """The plan of each, by name."""
        return dict(self._connection.execute(select(sources.c.name, sources.c.plan)).all())

    def plan(self, names: Collection[str], plan: str, next_at: datetime | None) -> None:
        """Plan the next visit to each of these, be they known or not."""
        for chunk in chunks(names):
            rows = [_row(SourceState(name=name, plan=plan, next_at=next_at)) for name in chunk]
            insert = self._insert(sources).on_conflict_do_update(
                index_elements=["name"], set_={"plan": plan, "next_at": next_at}
            )
            self._connection.execute(insert, rows)

    def hasten(self, name: str, now: datetime, between: timedelta) -> None:
        """Let one be visited at once that is well and is visited at all; so long lies between two visits."""
        state = self.get(name)
        if state and state.next_at and not state.failures:
            moment = max(now, state.tried + between) if state.tried else now
            if moment < state.next_at:
                self._connection.execute(update(sources).where(sources.c.name == name).values(next_at=moment))

    def all(self) -> list[SourceState]:
        """All states, by name."""
        return [_state(row) for row in self._connection.execute(select(sources).order_by(sources.c.name))]


def _row(state: SourceState) -> dict[str, Any]:
    row = {field.name: getattr(state, field.name) for field in fields(state)}
    return row | {"cursor": json.dumps(dict(state.cursor))}


def _state(row: Row[Any]) -> SourceState:
    return SourceState(**row._asdict() | {"cursor": json.loads(row.cursor)})
