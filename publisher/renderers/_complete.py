"""What every renderer does first: fill in what a source left out, so that formats and templates need not ask."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit, urlunsplit

from publisher import html
from publisher.model import Author, Enclosure, Entry, Publication

if TYPE_CHECKING:
    from publisher.templating import Templates

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BLANKS = re.compile("[\0-\x20\x7f-\x9f\u2028\u2029]+")
_FIRST = datetime(1900, 1, 1, tzinfo=UTC)
_SAFE = "!$%&'()*+,/:;=?@~"
"""Besides letters, digits and ``-._``: what may stand in a path or query as it is (RFC 3986 section 3.4)."""
_LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+", re.ASCII)
_LANGUAGE = re.compile(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*")
_LINE = 500
"""Characters of a title, name or tag: one endless line must not make every mail too long."""
_MENTIONS = 12
"""So many other sources are named, lest a story that hundreds tell makes every mail too long."""
_URL = 8000
"""Characters of an address; one that is longer is none."""
_TITLE = 80
_SUMMARY = 300
_BEGINNING = 5000
"""Characters of HTML that are read for a title or a summary: a long text costs no more than a short one."""


def complete(entry: Entry, publication: Publication, picture: Callable[[str], str] | None = None) -> Entry:
    """The same entry without gaps, fit to be shown.

    Args:
        picture: gives the address at which a picture is shown; None: where it is.

    - No text holds a character that XML 1.0 (section 2.2) forbids; dates are in UTC and whole seconds.
    - ``title`` is one line, taken from the text where the source gave none, from the link where there is no text.
    - ``link`` is a valid address; that of the entry's place on the publication's page where the source gave none.
    - ``summary`` is HTML, an excerpt where the source gave none.
    - ``image`` is the first picture of the text where the source names none.
    - ``authors`` have names and no e-mail addresses: what is published is harvested.
    - ``also_in`` names a dozen sources at most, each on one line, with valid addresses.
    - ``tags`` end with the section that it is in: in a feed it is one of its categories.
    - ``enclosures`` have a media type, and ``language`` is one or empty.
    - ``published`` and ``updated`` are there, never later than we saw the entry, in this order.
    """
    summary, content = legal(entry.summary), legal(entry.content)
    image = _address(entry.image or html.first_image(content or summary), publication)
    if picture:
        summary, content = (html.with_pictures_from(text, picture) for text in (summary, content))
        image = image and picture(image)
    beginning = (summary or content)[:_BEGINNING]
    link = _address(entry.link, publication) or publication.address(f"#e{entry.number}")
    return replace(
        entry,
        uid=legal(entry.uid),
        title=one_line(entry.title) or html.excerpt(beginning, _TITLE) or link,
        link=link,
        summary=summary or escape(html.excerpt(beginning, _SUMMARY), quote=False),
        content=content,
        authors=tuple(_authors(entry.authors, publication)),
        tags=tuple(_tags(entry)),
        image=image,
        enclosures=tuple(_enclosures(entry.enclosures, publication)),
        published=whole(entry.moment),
        updated=whole(_updated(entry)),
        also_in=tuple(
            replace(one, title=one_line(one.title) or one.source, link=_address(one.link, publication))
            for one in entry.also_in[:_MENTIONS]
        ),
        language=entry.language if _LANGUAGE.fullmatch(entry.language) else "",
    )


def _tags(entry: Entry) -> Iterable[str]:
    """Each once, however it is written; the section, which is the operator's word, as it is."""
    found = {tag.casefold(): tag for tag in filter(None, map(one_line, (*entry.tags, entry.section)))}
    return found.values()


def with_mentions(entry: Entry, templates: Templates, language: str, *, full: bool) -> Entry:
    """A complete entry with a last paragraph that says which other sources tell the same, where there are any.

    Args:
        full: the paragraph belongs to the whole text where there is one; else to the teaser.

    Raises:
        RenderError: the template of that paragraph is wrong.
    """
    if not entry.also_in:
        return entry
    mentions = f"<p>{templates.render('also_in.html.j2', entry=entry, language=language)}</p>"
    if full and entry.content:
        return replace(entry, content=entry.content + mentions)
    return replace(entry, summary=entry.summary + mentions)


def arranged(entries: Iterable[Entry], publication: Publication) -> tuple[Entry, ...]:
    """In the order of a page or a mail: what is pinned, what is under no heading, then heading by heading.

    Within each part they stay as they were.  What is pinned stands above all headings, and is under none.
    """
    places = {section: place for place, section in enumerate(("", *publication.sections))}
    placed = [replace(one, section="") if one.pinned or one.section not in places else one for one in entries]
    return tuple(sorted(placed, key=lambda one: (not one.pinned, places[one.section])))


def legal(text: str) -> str:
    """The text without the characters that XML 1.0 (section 2.2) forbids."""
    return _ILLEGAL.sub("", text)


def one_line(text: str, limit: int = _LINE) -> str:
    """The text on one line of at most so many characters, each run of blanks and control characters made one space."""
    line = legal(_BLANKS.sub(" ", text)).strip()
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def whole(moment: datetime) -> datetime:
    """In UTC, whole seconds and a year of four digits, which is all that every date format can say."""
    return max(moment, _FIRST).astimezone(UTC).replace(microsecond=0)


def _updated(entry: Entry) -> datetime:
    """When it was edited last: as the source tells it, as we saw it where the source is silent or cannot be right."""
    seen = entry.changed if entry.version > 1 else entry.moment
    return max(entry.moment, min(entry.updated or seen, entry.changed))


def _address(url: str, publication: Publication) -> str:
    """A URL of RFC 3986, in ASCII; empty when it is none that a reader should follow."""
    if not 0 < len(url) <= _URL:
        return ""
    parts = urlsplit(html.absolute(legal(url), publication.address()))
    host = quote(parts.netloc, safe=f"[{_SAFE}]")
    path, query, fragment = (_LONE_PERCENT.sub("%25", quote(part, safe=_SAFE)) for part in parts[2:])
    return urlunsplit((parts.scheme, host, path, query, fragment))


def _authors(authors: Iterable[Author], publication: Publication) -> Iterable[Author]:
    for author in authors:
        name = one_line(author.name) or one_line(author.email).partition("@")[0]
        url = _address(author.url, publication)
        if name or url:
            yield Author(name=name or url, url=url)


def _enclosures(enclosures: Iterable[Enclosure], publication: Publication) -> Iterable[Enclosure]:
    for enclosure in enclosures:
        if url := _address(enclosure.url, publication):
            known = _MEDIA_TYPE.fullmatch(enclosure.media_type)
            media_type = enclosure.media_type if known else "application/octet-stream"
            yield Enclosure(url=url, media_type=media_type, length=max(enclosure.length, 0))
