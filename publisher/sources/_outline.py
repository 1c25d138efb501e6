"""A web page as a flat list of nodes in document order, in which a subtree is a slice.

What the finder asks of a page (what is inside this, what stands before that, which line is it on) is then arithmetic
on positions: no recursion, and no step that is slower than the number of nodes it looks at.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

from publisher.html import absolute

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode


def word_set(text: str) -> frozenset[str]:
    """The words of a text, for tables of names."""
    return frozenset(text.split())


_MOST_NODES = 50_000
_MOST_DEPTH = 250
_INLINE = word_set(
    "a abbr b bdi bdo big cite code data dfn del em font i img ins kbd label mark nobr picture q s samp small"
    " source span strong sub sup time tt u var wbr"
)
_SILENT = word_set(
    "script style noscript template svg math iframe object canvas video audio select textarea button head"
)
_HIDDEN = frozenset({"sr-only", "screen-reader-text", "visually-hidden", "visuallyhidden", "element-invisible"})
_FURNITURE_TAGS = frozenset({"nav", "aside", "footer", "form", "dialog", "menu"})
_FURNITURE_ROLES = frozenset({"navigation", "complementary", "contentinfo", "banner", "dialog", "menu", "menubar"})
_MENU_NAMES = word_set("nav navi menu")
"""Themes write these on lists of any kind; what has dates in it is no menu."""
_FURNITURE_NAMES = _MENU_NAMES | word_set(
    "navbar navigation menubar submenu breadcrumb breadcrumbs pager pagination paging paginator"
    " sidebar sidenav aside footer related similar share sharing social cookie cookies consent popular trending"
    " mostread tagcloud login comments skip modal popup ad ads advert advertisement sponsored toolbar topbar"
)
_ALWAYS = frozenset({"sidebar", "aside", "footer"})
"""Furniture however long it is, where that is the whole of a class or id: ``with-sidebar`` may be all of the page."""
_CONTENT = frozenset({"html", "body", "main", "article", "li", "tr", "td"})
"""Never furniture by their names: themes write ``with-sidebar`` and ``menu-open`` on them."""
_STATES = word_set("first last odd even active current sticky featured clearfix")
"""Words in classes that tell entries of one list apart."""


@dataclass(slots=True, eq=False, kw_only=True)
class Node:
    """An element, or a piece of text (``tag`` is empty)."""

    at: int
    """Its position in the list."""
    end: int = 0
    """The position after its subtree."""
    tag: str = ""
    text: str = ""
    attributes: Mapping[str, str | None] = field(default_factory=dict)
    words: frozenset[str] = frozenset()
    """The words in its class and id, in lower case: ``entry-title`` is two."""
    classes: tuple[str, ...] = ()
    """Its classes without those that tell entries of one list apart."""
    parent: Node | None = None
    depth: int = 0
    path: Hashable = 0
    """Equal for nodes reached by the same tags; cells of a row count as different tags."""
    loose: Hashable = 0
    """The same, but headings of all levels count as one tag, and so do the cells of a row."""
    place: Hashable = 0
    """Equal for nodes reached by the same tags with the same classes and ids."""
    line: int = 0
    """Text on one line of the page, as far as markup tells, has the same number here."""
    before: int = 0
    """Characters before it on its line."""
    anchor: Node | None = None
    """The link that it is in, or is."""
    furniture: bool = False
    """In a menu, side bar, footer or the like."""
    column: int = 0
    """Of a row the cells read so far; of a cell its number, from 1."""
    mem_id: int = 0
    """The parser's name for it."""

    def attribute(self, name: str) -> str:
        """The value of an attribute; empty when it has none."""
        return self.attributes.get(name) or ""


