"""Read RSS 0.9x to 2.0, RDF, Atom 0.3 and 1.0, and JSON Feed.

``parse`` runs in a confined child: a hostile feed of two megabytes can keep feedparser busy for minutes.  What it gives
is plain JSON.

What feed readers accept is accepted: wrong encodings, entities of HTML, control characters, items without title, link
or date.  What is no feed, and what was cut off on its way, is refused.
"""

from __future__ import annotations

import codecs
import json
import re
from calendar import timegm
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from html import escape, unescape
from mimetypes import guess_type
from time import struct_time
from typing import Any, NamedTuple

from publisher.errors import SourceError
from publisher.html import absolute, clean, is_picture, plain
from publisher.sources._dates import read_date
from publisher.sources._manners import asked

_MOST = 1000
"""Items of one harvest."""

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (b"<\0?\0", "utf-16-le"),
    (b"\0<\0?", "utf-16-be"),
)
_DECLARED = re.compile(rb"""<\?xml[^>]*?\sencoding\s*=\s*["']([\w.:-]+)""")
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_REFERENCE = re.compile(r"&#(?:x([0-9a-f]+)|([0-9]+));", re.IGNORECASE)
_AMPERSAND = re.compile(
    r"(<!\[CDATA\[(?>.*?(?:\]\]>|\Z))|<!--(?>.*?(?:-->|\Z)))|&(?!#\d+;|#x[0-9a-f]+;|[a-z]\w*;)",
    re.DOTALL | re.IGNORECASE,
)
"""One that begins no reference, such as that of ``?a=1&b=2``; or what may hold any number of them."""
_ROOT = re.compile(
    r"(?:\s++|<\?(?>.*?\?>)|<!--(?>.*?-->)|<!DOCTYPE(?>[^\[>]*+(?:\[.*?\]\s*+)?>))*+<([\w:.-]+)",
    re.DOTALL | re.IGNORECASE,
)
_FEED_ROOT = re.compile(r"<((?:\w+:)?(?:rss|feed|rdf))\b", re.IGNORECASE)
_WEB_PAGE = re.compile(r"<!doctype html|<html\b", re.IGNORECASE)
_PLAYED = ("audio/", "video/")
_MARKUP = frozenset(("text/html", "application/xhtml+xml"))
_JSON_FEED = re.compile(r"https?://(?:www\.)?jsonfeed\.org/version/")
_NO_FEED = "answered with {what}, not a feed"
_FIND = "give the address of a feed; publisher init --from finds it, and kind: page reads pages that have none"


def parse(body: bytes, charset: str, url: str) -> dict[str, Any]:
    """Read a feed.

    Args:
        body: the document.
        charset: what the server says its encoding is; empty when it does not.
        url: where it came from; relative references are resolved against it.

    Returns:
        ``title``, ``link``, ``notes`` and ``items``: the fields of Harvest and Item, dates in ISO 8601; ``hints``, what
        ``_manners.asked`` found; and where it says who pushes it (WebSub section 4) ``hubs``, and ``self``, its own
        address, empty where it does not tell.

    Raises:
        SourceError: it is no feed, or it is not whole; the message goes on after the name of the source.
    """
    text = _sound(_decoded(body, charset)).strip()
    if not text:
        raise SourceError("answered with nothing", hint="if it stays so, give another address")
    feed = _json(text, url) if text[0] in "{[" else _xml(text, url)
    items = [feed.read(raw) for raw in feed.items[:_MOST]]
    hints = asked(text) if text[0] == "<" else {}
    return {
        "title": feed.title,
        "link": feed.link,
        "items": items,
        "notes": _notes(len(feed.items)),
        "hints": hints,
        "hubs": [hub for hub in feed.hubs if hub],
        "self": feed.self,
    }


class _Feed(NamedTuple):
    """A feed of any format."""

    title: str
    link: str
    items: Sequence[Any]
    """As the format has them."""
    read: Callable[[Any], dict[str, Any]]
    """Makes the fields of one Item."""
    hubs: Sequence[str] = ()
    self: str = ""


def _notes(found: int) -> list[str]:
    return [f"{found - _MOST} of {found} items were left out: one visit takes {_MOST}"] if found > _MOST else []


