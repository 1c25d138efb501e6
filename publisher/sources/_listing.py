"""Find the list of articles on a page that has no feed: HTML in, items out.  Pure.

With selectors, the operator said what an item is.  Without them the list is found:

1.  *Leads.*  A lead is what an item is recognised by: a heading (``h1`` to ``h6``, ``dt``, or an element with a class
    like ``card-title``), or a link that stands at the beginning of its line, or one that reads "Read more".  Menus,
    side bars, footers, pagers and links to the page itself are left out.
2.  *Groups.*  Leads reached by the same path of tags belong together.  The same leads are grouped in three ways: by
    path; by path, but with headings of any level taken for one, and the cells of a row for one; by path and classes.
3.  *Spans.*  An item reaches from its box, the highest element that holds no other item's lead, to the next item's
    box, so that titles, teasers and links which lie side by side without a wrapper are one item.
4.  *Score.*  Each item is worth what can be read from it: up to 1 for its title (25 characters are a full one), 1 for
    a heading, 1 for a teaser, 1/2 for a date, 1/4 for an image.  A list is worth the mean of its items times
    log2(1 + items), times the share of different titles; half when most links leave the site without being dated, a
    quarter more inside ``<main>``.  The best list wins.  Entries in JSON-LD (schema.org) and microformats (h-entry)
    come first when they tell of the same links.
5.  *Kin.*  Other lists on the page whose items are built of the same tags and classes, and other ``<article>``s where
    the items are such, belong to it: the sections of a front page, and its lead story.
6.  *Addresses.*  Where no list is found so, links that share a folder of the site (``/news/2026/…``) are one, wherever
    they stand.
7.  *Doubt.*  There is no list where items are worth too little, where there are only one or two with little but a
    title, or where the page says far more outside the list than in it, as an article above its related links does.
8.  *Sections.*  Where nothing is found, the page may tell its news itself, under headings that have dates and addresses
    of their own: a list of changes.
"""

from __future__ import annotations

import html as html_entities
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import pairwise
from math import log2
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from pydantic import Field

from publisher.errors import SourceError
from publisher.model import Item
from publisher.sources._dates import date_of_address, is_date
from publisher.sources._outline import Node, Outline, without_fragment
from publisher.sources._pager import older
from publisher.sources._parts import (
    LABEL,
    LONG_LINE,
    MOST_IN_ITEM,
    Lead,
    Reader,
    Span,
    article_link,
    heading_link,
    image_address,
    is_bare,
    is_heading,
    reads_more,
    width,
)
from publisher.sources._records import told_as_data
from publisher.sources._stand_in import is_rich, stand_in

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

_MOST_ITEMS = 200
_MOST_GROUPS = 20
"""Groups that are looked at closely, the most promising first."""
_FULL_TITLE = 25
_LONGEST_TITLE = 500
_WORTH = 0.75
_WORTH_OF_TWO = 1.25
"""Two links with nothing but a title are not yet a list."""
_MUCH_PROSE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Selectors:
    """Where the parts of an item are, each a CSS selector, with ``@attribute`` after it to take an attribute."""

    item: Annotated[str, Field(description="One article of the list.", examples=["article.news", "#news > li"])]
    title: Annotated[
        str | None, Field(description="Within the item; found by itself when left out.", examples=["h2"])
    ] = None
    link: Annotated[
        str | None, Field(description="Within the item; found by itself when left out.", examples=["h2 a@href"])
    ] = None
    teaser: Annotated[
        str | None, Field(description="Within the item; found by itself when left out.", examples=["p.summary"])
    ] = None
    date: Annotated[
        str | None, Field(description="Within the item; found by itself when left out.", examples=["time@datetime"])
    ] = None
    image: Annotated[
        str | None, Field(description="Within the item; found by itself when left out.", examples=["img@data-src"])
    ] = None

    def __post_init__(self) -> None:
        from selectolax.lexbor import LexborHTMLParser, SelectolaxError

        nothing = LexborHTMLParser("")
        for name, text in self.given().items():
            try:
                nothing.css(split_selector(text)[0])
            except SelectolaxError:
                raise ValueError(f"{name}: not a CSS selector: {text!r}") from None

    def given(self) -> dict[str, str]:
        """The selectors that there are, by name."""
        return {name: text for name in _PARTS if (text := getattr(self, name)) is not None}


