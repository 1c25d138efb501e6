"""HTML from outside: made harmless, made absolute, made into text.

Three layers, each linear in its input.  ``_tokens`` cuts the text into tags as browsers do (WHATWG HTML, section
13.2.5), but knows no tree.  ``_balanced`` gives the tags that are kept, well nested and never deep.  On top of them
stand ``clean``, where nh3 has the last word, and the functions that make text.

The middle layer is there because HTML parsers are not safe on their own: 100,000 nested ``<div>`` keep nh3 busy for a
minute, and a paragraph that breaks off inside formatting is formatted anew in each paragraph that follows.  What
``_balanced`` gives never makes a parser repair anything.
"""

from __future__ import annotations

import re
import textwrap
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from html import escape, unescape
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

import nh3


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DEPTH = 64
"""Elements inside each other that are kept; deeper tags are dropped, their text stays."""

_HEADINGS = _words("h1 h2 h3 h4 h5 h6")
_CELLS = frozenset(("td", "th", "caption"))
_ROWS = _words("table thead tbody tfoot tr colgroup")
_TABLE_PARTS: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("td", "th"), _ROWS - {"colgroup"}),
    "tr": _ROWS - {"tr", "colgroup"},
    **dict.fromkeys(("thead", "tbody", "tfoot", "caption", "colgroup"), frozenset(("table",))),
    "col": frozenset(("table", "colgroup")),
}
"""The elements that may hold each part of a table."""
_TABLE = frozenset(("table",)) | _CELLS
"""Nothing that is open outside of these is ended by a tag inside, but for parts of the table."""
_CONTAINERS = _words("blockquote dd dl dt figure li ol ul") | _CELLS | _ROWS
_PARAGRAPHS = _words(
    "address article aside center details div figcaption footer header hgroup hr main nav p pre section summary"
)
_BLOCKS = _PARAGRAPHS | _HEADINGS | _CONTAINERS
_INLINE = _words(
    "a abbr acronym b bdi bdo big br cite code del dfn em i img ins kbd mark q rp rt ruby s samp small span strike "
    "strong sub sup time tt u var wbr"
)
_NONE: frozenset[str] = frozenset()
_PARAGRAPH = frozenset(("p",))
_SIBLINGS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "li": (frozenset(("li",)), frozenset(("ol", "ul")) | _TABLE),
    **dict.fromkeys(("dd", "dt"), (frozenset(("dd", "dt")), frozenset(("dl",)) | _TABLE)),
    "a": (frozenset(("a",)), _CONTAINERS),
}
"""What a start tag ends beside a paragraph, and what it is looked for no further than."""
_VOID = _words("br col hr img wbr")
_KEPT = _BLOCKS | _INLINE | _VOID
_SILENT = _words("iframe noembed noframes script select style svg template textarea title")
"""What is inside these is no text."""
_EMBEDDED = _words("audio embed iframe source video")
"""Mail and feed readers do not play these: a link to the file takes their place."""

_MARKS = {"br": "\n", "td": "\t", "th": "\t"}
_SPACED = _HEADINGS | _words("article blockquote dl figure hr p pre section table")
_UNDERLINES = {"h1": "=", "h2": "-"}
_NARROWEST = 20
"""Characters of text in a line, however deep it is indented."""

