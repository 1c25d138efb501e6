"""JSON Feed 1.1 (jsonfeed.org/version/1.1)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from publisher import html
from publisher.model import Author, Document, Enclosure, Entry, Publication, Selection
from publisher.renderers._complete import complete, with_mentions
from publisher.templating import Templates


@dataclass(frozen=True, slots=True)
class JsonFeed:
    """Makes ``feed.json``."""

    templates: Templates

    def render(self, subject: Selection) -> tuple[Document, ...]:
        """Render."""
        items = [self._item(entry, subject.publication, full=subject.full) for entry in subject.entries]
        text = json.dumps(_feed(subject.publication) | {"items": items}, ensure_ascii=False, indent=1) + "\n"
        return (Document(name="feed.json", media_type="application/feed+json", body=text.encode()),)

    def _item(self, entry: Entry, publication: Publication, *, full: bool) -> dict[str, Any]:
        whole = complete(entry, publication, self.templates.picture)
        shown = with_mentions(whole, self.templates, publication.language, full=full)
        return _item(whole, shown, full=full, titled=bool(entry.title))


def _feed(publication: Publication) -> dict[str, Any]:
    return {
        "version": "https://jsonfeed.org/version/1.1",
        **_told(
            title=publication.title,
            home_page_url=publication.address(),
            feed_url=publication.address("feed.json"),
            description=publication.description,
            authors=[{"name": publication.site.title, "url": publication.site.url}],
            language=publication.language,
        ),
    }


def _item(whole: Entry, shown: Entry, *, full: bool, titled: bool) -> dict[str, Any]:
    """One item; ``content_html`` is mandatory, so that a teaser stands there where there is no whole text.

    Args:
        whole: the entry, complete.
        shown: the same, with the mentions of other sources in its text.
        titled: it has a title of its own.
    """
    text = shown.content if full else ""
    return {
        "id": whole.uid,
        **_told(url=whole.link, title=whole.title if titled else ""),
        "content_html": text or shown.summary,
        **_told(
            summary=html.plain(whole.summary) if text else "",
            image=whole.image,
            date_published=_moment(whole.published),
            date_modified=_moment(whole.updated),
            authors=[_author(author) for author in whole.authors],
            tags=list(whole.tags),
            language=whole.language,
            attachments=[_attachment(enclosure) for enclosure in whole.enclosures],
        ),
    }


def _author(author: Author) -> Mapping[str, str]:
    return _told(name=author.name, url=author.url)


def _attachment(enclosure: Enclosure) -> Mapping[str, Any]:
    return _told(url=enclosure.url, mime_type=enclosure.media_type, size_in_bytes=enclosure.length)


def _moment(moment: datetime | None) -> str:
    """RFC 3339."""
    return moment.isoformat() if moment else ""


def _told(**fields: Any) -> dict[str, Any]:
    """The fields that have a value, in the order given."""
    return {name: value for name, value in fields.items() if value}
