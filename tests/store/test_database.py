"""Opening, migrating, backing up, and what goes wrong."""

from __future__ import annotations

import multiprocessing
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import sqlalchemy
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from store_samples import NOW, arrival

from publisher.errors import StoreError
from publisher.model import Item
from publisher.store import ConsentRow, Store, migrations, open_store
from publisher.store.tables import HEAD, metadata

fork = multiprocessing.get_context("fork")


def file_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def fill(store: Store, entries: int = 3) -> None:
    with store.write() as tx:
        tx.entries.add("blog", [arrival(str(number)) for number in range(entries)], NOW)


def engine_of(url: str) -> sqlalchemy.Engine:
    return sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))


# --- migrations ------------------------------------------------------------------------------------------------------


def test_the_migrations_make_the_tables(store: Store, url: str):
    with engine_of(url).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == HEAD
        connection.close()
        connection.engine.dispose()


def test_the_migrations_make_the_tables_to_the_letter(sqlite_url: str, tmp_path: Path):
    """Alembic compares neither conditions of indexes nor constraints to the last; SQLite keeps the very statements."""
    open_store(sqlite_url).close()
    metadata.create_all(sqlalchemy.create_engine(f"sqlite:///{tmp_path}/direct.db"))

    def statements(file: Path) -> dict[str, list[str]]:
        with closing(sqlite3.connect(file)) as connection:
            rows = connection.execute(
                "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND type <> 'trigger'"
            ).fetchall()
        # The order of constraints differs, and a table that was replaced has its name in quotes: words are compared.
        return {name: sorted(re.findall(r'\w+|[^\s"]', sql)) for name, sql in rows if name != "alembic_version"}

    assert statements(file_of(sqlite_url)) == statements(tmp_path / "direct.db")


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, sqlite_url: str) -> str:
    """A database that no migration has seen."""
    if request.param == "sqlite":
        return sqlite_url
    server = request.getfixturevalue("postgresql")
    return server.url(server.new_database())


BEFORE = """
INSERT INTO counters VALUES ('issues of weekly', 2);
INSERT INTO entries VALUES (7, 'blog', 'urn:7', 1, 1, 1, 1, false, false, 'd', '', '', '{"title": "Seven"}');
INSERT INTO issues (id, publication, number, subject, created, entries, finished, paused)
    VALUES (3, 'weekly', 1, 'First', 5, 1, 6, ''), (9, 'weekly', 2, 'Second', 7, 0, NULL, 'too many failed');
INSERT INTO issue_entries VALUES (3, 0, 7, 1);
INSERT INTO documents VALUES (3, 0, 'mail.txt', 'text/plain', 'body');
INSERT INTO deliveries (id, issue, channel, recipient, state, tries, planned, owner, detail)
    VALUES (11, 3, 'post', 'a@example.org', 'sent', 1, 5, '', ''),
        (12, 9, 'post', 'b@example.org', 'planned', 0, 7, '', '');
INSERT INTO returns VALUES ('k', 11, 'a@bücher.example', 'soft', '', '', 8);
INSERT INTO suppressions VALUES ('a@bücher.example', '', 'hard', '', 8),
    ('a@xn--bcher-kva.example', '', 'soft', '', 8),
    ('c@straße.example', 'weekly', 'hard', '', 8)
"""


def test_a_store_from_before_there_were_readers_keeps_all_it_had(empty_url: str):
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    engine = engine_of(empty_url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        for statement in BEFORE.split(";"):
            connection.exec_driver_sql(statement)
    store = open_store(empty_url)
    with store.write() as tx:
        assert [(row.id, row.number, row.paused, row.variant) for row in tx.issues.recent(9)] == [
            (9, 2, "too many failed", ""),
            (3, 1, "", ""),
        ]
        assert [entry.title for entry in tx.issues.entries(3)] == ["Seven"]
        assert [document.name for document in tx.issues.documents(3)] == ["mail.txt"]
        assert [(row.id, row.issue) for row in tx.deliveries.list(limit=9)] == [(12, 9), (11, 3)]
        assert [one.delivery for one in tx.suppressions.returned("a@bücher.example", limit=9)] == [11]
        assert sorted(one.address for one in tx.suppressions.list(limit=9)) == [
            "a@xn--bcher-kva.example",
            "c@xn--strae-oqa.example",
        ]
        assert tx.issues.add("weekly", "Third", [7], (), NOW).number == 3
    with pytest.raises(StoreError), store.write() as tx:  # what refers to an issue still has to
        tx.deliveries.plan(99, [("post", "a@example.org")], NOW)
    store.close()
    with engine.connect() as connection:
        if empty_url.startswith("sqlite"):
            assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
        salt = connection.exec_driver_sql("SELECT value FROM meta WHERE name = 'salt'").scalar_one()
        assert re.fullmatch("[0-9a-f]{32}", salt)
    engine.dispose()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM consents",
        "UPDATE consents SET act = 'left'",
        "UPDATE consents SET network = '192.0.2.0/24'",
        "UPDATE consents SET network = '', moment = moment + 1",
        "UPDATE consents SET id = id + 1",
    ],
)
def test_the_database_itself_keeps_the_log_of_consents(store: Store, url: str, statement: str):
    said = ConsentRow(publication="weekly", act="confirmed", moment=NOW, door="page", network="198.51.100.0/24")
    with store.write() as tx:
        tx.subscribers.consent("a@example.org", said)
    engine = engine_of(url)
    with pytest.raises(sqlalchemy.exc.DBAPIError, match="append only"), engine.begin() as connection:
        connection.exec_driver_sql(statement)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE consents SET network = ''")
    engine.dispose()
    with store.read() as tx:
        assert tx.subscribers.history("a@example.org") == (replace(said, network=""),)


