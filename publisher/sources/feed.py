"""A feed: RSS 0.9x to 2.0, RDF, Atom, JSON Feed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import Field

from publisher.confine import confined
from publisher.errors import SourceError
from publisher.html import absolute
from publisher.model import Author, Cursor, Enclosure, Harvest, Hub, Item
from publisher.net import Answer, Net
from publisher.options import WebAddress
from publisher.sources._fulltext import FullText, with_texts
from publisher.sources._manners import KEY, freshness, hints
from publisher.sources._visit import Found, visit
from publisher.websub import linked

_CPU = timedelta(seconds=4.5)
"""A feed of a megabyte takes one; no feed shall hold up the others for more than five."""
_HUBS, _LONGEST_ADDRESS = 5, 2000
_PARSE = "publisher.sources._syndicated:parse"
_ACCEPTED = (
    "application/atom+xml, application/rss+xml, application/rdf+xml, application/feed+json, "
    "application/xml;q=0.9, text/xml;q=0.9, application/json;q=0.8, */*;q=0.5"
)


@dataclass(frozen=True, kw_only=True)
class Feed:
    """An RSS, Atom or JSON feed, as blogs and news sites have it."""

    kind: ClassVar[str] = "feed"

    url: Annotated[
        WebAddress,
        Field(
            description="The address of the feed. Where it has moved for good, the new one is remembered.",
            examples=["https://blog.example.org/feed.xml"],
        ),
    ]
    full_text: FullText = False

    def fetch(self, cursor: Cursor | None, net: Net) -> Harvest:
        """Visit the feed.

        The cursor is that of ``visit`` and of ``with_texts``, ``items`` (their number), ``hints`` (what the feed asks
        for) and ``hub`` (who pushes it).  It comes from bodies that were read to their end only, so that a broken
        answer never hides what is in the next one.

        Raises:
            NetError: no answer to work with.
            SourceError: the answer is no feed, or not a whole one, or holds nothing where there was something.
        """
        known = cursor or {}
        found = visit(self.url, known, net, {"Accept": _ACCEPTED})
        if isinstance(found, Harvest):
            return replace(found, hints=hints(known, found.hints), hub=_remembered(known))
        harvest = _harvest(_read(found.answer), found)
        if not harvest.items and known.get("items", "0") != "0":
            raise SourceError(
                f"{urlsplit(found.answer.url).netloc} sent a feed without entries, where there were {known['items']}",
                hint="if it is meant to be empty, remove the source",
            )
        return with_texts(harvest, known, net, found.answer.url) if self.full_text else harvest

    def read_pushed(self, pushed: Answer) -> Harvest | None:
        """What a hub pushed: the feed, or the part of it that is new; None where only a visit brings all of an entry.

        Raises:
            SourceError: it is no feed, or not a whole one.
        """
        return None if self.full_text else _harvest(_read(pushed), Found(pushed, {}))


def _read(answer: Answer) -> dict[str, Any]:
    try:
        found: dict[str, Any] = confined(_PARSE, answer.body, answer.charset, answer.url, cpu=_CPU)
    except SourceError as error:
        raise SourceError(f"{urlsplit(answer.url).netloc} {error}", hint=error.hint) from error
    return found


def _harvest(read: Mapping[str, Any], found: Found) -> Harvest:
    hub = _hub(read, found.answer)
    cursor = {
        **found.cursor,
        "items": str(len(read["items"])),
        KEY: json.dumps(read["hints"]),
        "hub": json.dumps([hub.topic, *hub.urls]) if hub else "",
    }
    return Harvest(
        items=tuple(map(_item, read["items"])),
        cursor=cursor,
        title=read["title"],
        link=read["link"],
        notes=tuple(read["notes"]),
        hints=hints(cursor, freshness(found.answer)),
        certificate=found.answer.certificate,
        hub=hub,
    )


def _hub(found: Mapping[str, Any], answer: Answer) -> Hub | None:
    """Who pushes it: as the headers tell, else as the feed itself does (WebSub section 4)."""
    header = answer.headers.get("Link", "")
    hubs, topics = _addresses(linked(header, "hub"), answer), _addresses(linked(header, "self"), answer)
    if not hubs:
        hubs, topics = _addresses(found["hubs"], answer), [*_addresses([found["self"]], answer), *topics]
    # Some name a hub and forget themselves: then it is known by the address at which it was found.
    return Hub(topic=[*topics, *_addresses([found["self"]], answer), answer.url][0], urls=tuple(hubs)) if hubs else None


def _remembered(known: Cursor) -> Hub | None:
    """What it said of its hubs when it was read."""
    topic, *urls = json.loads(known.get("hub") or '[""]')
    return Hub(topic=topic, urls=tuple(urls)) if urls else None


def _addresses(found: Sequence[str], answer: Answer) -> list[str]:
    """Those that are addresses of the web, absolute, and of sane length."""
    made = (absolute(address, answer.url) for address in found[:_HUBS] if address)
    return [address for address in made if address.startswith("http") and len(address) <= _LONGEST_ADDRESS]


def _item(raw: Mapping[str, Any]) -> Item:
    return Item(
        **{
            **raw,
            "authors": tuple(Author(**author) for author in raw["authors"]),
            "tags": tuple(raw["tags"]),
            "enclosures": tuple(Enclosure(**enclosure) for enclosure in raw["enclosures"]),
            "published": _moment(raw["published"]),
            "updated": _moment(raw["updated"]),
        }
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


KIND = Feed
