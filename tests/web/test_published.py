"""The pages as a reader's browser and feed reader get them: a real server on loopback."""

from __future__ import annotations

import re
import shutil
import socket
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from outside import Clock

from publisher.app import App, load
from publisher.errors import PublisherError
from publisher.web import _listen, serving

NOTE = "---\ntitle: Bridge <open> & free\ndate: 2026-10-01\n---\nSome text.\n"
HOUSE = """
sources:
  notes: {kind: folder, path: notes}
  lost: {kind: folder, path: lost}
publications:
  news: {title: News, feeds: {formats: [rss, atom, json, html]}, digest: {schedule: "mon 08:00"}}
  plain: {title: Plain, feeds: {formats: [rss]}}
"""
PATHS = [
    "/",
    "/feeds.opml",
    "/style.css",
    "/status",
    "/status.css",
    "/status.json",
    "/health",
    "/news/",
    "/news/rss.xml",
    "/news/style.css",
]
WRONG = [
    "/subscribe",
    "/news/issues/",
    "/news/issues/1",
    "/nothing",
    "/nothing/",
    "/news/none.xml",
    "/plain/atom.xml",
    "/news/..%2f..%2fconfig.yaml",
    "/news/../config.yaml",
]


@pytest.fixture
def address(tmp_path: Path, write_config: Callable[[str], Path], clock: Clock) -> Iterator[str]:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/first.md").write_text(NOTE)
    app = App(load(write_config(HOUSE), {}), clock)
    app.once(lambda _: None, lambda *_: None)
    with serving(lambda: app) as where:
        yield where.rstrip("/")
    app.close()


def test_the_overview_shows_what_was_published_what_is_next_and_what_is_wrong(address: str) -> None:
    page = requests.get(f"{address}/status", timeout=30).text
    assert '<a href="/news/">News</a>' in page
    assert "1 entry published" in page
    assert "next issue Mon 26 Oct, 08:00" in page
    assert "1 thing to look at." in page
    assert re.search(r"Next: <b>collect \w+</b>", page)
    assert re.search(r"<li>source lost: .*lost: cannot be read", page)


@pytest.mark.parametrize("path", [*PATHS, *WRONG])
def test_every_answer_errors_too_has_the_security_headers(address: str, path: str) -> None:
    headers = requests.get(address + path, timeout=30).headers
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self';")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("path", WRONG)
def test_what_is_not_published_is_not_found(address: str, path: str) -> None:
    with requests.Session() as session:
        request = requests.Request("GET", address).prepare()
        request.url = address + path  # as written: requests would tidy the dots away
        assert session.send(request, timeout=30).status_code == 404


@pytest.mark.parametrize("path", PATHS)
def test_pages_hold_no_script_and_no_inline_style(address: str, path: str) -> None:
    answer = requests.get(address + path, timeout=30)
    assert answer.status_code == 200
    if answer.headers["Content-Type"].startswith("text/html"):
        assert not re.search(r"<script|<style|\sstyle=|\son\w+=|javascript:", answer.text, re.IGNORECASE)
        assert "Bridge <open>" not in answer.text


def test_a_reader_that_has_the_feed_is_told_so(address: str, tmp_path: Path) -> None:
    first = requests.get(f"{address}/news/atom.xml", timeout=30)
    assert first.content == (tmp_path / "feeds/news/atom.xml").read_bytes()
    assert first.headers["Content-Type"] == "application/atom+xml; charset=utf-8"
    known = {"If-None-Match": first.headers["ETag"]}
    again = requests.get(f"{address}/news/atom.xml", headers=known, timeout=30)
    assert (again.status_code, again.content) == (304, b"")
    (tmp_path / "feeds/news/atom.xml").write_bytes(b"changed")
    assert requests.get(f"{address}/news/atom.xml", headers=known, timeout=30).content == b"changed"


def test_no_address_is_built_from_the_host_header(address: str) -> None:
    forged = {"Host": "evil.example"}
    for path in ("/", "/news/", "/news/rss.xml", "/news", "/news/issues", "/feeds.opml", "/nothing", "/x/"):
        answer = requests.get(address + path, headers=forged, timeout=30, allow_redirects=False)
        assert "evil.example" not in answer.text + str(answer.headers)
    assert requests.get(f"{address}/news", allow_redirects=False, timeout=30).headers["Location"] == "/news/"


def test_head_is_answered_and_nothing_else_changes_anything(address: str) -> None:
    assert requests.head(f"{address}/news/rss.xml", timeout=30).status_code == 200
    assert requests.post(f"{address}/news/rss.xml", timeout=30).status_code == 405


@pytest.mark.skipif(not shutil.which("newsboat"), reason="newsboat is not installed; apt-get install newsboat")
@pytest.mark.parametrize("file", ["rss.xml", "atom.xml"])
def test_a_feed_reader_reads_the_feeds(address: str, tmp_path: Path, file: str) -> None:
    (tmp_path / "urls").write_text(f"{address}/news/{file}\n")
    places = ["-u", str(tmp_path / "urls"), "-c", str(tmp_path / "cache.db"), "-C", "/dev/null"]
    home = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    subprocess.run(["newsboat", *places, "-x", "reload"], env=home, check=True, capture_output=True, timeout=60)
    with sqlite3.connect(tmp_path / "cache.db") as cache:
        [(title, link, published, text)] = cache.execute("SELECT title, url, pubDate, content FROM rss_item")
    assert title == "Bridge <open> & free"
    assert link.startswith("https://news.example.org/news/#e")
    assert published == datetime(2026, 10, 1, tzinfo=UTC).timestamp()
    assert "Some text." in text


def test_an_address_that_cannot_be_listened_on_is_a_sentence(
    tmp_path: Path, write_config: Callable[[str], Path], clock: Clock
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = write_config(HOUSE)
        config.write_text(config.read_text().replace("127.0.0.1:0", f"127.0.0.1:{taken.getsockname()[1]}"))
        app = App(load(config, {}), clock)
        with pytest.raises(PublisherError, match=r"cannot listen on 127\.0\.0\.1:"), serving(lambda: app):
            pass
        app.close()


def test_the_second_piece_of_an_answer_does_not_wait_until_the_first_is_acknowledged() -> None:
    with _listen("127.0.0.1:0") as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
