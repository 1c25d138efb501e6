"""A partner's system that fails at random: every delivery arrives, and every repeat can be told."""

from __future__ import annotations

import json
import random
import socket
import socketserver
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from outside import Clock, Post, WebSite, rss
from standardwebhooks import Webhook

from publisher.app import App, load
from publisher.model import State

SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
RECIPIENTS = [f"reader{number}@example.org" for number in range(500)]
CONFIG = """
sources:
  blog: {{kind: feed, url: "{web}/feed", private: true, every: 7d}}
publications:
  news:
    title: News
    sources: [blog]
    digest: {{schedule: "every 1h", first_issue: 7d}}
    recipients: {recipients}
    deliver: [partner]
channels:
  partner:
    kind: webhook
    url: "{hook}"
    secret: {secret}
    private: true
    timeout: 2s
    each_recipient: true
retry: {{attempts: 40, for: 90d}}
"""
ASKED = timedelta(hours=30)
"""What `Retry-After` asks for: longer than the house would wait by itself."""


class Partner(socketserver.ThreadingTCPServer):
    """Takes calls, and fails in a way that is drawn for each; ``taken`` are those it got whole, by their id."""

    daemon_threads = True
    WAYS = (  # what it does, and how often of a thousand times
        ("200", 650),
        ("500", 80),
        ("429", 40),
        ("503", 40),
        ("deaf", 60),
        ("silent", 60),
        ("half", 68),
        ("hangs", 2),
    )

    def __init__(self, clock: Clock) -> None:
        super().__init__(("127.0.0.1", 0), _Call)
        self.clock = clock
        self.chance = random.Random(20261125)
        self.ways: Counter[str] = Counter()
        self.taken: dict[str, list[str]] = defaultdict(list)
        """webhook-id -> the recipients that were named under it, once for each time."""
        self.answered: set[str] = set()
        """The ids that were answered with success."""
        self.rested: dict[str, datetime] = {}
        """Until when those are to rest that were told to."""
        self.early: list[str] = []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"

    def draw(self) -> str:
        names, weights = zip(*self.WAYS, strict=True)
        [way] = self.chance.choices(names, weights)
        self.ways[way] += 1
        return way


class _Call(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    server: Partner

    def handle(self) -> None:
        while self.request.recv(1, socket.MSG_PEEK) and self.answer(self.server.draw()):
            pass

    def answer(self, way: str) -> bool:
        """False when the connection is over."""
        if way == "deaf":
            return False
        identity = self.take()
        if way == "hangs":
            self.request.recv(1)  # until they have had enough
        if not way.isdecimal():
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhal" if way == "half" else b"")
            return False
        if way == "200":
            self.server.answered.add(identity)
        wait = b""
        if way in ("429", "503"):
            self.server.rested[identity] = self.server.clock() + ASKED
            wait = b"Retry-After: %d\r\n" % ASKED.total_seconds()
        self.wfile.write(b"HTTP/1.1 %b So\r\n%bContent-Length: 0\r\n\r\n" % (way.encode(), wait))
        return True

    def take(self) -> str:
        lines = iter(self.rfile.readline, b"\r\n")
        next(lines)
        headers = {name.lower(): value.strip() for name, _, value in (line.decode().partition(":") for line in lines)}
        body = self.rfile.read(int(headers["content-length"]))
        Webhook(SECRET).verify(body, headers)
        identity = headers["webhook-id"]
        self.server.taken[identity].append(json.loads(body)["recipient"]["address"])
        if self.server.rested.pop(identity, datetime.min.replace(tzinfo=UTC)) > self.server.clock():
            self.server.early.append(identity)
        return identity


@pytest.fixture
def partner(clock: Clock) -> Iterator[Partner]:
    server = Partner(clock)
    yield server
    server.shutdown()
    server.server_close()


def test_of_500_calls_to_a_receiver_that_fails_at_random_none_is_lost_and_every_repeat_is_recognisable(
    write_config: Callable[[str], Path], web_site: WebSite, clock: Clock, partner: Partner
) -> None:
    web_site.pages["/feed"] = rss(web_site.url, [Post("bridge", clock() - timedelta(hours=1))])
    known = {"web": web_site.url, "hook": partner.url, "secret": SECRET, "recipients": json.dumps(RECIPIENTS)}
    app = App(load(write_config(CONFIG.format(**known))), clock)
    for _ in range(100):
        app.once(lambda _: None, lambda *_: None)
        with app.store.read() as tx:
            [issue] = tx.issues.recent(10)
            states = tx.deliveries.by_state()
        if issue.finished:
            break
        clock.advance(hours=6)
    app.close()

    assert issue.finished
    assert {state: count for state, count in states.items() if count} == {State.SENT: len(RECIPIENTS)}
    assert partner.answered == set(partner.taken)
    under = {identity: set(recipients) for identity, recipients in partner.taken.items()}
    assert sorted(name for names in under.values() for name in names) == sorted(RECIPIENTS)
    assert all(len(names) == 1 for names in under.values())
    assert partner.early == []
    assert set(partner.ways) == {way for way, _ in Partner.WAYS}
    assert sum(map(len, partner.taken.values())) > len(RECIPIENTS)
