"""Web pages of what is published, which need no script and no other host."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from publisher.model import Document, Publication, Selection, Site
from publisher.renderers._complete import arranged, complete
from publisher.templating import Templates

_FEEDS = {
    "rss": ("RSS", "rss.xml", "application/rss+xml"),
    "atom": ("Atom", "atom.xml", "application/atom+xml"),
    "json": ("JSON Feed", "feed.json", "application/feed+json"),
}


@dataclass(frozen=True, slots=True)
class Page:
    """Makes a publication's ``index.html`` and ``style.css`` from ``page.html.j2`` and ``style.css.j2``."""

    templates: Templates

    def render(self, subject: Selection) -> tuple[Document, ...]:
        """Render.

        Raises:
            RenderError: a template cannot be used; the message names it and the line.
        """
        publication = subject.publication
        page = self.templates.render(
            "page.html.j2",
            publication=publication,
            site=publication.site,
            language=publication.language,
            feeds=_feeds(publication),
            entries=arranged(_completed(subject, self.templates).entries, publication),
            full=subject.full,
            updated=subject.updated,
            offers=[subject.offer] if subject.offer else [],
            issues=subject.issues,
        )
        style = self.templates.render("style.css.j2", sections=publication.sections)
        return (
            Document(name="index.html", media_type="text/html", body=page.encode()),
            Document(name="style.css", media_type="text/css", body=style.encode()),
        )


@dataclass(frozen=True, slots=True)
class Front:
    """Makes the first page of the site from ``front.html.j2``."""

    templates: Templates

    def render(self, site: Site, publications: Iterable[Selection]) -> Document:
        """Render.

        Raises:
            RenderError: the template cannot be used; the message names it and the line.
        """
        shown = [_completed(subject, self.templates) for subject in publications]
        page = self.templates.render(
            "front.html.j2",
            site=site,
            language=site.language,
            root="",
            publications=shown,
            feeds={subject.publication.name: _feeds(subject.publication) for subject in shown},
            offers=[subject.offer for subject in shown if subject.offer],
        )
        return Document(name="index.html", media_type="text/html", body=page.encode())


def _feeds(publication: Publication) -> list[tuple[str, str, str]]:
    return [_FEEDS[name] for name in publication.formats if name in _FEEDS]


def _completed(subject: Selection, templates: Templates) -> Selection:
    whole = (complete(entry, subject.publication, templates.picture) for entry in subject.entries)
    return replace(subject, entries=tuple(whole))
