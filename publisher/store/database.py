"""The way into the database: connections, transactions, and what goes wrong with them."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, ProgrammingError

from publisher.errors import StoreError
from publisher.store.tables import HEAD

_PATIENCE = 30
"""Seconds for which one waits for others."""
_SQLITE_PRAGMAS = (
    f"PRAGMA busy_timeout = {_PATIENCE * 1000}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # a verdict that was committed must outlive a power cut
    "PRAGMA foreign_keys = ON",
)
_MIGRATION_LOCK = 0x7075626C6973680A  # any number that nobody else uses with pg_advisory_lock


def connect(url: str) -> Engine:
    """The engine for a database, its schema brought up to date.

    Raises:
        StoreError: the address is wrong, the database cannot be reached, or a newer version has written it.
    """
    engine = _engine(url)
    with translated(engine):
        if schema(engine) != HEAD:
            _migrate(engine)
    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that sees the database as it is now, whatever others write meanwhile."""
    with translated(engine), _bent(engine, "read").begin() as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that is committed at the end, or rolled back by an exception."""
    with translated(engine), _bent(engine, "write").begin() as connection:
        yield connection


@lru_cache(maxsize=64)
def _bent(engine: Engine, how: str) -> Engine:
    """The engine with the options of such transactions; to make it anew would cost more than a small transaction."""
    return engine.execution_options(**(_READING if how == "read" else _WRITING)[engine.dialect.name])


_READING: dict[str, dict[str, Any]] = {
    "sqlite": {"begin": "BEGIN"},
    "postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
}
_WRITING: dict[str, dict[str, Any]] = {
    # A transaction that turns from reading to writing fails at once when somebody else wrote meanwhile, and
    # busy_timeout does not help: it has to be a writing one from the start.
    "sqlite": {"begin": "BEGIN IMMEDIATE"},
    "postgresql": {"isolation_level": "READ COMMITTED"},
}


def file_of(engine: Engine) -> Path | None:
    """The database's file; None on PostgreSQL."""
    return Path(engine.url.database or "").absolute() if engine.dialect.name == "sqlite" else None


def _engine(url: str) -> Engine:
    try:
        address = sqlalchemy.make_url(url)
    except ArgumentError as error:
        raise StoreError("the address of the database cannot be read", hint=_ADDRESSES) from error
    if address.drivername == "sqlite" and address.database not in (None, "", ":memory:"):
        return _sqlite(address)
    if address.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return _postgresql(address.set(drivername="postgresql+psycopg"))
    raise StoreError(f"no store is kept at {address.render_as_string()}", hint=_ADDRESSES)


_ADDRESSES = "write sqlite:///data/publisher.db or postgresql://user:password@host/database"


def _sqlite(url: sqlalchemy.URL) -> Engine:
    folder = Path(url.database or "").absolute().parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be created: {error.strerror}", hint=_RIGHTS) from error
    # As many connections as there are threads.  None is given back with a transaction open, so there is none to undo.
    engine = sqlalchemy.create_engine(url, max_overflow=-1, pool_reset_on_return=None)
    engine.dialect.cte_follows_insert = True  # Python's driver counts no rows of a statement that begins with WITH
    event.listen(engine, "connect", prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def prepare_sqlite(connection: sqlite3.Connection, _: object) -> None:
    """Set a new connection up.

    Raises:
        sqlite3.OperationalError: others have kept the database to themselves for longer than anybody may.
    """
    connection.isolation_level = None  # the driver begins no transactions of its own accord; _begin_sqlite does
    for pragma in _SQLITE_PRAGMAS:
        _patiently(connection, pragma)


def _patiently(connection: sqlite3.Connection, pragma: str) -> None:
    """Where several turn a new database to write-ahead at the same moment, SQLite itself waits for nobody."""
    ends = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute(pragma)
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > ends:
                raise
            time.sleep(0.01)


def _begin_sqlite(connection: Connection) -> None:
    # Past SQLAlchemy, which would take longer for these words than SQLite for the whole transaction.
    begun: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]  # SQLite's it is
    begun.execute(connection.get_execution_options()["begin"])


def _postgresql(url: sqlalchemy.URL) -> Engine:
    try:
        return sqlalchemy.create_engine(
            url,
            max_overflow=-1,
            pool_pre_ping=True,
            connect_args={"connect_timeout": 10, "application_name": "publisher"},
        )
    except (ImportError, NoSuchModuleError) as error:
        raise StoreError("PostgreSQL needs psycopg", hint="pip install 'publisher[postgresql]'") from error


# --- the schema ------------------------------------------------------------------------------------------------------


