"""The documents of an issue: subject line, mail in HTML and in text, and the same as JSON for webhooks.

They are the same for all recipients, with slots where each one reads something of their own; or, where a template needs
to know who reads it, made for one.  A mail stays below the size at which mail services cut it off, by shortening its
entries' texts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from html import escape
from typing import TYPE_CHECKING, Any

from publisher import html
from publisher.errors import RenderError, TooLong
from publisher.mime import ANYBODY
from publisher.model import Document, Entry, Issue, Publication, Subscriber
from publisher.renderers import example
from publisher.renderers._complete import arranged, complete, one_line, whole
from publisher.templating import Templates

if TYPE_CHECKING:
    from markupsafe import Markup

_LARGEST = 100_000
"""Bytes of mail.html and of mail.txt: Gmail cuts a message off at 102 KB."""

_LIMITS = (1200, 600, 300, 120, 0)
"""Characters that each entry's text may have, tried in this order until the mail fits."""

_SUBJECT = 250
_MARKUP = 4
"""How many characters of markup a whole text may have for each one that is read, to be mailed as it is."""


@dataclass(frozen=True, slots=True)
class Digest:
    """Makes ``subject.txt``, ``mail.html``, ``mail.txt`` and ``issue.json``.

    Templates know: ``publication`` and its ``language``, ``site``, ``issue``, ``entries`` (complete: each has a title,
    a link and a date; in the order in which they are shown) and ``teaser(entry)``, which is as much of its text, in
    HTML, as there is room for; and ``subscriber``.  The subject's template knows ``publication``, ``language``,
    ``issue``, ``entries`` and ``subscriber``.
    """

    templates: Templates
    template: str
    subject: str

    @property
    def personal(self) -> bool:
        """Whether each recipient's documents have to be rendered: a template does more than print its subscriber.

        Raises:
            RenderError: a template cannot be read.
        """
        parts = (f"{self.template}.{kind}.j2" for kind in ("html", "txt"))
        return self.templates.mentions(self.subject, "subscriber") or any(
            self.templates.beyond_printing(name, "subscriber") for name in parts
        )

    def render(self, subject: Issue, subscriber: Subscriber | None = None) -> tuple[Document, ...]:
        """Render.

        Args:
            subscriber: who reads it; None: anybody, for whom there are slots or, where it is personal, an example.

        Raises:
            TooLong: the mail is too large with headlines alone; fewer entries would do.
            RenderError: a template cannot be used; the message names it and the line.
        """
        publication = subject.publication
        picture = self.templates.picture
        entries = arranged((complete(entry, publication, picture) for entry in subject.entries), publication)
        issue = replace(subject, entries=entries)
        reader = subscriber or (example(issue.publication.site) if self.personal else ANYBODY)
        issue = replace(issue, subject=self._subject(issue, reader))
        rich, text = self._mail(issue, reader)
        return (
            Document(name="subject.txt", media_type="text/plain", body=issue.subject.encode()),
            Document(name="mail.html", media_type="text/html", body=rich),
            Document(name="mail.txt", media_type="text/plain", body=text),
            Document(name="issue.json", media_type="application/json", body=_as_json(issue)),
        )

    def _subject(self, issue: Issue, reader: Subscriber) -> str:
        publication = issue.publication
        line = self.templates.render_text(
            self.subject,
            publication=publication,
            language=publication.language,
            issue=issue,
            entries=issue.entries,
            subscriber=reader,
        )
        return one_line(line, _SUBJECT) or one_line(publication.title, _SUBJECT)

    def _mail(self, issue: Issue, reader: Subscriber) -> tuple[bytes, bytes]:
        for limit in _LIMITS:
            teaser = cache(partial(_teaser, limit=limit))
            rich = inlined(self._part("html", issue, teaser, reader), f"{self.template}.html.j2")
            text = self._part("txt", issue, teaser, reader).encode()
            if max(len(rich), len(text)) < _LARGEST:
                return rich, text
        raise TooLong(
            f"{issue.publication.name}: {len(issue.entries)} headlines alone make a mail of over {_LARGEST:,} bytes",
            hint="Let an issue hold fewer entries (`max_entries:`).",
        )

    def _part(self, kind: str, issue: Issue, teaser: Callable[[Entry], Markup], reader: Subscriber) -> str:
        return self.templates.render(
            f"{self.template}.{kind}.j2",
            publication=issue.publication,
            language=issue.publication.language,
            site=issue.publication.site,
            issue=issue,
            entries=issue.entries,
            teaser=teaser,
            subscriber=reader,
        )


def _teaser(entry: Entry, limit: int) -> Markup:
    """The whole text where it is short enough, else the source's own teaser, else an excerpt; HTML."""
    from markupsafe import Markup

    for text in filter(None, (entry.content, entry.summary)):
        if len(text) <= _MARKUP * limit and len(html.plain(text)) <= limit:
            return Markup(text)  # noqa: S704 - it was sanitised before it was stored
    excerpt = html.excerpt(entry.summary, limit) if limit else ""
    return Markup(f"<p>{escape(excerpt)}</p>") if excerpt else Markup()  # noqa: S704 - escaped here


def inlined(page: str, template: str) -> bytes:
    """A mail whose style sheets are moved into ``style`` attributes, as mail clients need it.

    A sheet with ``data-css-inline="keep"`` stays where it is.

    Raises:
        RenderError: a sheet cannot be read.
    """
    import css_inline

    inliner = css_inline.CSSInliner(load_remote_stylesheets=False)
    try:
        return inliner.inline(page).encode()
    except css_inline.InlineError as error:
        raise RenderError(f"{template}: its style sheet cannot be read: {error}") from error


def _as_json(issue: Issue) -> bytes:
    data = {
        "type": "issue",
        "publication": told(issue.publication),
        "number": issue.number,
        "subject": issue.subject,
        "created": whole(issue.created).isoformat(),
        "entries": [_entry(entry) for entry in issue.entries],
    }
    return written(data)


def told(publication: Publication) -> dict[str, str]:
    """What programs are told of a publication."""
    return {"name": publication.name, "title": publication.title, "url": publication.address()}


def written(data: Mapping[str, Any]) -> bytes:
    """The body of a JSON document."""
    return (json.dumps(data, ensure_ascii=False, indent=1) + "\n").encode()


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.uid,
        "title": entry.title,
        "link": entry.link,
        "summary": html.excerpt(entry.summary),
        "image": entry.image,
        "published": whole(entry.moment).isoformat(),
        "authors": [author.name for author in entry.authors],
        "tags": list(entry.tags),
        "source": entry.source,
        **({"also_in": [asdict(one) for one in entry.also_in]} if entry.also_in else {}),
        **({"section": entry.section} if entry.section else {}),
    }
