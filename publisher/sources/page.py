"""Web pages that have no feed: the articles that a page lists become items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar

from pydantic import Field

from publisher.charset import decoded
from publisher.confine import confined
from publisher.errors import SourceError
from publisher.model import Cursor, Harvest, Item
from publisher.net import Answer, Net
from publisher.options import WebAddress
from publisher.sources._fulltext import FullText, with_texts
from publisher.sources._listing import Selectors, find
from publisher.sources._visit import visit

_CPU = timedelta(seconds=4)
"""A page of a megabyte takes less than a second; nested elements cost an HTML parser their number squared."""
_FEED_TYPES = ("application/rss+xml", "application/atom+xml", "application/feed+json")
_PAGE_TYPES = ("", "text/html", "application/xhtml+xml", "application/xml", "text/xml", "text/plain")


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page that lists articles: the news of a town, the archive of a paper."""

    kind: ClassVar[str] = "page"

    url: Annotated[WebAddress, Field(description="The page.", examples=["https://council.example.org/news"])]
    select: Annotated[
        Selectors | None,
        Field(
            description="What an item of the list is, and its parts; found by itself when left out.",
            examples=[{"item": "article.news", "title": "h2", "link": "h2 a@href", "date": "time@datetime"}],
        ),
    ] = None
    full_text: FullText = False

    def fetch(self, cursor: Cursor | None, net: Net) -> Harvest:
        """Visit the page.

        Raises:
            NetError: no answer to work with.
            SourceError: the answer is no page, or lists nothing.
        """
        known = cursor or {}
        visited = visit(self.url, known, net)
        if isinstance(visited, Harvest):
            return visited
        answer, cursor = visited
        _refuse_other_types(answer)
        select = self.select.given() if self.select else None
        found = confined(f"{__name__}:read", answer.body, answer.charset, answer.url, select, cpu=_CPU)
        items = tuple(_item(fields) for fields in found["items"])
        harvest = Harvest(items=items, cursor=cursor, title=found["title"], link=answer.url)
        return with_texts(harvest, known, net, answer.url) if self.full_text else harvest


KIND = Page


def read(body: bytes, charset: str, url: str, select: Mapping[str, str] | None) -> dict[str, Any]:
    """What a page lists, as JSON can say it; runs in a process of its own.

    Args:
        body: the page.
        charset: what HTTP says it is written in; may be empty.
        url: where it was found.
        select: selectors by name; None to find the list.

    Raises:
        SourceError: it lists nothing.
    """
    listing = find(decoded(body, charset), url, Selectors(**select) if select else None)
    return {"title": listing.title, "items": [_fields(item) for item in listing.items]}


def _refuse_other_types(answer: Answer) -> None:
    if answer.media_type in _FEED_TYPES:
        raise SourceError(f"{answer.url}: this is a feed, not a page", hint="write `kind: feed`")
    if answer.media_type not in _PAGE_TYPES:
        raise SourceError(
            f"{answer.url}: {answer.media_type} is not a web page", hint="name the page that lists the news"
        )


def _fields(item: Item) -> dict[str, str]:
    return {
        "link": item.link,
        "title": item.title,
        "summary": item.summary,
        "image": item.image,
        "published": item.published.isoformat() if item.published else "",
    }


def _item(fields: Mapping[str, str]) -> Item:
    return Item(
        link=fields["link"],
        title=fields["title"],
        summary=fields["summary"],
        image=fields["image"],
        published=datetime.fromisoformat(fields["published"]) if fields["published"] else None,
    )
