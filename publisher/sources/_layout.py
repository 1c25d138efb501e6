"""The HTML of newsletters without what only lays it out.

Mail programs know hardly any CSS, so senders stack tables within tables to put a text below an image.  In a feed reader
and on a page that stands in the way: here cells become blocks, one below the other.  Tables that hold data stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from publisher.html import clean

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

_SILENT = frozenset(("head", "script", "style", "template", "noscript"))
_VOID = frozenset(("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"))
_BLOCKS = frozenset(("table", "td", "th", "caption", "center"))
"""What becomes a block; it keeps the direction of its text and the language."""
_FRAME = frozenset(("html", "body", "thead", "tbody", "tfoot", "tr", "colgroup", "col"))
"""What is only seen where it tells one of these two."""
_LAYOUT = _BLOCKS | _FRAME
_NO_DATA = "img, p, div, h1, h2, h3, h4, h5, h6, ul, ol, blockquote"
"""What is in tables that lay out, and hardly ever in tables that hold data."""

_HIDDEN = re.compile(
    r"(?<![-\w])(?:display\s*:\s*none|visibility\s*:\s*hidden|(?:max-height|opacity)\s*:\s*0(?![.\d]))", re.IGNORECASE
)
"""Mostly the text that mail programs show beside the subject, which is in the message once more."""
_POINT = re.compile(r"(?<![-\w])(?:width|height)\s*:\s*0*[01](?:px)?\s*(?:;|!|$)", re.IGNORECASE)
_TAG = re.compile(r'(</?[a-z][a-z0-9]*(?: [a-z]+="[^"]*")*>)')
_UNSEEN = re.compile("(?:[\\s\u00ad\u034f\u200b-\u200f\u2060\ufeff]|&nbsp;|<(?!(?:img|hr)\\b)[^<>]*>)+")


def flattened(html: str) -> str:
    """The text of a newsletter as clean HTML: no layout, nothing hidden, no pixels that tell who reads.

    Images that are parts of the message (``cid:``), and addresses that are not whole, are dropped, since they lead
    nowhere outside of it.
    """
    from selectolax.lexbor import LexborHTMLParser

    top = LexborHTMLParser(html).root
    return _unwrapped(clean("".join(_written(top)))) if top else ""


def is_blank(html: str) -> bool:
    """Whether clean HTML shows nothing: no letter and no image."""
    return not _UNSEEN.sub("", html)


# --- tables become blocks --------------------------------------------------------------------------------------------


def _written(top: LexborNode) -> Iterator[str]:
    """The elements that are seen, as HTML; not recursive, for senders nest without bounds."""
    pending: list[tuple[LexborNode | str, bool]] = [(top, False)]
    while pending:
        node, in_data = pending.pop()
        if isinstance(node, str):
            yield node
        elif node.is_text_node:
            yield escape(node.text_content or "", quote=False)
        elif node.is_element_node and not _is_hidden(node):
            in_data = _holds_data(node) if node.tag == "table" else in_data
            opening, closing = _tags(node.tag or "", node.attributes, in_data)
            yield opening
            children = [(child, in_data) for child in node.iter(include_text=True)]
            pending += [(closing, False), *reversed(children)]


def _tags(name: str, attributes: Mapping[str, str | None], in_data: bool) -> tuple[str, str]:
    """What is written before and after what an element holds."""
    if name in _LAYOUT and not in_data:
        attributes = {key: value for key, value in attributes.items() if key in ("dir", "lang")}
        if name in _FRAME and not attributes:
            return "", ""
        name = "div"
    told = "".join(f' {key}="{escape(value or "")}"' for key, value in attributes.items())
    return f"<{name}{told}>", "" if name in _VOID else f"</{name}>"


def _is_hidden(node: LexborNode) -> bool:
    style = node.attributes.get("style") or ""
    if node.tag in _SILENT or "hidden" in node.attributes or _HIDDEN.search(style):
        return True
    return node.tag == "img" and bool(_POINT.search(style))


def _holds_data(table: LexborNode) -> bool:
    """Whether a table is one to its reader: it has headings, or rows of texts that are of equal length."""
    is_innermost = len(table.css("table")) == 1  # it is among them itself
    if table.attributes.get("role") in ("presentation", "none") or not is_innermost:
        return False
    if table.css_first("th"):
        return True
    rows = {len(row.css("td")) for row in table.css("tr")}
    return len(rows) == 1 and min(rows) > 1 < len(table.css("tr")) and not table.css_first(_NO_DATA)


# --- blocks that hold nothing, or nothing but blocks -----------------------------------------------------------------


class _Piece(NamedTuple):
    html: str
    is_seen: bool
    is_block: bool = False


def _unwrapped(html: str) -> str:
    """Clean HTML without blocks that show nothing, and without those that only hold other blocks."""
    opened = ["<div>"]
    held: list[list[_Piece]] = [[]]
    for piece in _TAG.split(html):
        if piece == "<div>" or piece.startswith("<div "):
            opened.append(piece)
            held.append([])
        elif piece == "</div>" and len(opened) > 1:
            block = _block(opened.pop(), held.pop())
            held[-1] += block
        elif piece.strip() or not _ends_blank(held[-1]):
            held[-1].append(_Piece(piece, not is_blank(piece)))
    return _joined(held[0])


def _block(opening: str, pieces: list[_Piece]) -> list[_Piece]:
    """What remains of a block."""
    if not any(piece.is_seen for piece in pieces):
        return []
    if opening == "<div>" and all(piece.is_block or not piece.html.strip() for piece in pieces):
        return pieces
    return [_Piece(f"{opening}{_joined(pieces)}</div>", True, True)]


def _joined(pieces: list[_Piece]) -> str:
    return "".join(piece.html for piece in pieces).strip()


def _ends_blank(pieces: list[_Piece]) -> bool:
    return not pieces or not pieces[-1].html.strip()
