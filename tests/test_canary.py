"""Wherever somebody outside may write an address that we fetch: no spelling of it leads to what only we can reach.

A canary sits on loopback and counts who comes.  Where nothing of ours can sit, every connection that is begun is noted.
A door that is new gets a line in ``DOORS``.
"""

from __future__ import annotations

import json
import re
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import cache, cached_property
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import pytest
from hostile.server import Server, closing, ok, serving
from receivers import make_parcel
from waiting import wait_for

from publisher import net
from publisher.app import App, initialise, load, try_source
from publisher.channels.webhook import Webhook
from publisher.errors import PublisherError
from publisher.model import Cursor, Receipt
from publisher.net import Net, sockets
from publisher.sources._listing import Selectors
from publisher.sources.feed import Feed
from publisher.sources.mail import Mail
from publisher.sources.opml import Opml
from publisher.sources.page import Page

PUBLIC = "127.0.0.2"
"""Counts as an address on the Internet; what has the name ``public.example`` is there."""
NAMES = {
    "localhost": [["127.0.0.1", "::1"]],
    "canary.localhost": [["127.0.0.1"]],
    "public.example": [[PUBLIC]],
    "inside.example": [["127.0.0.1"]],
    "mapped.example": [["::ffff:127.0.0.1"]],
    "mixed.example": [[PUBLIC, "127.0.0.1"]],
    "rebound.example": [[PUBLIC], ["127.0.0.1"]],
    "sns.eu-west-1.amazonaws.com": [["127.0.0.1"]],
}
"""What name servers say: at the first question, at the second, and so on; nobody outside is asked."""
words = str.split

LOOPBACK = words(
    """127.0.0.1 127.1 127.0.1 2130706433 017700000001 0x7f000001 0x7F.1 0177.0.0.1 0177.0x0.1 0 0.0.0.0
localhost LOCALHOST localhost. canary.localhost inside.example mapped.example [::1] [0:0:0:0:0:0:0:1] [::]
[::ffff:127.0.0.1] [::ffff:7f00:1]"""
)
"""What leads to the canary, if nobody minds."""
ELSEWHERE = words(
    """127.9.9.9 127.0.0.1. [::127.0.0.1] [64:ff9b::7f00:1] [64:ff9b::127.0.0.1] [64:ff9b:1::7f00:1]
[2002:7f00:1::] [2002:7f00:1::1] [2001:0:7f00:1::1] 100.64.0.1 100.127.255.254 169.254.169.254 2852039166
[::ffff:169.254.169.254] [fd00:ec2::254] 10.0.0.1 172.16.0.1 172.31.255.254 192.168.0.1 192.168.1.1 [::ffff:10.0.0.1]
[fe80::1] [fe80::1%25lo] [fec0::1] [fc00::1] [fd12:3456::1] 224.0.0.1 [ff02::1] 255.255.255.255 192.0.2.1 198.18.0.1
mixed.example １２７.０.０.１ ①②⑦.0.0.1 127。0。0。1 127．0．0．1 127｡0｡0｡1 ｌｏｃａｌｈｏｓｔ"""
)
"""What would lead to others, elsewhere; and what some readers make an address of."""
HOSTS = (*LOOPBACK, *ELSEWHERE)
FORMS = (
    "HTTP://127.0.0.1:{port}/",
    " http://127.0.0.1:{port}/",
    "http://127.0.0.1\t:{port}/",
    "https://127.0.0.1:{port}/",
    "http://user:secret@127.0.0.1:{port}/",
    "http://public.example@127.0.0.1:{port}/",
    "http://public.example:{port}@127.0.0.1:{port}/",
    "http://public.example%40127.0.0.1:{port}/",
    "http://[::1]@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}#@public.example:{port}/",
    "http://127.0.0.1:{port}?@public.example:{port}/",
    "http://127.0.0.1:{port}/@public.example:{port}/",
    "http://127.0.0.1:{port}/%0d%0aHost:%20public.example",
    "http://127.0.0.1%00.public.example:{port}/",
)
ODD = (
    "//127.0.0.1:{port}/",
    "http:///127.0.0.1:{port}/",
    "http:\\\\127.0.0.1:{port}\\",
    "http://public.example:{port}\\@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\\@public.example:{port}/",
    "http://public.example:{port}#@127.0.0.1:{port}/",
    "ftp://127.0.0.1:{port}/",
    "gopher://127.0.0.1:{port}/_GET%20/",
    "file:///etc/hostname",
)
"""Of these some readers make one thing and some another, or nothing."""
TOPIC = "arn:aws:sns:eu-west-1:123456789012:bounces"
CONFIG = """
version: 1
site: {{title: Harbour News, url: "https://news.example.org"}}
sources:
  blog: {{kind: feed, url: "http://public.example:{port}/feed"}}
  planet: {{kind: opml, url: "http://public.example:{port}/planet"}}
publications:
  news: {{title: News, recipients: [ada@example.org], digest: {{schedule: "mon 08:00", first_issue: 520w}}}}
bounces: {{ses: {{topic: "{topic}"}}}}
"""
TOLD = re.compile(
    r"is at \S+, which is not a public address|no such host: |not a web address|that is not Amazon's|answered 30\d"
)
"""What the house may say of an address that it refuses; what is posted is not sent on to it."""


