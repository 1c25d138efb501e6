"""A source that answers in every way that there is, a thousand times: no entry is doubled, and none is forgotten."""

from __future__ import annotations

import gzip
import hashlib
import random
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from hostile.server import serving
from outside import Clock

from publisher.app import App, load
from publisher.html import plain
from publisher.model import Done, Later, Outcome, Work

CONFIG = """
sources:
  blog: {{{source}, url: "{url}/list", private: true, timeout: 1s}}
publications:
  news:
    title: News
    digest: {{schedule: "mon 08:00", max_entries: 12}}
    recipients: [ada@example.org]
"""
WINDOW = 15
"""So many stories are listed."""


@dataclass
class Story:
    """One that the site tells."""

    slug: str
    published: datetime
    edition: int = 1

    @property
    def title(self) -> str:
        return f"The story of {self.slug}"

    @property
    def text(self) -> str:
        return f"What there is to say about {self.slug}, told for the {self.edition}. time."


Render = Callable[[Sequence[Story]], bytes]


def feed(stories: Sequence[Story]) -> bytes:
    items = "".join(
        f"<item><title>{story.title}</title><link>http://blog.example/{story.slug}</link><guid>tag:{story.slug}</guid>"
        f"<pubDate>{format_datetime(story.published)}</pubDate><description>{story.text}</description></item>"
        for story in stories
    )
    return f"<rss version='2.0'><channel><title>Blog</title><link/><description/>{items}</channel></rss>".encode()


def page(stories: Sequence[Story]) -> bytes:
    items = "".join(
        f"<article class=story><h2><a href='/{story.slug}'>{story.title}</a></h2>"
        f"<time datetime='{story.published.isoformat()}'>then</time><p>{story.text}</p></article>"
        for story in stories
    )
    menu = "<nav><a href='/'>Home</a> <a href='/about'>About us</a> <a href='/contact'>Contact us here</a></nav>"
    return f"<html><head><title>Blog</title></head><body>{menu}<main>{items}</main></body></html>".encode()


# --- how it answers --------------------------------------------------------------------------------------------------

RESET = b"reset"
SLOW = 0.2  # seconds between two pieces
CHUNKED = "Transfer-Encoding: chunked"


@dataclass(frozen=True)
class Answer:
    """What the site says to a visit."""

    pieces: tuple[bytes, ...]
    """Sent with a pause between them; ``RESET`` ends the connection without a farewell."""
    shows: tuple[Story, ...] = ()
    """The stories in it, where it is whole."""
    etag: str = ""
    """Who has it already is told so."""
    elsewhere: str = ""
    """Status and address that are told to whoever asks at another one."""


class Site:
    """A site whose stories come and change, and which answers as it likes."""

    def __init__(self, render: Render, clock: Clock) -> None:
        self.render, self.clock = render, clock
        self.chance = random.Random(20261130)
        self.stories: list[Story] = []
        """Newest first."""
        self.answer = Answer(())
        self.not_modified = False
        """Who asked said that they have what there is."""

    def live(self) -> None:
        """Tell something new, and something in other words; or not."""
        for _ in range(self.chance.choice([0, 0, 0, 1, 1, 2])):
            self.stories.insert(0, Story(f"n{len(self.stories)}", self.clock()))
        if self.chance.random() < 0.25:
            self.chance.choice(self.listed).edition += 1

    @property
    def listed(self) -> list[Story]:
        return self.stories[:WINDOW]

    @property
    def body(self) -> bytes:
        return self.render(self.listed)

    def __call__(self, connection: socket.socket, request: bytes) -> None:
        """Answer, as the server's behaviour."""
        path, (status, _, place) = request.split(b" ")[1].decode(), self.answer.elsewhere.partition(" ")
        if place and path != place:
            connection.sendall(http(b"", f"Location: {place}", status=f"{status} So"))
            return
        self.not_modified = bool(self.answer.etag) and self.answer.etag.encode() in request
        for piece in (http(None, status="304 Not Modified"),) if self.not_modified else self.answer.pieces:
            if piece == RESET:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                connection.sendall(piece)
            if len(self.answer.pieces) > 2:
                time.sleep(SLOW)
        raise ConnectionError


