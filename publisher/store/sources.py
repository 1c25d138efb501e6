"""How each source stands."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from functools import cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Column, Executable, Select, case, func, select, true, update

from publisher.model import ListedFeed
from publisher.store.concern import Concern, chunks, insert_for
from publisher.store.pages import of_page, page, rows_of
from publisher.store.rows import Due, SourceState
from publisher.store.tables import UNTOLD, sources

_HAIR = timedelta(microseconds=1)
_FIELDS = [field.name for field in fields(SourceState)]
_OTHERS = ("name", "plan", "url", "told")


# Made once, for each visit to each source needs them, and to make them takes longer than to execute them.


_NAME = (sources.c.name,)
_PLAN = (sources.c.name, sources.c.plan, sources.c.next_at)
_ALL = tuple(sources.c)


@cache
def _some(dialect: str, columns: Sequence[Column[Any]]) -> Select[Any]:
    """Finds sources by their names."""
    return select(*columns).where(sources.c.name.in_(select(*of_page(dialect, _NAME))))


@cache
def _visited(dialect: str) -> Executable:
    """Writes how visits left sources, and of what others decide nothing that they decided meanwhile."""
    rows = select(*of_page(dialect, _ALL)).where(true())  # else SQLite reads ON CONFLICT as a part of the SELECT
    insert = insert_for(dialect, sources).from_select(list(_ALL), rows)
    left: dict[str, Any] = {
        column.name: insert.excluded[column.name] for column in sources.c if column.name not in _OTHERS
    }
    unplanned = sources.c.plan == insert.excluded.plan
    left["next_at"] = case((unplanned, insert.excluded.next_at), else_=sources.c.next_at)
    return insert.on_conflict_do_update(index_elements=["name"], set_=left)


class Sources(Concern):
    """The states of the sources."""

    def get(self, name: str) -> SourceState | None:
        """The state of one; None when it was never put."""
        return self.some([name]).get(name)

    def some(self, names: Collection[str]) -> dict[str, SourceState]:
        """The states of these, by name, of those that were ever put."""
        states = (_state(dict(zip(sources.c.keys(), row, strict=True))) for row in self._named(names, _ALL))
        return {state.name: state for state in states}

    def planned(self, names: Collection[str]) -> dict[str, tuple[str, datetime | None]]:
        """By what options the next visit to each of these is planned, and for when."""
        return {name: (plan, next_at) for name, plan, next_at in self._named(names, _PLAN)}

    def _named(self, names: Collection[str], columns: Sequence[Column[Any]]) -> list[tuple[Any, ...]]:
        dialect = self._connection.dialect
        named = page(dialect, _NAME, zip(names))
        return rows_of(self._connection, _some(dialect.name, columns), named)

    def put(self, state: SourceState) -> None:
        """Write a state, be it new or not."""
        self._upsert(sources, _row(state))

    def untold(self, *, hold: bool = False) -> list[SourceState]:
        """Those whose ailment is not what the operator was told of last, by name.

        Args:
            hold: nobody else gets them so before this transaction ends, and then not those that were told of in it.
        """
        found = select(sources).where(UNTOLD).order_by(sources.c.name)
        return [_state(row._asdict()) for row in self._connection.execute(found.with_for_update() if hold else found)]

    def tell(self, states: Collection[SourceState]) -> None:
        """Note that the operator was told of these as they are here, however they are by now."""
        for state in states:
            named = update(sources).where(sources.c.name == state.name)
            self._connection.execute(named.values(told=state.ailment))

    def undecided(self, until: datetime) -> list[str]:
        """The names of those that fail, of which there is nothing to tell yet, and which are visited again by then."""
        fails = (sources.c.plan != "", sources.c.failures > 0, ~UNTOLD, sources.c.next_at <= until)
        return list(self._connection.scalars(select(sources.c.name).where(*fails)))

    def visited(self, states: Collection[SourceState]) -> None:
        """Write how visits left sources.

        What others decide stays as they decided it meanwhile: where a source is, what the operator was told and, if it
        was planned anew, when it is visited next.
        """
        self._on_page(_visited, _ALL, [_in_order(_row(state)) for state in states])

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

    def accept(self, name: str, now: datetime) -> bool:
        """Forget how something was visited last, as if its options had changed, and let it be visited now.

        Returns:
            False where it was never visited.
        """
        named = update(sources).where(sources.c.name == name, sources.c.visited.is_not(None))
        return self._connection.execute(named.values(fingerprint="", next_at=now)).rowcount == 1

    def hasten(self, name: str, now: datetime, between: timedelta) -> None:
        """Let one be visited at once that is well and is visited at all; so long lies between two visits.

        A visit that is due may be underway already, and too early to bring what this one is to bring: by ``next_at``,
        which is another one by a hair, it can tell.
        """
        state = self.get(name)
        if state is None or state.next_at is None or state.failures:
            return
        moment = max(now, state.tried + between) if state.tried else now
        if state.next_at <= now:
            moment = state.next_at - _HAIR
        if moment < state.next_at:
            self._connection.execute(update(sources).where(sources.c.name == name).values(next_at=moment))

    def listed(self, name: str) -> dict[str, str]:
        """The plans of the feeds that a list has ever named, by name; empty of one that it names no more."""
        theirs = sources.c.name.startswith(f"{name}/", autoescape=True)
        return dict(self._connection.execute(select(sources.c.name, sources.c.plan).where(theirs)).all())

    def follow(self, feeds: Mapping[str, ListedFeed], plan: str, now: datetime) -> None:
        """Plan the first visit to feeds that are new on a list, or on it again."""
        for chunk in chunks(feeds.items()):
            rows = [
                _row(SourceState(name=name, url=feed.url, title=feed.title, plan=plan, next_at=now))
                for name, feed in chunk
            ]
            insert = self._insert(sources)
            again = {name: insert.excluded[name] for name in ("url", "plan", "next_at")}
            self._connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_=again), rows)

    def all(self) -> list[SourceState]:
        """All states, by name."""
        return [_state(row._asdict()) for row in self._connection.execute(select(sources).order_by(sources.c.name))]


_in_order = itemgetter(*sources.c.keys())


def _row(state: SourceState) -> dict[str, Any]:
    row = {name: getattr(state, name) for name in _FIELDS}
    return row | {"cursor": json.dumps(dict(state.cursor))}


def _state(row: dict[str, Any]) -> SourceState:
    return SourceState(**row | {"cursor": json.loads(row["cursor"])})