_PARTS = ("item", "title", "link", "teaser", "date", "image")


def split_selector(text: str) -> tuple[str, str]:
    """``h2 a@href`` as ``("h2 a", "href")``; the attribute is empty when none is named."""
    match = re.fullmatch(r"(.*[^\s@])\s*@\s*([\w:.-]+)", text.strip())
    return (match[1], match[2]) if match else (text, "")


@dataclass(frozen=True, slots=True)
class Listing:
    """What a page lists."""

    title: str
    """The page's own."""
    items: tuple[Item, ...]
    """In the order of the page, at least one, at most 200; none shares its link with another."""
    way: str
    """How they were found."""
    older: str = ""
    """The address of the page that goes on with the list; empty where it has no other."""
    maps: tuple[str, ...] = ()
    """In place of items: the addresses of the sitemaps that an index names."""
    shape: str = ""
    """Differs when the list stands elsewhere on the page, or in other elements; empty where selectors named it."""


def find(html: str, url: str, select: Selectors | None = None) -> Listing:
    """The articles that a page lists.

    Args:
        html: the page.
        url: where it was found.
        select: what an item is; found when left out.

    Raises:
        SourceError: there is no list, or the selectors match nothing: an empty list is never an answer.
    """
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(html)
    outline = Outline(tree, url)
    title = _page_title(tree)
    reader = Reader(outline)
    items, way, shape = (_selected(tree, reader, select), "selectors", "") if select else _discovered(tree, reader)
    if found := stand_in(tree, url, is_list=bool(items) if select else is_rich(items)):
        raise SourceError(f"{url}: this looks like {found.what}", hint=found.hint)
    if not items:
        raise _nothing(tree, url, select)
    return Listing(
        title,
        tuple(replace(item, language=outline.language) for item in items),
        way,
        older(tree, outline),
        shape=shape,
    )


def _page_title(tree: LexborHTMLParser) -> str:
    title = tree.css_first("head title")
    return " ".join(title.text().split()) if title else ""


def _nothing(tree: LexborHTMLParser, url: str, select: Selectors | None) -> SourceError:
    """What to say of a page on which nothing was found."""
    if select:
        matched = len(tree.css(split_selector(select.item)[0]))
        message = f"{url}: select.item ({select.item}) matches {matched} elements, none of them with a title and a link"
        return SourceError(message, hint="look at the page's source and mend the selectors, or leave them out")
    return SourceError(
        f"{url}: no list of articles was found on this page",
        hint="name the page that lists the news, or say with `select` what one item of its list is",
    )


def _distinct(items: Iterable[Item]) -> list[Item]:
    """The items that have a title and a link, one for each link; of a note that is its own title no teaser is left."""
    found: dict[str, Item] = {}
    for item in items:
        if item.title and item.link:
            is_told = html_entities.unescape(item.summary) == item.title
            found.setdefault(item.link, replace(item, summary="") if is_told else item)
    return list(found.values())[:_MOST_ITEMS]


# --- with selectors --------------------------------------------------------------------------------------------------


def _selected(tree: LexborHTMLParser, reader: Reader, select: Selectors) -> list[Item]:
    places = {node.mem_id: node for node in reader.outline.nodes if node.tag}
    found = tree.css(split_selector(select.item)[0])[:_MOST_ITEMS]
    boxes = ((raw, places[raw.mem_id]) for raw in found if raw.mem_id in places)
    return _distinct(_picked(reader, select, raw, Span(box.at, box.end)) for raw, box in boxes)


def _picked(reader: Reader, select: Selectors, raw: LexborNode, span: Span) -> Item:
    """An item as selectors tell it; what they leave out is found within it."""
    given = {name: _value(raw, text, name) for name, text in select.given().items() if name != "item"}
    outline = reader.outline
    item = reader.item(replace(span, link=outline.absolute(given.get("link", ""))))
    if "title" in given:
        item = replace(item, title=given["title"])
    if "teaser" in given:
        item = replace(item, summary=html_entities.escape(given["teaser"], quote=False))
    if "date" in given:
        told = reader.calendar.moment(given["date"], span.start, item.link)
        item = replace(item, published=told or date_of_address(item.link))
    if "image" in given:
        attribute = split_selector(select.given()["image"])[1]
        item = replace(item, image=image_address(outline, attribute, given["image"]))
    return item