def xml_text(body: bytes, charset: str) -> str:
    """The text of an XML document, whatever its labels say, and mended where hardly anybody writes it right."""
    return _escaped(_sound(_decoded(body, charset)).strip())


# --- characters ------------------------------------------------------------------------------------------------------


def _decoded(body: bytes, charset: str) -> str:
    """The text, whatever the labels say: what reads as UTF-8 is UTF-8, for hardly anything else does."""
    for encoding in _encodings(body, charset):
        try:
            return body.decode(encoding).lstrip("\ufeff")
        except (LookupError, ValueError):
            continue
    return body.decode("latin-1")


def _encodings(body: bytes, charset: str) -> Iterator[str]:
    yield from (encoding for mark, encoding in _BOMS if body.startswith(mark))
    if b"\x1b" not in body:  # ISO-2022 looks like ASCII, but for its escapes
        yield "utf-8"
    yield charset
    declared = _DECLARED.match(body)
    yield declared[1].decode() if declared else ""
    yield "windows-1252"


def _sound(text: str) -> str:
    """Without the characters and character references that XML 1.0 has no place for (section 2.2)."""
    return _REFERENCE.sub(_sound_reference, _NOT_IN_XML.sub("", text))


def _sound_reference(match: re.Match[str]) -> str:
    digits = match[1] or match[2]
    code = int(digits, 16 if match[1] else 10) if len(digits) < 10 else 0
    return match[0] if code in (9, 10, 13) or (0x20 <= code < 0x110000 and not _NOT_IN_XML.match(chr(code))) else ""


def _escaped(text: str) -> str:
    """With each ``&`` that begins no reference written as one."""
    return _AMPERSAND.sub(lambda match: match[1] or "&amp;", text)


# --- XML -------------------------------------------------------------------------------------------------------------


def _xml(text: str, url: str) -> _Feed:
    if _WEB_PAGE.match(text) or _root(text) == "html":
        raise SourceError(_NO_FEED.format(what="a web page"), hint=_FIND)
    found = _parsed(text, url)
    if not found.version and not found.entries:
        raise SourceError(_NO_FEED.format(what=_description(_root(text))), hint=_FIND)
    if found.bozo and _cut_off(text):
        raise SourceError("sent a feed that breaks off before its end", hint="it is read again at the next visit")
    feed = found.feed
    default = _authors(feed, url) if found.version.startswith("atom") else []  # RFC 4287 section 4.2.1
    return _Feed(
        _line(feed, "title"),
        # Of an ill-formed feed's `&amp;b`, feedparser makes `&ampb` here, and only here.
        _web(_text(feed, "link").replace("&amp", "&" if found.bozo else "&amp"), url),
        found.entries,
        lambda entry: _entry(entry, url, default, _text(feed, "language")),
        list(_linked(feed, "hub", url)),
        next(filter(None, _linked(feed, "self", url)), ""),
    )


def _linked(feed: Any, relation: str, url: str) -> Iterator[str]:
    """What a feed links to by a relation; in RSS with Atom's element for it."""
    links = (link for link in _list(feed, "links") if _text(link, "rel").strip().lower() == relation)
    return (_web(_text(link, "href"), url) for link in links)


def _parsed(text: str, url: str) -> Any:
    """What feedparser makes of it."""
    import feedparser

    # It would make identities absolute, and they would change when the feed's address does.
    feedparser.api.StrictFeedParser.can_be_relative_uri.discard("id")
    try:
        return feedparser.parse(
            _escaped(text).encode(),
            response_headers={"content-type": "application/xml; charset=utf-8", "content-location": url},
            sanitize_html=False,
            resolve_relative_uris=False,
        )
    except (LookupError, ValueError, TypeError, AttributeError, AssertionError, RecursionError) as error:
        # Some ill-formed feeds make it trip over itself, as one that opens a link within a link.
        raise SourceError(
            "sent a feed that is too broken to read", hint="it is read again at the next visit"
        ) from error


def _root(text: str) -> str:
    start = _ROOT.match(text)
    return start[1].lower() if start else ""


def _cut_off(text: str) -> bool:
    """Whether the end of the whole is missing: many feeds are ill-formed, few of them are not complete."""
    root = _FEED_ROOT.search(text)
    return root is not None and f"</{root[1]}" not in text


