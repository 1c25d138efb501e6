"""Read sitemaps that tell of news (sitemaps.org/protocol.html, and Google's extension for news): XML in, items out.

``read`` runs in a confined child.
"""

from __future__ import annotations

import html
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from xml.etree import ElementTree

from publisher.errors import SourceError
from publisher.html import absolute
from publisher.model import Item
from publisher.sources._dates import read_date
from publisher.sources._listing import Listing

ELEMENTS = {"title": "news:title", "link": "loc", "date": "news:publication_date", "image": "image:loc"}
"""What each part of an item is taken from."""
_MOST_ITEMS = 1000
"""As many as a sitemap of news may hold."""
_MOST_MAPS = 5
_LARGEST = 20_000_000
"""Bytes, decompressed."""
_GZIP = b"\x1f\x8b"
_AGAIN = "it is read again at the next visit"
_NAME_NEWS = "name the sitemap of news (robots.txt may name it), or the page that lists the news"
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def unpacked(body: bytes, url: str) -> bytes:
    """The document: sitemaps are often files of gzip, which HTTP knows nothing about.

    Raises:
        SourceError: it is broken, or too large.
    """
    if not body.startswith(_GZIP):
        return body
    reader = zlib.decompressobj(31)
    try:
        text = reader.decompress(body, _LARGEST)
    except zlib.error as error:
        raise SourceError(f"{url}: a broken gzip file: {error}", hint=_AGAIN) from error
    if reader.unconsumed_tail:
        raise SourceError(f"{url}: more than {_LARGEST // 1_000_000} MB when it is unpacked", hint=_NAME_NEWS)
    if not reader.eof:
        raise SourceError(f"{url}: a gzip file that breaks off before its end", hint=_AGAIN)
    return text


def is_sitemap(text: str) -> bool:
    """Whether a document is a sitemap, or an index of sitemaps."""
    return "<urlset" in text[:2000] or "<sitemapindex" in text[:2000]


def find(text: str, url: str) -> Listing:
    """The news that a sitemap tells of, newest first, or the sitemaps that an index names, those of news first.

    Args:
        text: the document.
        url: where it was found.

    Raises:
        SourceError: it is broken, or tells of no news: of other pages a sitemap knows nothing but the address.
    """
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 (in a confined child, which a bomb would end)
    except (ElementTree.ParseError, ValueError) as error:
        raise SourceError(f"{url}: a broken sitemap: {error}", hint=_AGAIN) from error
    if _name(root) == "sitemapindex":
        return Listing("", (), maps=tuple(_maps(root, url)[:_MOST_MAPS]), way="an index of sitemaps")
    items = [item for entry in root if _name(entry) == "url" for item in _items(entry, url)]
    if not items:
        raise SourceError(
            f"{url}: a sitemap that tells of no news, only of addresses",
            hint=_NAME_NEWS,
        )
    items.sort(key=lambda item: item.published or _LONG_AGO, reverse=True)
    return Listing("", tuple(items[:_MOST_ITEMS]), way="a sitemap of news")


def _maps(root: ElementTree.Element, url: str) -> list[str]:
    """The addresses of the sitemaps: those named for news, those that changed last."""
    maps = [(address, _text(entry, "lastmod")) for entry in root if (address := _address(entry, url, "loc"))]
    maps.sort(key=lambda entry: ("news" in entry[0].lower(), read_date(entry[1]) or _LONG_AGO), reverse=True)
    named = [address for address, _ in maps if "news" in address.lower()]
    return named or [address for address, _ in maps]


def _items(entry: ElementTree.Element, url: str) -> Iterator[Item]:
    """The article of an entry; none where it has no title."""
    link, title = _address(entry, url, "loc"), _text(entry, "news", "title")
    if link and title:
        keywords = _text(entry, "news", "keywords") or _text(entry, "news", "genres")
        yield Item(
            link=link,
            title=html.unescape(title),
            image=_address(entry, url, "image", "loc"),
            tags=tuple(filter(None, (word.strip() for word in keywords.split(",")))),
            published=read_date(_text(entry, "news", "publication_date")),
            updated=read_date(_text(entry, "lastmod")),
            language=_text(entry, "news", "publication", "language"),
        )


def _name(element: ElementTree.Element) -> str:
    """Its name, whatever its name space: many sitemaps write a wrong one."""
    return element.tag.rpartition("}")[2]


def _text(element: ElementTree.Element, *path: str) -> str:
    """The text of the first element that is reached by these names, on one line; empty where there is none."""
    for name in path:
        found = next((child for child in element if _name(child) == name), None)
        if found is None:
            return ""
        element = found
    return " ".join((element.text or "").split())


def _address(element: ElementTree.Element, url: str, *path: str) -> str:
    found = _text(element, *path)
    return absolute(found, url) if found else ""
