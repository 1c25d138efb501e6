"""Read the feeds that are written as usual: what feedparser makes of them, in less time.

``read`` gives of an RSS, RDF or Atom feed what ``_syndicated`` looks at, in feedparser's own words, or says that the
feed is not for it: ill-formed, with a document type, with XHTML in it, or with anything else of which it is not sure
what feedparser would make.  It is a list of what is surely understood and not of what is not, so whatever nobody
thought of is left to feedparser.  Where a rule below looks odd, it is feedparser's.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import urljoin
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from feedparser.api import StrictFeedParser
from feedparser.datetimes import _parse_date
from feedparser.urls import make_safe_absolute_uri
from feedparser.util import FeedParserDict


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NAMESPACES: dict[str, str] = {uri.lower(): prefix for uri, prefix in StrictFeedParser.namespaces.items()}
_XML = "{http://www.w3.org/XML/1998/namespace}"
_TYPES = {
    **dict.fromkeys(("text", "plain", "text/plain"), "text/plain"),
    **dict.fromkeys(("html", "text/html"), "text/html"),
}
_PAGES = ("html", "xhtml", "text/html", "application/xhtml+xml")
_MISTAKEN = re.compile("[\x80-\x9f]")
"""What feedparser takes for Windows-1252."""
_REFERENCE = re.compile("&([A-Za-z0-9_]+);")
_SLASHES = re.compile("^([A-Za-z][A-Za-z0-9+-.]*://)/*")
_TAG_OR_REFERENCE = re.compile(r"</\w|&#?\w+;")
_MAILBOX = re.compile(
    r"([a-zA-Z0-9_\-.+]+@(?:\[[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.|(?:[a-zA-Z0-9\-]+\.)+)(?:[a-zA-Z]{2,4}|[0-9]{1,3})"
    r"\]?)(?:\?subject=\S+)?"
)
_LOOKED_AT = _words(
    "authors content created created_parsed feedburner_origlink guidislink id image itunes_title language link links "
    "media_content media_thumbnail podcast_image published published_parsed summary summary_detail tags title "
    "title_detail updated updated_parsed"
)
_OF_NO_MATTER = _words(
    "admin_errorreportsto admin_generatoragent cc_license cloud copyright creativecommons_license dc_publisher "
    "dc_rights expirationdate generator itunes_block itunes_explicit itunes_subtitle media_credit media_license "
    "media_player media_rating media_restriction rights subtitle tagline webmaster"
)
"""What feedparser has a rule for, which touches nothing that is looked at, if no element is inside."""
_PERSON = _words("email homepage itunes_email itunes_name name uri url")
_PICTURE = _words("description height href link title url width")
_INPUT = _words("description link name title")
_WHAT_FEEDS_TELL = _words("itunes_category rdf_li rdf_seq")
_LINKS_OF_CDF = _words("href lastmod")
_PARTS_OF_AUTHORS = {
    **dict.fromkeys(("name", "itunes_name"), "name"),
    **dict.fromkeys(("email", "itunes_email"), "email"),
    **dict.fromkeys(("homepage", "uri", "url"), "href"),
}
_ORIGIN = _words("category generator icon id link logo published rights subtitle title updated")
_DEEPEST = 20
_MOST = 1000
"""Tags of an entry, and characters of a name: beyond it, what is done with them would take far too long."""


class Read(NamedTuple):
    """What was read, under the names that feedparser has for it."""

    version: str
    feed: dict[str, Any]
    entries: list[dict[str, Any]]
    bozo: bool = False


class _NotMine(Exception):
    """Nobody has thought of that here."""


class _Scope(NamedTuple):
    """What an element has from those around it."""

    language: str | None
    base: str


def read(text: str, url: str) -> Read | None:
    """What feedparser would make of a feed; None where feedparser is to be asked.

    Args:
        text: the document.
        url: where it came from.
    """
    if "<!DOCTYPE" in text or not url.startswith("http") or urljoin(url, url) != url:
        return None
    try:
        # No document type, so no entities of the document's own.
        parsing = ElementTree.iterparse(io.StringIO(text), ["start-ns"])  # noqa: S314  (see above)
        declared = dict.fromkeys(event[1] for event in parsing)
        return _Reader(list(declared)).read(parsing.root, url)  # type: ignore[attr-defined]  # there when all was read
    except (ElementTree.ParseError, _NotMine, RecursionError):
        return None


class _Reader:
    """Reads one feed.

    Args:
        declared: the prefixes of name spaces, and what they stand for.

    Raises:
        _NotMine: they stand for different things in different places.
    """

    def __init__(self, declared: list[tuple[str, str]]) -> None:
        self._prefixes = {uri: prefix for prefix, uri in declared}
        self._standard = {
            prefix: _NAMESPACES[uri.lower()] for prefix, uri in declared if prefix and uri.lower() in _NAMESPACES
        }
        others = [uri for _, uri in declared if uri.lower() not in _NAMESPACES]
        if len({prefix for prefix, _ in declared}) < len(declared) or len(set(others)) < len(others):
            raise _NotMine
        self._keys: dict[str, str] = {}
        self._entries: list[dict[str, Any]] = []
        self._is_atom = False
        # What feedparser takes along from one element to the next.
        self._has_content = False
        self._has_title = False
        self._has_source = False

    def read(self, root: Element, url: str) -> Read:
        kind, outside, feed = self._key(root.tag), _Scope(None, url), dict[str, Any]()
        version = self._version(root, kind)
        self._is_atom = version == "atom"
        scope = self._inside(root, outside)
        if scope.language and kind != "rdf_rdf":
            feed["language"] = scope.language.replace("_", "-")
        for part in [root] if self._is_atom else root:
            self._read_part(part, feed, outside if self._is_atom else scope)
        return Read(version, feed, self._entries)

    def _version(self, root: Element, kind: str) -> str:
        spaces = {uri.lower() for uri in self._prefixes}
        is_rdf, is_atom = "http://purl.org/rss/1.0/" in spaces, "http://www.w3.org/2005/atom" in spaces
        if kind == "rss" and [self._key(part.tag) for part in root] == ["channel"]:
            return "rss"
        if kind == "feed" and not is_rdf:
            return "atom"
        if kind == "rdf_rdf" and is_rdf and not is_atom:
            return "rdf"
        raise _NotMine

    def _read_part(self, part: Element, feed: dict[str, Any], outside: _Scope) -> None:
        """A channel; or what stands beside it in RDF."""
        key, scope = self._key(part.tag), self._inside(part, outside)
        if key in ("channel", "feed"):
            if _LINKS_OF_CDF & _attributes(part).keys():
                raise _NotMine
            for element in part:
                self._read(element, _RULES_OF_FEEDS, feed, scope)
        elif key in ("item", "image", "textinput"):
            _RULES_OF_FEEDS[key](self, part, key, feed, scope)
        else:
            raise _NotMine

    def _read(self, element: Element, rules: Mapping[str, _Rule], context: dict[str, Any], outside: _Scope) -> None:
        key = self._key(element.tag)
        if rule := rules.get(key):
            rule(self, element, key, context, self._inside(element, outside))
        else:
            self._ignore(element, key)

    # --- names ---

    def _key(self, tag: str) -> str:
        """Under which name feedparser knows an element: its standard prefix, or the document's, and its own name."""
        key = self._keys.get(tag)
        if key is None:
            uri, _, name = tag.removeprefix("{").rpartition("}")
            folded = uri.lower()
            if "backend.userland.com/rss" in folded:
                folded = "http://backend.userland.com/rss"
            prefix = _NAMESPACES.get(folded) or ("" if folded in _NAMESPACES else self._prefixes[uri])
            prefix = self._standard.get(prefix.lower(), prefix.lower())
            key = self._keys[tag] = f"{prefix}_{name.lower()}" if prefix else name.lower()
        return key

    def _inside(self, element: Element, outside: _Scope) -> _Scope:
        """What an element has for those inside it, and for its own text."""
        if not element.attrib:
            return outside
        told = {name.lower(): value for name, value in element.attrib.items()}
        language = told.get(f"{_XML}lang".lower(), told.get("lang", outside.language)) or None
        base = told.get(f"{_XML}base".lower(), told.get("base"))
        if not base:
            return outside._replace(language=language)
        base = make_safe_absolute_uri(outside.base, base) or outside.base
        if urljoin(base, base) != base:
            raise _NotMine
        return _Scope(language, base)

    # --- the feed ---

    def _read_title_of_feed(self, element: Element, key: str, feed: dict[str, Any], scope: _Scope) -> None:
        if "title_detail" in feed:
            raise _NotMine
        feed["title_detail"] = self._construct(element, "text/plain", scope)

    def _read_link_of_feed(self, element: Element, key: str, feed: dict[str, Any], scope: _Scope) -> None:
        _read_link(element, feed, scope, of_feed=True)

    def _read_summary_of_feed(self, element: Element, key: str, feed: dict[str, Any], scope: _Scope) -> None:
        """Nothing is made of it, but with a second one the first entry would be read differently."""
        if "summary" in feed:
            raise _NotMine
        value = self._construct(element, "text/plain", scope)["value"]
        if key in ("summary", "itunes_summary"):
            feed["summary"] = value

    def _read_picture_of_feed(self, element: Element, key: str, feed: dict[str, Any], scope: _Scope) -> None:
        self._pass_over(element, _PICTURE)

    def _read_input(self, element: Element, key: str, feed: dict[str, Any], scope: _Scope) -> None:
        self._pass_over(element, _INPUT)

    def _read_owner(self, element: Element, key: str, feed: dict[str, Any], scope: _Scope) -> None:
        if self._is_atom:
            raise _NotMine  # feedparser makes an author of it
        self._pass_over(element, _PERSON)

    def _read_about_feed(self, element: Element, key: str, feed: dict[str, Any], scope: _Scope) -> None:
        self._pass_over(element, _WHAT_FEEDS_TELL)

    # --- an entry ---

    def _read_entry(self, element: Element, key: str, feed: dict[str, Any], scope: _Scope) -> None:
        if _LINKS_OF_CDF & _attributes(element).keys():
            raise _NotMine
        about = element.get("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}about")
        entry: dict[str, Any] = {"id": about} if about else {}
        self._has_title = self._has_source = False
        for part in element:
            self._read(part, _RULES, entry, scope)
        self._has_content = False
        self._entries.append(entry)

    def _read_title(self, element: Element, key: str, entry: dict[str, Any], scope: _Scope) -> None:
        """The first one counts; what Media RSS calls the title does until then."""
        detail = self._construct(element, "text/plain", scope)
        if key == "media_title" and self._has_source:
            raise _NotMine
        if not self._has_title:
            entry["title_detail"] = detail
            self._has_title = bool(detail["value"]) and key != "media_title"

    def _read_summary(self, element: Element, key: str, entry: dict[str, Any], scope: _Scope) -> None:
        """The second one is the content, if there was none before."""
        if "summary" in entry and not self._has_content:
            self._read_content(element, "content", entry, scope)
        else:
            plain = key in ("summary", "itunes_summary")
            detail = self._construct(element, "text/plain" if plain else "text/html", scope)
            entry |= {"summary": detail["value"], "summary_detail": detail}

    def _read_content(self, element: Element, key: str, entry: dict[str, Any], scope: _Scope) -> None:
        self._has_content = True
        detail = self._construct(element, "text/plain" if key == "content" else "text/html", scope)
        source = _attributes(element).get("src")
        if source and key == "content":
            detail["src"] = source
        entry.setdefault("content", []).append(detail)
        entry.setdefault("summary", detail["value"])

    def _construct(self, element: Element, usual: str, scope: _Scope) -> dict[str, Any]:
        """A text with what is told of it."""
        told = _attributes(element)
        kind = _TYPES.get(told.get("type", usual))
        if kind is None or "mode" in told:
            raise _NotMine
        value = _said(element)
        if kind == "text/plain" and not self._is_atom and _looks_like_html(value):
            kind = "text/html"
        language = scope.language and scope.language.replace("_", "-")
        return {"type": kind, "language": language, "base": scope.base, "value": value}

    def _read_id(self, element: Element, key: str, entry: dict[str, Any], scope: _Scope) -> None:
        is_link = _attributes(element).get("ispermalink", "true") == "true"
        entry["id"] = _said(element)
        entry.setdefault("guidislink", is_link and "link" not in entry)
        if is_link:
            entry.setdefault("link", entry["id"])

    def _read_link(self, element: Element, key: str, entry: dict[str, Any], scope: _Scope) -> None:
        _read_link(element, entry, scope, of_feed=False)

    def _read_enclosure(self, element: Element, key: str, entry: dict[str, Any], scope: _Scope) -> None:
        _leaf(element)
        entry.setdefault("links", []).append(_with_href(_attributes(element)) | {"rel": "enclosure"})

    def _read_date(self, element: Element, key: str, entry: dict[str, Any], scope: _Scope) -> None:
        name, text = _DATES[key], _said(element)
        entry |= {name: text, f"{name}_parsed": _parse_date(text)}

    def _read_category(self, element: Element, key: str, entry: dict[str, Any], scope: _Scope) -> None:
        told, tags = _attributes(element), entry.setdefault("tags", [])
        if key == "itunes_category":
            term, rest = told.get("text"), {"scheme": "http://www.itunes.com/", "label": None}
        else:
            usual = "http://search.yahoo.com/mrss/category_schema" if key == "media_category" else None
            scheme = told.get("scheme", usual or told.get("domain"))
            term, rest = told.get("term"), {"scheme": scheme, "label": told.get("label")}
        _add_tag(tags, {"term": term, **rest})
        if text := _said(element):
            if tags and not tags[-1]["term"]:
                tags[-1]["term"] = text
            else:
                _add_tag(tags, {"term": text, "scheme": None, "label": None})

    def _read_keywords(self, element: Element, key: str, entry: dict[str, Any], scope: _Scope) -> None:
        if element.attrib:
            raise _NotMine
        scheme = "http://www.itunes.com/" if key == "itunes_keywords" else None
        for word in filter(None, map(str.strip, _said(element).split(","))):
            _add_tag(entry.setdefault("tags", []), {"term": word, "scheme": scheme, "label": None})

    def _read_author(self, element: Element, key: str, context: dict[str, Any], scope: _Scope) -> None:
        authors = context.setdefault("authors", [])
        authors.append({})
        for part in element:
            inner = self._key(part.tag)
            if name := _PARTS_OF_AUTHORS.get(inner):
                value = _address(part, self._inside(part, scope).base) if name == "href" else _said(part)
                _sync_author(context)  # before the value is there, so one who begins without a name gets the last one's
                authors[-1][name] = value
                _sync_author(context)
            elif (part.text or "").strip():
                raise _NotMine
            else:
                self._ignore(part, inner)
        if len(element) and ((element.text or "").strip() or any((part.tail or "").strip() for part in element)):
            raise _NotMine
        context["author"] = "" if len(element) else _said(element)
        _sync_author(context)

    def _read_media(self, element: Element, key: str, entry: dict[str, Any], scope: _Scope) -> None:
        """A group, or one of its files, which may hold titles and pictures of its own."""
        if key == "media_content":
            entry.setdefault(key, []).append(_attributes(element))
        for part in element:
            self._read(part, _RULES_OF_MEDIA, entry, scope)

    def _read_thumbnail(self, element: Element, key: str, entry: dict[str, Any], scope: _Scope) -> None:
        if _said(element):
            raise _NotMine
        entry.setdefault(key, []).append(_attributes(element))

    def _read_picture(self, element: Element, key: str, entry: dict[str, Any], scope: _Scope) -> None:
        _leaf(element)
        told = _attributes(element)
        if address := told.get("href") or told.get("url"):
            entry["image"] = {"href": address}

    def _read_language(self, element: Element, key: str, entry: dict[str, Any], scope: _Scope) -> None:
        entry["language"] = _said(element)

    def _read_other(self, element: Element, key: str, entry: dict[str, Any], scope: _Scope) -> None:
        """What feedparser has no rule for: its attributes, or where it has none, its text."""
        text = _said(element)
        entry[key] = _attributes(element) if element.attrib else text

    def _read_source(self, element: Element, key: str, entry: dict[str, Any], scope: _Scope) -> None:
        """Where the entry was taken from; the next title, if there is one, counts again."""
        self._has_title, self._has_source = False, True
        for part in element:
            inner = self._key(part.tag)
            if inner in ("author", "contributor"):
                self._pass_over(part, _PERSON)
            elif inner in _ORIGIN:
                _leaf(part)
            else:
                self._ignore(part, inner)

    def _read_contributor(self, element: Element, key: str, entry: dict[str, Any], scope: _Scope) -> None:
        self._pass_over(element, _PERSON)

    # --- what is not looked at ---

    def _pass_over(self, element: Element, inside: frozenset[str]) -> None:
        """An element that holds nothing but these and what touches nothing."""
        for part in element:
            key = self._key(part.tag)
            if key in inside:
                self._pass_over(part, inside)
            elif "_" in key:
                self._ignore(part, key)
            else:
                raise _NotMine

    def _ignore(self, element: Element, key: str, depth: int = 0) -> None:
        """See that an element touches nothing that is looked at."""
        if key in _OF_NO_MATTER:
            _leaf(element)
        elif _matters(key) or depth > _DEEPEST:
            raise _NotMine
        for part in element:
            self._ignore(part, self._key(part.tag), depth + 1)


