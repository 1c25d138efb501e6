"""What a page tells of its articles as data, beside its text (JSON-LD, schema.org)."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from publisher.model import Item
from publisher.sources._dates import read_date
from publisher.sources._outline import Outline, without_fragment, word_set

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser

_ARTICLES = word_set("Article NewsArticle BlogPosting Report SocialMediaPosting TechArticle ListItem WebPage Event")
_MOST_RECORDS = 5_000


def told_as_data(tree: LexborHTMLParser, outline: Outline) -> Iterator[Item]:
    """The articles that the page's JSON-LD tells of (schema.org ItemList, BlogPosting…), in the order of the page."""
    blocks = (script.text() for script in tree.css('script[type="application/ld+json"]'))
    return (_told(outline, record) for record in _records(list(filter(None, map(_parsed, blocks)))))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _records(data: list[Any]) -> Iterator[Mapping[str, Any]]:
    """The objects that are articles, in the order in which they are written."""
    pending = data[::-1]
    for _ in range(_MOST_RECORDS):
        if not pending:
            return
        value = pending.pop()
        if isinstance(value, list):
            pending += value[::-1]
        elif isinstance(value, dict) and "BreadcrumbList" not in _types(value):
            if _ARTICLES & _types(value) and _text(value, "headline", "name"):
                yield value
            pending += [inner for inner in reversed(value.values()) if isinstance(inner, dict | list)]


def _types(record: Mapping[str, Any]) -> set[str]:
    kinds = record.get("@type")
    return {kind for kind in (kinds if isinstance(kinds, list) else [kinds]) if isinstance(kind, str)}


def _text(record: Mapping[str, Any], *names: str) -> str:
    """The first of these properties that is text, or an object with an address, or a list of such."""
    for name in names:
        value = record.get(name)
        if isinstance(value, list):
            value = value[0] if value else ""
        if isinstance(value, dict):
            value = value.get("url") or value.get("@id")
        if isinstance(value, str) and value.strip():
            return " ".join(html.unescape(value).split())
    return ""


def _told(outline: Outline, record: Mapping[str, Any]) -> Item:
    return Item(
        title=_text(record, "headline", "name"),
        link=without_fragment(outline.absolute(_text(record, "url", "mainEntityOfPage", "@id"))),
        summary=html.escape(_text(record, "description", "abstract"), quote=False),
        image=outline.absolute(_text(record, "image", "thumbnailUrl")),
        published=read_date(_text(record, "datePublished", "dateCreated")),
    )
