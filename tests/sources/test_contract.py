"""What every kind of source keeps to; the suite runs for each kind that is found."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from imap import ImapServer
from outside import Clock, Post, Response, WebSite, rss

from publisher.errors import PublisherError
from publisher.model import Harvest
from publisher.net import Net
from publisher.sources import Source, kinds


@dataclass
class World:
    """A source of one kind, and the hands that change what it sees."""

    source: Source
    show: Callable[[int], None]
    """Let there be so many entries."""
    ruin: Callable[[], None]
    """Let there be nothing that can be read."""
    repeats: bool = True
    """Each visit brings all that is there, and not only what came since the last one."""


def feed(web_site: WebSite, folder: Path, clock: Clock) -> World:
    posts = [Post(f"n{number}", clock() - timedelta(days=number)) for number in range(9)]

    def show(count: int) -> None:
        web_site.pages["/feed"] = rss(web_site.url, posts[-count:])

    def ruin() -> None:
        web_site.pages["/feed"] = Response(b"<html>Oops</html>", headers={"Content-Type": "text/html"})

    return World(kinds()["feed"](url=f"{web_site.url}/feed"), show, ruin)  # type: ignore[call-arg]  # a kind's own option


def page(web_site: WebSite, folder: Path, clock: Clock) -> World:
    words = "was opened this week by the mayor, who praised all those who had built it for so long"

    def show(count: int) -> None:
        rows = "".join(f"<h3>Bridge {n}</h3><p>Bridge {n} {words}.</p><a href='/{n}'>More</a>" for n in range(count))
        body = f"<html><title>Town</title><body><main>{rows}</main></body></html>"
        web_site.pages["/news"] = Response(body.encode(), headers={"Content-Type": "text/html"})

    def ruin() -> None:
        web_site.pages["/news"] = Response(b"<form><input type=password></form>", headers={"Content-Type": "text/html"})

    return World(kinds()["page"](url=f"{web_site.url}/news"), show, ruin)  # type: ignore[call-arg]  # a kind's own option


def folder(web_site: WebSite, folder: Path, clock: Clock) -> World:
    def show(count: int) -> None:
        (folder / "notes").mkdir(exist_ok=True)
        for number in range(count):
            (folder / f"notes/{number}.md").write_text(f"# Note {number}\n\nText.")

    def ruin() -> None:
        for file in (folder / "notes").iterdir():
            file.unlink()
        (folder / "notes").rmdir()

    return World(kinds()["folder"](path=folder / "notes"), show, ruin)  # type: ignore[call-arg]  # a kind's own option


def mail(web_site: WebSite, folder: Path, clock: Clock) -> World:
    server = ImapServer()

    def show(count: int) -> None:
        server.is_shut = False
        for number in range(len(server.messages), count):
            server.add(f"From: a@example.org\nSubject: Tip {number}\nMessage-ID: <{number}@tips>\n\nText.\n".encode())

    def ruin() -> None:
        server.is_shut = True

    return World(kinds()["mail"](url=server.url), show, ruin, repeats=False)  # type: ignore[call-arg]  # a kind's own option


def opml(web_site: WebSite, folder: Path, clock: Clock) -> World:
    def show(count: int) -> None:
        lines = "".join(f'<outline text="Blog {n}" xmlUrl="https://{n}.example.org/feed"/>' for n in range(count))
        web_site.pages["/list"] = Response(f"<opml><body>{lines}</body></opml>".encode())

    def ruin() -> None:
        web_site.pages["/list"] = Response(b"<html>Oops</html>", headers={"Content-Type": "text/html"})

    return World(kinds()["opml"](url=f"{web_site.url}/list"), show, ruin)  # type: ignore[call-arg]  # a kind's own option


WORLDS: dict[str, Any] = {"feed": feed, "page": page, "folder": folder, "mail": mail, "opml": opml}


PUSHED = sorted(name for name, kind in kinds().items() if getattr(kind, "pushed", False))


@pytest.fixture(params=sorted(set(kinds()).difference(PUSHED)))
def world(request: pytest.FixtureRequest, web_site: WebSite, tmp_path: Path, clock: Clock) -> World:
    assert request.param in WORLDS, f"the kind {request.param!r} has no world here yet: write one"
    made: World = WORLDS[request.param](web_site, tmp_path, clock)
    made.show(4)
    return made


@pytest.fixture
def net() -> Iterator[Net]:
    net = Net(private=True)
    yield net
    net.close()


def names(harvest: Harvest) -> set[str]:
    return {item.guid or item.link for item in harvest.items} | {feed.url for feed in harvest.feeds or ()}


def known(world: World, first: Harvest, second: Harvest) -> set[str]:
    """What is known after two visits."""
    return names(second) if world.repeats else names(first) | names(second)


def test_a_first_visit_brings_what_is_there_each_with_a_name_and_a_title(world: World, net: Net) -> None:
    harvest = world.source.fetch(None, net)
    brought = harvest.feeds or harvest.items
    assert len(names(harvest)) == len(brought) == 4
    assert all(one.title for one in brought)
    assert not harvest.unchanged
    assert not harvest.gone


def test_the_cursor_can_be_stored(world: World, net: Net) -> None:
    cursor = world.source.fetch(None, net).cursor
    assert json.loads(json.dumps(dict(cursor))) == cursor
    assert all(isinstance(value, str) for value in cursor.values())


def test_nothing_changed_is_told_as_such_again_and_again(world: World, net: Net) -> None:
    cursor = world.source.fetch(None, net).cursor
    for _ in range(3):
        harvest = world.source.fetch(cursor, net)
        assert (harvest.unchanged, harvest.items) == (True, ())
        cursor = harvest.cursor


def test_without_a_cursor_the_same_is_brought_again(world: World, net: Net) -> None:
    assert world.source.fetch(None, net).items == world.source.fetch(None, net).items


def test_what_is_new_comes_beside_what_was_there_under_the_same_names(world: World, net: Net) -> None:
    first = world.source.fetch(None, net)
    world.show(6)
    second = world.source.fetch(first.cursor, net)
    assert names(first) < known(world, first, second)
    assert len(known(world, first, second)) == 6


def test_what_cannot_be_read_is_an_error_with_a_hint_and_hides_nothing(world: World, net: Net) -> None:
    first = world.source.fetch(None, net)
    world.ruin()
    for cursor in (None, first.cursor):
        with pytest.raises(PublisherError) as caught:
            world.source.fetch(cursor, net)
        assert str(caught.value)
        assert caught.value.hint
    world.show(5)
    assert len(known(world, first, world.source.fetch(first.cursor, net))) == 5


@pytest.mark.parametrize("kind", PUSHED)
def test_a_visit_where_entries_are_pushed_brings_nothing_and_changes_nothing(kind: str, net: Net) -> None:
    source: Source = kinds()[kind]()
    assert source.fetch(None, net) == Harvest(unchanged=True)
    assert source.fetch({"a": "b"}, net) == Harvest(unchanged=True, cursor={"a": "b"})
