"""Each test of this room runs twice: on an SQLite file, and on a real PostgreSQL server where one is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest
from waiting import PATIENCE, wait_for

from publisher.store import Store, Tx, open_store


@dataclass
class Server:
    """A PostgreSQL server of our own on a loopback port."""

    port: int
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def url(self, database: str) -> str:
        return f"postgresql://tester@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def new_database(self, template: str = "template0") -> str:
        name = f"test_{next(self.numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name


def _binaries() -> Path:
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    for folder in (*candidates, *map(Path, os.get_exec_path())):
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    pytest.skip("PostgreSQL's server programs are not installed; apt-get install postgresql")


def _someone() -> dict[str, str | int]:
    """PostgreSQL refuses to run as root."""
    if os.getuid():
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid}
    pytest.skip("PostgreSQL does not run as root, and there is no user 'postgres' or 'nobody'")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    import psycopg

    def answers() -> bool:
        assert process.poll() is None, "the PostgreSQL server ended"
        try:
            psycopg.connect(f"postgresql://tester@127.0.0.1:{port}/postgres", connect_timeout=PATIENCE).close()
        except psycopg.OperationalError:
            return False
        return True

    wait_for(answers)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    binaries, someone, port = _binaries(), _someone(), _free_port()
    # pytest's own folders are closed to other users.
    folder = Path(tempfile.mkdtemp(prefix="publisher-postgresql-"))
    if someone:
        os.chown(folder, someone["user"], someone["group"])
    run = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **someone}
    flags = ["-A", "trust", "-U", "tester", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        subprocess.run([binaries / "initdb", "-D", folder / "data", *flags], check=True, **run)
        options = f"-p {port} -h 127.0.0.1 -k {folder} -F -c max_connections=100 -c shared_buffers=32MB".split()
        process = subprocess.Popen([binaries / "postgres", "-D", folder / "data", *options], **run)
        stack.callback(process.wait)
        stack.callback(process.send_signal, signal.SIGINT)  # a fast end: a store that a test left open is cut off
        _await(port, process)
        yield Server(port)


@pytest.fixture(scope="session")
def migrated(postgresql: Server) -> str:
    """A database with the tables, from which those of the tests are copied: faster than to migrate each."""
    name = postgresql.new_database()
    open_store(postgresql.url(name)).close()
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty store."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/store.db"
        return
    server: Server = request.getfixturevalue("postgresql")
    yield server.url(server.new_database(request.getfixturevalue("migrated")))  # the whole server goes in the end


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = open_store(url)
    yield opened
    opened.close()


@pytest.fixture
def join(url: str, store: Store) -> Iterator[Callable[[str], Store]]:
    """Opens the store once more, in somebody else's name."""
    with ExitStack() as stack:

        def opened(owner: str) -> Store:
            other = open_store(url, owner)
            stack.callback(other.close)
            return other

        yield opened


@pytest.fixture
def tx(store: Store) -> Iterator[Tx]:
    """One writing transaction for tests that need no more."""
    with store.write() as opened:
        yield opened
