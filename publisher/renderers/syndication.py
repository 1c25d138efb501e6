"""RSS 2.0 (rssboard.org/rss-specification) and Atom 1.0 (RFC 4287), made by feedgen.

Where feedgen falls short, an extension repairs the tree before it is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Any

from publisher.model import Document, Enclosure, Entry, Publication, Selection
from publisher.renderers._complete import complete, legal, whole, with_mentions

if TYPE_CHECKING:
    from feedgen.feed import FeedGenerator

    from publisher.templating import Templates

_SETLOCALE = Lock()
"""feedgen switches the locale of the whole process for each RSS date."""

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""When an empty Atom feed was updated: the element is mandatory (RFC 4287 section 4.1.1) and the clock is not asked."""

_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


@dataclass(frozen=True, slots=True)
class Rss:
    """Makes ``rss.xml``."""

    templates: Templates

    def render(self, subject: Selection) -> tuple[Document, ...]:
        """Render."""
        feed = _feed(subject, "rss.xml", "application/rss+xml", self.templates)
        with _SETLOCALE:
            return (Document(name="rss.xml", media_type="application/rss+xml", body=feed.rss_str(pretty=True)),)


@dataclass(frozen=True, slots=True)
class Atom:
    """Makes ``atom.xml``."""

    templates: Templates

    def render(self, subject: Selection) -> tuple[Document, ...]:
        """Render."""
        feed = _feed(subject, "atom.xml", "application/atom+xml", self.templates)
        return (Document(name="atom.xml", media_type="application/atom+xml", body=feed.atom_str(pretty=True)),)


def _feed(selection: Selection, file: str, media_type: str, templates: Templates) -> FeedGenerator:
    from feedgen.feed import FeedGenerator

    publication, feed = selection.publication, FeedGenerator()
    feed.load_extension("dc", atom=False)
    feed.register_extension("repaired", _RepairedFeed, _RepairedEntry)
    _describe(feed, publication, file, media_type)
    feed.updated(whole(selection.updated or _NEVER))
    feed.repaired.undated = selection.updated is None
    for entry in selection.entries:
        known = complete(entry, publication, templates.picture)
        told = with_mentions(known, templates, publication.language, full=selection.full)
        _add(feed, told, full=selection.full)
    return feed


def _describe(feed: FeedGenerator, publication: Publication, file: str, media_type: str) -> None:
    title = legal(publication.title)
    feed.id(publication.address())
    feed.title(title)
    feed.description(legal(publication.description) or title)
    feed.language(publication.language)
    feed.generator("publisher")
    feed.author(name=legal(publication.site.title))
    feed.link(href=publication.address(file), rel="self", type=media_type)
    # The last link becomes the <link> of RSS.
    feed.link(href=publication.address(), rel="alternate", type="text/html")


def _add(feed: FeedGenerator, entry: Entry, *, full: bool) -> None:
    item = feed.add_entry(order="append")
    item.guid(entry.uid, permalink=False)
    item.title(entry.title)
    item.published(entry.published)
    item.updated(entry.updated)
    item.author([{"name": author.name, "uri": author.url} for author in entry.authors])
    # RSS wants an e-mail address in <author>; names have a place in Dublin Core.
    item.dc.dc_creator([author.name for author in entry.authors])
    item.category([{"term": tag} for tag in entry.tags])
    if entry.summary:
        item.summary(entry.summary, type="html")
    if full and entry.content:
        item.content(entry.content, type="html")
    item.repaired.links, item.repaired.language = item.link(_links(entry)), entry.language


def _links(entry: Entry) -> list[dict[str, str]]:
    """The entry's page, where else it is told, and its files; the first file comes last, because that is the one that
    feedgen gives to RSS.
    """
    page = {"href": entry.link, "rel": "alternate"}
    related = [{"href": one.link, "rel": "related", "title": one.title} for one in entry.also_in if one.link]
    return [page, *related, *(_link(enclosure) for enclosure in reversed(entry.enclosures))]


def _link(enclosure: Enclosure) -> dict[str, str]:
    length = {"length": str(enclosure.length)} if enclosure.length else {}
    return {"href": enclosure.url, "rel": "enclosure", "type": enclosure.media_type, **length}


class _Untouched:
    """A feedgen extension that changes nothing."""

    def extend_ns(self) -> dict[str, str]:
        return {}

    def extend_rss(self, element: Any) -> Any:
        return element

    def extend_atom(self, element: Any) -> Any:
        return element


class _RepairedFeed(_Untouched):
    """Takes the build date out of an RSS feed that has nothing to date; feedgen cannot be told to leave it out."""

    undated = False

    def extend_rss(self, element: Any) -> Any:
        for date in element.findall("channel/lastBuildDate") if self.undated else ():
            date.getparent().remove(date)
        return element


class _RepairedEntry(_Untouched):
    """Gives Atom links what feedgen drops (python-feedgen issue 135), and the entry its language."""

    links: Sequence[Mapping[str, str]] = ()
    language = ""

    def extend_atom(self, element: Any) -> Any:
        for link, told in zip(element.findall("link"), self.links, strict=True):
            link.attrib.update(told)
        if self.language:
            element.set(_LANG, self.language)
        return element