def _description(root: str) -> str:
    if root == "opml":
        return "a list of feeds (OPML, which kind: opml reads)"
    return f"XML (<{root[:50]}>)" if root else "text"


def _entry(entry: Any, url: str, authors: list[dict[str, str]], language: str) -> dict[str, Any]:
    """The fields of one Item, each read with care: where text belongs, feedparser may have nothing or attributes."""
    base = _base(entry, url)
    enclosures = list(_enclosures(entry, base))
    page = _page(entry, url)
    summary, content = _texts(entry, url if page else "", url)
    updated = _date(entry, "updated")
    return {
        "guid": _text(entry, "id"),
        "link": page or next(_urls(enclosures), ""),
        "title": _line(entry, "title") or _one_line(_text(entry, "itunes_title")),
        "summary": summary,
        "content": content,
        "authors": _authors(entry, url) or authors,
        "tags": _tags(_text(tag, "label") or _text(tag, "term") for tag in _list(entry, "tags")),
        "image": next(_images(entry, base), ""),
        "enclosures": enclosures,
        "published": _date(entry, "published") or _date(entry, "created") or updated,
        "updated": updated,
        "language": _language(entry) or language,
    }


def _base(entry: Any, url: str) -> str:
    """What its relative references refer to (xml:base), for those that feedparser leaves as they are."""
    details = (_attributes(entry, f"{name}_detail") for name in ("title", "summary"))
    told = next(filter(None, (_text(detail, "base") for detail in details)), "")
    return _based(url, told)


def _based(url: str, told: str) -> str:
    """The base that an element tells, where it tells one that is an address."""
    return url if told in ("", url) else absolute(told, url) or url


def _page(entry: Any, url: str) -> str:
    """The page of an entry: before FeedBurner counted its readers, as told, another form of it, where its text is.

    An identity that may stand for the link is one only if it is an address by itself.
    """
    own, identity = _text(entry, "link"), _text(entry, "id")
    others = (_text(link, "href") for link in _list(entry, "links") if _text(link, "rel") == "alternate")
    found = (
        _web(_text(entry, "feedburner_origlink"), url),
        _web(own, "" if own == identity else url),
        *(_web(other, url) for other in others),
        *(address for address, media_type in _elsewhere(entry, url) if media_type in _MARKUP),
        _web(identity, "") if dict.get(entry, "guidislink") is not False else "",
    )
    return next(filter(None, found), "")


def _elsewhere(entry: Any, url: str) -> Iterator[tuple[str, str]]:
    """Where the content is that an entry does not hold itself, and its media type (RFC 4287 section 4.1.3.2)."""
    for detail in _list(entry, "content"):
        if address := _web(_text(detail, "src"), _based(url, _text(detail, "base"))):
            yield address, _text(detail, "type")


def _texts(entry: Any, known: str, url: str) -> tuple[str, str]:
    """Teaser and whole text.

    When there are two the longer one is the whole, whatever its element: feedparser takes a second description, such
    as iTunes' or Media RSS's, for content.
    """
    summary = _html(_attributes(entry, "summary_detail"), known, url)
    content = max((_html(detail, known, url) for detail in _list(entry, "content")), key=len, default="")
    if summary == content:
        return "", content
    return (summary, content) if len(summary) < len(content) or not content else (content, summary)


def _html(detail: dict[str, Any], known: str, url: str) -> str:
    """A text construct as HTML; made absolute here when its base is not the one that is known to everyone."""
    text = _text(detail, "value")
    if _text(detail, "type") == "text/plain":
        return _paragraphs(text)
    if _text(detail, "type") not in _MARKUP:
        return ""
    if "<" not in text and "\n\n" in text:  # nobody who writes HTML parts paragraphs so
        return _paragraphs(unescape(text))
    base = _based(url, _text(detail, "base"))
    return str(text) if base == known else clean(text, base)


def _line(element: Any, name: str) -> str:
    detail = _attributes(element, f"{name}_detail")
    return plain(_text(detail, "value")) if _text(detail, "type") in _MARKUP else _one_line(_text(detail, "value"))