@dataclass
class World:
    """The Internet with one server in it, and the canary: on the same port, so that a name may turn from one to the
    other."""

    folder: Path
    net: Net = field(default_factory=lambda: Net(private=False))
    pages: dict[str, bytes] = field(default_factory=dict)
    """What the public server answers at a path."""
    canaries: list[Server] = field(default_factory=list)
    reached: list[str] = field(default_factory=list)
    """The addresses to which this process began a connection."""
    asked: Counter[str] = field(default_factory=Counter)
    """How often which name was looked up."""

    @property
    def port(self) -> int:
        return self.canaries[0].port

    @cached_property
    def app(self) -> App:
        """A house that reads a feed and a list of feeds, mails what is in them, and is told of bounces."""
        file = self.folder / "config.yaml"
        file.write_text(CONFIG.format(port=self.port, topic=TOPIC))
        return App(load(file, {}))

    @property
    def seen(self) -> int:
        """How many connections the canary saw."""
        return sum(canary.connections for canary in self.canaries)

    def page(self, body: str, media_type: str = "text/html", *, host: str = "public.example", path: str = "/") -> str:
        """The address of a page that is put there."""
        self.pages[path] = ok(body.encode(), f"Content-Type: {media_type}; charset=utf-8")
        return f"http://{host}:{self.port}{path}"

    def redirect(self, address: str, status: int = 302, host: str = "public.example") -> str:
        """An address that leads to another one."""
        path = f"/go/{len(self.pages)}"
        head = f"HTTP/1.1 {status} Moved\r\nContent-Length: 0\r\nLocation: {address}\r\n\r\n"
        self.pages[path] = head.encode()
        return f"http://{host}:{self.port}{path}"

    def answer(self, connection: socket.socket, request: bytes) -> None:
        path = request.split(b" ")[1].decode()
        connection.sendall(self.pages.get(path) or ok(b"nothing", status="404 Not Found"))
        raise ConnectionError  # so that a name is looked up anew for each request

    def look_up(self, host: str, port: int, *_: object, **options: int) -> list[object]:
        name = host.lower().removesuffix(".")
        answers = NAMES.get(name, [[host]])
        addresses = answers[min(self.asked[name], len(answers) - 1)]
        self.asked[name] += 1
        options |= {"flags": socket.AI_NUMERICHOST}
        return [found for address in addresses for found in _getaddrinfo(address, port, **options)]


_getaddrinfo, _connect, _is_global = socket.getaddrinfo, socket.socket.connect, sockets.is_global


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World(tmp_path)

    def connect(self: socket.socket, address: tuple[str, int]) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            world.reached.append(address[0])
        _connect(self, address)

    def is_global(address: IPv4Address | IPv6Address) -> bool:
        return str(address) == PUBLIC or _is_global(address)

    monkeypatch.setattr(net, "tls_context", cache(net.tls_context))  # commands make it anew each time
    monkeypatch.setattr(sockets, "is_global", is_global)
    monkeypatch.setattr(socket, "getaddrinfo", world.look_up)
    monkeypatch.setattr(socket.socket, "connect", connect)
    with ExitStack() as stack:
        world.canaries.append(stack.enter_context(serving(closing(ok(b"inside")))))
        stack.enter_context(serving(world.answer, PUBLIC, port=world.port))
        with suppress(OSError):  # there are machines without IPv6
            world.canaries.append(stack.enter_context(serving(closing(ok(b"inside")), "::1", port=world.port)))
        yield world
        if "app" in vars(world):
            world.app.close()
        world.net.close()


