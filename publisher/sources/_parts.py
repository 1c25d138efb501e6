"""The parts of one item of a list, read from its place on the page: title, link, date, teaser, image.  Pure.

And what an item is recognised by: a heading, a link that may lead to an article, a link that only says "Read more".
"""

from __future__ import annotations

import html as html_entities
import re
import unicodedata
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from publisher.html import is_picture
from publisher.model import Item
from publisher.sources._calendar import Calendar
from publisher.sources._dates import date_of_address, is_date, split_date, without_date
from publisher.sources._outline import Node, Outline, joined, lines, word_set
from publisher.sources._pager import leads_to_page

MOST_IN_ITEM = 2_000
"""Nodes of one item that are looked at."""
LABEL = 30
"""Characters that may stand before a title on its line: a date, a section's name."""
LONG_LINE = 80
_SHORTEST_TITLE = 10
_FULL_TEASER = 40
_SHORT_TEASER = 20
HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6", "dt"})
_TITLE_NAMES = frozenset({"title", "headline", "heading", "ueberschrift", "titel", "titre", "titolo", "titulo"})
_DATE_NAMES = frozenset({"date", "datum", "time", "published", "posted", "fecha", "datetime", "timestamp"})
_LABEL_NAMES = word_set("kicker label badge category categories tag tags topline eyebrow overline descriptor")
_META_NAMES = _DATE_NAMES | _LABEL_NAMES | word_set("meta author byline")
_PORTRAIT_NAMES = word_set("avatar gravatar author byline emoji icon")
DATE_ATTRIBUTES = ("datetime", "data-date", "data-datetime", "data-time", "data-timestamp", "data-published")
IMAGE_ATTRIBUTES = ("data-src", "data-lazy-src", "data-original", "src", "data-srcset", "srcset")
_BACKGROUND = re.compile(r"background(?:-image)?\s*:[^;]*?url\(\s*(['\"]?)(.*?)\1\s*\)", re.IGNORECASE)
_SHARED = 3
"""An image that is so often on a page belongs to no item: a portrait, or what is shown until the real one is there."""
_MORE = re.compile(
    r"((read|learn|see|view|find out|show) (more|on|full|the full|article|all|details|story|post)"
    r"|(continue|keep) reading|more|full (story|article)|details?"
    r"|(jetzt )?(weiter|weiterlesen|mehr|artikel lesen|lesen|zum artikel|zur meldung|zum beitrag)"
    r"|lire|en savoir|(la |voir la )?suite|voir plus|plus d|leer|seguir leyendo|ver más|más|saber más"
    r"|leggi|continua|scopri|di più|lees (meer|verder)|meer|läs mer|les mer|læs mere|ler mais|saiba mais|leia"
    r"|czytaj|więcej)\b|[…»›→>.\[]+\W*$"
)
_MORE_LENGTH = 50
_FILE = re.compile(
    r"(download|herunterladen|télécharger|descargar|scarica(re)?|pobierz|stáhnout)?\W*(pdf|docx?|odt|zip)?"
    r"\W*([\d.,]+\s*[kmg]i?[bo])?\W*"
)
"""The text of a link to a file that says nothing else."""
_ASIDE_LINKS = {"tag", "category", "author", "prev", "next", "home"}


@dataclass(frozen=True, slots=True)
class Lead:
    """What an item is recognised by."""

    node: Node
    link: str
    """Empty for a heading that leads nowhere itself."""
    heading: bool

    @property
    def identity(self) -> Hashable:
        """Equal for leads of the same item, as far as one can tell."""
        return self.link or self.node.at


@dataclass(frozen=True, slots=True)
class Span:
    """The nodes of one item, as positions in the outline."""

    start: int
    end: int
    lead: Lead | None = None
    link: str = ""


# --- what an item is recognised by -----------------------------------------------------------------------------------


