"""The documents of a message to the operator: which sources turned ill, and which are well again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from publisher.health import Complaint
from publisher.model import Document, Site, member_of
from publisher.renderers._complete import one_line
from publisher.renderers.issues import inlined, written
from publisher.templating import Templates

_SUBJECT = 250
_NAMED = 5
"""Sources that a subject names."""


@dataclass(frozen=True, slots=True)
class Alert:
    """Makes ``subject.txt``, ``mail.html`` and ``mail.txt`` from ``alert.html.j2`` and ``alert.txt.j2``.

    And ``issue.json`` for programs.  Templates know: ``ill`` (of ``Complaint``), ``well`` (of names and titles),
    ``local`` (a moment -> words in the site's zone), ``subject``, ``site`` and ``language``.
    """

    templates: Templates

    def render(
        self, site: Site, *, ill: Sequence[Complaint], well: Sequence[tuple[str, str]], created: datetime
    ) -> tuple[Document, ...]:
        """See ``AlertRenderer.render``."""
        zone = ZoneInfo(site.timezone)

        def local(moment: datetime) -> str:
            return f"{moment.astimezone(zone):%Y-%m-%d %H:%M}"

        ill = [replace(one, title=one_line(one.title), wrong=one_line(one.wrong)) for one in ill]
        well = [(name, one_line(title)) for name, title in well]
        sick, sound = [_called(one.source, one.title) for one in ill], [_called(*one) for one in well]
        subject = one_line(f"{site.title}: {_subject(sick, sound)}", _SUBJECT)
        words = {"ill": ill, "well": well, "local": local, "subject": subject, "site": site, "language": "en"}
        page, text = (self.templates.render(f"alert.{kind}.j2", **words) for kind in ("html", "txt"))
        data = {
            "type": "alert",
            "subject": subject,
            "created": created.isoformat(),
            "text": text,
            "ill": [_told(one) for one in ill],
            "well": [{"source": name, "title": title} for name, title in well],
        }
        return (
            Document(name="subject.txt", media_type="text/plain", body=subject.encode()),
            Document(name="mail.html", media_type="text/html", body=inlined(page, "alert.html.j2")),
            Document(name="mail.txt", media_type="text/plain", body=text.encode()),
            Document(name="issue.json", media_type="application/json", body=written(data)),
        )


def _called(name: str, title: str) -> str:
    """By what an operator knows it: the name that they gave it; of a feed that a list names, its title."""
    return (member_of(name) and title) or name


def _told(one: Complaint) -> dict[str, str]:
    return asdict(one) | {"since": one.since.isoformat() if one.since else ""}


def _subject(ill: Sequence[str], well: Sequence[str]) -> str:
    """``2 sources need a look: council, blog; mill is well again``."""
    bad = f"{len(ill)} {'source needs' if len(ill) == 1 else 'sources need'} a look: {_named(ill)}"
    good = f"{_named(well)} {'is' if len(well) == 1 else 'are'} well again"
    return "; ".join([bad] * bool(ill) + [good] * bool(well))


def _named(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
