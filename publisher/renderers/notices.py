"""The documents of a notice: a mail to one person about their subscription."""

from __future__ import annotations

from dataclasses import dataclass

from publisher.model import Document, Publication
from publisher.renderers._complete import one_line
from publisher.renderers.issues import inlined, told, written
from publisher.templating import Templates

_SUBJECT = 250


@dataclass(frozen=True, slots=True)
class Notice:
    """Makes ``subject.txt``, ``mail.html`` and ``mail.txt`` from ``notice.subject.j2``, ``.html.j2`` and ``.txt.j2``.

    And ``issue.json`` for those who mail for us.

    Templates know: ``kind``, ``publication``, ``titles``, ``link``, ``site`` and ``language``.
    """

    templates: Templates

    def render(
        self, kind: str, publication: Publication, *, titles: tuple[str, ...] = (), link: str
    ) -> tuple[Document, ...]:
        """See ``NoticeRenderer.render``."""
        words = {"kind": kind, "publication": publication, "titles": titles, "link": link}
        words |= {"site": publication.site, "language": publication.language}
        subject = one_line(self.templates.render("notice.subject.j2", **words), _SUBJECT)
        page = self.templates.render("notice.html.j2", **words, subject=subject)
        text = self.templates.render("notice.txt.j2", **words)
        data = {"type": "notice", "kind": kind, "publication": told(publication), "subject": subject}
        data |= {"titles": list(titles), "link": link}
        return (
            Document(name="subject.txt", media_type="text/plain", body=subject.encode()),
            Document(name="mail.html", media_type="text/html", body=inlined(page, "notice.html.j2")),
            Document(name="mail.txt", media_type="text/plain", body=text.encode()),
            Document(name="issue.json", media_type="application/json", body=written(data)),
        )