_ATTRIBUTE = {"link": "href", "image": "src", "date": "datetime"}
"""What is taken of an element when the selector does not say."""


def _value(raw: LexborNode, selector: str, part: str) -> str:
    css, attribute = split_selector(selector)
    node = raw.css_first(css)
    if node is None:
        return ""
    usual = node.attributes.get(attribute or _ATTRIBUTE.get(part, ""))
    return " ".join((usual or ("" if attribute else node.text(separator=" "))).split())


# --- without selectors -----------------------------------------------------------------------------------------------

_H_ENTRY = {
    "item": ".h-entry",
    "title": ".p-name",
    "link": "a.u-url@href",
}
"""Microformats 2 (microformats.org/wiki/h-entry); the other parts are found as elsewhere."""


def _discovered(tree: LexborHTMLParser, reader: Reader) -> tuple[list[Item], str, str]:
    """The items, how they were found, and the shape of the list."""
    outline, best = reader.outline, _best_list(reader)
    found = best.items if best else []
    shape = _shape(outline, best) if best else ""
    data, marked = _distinct(told_as_data(tree, outline)), _selected(tree, reader, Selectors(**_H_ENTRY))
    for told, way in ((data, "JSON-LD"), (marked, "h-feed")):
        if len(told) > 1 and _agree(told, found):
            return _distinct(_completed(told, found)), way, shape
    return found, best.way if best else "", shape


def _shape(outline: Outline, found: _List) -> str:
    """A mark of where on a page a list stands: of the tags and classes around its items, and the tags down to a title.

    Classes within an item tell of that item, and are others tomorrow.
    """
    first = found.spans[0]
    steps, node = [], first.lead.node if first.lead else None
    while node and node.parent:
        steps.append(node.tag if node.at >= first.start else ".".join((node.tag, *node.classes)))
        node = node.parent
    return sha256(">".join(steps).encode(errors="replace")).hexdigest()[:8]


def _agree(told: Sequence[Item], found: Sequence[Item]) -> bool:
    """Whether what the page's data tells is what its readers see."""
    shared = {item.link for item in told} & {item.link for item in found}
    return bool(found) and 2 * len(shared) >= len(found) and 2 * len(shared) >= len(told)


def _completed(told: Sequence[Item], found: Sequence[Item]) -> list[Item]:
    seen = {item.link: item for item in found}
    return [_filled(item, seen.get(item.link, item)) for item in told]


def _filled(item: Item, other: Item) -> Item:
    return replace(
        item,
        summary=item.summary or other.summary,
        image=item.image or other.image,
        published=item.published or other.published,
    )


def _best_list(reader: Reader) -> _List | None:
    outline = reader.outline
    groups = sorted(_groups(outline), key=lambda group: _promise(outline, group), reverse=True)[:_MOST_GROUPS]
    lists = [found for group in groups for found in _lists(reader, group)]
    best = max(lists, key=lambda found: found.score, default=None)
    if not best or not best.believable:
        scattered = (_scattered(reader, group) for group in _by_address(outline))
        best = max(scattered, key=lambda found: found.score, default=None)
    if best and best.believable:
        best = _with_kin(reader, best, lists)
        if not _is_article(outline, best.spans):
            return best
    return _sections(reader)


def _with_kin(reader: Reader, best: _List, lists: Sequence[_List]) -> _List:
    """A list together with those elsewhere on the page whose items are built alike: the sections of a front page."""
    kin, spans = _build(best), list(best.spans)
    taken = {at for span in spans for at in range(span.start, span.end)}
    for other in lists:
        if (other.believable or _is_rich(other)) and not kin.isdisjoint(_build(other)):
            spans += [span for span in other.spans if taken.isdisjoint(range(span.start, span.end))]
            taken.update(at for span in other.spans for at in range(span.start, span.end))
    if len(spans) == len(best.spans):
        return best
    return _weighed(reader, sorted(spans, key=lambda span: span.start))


