"""The commands, as an operator types them: real processes, their words and their exit codes."""

from __future__ import annotations

import email
import email.policy
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from outside import Response, WebSite
from waiting import PATIENCE, wait_for

from publisher.cli.steps import _overview

NOTE = "---\ntitle: {title}\ndate: 2026-10-01\n---\nSome text.\n"
HOUSE = """
sources:
  notes: {kind: folder, path: notes}
publications:
  news:
    title: News
    digest: {schedule: "mon 08:00", first_issue: 5000w}
    recipients: [ada@example.org]
"""


@pytest.fixture
def config(tmp_path: Path, write_config: Callable[[str], Path]) -> Path:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/first.md").write_text(NOTE.format(title="First"))
    return write_config(HOUSE)


def publisher(*words: str | Path, code: int = 0, folder: Path | None = None) -> str:
    """Run a command to its end; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "publisher", *map(str, words)],
        capture_output=True, text=True, timeout=60, check=False, cwd=folder,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + (done.stderr if code else "")


def bytes_of(folder: Path) -> dict[Path, tuple[bytes, int]]:
    return {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.rglob("*") if file.is_file()}


def test_once_does_what_is_due_and_a_second_time_finds_nothing_and_changes_no_byte(config: Path) -> None:
    said = publisher("-c", config, "run", "--once")
    assert [line.split()[:2] for line in said.splitlines() if "*" in line] == [
        ["collect", "notes"],
        ["publish", "news"],
        ["compose", "news"],
        ["deliver", "outbox"],
    ]
    feeds, outbox = bytes_of(config.parent / "feeds"), bytes_of(config.parent / "outbox")
    assert {file.name for file in feeds} == {"rss.xml", "atom.xml", "feed.json", "index.html", "style.css"}
    assert [file.suffix for file in sorted(outbox)] == [".eml", ".json"]
    assert publisher("-c", config, "run", "--once").startswith("Nothing to do. Next: collect notes at ")
    assert (bytes_of(config.parent / "feeds"), bytes_of(config.parent / "outbox")) == (feeds, outbox)


def test_once_leaves_nothing_to_do_where_past_issues_are_linked_on_the_page_either(config: Path) -> None:
    config.write_text(config.read_text() + "subscriptions: {}\n")
    publisher("-c", config, "run", "--once")
    assert "/news/issues/1" in (config.parent / "feeds/news/index.html").read_text()
    assert publisher("-c", config, "run", "--once").startswith("Nothing to do. Next: collect notes at ")


def test_once_ends_with_1_when_something_failed_and_does_the_rest(config: Path) -> None:
    text = config.read_text()
    config.write_text(text.replace("sources:\n", "sources:\n  gone: {kind: folder, path: nowhere}\n"))
    said = publisher("-c", config, "run", "--once", code=1)
    assert re.search(r"collect\s+gone\s+!.*nowhere", said)
    assert re.search(r"deliver\s+outbox\s+\*\s+1 sent", said)


def test_help_names_every_command_and_each_has_an_example() -> None:
    commands = re.findall(r"^  (\w+) ", publisher("--help").partition("Commands:")[2], re.MULTILINE)
    assert {"run", "init", "check", "show", "schema", "preview", "send", "status", "db"} <= set(commands)
    for command in commands:
        told = publisher(command, "--help")
        names = re.findall(r"^  (\w+) ", told.partition("Commands:")[2], re.MULTILINE)
        for page in [publisher(command, name, "--help") for name in names] or [told]:
            assert "Example: publisher " in page


def test_a_wrong_configuration_ends_with_2_and_names_each_line(config: Path) -> None:
    config.write_text(config.read_text().replace("path: notes", "paht: notes").replace("mon 08:00", "moonday"))
    said = publisher("-c", config, "check", code=2)
    assert f"{config}:6: sources.notes.paht: unknown option (did you mean 'path'?)" in said
    assert f"{config}:10: publications.news.digest.schedule: not a schedule" in said


def test_check_looks_at_what_the_file_points_to(config: Path) -> None:
    assert "is well" in publisher("-c", config, "check", "--connect")
    (config.parent / "templates").mkdir()
    (config.parent / "templates/digest.html.j2").write_text("{% if %}")
    (config.parent / "notes/first.md").unlink()
    (config.parent / "notes").rmdir()
    said = publisher("-c", config, "check", code=2)
    assert "digest.html.j2:1" in said
    assert re.search(r"!\s+sources.notes.path .*missing", said)


def test_a_missing_configuration_says_how_to_write_one(tmp_path: Path) -> None:
    assert "`publisher init DIR` writes one" in publisher("status", code=2, folder=tmp_path)


def test_show_hides_secrets_and_schema_is_a_schema(config: Path) -> None:
    with config.open("a") as out:
        out.write('channels: {post: {kind: smtp, url: "smtp://me:hunter2@127.0.0.1:25", from: n@example.org}}\n')
    said = publisher("-c", config, "show")
    assert "every: 30m" in said
    assert "hunter2" not in said
    assert json.loads(publisher("schema"))["$schema"].startswith("https://json-schema.org/")


def test_preview_writes_the_next_issue_and_leaves_no_trace(config: Path, tmp_path: Path) -> None:
    publisher("-c", config, "collect")
    said = publisher("-c", config, "preview", "news", "-o", tmp_path / "look")
    assert "News: First" in said
    mail = (tmp_path / "look/news/mail.html").read_text()
    assert "<html" in mail
    assert '/unsubscribe/example"' in mail
    assert "\uffff" not in mail
    assert "Last issues" not in publisher("-c", config, "status")
    assert "there is: news" in publisher("-c", config, "preview", "nwes", code=2)


def test_an_issue_can_be_asked_for_by_each_of_the_schedules(config: Path) -> None:
    several = '{weekly: "mon 08:00", daily: "daily 08:00"}'
    config.write_text(config.read_text().replace('"mon 08:00", first_issue: 5000w', several))
    assert "nothing new, so no mail" in publisher("-c", config, "compose", "news/daily")
    assert "there is: news, news/daily" in publisher("-c", config, "compose", "news/weekly", code=2)


def test_send_mails_a_test_to_one_address_and_leaves_no_trace(config: Path) -> None:
    publisher("-c", config, "collect")
    assert publisher("-c", config, "send", "news", "--to", "me@example.org").startswith("me@example.org: sent")
    [file] = (config.parent / "outbox").glob("*.eml")
    message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    assert (message["To"], message["Subject"]) == ("me@example.org", "News: First")
    assert json.loads(publisher("-c", config, "delivery", "list", "--json")) == []
    assert json.loads(publisher("-c", config, "issue", "list", "--json")) == []
    assert "--to: " in publisher("-c", config, "send", "news", "--to", "nobody", code=2)


def test_status_tells_machines_what_it_tells_people(config: Path) -> None:
    publisher("-c", config, "run", "--once")
    told = json.loads(publisher("-c", config, "status", "--json"))
    assert [(s["name"], s["entries"], s["error"]) for s in told["sources"]] == [("notes", 1, "")]
    assert [(i["publication"], i["number"], i["deliveries"]) for i in told["issues"]] == [("news", 1, {"sent": 1})]
    assert told["wrong"] == []
    for word in ("Sources", "Publications", "Last issues", "Channels", "News: First"):
        assert word in publisher("-c", config, "status")
    assert "Some text." in publisher("-c", config, "issue", "show", "1")


def test_a_failed_delivery_is_listed_and_can_be_planned_anew(config: Path) -> None:
    publisher("-c", config, "run", "--once")
    with sqlite3.connect(config.parent / "data/publisher.db") as connection:
        connection.execute("UPDATE deliveries SET state = 'failed'")
    assert "delivery list --state failed" in publisher("-c", config, "status")
    [row] = json.loads(publisher("-c", config, "delivery", "list", "--state", "failed", "--json"))
    assert "1 planned anew" in publisher("-c", config, "delivery", "retry", str(row["id"]))
    assert "1 sent" in publisher("-c", config, "deliver")
    assert "not failed" in publisher("-c", config, "delivery", "retry", str(row["id"]), code=1)


def test_a_token_is_shown_once_listed_without_its_secret_and_taken_back(config: Path) -> None:
    words = ("-c", config, "token")
    token = publisher(*words, "add", "shop", "--scope", "entries:write", "--scope", "entries:read").strip()
    assert re.fullmatch(r"pub_[\w-]{32}", token)
    [shown] = json.loads(publisher(*words, "list", "--json"))
    assert shown.pop("created")
    assert shown == {"name": "shop", "scopes": ["entries:read", "entries:write"], "used": None}
    assert "already" in publisher(*words, "add", "shop", "--scope", "entries:read", code=2)
    assert "there is: entries:read, entries:write" in publisher(*words, "add", "two", "--scope", "all", code=2)
    assert "shop" in publisher(*words, "remove", "shop")
    publisher(*words, "remove", "shop", code=1)
    assert json.loads(publisher(*words, "list", "--json")) == []


def test_a_backup_is_a_whole_store(config: Path, tmp_path: Path) -> None:
    publisher("-c", config, "run", "--once")
    publisher("-c", config, "db", "backup", tmp_path / "copy.db")
    with sqlite3.connect(tmp_path / "copy.db") as connection:
        assert connection.execute("SELECT title FROM entries").fetchall() == [("First",)]


def test_init_with_a_site_that_has_a_feed(web_site: WebSite, tmp_path: Path) -> None:
    head = '<link rel="alternate" type="application/rss+xml" href="/feed">'
    web_site.pages["/"] = Response(f"<title>Harbour</title>{head}".encode(), headers={"Content-Type": "text/html"})
    item = "<item><title>Bridge open</title><link>/bridge</link><guid>1</guid></item>"
    feed = f"<rss version='2.0'><channel><title>Harbour Blog</title><link>/</link>{item}</channel></rss>"
    web_site.pages["/feed"] = Response(feed.encode())
    assert "private: true" in publisher("init", tmp_path / "a", "--from", web_site.url, code=3)
    said = publisher("init", tmp_path / "a", "--from", web_site.url, "--private")
    assert f"Found the feed at {web_site.url}/feed" in said
    publisher("-c", tmp_path / "a/config.yaml", "check")
    publisher("-c", tmp_path / "a/config.yaml", "run", "--once")
    assert "Bridge open" in (tmp_path / "a/feeds/news/rss.xml").read_text()
    assert len(list((tmp_path / "a/outbox").glob("*.eml"))) == 1
    assert "is there already" in publisher("init", tmp_path / "a", "--from", web_site.url, "--private", code=1)


def test_init_with_a_site_that_has_only_a_list_of_articles(web_site: WebSite, tmp_path: Path) -> None:
    words = "was opened this week by the mayor, who praised all those who had built it for so long"
    rows = "".join(f"<h3>The {n} bridge</h3><p>The {n} bridge {words}.</p><a href='/{n}'>Read more</a>" for n in "abcd")
    page = f"<html><title>Town</title><body><nav><a href='/'>Home</a></nav><main>{rows}</main></body></html>"
    web_site.pages["/"] = Response(page.encode(), headers={"Content-Type": "text/html"})
    said = publisher("init", tmp_path / "a", "--from", web_site.url, "--private")
    assert "Found the list of articles" in said
    publisher("-c", tmp_path / "a/config.yaml", "run", "--once")
    assert (tmp_path / "a/feeds/news/rss.xml").read_text().count("<item>") == 4
    assert len(list((tmp_path / "a/outbox").glob("*.eml"))) == 1


def test_init_without_a_site_publishes_a_folder_of_notes(tmp_path: Path) -> None:
    publisher("init", tmp_path / "a")
    (tmp_path / "a/content/hello.md").write_text("# Hello\n\nWorld.")
    publisher("-c", tmp_path / "a/config.yaml", "run", "--once")
    assert "Hello" in (tmp_path / "a/feeds/news/atom.xml").read_text()


def test_source_test_shows_what_a_visit_would_bring(web_site: WebSite, config: Path) -> None:
    assert "First" in publisher("-c", config, "source", "test", "notes")
    assert "notes" in publisher("-c", config, "source", "list")
    feed = (
        "<rss version='2.0'><channel><title>B</title><item><title>Bridge</title><guid>1</guid></item></channel></rss>"
    )
    web_site.pages["/feed"] = Response(feed.encode())
    said = publisher("source", "test", f"{web_site.url}/feed", "--private")
    assert "Bridge" in said
    assert f"    kind: feed\n    url: {web_site.url}/feed" in said
    publisher("source", "test", f"{web_site.url}/feed", code=3)


def test_source_test_of_a_source_without_entries_tells_just_that(write_config: Callable[[str], Path]) -> None:
    config = write_config("sources: {notes: {kind: folder, path: notes}}\n")
    (config.parent / "notes").mkdir()
    assert "0 entries" in publisher("-c", config, "source", "test", "notes", "--full-text")


NEWS = "".join(
    f"<div class=story><h3><a href=/{n}>The bridge number {n} is open</a></h3>"
    f"<p class=lead>Bridge {n} was opened by the mayor this week, who praised all those that had built it.</p>"
    f"<time datetime=2026-11-0{n}>{n} November</time></div>"
    for n in range(1, 5)
)


def test_source_test_says_from_which_elements_and_what_to_write_down(
    web_site: WebSite, write_config: Callable[[str], Path]
) -> None:
    html = {"Content-Type": "text/html"}
    web_site.pages["/"] = Response(f"<nav><a href=/x>Home</a></nav><main>{NEWS}</main>".encode(), headers=html)
    text = "<p>Everybody came to see the bridge, and everybody liked what they saw of it.</p>" * 9
    web_site.pages["/1"] = Response(f"<article><h1>The bridge</h1>{text}</article>".encode(), headers=html)
    said = publisher("source", "test", f"{web_site.url}/", "--private", "--full-text")
    assert "4 entries (repeated structure)" in said
    assert re.search(r"2026-11-01 +The bridge number 1 is open +Bridge 1 was opened .*… ", said)
    assert re.search(r"title +div.story > h3 \(4\)", said)
    assert re.search(r"image +nowhere on the page", said)
    assert "begins:\n\nEverybody came to see the bridge" in said

    config = write_config(said[said.index("sources:") :].replace("  site:", "  site:\n    private: true"))
    again = publisher("-c", config, "source", "test", "site")
    assert "4 entries (selectors)" in again
    told = json.loads(publisher("-c", config, "source", "test", "site", "--json"))
    assert told["trial"]["select"] == {
        "item": "div.story",
        "title": "h3",
        "link": "a@href",
        "date": "time@datetime",
        "teaser": "p.lead",
    }
    assert told["trial"]["elements"][0]["link"] == "h3 > a@href"


def test_source_test_of_a_source_that_is_written_down_tells_its_address_to_nobody(
    web_site: WebSite, write_config: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "canary-4711")
    web_site.pages["/?key=canary-4711"] = Response(
        f"<main>{NEWS}</main>".encode(), headers={"Content-Type": "text/html"}
    )
    config = write_config(f"sources: {{town: {{kind: page, url: '{web_site.url}/?key=${{TOKEN}}', private: true}}}}\n")
    said = publisher("-c", config, "source", "test", "town")
    assert "  town:\n    select:                # may be left out: the list was found without it\n      item: " in said
    assert "canary" not in said + publisher("-c", config, "source", "test", "town", "--json")


def test_source_test_says_what_to_do_where_nothing_is_found(web_site: WebSite) -> None:
    web_site.pages["/"] = Response(b"<html><body><p>Nothing here.</p>", headers={"Content-Type": "text/html"})
    said = publisher("source", "test", f"{web_site.url}/", "--private", code=1)
    assert "no feed was found, and no list of articles" in said
    assert "name the page that lists the news" in said


@pytest.mark.parametrize(
    ("address", "where"),
    [
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/status"),
        ("http://[::]:8080/", "http://[::]:8080/status"),
        ("http://192.0.2.7:80/", "publisher status"),
    ],
)
def test_the_operator_is_sent_to_the_overview_only_where_it_answers(address: str, where: str) -> None:
    assert _overview(address) == where


# --- the service -----------------------------------------------------------------------------------------------------


@pytest.fixture
def service(config: Path) -> Iterator[tuple[subprocess.Popen[str], str, Path]]:
    """The service, the address of its pages, and the file that it logs to."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    log = config.parent / "log"
    environment = {**os.environ, "PUBLISHER_SERVER__LISTEN": f"127.0.0.1:{port}"}
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "publisher", "-c", str(config), "run"], stderr=out, text=True, env=environment
        )
    yield process, f"http://127.0.0.1:{port}", log
    process.kill()
    process.wait()


