"""What bad input gets: an error that names the place, and nothing else changes.

Each test has a house with one thing wrong and the rest healthy, and ends when the wrong thing is mended: then what
waited goes out, once.  HTTP, SMTP and SQLite are real; only the clock is ours.
"""

from __future__ import annotations

import contextlib
import gzip
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from channels.receivers import Relay, free_port, only_login
from hostile.limits import Growth, files_no_longer_than
from hostile.server import Behaviour, Server, closing, ok, saying, serving
from outside import Clock, Mail, MailServer, Post, WebSite, rss
from structlog.testing import capture_logs
from waiting import PATIENCE, wait_for

from publisher.app import App, Service, load
from publisher.engine.local import Report
from publisher.model import Entry, Never, State
from publisher.net import sockets
from publisher.store import DeliveryRow

HTML = "Content-Type: text/html"


# --- a house, and what is said to it ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pass:
    """One time that the house did what was due."""

    reports: list[Report]
    wrong: list[str]
    """What its status says."""
    mails: list[tuple[str, set[str]]]
    """Who was told of what."""

    def of(self, step: str, subject: str = "odd") -> Report:
        return next(r for r in self.reports if (r.work.step, r.work.subject) == (step, subject))

    @property
    def unwell(self) -> list[tuple[str, str]]:
        return [(report.work.step, report.work.subject) for report in self.reports if not report.well]


class House:
    """Its healthy source has a publication for Ada, its odd one another for Bob and Eve.

    It is put together anew when its configuration was changed, as by an operator who restarts it then.
    """

    def __init__(self, folder: Path, web: WebSite, mail: MailServer, clock: Clock) -> None:
        self.folder, self.clock, self._web, self.letters = folder, clock, web, mail.mails
        self.config = folder / "config.yaml"
        self._app: App | None = None
        self.sources = {name: f'kind: feed, url: "{web.url}/{name}", private: true' for name in ("well", "odd")}
        self.publications = {"well": publication("well", "ada", by="post"), "odd": publication("odd", "bob", "eve")}
        self.channels = dict.fromkeys(("post", "odd"), f'kind: smtp, url: "smtp://127.0.0.1:{mail.port}"')
        self.well, self.odd = ([self.post(f"{name}{n}") for n in range(4)] for name in ("well", "odd"))

    def post(self, slug: str, text: str = "") -> Post:
        """A post that will have appeared when the house looks next."""
        return Post(slug, self.clock() + timedelta(minutes=1), text=text)

    @property
    def text(self) -> str:
        """The configuration as it is now."""
        parts = {"sources": self.sources, "publications": self.publications, "channels": self.channels}
        lines = ["version: 1", "site: {title: Harbour News, url: 'https://news.example.org'}"]
        for room, part in parts.items():
            lines += [f"{room}:", *(f"  {name}: {{{options}}}" for name, options in part.items())]
        return "\n".join(lines)

    def open(self) -> App:
        """The house, put together anew when its configuration was changed."""
        if self._app is None or self.config.read_text() != self.text:
            self.close()
            self.config.write_text(self.text)
            self._app = App(load(self.config), self.clock)
        return self._app

    def close(self) -> None:
        if self._app:
            self._app.close()
            self._app = None

    def serve(self) -> None:
        """Put the posts on the web."""
        self._web.pages |= {f"/{name}": rss(self._web.url, getattr(self, name)) for name in ("well", "odd")}

    def run(self, **later: float) -> Pass:
        """Let time pass, and do what is due then."""
        self.clock.advance(**later)
        self.serve()
        app, known = self.open(), len(self.letters)
        reports = app.once(lambda _: None, lambda *_: None)
        return Pass(reports, app.status().wrong, self.mailed(known))

    def mailed(self, known: int = 0) -> list[tuple[str, set[str]]]:
        """Who was told of what, after so many mails."""
        return sorted((mail.to.partition("@")[0], headlines(mail)) for mail in self.letters[known:])

    def collect(self, **later: float) -> None:
        """Let time pass, and only collect what is new."""
        self.clock.advance(**later)
        self.serve()
        app = self.open()
        for work in app.due("collect"):
            app.do(work)

    def begin(self) -> None:
        """Know the sources; then each of them has a new post."""
        first = self.run()
        assert (first.unwell, first.wrong, first.mails) == ([], [], [])
        self.well.insert(0, self.post("news"))
        self.odd.insert(0, self.post("late"))

    def entries(self, *sources: str) -> dict[str, tuple[Entry, ...]]:
        with self.open().store.read() as tx:
            return {source: tx.entries.newest([source], 10_000) for source in sources}

    def ledger(self) -> dict[str, DeliveryRow]:
        """The deliveries of the odd channel by the recipient's name."""
        with self.open().store.read() as tx:
            rows = tx.deliveries.list(limit=100)
        return {row.recipient.partition("@")[0]: row for row in rows if row.channel == "odd"}

    def feed(self, name: str) -> str:
        """A publication's feed, empty when there is none yet."""
        file = self.folder / "feeds" / name / "rss.xml"
        return file.read_text() if file.exists() else ""

    def files(self, name: str = "odd") -> dict[str, tuple[int, bytes]]:
        """What readers of a publication are served, and when it was written."""
        found = (self.folder / "feeds" / name).iterdir()
        return {file.name: (file.stat().st_mtime_ns, file.read_bytes()) for file in found}


