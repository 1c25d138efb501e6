"""Where on a page each part of each item stands, and the selectors that would find the same.

Worked out after the fact, from the items and the page, whichever way the items were found: so it cannot make the finder
see anything that a visit would not.  Selectors are only proposed after they were tried.
"""

from __future__ import annotations

import html as html_entities
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, product
from typing import NamedTuple

from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from publisher.errors import SourceError
from publisher.model import Item
from publisher.sources._calendar import Calendar
from publisher.sources._dates import is_date
from publisher.sources._listing import Selectors, find, name_of_section, places_of, section_link
from publisher.sources._outline import Node, Outline
from publisher.sources._parts import DATE_ATTRIBUTES, HEADINGS, IMAGE_ATTRIBUTES, LONG_LINE, image_address, is_heading

_MOST_IN_ITEM = 500
"""Nodes of one item that are looked at."""
_LONGEST_TRIED = 30
"""Characters of a teaser by which it is known again."""
_MOST_ANCESTORS = 6
_MOST_WIDER = 3
"""Selectors that are tried of those that match more than the items."""
_NAME = re.compile(r"[a-zA-Z_][\w-]*", re.ASCII)
_MEANT = {"title": "title", "link": "link", "date": "published", "teaser": "summary", "image": "image"}
"""The field of an item that each part becomes."""


class Place(NamedTuple):
    """An element, and the attribute that holds the part; no attribute: its text does."""

    node: Node
    attribute: str = ""


class Provenance(NamedTuple):
    """Where the parts of the items of one page come from."""

    elements: list[dict[str, str]]
    """For each item and each of its parts that is found on the page: its element, as ``h2 > a@href``."""
    select: dict[str, str]
    """The option ``select`` that finds the same items; empty where none does."""


def provenance(html: str, url: str, items: Sequence[Item]) -> Provenance:
    """Where each part of the items of a page comes from.

    Args:
        html: the page.
        url: where it was found.
        items: what was found on it.
    """
    tree = LexborHTMLParser(html)
    outline = Outline(tree, url)
    calendar = Calendar(outline)
    found = _found_at(outline, items)
    places = {item.link: dict(_places(outline, calendar, nodes, item)) for item, _, nodes in found}
    boxes = [(box, item) for item, box, _ in found]
    elements = [{part: _told(place) for part, place in places.get(item.link, {}).items()} for item in items]
    proposals = (_Proposal(tree, proposed, places) for proposed in (boxes, _articles(boxes, places)))
    return Provenance(elements, next(filter(None, (_tried(html, url, items, each) for each in proposals)), {}))


# --- elements --------------------------------------------------------------------------------------------------------


def _found_at(outline: Outline, items: Sequence[Item]) -> list[tuple[Item, Node, list[Node]]]:
    """Each item that the page leads to or tells, with its element and all its nodes, in the order of the page."""
    by_link = {item.link: item for item in items}
    leads: dict[str, Node] = {}
    for node in outline.nodes:
        if not node.furniture and (link := _leads_to(outline, node)) in by_link:
            leads.setdefault(link, node)
    links = {lead: link for link, lead in leads.items()}
    return [
        (by_link[links[lead]], box, outline.nodes[span.start : min(span.end, span.start + _MOST_IN_ITEM)])
        for lead, box, span in places_of(outline, list(links))
    ]


def _leads_to(outline: Outline, node: Node) -> str:
    if node.tag in HEADINGS and "#" in (link := section_link(outline, node)):
        return link
    return outline.link(node) if node.anchor is node else ""


def _articles(boxes: Sequence[tuple[Node, Item]], places: Mapping[str, Mapping[str, Place]]) -> list[tuple[Node, Item]]:
    """The ``<article>`` around each title, where each has one of its own: the boxes around them may differ."""
    found = {article: item for _, item in boxes if (article := _article(places[item.link].get("title")))}
    return list(found.items()) if len(found) == len(boxes) else []


def _article(title: Place | None) -> Node | None:
    node = title.node if title else None
    while node and node.tag != "article":
        node = node.parent
    return node


def _places(outline: Outline, calendar: Calendar, nodes: Sequence[Node], item: Item) -> Iterator[tuple[str, Place]]:
    elements = [node for node in nodes if node.tag]
    teaser = html_entities.unescape(item.summary)[:_LONGEST_TRIED]
    title = _smallest(outline, elements, lambda text: item.title in text, headings=True)
    found = {
        "title": title,
        "link": _link(outline, elements, item, title),
        "date": _date(outline, calendar, elements, item),
        "teaser": _smallest(outline, elements, lambda text: teaser in text) if teaser else None,
        "image": _image(outline, elements, item),
    }
    return ((part, place) for part, place in found.items() if place)


