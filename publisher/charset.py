"""The text of a web page, whatever it is written in."""

from __future__ import annotations

import codecs
import re

_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_META = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?\s*([\w:.-]{2,40})""", re.IGNORECASE)
_CHARSETS = re.compile(
    r"utf-?8|utf-16(-?[lb]e)?|iso-?8859-?\d{1,2}|latin-?\d|windows-\d{3,4}|cp\d{3,4}|koi8-[ru]|macintosh"
    r"|shift[_-]jis|euc-(jp|kr)|iso-2022-jp|gbk|gb2312|gb18030|big5|us-ascii|tis-620"
)
"""What a page may be written in; Python knows codecs that are none, and slow ones."""
_WINDOWS = {
    "iso-8859-1": "windows-1252",
    "latin1": "windows-1252",
    "us-ascii": "windows-1252",
    "macintosh": "mac-roman",
}
"""As browsers read them (Encoding Standard section 4.2)."""


def decoded(body: bytes, charset: str = "") -> str:
    """The text of a page: by its byte order mark, what HTTP says, its ``<meta>``; else UTF-8, else windows-1252.

    What is said to be UTF-8 and is not is taken for windows-1252 too: its author never saw an accent go wrong.
    """
    meta = _META.search(body[:4096])
    marked = (name for mark, name in _MARKS.items() if body.startswith(mark))
    for name in (next(marked, ""), charset, meta[1].decode("ascii", "replace") if meta else ""):
        if name.lower() in ("utf-8", "utf8"):
            break
        if _CHARSETS.fullmatch(name.lower()):
            return _decoded_as(body, name.lower())
    try:
        return body.decode().removeprefix("\ufeff")
    except UnicodeDecodeError:
        return body.decode("windows-1252", "replace")


def _decoded_as(body: bytes, name: str) -> str:
    try:
        return body.decode(_WINDOWS.get(name, name), "replace").removeprefix("\ufeff")
    except LookupError:
        return body.decode("utf-8", "replace")
