"""A house with readers, served on loopback at the address that its links begin with, and a mail server."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from outside import Clock, Mail, MailServer
from waiting import PATIENCE

from publisher.app import App, Service, load
from publisher.web import serving

ADA = "ada@example.org"
CONFIG = """
version: 1
site: {{title: {title}, url: "{url}", language: {language}, timezone: Europe/Berlin}}
server: {{listen: "127.0.0.1:{port}"}}
sources:
  notes: {{kind: folder, path: notes}}
publications:
  weekly:
    title: The Weekly
    description: Ships, council and weather.
    topics:
      harbour: {{title: Harbour, tags: [harbour]}}
      town: {{title: Town, tags: [town]}}
    digest: {{schedule: {{weekly: "mon 08:00", daily: "daily 08:00"}}, first_issue: 520w}}
    deliver: [post]
    recipients: [board@example.org]
  monthly: {{title: "Monthly & <More>", digest: {{schedule: "monthly 1 08:00"}}, deliver: [post]}}
  feeds: {{title: Only feeds, feeds: {{formats: [atom]}}}}
channels:
  post: {{kind: smtp, url: "smtp://127.0.0.1:{smtp}", from: News <news@example.org>}}
subscriptions: {{{subscriptions}}}
"""
NOTE = """---
title: {title}
date: 2026-10-{day:02}
tags: [{tag}]
---
{text}
"""
NOTES = [
    ("The new ferry makes its first crossing", "harbour", "At six in the morning the Santa Rita left the quay."),
    ("Council votes on the fish market", "town", "Eleven against nine."),
    ("Low water <at> noon & after", "harbour", "Boats of more than two metres wait outside."),
]


def write_notes(folder: Path) -> None:
    (folder / "notes").mkdir()
    for number, (title, tag, text) in enumerate(NOTES):
        note = NOTE.format(title=f'"{title}"', day=number + 1, tag=tag, text=text)
        (folder / f"notes/{number}.md").write_text(note)


def write_config(
    folder: Path, smtp: int, *, language: str = "en", title: str = "Harbour News", subscriptions: str = ""
) -> Path:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    told = {"port": port, "url": f"http://127.0.0.1:{port}", "smtp": smtp}
    file = folder / "config.yaml"
    file.write_text(CONFIG.format(**told, language=language, title=title, subscriptions=subscriptions))
    return file


def all_links(mail: Mail) -> list[str]:
    """Every address of a page in a mail: in its parts and in its headers."""
    parts = [str(part.get_content()) for part in mail.message.walk() if part.get_content_maintype() == "text"]
    found = re.findall(r"https?://[^\s\"'<>)]+", "\n".join([*parts, *map(str, mail.message.values())]))
    return sorted({link.replace("&amp;", "&") for link in found})


@dataclass
class House:
    app: App
    address: str
    mail: MailServer
    clock: Clock
    session: requests.Session = field(default_factory=requests.Session)

    def work(self) -> list[Mail]:
        """All that is due; returns the mails that came of it."""
        before = len(self.mail.mails)
        reports = self.app.once(lambda _: None, lambda *_: None)
        assert all(report.well for report in reports), [report.words for report in reports]
        return self.mail.mails[before:]

    def get(self, path: str, **more: Any) -> requests.Response:
        return self.session.get(self.address + path, timeout=30, **more)

    def post(self, path: str, data: Any = None, **more: Any) -> requests.Response:
        return self.session.post(self.address + path, data=data, timeout=30, **more)

    def sign_up(self, address: str = ADA, *publications: str, **more: Any) -> requests.Response:
        return self.post("/subscribe", {"address": address, "publication": publications or ["weekly"], **more})

    def path(self, mail: Mail, room: str) -> str:
        """Where a mail's link to that room leads."""
        [link] = {link for link in all_links(mail) if f"/{room}/" in link}
        return link.removeprefix(self.address)

    def press(self, path: str, **fields: Any) -> requests.Response:
        """Open a page of ours and send its form."""
        proof = re.search(r'name="proof" value="(\w+)"', self.get(path).text)
        return self.post(path, {"proof": proof[1] if proof else "", **fields})

    def reader(self, address: str = ADA, *publications: str, **more: Any) -> str:
        """Somebody signs up and confirms; returns where they find their preferences."""
        assert self.sign_up(address, *publications, **more).status_code == 200
        [mail] = self.work()
        done = self.press(self.path(mail, "confirm"))
        return re.search(rf'"{self.address}(/preferences/[^"]+)"', done.text)[1]

    def states(self, address: str = ADA) -> dict[str, str]:
        with self.app.store.read() as tx:
            row = tx.subscribers.by_address(address)
            return {sub.publication: sub.state for sub in tx.subscribers.subscriptions(row.id)} if row else {}

    def dump(self) -> list[str]:
        """All that is in the store."""
        import sqlite3

        with sqlite3.connect(self.app.settings.database.removeprefix("sqlite:///")) as database:
            return list(database.iterdump())


@contextmanager
def served(config: Path, mail: MailServer, clock: Clock) -> Iterator[House]:
    """The house, where each step is taken by hand."""
    app = App(load(config, {}), clock)
    with serving(lambda: app) as where:
        house = House(app, where.rstrip("/"), mail, clock)
        house.work()
        yield house
    app.close()


@contextmanager
def at_work(config: Path, mail: MailServer, clock: Clock) -> Iterator[House]:
    """The house as a service, which works by itself."""
    service = Service(config, clock)
    thread = threading.Thread(target=service.run, name="service")
    with serving(lambda: service.app) as where:
        thread.start()
        try:
            yield House(service.app, where.rstrip("/"), mail, clock)
        finally:
            service.stop()
            thread.join(PATIENCE)
    assert not thread.is_alive()
