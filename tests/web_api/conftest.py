"""The house with its API on loopback."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from api_house import HOUSE, Api
from outside import Clock, MailServer

from publisher.app import App, load
from publisher.store import open_store
from publisher.web import serving


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with its tables, which each house gets a copy of: faster than to migrate each."""
    file = tmp_path_factory.mktemp("store") / "publisher.db"
    open_store(f"sqlite:///{file}").close()
    return file


@pytest.fixture
def api(
    tmp_path: Path,
    write_config: Callable[[str], Path],
    mail_server: MailServer,
    clock: Clock,
    empty_store: Path,
) -> Iterator[Api]:
    (tmp_path / "notes").mkdir()
    (tmp_path / "data").mkdir()
    shutil.copy(empty_store, tmp_path / "data/publisher.db")
    app = App(load(write_config(HOUSE.format(port=mail_server.port)), {}), clock)
    woken: list[bool] = []
    app.wake = lambda: woken.append(True)
    with serving(lambda: app) as where:
        made = Api(app, f"{where}api/v1", mail_server, clock, woken)
        made.work()
        made.token()  # before threads ask for it
        yield made
    app.close()
