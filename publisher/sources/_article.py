"""The text of an article, out of all that is on its page.

Imported only in a confined child: trafilatura is an extra, and takes a moment to load.
"""

from __future__ import annotations

from typing import Any

import trafilatura
from selectolax.lexbor import LexborHTMLParser

from publisher.charset import decoded
from publisher.errors import SourceError
from publisher.html import absolute, clean, plain

_LEAST = 200
"""Characters of text; what has less is a notice about cookies, or the door of a paywall."""


def read(body: bytes, charset: str, url: str) -> dict[str, Any]:
    """Read an article.

    Args:
        body: its page.
        charset: what HTTP says it is written in; may be empty.
        url: where it was found.

    Returns:
        ``content``: its text as sanitised HTML, without its title; ``image``: an address, or empty.

    Raises:
        SourceError: there is no article on the page.
    """
    page = decoded(body, charset)
    tree = LexborHTMLParser(page)
    base = absolute(_attribute(tree, "base[href]", "href"), url) or url
    found = trafilatura.extract(  # without the address: it would take relative links for those of the front page
        page,
        output_format="html",
        include_comments=False,
        include_formatting=True,
        include_images=True,
        include_links=True,
    )
    content = _without_title(clean(found or "", base), tree)
    if len(plain(content)) < _LEAST:
        raise SourceError(f"{url}: no text of an article was found on this page")
    # What the page offers to those who link to it: the Open Graph protocol (ogp.me).
    image = _attribute(tree, 'meta[property="og:image"]', "content")
    return {"content": content, "image": absolute(image, base) if image else ""}


def _attribute(tree: LexborHTMLParser, selector: str, name: str) -> str:
    node = tree.css_first(selector)
    return (node.attributes.get(name) or "") if node else ""


def _without_title(content: str, tree: LexborHTMLParser) -> str:
    """The text without the heading that it begins with, if that is the page's title: the entry has it already."""
    start, end = content.find("<h1>"), content.find("</h1>")
    heading = tree.css_first("h1")
    if not heading or not 0 <= start < end or plain(content[:start]):
        return content.strip()
    is_title = plain(content[start:end]) == " ".join(heading.text().split())
    return content[end + 5 if is_title else 0 :].strip()
