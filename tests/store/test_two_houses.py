"""Two processes with one store send the same channel's deliveries at the same time."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from receivers import make_issue
from relays import Recorder

from publisher.model import State
from publisher.store import Store

CONFIG = """
version: 1
site: {{title: Harbour News, url: 'https://news.example.org'}}
secret_key: one for both
database: {url}
channels:
  post: {{kind: smtp, url: '{relay}', connections: 2}}
"""


@pytest.fixture
def relay() -> Iterator[Recorder]:
    recorder = Recorder(pause=0.005)
    yield recorder
    recorder.close()


def test_two_processes_that_deliver_at_once_send_each_delivery_once(
    store: Store, url: str, relay: Recorder, tmp_path: Path
) -> None:
    recipients = [f"reader{n}@example.org" for n in range(600)]
    with store.write() as tx:
        issue = tx.issues.add("news", "News", (), make_issue().documents, datetime.now(UTC)).id
        tx.deliveries.plan(issue, [("post", one) for one in recipients], datetime.now(UTC))
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(url=url, relay=relay.url))
    command = [sys.executable, "-m", "publisher", "-c", str(config), "deliver"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    both = [subprocess.Popen(command, **pipes) for _ in range(2)]  # type: ignore[call-overload]  # a dict of many types
    told = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert Counter(one.recipient for one in relay.taken) == Counter(recipients)
    assert relay.most_open > 2, "they did not work at the same time"
    with store.read() as tx:
        row = tx.issues.get(issue)
        assert tx.deliveries.by_state()[State.SENT] == 600
    assert row
    assert row.finished
