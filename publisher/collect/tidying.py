"""What came from outside, made fit to keep."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from publisher import html
from publisher.model import Author, Enclosure, Harvest, Item

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_MAILBOX = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]+@[\w.-]+")


def fit(harvest: Harvest) -> list[Item]:
    """What there is to read in a harvest, fit to keep."""
    return [item for raw in harvest.items if tells(item := tidy(raw, harvest.link))]


def tells(item: Item) -> bool:
    """Whether there is anything to read, see or hear: what an ill-formed feed leaves of an entry may hold nothing."""
    return bool(item.title or item.link or item.summary or item.content or item.image or item.enclosures)


def tidy(item: Item, base: str) -> Item:
    """Make what came from outside fit to keep: sanitised HTML, absolute addresses, one-line texts of sane length."""
    base = html.absolute(item.link, base) or base
    return replace(
        item,
        guid=sound(item.guid)[:2000].strip(),
        link=_address(item.link, base)[:2000],
        title=_line(item.title, 500),
        summary=html.clean(item.summary, base),
        content=html.clean(item.content, base),
        authors=tuple(_authors(item.authors, base))[:20],
        tags=tuple(dict.fromkeys(filter(None, (_line(tag, 100) for tag in item.tags))))[:50],
        image=_address(item.image, base),
        enclosures=tuple(_enclosures(item.enclosures, base))[:20],
        language=item.language if re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*", item.language) else "",
    )


def _authors(authors: Iterable[Author], base: str) -> Iterable[Author]:
    for author in authors:
        name, email = _line(author.name, 200), author.email.strip()[:320]
        email = email if _MAILBOX.fullmatch(email) else ""
        if name or email:
            yield Author(name=name, email=email, url=_address(author.url, base))


def _enclosures(enclosures: Iterable[Enclosure], base: str) -> Iterable[Enclosure]:
    for enclosure in enclosures:
        if url := _address(enclosure.url, base):
            kind = enclosure.media_type.strip().lower()
            kind = kind if re.fullmatch(r"[\w.+-]+/[\w.+-]+", kind) else ""
            yield Enclosure(url=url, media_type=kind, length=max(0, enclosure.length))


def _line(text: str, most: int) -> str:
    """One line of plain text; it is no HTML, and may well speak of ``<canvas>``."""
    line = " ".join(_CONTROL.sub(" ", text).split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def _address(url: str, base: str) -> str:
    return sound(html.absolute(url, base)) if url.strip() else ""  # an empty reference would be the base itself


def sound(text: str) -> str:
    """The text without what no text may hold: lone surrogates, and the two noncharacters that mark slots in mails."""
    return text.encode(errors="replace").decode().translate({0xFFFE: 0xFFFD, 0xFFFF: 0xFFFD})