def schema(engine: Engine) -> str | None:
    """The schema's version; None where there is no schema yet."""
    with reading(engine) as connection:
        if not sqlalchemy.inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(sqlalchemy.text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _migrate(engine: Engine) -> None:
    """Apply the migrations that are missing, all or none; of several processes one does it and the others wait."""
    from alembic.util import CommandError

    from publisher.store.migrations import upgrade

    with _without_foreign_keys(engine) as connection, connection.begin():  # SQLite: nobody else writes meanwhile
        if engine.dialect.name == "postgresql":
            connection.execute(sqlalchemy.text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
        try:
            upgrade(connection)
        except CommandError as error:
            raise StoreError(
                f"{_name(engine)}: a newer version of publisher has written this store",
                hint="install that version again, or restore a backup that was made before it",
            ) from error


@contextmanager
def _without_foreign_keys(engine: Engine) -> Iterator[Connection]:
    """A connection for writing on which SQLite lets a table be replaced that others refer to.

    It can be told so only outside a transaction (https://www.sqlite.org/lang_altertable.html, section 7).
    """
    with _bent(engine, "write").connect() as connection:
        if engine.dialect.name != "sqlite":
            yield connection
            return
        driver: Any = connection.connection.driver_connection
        driver.execute("PRAGMA foreign_keys = OFF")
        try:
            yield connection
        finally:
            driver.execute("PRAGMA foreign_keys = ON")


# --- what goes wrong -------------------------------------------------------------------------------------------------

_RIGHTS = "give the user that publisher runs as the right to write the file and its folder"
_ROOM = "make room on the disk; nothing is lost, and what was being done is done again"
_BUSY = "another program holds it: look for a backup or a shell that was left open"
_DAMAGED = "stop publisher, and put the last backup in its place"
_UNREACHABLE = "see that the server runs, and that address, user and password in `database:` are right"

_SQLITE = {
    "SQLITE_BUSY": ("is locked", _BUSY),
    "SQLITE_LOCKED": ("is locked", _BUSY),
    "SQLITE_FULL": ("cannot grow: the disk is full", _ROOM),
    "SQLITE_READONLY": ("cannot be written", _RIGHTS),
    "SQLITE_CANTOPEN": ("cannot be opened", _RIGHTS),
    "SQLITE_PERM": ("cannot be opened", _RIGHTS),
    "SQLITE_AUTH": ("cannot be opened", _RIGHTS),
    "SQLITE_CORRUPT": ("is damaged", _DAMAGED),
    "SQLITE_NOTADB": ("is not a database, or is damaged", _DAMAGED),
    "SQLITE_IOERR": ("cannot be read or written", "look at the disk and the system's log, and that there is room left"),
}
_POSTGRESQL = {
    "08": ("cannot be reached", _UNREACHABLE),
    "28": ("does not let us in", _UNREACHABLE),
    "3D": ("does not exist", "create it: createdb"),
    "42501": ("does not let us", "give the user the right to create and write tables: GRANT ALL ON SCHEMA public"),
    "25006": ("cannot be written", "connect to the primary server, not to a standby"),
    "53100": ("cannot grow: the disk is full", _ROOM),
    "53300": ("has no connection left for us", "raise max_connections, or run fewer processes"),
    "40": ("is busy", "nothing is lost, and what was being done is done again"),
    "55P03": ("is locked", _BUSY),
    "57P": ("was shut down", _UNREACHABLE),
    "XX00": ("is damaged", "look at the server's log, and restore the last backup"),
}


@contextmanager
def translated(engine: Engine) -> Iterator[None]:
    """Turn the database's errors into ours.  Its words are kept; the statement's parameters are private and are not."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        complaint, hint = _meaning(error)
        words = " ".join(str(_original(error)).split())
        raise StoreError(f"{_name(engine)}: {complaint} ({words})", hint=hint) from error


def _original(error: DBAPIError | sqlite3.Error) -> BaseException | None:
    """What the driver raised."""
    return error.orig if isinstance(error, DBAPIError) else error


def _meaning(error: DBAPIError | sqlite3.Error) -> tuple[str, str]:
    unknown, original = ("refuses", ""), _original(error)
    if isinstance(original, sqlite3.Error):
        code = getattr(original, "sqlite_errorname", "")
        return next((meaning for start, meaning in _SQLITE.items() if code.startswith(start)), unknown)
    state = getattr(original, "sqlstate", None) or ("" if isinstance(error, ProgrammingError) else "08")
    return next((meaning for start, meaning in _POSTGRESQL.items() if state.startswith(start)), unknown)


def _name(engine: Engine) -> str:
    """The database as the operator knows it, without its password."""
    return str(file_of(engine) or engine.url.render_as_string().replace("+psycopg", ""))
