"""What is made of entries: feeds, pages, digests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, TypeVar

from publisher.model import Document, Issue, Publication, Selection, Site, Subscriber

if TYPE_CHECKING:
    from publisher.health import Complaint
    from publisher.templating import Templates

Subject = TypeVar("Subject", Selection, Issue, contravariant=True)  # noqa: PLC0105 - the word is what counts


class Renderer(Protocol[Subject]):
    """Makes documents; the same subject gives the same bytes, on any machine and at any time."""

    def render(self, subject: Subject) -> tuple[Document, ...]:
        """Render.

        Raises:
            RenderError: it cannot be made; the message names the template and line where there is one.
        """
        ...


class NoticeRenderer(Protocol):
    """Makes the documents of a mail to one person about their subscription."""

    def render(
        self, kind: str, publication: Publication, *, titles: tuple[str, ...] = (), link: str
    ) -> tuple[Document, ...]:
        """Render, in the language of the publication that is handed in.

        Args:
            kind: ``confirm`` asks whether somebody signed up, ``already`` tells that they are subscribed, and ``move``
                asks whether they want to be reached at this address.
            titles: of the publications that it is about.
            link: where the reader goes on.

        Raises:
            RenderError: a template cannot be used; the message names it and the line.
        """
        ...


class AlertRenderer(Protocol):
    """Makes the documents of a message to the operator."""

    def render(
        self, site: Site, *, ill: Sequence[Complaint], well: Sequence[tuple[str, str]], created: datetime
    ) -> tuple[Document, ...]:
        """Render.

        Args:
            ill: the sources that turned ill.
            well: name and title of each that is well again.
            created: when it is written.

        Raises:
            RenderError: a template cannot be used; the message names it and the line.
        """
        ...


class DigestRenderer(Renderer[Issue], Protocol):
    """Makes the documents of a mail."""

    @property
    def personal(self) -> bool:
        """Whether they have to be made for each recipient; else their slots are filled (``mime.Letter``)."""
        ...

    def render(self, subject: Issue, subscriber: Subscriber | None = None) -> tuple[Document, ...]:
        """Render, for one subscriber where one is given.

        Raises:
            TooLong: the mail is too large with headlines alone; fewer entries would do.
            RenderError: it cannot be made; the message names the template and line where there is one.
        """
        ...


def _rss(templates: Templates) -> Renderer[Selection]:
    from publisher.renderers.syndication import Rss

    return Rss(templates)


def _atom(templates: Templates) -> Renderer[Selection]:
    from publisher.renderers.syndication import Atom

    return Atom(templates)


def _json(templates: Templates) -> Renderer[Selection]:
    from publisher.renderers.jsonfeed import JsonFeed

    return JsonFeed(templates)


def _html(templates: Templates) -> Renderer[Selection]:
    from publisher.renderers.pages import Page

    return Page(templates)


FORMATS: Mapping[str, Callable[[Templates], Renderer[Selection]]] = MappingProxyType(
    {"rss": _rss, "atom": _atom, "json": _json, "html": _html}
)
"""The formats that a publication may be published in, by their names in config.yaml."""

FILES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"rss": ("rss.xml",), "atom": ("atom.xml",), "json": ("feed.json",), "html": ("index.html", "style.css")}
)
"""The names of each format's documents."""


def digest(templates: Templates, *, template: str, subject: str) -> DigestRenderer:
    """What makes an issue's documents: ``subject.txt``, ``mail.html``, ``mail.txt`` and ``issue.json``, in this order.

    Args:
        templates: where the templates are found.
        template: ``digest`` means ``digest.html.j2`` and ``digest.txt.j2``.
        subject: the template of the subject line.
    """
    from publisher.renderers.issues import Digest

    return Digest(templates, template=template, subject=subject)


def notice(templates: Templates) -> NoticeRenderer:
    """What makes a notice's documents: ``subject.txt``, ``mail.html``, ``mail.txt`` and ``issue.json``."""
    from publisher.renderers.notices import Notice

    return Notice(templates)


def alert(templates: Templates) -> AlertRenderer:
    """What makes the documents of a message to the operator: the same as a notice's."""
    from publisher.renderers.alerts import Alert

    return Alert(templates)


def front(templates: Templates, site: Site, publications: Iterable[Selection]) -> Document:
    """The first page of the site, with the newest of each publication.

    Raises:
        RenderError: its template cannot be used; the message names it and the line.
    """
    from publisher.renderers.pages import Front

    return Front(templates).render(site, publications)


def opml(site: Site, publications: Iterable[Publication]) -> Document:
    """``feeds.opml``, by which a feed reader takes over all feeds at once."""
    from publisher.renderers.outline import outline

    return outline(site, publications)


def example(site: Site) -> Subscriber:
    """Who reads an issue that goes to nobody: one that is only looked at."""
    return Subscriber(
        address="reader@example.org",
        unsubscribe=f"{site.url}/unsubscribe/example",
        preferences=f"{site.url}/preferences/example",
    )