_URLS = frozenset(("cite", "href", "src"))
_ATTRIBUTES: Mapping[str, set[str]] = {
    "*": {"dir", "lang"},
    "a": {"href", "hreflang", "title"},
    "abbr": {"title"},
    "blockquote": {"cite"},
    "del": {"cite", "datetime"},
    "img": {"alt", "height", "src", "srcset", "title", "width"},
    "ins": {"cite", "datetime"},
    "ol": {"reversed", "start", "type"},
    "q": {"cite"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
    "time": {"datetime"},
}

_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]*)")
_ATTRIBUTE = re.compile(
    r"""[\s/]*+([^\s/>][^\s/>=]*+)(?:\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>"'][^\s>]*+)))?""",
)
_USUAL = r"""[ \t\n\r\f]++[a-z][a-z:_-]*+=(?:"[^"<>]*+"|'[^'<>]*+')"""
"""An attribute as nearly everybody writes it."""
_USUAL_TAG = re.compile(rf"<(/?)([a-z][a-z0-9]{{0,9}})((?:{_USUAL})*+)[ \t\n\r\f]*+(/?)>")
_USUAL_LINK = re.compile(rf"(?:{_USUAL})*?[ \t\n\r\f]++href=")
_TAG_END = re.compile(r"\s*+(/?)[\s/]*+>?")
_SILENT_END = {name: re.compile(rf"</{name}\b", re.IGNORECASE) for name in _SILENT}
_IMAGE = re.compile(r'<img((?: [a-z]+="[^"]*")*)>')
_SRC = re.compile(r' src="([^"]*)"')
_SRCSET = re.compile(r' srcset="[^"]*"')
_LINK = re.compile(r'<a((?: [a-z]+="[^"]*")*)>(.*?)</a>', re.DOTALL)
_ORNAMENT = re.compile(r"spacer|pixel|blank|transparent|placeholder|avatar|emoji|icon", re.IGNORECASE)
_LENGTH = re.compile(r"\d{1,5}%?")
_PIXEL = re.compile(r'\b(?:width|height)="0*[01]"')
_CANDIDATE = re.compile(r"([^\s,]\S*[^\s,])(?:\s+([\d.]+[wx]))?")
_NOT_IN_URLS = re.compile('[\x00-\x20\x7f-\xa0\u2000-\u200f\u2028-\u202f\u3000\ud800-\udfff\ufffe\uffff"<>\\\\^`{|}]')
_PLAIN_URL = re.compile(
    r"https?://[a-z0-9.-]++(?::[0-9]{1,4})?(?:/[\w.~:/@!$&'()*+,=%-]*+)?(?:\?[\w.~:/?@!$&'()*+,=%-]++)?(?:#[\w.~:/-]++)?",
    re.ASCII,
)
"""One that says all by itself, in the characters of RFC 3986, with nothing in it that could be written otherwise."""
_BREAKS = dict.fromkeys((9, 10, 13))
_BLANKS = "".join(map(chr, range(33)))
"""Browsers ignore the former anywhere in an address, the latter at its ends (WHATWG URL, section 4.4)."""
_BEFORE_QUERY = re.compile(r"\A(?!mailto:)[^?#]+", re.IGNORECASE)
"""There browsers take a backslash for a slash (section 4.4 again: relative slash state, and others)."""
_CONTROL: Mapping[int, int | None] = {**dict.fromkeys((*range(9), 11, 12, *range(14, 32), 127, 0xFFFE, 0xFFFF)), 13: 10}
"""Characters that XML 1.0 cannot hold (section 2.2), and the carriage return, which parsers read as a line feed."""


_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f\ufffe\uffff]")
"""Looked for first: to translate a text takes longer than all else."""


def absolute(url: str, base: str) -> str:
    """The address as an absolute http, https or mailto URL; empty when it is not one (``javascript:``, ``data:`` …).

    Args:
        url: as found; relative references are resolved (RFC 3986 section 5).
        base: the address it was found at; empty when not known.
    """
    if _PLAIN_URL.fullmatch(url):
        return url
    try:
        parts = urlsplit(urljoin(base, _BEFORE_QUERY.sub(_slashed, url.translate(_BREAKS).strip(_BLANKS))))
        host = parts.hostname
    except ValueError:
        return ""
    whole = host if parts.scheme in ("http", "https") else parts.scheme == "mailto" and parts.path
    return _NOT_IN_URLS.sub(lambda match: _percent(match[0]), parts.geturl()) if whole else ""


def clean(html: str, base: str = "") -> str:
    """Sanitise, and make links and images absolute.

    No scripts, styles, forms, frames, ids or event handlers; players become links to what they would play; images of
    one pixel, and images and links whose address is not http, https or mailto, lose their place.  ``clean`` of what
    was cleaned gives the same.

    Args:
        html: a fragment or a whole page, however broken.
        base: the address that relative links refer to; without it they are dropped.
    """
    html = html.encode(errors="replace").decode()
    _known.base = base
    safe = _CLEANER.clean(html if _is_balanced(html) else "".join(map(_markup, _balanced(html))))
    if _CONTROLS.search(safe):
        safe = safe.translate(_CONTROL)
    tidy = _LINK.sub(_link_or_text, _IMAGE.sub(_image, safe))
    # Parsers skip a line feed that follows <pre>; left in, each pass would take one more.
    return re.sub(r"(<pre[^>]*>)\n+", r"\1", tidy)


