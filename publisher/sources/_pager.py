"""Find the page that goes on with a list: the older articles."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from publisher.sources._outline import Node, Outline

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser

_PAGED = re.compile(r"[?&](page|paged|seite|pagina|p|start|offset)=\d+|/(page|seite|pagina)/\d+/?$", re.IGNORECASE)
_OLDER = re.compile(
    r"(older|earlier|next|more)( (posts|entries|articles|news|stories|page|results))?"
    r"|(ältere|frühere|weitere|nächste)( (beiträge|einträge|artikel|meldungen|nachrichten|seite))?|weiter"
    r"|((page|articles) )?suivante?s?|articles plus anciens|anciens articles"
    r"|(página )?siguiente|entradas (anteriores|antiguas)|(página )?(seguinte|próxima)|artigos anteriores"
    r"|(pagina )?successiv[ao]|articoli (precedenti|meno recenti)|volgende( pagina)?|oudere (berichten|artikelen)"
    r"|(nästa|neste|næste)( sid[ae]| side)?|äldre( inlägg)?|eldre( innlegg)?|ældre( indlæg)?"
    r"|następna( strona)?|starsze( wpisy)?|[»›→>]+"
)
"""Not "previous", which leads back from the second page."""
_LONGEST = 40


def leads_to_page(link: str) -> bool:
    """Whether an address looks like that of another page of a list."""
    return _PAGED.search(link) is not None


def older(tree: LexborHTMLParser, outline: Outline) -> str:
    """The address of the page that goes on with the list, at the same host; empty where there is none.

    It is what the page marks as such (``rel=next``, HTML Living Standard section 4.6.7.15), or a link that says so in
    words, and stands in a pager or leads to a numbered page.
    """
    marked = [node.attributes.get("href") or "" for node in tree.css("link[rel~=next][href], a[rel~=next][href]")]
    said = (outline.link(node) for node in outline.nodes if node.anchor is node and _says_older(outline, node))
    links = (*(outline.absolute(link) for link in marked), *said)
    home = urlsplit(outline.url)
    return next((link for link in links if urlsplit(link)[:2] == home[:2] and link != outline.url), "")


def _says_older(outline: Outline, anchor: Node) -> bool:
    if not (anchor.furniture or leads_to_page(outline.link(anchor))) or outline.length(anchor) > _LONGEST:
        return False
    words = outline.text(anchor).lower().strip(" »›→>←‹«<") or outline.text(anchor).strip()
    return _OLDER.fullmatch(words) is not None