def width(text: str) -> int:
    """How much a text says, in letters; a Chinese sign says as much as two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def is_heading(outline: Outline, node: Node) -> bool:
    """Whether an element is a heading by its tag, or calls itself one; one without a letter is a number in a row."""
    if re.fullmatch("h[1-6]", node.tag):
        return True
    if node.tag == "dt":
        text = outline.text(node) if outline.length(node) < LONG_LINE else "long"
        return _has_letters(text) and not is_date(text)
    named = node.tag not in ("a", "tr", "table") and not _TITLE_NAMES.isdisjoint(node.words)
    return named and (outline.length(node) >= LABEL or _has_letters(outline.text(node)))


def _has_letters(text: str) -> bool:
    return any(map(str.isalpha, text))


def is_bare(outline: Outline, anchor: Node) -> bool:
    """Whether a link says nothing of what it leads to, and is all of its cell in a table: a number, or "PDF".

    What it is called is then in another cell.
    """
    cell = anchor.parent
    while cell and cell.tag != "td":
        cell = cell.parent
    text = outline.text(anchor).lower()
    is_alone = cell is not None and outline.length(cell) == outline.length(anchor)
    return is_alone and len(text) > 2 and (not _has_letters(text) or _FILE.fullmatch(text) is not None)


def heading_link(outline: Outline, heading: Node) -> str:
    """Where a heading leads: the link around it, or the first one in it."""
    inside = (node for node in outline.inside(heading)[:MOST_IN_ITEM] if node.anchor is node)
    return next((link for anchor in [heading.anchor, *inside] if (link := article_link(outline, anchor))), "")


def article_link(outline: Outline, anchor: Node | None) -> str:
    """Where a link leads, if that may be an article: not the site's front page, another page of the list, a tag…"""
    link = outline.link(anchor)
    if not anchor or not link or leads_to_page(link) or not _ASIDE_LINKS.isdisjoint(anchor.attribute("rel").split()):
        return ""
    parts, own = urlsplit(link), urlsplit(outline.url)
    return link if parts.path.strip("/") or parts.query or parts.hostname != own.hostname else ""


def reads_more(outline: Outline, anchor: Node) -> bool:
    """Whether a link's text says no more than that there is more."""
    if outline.length(anchor) > 10 * _MORE_LENGTH:
        return False
    text = outline.text(anchor).lower()
    return len(text) <= _MORE_LENGTH and _MORE.match(text.lstrip("[(… ")) is not None


# --- its parts -------------------------------------------------------------------------------------------------------


class Reader:
    """Reads the items of one page."""

    def __init__(self, outline: Outline) -> None:
        self.outline = outline
        self.calendar = Calendar(outline)
        shown = (url for node in outline.nodes if node.tag == "img" for url in set(addresses_of_image(outline, node)))
        self._shown = Counter(shown)

    def item(self, span: Span) -> Item:
        """What can be read from the nodes of one item."""
        outline = self.outline
        nodes = outline.nodes[span.start : min(span.end, span.start + MOST_IN_ITEM)]
        link = span.link or _inner_link(outline, nodes, span.lead)
        taken: set[int] = set()
        title = _title(outline, nodes, span.lead, taken)
        titled = min(taken, default=span.start)
        published = self._published(_dates(outline, nodes, taken), link, taken)
        if not published and (parts := split_date(title)):
            title, published = parts[0], self.calendar.moment(parts[1], span.start, link)
        published = published or self._published(_vague_dates(nodes, taken), link, taken)
        teaser = _teaser(outline, nodes, link, taken, titled)
        return Item(
            title=title,
            link=link,
            summary=html_entities.escape(teaser, quote=False),
            image=self._image(nodes),
            published=published or self._addressed(link, span.lead),
        )

    def _published(self, dates: Iterable[_Told], link: str, taken: set[int]) -> datetime | None:
        """The first of what may be dates that is one; the text that it was read from is marked as taken."""
        for told, at, marked in dates:
            if moment := self.calendar.moment(told, at, link):
                taken.update(marked)
                return moment
        return None

    def _addressed(self, link: str, lead: Lead | None) -> datetime | None:
        """The date in an item's address, or in that of the sign beside its title, which leads to the item itself."""
        beside = self.outline.inside(lead.node) if lead and lead.heading else []
        links = (link, *(self.outline.link(node) for node in beside[:MOST_IN_ITEM] if node.anchor is node))
        return next(filter(None, map(date_of_address, links)), None)

    def _image(self, nodes: Sequence[Node]) -> str:
        pictures = (node for node in nodes if node.tag == "img" and not (_is_tiny(node) or _is_portrait(node)))
        found = (url for picture in pictures for url in addresses_of_image(self.outline, picture))
        behind = (
            self.outline.absolute(match[2]) for node in nodes if (match := _BACKGROUND.search(node.attribute("style")))
        )
        return next((url for url in (*found, *filter(is_picture, behind)) if self._shown[url] < _SHARED), "")


def addresses_of_image(outline: Outline, image: Node) -> Iterator[str]:
    """Where an image may be, as far as that is on the web; the real one before what is shown until it is loaded."""
    urls = (image_address(outline, name, image.attribute(name)) for name in IMAGE_ATTRIBUTES)
    return (url for url in urls if url.startswith("http") and is_picture(url))


def image_address(outline: Outline, attribute: str, value: str) -> str:
    """The absolute address that an attribute of an image tells; of several sizes the first; empty when it is none."""
    several = value.split() if attribute.endswith("srcset") else [value]
    return outline.absolute(several[0].rstrip(",")) if several else ""