def first_image(html: str) -> str:
    """The address of the first picture in sanitised HTML; empty where there is none."""
    sources = (_SRC.search(tag[1]) for tag in _IMAGE.finditer(html))
    found = (unescape(source[1]) for source in sources if source)
    return next(filter(is_picture, found), "")


def with_pictures_from(html: str, address: Callable[[str], str]) -> str:
    """Sanitised HTML whose pictures come from elsewhere; other sizes of them (``srcset``) are left out.

    Args:
        address: gives the new address of a picture.
    """

    def moved(source: re.Match[str]) -> str:
        return f' src="{escape(address(unescape(source[1])))}"'

    return _IMAGE.sub(lambda tag: f"<img{_SRC.sub(moved, _SRCSET.sub('', tag[1]))}>", html)


def is_picture(url: str) -> bool:
    """Whether that may be the address of a picture worth showing: it is one, and does not name an ornament."""
    return bool(url) and not _ORNAMENT.search(url)


def plain(html: str) -> str:
    """One line of plain text, entities resolved: what a title needs."""
    return _one_line("".join(map(_visible, _tokens(html))))


def excerpt(html: str, limit: int = 300) -> str:
    """Plain text of at most ``limit`` characters, cut between words, with ``…`` where it was cut."""
    text = plain(html)
    if len(text) <= limit:
        return text
    head, space, _ = text[:limit].rpartition(" ")
    return (head if space else text[: limit - 1]).rstrip(" ,;:.–—-") + "…"


def to_text(html: str, width: int = 72) -> str:
    """Readable plain text for mail.

    Headings are underlined, lists have dashes or numbers, quotations ``> ``; a table gives a line for each row, an
    image its description.  Links are numbered, and listed at the end.

    Args:
        html: sanitised or not.
        width: characters in a line; addresses and long words are never broken; 0 wraps nothing.
    """
    writer = _Writer(width)
    for token in _balanced(html):
        writer.take(token)
    return writer.finish()


# --- addresses and attributes ----------------------------------------------------------------------------------------


def _slashed(match: re.Match[str]) -> str:
    return match[0].replace("\\", "/")


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode(errors="replace"))


def _attribute(name: str, value: str, base: str) -> str | None:
    """What becomes of an attribute; None drops it."""
    if name in _URLS:
        return absolute(value, base) or None
    if name == "srcset":
        return ", ".join(_candidates(value, base)) or None
    if name in ("width", "height"):
        return value if _LENGTH.fullmatch(value) else None
    return value


def _candidates(srcset: str, base: str) -> Iterator[str]:
    for url, size in _CANDIDATE.findall(srcset):
        address = absolute(url, base)
        if address:
            yield f"{address} {size}".strip()


def _image(match: re.Match[str]) -> str:
    """The image as it is, or nothing when it has no address or nobody could see it."""
    return match[0] if ' src="' in match[1] and not _PIXEL.search(match[1]) else ""


def _link_or_text(match: re.Match[str]) -> str:
    """The link as it is, or its text alone when it leads nowhere."""
    return match[0] if ' href="' in match[1] else match[2]


def _is_pixel(attributes: Mapping[str, str]) -> bool:
    return any(attributes.get(side, "").strip().removesuffix("px") in ("0", "1") for side in ("width", "height"))


class _Known(threading.local):
    """What the sanitiser below has to know of the text that this thread gives it."""

    base = ""


_known = _Known()
_CLEANER = nh3.Cleaner(
    tags=set(_KEPT),
    attributes=dict(_ATTRIBUTES),
    attribute_filter=lambda _tag, name, value: _attribute(name, value, _known.base),
    url_schemes={"http", "https", "mailto"},
)
"""One for all, since to make it takes as long as to clean a page."""


# --- tags ------------------------------------------------------------------------------------------------------------


class _Kind(Enum):
    TEXT = 1
    OPEN = 2
    CLOSE = 3