def test_the_service_publishes_mails_shows_reloads_and_ends(
    service: tuple[subprocess.Popen[str], str, Path], config: Path
) -> None:
    process, address, log = service
    wait_for(lambda: len(list((config.parent / "outbox").glob("*.eml"))) == 1)
    assert "First" in urllib.request.urlopen(address).read().decode()
    page = urllib.request.urlopen(f"{address}/status").read().decode()
    assert "News: First" in page
    assert "All is well." in page
    assert urllib.request.urlopen(f"{address}/news/rss.xml").headers["Content-Type"].startswith("application/rss+xml")

    sound = config.read_text()
    config.write_text(sound[: len(sound) // 2])
    process.send_signal(signal.SIGHUP)
    wait_for(lambda: "the old one stays in force" in log.read_text())
    config.write_text(sound.replace("title: News", "title: Other news"))
    process.send_signal(signal.SIGHUP)
    wait_for(lambda: "reloaded" in log.read_text())
    wait_for(lambda: "Other news" in urllib.request.urlopen(f"{address}/news/rss.xml").read().decode())

    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    assert [json.loads(line)["event"] for line in log.read_text().splitlines()][-1] == "stopped"


def test_a_port_that_is_taken_is_a_sentence_and_not_a_traceback(
    service: tuple[subprocess.Popen[str], str, Path], config: Path
) -> None:
    _, address, _ = service
    wait_for((config.parent / "outbox").exists)
    config.write_text(config.read_text().replace("127.0.0.1:0", address.removeprefix("http://")))
    said = publisher("-c", config, "run", code=1)
    assert "cannot listen on 127.0.0.1:" in said
    assert "Traceback" not in said


def test_four_processes_on_one_store_run_a_slot_once(config: Path) -> None:
    command = [sys.executable, "-m", "publisher", "-c", str(config), "run", "--once"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    assert [process.wait(PATIENCE) for process in processes] == [0, 0, 0, 0]
    for process in processes:
        process.communicate()
    publisher("-c", config, "run", "--once")
    told = json.loads(publisher("-c", config, "status", "--json"))
    assert [(issue["number"], issue["deliveries"]) for issue in told["issues"]] == [(1, {"sent": 1})]
    assert len(list((config.parent / "outbox").glob("*.eml"))) == 1