_Rule = Callable[[_Reader, Element, str, dict[str, Any], _Scope], None]

_AUTHORS = _words("author dc_author dc_creator itunes_author managingeditor")
_SUMMARIES = _words("dc_description description itunes_summary media_description summary")
_DATES = {
    **dict.fromkeys(("published", "issued", "pubdate", "dcterms_issued"), "published"),
    **dict.fromkeys(("updated", "modified", "lastbuilddate", "dc_date", "dcterms_modified"), "updated"),
    **dict.fromkeys(("created", "dcterms_created"), "created"),
}
_RULES: Mapping[str, _Rule] = {
    **dict.fromkeys(("title", "dc_title", "media_title"), _Reader._read_title),
    **dict.fromkeys(_SUMMARIES, _Reader._read_summary),
    **dict.fromkeys(("content", "content_encoded"), _Reader._read_content),
    **dict.fromkeys(("id", "guid"), _Reader._read_id),
    "link": _Reader._read_link,
    "enclosure": _Reader._read_enclosure,
    **dict.fromkeys(_DATES, _Reader._read_date),
    **dict.fromkeys(
        ("category", "keywords", "dc_subject", "itunes_category", "media_category"), _Reader._read_category
    ),
    **dict.fromkeys(("itunes_keywords", "media_keywords"), _Reader._read_keywords),
    **dict.fromkeys(_AUTHORS, _Reader._read_author),
    **dict.fromkeys(("media_group", "media_content"), _Reader._read_media),
    "media_thumbnail": _Reader._read_thumbnail,
    "itunes_image": _Reader._read_picture,
    **dict.fromkeys(("language", "dc_language"), _Reader._read_language),
    **dict.fromkeys(("itunes_title", "feedburner_origlink", "podcast_image"), _Reader._read_other),
    "source": _Reader._read_source,
    **dict.fromkeys(("contributor", "dc_contributor"), _Reader._read_contributor),
}
_RULES_OF_MEDIA = {key: rule for key, rule in _RULES.items() if key.startswith("media_")}
_RULES_OF_FEEDS: Mapping[str, _Rule] = {
    **dict.fromkeys(("item", "entry"), _Reader._read_entry),
    **dict.fromkeys(("title", "dc_title"), _Reader._read_title_of_feed),
    "link": _Reader._read_link_of_feed,
    **dict.fromkeys(_SUMMARIES, _Reader._read_summary_of_feed),
    **dict.fromkeys(("id", "guid"), _Reader._read_id),
    **dict.fromkeys(("language", "dc_language"), _Reader._read_language),
    **dict.fromkeys(_AUTHORS, _Reader._read_author),
    **dict.fromkeys(_DATES, _Reader._read_date),
    "image": _Reader._read_picture_of_feed,
    "textinput": _Reader._read_input,
    "itunes_owner": _Reader._read_owner,
    **dict.fromkeys(
        ("category", "dc_subject", "itunes_category", "itunes_image", "itunes_keywords", "items", "keywords"),
        _Reader._read_about_feed,
    ),
}