class _Token(NamedTuple):
    kind: _Kind
    value: str
    """Text as written (entities unresolved), or the tag's name in lower case."""
    attributes: Mapping[str, str] = {}
    """As written; the first of a name counts."""


def _tokens(html: str) -> Iterator[_Token]:
    """Cut into text and tags; comments, declarations and what is inside silent elements are left out."""
    at = 0
    while at < len(html):
        start = html.find("<", at)
        if start != at:
            yield _Token(_Kind.TEXT, html[at : start if start >= 0 else None])
        if start < 0:
            return
        tag = _TAG.match(html, start)
        if tag:
            name = tag[2].lower()
            attributes, empty, at = _attributes(html, tag.end())
            yield from _tag_tokens(name, bool(tag[1]), attributes, empty)
            if name in _SILENT and not tag[1] and not empty:
                at = _end_of(_SILENT_END[name].search(html, at), html)
        elif html.startswith(("<!", "<?", "</"), start):
            at = _after(html, "-->" if html.startswith("<!--", start) else ">", start + 2)
        else:
            yield _Token(_Kind.TEXT, "<")
            at = start + 1


def _attributes(html: str, at: int) -> tuple[dict[str, str], bool, int]:
    """Attributes from that place on; whether the tag ends with ``/>``; where it ends."""
    found: dict[str, str] = {}
    while match := _ATTRIBUTE.match(html, at):
        found.setdefault(match[1].lower(), match[2] or match[3] or match[4] or "")
        at = match.end()
    end = _TAG_END.match(html, at)
    assert end  # noqa: S101  every part of the pattern may be empty
    return found, bool(end[1]), end.end()


def _tag_tokens(name: str, closing: bool, attributes: Mapping[str, str], empty: bool) -> Iterator[_Token]:
    """The tokens that one tag stands for."""
    if closing:
        yield _Token(_Kind.CLOSE, name)
        return
    if name in _EMBEDDED:
        yield from _link(attributes)
        return
    yield _Token(_Kind.OPEN, name, attributes)
    if empty and name not in _VOID:
        yield _Token(_Kind.CLOSE, name)


def _link(attributes: Mapping[str, str]) -> Iterator[_Token]:
    """What stands for a player: a link to what it would play."""
    address = attributes.get("src", "").strip()
    if address and not _is_pixel(attributes):
        yield _Token(_Kind.OPEN, "p")
        yield _Token(_Kind.OPEN, "a", {"href": address})
        yield _Token(_Kind.TEXT, address)
        yield _Token(_Kind.CLOSE, "a")
        yield _Token(_Kind.CLOSE, "p")


def _after(html: str, mark: str, at: int) -> int:
    found = html.find(mark, at)
    return len(html) if found < 0 else found + len(mark)


def _end_of(match: re.Match[str] | None, html: str) -> int:
    return match.start() if match else len(html)


# --- nesting ---------------------------------------------------------------------------------------------------------


def _balanced(html: str) -> Iterator[_Token]:
    """The tokens of what is kept: each element is closed, inside its parent, and fits into it."""
    path: list[str] = []
    for token in _tokens(html):
        if token.kind is _Kind.TEXT:
            yield token
        elif token.value in _KEPT:
            ends = _ended(path, token.value) if token.kind is _Kind.OPEN else _closed(path, token.value)
            yield from _close(path, ends)
            if token.kind is _Kind.OPEN and _fits(path, token):
                yield token
                if token.value not in _VOID:
                    path.append(token.value)
    yield from _close(path, len(path))


def _is_balanced(html: str) -> bool:
    """Whether ``_balanced`` would change nothing; says so of what is written as usual, and is quick about it."""
    tags = _USUAL_TAG.findall(html)
    if len(tags) != html.count("<"):
        return False
    path: tuple[str, ...] | None = ()
    for closing, name, attributes, empty in tags:
        if (empty and name not in _VOID) or (name == "a" and not closing and not _USUAL_LINK.match(attributes)):
            return False
        path = _followed(path, bool(closing), name)
        if path is None:
            return False
    return not path


