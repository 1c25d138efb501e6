"""Whether a page stands in for another one: a login, an error, a wall, a robot's riddle, all answered with 200.  Pure.

What stands in lists links too, and the finder of lists would take them for articles.  Some signs are certain.  Others
(a login box, a word in the title) are on many a page of news as well: they count where the list that was found tells
nothing but titles.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urljoin, urlsplit

from publisher.model import Item

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser


class StandIn(NamedTuple):
    """What is there instead of the page, and what to do about it."""

    what: str
    hint: str


_SHORT = 80
"""A title that is longer tells of something."""
_ERROR = re.compile(
    r"^(error|http|fehler|erreur)?\s*(40[0134]|410|50[0234])\b\W*(error|$)|not found|nicht gefunden|introuvable"
    r"|no encontrad|non trovat|niet gevonden|hittades inte|ikke (fundet|funnet)|nie znaleziono|nenalezen"
    r"|n[ãa]o encontrad|ei löyt|не найден|access denied|403 forbidden|(service|temporarily) unavailable"
    r"|internal server error|bad gateway",
    re.IGNORECASE,
)
_RIDDLE = re.compile(
    r"just a moment|attention required|are you (a )?(human|robot)|(verify|confirm) (that )?you are (a )?human"
    r"|checking your browser|security check|ddos[- ]guard|bot (check|protection)",
    re.IGNORECASE,
)
_RIDDLE_MARKS = (
    "#challenge-form, #challenge-running, #cf-challenge-running, #cf-error-details, #cf-please-wait, #px-captcha"
    ", #sec-if-cpt-container, script[src*='captcha-delivery.com'], iframe[src*='_Incapsula_Resource']"
)
"""Of Cloudflare, HUMAN, Akamai, DataDome and Imperva.  Their scripts alone are on pages that show what they have."""
_LOGIN = re.compile(
    r"^\W*(log ?in|sign ?in|log ?on|login|anmelde|anmeldung|einloggen|connexion|se connecter|identifiez"
    r"|inici(ar|e) sesi"
    r"|acced(er|i)\b|accesso|inloggen|aanmelden|logga in|logg? (ind?|inn)\b|zaloguj|logowanie|entrar|přihlá|bejelentkez"
    r"|kirjaudu|authentication required|password required)|\b(log|sign) ?in( required)?$|\blogin$",
    re.IGNORECASE,
)
_DOOR = re.compile(r"/(log-?in|sign-?in|log-?on|sso|auth|authenticate|wp-login|anmelden|anmeldung|connexion)\b", re.I)
_MAINTENANCE = re.compile(
    r"maintenance|wartungs|mantenimiento|manutenzione|manutenç|onderhoud|underhåll|vedlikehold|vedligehold|údržba"
    r"|przerwa techniczna|(we('ll| will)|will) be (right )?back|be right back|temporarily (offline|closed|down)"
    r"|vorübergehend nicht|under construction|im aufbau|en construction|coming soon",
    re.IGNORECASE,
)
_CONSENT = re.compile(
    r"before you continue|bevor (sie|du) (fort|weiter)|avant de continuer|antes de continuar|prima di continuare"
    r"|voordat je verder|(cookie|privacy|consent)[- ]?(settings|wall|gate|consent|choices|einstellungen|hinweis)"
    r"|datenschutz-?einstellungen|(mit|ohne) werbung|accept (all )?cookies|wir brauchen (ihre|deine) zustimmung",
    re.IGNORECASE,
)
_SCRIPT = re.compile(
    r"(enable|activate|turn on|requires?|needs?) java ?script|java ?script (is|must be) (required|disabled|enabled)"
    r"|(aktivieren sie|bitte) java ?script|java ?script (ist )?(deaktiviert|aktivieren)|activer java ?script"
    r"|(active|habilite) java ?script|abilita(re)? java ?script",
    re.IGNORECASE,
)
_SOON = 5
"""Seconds: a page that is shown for less is not meant to be read."""
_REFRESH = re.compile(r"\s*(\d{1,4})[\d.]*\s*[;,]\s*(?:url\s*=\s*)?['\"]?(.+?)['\"]?\s*", re.IGNORECASE)


def stand_in(tree: LexborHTMLParser, url: str, *, is_list: bool) -> StandIn | None:
    """What stands in for the page; None: nothing does.

    Args:
        tree: the page.
        url: where it was found.
        is_list: what was found on it looks like a list of articles indeed (``is_rich``), or was named by selectors.
    """
    titles = _titles(tree)
    if tree.css_first(_RIDDLE_MARKS) or _says(_RIDDLE, titles):
        return StandIn("a riddle that keeps robots out", "ask whoever runs the site for a feed, or to let us in")
    if name := _says(_ERROR, titles):
        return StandIn(f"an error page ({name!r})", "open the address in a browser")
    asks = tree.css_first("input[type=password]") is not None
    if asks and (name := _says(_LOGIN, titles)):
        return StandIn(f"a login form ({name!r})", "name a page that anybody may read")
    return None if is_list else _of_doubt(tree, url, titles, asks=asks)


def _of_doubt(tree: LexborHTMLParser, url: str, titles: Sequence[str], *, asks: bool) -> StandIn | None:
    """What signs tell that pages of news may have as well."""
    if asks or (tree.css_first("form input") and _says(_LOGIN, titles)):
        return StandIn("a page that asks for a password", "name a page that anybody may read")
    if name := _says(_MAINTENANCE, titles):
        return StandIn(f"a page that says that the site is being worked on ({name!r})", "it is visited again by itself")
    if tree.css_first("form[action*=consent], [id^=sp_message_container]") or _says(_CONSENT, titles):
        return StandIn("a page that asks for consent", "name a page or feed of the site that does not ask")
    if target := _refreshed(tree, url):
        return StandIn(f"a page that leads on to {target}", "give that address instead")
    text = " ".join((tree.body.text(separator=" ") if tree.body else "").split())
    if _says(_SCRIPT, [*titles, text[:400]]):
        return StandIn("a page that shows nothing without JavaScript", "look for a feed or a sitemap of the site")
    return None


def is_rich(items: Sequence[Item]) -> bool:
    """Whether a list tells more than titles: no menu, and no row of links below a form, has dates or teasers."""
    return 2 * sum(bool(item.published or item.summary) for item in items) >= max(len(items), 1) and len(items) > 1


def led_astray(asked: str, answered: str) -> StandIn | None:
    """What redirects show: that we were led to a login, or to a page that asks for consent; None: they do not.

    Args:
        asked: the address in the configuration.
        answered: where the answer came from.
    """
    before, after = urlsplit(asked), urlsplit(answered)
    if _DOOR.search(after.path) and not _DOOR.search(before.path):
        return StandIn("a login form, to which we were led", "name a page that anybody may read")
    if (after.hostname or "").startswith("consent.") and after.hostname != before.hostname:
        return StandIn("a page that asks for consent", "name a page or feed of the site that does not ask")
    return None


def _titles(tree: LexborHTMLParser) -> list[str]:
    """The title of the page and its first heading, where they are short."""
    found = (tree.css_first("head title"), tree.css_first("h1"))
    told = [" ".join(node.text(separator=" ").split()) for node in found if node]
    return [text for text in told if text and len(text) < _SHORT]


def _says(pattern: re.Pattern[str], texts: Sequence[str]) -> str:
    return next((text for text in texts if pattern.search(text)), "")


def _refreshed(tree: LexborHTMLParser, url: str) -> str:
    """Where a page leads by itself as soon as it is seen (HTML section 4.2.5.3); empty where it stays."""
    for node in tree.css("meta[http-equiv=refresh i]"):
        match = _REFRESH.fullmatch(node.attributes.get("content") or "")
        if match and int(match[1]) <= _SOON:
            try:
                target: str = urljoin(url, match[2])
            except ValueError:
                continue
            if _page_of(target) != _page_of(url):
                return target[:200]
    return ""


def _page_of(url: str) -> str:
    return url.partition("#")[0].rstrip("/")