def _build(found: _List) -> set[Hashable]:
    """What the items of a list are made of, as far as others are known by it.

    That is tags with classes; being an ``<article>``, which is the same thing everywhere (HTML section 4.3.2); and a
    heading, teaser and picture at the same path, with dates or without.  So a lead story that looks different is found.
    """
    span, steps = found.spans[0], []
    node = span.lead.node if span.lead else None
    while node and node.at >= span.start:
        steps.append((node.tag, node.classes))
        node = node.parent
    is_linked = span.lead is not None and span.lead.heading and span.link
    is_article = span.lead and is_linked and _article(span.lead.node)
    is_marked = any(classes for _, classes in steps)
    is_story = span.lead and is_linked and _is_rich(found)
    dated = all(item.published for item in found.items)
    return {
        *([tuple(steps)] if is_marked else []),
        *(["article"] if is_article else []),
        *([(span.lead.node.loose, dated)] if span.lead and is_story else []),
    }


def _is_rich(found: _List) -> bool:
    """Whether all items have a teaser, and a picture too."""
    return all(item.summary and item.image for item in found.items) and bool(found.items)


def _sections(reader: Reader) -> _List | None:
    """The dated sections of a page that tells its news itself: a list of changes, a log.

    They have addresses of their own on the page, and their dates tell them from the chapters of a text.
    """
    outline, page = reader.outline, without_fragment(reader.outline.url)
    if date_of_address(page):
        return None
    for tag in ("h1", "h2", "h3", "h4", "dt"):
        headings = [node for node in outline.nodes if node.tag == tag and not node.furniture][: _MOST_ITEMS + 1]
        named = {node: link for node in headings if (link := section_link(outline, node))}
        ends = [*(node.at for node in named), len(outline.nodes)][1:]
        spans = [
            Span(node.at, end, Lead(node, link, heading=True), link)
            for (node, link), end in zip(named.items(), ends, strict=True)
        ]
        dated = [(span, item) for span in spans if (item := reader.item(span)).published]
        if len(dated) > 1 and 3 * len(dated) >= 2 * len(spans):
            items = _distinct(item for _, item in dated)
            return _List(items, [span for span, _ in dated], 0, believable=True, way="dated sections")
    return None


def section_link(outline: Outline, heading: Node) -> str:
    """The address of what stands under a heading, on its page; empty where it has none."""
    node, attribute = name_of_section(outline, heading)
    return f"{without_fragment(outline.url)}#{node.attribute(attribute)}" if attribute else ""


def name_of_section(outline: Outline, heading: Node) -> tuple[Node, str]:
    """The element, and its attribute, that name what stands under a heading; no attribute: nothing does."""
    parent = heading.parent
    is_first = parent is not None and next(outline.children(parent), None) is heading
    nodes = [heading, *outline.inside(heading)[:MOST_IN_ITEM], *([parent] if parent and is_first else [])]
    names = ((node, name) for node in nodes for name in ("id", *["name"] * (node.tag == "a")))
    return next(((node, name) for node, name in names if node.attribute(name)), (heading, ""))


@dataclass(frozen=True, slots=True)
class _List:
    items: list[Item]
    spans: list[Span]
    score: float
    believable: bool
    way: str = "repeated structure"


def _article(node: Node | None) -> Node | None:
    while node and node.tag != "article":
        node = node.parent
    return node


def _groups(outline: Outline) -> Iterator[list[Lead]]:
    """Leads that look alike, in page order, one for each item."""
    groups: dict[Hashable, list[Lead]] = defaultdict(list)
    for lead in _leads(outline):
        node = lead.node
        above = node.parent.classes if node.parent else ()
        for key in (("path", node.path), ("loose", node.loose), (node.path, node.classes, above)):
            group = groups[key]
            if not group or group[-1].identity != lead.identity:
                group.append(lead)
    kept: dict[Hashable, list[Lead]] = {tuple(lead.node.at for lead in group): group for group in groups.values()}
    return (group for group in kept.values() if len(group) > 1 or _article(group[0].node))


def _by_address(outline: Outline) -> Iterator[list[Lead]]:
    """Leads that are alike in nothing but the folder of their addresses, its numbers aside (``/news/2026/…``)."""
    groups: dict[str, dict[str, Lead]] = defaultdict(dict)
    for lead in _leads(outline):
        if folder := _folder(lead.link):
            groups[folder].setdefault(lead.link, lead)
    return (list(group.values()) for group in groups.values() if len(group) > 2)


