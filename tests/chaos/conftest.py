"""What is running while processes come to harm."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chaos_house import CONFIG, CONNECTIONS, Sending
from relays import Recorder


@pytest.fixture(scope="session")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    program = [sys.executable, Path(__file__).with_name("launcher.py"), tmp_path_factory.mktemp("launcher")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(program, text=True, **pipes) as process:  # type: ignore[call-overload] # a dict of one type
        yield process
        process.stdin.close()


@pytest.fixture
def start_sending(tmp_path: Path, launcher: subprocess.Popen[str]) -> Iterator[Callable[..., Sending]]:
    """Sets up a house, and a relay that takes two thousandths of a second for each mail."""
    running: list[Sending] = []

    def start(after_crash: str = "resend", folder: Path = tmp_path) -> Sending:
        relay = Recorder(pause=0.002)
        options = {"url": relay.url, "connections": CONNECTIONS, "after_crash": after_crash}
        file = folder / "config.yaml"
        head = "version: 1\nsite: {title: Harbour News, url: 'https://news.example.org'}\n"
        file.write_text(head + "server: {listen: '127.0.0.1:0'}\n" + CONFIG.format(**options))
        sending = Sending(file, relay, launcher)
        running.append(sending)
        return sending

    yield start
    for sending in running:
        sending.close()
        sending.relay.close()