def addresses(world: World) -> Iterator[tuple[str, bool]]:
    """All ways of writing an address to which nobody may be led, and whether that is one without a doubt."""
    plain = [f"http://{host}:{{port}}/" for host in HOSTS]
    for form in (*plain, *FORMS, *ODD):
        address = form.format(port=world.port)
        yield address, form not in ODD
        yield world.redirect(address), form not in ODD
    inside = f"http://127.0.0.1:{world.port}/"
    for status in (301, 303, 307, 308):
        yield world.redirect(inside, status), True
    yield world.redirect(world.redirect(inside)), True
    yield world.redirect(f"http://rebound.example:{world.port}/", host="rebound.example"), True


# --- the doors -------------------------------------------------------------------------------------------------------


def told(visit: Callable[[], object]) -> str:
    """What the house says of a visit."""
    try:
        found = visit()
    except (PublisherError, ValueError) as error:
        return str(error)
    return " ".join(getattr(found, "notes", ()))


def visit_feed(world: World, url: str, known: Cursor | None = None, **options: Any) -> str:
    return told(lambda: Feed(url=url, **options).fetch(known, world.net))


def visit_page(world: World, url: str, **options: Any) -> str:
    return told(lambda: Page(url=url, **options).fetch(None, world.net))


def follow(world: World, url: str) -> str:
    """What is said of the feed that a list names."""
    world.page(feeds(url), XML, path="/planet")
    for _ in "list", "feed":
        done = [world.app.do(work) for work in world.app.by_hand("collect", ["planet"])]
    return str(done[-1])


def ask_hub(world: World, url: str) -> str:
    """What is said of the hub that a feed names."""
    link = f"<link xmlns='http://www.w3.org/2005/Atom' rel='hub' href={quoteattr(url)}/>"
    world.page(rss().replace("<description/>", link), XML, path="/feed")
    [visit] = world.app.by_hand("collect", ["blog"])
    world.app.do(visit)
    done = [world.app.do(work) for work in world.app.due("hubs")]
    with world.app.store.write() as tx:
        for row in tx.hubs.all():
            tx.hubs.remove(row.name)
    return str(done)


def look(world: World, url: str) -> str:
    """What a reader gets to see who asks for a picture that an entry names."""
    proof, name = world.app.images.address(url).split("/")[-2:]
    return str(world.app.images.picture(proof, name))


def post(world: World, url: str) -> str:
    receipts: list[Receipt] = []
    error = told(lambda: receipts.extend(Webhook(url=url).send([make_parcel()], world.net)))
    return error or receipts[0].detail


def report(world: World, certificate: str) -> str:
    """Somebody says that they are Amazon."""
    said = {"Type": "Notification", "TopicArn": TOPIC, "SigningCertURL": certificate}
    way = world.app.settings.bounces.part("ses")
    assert way
    return told(lambda: world.app.reported(way.options, {}, json.dumps(said).encode()))


def try_out(world: World, url: str, *, private: bool = False, full_text: bool = False) -> str:
    return told(lambda: try_source(url, world.folder / "config.yaml", private=private, full_text=full_text))


def begin(world: World, site: str) -> str:
    folder = world.folder / f"house {len(list(world.folder.iterdir()))}"
    return told(lambda: initialise(folder, site, private=False))


def rss(link: str = "http://public.example/1", head: str = "", title: str = "One", text: str = "A teaser") -> str:
    told = f"<link>{escape(link)}</link><description>{text}</description><pubDate>{format_datetime(NOW)}</pubDate>"
    item = f"<item><title>{title}</title><guid>1</guid>{told}</item>"
    return f"{head}<rss version='2.0'><channel><title>Blog</title><link/><description/>{item}</channel></rss>"


