"""How a site can be followed of which only the address is known: by its feed, else by what its page lists."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypedDict
from urllib.parse import urljoin, urlsplit

from publisher.charset import decoded
from publisher.confine import confined
from publisher.errors import NetError, PublisherError
from publisher.html import absolute
from publisher.model import Harvest, Item
from publisher.net import Answer, Net
from publisher.sources import Source, Trial, kinds, tried

_USUAL = ("feed", "feed/", "rss", "rss.xml", "atom.xml", "index.xml", "feed.xml", "feed.json")
_FEED_TYPES = frozenset({"application/rss+xml", "application/atom+xml", "application/feed+json"})
_MOST_NAMED = 8
"""Feeds that a page names and that are tried; some name one for each comment thread."""
_MOST_LINKED = 4
_MOST_LINKS = 2_000
_FEED_WORDS = frozenset({"rss", "atom", "feed", "feeds", "newsfeed"})
_BESIDE_THEM = frozenset(
    {"xml", "json", "news", "web", "our", "the", "a", "to", "as", "via", "by", "subscribe", "follow"}
    | {"abonnieren", "als", "per", "flux", "fil", "1", "2", "0"}
)
"""Words that a link to a feed may be made of beside those."""
_LINKED_PATH = re.compile(r"(\.(rss|atom|rdf)|[/=._-](rss|atom|feed)(\.(xml|php|json|aspx?))?/?)$", re.IGNORECASE)
_SAYS = {
    "named": "The page names this feed: {}",
    "linked": "The page links to this feed: {}",
    "usual": "The page names no feed; this one is at a usual address: {}",
    "broken": "The page names a feed that brings nothing ({}): this is what it lists.",
    "none": "The page names no feed, and none is at a usual address: this is what it lists.",
}
_COMMENTS = re.compile("comment|k[uo]mment|coment|comentá|reactie|yorum|коммент|評論|评论|コメント|댓글", re.IGNORECASE)
_PAGE = re.compile(rb"<!doctype\s+html|<html|<head|<body", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """A source that was found, and tried."""

    url: str
    """The site's page, after redirects."""
    title: str
    """What the page calls itself; what the feed calls itself where there is no page."""
    language: str
    """BCP 47 tag; empty when the page does not say."""
    kind: str
    """``feed`` or ``page``."""
    source: str
    """The source's address: what to write as its ``url``."""
    source_title: str
    items: tuple[Item, ...]
    """What a visit brings now; at least one."""
    told: str
    """How it was found: a sentence for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A source that was tried out, as it can be written down."""

    name: str
    """What to call it."""
    kind: str
    url: str
    """Empty where it is written down already: it may hold a secret, and nobody needs to be told."""
    trial: Trial


class _Head(TypedDict):
    """What a page says of itself."""

    title: str
    language: str
    feeds: list[str]
    linked: list[str]
    links: list[str]


def discover(url: str, net: Net) -> Discovery:
    """Find out how the site can be followed.

    Tried in this order: the address itself as a feed; the feeds that its page names (HTML Living Standard section
    4.6.7.1), those below the page first, those of comments last; those that it links to; the usual addresses; the list
    of articles on the page.

    Args:
        url: of a site, a page or a feed; ``https://`` may be left out.
        net: the way out.

    Raises:
        NetError: the address does not answer.
        PublisherError: it answers, and nothing there can be followed.
    """
    answer = _opened(url, net)
    if not _PAGE.search(answer.body[:4096]) and (harvest := _tried(answer.url, net)):
        page, told = harvest.link or answer.url, "The address is a feed."
        return _found("feed", page, answer.url, harvest, title=harvest.title, language="", told=told)
    head: _Head = confined(f"{__name__}:read_head", answer.body, answer.charset, answer.url)
    for address, way in _candidates(answer.url, head):
        harvest = _tried(address, net)
        if harvest and (way != "linked" or _is_of(answer.url, head, address, harvest)):
            title, told = head["title"] or harvest.title, _SAYS[way].format(address)
            return _found("feed", answer.url, address, harvest, title=title, language=head["language"], told=told)
    harvest, broken = _listed(answer.url, net), next(filter(None, head["feeds"]), "")
    told = _SAYS["broken" if broken else "none"].format(broken)
    return _found("page", answer.url, answer.url, harvest, title=head["title"], language=head["language"], told=told)


def try_site(url: str, net: Net) -> Tried:
    """Find out how a site can be followed, and what that brings.

    Raises:
        NetError: the address does not answer.
        PublisherError: it answers, and nothing there can be followed.
    """
    found = discover(url, net)
    kind: Callable[..., Source] = kinds()[found.kind]
    trial = tried(kind(url=found.source), net)
    trial = replace(trial, notes=(found.told, *trial.notes))
    return Tried(name=_name(found.source), kind=found.kind, url=found.source, trial=trial)


