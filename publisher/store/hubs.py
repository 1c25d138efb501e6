"""Who pushes the entries of sources."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, replace
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Select, delete, func, select, update

from publisher.store.concern import Concern
from publisher.store.pages import of_page, page, rows_of
from publisher.store.rows import HubRow, Push
from publisher.store.tables import hubs

_NAME = (hubs.c.name,)


@cache
def _some(dialect: str) -> Select[Any]:
    """Finds the hubs of what is visited; made once, since each visit asks."""
    return select(hubs).where(hubs.c.name.in_(select(*of_page(dialect, _NAME))))


class Hubs(Concern):
    """The hubs that were asked to push, and those that are to end it."""

    def get(self, name: str) -> HubRow | None:
        """The hub of what is visited; None where it has none."""
        return self.some([name]).get(name)

    def some(self, names: Collection[str]) -> dict[str, HubRow]:
        """The hubs of what is visited, by its name, of what has one."""
        dialect = self._connection.dialect
        rows = rows_of(self._connection, _some(dialect.name), page(dialect, _NAME, zip(names)))
        found = (_hub(dict(zip(hubs.c.keys(), row, strict=True))) for row in rows)
        return {hub.name: hub for hub in found}

    def by_token(self, token: str) -> HubRow | None:
        """The hub that was given this token; None where none was."""
        return self._one(select(hubs).where(hubs.c.token == token))

    def put(self, row: HubRow) -> None:
        """Write a row, be it new or not."""
        self._upsert(hubs, _values(row))

    def remove(self, name: str) -> None:
        """Forget a hub."""
        self._connection.execute(delete(hubs).where(hubs.c.name == name))

    def leave(self, row: HubRow, now: datetime) -> None:
        """Let it end: a hub that has confirmed is asked to, any other is forgotten.

        It goes under a name of its own from here on, and makes room for another hub of the same source.
        """
        self.remove(row.name)
        if row.pushes(now):
            name = f"{row.name} {row.token}"
            self.put(replace(row, name=name, state=Push.LEAVING, next_at=now, failures=0, error=""))

    def claim(self, row: HubRow, asked: HubRow) -> bool:
        """Write that a hub is being asked, unless somebody else has just asked it: then False."""
        same = (hubs.c.name == row.name, hubs.c.token == row.token, hubs.c.next_at == row.next_at)
        return self._count(update(hubs).where(*same).values(_values(asked))) == 1

    def trouble(self, row: HubRow, error: str, next_at: datetime | None) -> None:
        """Note what is wrong with it, unless it has been asked or has confirmed meanwhile."""
        same = (hubs.c.name == row.name, hubs.c.token == row.token, hubs.c.next_at == row.next_at)
        self._connection.execute(update(hubs).where(*same).values(error=error, next_at=next_at))

    def due(self, now: datetime) -> list[HubRow]:
        """Those that are to be asked, longest overdue first; what is not due costs nothing."""
        found = select(hubs).where(hubs.c.next_at <= now).order_by(hubs.c.next_at, hubs.c.name)
        return [_hub(row._asdict()) for row in self._connection.execute(found)]

    def next_moment(self, now: datetime) -> datetime | None:
        """When the next one is to be asked that is not due yet."""
        moment: datetime | None = self._connection.scalar(select(func.min(hubs.c.next_at)).where(hubs.c.next_at > now))
        return moment

    def all(self) -> list[HubRow]:
        """All of them, by name."""
        return [_hub(row._asdict()) for row in self._connection.execute(select(hubs).order_by(hubs.c.name))]

    def _one(self, statement: Any) -> HubRow | None:
        row = self._connection.execute(statement).one_or_none()
        return _hub(row._asdict()) if row else None


def _values(row: HubRow) -> dict[str, Any]:
    return asdict(row) | {"state": row.state.value}


def _hub(row: dict[str, Any]) -> HubRow:
    return HubRow(**row | {"state": Push(row["state"])})