def _folder(link: str) -> str:
    parts = urlsplit(link)
    folder = parts.path.rstrip("/").rpartition("/")[0]
    return f"{parts.netloc}{re.sub('[0-9]+', '#', folder)}" if folder.strip("/") else ""


def _leads(outline: Outline) -> Iterator[Lead]:
    for node in outline.nodes:
        if not node.tag or node.furniture:
            continue
        if is_heading(outline, node) and outline.length(node) <= _LONGEST_TITLE:
            yield Lead(node, heading_link(outline, node), heading=True)
        elif node.tag == "a" and (node.before <= LABEL or reads_more(outline, node)):
            link = article_link(outline, node)
            if link and (any(map(str.isalpha, outline.text(node))) or is_bare(outline, node)):
                yield Lead(node, link, heading=False)


def _promise(outline: Outline, group: Sequence[Lead]) -> float:
    """What a group may be worth, before its items are read."""
    length = sum(min(outline.length(lead.node) / _FULL_TITLE, 1) for lead in group) / len(group)
    return (length + group[0].heading) * log2(1 + len(group))


# --- from leads to spans ---------------------------------------------------------------------------------------------


_Boxes = list[tuple[Node, Lead]]


def _lists(reader: Reader, group: Sequence[Lead]) -> Iterator[_List]:
    """The lists that a group's leads make up: one for each kind of place that their boxes are in."""
    outline, group = reader.outline, group[: _MOST_ITEMS + 1]
    backward = 2 * sum(not lead.heading and reads_more(outline, lead.node) for lead in group) > len(group)
    kinds: dict[Hashable, dict[Node, _Boxes]] = defaultdict(lambda: defaultdict(list))
    for box, lead in _boxes(group):
        if box.parent:
            kinds[box.parent.place][box.parent].append((box, lead))
    for containers in kinds.values():
        yield _weighed(reader, [span for boxes in containers.items() for span in _spans(outline, *boxes, backward)])


def _scattered(reader: Reader, group: Sequence[Lead]) -> _List:
    """The list that leads make up which stand in no common structure."""
    spans = [Span(box.at, box.end, lead, lead.link) for box, lead in _boxes(group[:_MOST_ITEMS])]
    return _weighed(reader, spans)


def _boxes(group: Sequence[Lead]) -> Iterator[tuple[Node, Lead]]:
    """Each lead with the highest element that holds no other, brought to the level at which many of them are.

    A lone item in the last row of a grid would take the row for its box.  What looks like the boxes there is one,
    whatever its level.
    """
    if len(group) == 1:
        yield _article(group[0].node) or group[0].node, group[0]
        return
    places = [-1, *(lead.node.at for lead in group), sys.maxsize]
    highest = [_highest(lead.node, places[number], places[number + 2]) for number, lead in enumerate(group)]
    depths = Counter(box.depth for box in highest)
    level = max((depth for depth, count in depths.items() if 4 * count >= len(group)), default=0)
    there = {(box.tag, box.classes) for box in highest if box.depth == level and box.classes}
    for box, lead in zip(highest, group, strict=True):
        is_there = box.depth >= level or (box.tag, box.classes) in there
        article = _article(lead.node)
        lower = article if article and box.at <= article.at else _at_depth(lead.node, level)
        yield (box if is_there else lower), lead


def places_of(outline: Outline, leads: Sequence[Node]) -> list[tuple[Node, Node, Span]]:
    """Each of these headings or links with the element of the item that it leads to, and all that belongs to that."""
    found: dict[Node, _Boxes] = defaultdict(list)
    for box, lead in _boxes([Lead(node, "", heading=False) for node in leads]):
        found[box.parent or box].append((box, lead))
    backward = 2 * sum(reads_more(outline, node) for node in leads) > len(leads)
    spans = (pair for place in found.items() for pair in zip(_spans(outline, *place, backward), place[1], strict=True))
    return sorted(((lead.node, box, span) for span, (box, lead) in spans), key=lambda place: place[1].at)