def publication(sources: str, *readers: str, by: str = "odd", template: str = "digest") -> str:
    """A feed, a page, and a digest each hour."""
    return (
        f"title: News, sources: [{sources}], feeds: {{formats: [rss, html], limit: 1000}}, deliver: [{by}], "
        f"digest: {{schedule: every 1h, template: {template}, max_entries: 100}}, "
        f"recipients: [{', '.join(f'{reader}@example.org' for reader in readers)}]"
    )


def headlines(mail: Mail) -> set[str]:
    return set(re.findall(r"About (\w+)", mail.text))


ADA = ("ada", {"news"})
BOB = ("bob", {"late"})
EVE = ("eve", {"late"})


@pytest.fixture
def house(tmp_path: Path, web_site: WebSite, mail_server: MailServer, clock: Clock) -> Iterator[House]:
    house = House(tmp_path, web_site, mail_server, clock)
    yield house
    house.close()


@dataclass
class Shifty:
    """A behaviour that is changed from outside."""

    says: Behaviour | bytes = field(default_factory=ok)

    def __call__(self, connection: socket.socket, request: bytes) -> None:
        (self.says if callable(self.says) else saying(self.says))(connection, request)


@pytest.fixture
def shifty() -> Shifty:
    return Shifty()


@pytest.fixture
def server(shifty: Shifty) -> Iterator[Server]:
    """A web server that says what ``shifty`` says."""
    with serving(shifty) as running:
        yield running


@pytest.fixture
def odd_site(house: House, shifty: Shifty, server: Server) -> Server:
    """The server as the site of the odd source, healthy at first."""
    house.sources["odd"] = f'kind: feed, url: "{server.url}/", private: true'
    shifty.says = feed(house)
    return server


def feed(house: House, *headers: str) -> bytes:
    """The odd source's feed, as a server should answer it."""
    return ok(rss("https://odd.example.org", house.odd).body, *headers)


def asked(server: Server) -> list[str]:
    """The paths that were asked for."""
    return [request.split(b" ", 2)[1].decode() for request in server.requests]


# --- answers that are none -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """An answer in place of a good one, and what is said of it."""

    name: str
    answer: Callable[[bytes], Behaviour | bytes]
    complaint: str
    kind: str = "feed"
    options: str = ""

    @property
    def key(self) -> str:
        return re.sub(r"\W+", "_", self.name).lower()

    def good(self, posts: list[Post]) -> bytes:
        return council(posts) if self.kind == "page" else rss("https://odd.example.org", posts).body


def council(posts: list[Post]) -> bytes:
    """A page that lists the posts."""
    rows = "".join(
        f"<h3>{post.heading}</h3><p>The council has talked for long about {post.slug} in the town hall.</p>"
        f"<p><a href='/posts/{post.slug}'>Read more</a></p>"
        for post in posts
    )
    menu = "<nav><ul><li><a href='/'>Home</a></li><li><a href='/contact'>Contact</a></li></ul></nav>"
    return f"<html><body>{menu}<main><h1>Council</h1>{rows}</main><footer>Imprint</footer></body></html>".encode()


ERROR_PAGE = (
    b"<!doctype html><html><head><title>Oops</title></head><body><h1>Something went wrong</h1>"
    b"<ul><li><a href='/'>Home</a></li><li><a href='/help'>Help</a></li></ul></body></html>"
)
LOGIN = b"<html><body><h1>Welcome</h1><form action=/in><input name=user><input type=password></form></body></html>"
START = b"<rss version='2.0'><channel><title>Odd</title>"
END = b"</channel></rss>"


def endless(piece: bytes, times: int, pause: float = 0) -> Behaviour:
    """A feed without a length that goes on for so many pieces."""

    def behave(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + START)
        for _ in range(times):
            connection.sendall(piece)
            time.sleep(pause)
        raise ConnectionError

    return behave


