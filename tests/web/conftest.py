"""The house of ``web_house.py`` as a fixture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from outside import Clock, MailServer
from web_house import House, served, write_config, write_notes


@pytest.fixture
def readers_house(tmp_path: Path, mail_server: MailServer, clock: Clock) -> Iterator[House]:
    write_notes(tmp_path)
    with served(write_config(tmp_path, mail_server.port), mail_server, clock) as house:
        yield house
