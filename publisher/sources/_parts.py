"""The parts of one item of a list, read from its place on the page: title, link, date, teaser, image.  Pure.

And what an item is recognised by: a heading, a link that may lead to an article, a link that only says "Read more".
"""

from __future__ import annotations

import html as html_entities
import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from publisher.html import is_picture
from publisher.model import Item
from publisher.sources._dates import is_date, read_date, without_date
from publisher.sources._outline import Node, Outline, joined, word_set
from publisher.sources._pager import leads_to_page

MOST_IN_ITEM = 2_000
"""Nodes of one item that are looked at."""
LABEL = 30
"""Characters that may stand before a title on its line: a date, a section's name."""
LONG_LINE = 80
_FULL_TEASER = 40
_SHORT_TEASER = 20
HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6", "dt"})
_TITLE_NAMES = frozenset({"title", "headline", "heading", "ueberschrift", "titel", "titre", "titolo", "titulo"})
_DATE_NAMES = frozenset({"date", "datum", "time", "published", "posted", "fecha", "datetime", "timestamp"})
_META_NAMES = _DATE_NAMES | word_set("meta author byline category categories tag tags kicker label badge")
DATE_ATTRIBUTES = ("datetime", "data-date", "data-datetime", "data-time", "data-timestamp", "data-published")
IMAGE_ATTRIBUTES = ("data-src", "data-lazy-src", "data-original", "src")
_MORE = re.compile(
    r"((read|learn|see|view|find out|show) (more|on|full|the full|article|all|details|story|post)"
    r"|(continue|keep) reading|more|full (story|article)|details?"
    r"|(jetzt )?(weiter|weiterlesen|mehr|artikel lesen|lesen|zum artikel|zur meldung|zum beitrag)"
    r"|lire|en savoir|(la |voir la )?suite|voir plus|plus d|leer|seguir leyendo|ver más|más|saber más"
    r"|leggi|continua|scopri|di più|lees (meer|verder)|meer|läs mer|les mer|læs mere|ler mais|saiba mais|leia"
    r"|czytaj|więcej)\b|[…»›→>.\[]+\W*$"
)
_MORE_LENGTH = 50
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


def is_heading(node: Node) -> bool:
    """Whether an element is one by its tag, or calls itself one."""
    return node.tag in HEADINGS or (node.tag not in ("a", "tr", "table") and not _TITLE_NAMES.isdisjoint(node.words))


def heading_link(outline: Outline, heading: Node) -> str:
    """Where a heading leads: the link around it, or the first one in it."""
    inside = (node for node in outline.inside(heading)[:MOST_IN_ITEM] if node.anchor is node)
    return next((link for anchor in [heading.anchor, *inside] if (link := article_link(outline, anchor))), "")


def article_link(outline: Outline, anchor: Node | None) -> str:
    """Where a link leads, if that may be an article: not the front page, another page of the list, a tag…"""
    link = outline.link(anchor)
    if not anchor or not link or leads_to_page(link) or not _ASIDE_LINKS.isdisjoint(anchor.attribute("rel").split()):
        return ""
    parts = urlsplit(link)
    return link if parts.path.strip("/") or parts.query else ""


def reads_more(outline: Outline, anchor: Node) -> bool:
    """Whether a link's text says no more than that there is more."""
    if outline.length(anchor) > 10 * _MORE_LENGTH:
        return False
    text = outline.text(anchor).lower()
    return len(text) <= _MORE_LENGTH and _MORE.match(text.lstrip("[(… ")) is not None


# --- its parts --------------------------------------------------------------------------------------------------------


def read_item(outline: Outline, span: Span) -> Item:
    """What can be read from the nodes of one item."""
    nodes = outline.nodes[span.start : min(span.end, span.start + MOST_IN_ITEM)]
    link = span.link or _inner_link(outline, nodes, span.lead)
    taken: set[int] = set()
    title = _title(outline, nodes, span.lead, taken)
    published = _published(outline, nodes, taken)
    return Item(
        title=title,
        link=link,
        summary=html_entities.escape(_teaser(outline, nodes, link, taken), quote=False),
        image=_image(outline, nodes),
        published=published,
    )


def _inner_link(outline: Outline, nodes: Sequence[Node], lead: Lead | None) -> str:
    """Where an item leads whose lead does not say: "Read more", or the only link on a line of its own.

    Links in running text lead elsewhere.  Within an item that a selector named, any link is better than none.
    """
    anchors = [node for node in nodes if node.anchor is node and article_link(outline, node)]
    more = [anchor for anchor in anchors if reads_more(outline, anchor)]
    alone = {article_link(outline, anchor): anchor for anchor in anchors if _is_alone(anchor, nodes)}
    only = list(alone.values()) if len(alone) == 1 else []
    outer = [nodes[0].anchor, *anchors] if lead is None else []
    return next((link for anchor in [*more, *only, *outer] if (link := article_link(outline, anchor))), "")


def _is_alone(anchor: Node, nodes: Sequence[Node]) -> bool:
    return all(node.anchor is anchor for node in nodes if node.text and node.line == anchor.line)