def _smallest(
    outline: Outline, elements: Sequence[Node], fits: Callable[[str], bool], *, headings: bool = False
) -> Place | None:
    """The element with the shortest text that fits, the first of them; of those around the same text a heading, else
    the innermost.
    """
    fitting = [node for node in elements if outline.length(node) and fits(outline.text(node))]
    least = min(map(outline.length, fitting), default=0)
    shortest = [node for node in fitting if outline.length(node) == least]
    if headings and (named := [node for node in shortest if is_heading(outline, node)]):
        return Place(next((node for node in named if node.tag in HEADINGS), named[0]))
    around = [node for node in shortest if node.end <= shortest[0].end]
    return Place(around[-1]) if around else None


def _link(outline: Outline, elements: Sequence[Node], item: Item, title: Place | None) -> Place | None:
    """The link that its title is, or is in, or holds; else the first to the same address."""
    anchors = [node for node in elements if node.anchor is node and outline.link(node) == item.link]
    by_title = [node for node in anchors if title and (node is title.node.anchor or node in outline.inside(title.node))]
    sections = (node for node in elements if "#" in item.link and _leads_to(outline, node) == item.link)
    named = (Place(*name_of_section(outline, node)) for node in sections)
    return next(chain((Place(node, "href") for node in [*by_title, *anchors]), named), None)


def _date(outline: Outline, calendar: Calendar, elements: Sequence[Node], item: Item) -> Place | None:
    if not item.published:
        return None

    def fits(text: str, node: Node) -> bool:
        return calendar.moment(text, node.at, item.link) == item.published

    for node in elements:
        for name in (*DATE_ATTRIBUTES, "content", "title"):
            if (value := node.attribute(name)) and fits(value, node):
                return Place(node, name)
    short = [node for node in elements if 0 < outline.length(node) < LONG_LINE and fits(outline.text(node), node)]
    return _smallest(outline, short, lambda text: is_date(text, yearless=True)) or _smallest(outline, short, bool)


def _image(outline: Outline, elements: Sequence[Node], item: Item) -> Place | None:
    images = (Place(node, name) for node in elements if node.tag == "img" for name in IMAGE_ATTRIBUTES)
    return next((p for p in images if item.image and image_address(outline, *_named(p)) == item.image), None)


def _named(place: Place) -> tuple[str, str]:
    """An attribute, and its value."""
    return place.attribute, place.node.attribute(place.attribute)


def _told(place: Place) -> str:
    """An element in the words of CSS, with the one around it."""
    parent = place.node.parent
    above = f"{_simple(parent)} > " if parent and parent.tag not in ("", "body", "html") else ""
    return f"{above}{_simple(place.node)}{_attribute(place)}"


def _simple(node: Node) -> str:
    return node.tag + "".join(f".{name}" for name in node.classes[:1] if _NAME.fullmatch(name))


def _attribute(place: Place) -> str:
    return f"@{place.attribute}" if place.attribute else ""


# --- selectors -------------------------------------------------------------------------------------------------------


class _Proposal:
    """Selectors that may find the items, to be tried."""

    def __init__(
        self, tree: LexborHTMLParser, boxes: Sequence[tuple[Node, Item]], places: Mapping[str, Mapping[str, Place]]
    ) -> None:
        self._tree, self._boxes, self._places = tree, boxes, places
        self._raw: dict[int, LexborNode] = {}

    def shows(self, item: Item, part: str) -> bool:
        """Whether the page shows that part of an item."""
        return part in self._places.get(item.link, {})

    def items(self) -> list[str]:
        """What matches all boxes and nothing else, the plainest first; or more, such as the head of a table."""
        wanted = {box.mem_id for box, _ in self._boxes}
        exact, wider = list[str](), list[str]()
        for css in _descriptions([box for box, _ in self._boxes]):
            found = self._matches(css).keys()
            if wanted and found >= wanted:
                (exact if found == wanted else wider).append(css)
        return [*exact[:1], *wider[:_MOST_WIDER]]

    def choose(self, item: str) -> None:
        """Look for parts in what one of these matches."""
        self._raw = self._matches(item)

    def _matches(self, css: str) -> dict[int, LexborNode]:
        try:
            return {raw.mem_id: raw for raw in self._tree.css(css)}
        except SelectolaxError:  # a page may name its elements and classes as it likes
            return {}

    def part(self, part: str) -> str:
        """What finds a part within all the items that have it; empty where nothing does, or it is told otherwise."""
        found = [
            (self._raw[box.mem_id], place) for box, item in self._boxes if (place := self._places[item.link].get(part))
        ]
        if not found or len({place.attribute for _, place in found}) > 1:
            return ""
        for css in _steps([place.node for _, place in found]):
            try:
                hits = [raw.css_first(css) for raw, _ in found]
            except SelectolaxError:
                continue
            if all(hit and hit.mem_id == place.node.mem_id for hit, (_, place) in zip(hits, found, strict=True)):
                return css + _attribute(found[0][1])
        return ""


