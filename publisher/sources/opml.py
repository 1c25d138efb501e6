"""Lists of feeds: OPML, as feed readers export it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Annotated, Any, ClassVar, NamedTuple
from urllib.parse import urlsplit
from xml.etree import ElementTree

from pydantic import Field

from publisher.confine import confined
from publisher.errors import SourceError
from publisher.html import absolute
from publisher.model import Cursor, Harvest, Hints, Item, ListedFeed
from publisher.net import Net
from publisher.options import LocalPath, WebAddress
from publisher.sources import Trial
from publisher.sources._fulltext import FullText
from publisher.sources._manners import freshness
from publisher.sources._syndicated import xml_text
from publisher.sources._visit import visit
from publisher.sources.feed import Feed

_CPU = timedelta(seconds=4.5)
_LARGEST = 20_000_000
"""Bytes of a file: some hundred thousand feeds."""
_MOST = 100_000
"""Feeds of one list."""
_SHOWN = 5
"""As many of its lines that cannot be followed are named."""


@dataclass(frozen=True, kw_only=True)
class Opml:
    """A list of feeds (OPML), in a file or on the web; what is put on it or taken off it is followed."""

    kind: ClassVar[str] = "opml"
    awaited: ClassVar[bool] = False

    path: Annotated[LocalPath | None, Field(description="The file; or give a `url`.", examples=["planet.opml"])] = None
    url: Annotated[
        WebAddress | None,
        Field(
            description="Where the list is on the web; or give a `path`.", examples=["https://example.org/feeds.opml"]
        ),
    ] = None
    full_text: FullText = False

    def __post_init__(self) -> None:
        """Look whether it can be found.

        Raises:
            ValueError: it is nowhere, or in two places.
        """
        if (self.path is None) == (self.url is None):
            raise ValueError("needs either path (a file) or url (a list on the web)")

    def feed(self, url: str) -> Feed:
        """A feed of the list, ready to be visited."""
        return Feed(url=url, full_text=self.full_text)

    def fetch(self, cursor: Cursor | None, net: Net) -> Harvest:
        """Read the list.  The harvest has ``feeds`` and no items: each feed is visited for itself.

        The cursor is that of ``visit``, and ``feeds`` (their number).

        Raises:
            NetError: no answer to work with.
            SourceError: it is no list, or names no feed where it named some.
        """
        known = cursor or {}
        found = self._downloaded(known, net) if self.url else self._opened(known)
        if isinstance(found, Harvest):
            return found
        read = self._read(found)
        feeds = tuple(ListedFeed(**feed) for feed in read["feeds"])
        if not feeds and known.get("feeds", "0") != "0":
            raise SourceError(
                f"{self._place} names no feed any more, where it named {known['feeds']}",
                hint="if it is meant to be empty, remove the source",
            )
        cursor = {**found.cursor, "feeds": str(len(feeds))}
        return Harvest(feeds=feeds, cursor=cursor, title=read["title"], notes=tuple(read["notes"]), hints=found.hints)

    def explain(self, net: Net) -> Trial:
        """The feeds that it names.

        Raises:
            NetError: no answer to work with.
            SourceError: it is no list.
        """
        harvest = self.fetch(None, net)
        items = tuple(Item(title=feed.title, link=feed.url) for feed in harvest.feeds or ())
        return Trial(items=items, way="each is visited for itself", what="feeds", notes=harvest.notes)

    @property
    def _place(self) -> str:
        return urlsplit(self.url).netloc if self.url else str(self.path)

    def _downloaded(self, known: Cursor, net: Net) -> _List | Harvest:
        found = visit(self.url or "", known, net)
        if isinstance(found, Harvest):
            return found
        answer = found.answer
        return _List(answer.body, answer.charset, answer.url, found.cursor, freshness(answer))

    def _opened(self, known: Cursor) -> _List | Harvest:
        try:
            with self.path.open("rb") as file:  # type: ignore[union-attr]  # it has a path where it has no url
                body = file.read(_LARGEST + 1)
        except OSError as error:
            raise SourceError(
                f"{self.path}: cannot be read: {error.strerror}", hint="a relative path begins where config.yaml is"
            ) from error
        if len(body) > _LARGEST:
            raise SourceError(f"{self.path} has more than {_LARGEST} bytes", hint="part it into several lists")
        digest = sha256(body).hexdigest()
        if digest == known.get("digest"):
            return Harvest(unchanged=True, cursor=known)
        return _List(body, "", "", {"digest": digest}, Hints())

    def _read(self, found: _List) -> dict[str, Any]:
        try:
            read: dict[str, Any] = confined(f"{__name__}:parse", found.body, found.charset, found.base, cpu=_CPU)
        except SourceError as error:
            raise SourceError(f"{self._place} {error}", hint=error.hint) from error
        return read


KIND = Opml


class _List(NamedTuple):
    """A list that was not read yet."""

    body: bytes
    charset: str
    base: str
    """Its address; empty for a file."""
    cursor: dict[str, str]
    hints: Hints


def parse(body: bytes, charset: str, base: str) -> dict[str, Any]:
    """Read an OPML document (OPML 2.0; 1.0 and 1.1 are the same here), as JSON can say it; runs in a confined child.

    Every ``outline`` with an ``xmlUrl`` is a feed, however deep it lies; the same address twice is one.

    Args:
        body: the document.
        charset: what HTTP says it is written in; may be empty.
        base: where it was found; relative addresses are resolved against it.

    Returns:
        ``title``, ``feeds`` (the fields of ``ListedFeed``), ``notes``.

    Raises:
        SourceError: it is no such list; the message goes on after the name of the source.
    """
    try:
        root = ElementTree.fromstring(xml_text(body, charset))  # noqa: S314  # in a child, under limits
    except ElementTree.ParseError as error:
        raise SourceError(
            f"is no list of feeds (OPML): {error}", hint="export it anew from your feed reader"
        ) from error
    if root.tag.lower() != "opml":
        raise SourceError(f"is no list of feeds (OPML) but <{root.tag[:50]}>", hint="kind: feed reads a single feed")
    feeds, notes = dict[str, dict[str, str]](), list[str]()
    for text, title in _outlines(root):
        url = absolute(text, base) if base else text
        if urlsplit(url).scheme not in ("http", "https"):
            notes.append(f"{text[:100]!r} is no web address")
        elif len(feeds) < _MOST:
            feeds.setdefault(url, {"url": url, "title": title})
    more = [f"{len(notes) - _SHOWN} more like these"] if len(notes) > _SHOWN else []
    return {"title": _line(root.findtext("head/title")), "feeds": list(feeds.values()), "notes": notes[:_SHOWN] + more}


def _outlines(root: ElementTree.Element) -> Iterator[tuple[str, str]]:
    """Address and title of each feed, in the order of the list."""
    for outline in root.iter("outline"):
        told = {name.lower(): value for name, value in outline.items()}  # many write xmlurl
        if url := told.get("xmlurl", "").strip():
            yield url, _line(told.get("title") or told.get("text"))


def _line(text: str | None) -> str:
    return " ".join((text or "").split())[:500]
