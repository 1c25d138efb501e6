"""A copy of a store that is in use."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlalchemy import Engine

from publisher.errors import StoreError
from publisher.store.database import file_of

_PAGES = 500  # in one step; progress is told after each


def backup(engine: Engine, file: Path, progress: Callable[[int, int], None]) -> None:
    """Copy an SQLite database by its online backup (https://www.sqlite.org/backup.html), check it, put it in place."""
    origin = file_of(engine)
    if origin is None:
        raise StoreError("a store on PostgreSQL is backed up by its own means", hint="use pg_dump")
    if file.exists() and file.samefile(origin):
        raise StoreError(f"{file}: is the store itself", hint="name another file")
    try:
        handle, name = tempfile.mkstemp(dir=file.absolute().parent, prefix=f".{file.name}-")
        os.close(handle)
        try:
            _copy(origin, Path(name), progress)
            _put(Path(name), file)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"{file}: cannot be written: {error.strerror}", hint="name a folder that can be written"
        ) from error
    except sqlite3.Error as error:
        raise StoreError(
            f"{file}: no copy was made: {error}", hint="see that the disk has room and is sound"
        ) from error


def _copy(origin: Path, copy: Path, progress: Callable[[int, int], None]) -> None:
    with closing(sqlite3.connect(origin)) as live, closing(sqlite3.connect(copy)) as target:
        # The open snapshot keeps the copying from starting anew whenever another process writes.
        live.execute("BEGIN")
        live.execute("SELECT count(*) FROM sqlite_master").fetchone()
        live.backup(target, pages=_PAGES, progress=lambda _, rest, total: progress(total - rest, total))
        target.execute("PRAGMA journal_mode = DELETE")  # one file, without the two that WAL puts beside it
        findings = [row[0] for row in target.execute("PRAGMA integrity_check")]
    if findings != ["ok"]:
        raise StoreError(
            f"{origin}: the store is damaged: {findings[0]}",
            hint="stop publisher, and put the last backup in its place",
        )


def _put(copy: Path, file: Path) -> None:
    """Rename, and see that both bytes and name outlive a power cut."""
    _sync(copy)
    copy.replace(file)
    _sync(file.absolute().parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)