def _descriptions(boxes: Sequence[Node]) -> Iterator[str]:
    """Selectors for the boxes, the plainest first."""
    yield from _steps(boxes)
    yield from (f"{outer} {inner}" for outer, inner in product(_ancestors(boxes), _plain(boxes)))


def _steps(nodes: Sequence[Node]) -> Iterator[str]:
    """Selectors for elements by what they share: class and tag, and the same of what is directly around them."""
    yield from _plain(nodes)
    parents = [node.parent for node in nodes if node.parent]
    if len(parents) == len(nodes):
        yield from (f"{outer} > {inner}" for outer, inner in product(_plain(parents), _plain(nodes)))


def _plain(nodes: Sequence[Node]) -> Iterator[str]:
    """Their tag, with each of the classes that they share, and alone; nothing where their tags differ.

    Cells of a table are often known by their column alone.
    """
    if len({node.tag for node in nodes}) == 1:
        shared = set.intersection(*(set(node.classes) for node in nodes))
        names = (name for name in sorted(shared, key=lambda name: (len(name), name)) if _NAME.fullmatch(name))
        yield from (f"{nodes[0].tag}.{name}" for name in names)
        yield nodes[0].tag
        if nodes[0].tag == "td" and len(columns := {node.column for node in nodes}) == 1:
            yield f"td:nth-child({columns.pop()})"


def _ancestors(boxes: Sequence[Node]) -> Iterator[str]:
    """Selectors for what is around the first of the boxes, from the inside to the outside."""
    node = boxes[0].parent if boxes else None
    for _ in range(_MOST_ANCESTORS):
        if node is None or node.tag in ("html", "body"):
            return
        identity = node.attribute("id")
        yield from [f"#{identity}"] * bool(_NAME.fullmatch(identity))
        yield from _plain([node])
        node = node.parent


def _tried(html: str, url: str, items: Sequence[Item], proposal: _Proposal) -> dict[str, str]:
    """The first proposed selectors that find the items and no others; empty where none do."""
    return next(filter(None, (_agreed(html, url, items, proposal, item) for item in proposal.items())), {})


def _agreed(html: str, url: str, items: Sequence[Item], proposal: _Proposal, item: str) -> dict[str, str]:
    """The selectors for an item and its parts; a part for which they find something else is left to be found by itself.

    None at all where items or parts would be missed: those that lie side by side, with no element around them.
    """
    proposal.choose(item)
    parts = {part: css for part in _MEANT if (css := proposal.part(part))}
    for _ in range(2):
        found = _found(html, url, item, parts)
        if found.keys() != {told.link for told in items}:
            return {}
        wrong = {part for part in _MEANT if not all(_agrees(part, told, found, proposal) for told in items)}
        if not wrong:
            return {"item": item, **parts}
        parts = {part: css for part, css in parts.items() if part not in wrong}
    return {}


def _found(html: str, url: str, item: str, parts: Mapping[str, str]) -> dict[str, Item]:
    """What selectors find, by link."""
    try:
        return {told.link: told for told in find(html, url, Selectors(item=item, **parts)).items}
    except SourceError:
        return {}


def _agrees(part: str, told: Item, found: Mapping[str, Item], proposal: _Proposal) -> bool:
    """Whether a part is found as it was told; what the page does not show, but tells as data, may be missed."""
    name = _MEANT[part]
    same = told.link in found and getattr(found[told.link], name) == getattr(told, name)
    return same or (told.link in found and not proposal.shows(told, part))