@lru_cache(maxsize=10_000)
def _followed(path: tuple[str, ...], closing: bool, name: str) -> tuple[str, ...] | None:
    """The elements that are open after a tag; None where it ends others, ends nothing, or may not stand there."""
    if closing:
        return path[:-1] if path and path[-1] == name else None
    if name not in _KEPT or _ended(path, name) or not _fits(path, _Token(_Kind.OPEN, name, {"href": ""})):
        return None
    return path if name in _VOID else (*path, name)


def _close(path: list[str], ends: int) -> Iterator[_Token]:
    for _ in range(ends):
        yield _Token(_Kind.CLOSE, path.pop())


def _ended(path: Sequence[str], name: str) -> int:
    """How many of the open elements, counted from the innermost, a start tag of that name ends."""
    if name in _TABLE_PARTS:
        return max(0, _reach(path, _TABLE_PARTS[name]) - 1)
    siblings, fence = _SIBLINGS.get(name, (_NONE, _NONE))
    return _reach(path, siblings, fence) or (_reach(path, _PARAGRAPH, _TABLE) if name in _BLOCKS else 0)


def _closed(path: Sequence[str], name: str) -> int:
    """How many of the open elements an end tag of that name ends; 0 when it belongs to none of them."""
    if name in _TABLE_PARTS:
        return _reach(path, frozenset((name,)), frozenset(("table",)))
    if name in _INLINE:
        return _reach(path, frozenset((name,)), _CONTAINERS)
    _, fence = _SIBLINGS.get(name, (_NONE, _NONE if name == "table" else _TABLE))
    return _reach(path, _HEADINGS if name in _HEADINGS else frozenset((name,)), fence)


def _reach(path: Sequence[str], names: frozenset[str], fence: frozenset[str] = _NONE) -> int:
    """How far out the nearest of these names is, 1 for the innermost; 0 when there is none before the fence."""
    if names.isdisjoint(path):
        return 0
    for distance, name in enumerate(reversed(path), 1):
        if name in names:
            return distance
        if name in fence:
            return 0
    return 0


def _fits(path: Sequence[str], tag: _Token) -> bool:
    """Whether an element may stand here: parts of a table in their table, nothing else there; no link in a link."""
    if len(path) >= _DEPTH and tag.value not in _VOID:
        return False
    parent = path[-1] if path else ""
    if tag.value in _TABLE_PARTS:
        return parent in _TABLE_PARTS[tag.value]
    return parent not in _ROWS and (tag.value != "a" or ("href" in tag.attributes and "a" not in path))


def _markup(token: _Token) -> str:
    if token.kind is _Kind.TEXT:
        return token.value.replace("<", "&lt;")
    if token.kind is _Kind.CLOSE:
        return f"</{token.value}>"
    return f"<{token.value}{''.join(map(_written, token.attributes.items()))}>"


def _written(attribute: tuple[str, str]) -> str:
    name, value = attribute
    return f' {name}="{value.replace(chr(34), "&quot;")}"' if name.isalpha() else ""


# --- text ------------------------------------------------------------------------------------------------------------


def _one_line(text: str) -> str:
    return " ".join(text.translate(_CONTROL).split())


def _visible(token: _Token) -> str:
    if token.kind is _Kind.TEXT:
        return unescape(token.value)
    return " " if token.value in _BLOCKS or token.value == "br" else ""