def _name(url: str) -> str:
    """A short name for a source: the first word of its host."""
    word = re.match(r"(?:www\.)?([a-z][a-z0-9-]*)\.", urlsplit(url).hostname or "")
    return word[1] if word else "site"


def read_head(body: bytes, charset: str, url: str) -> dict[str, Any]:
    """What a page says of itself: its title, its language, and its feeds, in the order in which to try them.

    And what may be feeds among its links (``linked``), and all of these (``links``).  Runs in a process of its own.
    """
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(decoded(body, charset))
    base = tree.css_first("base[href]")
    named = tree.css_first('meta[property="og:site_name"]')
    title = tree.css_first("head title")
    links = [link.attributes for link in tree.css("link[rel][href]")]
    feeds = [link for link in links if _names_feed(link)]
    start = absolute((base.attributes["href"] or "") if base else "", url) or url
    feeds.sort(key=lambda link: not absolute(link["href"] or "", start).startswith(_below(url)))
    feeds.sort(key=lambda link: _COMMENTS.search(f"{link.get('title')} {link['href']}") is not None)
    anchors = [(node, absolute(node.attributes["href"] or "", start)) for node in tree.css("a[href]")[:_MOST_LINKS]]
    linked = (address for node, address in anchors if _may_be_feed(_line(node.text()), node.attributes, address))
    return {
        "title": _line((named.attributes.get("content") if named else "") or (title.text() if title else "")),
        "language": _line((tree.root.attributes.get("lang") if tree.root else "") or ""),
        "feeds": [absolute(link["href"] or "", start) for link in feeds],
        "linked": [address for address in linked if urlsplit(address).hostname == urlsplit(url).hostname],
        "links": [address.partition("#")[0] for _, address in anchors],
    }


def _may_be_feed(text: str, attributes: dict[str, str | None], address: str) -> bool:
    """Whether a link in the text of a page says that it leads to a feed."""
    typed = (attributes.get("type") or "").lower() in _FEED_TYPES
    words = set(re.findall(r"[^\W_]+", (text or attributes.get("title") or "").lower()))
    is_said = bool(words & _FEED_WORDS) and words <= _FEED_WORDS | _BESIDE_THEM
    return typed or is_said or _LINKED_PATH.search(address) is not None


def _names_feed(link: dict[str, str | None]) -> bool:
    media_type = (link.get("type") or "").partition(";")[0].strip().lower()
    return media_type in _FEED_TYPES and "alternate" in (link["rel"] or "").lower().split()


def _line(text: str) -> str:
    return " ".join(text.split())


def _opened(url: str, net: Net) -> Answer:
    """The answer at an address; without a scheme, https is tried before http."""
    if "://" in url:
        return net.get(url)
    try:
        return net.get(f"https://{url}")
    except NetError as secure:
        try:
            return net.get(f"http://{url}")
        except NetError:
            raise secure from None


def _candidates(url: str, head: _Head) -> Iterator[tuple[str, str]]:
    """Where a feed may be, each address once, and how it is known.

    For a page within a site only what lies below it is guessed: the feed of the whole site is another thing.
    """
    below, found = _below(url), dict[str, str]()
    usual = [urljoin(below, name) for name in _USUAL] if below.endswith("/") else []
    named = list(filter(None, head["feeds"]))[:_MOST_NAMED]
    for way, addresses in (("named", named), ("linked", head["linked"][:_MOST_LINKED]), ("usual", usual)):
        for address in addresses:
            found.setdefault(address, way)
    return iter(found.items())


def _below(url: str) -> str:
    """What the addresses begin with that lie below a page."""
    page = url.partition("?")[0]
    return page if "." in page.rpartition("/")[2] else f"{page.rstrip('/')}/"


def _is_of(url: str, head: _Head, address: str, harvest: Harvest) -> bool:
    """Whether a feed that a page links to is its own: it lies below the page, or half of its items are on the page."""
    shown = set(head["links"])
    return address.startswith(_below(url)) or 2 * sum(item.link in shown for item in harvest.items) >= len(
        harvest.items
    )


def _tried(address: str, net: Net) -> Harvest | None:
    """What a feed there brings; None when there is none, or nothing in it."""
    feed: Callable[..., Source] = kinds()["feed"]
    try:
        harvest = feed(url=address).fetch(None, net)
    except PublisherError:
        return None
    return harvest if harvest.items else None


def _listed(url: str, net: Net) -> Harvest:
    page: Callable[..., Source] = kinds()["page"]
    try:
        return page(url=url).fetch(None, net)
    except PublisherError as error:
        hint = error.hint or "name the page that lists the news, or the feed itself"
        raise PublisherError(f"no feed was found, and no list of articles: {error}", hint=hint) from error


def _found(kind: str, url: str, source: str, harvest: Harvest, *, title: str, language: str, told: str) -> Discovery:
    return Discovery(
        url=url,
        title=title,
        language=language,
        kind=kind,
        source=source,
        source_title=harvest.title,
        items=harvest.items,
        told=told,
    )
