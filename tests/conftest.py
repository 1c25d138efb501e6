"""Fixtures that every test may use: the outside world of ``outside.py``, and a configuration to write."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import hypothesis
import mta as mail_system
import pytest
from outside import Clock, MailServer, WebSite

# How long an example takes says more about what else the machine does than about us.
hypothesis.settings.register_profile("suite", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("suite")


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


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 with its key, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    subject = ["-subj", "/CN=relay", "-addext", "subjectAltName=IP:127.0.0.1"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    files = ["-keyout", folder / "key.pem", "-out", folder / "cert.pem"]
    subprocess.run(["openssl", "req", "-x509", "-days", "2", *key, *subject, *files], check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_bytes((folder / "cert.pem").read_bytes() + (folder / "key.pem").read_bytes())
    return both


@pytest.fixture(scope="session")
def mta(certificate: Path) -> Iterator[mail_system.Mta]:
    """Postfix and Dovecot, where they are installed."""
    with mail_system.running(certificate) as system:
        yield system


@pytest.fixture
def write_config(tmp_path: Path) -> Callable[[str], Path]:
    """Writes config.yaml, with the site and the server that every configuration needs."""

    def write(rest: str) -> Path:
        file = tmp_path / "config.yaml"
        head = "version: 1\nsite: {title: Harbour News, url: 'https://news.example.org', timezone: Europe/Berlin}\n"
        file.write_text(head + "server: {listen: '127.0.0.1:0'}\n" + rest)
        return file

    return write
