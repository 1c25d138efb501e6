"""Addresses of the web, as they are read, written, shown and compared; pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import SplitResult, unquote_to_bytes, urldefrag, urlsplit

import requests

from publisher.errors import Unreachable

_ADDRESSES = 4000
"""So many are remembered as they were read: what is visited is visited again."""


@lru_cache(_ADDRESSES)
def without_login(url: str) -> tuple[str, Mapping[str, str]]:
    """The URL without user, password and fragment; and the header that says them (RFC 7617)."""
    parts = _split(url)
    login, _, netloc = parts.netloc.rpartition("@")
    target = urldefrag(parts._replace(netloc=netloc).geturl()).url
    if not login:
        return target, {}
    user, _, password = login.partition(":")
    token = base64.b64encode(unquote_to_bytes(user) + b":" + unquote_to_bytes(password)).decode()
    return target, {"Authorization": f"Basic {token}"}


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url.strip())
        _ = parts.port
    except ValueError:
        raise Unreachable(f"not a web address: {shown(url)}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Unreachable(f"not a web address: {shown(url)} (it begins with http:// or https://)")
    return parts


def shown(url: str) -> str:
    """An address that cannot be read, without anything that might be a password in it."""
    return repr(url.rpartition("@")[2][:100])


@lru_cache(_ADDRESSES)
def place(url: str) -> str:
    """How messages name it: the host alone, since paths and queries may hold secrets."""
    return urlsplit(url).netloc


@lru_cache(_ADDRESSES)
def written(url: str) -> str:
    """An address as it is written in a request."""
    request = requests.PreparedRequest()
    request.prepare_url(url, None)
    return str(request.url)


def same_site(old: str, new: str) -> bool:
    """A secret that one was told may be told to the other: the same origin, or the same host over TLS."""
    (scheme, host, port), (new_scheme, new_host, new_port) = _origin(old), _origin(new)
    upgraded = (scheme, port, new_scheme, new_port) == ("http", 80, "https", 443)
    return host == new_host and (upgraded or (scheme, port) == (new_scheme, new_port))


def _origin(url: str) -> tuple[str, str | None, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