def _matters(key: str) -> bool:
    """Whether feedparser has a rule for it, or would keep it under a name that is looked at."""
    has_rule = hasattr(StrictFeedParser, f"_start_{key}") or hasattr(StrictFeedParser, f"_end_{key}")
    return has_rule or key in _LOOKED_AT or key in FeedParserDict.keymap


def _attributes(element: Element) -> dict[str, str]:
    """Those that have no name space, the names in lower case."""
    if not element.attrib:
        return {}
    told = {name.lower(): value for name, value in element.attrib.items() if name[0] != "{"}
    for name in ("rel", "type"):
        if name in told:
            told[name] = told[name].lower()
    return told


def _leaf(element: Element) -> None:
    if len(element):
        raise _NotMine


def _said(element: Element) -> str:
    """The text of an element that has nothing else in it."""
    _leaf(element)
    return _fixed((element.text or "").strip())


def _fixed(text: str) -> str:
    """UTF-8 that was taken for Latin-1 and encoded again is read as what it was."""
    if text.isascii():
        return text
    with suppress(UnicodeError):
        text = text.encode("latin-1").decode()
    if _MISTAKEN.search(text):
        raise _NotMine
    return text


def _joined(base: str, address: str) -> str:
    try:
        return urljoin(base, _SLASHES.sub(r"\1", address))
    except ValueError:
        return ""