def entities(url: str) -> str:
    """A feed that has the one who reads it ask elsewhere, three times (XML 1.0 sections 2.8 and 4.2.2)."""
    address = quoteattr(url)
    inner = f"<!ENTITY a SYSTEM {address}><!ENTITY % b SYSTEM {address}>%b;"
    return rss(head=f"<?xml version='1.0'?><!DOCTYPE rss SYSTEM {address} [{inner}]>", title="One &a;")


def listing(link: str = "/1", head: str = "") -> str:
    links = [link, *(f"/posts/{number}" for number in range(5))]
    items = [f"<li><h2><a href={quoteattr(href)}>The story number {n}</a></h2>" for n, href in enumerate(links)]
    return f"<html><head><title>News</title>{head}</head><body><ul>{''.join(items)}</ul></body></html>"


def index(link: str) -> str:
    place = "http://www.sitemaps.org/schemas/sitemap/0.9"
    return f"<sitemapindex xmlns='{place}'><sitemap><loc>{escape(link)}</loc></sitemap></sitemapindex>"


def feeds(url: str) -> str:
    return f"<opml version='2.0'><head/><body><outline text='One' xmlUrl={quoteattr(url)}/></body></opml>"


def following(url: str) -> str:
    return listing(head=f"<link rel=next href={quoteattr(url)}>")


def naming(url: str) -> str:
    """A page that names its feed."""
    return listing(head=f"<link rel=alternate type='application/rss+xml' href={quoteattr(url)}>")


XML = "application/xml"
NOW = datetime.now(UTC)
SELECT = Selectors(item="li", link="a@href", title="h2")


@dataclass(frozen=True)
class Door:
    """Where an address may be written."""

    name: str
    knock: Callable[[World, str], str]
    """Writes it there and has the house come by; returns what that says of it."""
    says: bool = True
    """It tells of an address that it refuses.  Where that is one of several to try, it may be passed over."""


DOORS = (
    Door("a feed", visit_feed),
    Door("where a feed has moved to", lambda w, url: visit_feed(w, w.page(rss(), XML), {"url": url}), says=False),
    Door("an entity of a feed", lambda w, url: visit_feed(w, w.page(entities(url), XML)), says=False),
    Door("an article of a feed", lambda w, url: visit_feed(w, w.page(rss(url), XML), full_text=True)),
    Door("a page", visit_page),
    Door("the page with what is older", lambda w, url: visit_page(w, w.page(following(url))), says=False),
    Door("a sitemap of an index", lambda w, url: visit_page(w, w.page(index(url), XML))),
    Door("an article of a page", lambda w, url: visit_page(w, w.page(listing(url)), select=SELECT, full_text=True)),
    Door("a list of feeds", lambda w, url: told(lambda: Opml(url=url).fetch(None, w.net))),
    Door("a feed of a list", follow),
    Door("a hub of a feed", ask_hub),
    Door("a picture of an entry", look, says=False),
    Door("a webhook", post),
    Door("a provider's certificate", report),
    Door("source test", try_out),
    Door("source test, of a page", lambda w, url: try_out(w, w.page(naming(url))), says=False),
    Door("source test, an article", lambda w, url: try_out(w, w.page(rss(url), XML), full_text=True)),
    Door("init", begin),
    Door("init, without http://", lambda w, url: begin(w, url.strip().removeprefix("http://")), says=False),
    Door("init, of a page", lambda w, url: begin(w, w.page(naming(url))), says=False),
)


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_no_spelling_of_an_address_leads_inside_and_each_that_is_refused_is_told(world: World, door: Door) -> None:
    for address, plain in addresses(world):
        said = door.knock(world, address)
        assert (set(world.reached) - {PUBLIC}, world.seen) == (set(), 0), f"{address}: {said}"
        assert TOLD.search(said) or not (door.says and plain), f"{address}: {said}"
        world.reached.clear()
        world.asked.clear()
    time.sleep(0.1)  # for whom the canary has not counted yet
    assert world.seen == 0