def test_the_newest_migration_is_the_one_that_the_code_expects():
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_a_warm_start_imports_no_alembic_and_no_start_imports_sqlalchemy(sqlite_url: str):
    open_store(sqlite_url).close()
    code = (
        "import sys; from publisher.store import open_store; assert 'sqlalchemy' not in sys.modules;"
        f"open_store({sqlite_url!r}).close(); assert 'alembic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_store_of_a_newer_version_is_refused(store: Store, url: str):
    with engine_of(url).begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="newer version") as caught:
        open_store(url)
    assert "install that version again" in caught.value.hint


def test_what_was_stored_is_there_when_the_store_is_opened_again(store: Store, url: str):
    fill(store)
    store.close()
    again = open_store(url)
    with again.read() as tx:
        assert tx.entries.count("blog") == 3
    again.close()


# --- transactions ----------------------------------------------------------------------------------------------------


def test_an_exception_undoes_the_whole_transaction(store: Store):
    with pytest.raises(KeyboardInterrupt), store.write() as tx:  # noqa: PT012 - the body is what is interrupted
        tx.entries.add("blog", [arrival("a")], NOW)
        raise KeyboardInterrupt
    with store.read() as tx:
        assert tx.entries.last_number() == 0


def test_a_reading_transaction_sees_one_moment(store: Store):
    with store.read() as tx:
        assert tx.entries.count("blog") == 0
        fill(store)
        assert tx.entries.count("blog") == 0
    with store.read() as tx:
        assert tx.entries.count("blog") == 3


def test_sqlite_keeps_what_was_committed_through_a_power_cut(sqlite_url: str):
    store = open_store(sqlite_url)
    with store._engine.connect() as connection:
        asked = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        found = [connection.connection.execute(f"PRAGMA {name}").fetchone()[0] for name in asked]
    assert found == ["wal", 2, 1, 30_000]
    store.close()


# --- what goes wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["", "nonsense", "sqlite://", "sqlite:///:memory:", "mysql://a/b", "postgresql+asyncpg://a/b"]
)
def test_an_address_that_is_no_store_is_refused_with_an_example(url: str):
    with pytest.raises(StoreError) as caught:
        open_store(url)
    assert "sqlite:///data/publisher.db" in caught.value.hint


def test_a_server_that_is_not_there_is_told_without_the_password():
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:1/none: cannot be reached") as caught:
        open_store("postgresql://me:hush-hush@127.0.0.1:1/none")
    assert "hush-hush" not in str(caught.value)
    assert "`database:`" in caught.value.hint


def test_a_database_that_does_not_exist_is_told(postgresql):
    with pytest.raises(StoreError, match="none") as caught:
        open_store(postgresql.url("none"))
    assert caught.value.hint


def test_a_file_that_is_no_database_is_told(tmp_path: Path):
    (tmp_path / "store.db").write_bytes(b"not a database " * 1_000)
    with pytest.raises(StoreError, match="is not a database") as caught:
        open_store(f"sqlite:///{tmp_path}/store.db")
    assert "backup" in caught.value.hint


def test_a_damaged_file_is_told(sqlite_url: str):
    store = open_store(sqlite_url)
    fill(store, 500)
    store.close()
    file = file_of(sqlite_url)
    with file.open("r+b") as opened:
        opened.seek(4096 * 4)
        opened.write(b"\xff" * (file.stat().st_size - 4096 * 4))
    with pytest.raises(StoreError, match="is damaged") as caught:
        fill(open_store(sqlite_url), 1_000)
    assert "backup" in caught.value.hint


