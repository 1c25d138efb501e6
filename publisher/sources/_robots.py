"""What a site asks of robots (RFC 9309), asked before its pages are read.

A feed is made for programs, and is read without asking.  A page is made for people: where the site does not want robots
there, nothing of it is read, be it a list, one of its older pages, a sitemap or an article.
"""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from publisher.errors import BadStatus, NetError, SourceError
from publisher.net import AGENT, Net

if TYPE_CHECKING:
    from protego import Protego

_TOKEN = AGENT.partition("/")[0]
"""By what a site means us (RFC 9309 section 2.2.1)."""
_LARGEST = 500 * 1024
"""Bytes that are read of it, as many as section 2.5 asks for; half a megabyte of rules takes a second."""
_KEPT = timedelta(days=1).total_seconds()  # section 2.4
_MOST = 500
_HINT = "ask whoever runs the site for a feed; if it is yours, or you have its leave, write `robots: ignore`"


class _Known(NamedTuple):
    rules: Protego | None
    """None: the site asks nothing."""
    until: float
    """By the monotonic clock."""


_known: dict[str, _Known] = {}
"""By origin, the one that was asked first is forgotten first."""
_lock = threading.Lock()


def polite(net: Net) -> Net:
    """The same way out, but no address is fetched by it that the site does not want robots at.

    Where we are no guests (``Net.guest``), nobody is asked.  What such a net fetches may raise SourceError besides.
    """
    return net.minding(lambda url: _mind(url, net)) if net.guest else net


def _mind(url: str, net: Net) -> None:
    """Refuse what the site does not want.

    Raises:
        SourceError: it does not, or cannot be asked.
    """
    parts = urlsplit(url)
    rules = _rules(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", net)
    if rules and not rules.can_fetch(url, _TOKEN):
        raise SourceError(f"{url}: the site's robots.txt asks robots to stay away from it", hint=_HINT)


def _rules(origin: str, net: Net) -> Protego | None:
    with _lock:
        known = _known.get(origin)
    if known and known.until > time.monotonic():
        return known.rules
    rules = _asked(origin, net)
    with _lock:
        _known.pop(origin, None)
        while len(_known) >= _MOST:
            del _known[next(iter(_known))]
        _known[origin] = _Known(rules, time.monotonic() + _KEPT)
    return rules


def _asked(origin: str, net: Net) -> Protego | None:
    """What is not there allows all (section 2.3.1.3); where nobody answers, all is forbidden (section 2.3.1.4)."""
    from protego import Protego

    try:
        answer = net.bound(max_bytes=2 * _LARGEST).get(f"{origin}/robots.txt")
    except BadStatus as error:
        if 400 <= error.status < 500:
            return None
        raise _unknown(origin, error) from error
    except NetError as error:
        raise _unknown(origin, error) from error
    return Protego.parse(answer.body[:_LARGEST].decode("utf-8", "replace").removeprefix("\ufeff"))


def _unknown(origin: str, error: NetError) -> SourceError:
    return SourceError(
        f"{origin}/robots.txt cannot be read, so nothing else of the site is: {error}",
        hint="it is asked again at the next visit; if the site is yours, write `robots: ignore`",
    )