def _inner_link(outline: Outline, nodes: Sequence[Node], lead: Lead | None) -> str:
    """Where an item leads whose lead does not say: "Read more", or the only link on a line of its own.

    Links in running text lead elsewhere.  Where the term of a definition only numbers it, that is the link.  Within an
    item that a selector named, any link is better than none.
    """
    anchors = [node for node in nodes if node.anchor is node and article_link(outline, node)]
    more = [anchor for anchor in anchors if reads_more(outline, anchor)]
    alone = {article_link(outline, anchor): anchor for anchor in anchors if _is_alone(anchor, nodes)}
    only = list(alone.values()) if len(alone) == 1 else []
    term = anchors[:1] if nodes[0].tag == "dt" else []
    outer = [nodes[0].anchor, *anchors] if lead is None else []
    return next((link for anchor in [*more, *term, *only, *outer] if (link := article_link(outline, anchor))), "")


def _is_alone(anchor: Node, nodes: Sequence[Node]) -> bool:
    return all(node.anchor is anchor for node in nodes if node.text and node.line == anchor.line)


def _title(outline: Outline, nodes: Sequence[Node], lead: Lead | None, taken: set[int]) -> str:
    """Its title; the nodes that it is made of are marked as taken."""
    if lead and not lead.heading and is_bare(outline, lead.node):
        told = [line for line in lines(nodes) if line[0].anchor is not lead.node and _has_letters(joined(line))]
        chosen = next((line for line in told if _is_title(joined(line))), [])
        taken.update(node.at for node in chosen)
        return joined(chosen)
    if lead and (lead.heading or not reads_more(outline, lead.node)):
        node: Node | None = lead.node
    else:
        node = _title_node(outline, nodes, linked=lead is None)
    if node and node.tag != "a":
        chosen = _heading_text(outline, node)
    else:
        told = lines(outline.inside(node) if node else nodes)
        chosen = next((line for line in told if _is_title(joined(line))), told[0] if told else [])
    taken.update(node.at for node in chosen)
    return joined(chosen)


def _is_title(line: str) -> bool:
    return width(line) >= _SHORTEST_TITLE and not is_date(line)


def _title_node(outline: Outline, nodes: Sequence[Node], *, linked: bool) -> Node | None:
    """The heading of an item, or else its first link, or else what is printed bold at the beginning of a line."""
    headings = (node for node in nodes if node.tag and is_heading(outline, node))
    links = (node for node in nodes if node.anchor is node and linked and not reads_more(outline, node))
    bold = (node for node in nodes if node.tag in ("b", "strong") and node.before <= LABEL)
    return next((node for node in [*headings, *links, *bold] if _has_letters(outline.text(node))), None)


def _heading_text(outline: Outline, heading: Node) -> list[Node]:
    """The nodes that make up a heading's text: those of the link that is most of it, else all.

    Where a term of a definition, or what only calls itself a title, holds more than its link, the link is the title.
    What labels it is left out: a section's name, the word "Title".
    """
    inside = outline.inside(heading)
    anchors = [node for node in inside if node.anchor is node and _has_letters(outline.text(node))]
    most = [anchor for anchor in anchors if 2 * outline.length(anchor) >= outline.length(heading)]
    if not most and not re.fullmatch("h[1-6]", heading.tag) and (len(anchors) > 1 or len(lines(inside)) > 1):
        most = [anchor for anchor in anchors[:1] if anchor.before <= LABEL]
    texts = [
        node for node in (outline.inside(most[0]) if most else inside) if node.text and not _is_sign(outline, node)
    ]
    return _unlabelled(texts, heading, _called(heading, inside))


def _is_sign(outline: Outline, text: Node) -> bool:
    """Whether a text is a link that only shows a sign: the paragraph's own address, a star."""
    return text.anchor is not None and not any(map(str.isalnum, outline.text(text.anchor)))


def _called(heading: Node, inside: Sequence[Node]) -> list[str]:
    """What its link says that it leads to, in an attribute."""
    anchors = [node for node in (heading.anchor, *inside) if node and node.anchor is node]
    return [" ".join(node.attribute(name).split()) for node in anchors for name in ("title", "aria-label")]


def _unlabelled(texts: list[Node], heading: Node, called: Sequence[str]) -> list[Node]:
    """The texts of a heading without those before the title: which its link names in an attribute, or a label's."""
    for first in range(1, len(texts)):
        if width(joined(texts[first:])) >= _SHORTEST_TITLE and joined(texts[first:]) in called:
            return texts[first:]
    own = [node for node in texts if not _is_label(node, heading)]
    return own if _has_letters(joined(own)) else texts