def bomb() -> bytes:
    """100 MB that travel as less than 1 MB."""
    return gzip.compress(START + b" " * 100_000_000 + END, compresslevel=1)


CASES = [
    Case("a feed that breaks off", lambda good: ok(good[: len(good) // 2]), "sent a feed that breaks off"),
    Case("a connection that breaks off", lambda good: closing(ok(good)[:-200]), "cut its answer short"),
    Case("a JSON Feed that breaks off", lambda _: ok(b'{"version": "https://jsonfeed.org/version/1", '), "broken"),
    Case("XML without an end", lambda _: ok(START + b"<item><title>Half"), "sent a feed that breaks off"),
    Case("noise", lambda _: ok(bytes(range(256)) * 99), "answered with text, not a feed"),
    Case("an error page with status 200", lambda _: ok(ERROR_PAGE, HTML), "answered with a web page, not a feed"),
    Case("an error page with status 500", lambda _: ok(ERROR_PAGE, HTML, status="500 Oops"), "answered 500"),
    Case("a login form", lambda _: ok(LOGIN, HTML), "answered with a web page, not a feed"),
    Case("nothing", lambda _: ok(), "answered with nothing"),
    Case("no entries", lambda _: ok(START + END), "sent a feed without entries, where there were 4"),
    Case("200 MB", lambda _: endless(b" " * 1_000_000, 200), "sent more than 5000000 bytes"),
    Case("200 MB announced", lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 200000000\r\n\r\n<", "sent more than 5000"),
    Case("a gzip bomb", lambda _: ok(bomb(), "Content-Encoding: gzip"), "sent more than 5000000 bytes"),
    Case("a million items", lambda _: endless(b"<item/>" * 100_000, 10), "sent more than 5000000 bytes"),
    Case("a byte a second", lambda _: endless(b" ", 60, pause=1), "took more than 1 s", options="timeout: 1s"),
    Case("a redirect to itself", lambda _: ok(b"", "Location: /", status="302 Found"), "more than 5 redirects"),
    Case("a redirect to a file", lambda _: ok(b"", "Location: file:///etc/passwd", status="301 Moved"), "not a web"),
    Case("another protocol", lambda _: closing(b"220 mail.example.org\r\n\r\n"), "does not answer in HTTP"),
    Case("silence", lambda _: closing(b""), "closed the connection"),
    Case("a login form for a page", lambda _: ok(LOGIN, HTML), "asks for a password", kind="page"),
    Case("an error page for a page", lambda _: ok(ERROR_PAGE, HTML), "no list of articles", kind="page"),
    Case("an empty page", lambda _: ok(b"", HTML), "no list of articles", kind="page"),
    Case("a feed for a page", lambda _: ok(START + END, "Content-Type: application/rss+xml"), "is a feed", kind="page"),
]


@dataclass(frozen=True)
class Story:
    """A house of which every source but one gave a bad answer, between two good ones."""

    passes: list[Pass]
    entries: list[dict[str, tuple[Entry, ...]]]
    """After each pass, of each source."""
    files: list[dict[str, tuple[int, bytes]]]
    """After each pass, of the publication that has all odd sources."""
    growth: int
    """Bytes, at the peak of the bad pass."""
    seconds: float


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with contextlib.ExitStack() as stack:
        clock = Clock(datetime(2026, 10, 19, 6, 0, tzinfo=UTC))
        web, mail = stack.enter_context(contextlib.closing(WebSite())), MailServer(clock)
        stack.callback(mail.close)
        house = stack.enter_context(contextlib.closing(House(tmp_path_factory.mktemp("story"), web, mail, clock)))
        sites = {case: Shifty() for case in CASES}
        del house.sources["odd"]
        for case, site in sites.items():
            url = stack.enter_context(serving(site)).url
            house.sources[case.key] = f'kind: {case.kind}, url: "{url}/", private: true, {case.options}'
        house.publications["odd"] = publication(", ".join(case.key for case in CASES), "bob")
        house.publications["all"] = publication("'*'", "eve", by="post")
        yield tell(house, sites)


def tell(house: House, sites: dict[Case, Shifty]) -> Story:
    posts = {case: [house.post(f"{case.key}{n}") for n in range(4)] for case in CASES}

    def recover() -> None:
        for case, site in sites.items():
            site.says = ok(case.good(posts[case]), HTML)

    def found() -> tuple[dict[str, tuple[Entry, ...]], dict[str, tuple[int, bytes]]]:
        return house.entries(*(case.key for case in CASES)), house.files()

    recover()
    passes, states = [house.run()], [found()]
    house.well.insert(0, house.post("news"))
    for case, site in sites.items():
        posts[case].insert(0, house.post(f"{case.key}_late"))
        site.says = case.answer(case.good(posts[case]))
    growth, begun = Growth(), time.monotonic()
    passes.append(house.run(hours=1))
    peak, seconds = growth.peak(), time.monotonic() - begun
    states.append(found())
    recover()
    passes.append(house.run(hours=1))
    return Story(passes, *map(list, zip(*states, strict=True)), peak, seconds)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_answer_that_cannot_be_used_is_told_and_changes_nothing(story: Story, case: Case) -> None:
    good, bad, last = story.passes
    assert good.of("collect", case.key).words == "4 new"
    [told] = [wrong for wrong in bad.wrong if wrong.startswith(f"source {case.key}: ")]
    assert case.complaint in told
    assert told.endswith(bad.of("collect", case.key).words)
    assert len(story.entries[0][case.key]) == 4
    assert story.entries[1][case.key] == story.entries[0][case.key]
    assert last.of("collect", case.key).words == "1 new"


def test_bad_answers_harm_no_other_source_and_take_neither_time_nor_memory(story: Story) -> None:
    good, bad, last = story.passes
    late = {f"{case.key}_late" for case in CASES}
    assert sorted(bad.unwell) == sorted(("collect", case.key) for case in CASES)
    assert story.files[1] == story.files[0]
    assert (good.mails, bad.mails, last.mails) == ([], [ADA, ("eve", {"news"})], [("bob", late), ("eve", late)])
    assert (good.wrong, last.wrong) == ([], [])
    assert story.growth < 60_000_000
    assert story.seconds < PATIENCE / 2


# --- answers that are odd, but can be used ---------------------------------------------------------------------------


def test_an_ill_formed_feed_is_read_as_far_as_it_goes_and_what_is_garbled_comes_later(
    house: House, shifty: Shifty, odd_site: Server
) -> None:
    house.begin()
    known = house.entries("odd")["odd"]
    house.odd.insert(0, house.post("garbled"))
    body = rss("https://odd.example.org", house.odd).body.replace(b"About garbled</title>", b"About garbled")
    shifty.says = ok(body.replace(b"about late.", b"about late \x0b& more."))
    bad = house.run(hours=1)
    assert (bad.unwell, bad.wrong, bad.mails) == ([], [], [ADA, BOB, EVE])
    [late] = set(house.entries("odd")["odd"]) - set(known)
    assert (late.title, late.summary) == ("About late", "<p>The text about late &amp; more.</p>")
    shifty.says = feed(house)
    assert house.run(hours=1).mails == [("bob", {"garbled"}), ("eve", {"garbled"})]


LAUGHS = "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 10))
PROLOGUES = {
    "entities that grow a billionfold": f"<!DOCTYPE rss [<!ENTITY l0 'Ha!'>{LAUGHS}]>",
    "an entity that is a file of ours": "<!DOCTYPE rss [<!ENTITY l9 SYSTEM 'file:///etc/passwd'>]>",
    "an encoding that nobody knows": "<?xml version='1.0' encoding='x-klingon'?>",
    "an encoding that is none": "<?xml version='1.0' encoding='zlib'?>",
}


@pytest.mark.parametrize("prologue", PROLOGUES.values(), ids=PROLOGUES)
def test_a_feed_with_a_hostile_prologue_is_read_without_it(
    house: House, shifty: Shifty, odd_site: Server, prologue: str
) -> None:
    house.begin()
    body = rss("https://odd.example.org", house.odd).body.replace(b"The text about late", b"Schr\xf6der &l9; said")
    shifty.says = ok(prologue.encode() + body, "Content-Type: application/xml; charset=x-klingon")
    growth = Growth()
    bad = house.run(hours=1)
    assert (bad.unwell, bad.wrong, bad.mails) == ([], [], [ADA, BOB, EVE])
    assert growth.peak() < 60_000_000
    [late] = [entry for entry in house.entries("odd")["odd"] if entry.title == "About late"]
    assert re.fullmatch(r"<p>Schröder (&amp;l9;)? ?said.</p>", late.summary)


def test_of_a_million_items_a_thousand_are_taken_and_the_rest_is_told(
    house: House, shifty: Shifty, odd_site: Server
) -> None:
    house.sources["odd"] += ", max_bytes: 20MB"
    house.begin()
    items = b",".join(b'{"title":"%d"}' % number for number in range(1_000_000))
    shifty.says = ok(b'{"version": "https://jsonfeed.org/version/1.1", "items": [%s]}' % items)
    bad = house.run(hours=1)
    assert bad.mails[0] == ADA
    assert "999000 of 1000000 items were left out" in bad.of("collect").words
    assert len(house.entries("odd")["odd"]) == 1004


# --- what a server says of its addresses -----------------------------------------------------------------------------


def test_a_redirect_to_a_private_address_is_refused_before_a_connection_is_made(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "is_global", lambda address: str(address) == "127.0.0.2")
    shifty = Shifty()
    with serving(shifty, "127.0.0.2") as public, serving(feed(house)) as canary:
        house.sources["odd"] = f'kind: feed, url: "{public.url}/"'
        shifty.says = feed(house)
        house.begin()
        before = house.entries("odd"), house.files()
        shifty.says = ok(b"", f"Location: {canary.url}/", status="302 Found")
        bad = house.run(hours=1)
        assert canary.connections == 0
    [told] = bad.wrong
    assert told.startswith("source odd: 127.0.0.1 is at 127.0.0.1, which is not a public address")
    assert "private: true" in told
    assert bad.mails == [ADA]
    assert (house.entries("odd"), house.files()) == before


def test_a_source_that_is_gone_is_never_visited_again_until_its_address_changes(
    house: House, shifty: Shifty, odd_site: Server
) -> None:
    house.begin()
    before = house.entries("odd"), house.files()
    shifty.says = ok(b"", status="410 Gone")
    bad = house.run(hours=1)
    assert bad.wrong == [
        "source odd: it has ended (410 Gone) (remove the source from the configuration, or give its new address)"
    ]
    assert bad.of("collect").outcome == Never("the source has ended (410 Gone); remove it, or give its new address")
    assert bad.mails == [ADA]
    shifty.says = feed(house)
    for _ in range(3):
        assert house.run(days=1).wrong == bad.wrong
    assert asked(odd_site) == ["/", "/"]
    assert (house.entries("odd"), house.files()) == before

    house.sources["odd"] = f'kind: feed, url: "{odd_site.url}/new", private: true'
    house.odd.insert(0, house.post("alive"))
    shifty.says = feed(house)
    mended = house.run(hours=1)
    assert (mended.wrong, asked(odd_site)) == ([], ["/", "/", "/new"])
    assert [told for told in mended.mails if told[0] == "bob"] == [("bob", {"alive", "late"})]


def test_a_source_that_asks_for_time_gets_it(house: House, shifty: Shifty, odd_site: Server) -> None:
    house.begin()
    shifty.says = ok(b"", "Retry-After: 7200", status="429 Too Many Requests")
    bad = house.run(hours=1)
    assert bad.wrong == [f"source odd: 127.0.0.1:{odd_site.port} answered 429 Too Many Requests"]
    assert bad.mails == [ADA]
    shifty.says = feed(house)
    for _ in range(3):
        assert house.run(minutes=39).wrong == bad.wrong
    assert len(odd_site.requests) == 2
    mended = house.run(minutes=4)
    assert (mended.wrong, mended.mails, len(odd_site.requests)) == ([], [BOB, EVE], 3)


@pytest.mark.parametrize(
    ("status", "second"), [(301, ["/new"]), (308, ["/new"]), (302, ["/old", "/new"]), (307, ["/old", "/new"])]
)
def test_only_what_moved_for_good_is_asked_at_its_new_address(
    house: House, shifty: Shifty, server: Server, status: int, second: list[str]
) -> None:
    def behave(connection: socket.socket, request: bytes) -> None:
        old = request.startswith(b"GET /old ")
        connection.sendall(ok(b"", "Location: /new", status=f"{status} Moved") if old else feed(house))

    shifty.says = behave
    house.sources["odd"] = f'kind: feed, url: "{server.url}/old", private: true'
    house.begin()
    done = house.run(hours=1)
    assert (done.wrong, done.mails) == ([], [ADA, BOB, EVE])
    assert asked(server) == ["/old", "/new", *second]


AGAIN = {
    "the server says so": (ok(status="304 Not Modified"), "unchanged"),
    "the bytes are the same": (b"", "unchanged"),
    "only their order is new": (b"<!-- made this very minute -->", "nothing new"),
}


@pytest.mark.parametrize(("again", "words"), AGAIN.values(), ids=AGAIN)
def test_a_source_that_has_nothing_new_changes_nothing(
    house: House, shifty: Shifty, odd_site: Server, again: bytes, words: str
) -> None:
    house.begin()
    shifty.says = feed(house, 'ETag: "a"')
    house.run(hours=1)
    before = house.entries("odd"), house.files()
    if again.startswith(b"HTTP"):
        shifty.says = again
    elif again:
        shifty.says = ok(rss("https://odd.example.org", house.odd[::-1]).body + again)
    house.well.insert(0, house.post("more"))
    done = house.run(hours=1)
    assert (done.of("collect").words, done.wrong, done.mails) == (words, [], [("ada", {"more"})])
    assert (house.entries("odd"), house.files()) == before


def test_a_first_visit_that_is_told_nothing_is_new_makes_no_news_of_what_comes_then(
    house: House, shifty: Shifty, odd_site: Server
) -> None:
    shifty.says = ok(status="304 Not Modified")
    bad = house.run()
    assert bad.wrong == [f"source odd: 127.0.0.1:{odd_site.port} answered 304 Not Modified"]
    shifty.says = ok(re.sub(rb"<pubDate>.*?</pubDate>", b"", rss("https://odd.example.org", house.odd).body))
    mended = house.run(hours=1)
    assert (mended.wrong, mended.mails) == ([], [])
    assert len(house.entries("odd")["odd"]) == 4


# --- templates -------------------------------------------------------------------------------------------------------

FAULTS = {
    "a syntax error": (b"<h1>\n{% for entry in %}\n", "odd.html.j2:2: "),
    "an undefined name": (b"<h1>\n\n{{ enrties[0].title }}\n", "odd.html.j2:3: 'enrties' is undefined"),
    "bytes that are no text": (b"<h1>\xff\xfe</h1>", "odd.html.j2"),
}


@pytest.mark.parametrize(("template", "complaint"), FAULTS.values(), ids=FAULTS)
def test_a_template_with_a_fault_mails_nothing_and_its_entries_wait(
    house: House, template: bytes, complaint: str
) -> None:
    folder = house.folder / "templates"
    folder.mkdir()
    (folder / "odd.html.j2").write_bytes(template)
    (folder / "odd.txt.j2").write_text("{% for entry in entries %}{{ entry.title }}\n{% endfor %}")
    house.publications["odd"] = publication("odd", "bob", "eve", template="odd")
    house.begin()
    for _ in range(2):
        bad = house.run(hours=1)
        assert bad.of("compose").words.startswith(complaint)
        assert ("compose", "odd") in bad.unwell
        assert bad.mails in ([ADA], [])
        assert house.ledger() == {}
    (folder / "odd.html.j2").write_text("<p>{{ entries[0].title }}</p>")
    assert house.run(minutes=15).mails == [BOB, EVE]
    assert house.run(hours=1).mails == []


def test_a_page_template_with_a_fault_leaves_what_readers_are_served(house: House) -> None:
    house.begin()
    before = house.files("well"), house.files("odd")
    (house.folder / "templates").mkdir()
    template = house.folder / "templates" / "page.html.j2"
    template.write_text("<h1>\n{{ oops }}")
    bad = house.run(hours=1)
    assert bad.unwell == [("publish", "well"), ("publish", "odd")]
    assert bad.of("publish").words.startswith("page.html.j2:2: 'oops' is undefined")
    assert bad.mails == [ADA, BOB, EVE]
    assert (house.files("well"), house.files("odd")) == before
    template.unlink()
    assert house.run(minutes=1).unwell == []
    assert b"About late" in house.files()["rss.xml"][1]


# --- disks -----------------------------------------------------------------------------------------------------------


def test_a_feed_that_the_disk_has_no_room_for_stays_as_it_was(house: House) -> None:
    house.begin()
    before = house.files()
    house.odd[0] = house.post("late", "<p>" + "The text about late. " * 100_000)
    house.collect(hours=1)
    house.close()  # the store begins its log anew, and needs less room than the feed
    with files_no_longer_than(1_000_000):
        bad = house.run()
    assert bad.unwell == [("publish", "odd")]
    folder = house.folder / "feeds/odd"
    assert bad.of("publish").words == (
        f"{folder}: cannot be written: File too large (make room, or give this user the right to write there)"
    )
    assert bad.mails == [ADA, BOB, EVE]
    assert house.files() == before
    assert b"About news" in house.files("well")["rss.xml"][1]
    assert house.run(minutes=1).unwell == []
    assert b"About late" in house.files()["rss.xml"][1]


@pytest.mark.parametrize("room", [60_000, 180_000, 300_000, 460_000])
def test_a_store_that_the_disk_has_no_room_for_loses_nothing(house: House, room: int) -> None:
    """The more room, the later the step that fails.

    A mail that was taken when its verdict could not be written is sent again under the same Message-ID: at most one on
    each channel.
    """
    house.begin()
    house.close()
    with files_no_longer_than(room):
        bad = house.run(hours=1)
    complaint = f"{house.folder}/data/publisher.db: cannot be read or written (disk I/O error)"
    assert {report.words.startswith(complaint) for report in bad.reports if not report.well} == {True}
    mended = house.run(hours=1)
    assert (mended.unwell, mended.wrong) == ([], [])
    assert house.run(hours=1).mails == []
    assert [told for told in (ADA, BOB, EVE) if told not in bad.mails + mended.mails] == []
    copies = Counter((mail.to, mail.id) for mail in house.letters)
    assert len(copies) == 3
    doubled = ["post" if to.startswith("ada") else "odd" for (to, _), count in copies.items() for _ in range(1, count)]
    assert len(doubled) == len(set(doubled))


# --- channels --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def relaying(relay: Relay, **settings: object) -> Iterator[None]:
    """Let the relay answer at its port."""
    controller = Controller(relay, hostname="127.0.0.1", port=relay.port, **settings)
    controller.start()
    try:
        yield
    finally:
        controller.stop()


@pytest.fixture
def relay(house: House) -> Relay:
    """The odd channel's relay, down until it is let answer."""
    relay = Relay(port=free_port())
    house.channels["odd"] = f'kind: smtp, url: "smtp://127.0.0.1:{relay.port}"'
    return relay


def recipients(relay: Relay) -> list[str]:
    return sorted(address.partition("@")[0] for envelope in relay.taken for address in envelope.rcpt_tos)


def standing(house: House) -> dict[str, tuple[State, int]]:
    """Where the odd channel's deliveries stand, and how often each was tried."""
    return {name: (row.state, row.tries) for name, row in house.ledger().items()}


UNTRIED = {"bob": (State.PLANNED, 0), "eve": (State.PLANNED, 0)}
SENT = {"bob": (State.SENT, 1), "eve": (State.SENT, 1)}
DEAD_LETTER = "issue 1 of odd: 1 deliveries failed (publisher delivery list --state failed)"


@pytest.mark.filterwarnings("ignore:Requiring AUTH:UserWarning")
def test_a_wrong_password_holds_the_channel_and_costs_no_delivery_an_attempt(house: House, relay: Relay) -> None:
    house.channels["odd"] = f'kind: smtp, url: "smtp://news:opensesame@127.0.0.1:{relay.port}"'
    login = only_login(b"news", b"abracadabra")
    house.begin()
    with relaying(relay, authenticator=login, auth_required=True, auth_require_tls=False):
        bad = house.run(hours=1)
        place, hint = f"127.0.0.1:{relay.port}", "(Check the user and the password in `url`.)"
        assert bad.wrong == [f"channel odd: {place}: 535 5.7.8 Authentication credentials invalid {hint}"]
        assert (bad.unwell, bad.mails) == ([("deliver", "odd")], [ADA])
        assert house.run(minutes=30).wrong == bad.wrong
        assert (standing(house), relay.taken) == (UNTRIED, [])
        house.channels["odd"] = house.channels["odd"].replace("opensesame", "abracadabra")
        mended = house.run(minutes=30)
        house.run(hours=1)
    assert (mended.wrong, standing(house), recipients(relay)) == ([], SENT, ["bob", "eve"])


def test_a_relay_that_is_down_holds_the_channel_and_costs_no_delivery_an_attempt(house: House, relay: Relay) -> None:
    house.begin()
    for minutes in (60, 1, 2, 4, 8):
        bad = house.run(minutes=minutes)
        assert bad.wrong == [f"channel odd: 127.0.0.1:{relay.port}: no connection: Connection refused"]
        assert bad.unwell == [("deliver", "odd")]
        assert standing(house) == UNTRIED
    assert house.mailed() == [ADA]
    with relaying(relay):
        mended = house.run(minutes=30)
        house.run(hours=1)
    assert (mended.wrong, standing(house), recipients(relay)) == ([], SENT, ["bob", "eve"])


def test_a_recipient_who_is_refused_for_good_is_told_and_the_others_get_theirs(house: House, relay: Relay) -> None:
    relay.answers["RCPT", "bob@example.org"] = "550 5.1.1 no such user"
    house.begin()
    with relaying(relay):
        bad = house.run(hours=1)
        assert (bad.wrong, bad.mails) == ([DEAD_LETTER], [ADA])
        house.run(hours=1)
        house.run(days=1)
    assert standing(house) == {"bob": (State.FAILED, 1), "eve": (State.SENT, 1)}
    assert house.ledger()["bob"].detail == "550 5.1.1 no such user"
    assert recipients(relay) == ["eve"]


def test_a_recipient_who_is_refused_for_now_gets_it_later(house: House, relay: Relay) -> None:
    relay.answers["RCPT", "bob@example.org"] = "451 4.2.1 come back later"
    house.begin()
    with relaying(relay):
        bad = house.run(hours=1)
        assert (bad.of("deliver").words, bad.wrong, bad.mails) == ("1 deferred, 1 sent", [], [ADA])
        assert house.ledger()["bob"].detail == "451 4.2.1 come back later"
        relay.answers.clear()
        assert house.run(seconds=30).reports == []
        house.run(minutes=5)
        house.run(hours=1)
    assert standing(house) == {"bob": (State.SENT, 2), "eve": (State.SENT, 1)}
    assert recipients(relay) == ["bob", "eve"]


@pytest.fixture
def hook(house: House, server: Server) -> Server:
    """The server as a webhook that the odd channel posts to."""
    house.channels["odd"] = f'kind: webhook, url: "{server.url}/hook", private: true'
    return server


def test_a_webhook_that_fails_is_asked_again_under_the_same_identity(
    house: House, shifty: Shifty, hook: Server
) -> None:
    shifty.says = ok(status="500 Internal Server Error")
    house.begin()
    bad = house.run(hours=1)
    assert (bad.of("deliver").words, bad.mails, standing(house)) == ("1 deferred", [ADA], {"": (State.DEFERRED, 1)})
    assert house.ledger()[""].detail == f"127.0.0.1:{hook.port} answered 500 Internal Server Error"
    shifty.says = ok()
    house.run(minutes=5)
    house.run(hours=1)
    assert standing(house) == {"": (State.SENT, 2)}
    first, second = (re.findall(rb"(?i)webhook-id: (\S+)", request) for request in hook.requests)
    assert len(first) == 1
    assert first == second


def test_a_webhook_that_is_gone_is_told_and_not_asked_again(house: House, shifty: Shifty, hook: Server) -> None:
    shifty.says = ok(status="410 Gone")
    house.begin()
    bad = house.run(hours=1)
    [told] = bad.wrong
    assert told.startswith("channel odd: ")
    assert "410 Gone (write another address in `url`, or take the channel out)" in told
    assert (bad.mails, standing(house)) == ([ADA], {"": (State.PLANNED, 0)})  # it waits for the new address
    house.run(days=1)
    assert len(hook.requests) == 1


def test_a_webhook_that_asks_for_time_gets_it(house: House, shifty: Shifty, hook: Server) -> None:
    shifty.says = ok(b"", "Retry-After: 7200", status="503 Service Unavailable")
    house.begin()
    bad = house.run(hours=1)
    assert (bad.mails, standing(house)) == ([ADA], {"": (State.DEFERRED, 1)})
    shifty.says = ok()
    house.run(minutes=119)
    assert len(hook.requests) == 1
    house.run(minutes=1)
    assert (standing(house), len(hook.requests)) == ({"": (State.SENT, 2)}, 2)


# --- the configuration -----------------------------------------------------------------------------------------------


def test_a_half_written_configuration_is_told_with_its_line_and_the_old_one_stays_in_force(house: House) -> None:
    house.serve()
    house.config.write_text(house.text)
    service = Service(house.config, house.clock)
    with capture_logs() as log, running(service):
        wait_for(lambda: "About odd0" in house.feed("odd") and "About well0" in house.feed("well"))
        house.config.write_text(house.text[: house.text.rindex("recipients") + 20])
        house.well.insert(0, house.post("news"))
        house.serve()
        house.clock.advance(minutes=30)
        service.reload()
        wait_for(lambda: "About news" in house.feed("well"))
        house.publications["more"] = publication("well", "eve", by="post")
        house.config.write_text(house.text)
        house.clock.advance(minutes=30)
        service.reload()
        wait_for(lambda: "About news" in house.feed("more") and house.mailed() == [ADA])
    [told] = [event for event in log if event["log_level"] == "error"]
    assert told["event"] == "the new configuration is not used, the old one stays in force"
    assert re.match(r".*config\.yaml:8: not YAML: ", told["faults"][0])


@contextlib.contextmanager
def running(service: Service) -> Iterator[None]:
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        yield
    finally:
        service.stop()
        thread.join(PATIENCE)
    assert not thread.is_alive()
