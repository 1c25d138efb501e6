"""What the concerns share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import JSON, BigInteger, TypeDecorator, cast, func, literal, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from publisher.mime import address_key
from publisher.store.owner import dead
from publisher.store.pages import page
from publisher.store.tables import counters, meta
from publisher.tokens import keyed_hash

if TYPE_CHECKING:
    from sqlalchemy import (
        CTE,
        Column,
        ColumnElement,
        Connection,
        Executable,
        Insert,
        Select,
        Table,
        TableValuedAlias,
        Update,
    )
    from sqlalchemy.types import TypeEngine

T = TypeVar("T")

LEASE = timedelta(minutes=15)
"""How long a process of another machine that fell silent keeps what it holds; longer than any one message may take."""

_CHUNK = 500
_ROOM = 64 * 1024  # KiB
_SQLITE_NAMED = SQLiteDialect_pysqlite(paramstyle="named")
"""Under which a row is handed to the driver by the names of its columns, as psycopg wants it anyway."""

_HASH_BYTES = 20


class Concern:
    """One part of the store, within one transaction."""

    def __init__(self, connection: Connection, owner: str) -> None:
        self._connection = connection
        self._owner = owner

    def _dead(self, holders: Select[tuple[str]]) -> set[str]:
        """Those of the holders that are processes of this machine and are no more: what they held is free at once."""
        return dead(set(self._connection.scalars(holders)))

    @cached_property
    def _salt(self) -> str:
        """Of this store alone, and never told: without it nobody can try addresses on a hash."""
        salt: str = self._connection.execute(select(meta.c.value).where(meta.c.name == "salt")).scalar_one()
        return salt

    def _hashed(self, address: str) -> str:
        """What stands for an address that is not to be kept: ``#`` and a salted hash, which no address looks like."""
        return self._hashed_key(address_key(address))

    def _hashed_key(self, key: str) -> str:
        """The same, of an address's key."""
        return "#" + keyed_hash(key, self._salt, _HASH_BYTES)

    def _names(self, address: str) -> tuple[str, str]:
        """By what an address is looked up: its key, and what stands for it where it was erased."""
        return address_key(address), self._hashed(address)

    def _elements(self, values: Sequence[Any]) -> TableValuedAlias:
        """Values as rows with the column ``value``: one parameter, however many they are."""
        return elements(self._connection.dialect.name, literal(values, JSON))

    def _listed(self, values: Sequence[Any], kind: type[TypeEngine[Any]]) -> Select[Any]:
        """Values for an IN list: a parameter for each takes SQLAlchemy longer to write than SQLite to look up."""
        return select(cast(self._elements(values).c.value, kind))

    def _insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """An INSERT that knows ON CONFLICT."""
        return insert_for(self._connection.dialect.name, table)

    def _upsert(self, table: Table, row: dict[str, Any]) -> None:
        """Write a whole row, be it new or not."""
        insert = self._insert(table).values(row)
        keys = [column.name for column in table.primary_key]
        self._connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=row))

    @contextmanager
    def _roomy(self) -> Iterator[None]:
        """Let SQLite keep more in memory than it usually does, for what touches an index all over."""
        if self._connection.dialect.name != "sqlite":
            yield
            return
        usual = self._connection.exec_driver_sql("PRAGMA cache_size").scalar_one()
        self._connection.exec_driver_sql(f"PRAGMA cache_size = -{_ROOM}")
        yield  # after an error the connection stays as it is, which does no harm
        self._connection.exec_driver_sql(f"PRAGMA cache_size = {usual}")
        self._connection.exec_driver_sql("PRAGMA shrink_memory")

    def _count(self, statement: Executable, rows: Sequence[dict[str, Any]] | None = None) -> int:
        """Execute a statement and tell how many rows it wrote; SQLAlchemy forgets that of an INSERT unless asked."""
        return self._connection.execute(statement, rows, execution_options={"preserve_rowcount": True}).rowcount

    def _table(self, name: str, numbers: Mapping[str, int]) -> CTE:
        """A table for one statement, of ``key`` and ``value``."""
        each = "json_each_text" if self._connection.dialect.name == "postgresql" else "json_each"
        told = getattr(func, each)(literal(dict(numbers), JSON)).table_valued("key", "value")
        # Materialised, so that it is read once and SQLite makes an index for it.
        return select(told.c.key, cast(told.c.value, BigInteger).label("value")).cte(name).prefix_with("MATERIALIZED")

    def _on_page(
        self,
        make: Callable[[str], Executable],
        columns: Sequence[Column[Any]],
        rows: Iterable[Sequence[Any]],
        **others: Any,
    ) -> int:
        """Execute a statement for the rows of a page; returns how many it wrote.

        Args:
            make: gives the statement for a dialect.
            others: its other parameters.
        """
        dialect = self._connection.dialect
        return self._count(make(dialect.name), [page(dialect, columns, rows) | others])

    def _many(self, statement: Insert | Update, rows: Sequence[dict[str, Any]]) -> int:
        """Execute a statement without IN lists for each of thousands of rows; returns how many it wrote.

        Past SQLAlchemy, which would take longer to hand them over than SQLite to write them.  The rows are of no use to
        their maker afterwards: they hold what the database keeps.
        """
        if not rows:
            return 0
        dialect = self._connection.dialect
        dialect = _SQLITE_NAMED if dialect.name == "sqlite" else dialect
        columns = {name: statement.table.c[name].type for name in rows[0] if name in statement.table.c}
        compiled = statement.compile(dialect=dialect, column_keys=list(columns))
        constants = {name: value for name, value in compiled.params.items() if name not in rows[0]}
        kinds = [(name, kind.process_bind_param) for name, kind in columns.items() if isinstance(kind, TypeDecorator)]
        for row in rows:
            row.update(constants)
            for name, bound in kinds:
                row[name] = bound(row[name], dialect)
        done = self._connection.exec_driver_sql(str(compiled), rows, execution_options={"preserve_rowcount": True})
        return done.rowcount

    def _draw(self, counter: str, count: int = 1) -> int:
        """Take the next ``count`` values of a counter and return the first.

        The counter's row stays locked until the transaction ends, so values are in the order of the commits, which a
        PostgreSQL sequence would not give.  Drawing none only takes the lock.
        """
        insert = self._insert(counters).values(name=counter, value=count)
        upsert = insert.on_conflict_do_update(index_elements=["name"], set_={"value": counters.c.value + count})
        last: int = self._connection.execute(upsert.returning(counters.c.value)).scalar_one()
        return last - count + 1


def elements(dialect: str, values: ColumnElement[Any]) -> TableValuedAlias:
    """The values of a JSON array as rows with the column ``value``."""
    each = func.json_array_elements_text if dialect == "postgresql" else func.json_each
    return each(values).table_valued("value")


def insert_for(dialect: str, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that knows ON CONFLICT, in a dialect."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def chunks(values: Iterable[T], size: int = _CHUNK) -> Iterator[Sequence[T]]:
    """Parts of a size; if none is named, small enough for one IN list."""
    rest = iter(values)
    while chunk := list(islice(rest, size)):
        yield chunk