def _highest(node: Node, before: int, after: int) -> Node:
    """The highest element around a node that holds neither of two positions."""
    while node.parent and node.parent.at > before and node.parent.end <= after:
        node = node.parent
    return node


def _at_depth(node: Node, depth: int) -> Node:
    while node.parent and node.depth > depth:
        node = node.parent
    return node


def _spans(outline: Outline, container: Node, boxes: _Boxes, backward: bool) -> Iterator[Span]:
    """The run of siblings that each item is: from its box to the next one, or the other way round.

    What would reach to the end of the container, or from its beginning, is as long as the longest of the others.
    """
    siblings = list(outline.children(container))
    places = {sibling.at: place for place, sibling in enumerate(siblings)}
    at = [places[box.at] for box, _ in boxes]
    if backward:
        at = [place + 1 for place in at]
        edges = [max(0, at[0] - _longest(at)), *at]
    else:
        first = _first_of_item(outline, siblings, at)
        at = [place - first for place in at]
        edges = [*at, min(len(siblings), at[-1] + max(_longest(at), first + 1))]
    for (start, end), (_, lead) in zip(pairwise(edges), boxes, strict=True):
        yield Span(siblings[start].at, siblings[end - 1].end, lead, lead.link)


def _longest(at: Sequence[int]) -> int:
    return max((after - before for before, after in pairwise(at)), default=1)


def _first_of_item(outline: Outline, siblings: Sequence[Node], at: Sequence[int]) -> int:
    """How many siblings before each box belong to it: dates and pictures that stand over all titles alike."""
    count = 0
    while count < 2 and all(place > count and _is_prelude(outline, siblings[place - count - 1]) for place in at):
        count += 1
    return count


def _is_prelude(outline: Outline, node: Node) -> bool:
    if node.tag == "dt":
        return True  # of the definition that the box is
    if node.tag and not outline.length(node):
        return any(inner.tag == "img" for inner in outline.nodes[node.at : node.end][:MOST_IN_ITEM])
    return outline.length(node) < LONG_LINE and is_date(outline.text(node))


# --- what a list is worth --------------------------------------------------------------------------------------------


def _weighed(reader: Reader, spans: list[Span]) -> _List:
    outline, items = reader.outline, _distinct(map(reader.item, spans))
    lead = spans[0].lead
    if not items or not lead:
        return _List(items, spans, 0, believable=False)
    mean = sum(_worth(item, lead.heading) for item in items) / len(items)
    mean *= len({item.title for item in items}) / len(items)
    mean *= 0.5 if _leads_away(outline, items) else 1
    mean *= 1.25 if _in_main(lead.node) else 1
    enough = len(items) > 2 or (len(items) == 2 and mean > _WORTH_OF_TWO) or _article(lead.node) is not None
    believable = mean >= _WORTH and enough
    return _List(items, spans, mean * log2(1 + len(items)), believable)


def _worth(item: Item, heading: bool) -> float:
    title = min(width(item.title) / _FULL_TITLE, 1)
    return title + heading + bool(item.summary) + bool(item.published) / 2 + bool(item.image) / 4


def _leads_away(outline: Outline, items: Sequence[Item]) -> bool:
    """Whether most links leave the site, and are no news by their dates either: friends, sponsors."""
    ours = sum(_site(item.link) == _site(outline.url) for item in items)
    dated = sum(item.published is not None for item in items)
    return 2 * max(ours, dated) < len(items)


def _site(url: str) -> str:
    return (urlsplit(url).hostname or "").removeprefix("www.")


def _in_main(node: Node | None) -> bool:
    while node and node.tag != "main" and node.attribute("role") != "main":
        node = node.parent
    return node is not None


def _is_article(outline: Outline, spans: Sequence[Span]) -> bool:
    """Whether the page says far more in running text outside of a list than the list does."""
    inside = sum(outline.length_between(span.start, span.end) for span in spans)
    listed = {at for span in spans for at in range(span.start, span.end)}
    lines: Counter[int] = Counter()
    for node in outline.nodes:
        if node.text and not node.anchor and not node.furniture and node.at not in listed:
            lines[node.line] += len(node.text)
    prose = sum(length for length in lines.values() if length >= LONG_LINE)
    return prose > max(_MUCH_PROSE, 4 * inside)