def _date(entry: Any, name: str) -> str | None:
    """ISO 8601.

    feedparser gives UTC, and takes what has no zone for it; it takes a Unix time for a year and a day, though.
    """
    text, parsed = _text(entry, name).strip(), dict.get(entry, f"{name}_parsed")
    found = read_date(text) if text.isdecimal() or not parsed else None
    return found.isoformat() if found else _utc(parsed)


def _utc(moment: struct_time | None) -> str | None:
    try:
        return datetime.fromtimestamp(timegm(moment), UTC).isoformat() if moment else None
    except (ValueError, OverflowError, OSError):
        return None


def _authors(element: Any, url: str) -> list[dict[str, str]]:
    return [
        {
            "name": _one_line(_text(author, "name")),
            "email": _text(author, "email"),
            "url": _web(_text(author, "href"), url),
        }
        for author in _list(element, "authors")
        if _text(author, "name") or _text(author, "email")
    ]


def _tags(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(filter(None, (_one_line(unescape(word)) for word in words))))


def _images(entry: Any, base: str) -> Iterator[str]:
    """Media RSS (the widest), the podcasts' name spaces, enclosures, content that is a picture: in that order."""
    media = sorted(filter(_is_image, _list(entry, "media_content")), key=_width, reverse=True)
    links = _list(entry, "links")
    found = (
        *(_text(item, "url") for item in (*media, *_list(entry, "media_thumbnail"))),
        _text(_attributes(entry, "image"), "href"),
        _text(_attributes(entry, "podcast_image"), "href"),
        *(_text(link, "href") for link in links if _is_enclosure(link) and _is_image(link)),
        *(address for address, media_type in _elsewhere(entry, base) if media_type.startswith("image/")),
    )
    return filter(is_picture, (_web(address, base) for address in found))


def _attributes(entry: Any, name: str) -> dict[str, Any]:
    """What is told of an element beside its text: a feed may have text there, or nothing."""
    value = dict.get(entry, name)
    return value if isinstance(value, dict) else {}


def _is_image(media: dict[str, Any]) -> bool:
    return _text(media, "medium") == "image" or _media_type(media).startswith("image/")


def _media_type(media: dict[str, Any]) -> str:
    """As told; else what its address ends like."""
    told = _text(media, "type")
    return told or guess_type(_text(media, "url").partition("?")[0])[0] or ""


def _width(media: dict[str, Any]) -> int:
    return _length(_text(media, "width"))


def _is_enclosure(link: dict[str, Any]) -> bool:
    return _text(link, "rel") == "enclosure"


def _enclosures(entry: Any, base: str) -> Iterator[dict[str, Any]]:
    """Files: those that are told as such, what Media RSS has to play, and content that is played."""
    links = filter(_is_enclosure, _list(entry, "links"))
    played = (media for media in _list(entry, "media_content") if _is_played(media))
    elsewhere = (item for item in _elsewhere(entry, base) if item[1].startswith(_PLAYED))
    files = (
        *((_text(link, "href"), _text(link, "type"), _text(link, "length")) for link in links),
        *((_text(media, "url"), _media_type(media), _text(media, "filesize")) for media in played),
        *((address, media_type, "") for address, media_type in elsewhere),
    )
    seen = {""}
    for href, media_type, length in files:
        address = _web(href, base)
        if address not in seen:
            # text/html is what feedparser takes a link without a type for.
            yield {"url": address, "media_type": media_type.replace("text/html", ""), "length": _length(length)}
        seen.add(address)


def _is_played(media: dict[str, Any]) -> bool:
    return _media_type(media).startswith(_PLAYED)


def _language(entry: Any) -> str:
    details = (
        *_list(entry, "content"),
        *(_attributes(entry, f"{name}_detail") for name in ("summary", "title")),
    )
    told = (_text(entry, "language"), *(_text(detail, "language") for detail in details))
    return next(filter(None, told), "")


# --- JSON Feed -------------------------------------------------------------------------------------------------------


