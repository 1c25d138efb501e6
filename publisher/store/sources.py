"""How each source stands."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from sqlalchemy import Row, select

from publisher.store.concern import Concern
from publisher.store.rows import SourceState
from publisher.store.tables import sources


class Sources(Concern):
    """The states of the sources."""

    def get(self, name: str) -> SourceState | None:
        """The state of one; None when it was never put."""
        row = self._connection.execute(select(sources).where(sources.c.name == name)).one_or_none()
        return _state(row) if row else None

    def put(self, state: SourceState) -> None:
        """Write a state, be it new or not."""
        row = {field.name: getattr(state, field.name) for field in fields(state)}
        self._upsert(sources, row | {"cursor": json.dumps(dict(state.cursor))})

    def all(self) -> list[SourceState]:
        """All states, by name."""
        return [_state(row) for row in self._connection.execute(select(sources).order_by(sources.c.name))]


def _state(row: Row[Any]) -> SourceState:
    return SourceState(**row._asdict() | {"cursor": json.loads(row.cursor)})
