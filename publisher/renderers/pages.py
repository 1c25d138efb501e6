"""A publication's web page: one HTML file and its style sheet, which need no script and no other host."""

from __future__ import annotations

from dataclasses import dataclass

from publisher.model import Document, Selection
from publisher.renderers._complete import complete
from publisher.templating import Templates

_FEEDS = {
    "rss": ("RSS", "rss.xml", "application/rss+xml"),
    "atom": ("Atom", "atom.xml", "application/atom+xml"),
    "json": ("JSON Feed", "feed.json", "application/feed+json"),
}


@dataclass(frozen=True, slots=True)
class Page:
    """Makes ``index.html`` and ``style.css`` from ``page.html.j2`` and ``style.css.j2``."""

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
            feeds=[_FEEDS[name] for name in publication.formats if name in _FEEDS],
            entries=[complete(entry, publication) for entry in subject.entries],
            full=subject.full,
            updated=subject.updated,
        )
        return (
            Document(name="index.html", media_type="text/html", body=page.encode()),
            Document(name="style.css", media_type="text/css", body=self.templates.render("style.css.j2").encode()),
        )
