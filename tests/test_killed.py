"""Pull the plug: a real process is killed at random moments, and nothing is lost, and nothing is doubled by us.

``CHAOS_KILLS`` says how often, five times over (``make chaos``: 200 times).  What is sent by many connections is killed
in ``chaos/``.
"""

from __future__ import annotations

import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from outside import MailServer, Post, WebSite, rss
from waiting import PATIENCE, wait_for

KILLS = int(os.environ.get("CHAOS_KILLS", "60")) // 5
READERS = ("ada@example.org", "bob@example.org")
CONFIG = """
sources:
  blog: {{kind: feed, url: "{web}/feed", private: true, every: 1s}}
publications:
  news:
    title: News
    feeds: {{limit: 1000}}
    digest: {{schedule: "every 1s", max_entries: 20}}
    recipients: [ada@example.org, bob@example.org]
    deliver: [post]
channels:
  post: {{kind: smtp, url: "smtp://127.0.0.1:{port}", from: News <news@example.org>}}
"""


@pytest.mark.timeout(300 + KILLS * 16)
def test_a_house_killed_at_random_moments_loses_nothing_and_doubles_nothing(
    write_config: Callable[[str], Path], web_site: WebSite
) -> None:
    mail_server = MailServer(lambda: datetime.now(UTC))
    config = write_config(CONFIG.format(web=web_site.url, port=mail_server.port))
    posts: list[Post] = []
    web_site.pages["/feed"] = rss(web_site.url, posts)
    run_once(config)  # the source is known from here on: what it brings is news

    stop = threading.Event()
    writer = threading.Thread(target=write_posts, args=(web_site, posts, stop))
    writer.start()
    chance = random.Random(20261123)
    for _ in range(KILLS):
        run_and_kill(config, chance)
    stop.set()
    writer.join()

    def all_told() -> bool:
        run_once(config)  # at each slot of the digest an issue, with what was carried over
        return len(stories(mail_server, READERS[-1])) >= len(posts)

    wait_for(all_told)
    run_once(config)
    mail_server.close()
    told = {reader: stories(mail_server, reader) for reader in READERS}
    for reader, slugs in told.items():
        assert sorted(slugs) == sorted(post.slug for post in posts), f"{reader}: lost or told twice"
    copies = Counter((mail.to, mail.id) for mail in mail_server.mails)
    doubled = sum(copies.values()) - len(copies)
    print(f"{KILLS} kills, {len(posts)} posts, {len(copies)} mails, {doubled} sent again under the same Message-ID")
    assert doubled <= KILLS
    assert_sound(config)
    feed = (config.parent / "feeds/news/rss.xml").read_text()
    assert all(f"/posts/{post.slug}<" in feed for post in posts[:1000])


def command(config: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "publisher", "-c", str(config), *words]


def run_once(config: Path) -> None:
    """Do what is due."""
    done = subprocess.run(
        command(config, "run", "--once"), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def run_and_kill(config: Path, chance: random.Random) -> None:
    process = subprocess.Popen(command(config, "run"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    # Some kills meet the start (taking over what the dead one held), most the work.
    time.sleep(chance.uniform(0.4, 2.4))
    assert process.poll() is None, "it ended by itself"
    process.send_signal(signal.SIGKILL)
    process.wait()


def write_posts(web_site: WebSite, posts: list[Post], stop: threading.Event) -> None:
    while not stop.wait(0.4):
        posts.insert(0, Post(f"n{len(posts)}", datetime.now(UTC)))
        web_site.pages["/feed"] = rss(web_site.url, posts[:50])


def stories(mail_server: MailServer, reader: str) -> list[str]:
    """What a reader was told, a mail that came twice under one Message-ID counted once."""
    mails = {mail.id: mail for mail in mail_server.mails if mail.to == reader}
    return [slug for mail in mails.values() for slug in sorted(set(re.findall(r"/posts/(n\d+)\b", mail.text)))]


def assert_sound(config: Path) -> None:
    with sqlite3.connect(config.parent / "data/publisher.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM issues WHERE finished IS NULL").fetchone() == (0,)
        assert connection.execute("SELECT DISTINCT state FROM deliveries").fetchall() == [("sent",)]