def _is_label(text: Node, heading: Node) -> bool:
    node = text.parent
    while node and node.at > heading.at and _LABEL_NAMES.isdisjoint(node.words):
        node = node.parent
    return node is not None and node.at > heading.at


_Told = tuple[str, int, Iterable[int]]
"""What may be a date, where it stands, and the positions of its text."""


def _dates(outline: Outline, nodes: Sequence[Node], taken: set[int]) -> Iterator[_Told]:
    """What says that it is a date, or is nothing else; the surest first."""
    elements = [node for node in nodes if node.tag]
    for node in elements:
        names = (*DATE_ATTRIBUTES, *("content", "title") * (not _DATE_NAMES.isdisjoint(_property(node))))
        for value in filter(None, map(node.attribute, names)):
            yield value, node.at, range(node.at, node.end)
    for node in elements:
        if (node.tag == "time" or not _DATE_NAMES.isdisjoint(node.words)) and outline.length(node) < LONG_LINE:
            yield outline.text(node), node.at, range(node.at, node.end)
    for line in lines(nodes, lambda node: node.at not in taken):
        if is_date(text := joined(line)):
            yield text, line[0].at, [node.at for node in line]
    for node in elements:
        if is_date(title := node.attribute("title")):
            yield title, node.at, ()


def _vague_dates(nodes: Sequence[Node], taken: set[int]) -> Iterator[_Told]:
    """Dates at the beginning of a line, and those without a year; and the title itself, where it is nothing else."""
    told = [(joined(line), line) for line in lines(nodes, lambda node: node.at not in taken)]
    for text, line in told:
        if without_date(text) != text:
            yield text, line[0].at, ()
    for text, line in told:
        if is_date(text, yearless=True):
            yield text, line[0].at, [node.at for node in line]
    title = [node for node in nodes if node.at in taken and node.text]
    if title and is_date(joined(title)):
        yield joined(title), title[0].at, ()


def _property(node: Node) -> frozenset[str]:
    """The words by which an element may say that its attributes hold a date."""
    return node.words | {word for word in ("published", "date") if word in node.attribute("itemprop").lower()}


def _teaser(outline: Outline, nodes: Sequence[Node], link: str, taken: set[int], titled: int) -> str:
    """The first line of some length, else the longest, that is not the title, the date, or a row of links.

    Args:
        taken: the positions of title and date.
        titled: where the title begins.
    """

    labelled = {node.line for node in nodes if node.text.rstrip().endswith(":") and _is_label(node, nodes[0])}

    def told(node: Node) -> bool:
        is_note = node.furniture or node.line in labelled or _is_aside(outline, node, nodes[0].at, titled)
        return not (node.at in taken or is_note)

    found = [joined(line) for line in lines(nodes, told) if _is_own(outline, line, link)]
    found = [without_date(line).lstrip(" –—-:·|.,;)]") for line in found if not is_date(line)]
    best = next((line for line in found if width(line) >= _FULL_TEASER), max(found, key=width, default=""))
    return best if width(best) >= _SHORT_TEASER else ""


def _is_own(outline: Outline, line: Sequence[Node], link: str) -> bool:
    """Whether most of a line is text, and not links that lead elsewhere."""
    foreign = sum(len(node.text) for node in line if node.anchor and outline.link(node.anchor) != link)
    return 2 * foreign < sum(len(node.text) for node in line)


def _is_aside(outline: Outline, text: Node, start: int, titled: int) -> bool:
    """Whether a text is a note beside the item: "Read more", its author, its tags, a number in place of a term."""
    if text.anchor and (
        reads_more(outline, text.anchor) or not _ASIDE_LINKS.isdisjoint(text.anchor.attribute("rel").split())
    ):
        return True
    node = text.parent
    while node and node.at >= start:
        is_named = node.at > start and not _META_NAMES.isdisjoint(node.words)
        if node.tag == "dt" or (is_named and not node.at <= titled < node.end):
            return True
        node = node.parent
    return False


def _is_tiny(image: Node) -> bool:
    sizes = (image.attribute(name).removesuffix("px") for name in ("width", "height"))
    return any(size.isdecimal() and len(size) < 3 and int(size) <= 32 for size in sizes)


def _is_portrait(image: Node) -> bool:
    """Whether an image, or what is directly around it, says that it shows who wrote it, or is an ornament."""
    around = [image, *filter(None, [image.parent, image.parent and image.parent.parent])]
    return any(not _PORTRAIT_NAMES.isdisjoint(node.words) for node in around)