def _title(outline: Outline, nodes: Sequence[Node], lead: Lead | None, taken: set[int]) -> str:
    """Its title; the nodes that it is made of are marked as taken."""
    if lead and (lead.heading or not reads_more(outline, lead.node)):
        node: Node | None = lead.node
    else:
        node = _title_node(outline, nodes, linked=lead is None)
    if node and node.tag != "a":
        chosen = _heading_text(outline, node)
    else:
        lines = _lines(outline.inside(node) if node else nodes, lambda node: True)
        chosen = next((line for line in lines if _is_title(joined(line))), lines[0] if lines else [])
    taken.update(node.at for node in chosen)
    return joined(chosen)


def _is_title(line: str) -> bool:
    return len(line) >= 10 and not is_date(line)


def _title_node(outline: Outline, nodes: Sequence[Node], *, linked: bool) -> Node | None:
    """The heading of an item, or else its first link, or else what is printed bold at the beginning of a line."""
    headings = (node for node in nodes if node.tag and is_heading(node))
    links = (node for node in nodes if node.anchor is node and linked and not reads_more(outline, node))
    bold = (node for node in nodes if node.tag in ("b", "strong") and node.before <= LABEL)
    return next((node for node in [*headings, *links, *bold] if any(map(str.isalpha, outline.text(node)))), None)


def _heading_text(outline: Outline, heading: Node) -> list[Node]:
    """The nodes that make up a heading's text: those of the link that is most of it, else all."""
    inside = outline.inside(heading)
    anchors = [node for node in inside if node.anchor is node and 2 * outline.length(node) >= outline.length(heading)]
    return [node for node in (outline.inside(anchors[0]) if anchors else inside) if node.text]


def _published(outline: Outline, nodes: Sequence[Node], taken: set[int]) -> datetime | None:
    """Its date; the text that it was read from is marked as taken."""
    for told, marked in _dates(outline, nodes, taken):
        if moment := read_date(told, month_first=outline.language.lower() == "en-us"):
            taken.update(marked)
            return moment
    return None


def _dates(outline: Outline, nodes: Sequence[Node], taken: set[int]) -> Iterator[tuple[str, Iterable[int]]]:
    """What may be a date, the surest first, each with the positions of its text."""
    elements = [node for node in nodes if node.tag]
    for node in elements:
        names = (*DATE_ATTRIBUTES, *("content", "title") * (not _DATE_NAMES.isdisjoint(_property(node))))
        for value in filter(None, map(node.attribute, names)):
            yield value, range(node.at, node.end)
    for node in elements:
        if (node.tag == "time" or not _DATE_NAMES.isdisjoint(node.words)) and outline.length(node) < LONG_LINE:
            yield outline.text(node), range(node.at, node.end)
    for line in _lines(nodes, lambda node: node.at not in taken):
        text = joined(line)
        if is_date(text):
            yield text, [node.at for node in line]
        elif without_date(text) != text:
            yield text, ()


def _property(node: Node) -> frozenset[str]:
    """The words by which an element may say that its attributes hold a date."""
    return node.words | {word for word in ("published", "date") if word in node.attribute("itemprop").lower()}


def _teaser(outline: Outline, nodes: Sequence[Node], link: str, taken: set[int]) -> str:
    """The first line of some length, else the longest, that is not the title, the date, or a row of links."""

    def told(node: Node) -> bool:
        return not (node.at in taken or node.furniture or _is_aside(outline, node, nodes[0].at))

    lines = [joined(line) for line in _lines(nodes, told) if _is_own(outline, line, link)]
    lines = [without_date(line).lstrip(" –—-:·|") for line in lines if not is_date(line)]
    best = next((line for line in lines if len(line) >= _FULL_TEASER), max(lines, key=len, default=""))
    return best if len(best) >= _SHORT_TEASER else ""


def _is_own(outline: Outline, line: Sequence[Node], link: str) -> bool:
    """Whether most of a line is text, and not links that lead elsewhere."""
    foreign = sum(len(node.text) for node in line if node.anchor and outline.link(node.anchor) != link)
    return 2 * foreign < sum(len(node.text) for node in line)


def _is_aside(outline: Outline, text: Node, start: int) -> bool:
    """Whether a text is a note beside the item: "Read more", its author, its tags."""
    if text.anchor and (
        reads_more(outline, text.anchor) or not _ASIDE_LINKS.isdisjoint(text.anchor.attribute("rel").split())
    ):
        return True
    node = text.parent
    while node and node.at > start and _META_NAMES.isdisjoint(node.words):
        node = node.parent
    return node is not None and node.at > start


def _lines(nodes: Iterable[Node], wanted: Callable[[Node], bool]) -> list[list[Node]]:
    """The wanted texts, those together that follow one another on one line of the page."""
    lines: list[list[Node]] = []
    current = -1
    for node in nodes:
        if not node.text:
            continue
        if not wanted(node):
            current = -1
        elif node.line == current:
            lines[-1].append(node)
        else:
            lines.append([node])
            current = node.line
    return lines


def _image(outline: Outline, nodes: Iterable[Node]) -> str:
    images = (node for node in nodes if node.tag == "img" and not _is_tiny(node))
    found = (outline.absolute(image.attribute(name)) for image in images for name in IMAGE_ATTRIBUTES)
    return next((url for url in found if url.startswith("http") and is_picture(url)), "")


def _is_tiny(image: Node) -> bool:
    sizes = (image.attribute(name).removesuffix("px") for name in ("width", "height"))
    return any(size.isdecimal() and len(size) < 3 and int(size) <= 32 for size in sizes)