class Outline:
    """The body of a page.

    Args:
        tree: the page.
        url: where it was found; links refer to it, or to the page's ``<base>``.

    Of a page of more than 50,000 nodes only the first are read, and of nodes deeper than 250 levels none.
    """

    def __init__(self, tree: LexborHTMLParser, url: str) -> None:
        base = tree.css_first("base[href]")
        self.url = url
        self.language = (tree.root.attributes.get("lang") if tree.root else "") or ""
        self._base = absolute((base.attributes["href"] or "") if base else "", url) or url
        self._own = without_fragment(url).rstrip("/")
        self.nodes: list[Node] = []
        self._names: dict[Hashable, int] = {}
        self._links: dict[int, str] = {}
        self._line = self._width = 0
        self._space = False
        if tree.body:
            self._read(tree.body)
        self._length = [0, *accumulate(len(node.text) for node in self.nodes)]
        self._mark_furniture()

    def inside(self, node: Node) -> list[Node]:
        """All below a node."""
        return self.nodes[node.at + 1 : node.end]

    def children(self, node: Node) -> Iterator[Node]:
        """Those directly below a node."""
        at = node.at + 1
        while at < node.end:
            yield self.nodes[at]
            at = self.nodes[at].end

    def length(self, node: Node) -> int:
        """Characters of text below a node, as written."""
        return self.length_between(node.at, node.end)

    def length_between(self, start: int, end: int) -> int:
        """Characters of text from one position to another."""
        return self._length[end] - self._length[start]

    def text(self, node: Node) -> str:
        """Its text on one line."""
        return joined(self.nodes[node.at : node.end])

    def link(self, anchor: Node | None) -> str:
        """Where a link leads, without its fragment; empty when that is not another page of the web."""
        if not anchor:
            return ""
        if anchor.at not in self._links:
            url = without_fragment(absolute(anchor.attribute("href"), self._base))
            self._links[anchor.at] = url if url.startswith("http") and url.rstrip("/") != self._own else ""
        return self._links[anchor.at]

    def absolute(self, url: str) -> str:
        """An address of the page, absolute; empty when it is none."""
        return absolute(url, self._base) if url else ""

    # --- reading -----------------------------------------------------------------------------------------------------

    def _read(self, body: LexborNode) -> None:
        """Walk the tree; a pending entry without a node says that all below its parent was read."""
        pending: list[tuple[LexborNode | None, Node | None]] = [(body, None)]
        while pending:
            raw, parent = pending.pop()
            if raw is None:
                self._close(parent)
            elif len(self.nodes) < _MOST_NODES:
                if parent and raw.next:
                    pending.append((raw.next, parent))
                node = self._open(raw, parent)
                if node and node.tag:
                    pending.append((None, node))
                    if raw.first_child and node.depth < _MOST_DEPTH:
                        pending.append((raw.first_child, node))

    def _open(self, raw: LexborNode, parent: Node | None) -> Node | None:
        if raw.is_text_node:
            return self._open_text(raw.text_content or "", parent)
        if not raw.is_element_node or raw.tag is None or raw.tag in _SILENT:
            return None
        return self._open_element(raw, raw.tag, parent)

    def _open_text(self, text: str, parent: Node | None) -> Node | None:
        if not text.strip():
            self._space = True
            return None
        node = self._append(Node(at=len(self.nodes), text=f" {text}" if self._space else text), parent)
        node.end = node.at + 1
        self._width += len(text.strip())
        self._space = False
        return node

    def _open_element(self, raw: LexborNode, tag: str, parent: Node | None) -> Node | None:
        attributes = raw.attributes
        classes = (attributes.get("class") or "").split()
        if not _HIDDEN.isdisjoint(classes):
            return None
        if tag not in _INLINE:
            self._break()
        names = f"{attributes.get('class') or ''} {attributes.get('id') or ''}"
        node = Node(
            at=len(self.nodes),
            tag=tag,
            attributes=attributes,
            words=frozenset(_words(names)),
            classes=tuple(sorted(name for name in classes if _lasting(name))),
            mem_id=raw.mem_id,
        )
        return self._append(node, parent)

    def _append(self, node: Node, parent: Node | None) -> Node:
        node.parent, node.line, node.before = parent, self._line, self._width
        if parent:
            node.depth, node.anchor = parent.depth + 1, parent.anchor
        if node.tag:
            self._locate(node, parent)
        if node.tag == "a" and node.attribute("href"):
            node.anchor = node
        self.nodes.append(node)
        return node

    def _locate(self, node: Node, parent: Node | None) -> None:
        step = "h" if re.fullmatch("h[1-6]", node.tag) else node.tag
        column = 0
        if parent and node.tag in ("td", "th"):
            column = node.column = parent.column = parent.column + 1
        above = parent or node
        identity = node.attribute("id")
        node.path = self._name((above.path, node.tag, column))
        node.loose = self._name((above.loose, step))
        node.place = self._name((above.place, node.tag, node.classes, identity if _lasting(identity) else ""))

    def _name(self, key: Hashable) -> int:
        """A small number for a key, the same for equal keys."""
        return self._names.setdefault(key, len(self._names) + 1)

    def _close(self, node: Node | None) -> None:
        if node:
            node.end = len(self.nodes)
            if node.tag not in _INLINE:
                self._break()

    def _break(self) -> None:
        self._line += 1
        self._width = 0
        self._space = False

    def _mark_furniture(self) -> None:
        """An element that looks like furniture, but holds half of the page's text, is a layout's wrapper."""
        half = self._length[-1] / 2
        times = [node.at for node in self.nodes if node.tag == "time"]
        for node in self.nodes:
            inherited = node.parent is not None and node.parent.furniture
            is_dated = bisect(times, node.end - 1) > bisect(times, node.at)
            named = _is_furniture(node, is_dated=is_dated)
            node.furniture = inherited or (named and (_is_always(node) or self.length(node) < half))


def joined(nodes: Iterable[Node]) -> str:
    """The text of nodes on one line; where the page begins a new one, a space."""
    pieces: list[str] = []
    line = -1
    for node in nodes:
        if node.text:
            pieces.append(node.text if node.line == line else f" {node.text}")
            line = node.line
    return " ".join("".join(pieces).split())


def lines(nodes: Iterable[Node], wanted: Callable[[Node], bool] = lambda node: True) -> list[list[Node]]:
    """The wanted texts, those together that follow one another on one line of the page."""
    found: list[list[Node]] = []
    current = -1
    for node in nodes:
        if not node.text:
            continue
        if not wanted(node):
            current = -1
        elif node.line == current:
            found[-1].append(node)
        else:
            found.append([node])
            current = node.line
    return found


def without_fragment(url: str) -> str:
    """The address of the page itself."""
    return url.partition("#")[0]


def _is_always(node: Node) -> bool:
    return node.tag == "nav" or not _ALWAYS.isdisjoint((*node.classes, node.attribute("id")))


def _is_furniture(node: Node, *, is_dated: bool) -> bool:
    """Whether an element is called so; a story that is featured is none, although some themes set it aside."""
    if node.tag == "aside" and "featured" in node.words:
        return False
    names = node.words - _MENU_NAMES if is_dated else node.words
    named = node.tag not in _CONTENT and not _FURNITURE_NAMES.isdisjoint(names)
    return named or node.tag in _FURNITURE_TAGS or node.attribute("role") in _FURNITURE_ROLES


def _words(names: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", names)]


def _lasting(name: str) -> bool:
    """Whether a class or id is the same for all entries of a list, as far as one can tell from it."""
    return name not in _STATES and not any(map(str.isdigit, name))
