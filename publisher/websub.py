"""WebSub, the subscriber's part of it, as far as it can be decided without asking anybody (W3C Recommendation of
23 January 2018); and what hubs do that are older.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from ipaddress import ip_address
from urllib.parse import urlencode, urlsplit

LEASE = timedelta(days=10)
"""As long as we ask for, and as much as the hub of Google's gives; one that says nothing means it (0.3 had leases
without an end)."""
LEASES = (timedelta(minutes=10), timedelta(days=30))
"""As long as is believed: hubs lose what they know, and one that is to be asked each second is up to no good."""
DENIED = timedelta(days=7)
"""How long a hub is left alone that does not want to."""

_FIRST, _LONGEST = timedelta(hours=1), timedelta(days=7)
_LONGEST_HEADER = 10_000
_LINK = re.compile(r"""<([^<>]*+)>((?:[^",]|"(?:[^"\\]|\\.)*+(?:"|\Z))*+)""", re.DOTALL)
_PARAMETER = re.compile(r"""\s*([^\s=;]++)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*+)"?|([^\s;"]*+)))?[^;]*+(?:;|\Z)""", re.DOTALL)
_ALGORITHMS = ("sha1", "sha256", "sha384", "sha512")
_INWARD = ("localhost", "local", "internal", "intranet", "lan", "home", "corp", "home.arpa", "test", "invalid", "onion")
"""Domains that no public name server knows (RFC 6761, 6762, 7686, 8375), and those that are often made up."""


def linked(header: str, relation: str) -> list[str]:
    """What a Link header points to by a relation, as it is written there (RFC 8288 section 3).

    Of several parameters ``rel`` the first counts; a link that is about something else (``anchor``) is none of ours.
    """
    return [target.strip() for target, told in _links(header) if relation in told]


def _links(header: str) -> Iterator[tuple[str, Sequence[str]]]:
    for target, rest in _LINK.findall(header[:_LONGEST_HEADER]):
        told: dict[str, str] = {}
        for name, quoted, plain in _PARAMETER.findall(rest.partition(";")[2]):
            told.setdefault(name.lower(), re.sub(r"\\(.)", r"\1", quoted) or plain)
        if "anchor" not in told:
            yield target, told.get("rel", "").lower().split()


def chosen(hubs: Sequence[str], current: str, *, failing: bool) -> str:
    """The one of several hubs to ask: the one that was asked until now, or the next one where that is failing."""
    if current not in hubs:
        return hubs[0]
    return hubs[(hubs.index(current) + failing) % len(hubs)]


def is_inward(url: str) -> bool:
    """Whether an address is one that only a network of one's own can know: no hub elsewhere could push to it.

    Of names the ones that are never public; whether a public one leads here, only the hub can find out.
    """
    host = (urlsplit(url).hostname or "").rstrip(".").lower()
    try:
        return not ip_address(host).is_global
    except ValueError:
        return "." not in host or any(host.endswith(f".{name}") for name in _INWARD)


def request(*, leave: bool, topic: str, callback: str, secret: str) -> bytes:
    """What a hub is asked with (section 5.1), as a form."""
    told = {"hub.mode": "unsubscribe" if leave else "subscribe", "hub.topic": topic, "hub.callback": callback}
    if not leave:
        told |= {"hub.secret": secret, "hub.lease_seconds": f"{LEASE.total_seconds():.0f}"}
    return urlencode({**told, "hub.verify": "async"}).encode()  # the last for 0.3, whose hubs insist on it


def lease(seconds: str) -> timedelta:
    """How long a hub will push, as it says (``hub.lease_seconds``), in bounds."""
    found = timedelta(seconds=int(seconds)) if re.fullmatch("[0-9]{1,10}", seconds, re.ASCII) else timedelta()
    return min(max(found, LEASES[0]), LEASES[1]) if found else LEASE


def renewal(lease: timedelta, spread: float) -> timedelta:
    """After how much of a lease it is asked for anew: early enough to be refused, and to ask again.

    Args:
        spread: a factor near one, so that what was asked for together once is not so for ever.
    """
    return lease * 0.75 * spread


def pause(failures: int, left: timedelta | None, asked: timedelta | None = None) -> timedelta:
    """How long to wait until a hub that confirmed nothing is asked again.

    It may confirm hours later, and a house that cannot be reached never hears of it: an hour, then twice as long each
    time, up to a week.

    Args:
        failures: how often it was asked, this time included.
        left: how long it will push yet, as it has confirmed before: the pauses become as much shorter, so that it is
            asked more than once before that ends.
        asked: how long it asked us to wait (Retry-After).
    """
    wait = min(_FIRST * (1 << min(failures - 1, 16)), _LONGEST)
    if left and left > timedelta():
        wait = min(wait, max(left / 3, LEASES[0]))
    return max(wait, min(asked or wait, _LONGEST))


def is_signed(body: bytes, signature: str, secret: str) -> bool:
    """Whether what was pushed is signed with the secret (section 7.1: ``sha256=`` and hexadecimal digits).

    SHA-1, too: most hubs sign with it, and in an HMAC it is not broken.  Compared in constant time.
    """
    method, _, told = signature.strip().partition("=")
    if method.strip().lower() not in _ALGORITHMS:
        return False
    made = hmac.new(secret.encode(), body, getattr(hashlib, method.strip().lower())).hexdigest()
    return hmac.compare_digest(made.encode(), told.strip().lower().encode())


def reason(query: Mapping[str, str]) -> str:
    """Why a hub denies it, in its own words (section 5.2), in one line."""
    words = "".join(c if c.isprintable() else " " for c in query.get("hub.reason", ""))
    return " ".join(words.split())[:200]
