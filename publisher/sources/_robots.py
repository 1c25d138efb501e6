"""What a site asks of robots (RFC 9309), asked before its pages are read.

A feed is made for programs, and is read without asking.  A page is made for people: where the site does not want robots
there, nothing of it is read, be it a list, one of its older pages, a sitemap or an article.  And where it asks for a
pause between two of them (Crawl-delay, which is older than the standard and no part of it), we make one.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
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
_LONGEST_PAUSE = 10.0
"""Seconds.  Who asks for more thinks of those who read a whole site; a visit reads a list and what is new on it."""
_HINT = "ask whoever runs it for a feed; if it is yours, or you have its leave, write `robots: ignore` in the source"


@dataclass(slots=True, eq=False)
class _Site:
    """What a site asks."""

    rules: Protego | None
    """None: nothing."""
    until: float
    """As long we do not ask anew; by the monotonic clock, as is the next."""
    free: float = 0
    """From when on the next of its pages may be asked for."""

    def wait(self, net: Net) -> None:
        """Until it is our turn.  Those who come at the same time go one after the other."""
        pause = min((self.rules and self.rules.crawl_delay(_TOKEN)) or 0, _LONGEST_PAUSE)
        if not pause:
            return
        with _lock:
            now = time.monotonic()
            turn = max(now, self.free)
            self.free = turn + pause
        if turn > now:
            net.rest(turn - now)


_known: dict[str, _Site] = {}
"""By origin, the one that was asked first is forgotten first."""
_lock = threading.Lock()


def polite(net: Net) -> Net:
    """The same way out, but no address is fetched by it that the site does not want robots at, nor any too soon.

    Where we are no guests (``Net.guest``), nobody is asked.  What such a net fetches may raise SourceError besides.
    """
    return net.minding(lambda url: _mind(url, net)) if net.guest else net


def _mind(url: str, net: Net) -> None:
    """Refuse what the site does not want, and wait as long as it asks us to.

    Raises:
        SourceError: it does not, or cannot be asked.
    """
    parts = urlsplit(url)
    site = _site(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", net)
    if site.rules and not site.rules.can_fetch(url, _TOKEN):
        raise SourceError(f"{url}: the site's robots.txt asks robots to stay away from it", hint=_HINT)
    site.wait(net)


def _site(origin: str, net: Net) -> _Site:
    with _lock:
        known = _known.get(origin)
    if known and known.until > time.monotonic():
        return known
    rules = _asked(origin, net)
    site = _Site(rules, time.monotonic() + _KEPT, known.free if known else 0)
    with _lock:
        _known.pop(origin, None)
        while len(_known) >= _MOST:
            del _known[next(iter(_known))]
        _known[origin] = site
    return site


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
        hint="it is asked again at the next visit; if the site is yours, write `robots: ignore` in the source",
    )