def _address(element: Element, base: str) -> str:
    """The address that is the text of an element."""
    _leaf(element)
    text = (element.text or "").strip()
    return _fixed(_joined(base, text) if text else "")


def _read_link(element: Element, context: dict[str, Any], scope: _Scope, *, of_feed: bool) -> None:
    _leaf(element)
    told = {"rel": "alternate"} | _attributes(element)
    told.setdefault("type", "application/atom+xml" if told["rel"] == "self" else "text/html")
    told = _with_href(told)
    links = context.setdefault("links", [])
    links.append(told)
    if "href" in told:
        told["href"] = _joined(scope.base, told["href"])
        if told["rel"] == "alternate" and told["type"] in _PAGES:
            context["link"] = told["href"]
        return
    address = _address(element, scope.base)
    address = _REFERENCE.sub(r"&\1", address if of_feed else address.replace("&amp;", "&"))
    context["link"] = address
    if address or of_feed:
        told["href"] = address


def _with_href(told: dict[str, str]) -> dict[str, str]:
    """An address, whatever its attribute is called."""
    if address := told.get("url", told.get("uri", told.get("href"))):
        return {name: value for name, value in told.items() if name not in ("url", "uri")} | {"href": address}
    return told


def _add_tag(tags: list[dict[str, str | None]], tag: dict[str, str | None]) -> None:
    if len(tags) > _MOST:
        raise _NotMine
    if any(tag.values()) and tag not in tags:
        tags.append(tag)


def _sync_author(context: dict[str, Any]) -> None:
    """What the last author is called, from name and address; or both, from ``ada@example.org (Ada)``."""
    detail, text = context["authors"][-1], context.get("author", "")
    if detail:
        name, email = detail.get("name"), detail.get("email")
        if name or email:
            context["author"] = f"{name} ({email})" if name and email else name or email
    elif len(text) > _MOST:
        raise _NotMine
    elif text:
        found = _MAILBOX.search(text)
        if found:
            for piece in (found[0], "()", "<>", "&lt;&gt;"):
                text = text.replace(piece, "")
            text = text.strip().removeprefix("(").removesuffix(")").strip()
        detail |= {"name": text} if text else {}
        detail |= {"email": found[0]} if found else {}


def _looks_like_html(text: str) -> bool:
    return bool(_TAG_OR_REFERENCE.search(text)) and bool(StrictFeedParser.looks_like_html(text))