def test_a_full_disk_is_told_and_nothing_is_half_written(sqlite_url: str):
    store = open_store(sqlite_url)
    fill(store)
    with store._engine.connect() as connection:
        pages = connection.connection.execute("PRAGMA page_count").fetchone()[0]
        connection.connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match="disk is full") as caught:
        fill_with_much(store)
    assert "make room" in caught.value.hint
    with store.read() as tx:
        assert tx.entries.count("news") == 0
    store.close()


def fill_with_much(store: Store) -> None:
    with store.write() as tx:
        tx.entries.add("news", [arrival(str(number)) for number in range(5_000)], NOW)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be created") as caught:
        open_store(f"sqlite:///{tmp_path}/file/data/store.db")
    assert "right to write" in caught.value.hint


def test_a_folder_that_cannot_be_written_is_told():
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        ours, theirs = fork.Pipe()
        child = fork.Process(target=open_as_nobody, args=(f"sqlite:///{folder}/store.db", theirs))
        child.start()
        message, hint = ours.recv()
        child.join()
    assert f"{folder}/store.db: cannot be opened" in message
    assert "right to write" in hint


def open_as_nobody(url: str, pipe: Connection) -> None:
    """Root may write anywhere."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    try:
        open_store(url)
    except StoreError as error:
        pipe.send((str(error), error.hint))


def test_a_lock_that_is_never_let_go_is_told(sqlite_url: str):
    store = open_store(sqlite_url)
    with store._engine.connect() as connection:
        connection.connection.execute("PRAGMA busy_timeout = 50")
    with closing(sqlite3.connect(file_of(sqlite_url), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="is locked") as caught:
            fill(store)
    assert "another program" in caught.value.hint
    store.close()


def test_an_error_does_not_tell_what_was_to_be_written(store: Store):
    with pytest.raises(StoreError) as caught, store.write() as tx:
        tx.deliveries.plan(99, [("post", "secret-reader@example.org")], NOW)
    assert "secret-reader" not in str(caught.value)


# --- backup ----------------------------------------------------------------------------------------------------------


def test_a_backup_is_one_whole_file_made_while_others_write(sqlite_url: str, tmp_path: Path):
    store, told = open_store(sqlite_url), []
    fill(store, 20_000)

    def progress(copied: int, total: int) -> None:
        told.append((copied, total))
        if len(told) == 1:
            with store.write() as tx:
                tx.entries.revise(1, Item(title="Edited meanwhile"), "new", NOW, link_key="")

    copy = tmp_path / "copy.db"
    copy.write_bytes(b"an older backup")
    store.backup(copy, progress)
    store.close()
    assert len(told) > 1
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]
    assert copy.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir() if "copy" in path.name) == ["copy.db"]
    with open_store(f"sqlite:///{copy}").read() as tx:
        assert tx.entries.count("blog") == 20_000
        assert tx.entries.known("blog", ["0"], [])[0].title == "Title of 0"


def test_a_backup_over_the_store_itself_or_into_nowhere_is_refused(sqlite_url: str, tmp_path: Path):
    store = open_store(sqlite_url)
    with pytest.raises(StoreError, match="is the store itself"):
        store.backup(file_of(sqlite_url))
    with pytest.raises(StoreError, match="cannot be written"):
        store.backup(tmp_path / "none" / "copy.db")
    store.close()


def test_a_backup_of_a_damaged_store_is_refused_and_leaves_the_older_one(sqlite_url: str, tmp_path: Path):
    store, copy = open_store(sqlite_url), tmp_path / "copy.db"
    fill(store, 500)
    store.close()
    copy.write_bytes(b"an older backup")
    file = file_of(sqlite_url)
    with file.open("r+b") as opened:
        opened.seek(file.stat().st_size - 3 * 4096)
        opened.write(b"\xff" * 3 * 4096)
    with pytest.raises(StoreError):
        open_store(sqlite_url).backup(copy)
    assert copy.read_bytes() == b"an older backup"
    assert not list(tmp_path.glob(".copy*"))


def test_postgresql_is_backed_up_by_its_own_means(postgresql, migrated, tmp_path: Path):
    store = open_store(postgresql.url(migrated))
    with pytest.raises(StoreError) as caught:
        store.backup(tmp_path / "copy.db")
    store.close()
    assert caught.value.hint == "use pg_dump"