PRIVATE = (
    Door("an article of a feed", lambda w, url: visit_feed(w, w.page(rss(url), XML), full_text=True)),
    Door("a sitemap of an index", lambda w, url: visit_page(w, w.page(index(url), XML))),
    Door("an article of a page", lambda w, url: visit_page(w, w.page(listing(url)), select=SELECT, full_text=True)),
    Door("source test, an article", lambda w, url: try_out(w, w.page(rss(url), XML), private=True, full_text=True)),
)


@pytest.mark.parametrize("door", PRIVATE, ids=lambda door: door.name)
def test_what_a_private_source_names_at_another_host_may_not_be_private(world: World, door: Door) -> None:
    """What may be fetched from inside is what the operator named, and not what stands there."""
    world.net = world.net.bound(private=True)
    for host in HOSTS:
        said = door.knock(world, f"http://{host}:{world.port}/")
        assert (set(world.reached), world.seen) == ({PUBLIC}, 0), host
        assert TOLD.search(said), f"{host}: {said}"
        world.reached.clear()


def test_the_canary_sees_whoever_is_let_in(world: World) -> None:
    """Else nothing would be shown."""
    world.net = world.net.bound(private=True)
    hosts = [host for host in LOOPBACK if not host.startswith("[") or len(world.canaries) == 2]
    for host in hosts:
        visit_feed(world, f"http://{host}:{world.port}/")
    wait_for(lambda: world.seen == len(hosts))


def test_who_answers_for_amazon_from_inside_is_not_asked(world: World) -> None:
    """Who can make names lead where they like could have any address fetched that has the path of a certificate."""
    said = report(world, f"https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-{'0a' * 16}.pem")
    assert "is at 127.0.0.1, which is not a public address" in said
    assert (world.reached, world.seen) == ([], 0)


def test_the_name_of_a_list_that_turns_inwards_leads_to_no_older_page(world: World) -> None:
    url = world.page(following("/older"), host="rebound.example")
    assert "rebound.example is at 127.0.0.1, which is not a public address" in visit_page(world, url)
    assert (world.reached, world.seen) == ([PUBLIC], 0)


def test_an_older_page_that_leads_inside_is_told(world: World) -> None:
    inside = world.redirect(f"http://127.0.0.1:{world.port}/")
    assert "is at 127.0.0.1, which is not a public address" in visit_page(world, world.page(following(inside)))
    assert (set(world.reached), world.seen) == ({PUBLIC}, 0)


def test_no_mailbox_is_read_where_only_we_can_reach_it(world: World) -> None:
    for host in HOSTS:
        url = f"imap://user:secret@{host}:{world.port}/INBOX"
        said = told(lambda url=url: Mail(url=url).fetch(None, world.net))
        assert TOLD.search(said) or said.startswith("url: "), f"{host}: {said}"
        assert (world.reached, world.seen) == ([], 0)


LOADED = """<link rel=stylesheet href="{0}a"><style>@import url("{0}b"); p {{ background: url("{0}c") }}</style>
<base href="{0}"><img src="{0}d" srcset="{0}e 2x"><video src="{0}f" poster="{0}g"></video><iframe src="{0}h"></iframe>
<script src="{0}i"></script><object data="{0}j"></object><embed src="{0}k"><svg><image href="{0}l"/></svg>
<p style="background: url({0}m)">Text</p><meta http-equiv=refresh content="0; url={0}n">
<table background="{0}o"><tr><td>1</table>"""


def test_what_the_text_of_an_entry_names_is_fetched_by_nobody_on_its_way_into_feeds_and_mails(
    world: World,
) -> None:
    texts = "".join(LOADED.format(f"http://{host}:{world.port}/") for host in HOSTS)
    world.page(feeds(world.page(rss(text=escape(texts)), XML, path="/feed")), XML, path="/planet")
    assert all(report.well for report in world.app.once(lambda _: None, lambda *_: None))
    assert list(world.folder.glob("feeds/news/atom.xml"))
    [mail] = world.folder.glob("outbox/*.eml")
    assert "ada@example.org" in mail.read_text()
    time.sleep(0.1)
    assert (set(world.reached), world.seen) == ({PUBLIC}, 0)
