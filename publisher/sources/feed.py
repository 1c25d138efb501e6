"""A feed: RSS 0.9x to 2.0, RDF, Atom, JSON Feed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import Field

from publisher.confine import confined
from publisher.errors import BadStatus, SourceError
from publisher.model import Author, Cursor, Enclosure, Harvest, Item
from publisher.net import Answer, Net
from publisher.options import WebAddress

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

    def fetch(self, cursor: Cursor | None, net: Net) -> Harvest:
        """Visit the feed.

        The cursor holds ``url`` (where it moved to), ``etag``, ``modified``, ``digest`` (of the body) and ``items``
        (their number).  It comes from bodies that were read to their end only, so that a broken answer never hides what
        is in the next one.

        Raises:
            NetError: no answer to work with.
            SourceError: the answer is no feed, or not a whole one, or holds nothing where there was something.
        """
        known = dict(cursor or {})
        try:
            answer = self._ask(known, net)
        except BadStatus as error:
            if error.status == 410:
                return Harvest(gone=True, cursor=known)
            raise
        if answer.status == 304:
            return Harvest(unchanged=True, cursor=known | _moved(answer))
        cursor = known | _cursor(answer)
        if cursor["digest"] == known.get("digest"):
            return Harvest(unchanged=True, cursor=cursor)
        harvest = _harvest(_read(answer), cursor)
        if not harvest.items and known.get("items", "0") != "0":
            raise SourceError(
                f"{urlsplit(answer.url).netloc} sent a feed without entries, where there were {known['items']}",
                hint="if it is meant to be empty, remove the source",
            )
        return harvest

    def _ask(self, known: Cursor, net: Net) -> Answer:
        return net.get(
            known.get("url", self.url),
            headers={"Accept": _ACCEPTED},
            etag=known.get("etag", ""),
            modified=known.get("modified", ""),
        )


def _cursor(answer: Answer) -> dict[str, str]:
    digest = hashlib.sha256(answer.body).hexdigest()
    return _moved(answer) | {"etag": answer.etag, "modified": answer.modified, "digest": digest}


def _moved(answer: Answer) -> dict[str, str]:
    return {"url": answer.moved_to} if answer.moved_to else {}


def _read(answer: Answer) -> dict[str, Any]:
    try:
        found: dict[str, Any] = confined("publisher.sources._syndicated:parse", answer.body, answer.charset, answer.url)
    except SourceError as error:
        raise SourceError(f"{urlsplit(answer.url).netloc} {error}", hint=error.hint) from error
    return found


def _harvest(found: Mapping[str, Any], cursor: Cursor) -> Harvest:
    return Harvest(
        items=tuple(map(_item, found["items"])),
        cursor={**cursor, "items": str(len(found["items"]))},
        title=found["title"],
        link=found["link"],
        notes=tuple(found["notes"]),
    )


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