class _Writer:
    """Writes the tokens that it takes as plain text."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._lines: list[str] = []
        self._words: list[str] = []
        """What the block being written holds so far.  A line feed in it is a break, a tab the start of a cell."""
        self._margins: list[tuple[str, str]] = []
        """For each list item and quotation around: what stands before its first line, and before the others."""
        self._counts: list[int] = []
        """For each list around: the number of the item to come; 0 where items have dashes."""
        self._gap: str | None = None
        """What the empty line before the next block looks like; None when there is to be none."""
        self._pre = 0
        self._href = ""
        self._label = 0
        """Where in the words the text of the open link begins."""
        self._notes: dict[str, int] = {}

    def take(self, token: _Token) -> None:
        if token.kind is _Kind.TEXT:
            self._write(unescape(token.value))
        elif token.kind is _Kind.OPEN:
            self._open(token.value, token.attributes)
        else:
            self._close(token.value)

    def finish(self) -> str:
        self._end_block()
        notes = [f"[{number}] {address}" for address, number in self._notes.items()]
        return "\n".join([*self._lines, *([""] if notes else []), *notes])

    def _write(self, text: str) -> None:
        text = text.translate(_CONTROL)
        self._words.append(text if self._pre else re.sub(r"\s+", " ", text))

    def _open(self, name: str, attributes: Mapping[str, str]) -> None:
        if name in _MARKS:
            self._words.append(_MARKS[name])
        elif name == "img":
            self._write(unescape(attributes.get("alt", "")))
        elif name == "a":
            self._href, self._label = absolute(unescape(attributes["href"]), ""), len(self._words)
        elif name in _BLOCKS:
            self._end_block()
            self._space(name)
            self._open_block(name, attributes)

    def _open_block(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "blockquote":
            self._margins.append(("> ", "> "))
        elif name in ("ol", "ul"):
            self._counts.append(_first_number(attributes) if name == "ol" else 0)
        elif name == "li":
            self._margins.append((mark := self._item_mark(), " " * len(mark)))
        elif name == "pre":
            self._pre += 1
        elif name == "hr":
            self._emit(["-" * min(self._width or 72, 72)])
            self._space(name)

    def _close(self, name: str) -> None:
        if name == "a":
            self._end_link()
            self._href = ""
        elif name in _BLOCKS and name not in _MARKS:
            self._close_block(name)

    def _close_block(self, name: str) -> None:
        before = len(self._lines)
        self._end_block()
        if name in _UNDERLINES and len(self._lines) > before:
            self._underline(_UNDERLINES[name], self._lines[before:])
        if name in ("blockquote", "li"):
            self._margins.pop()
        elif name in ("ol", "ul"):
            self._counts.pop()
        elif name == "pre":
            self._pre -= 1
        self._space(name)

    def _end_block(self) -> None:
        self._end_link()
        text = "".join(self._words)
        self._words, self._label = [], 0
        if text.strip():
            self._emit(text.strip("\n").split("\n") if self._pre else [_row(line) for line in text.strip().split("\n")])

    def _end_link(self) -> None:
        """Number the open link; one without any text so far waits for the text of the next block."""
        text = "".join(self._words[self._label :]).strip() if self._href else ""
        if text:
            if text not in (self._href, self._href.removeprefix("mailto:")):
                self._words.append(f" [{self._notes.setdefault(self._href, len(self._notes) + 1)}]")
            self._href = ""

    def _emit(self, lines: Sequence[str]) -> None:
        if self._gap is not None and self._lines:
            self._lines.append(self._gap.rstrip())
        self._gap = None
        for line in lines:
            first, rest = "".join(margin[0] for margin in self._margins), self._rest()
            self._lines.extend(self._wrapped(line, first, rest))
            self._margins = [(later, later) for _, later in self._margins]

    def _wrapped(self, line: str, first: str, rest: str) -> list[str]:
        if self._pre or not self._width or not line:
            return [(first + line).rstrip()]
        return textwrap.wrap(
            line,
            max(self._width, len(first) + _NARROWEST),
            initial_indent=first,
            subsequent_indent=rest,
            break_long_words=False,
            break_on_hyphens=False,
        )

    def _underline(self, mark: str, lines: Sequence[str]) -> None:
        rest = self._rest()
        self._lines.append(rest + mark * (max(map(len, lines)) - len(rest)))

    def _space(self, name: str) -> None:
        """Ask for an empty line, at the outermost of the places that ask for one."""
        if name in _SPACED or (name in ("ol", "ul") and not self._counts):
            self._gap = min(self._rest(), self._gap if self._gap is not None else self._rest(), key=len)

    def _rest(self) -> str:
        return "".join(margin[1] for margin in self._margins)

    def _item_mark(self) -> str:
        if not self._counts or not self._counts[-1]:
            return "- "
        self._counts[-1] += 1
        return f"{self._counts[-1] - 1}. "


def _first_number(attributes: Mapping[str, str]) -> int:
    start = attributes.get("start", "")
    return int(start) if re.fullmatch(r"[1-9][0-9]{0,5}", start) else 1


def _row(line: str) -> str:
    """One line of text; its cells, if it has any, are set apart."""
    return " | ".join(filter(None, map(_one_line, line.split("\t"))))
