"""Fixtures that every test may use: the outside world of ``outside.py``, and a configuration to write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from outside import Clock, MailServer, WebSite


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime(2026, 10, 19, 9, 0, tzinfo=UTC))


@pytest.fixture
def web_site() -> Iterator[WebSite]:
    site = WebSite()
    yield site
    site.close()


@pytest.fixture
def mail_server(clock: Clock) -> Iterator[MailServer]:
    server = MailServer(clock)
    yield server
    server.close()


@pytest.fixture
def write_config(tmp_path: Path) -> Callable[[str], Path]:
    """Writes config.yaml, with the site and the server that every configuration needs."""

    def write(rest: str) -> Path:
        file = tmp_path / "config.yaml"
        head = "version: 1\nsite: {title: Harbour News, url: 'https://news.example.org', timezone: Europe/Berlin}\n"
        file.write_text(head + "server: {listen: '127.0.0.1:0'}\n" + rest)
        return file

    return write