def _json(text: str, url: str) -> _Feed:
    """JSON Feed 1.0 and 1.1 (jsonfeed.org)."""
    try:
        feed = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"sent JSON that is broken or breaks off: {error}") from error
    if not _is_json_feed(feed):
        raise SourceError("answered with JSON that is no JSON Feed", hint=_FIND)
    default = _json_authors(feed, url)
    return _Feed(
        _one_line(_text(feed, "title")),
        _web(_text(feed, "home_page_url"), url),
        [item for item in _list(feed, "items") if isinstance(item, dict)],
        lambda item: _json_item(item, url, default, _text(feed, "language")),
        [_web(_text(hub, "url"), url) for hub in _list(feed, "hubs") if _is_websub(hub)],
        _web(_text(feed, "feed_url"), url),
    )


def _is_websub(hub: Any) -> bool:
    """The other kind, rssCloud, pushes no entries."""
    return isinstance(hub, dict) and _text(hub, "type").lower() in ("websub", "pubsubhubbub")


def _is_json_feed(found: Any) -> bool:
    return isinstance(found, dict) and bool(_JSON_FEED.match(_text(found, "version"))) and "items" in found


def _json_item(item: dict[str, Any], url: str, authors: list[dict[str, str]], language: str) -> dict[str, Any]:
    enclosures = list(_attachments(item, url))
    addresses = (_text(item, name) for name in ("url", "external_url"))
    page = next(filter(None, (*(_web(address, url) for address in addresses), _web(_text(item, "id"), ""))), "")
    content = _text(item, "content_html")
    updated = _iso(item, "date_modified")
    pictures = (file for file in enclosures if file["media_type"].startswith("image/"))
    images = (_text(item, "image"), _text(item, "banner_image"), *_urls(pictures))
    return {
        "guid": _text(item, "id"),
        "link": page or next(_urls(enclosures), ""),
        "title": _one_line(_text(item, "title")),
        "summary": _paragraphs(_text(item, "summary")),
        "content": (content if page else clean(content, url)) or _paragraphs(_text(item, "content_text")),
        "authors": _json_authors(item, url) or authors,
        "tags": _tags(tag for tag in _list(item, "tags") if isinstance(tag, str)),
        "image": next(filter(None, (_web(image, url) for image in images)), ""),
        "enclosures": enclosures,
        "published": _iso(item, "date_published") or updated,
        "updated": updated,
        "language": _text(item, "language") or language,
    }


def _json_authors(element: dict[str, Any], url: str) -> list[dict[str, str]]:
    """The authors of version 1.1, the one author of 1.0."""
    authors = _list(element, "authors") or [element.get("author")]
    return [
        {"name": name, "email": "", "url": _web(_text(author, "url"), url)}
        for author in authors
        if isinstance(author, dict) and (name := _one_line(_text(author, "name")))
    ]


def _attachments(item: dict[str, Any], url: str) -> Iterator[dict[str, Any]]:
    for attachment in _list(item, "attachments"):
        address = _web(_text(attachment, "url"), url) if isinstance(attachment, dict) else ""
        if address:
            size = _length(_text(attachment, "size_in_bytes"))
            yield {"url": address, "media_type": _text(attachment, "mime_type"), "length": size}


def _urls(files: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    return (file["url"] for file in files)


def _iso(item: dict[str, Any], name: str) -> str | None:
    found = read_date(_text(item, name))
    return found.isoformat() if found else None


def _text(element: dict[str, Any], name: str) -> str:
    """Text or a number as text; empty for anything else, for a feed may say anything anywhere.

    ``dict.get``, for feedparser's own gives other fields for missing ones.
    """
    value = dict.get(element, name)
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def _list(element: dict[str, Any], name: str) -> list[Any]:
    value = dict.get(element, name)
    return value if isinstance(value, list) else []


# --- text ------------------------------------------------------------------------------------------------------------


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _paragraphs(text: str) -> str:
    """Plain text as HTML: an empty line parts paragraphs."""
    blocks = (map(_one_line, block.splitlines()) for block in re.split(r"\n\s*\n", text.strip()) if block)
    return "".join(f"<p>{'<br>'.join(escape(line, quote=False) for line in lines)}</p>" for lines in blocks)


def _web(url: str, base: str) -> str:
    """An http or https address; empty when there is none, for an empty reference would be the base itself."""
    found = absolute(url, base) if url.strip() else ""
    return found if found.startswith("http") else ""


def _length(text: str) -> int:
    """Bytes; 0 for what is no number of them."""
    return int(text) if re.fullmatch(r"[0-9]{1,15}", text.strip()) else 0