def http(body: bytes | None, *headers: str, status: str = "200 OK", length: int = 0) -> bytes:
    """An answer; its length is told wrong where one is given, and not at all where it is coded in chunks."""
    lines = [f"HTTP/1.1 {status}", *headers]
    if not any(header.startswith("Content-Type:") for header in headers):
        lines.append("Content-Type: text/html; charset=utf-8")
    if body is not None and CHUNKED not in headers:
        lines.append(f"Content-Length: {length or len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


def tag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:16]}"'


def chunks(body: bytes) -> bytes:
    parts = [body[start : start + 700] for start in range(0, len(body), 700)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def well(site: Site, stories: Sequence[Story] | None = None, media_type: str = "", elsewhere: str = "") -> Answer:
    """An answer that is whole, in one of its codings."""
    shown = tuple(site.listed if stories is None else stories)
    body = site.render(shown)
    headers = [f"ETag: {tag(body)}", *([f"Content-Type: {media_type}"] if media_type else [])]
    coding = site.chance.choice(["", "", "gzip", "chunked", "both"])
    sent = body
    if coding in ("gzip", "both"):
        sent, headers = gzip.compress(sent), [*headers, "Content-Encoding: gzip"]
    if coding in ("chunked", "both"):
        sent, headers = chunks(sent), [*headers, CHUNKED]
    return Answer((http(sent, *headers),), shown, tag(body), elsewhere)


def shuffled(site: Site) -> list[Story]:
    return site.chance.sample(site.listed, len(site.listed))


def some(site: Site) -> list[Story]:
    """The last few."""
    return site.listed[: site.chance.randint(4, WINDOW - 1)]


def ill(site: Site, body: bytes | None = None, *headers: str, **more: Any) -> Answer:
    """An answer that is none, although it has the tag of one that is."""
    return Answer((http(body, f"ETag: {tag(site.body)}", *headers, **more),))


def cut(site: Site, body: bytes) -> bytes:
    """A part of it, that may hold most of the stories."""
    return body[: site.chance.randint(len(body) // 4, len(body) - 40)]


def broken_page(site: Site) -> Answer:
    """A page that breaks off within a text: all but that story are whole.  It has the tag of one that is."""
    shown = site.listed[: site.chance.randint(4, len(site.listed) - 1)]
    body = site.body.partition(site.listed[len(shown)].text.encode()[:-12])[0]
    return replace(ill(site, body + b"What"), shows=tuple(shown))


def drip(site: Site) -> Answer:
    whole = http(site.body)
    return Answer((whole[:200], *(whole[at : at + 20] for at in range(200, 400, 20)), whole[400:]))


ERROR = b"""<!doctype html><html><head><title>Something went wrong</title></head><body><nav><a href="/">Home</a>
<a href="/about">About us</a></nav><main><h1>Something went wrong</h1><p>We are working on it. The number of this
error is 4711.</p><p><a href="/status">How we are</a> <a href="/help">Where you find help</a></p></main></body>"""
LOGIN = b"""<!doctype html><html><head><title>Log in</title></head><body><main><h1>Log in</h1><form method=post
action=/login><input name=user><input name=password type=password><button>Log in</button></form><ul>
<li><a href="/forgotten">I have forgotten my password</a></li><li><a href="/register">I want to register here</a></li>
<li><a href="/help">I need help with all of this</a></li></ul></main></body></html>"""
FAULT = b'{"error": {"code": 4711, "message": "the item is not there"}, "items": []}'

Weather = dict[str, tuple[int, Callable[[Site], Answer]]]
"""By name: how often of some hundred times, and what is answered then."""
WELL: Weather = {
    "whole": (60, well),
    "in another order": (12, lambda site: well(site, shuffled(site))),
    "the last few": (12, lambda site: well(site, some(site))),
    "listed twice": (6, lambda site: well(site, [*site.listed, site.listed[0]])),
    "of another type": (8, lambda site: well(site, media_type="text/plain")),
    "moved for a while": (4, lambda site: well(site, elsewhere="302 /for-a-while")),
    "moved for good": (4, lambda site: well(site, elsewhere="301 /moved")),
}
ILL: Weather = {
    "304": (10, lambda site: ill(site, status="304 Not Modified")),
    "404": (3, lambda site: ill(site, ERROR, status="404 Not Found")),
    "429": (4, lambda site: ill(site, ERROR, "Retry-After: 7200", status="429 Too Many Requests")),
    "500": (8, lambda site: ill(site, site.body, status="500 Internal Server Error")),
    "503": (4, lambda site: ill(site, ERROR, "Retry-After: 7200", status="503 Service Unavailable")),
    "cut": (8, lambda site: ill(site, cut(site, site.body), length=len(site.body))),
    "cut between chunks": (6, lambda site: ill(site, chunks(site.body)[:-5], CHUNKED)),
    "cut within a chunk": (4, lambda site: ill(site, cut(site, chunks(site.body)), CHUNKED)),
    "cut gzip": (6, lambda site: ill(site, cut(site, gzip.compress(site.body)), "Content-Encoding: gzip")),
    "nothing": (6, lambda site: ill(site, b"")),
    "no stories": (6, lambda site: ill(site, site.render([]))),
    "an error page": (6, lambda site: ill(site, ERROR)),
    "a fault in JSON": (4, lambda site: ill(site, FAULT, "Content-Type: application/json")),
    "led in a circle": (2, lambda site: ill(site, b"", "Location: /list", status="302 Found")),
    "hung up": (4, lambda site: Answer(())),
    "hung up in the headers": (4, lambda site: Answer((http(site.body)[:30],))),
    "reset": (4, lambda site: Answer((http(site.body)[:900], RESET))),
    "a drip": (1, drip),
}
LOGIN_PAGES: Weather = {
    "a page to log in": (3, lambda site: ill(site, LOGIN)),
    "led to a page to log in": (4, lambda site: replace(ill(site, LOGIN), elsewhere="302 /login")),
}
BROKEN_PAGES: Weather = {
    "a document that breaks off": (8, broken_page),
}
BROKEN_FEEDS: Weather = {
    "a document that breaks off": (8, lambda site: ill(site, cut(site, site.body))),
}


# --- who looks on ----------------------------------------------------------------------------------------------------


@dataclass
class Told:
    """What a story was when it was shown last."""

    text: str
    versions: int
    backlog: bool


class Observer:
    """Notes what the site has shown, and compares it with what the house has made of that."""

    def __init__(self, app: App, site: Site, clock: Clock, weather: Weather) -> None:
        self.app, self.site, self.clock, self.weather = app, site, clock, weather
        self.shown: dict[str, Told] = {}
        """By title."""
        self.tags: set[str] = set()
        """Of the answers that were shown whole."""
        self.identities: dict[str, tuple[int, str]] = {}
        self.told: list[str] = []
        """The titles in all issues."""
        self.seen: Counter[str] = Counter()
        self.cycles = 0

    def cycle(self, name: str = "") -> None:
        """The site lives on, and is visited."""
        self.cycles += 1
        self.clock.advance(hours=1)
        if not name:
            self.site.live()
            names = list(self.weather)
            [name] = self.site.chance.choices(names, [often for often, _ in self.weather.values()])
        self.seen[name] += 1
        self.site.answer, self.site.not_modified = self.weather[name][1](self.site), False
        outcome = self.app.do(Work(step="collect", subject="blog", slot=f"by hand {self.cycles}"))
        if not self.is_late(outcome):
            self.judge(name, outcome)
        if isinstance(outcome, Later):
            assert outcome.at
            self.clock.now = max(self.clock.now, outcome.at)

    def is_late(self, outcome: Outcome) -> bool:
        """Whether the machine was too busy for a good answer to come in time, or for all that there is to be read."""
        return isinstance(outcome, Later) and "took more than" in outcome.why

    def judge(self, name: str, outcome: Outcome) -> None:
        answer = self.site.answer
        if self.site.not_modified:
            assert answer.etag in self.tags, f"{name}: they say that they know what they were never shown"
        elif answer.shows:
            assert isinstance(outcome, Done), f"{name}: {outcome}"
            self.note(answer)
        else:
            assert isinstance(outcome, Later) or outcome == Done("unchanged"), f"{name}: {outcome}"
            assert isinstance(outcome, Later) or name == "304", name

    def note(self, answer: Answer) -> None:
        self.tags.add(answer.etag)
        first = not self.shown
        for story in answer.shows:
            told = self.shown.setdefault(story.title, Told(story.text, 1, first))
            told.versions += told.text != story.text
            told.text = story.text

    def compare(self) -> None:
        """Each story that was shown whole is there once, as it was shown last, under the name that it always had."""
        with self.app.store.read() as tx:
            entries = tx.entries.newest(["blog"], 10_000)
        assert len({entry.title for entry in entries}) == len(entries), "doubled"
        found = {
            entry.title: Told(plain(entry.summary or entry.content), entry.version, entry.backlog) for entry in entries
        }
        assert found == self.shown
        for entry in entries:
            assert self.identities.setdefault(entry.title, (entry.number, entry.uid)) == (entry.number, entry.uid)

    def compose(self) -> bool:
        """Make an issue; whether there was one to make."""
        made = self.app.do(Work(step="compose", subject="news", slot=f"by hand {self.cycles} {len(self.told)}"))
        assert isinstance(made, Done)
        if made.changed:
            with self.app.store.read() as tx:
                [issue] = tx.issues.recent(1)
                self.told += [entry.title for entry in tx.issues.entries(issue.id)]
        return made.changed

    def watch(self, cycles: int) -> None:
        """Many cycles, and what there is to say in the end."""
        self.site.stories = [Story(f"old{number}", self.clock() - timedelta(days=9)) for number in range(5)]
        while not self.shown:
            self.cycle("whole")
        for number in range(cycles):
            self.cycle()
            if number % 50 == 49:
                self.compare()
                self.compose()
        self.cycle("whole")
        self.compare()
        while self.compose():
            pass
        print(f"{len(self.shown)} of {len(self.site.stories)} stories shown, {len(self.told)} told; {self.seen}")
        news = sorted(title for title, told in self.shown.items() if not told.backlog)
        assert sorted(self.told) == news, "not told, or told twice"
        assert len(self.seen) > len(self.weather) / 2
        assert sum(told.backlog for told in self.shown.values()) == 5


@pytest.fixture
def watch(write_config: Callable[[str], Path], clock: Clock) -> Iterator[Callable[..., None]]:
    """Sets up a house and a site, and visits it so often."""

    def watch(source: str, render: Render, weather: Weather, cycles: int) -> None:
        site = Site(render, clock)
        with serving(site) as server:
            app = App(load(write_config(CONFIG.format(source=source, url=server.url))), clock)
            with closing(app):
                Observer(app, site, clock, weather).watch(cycles)

    return watch


@pytest.mark.timeout(900)
def test_in_a_thousand_visits_to_a_feed_no_entry_is_doubled_or_forgotten(watch: Callable[..., None]) -> None:
    watch("kind: feed", feed, WELL | ILL | LOGIN_PAGES | BROKEN_FEEDS, 1000)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("source", "weather"),
    [
        ("kind: page", WELL | ILL | BROKEN_PAGES | LOGIN_PAGES),
        ("kind: page, select: {item: article, title: h2, link: h2 a@href}", WELL | ILL | BROKEN_PAGES | LOGIN_PAGES),
    ],
    ids=["as it is", "with selectors"],
)
def test_in_two_hundred_visits_to_a_page_no_entry_is_doubled_or_forgotten(
    watch: Callable[..., None], source: str, weather: Weather
) -> None:
    watch(source, page, weather, 200)
