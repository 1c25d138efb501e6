"""Who may use the API: tokens and what they are good for, and how much of it anybody may.

A token is shown once and never kept; the store knows its hash.  Guessing is hopeless (192 random bits), so that a plain
hash is enough, and to look one up costs no more than an index takes.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType

from publisher.errors import StoreError, TooMany, Unfit
from publisher.model import Clock
from publisher.store import ApiToken, Store

SCOPES: Mapping[str, str] = MappingProxyType(
    {
        "entries:read": "what is published",
        "entries:write": "push entries",
        "subscribers:read": "who gets what, with their addresses",
        "subscribers:write": "let people subscribe, change, leave and vanish",
        "issues:read": "what was mailed, and how it went",
        "suppressions:read": "who gets nothing more, with their addresses",
        "suppressions:write": "send somebody nothing more",
        "statistics:read": "numbers only",
    }
)
"""All that a token can be good for, and what that is."""

_FORM = re.compile(r"pub_[A-Za-z0-9_-]{32}")
_BYTES = 24
_LONGEST_NAME = 100
_NOTED_AGAIN = timedelta(minutes=1)
"""How exactly it is known when a token was used: a write for each request would cost more than most requests."""
_NAMES = 10_000
"""Buckets that are remembered; each takes some hundred bytes."""


# --- how much --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """So many at once, and so many a second in the long run."""

    burst: int
    per_second: float


@dataclass(frozen=True, slots=True)
class Bucket:
    """A token bucket: what is left of an allowance.  It is never emptied below nothing and refills with time."""

    left: float
    at: datetime
    """When so much was left."""

    def take(self, allowance: Allowance, now: datetime) -> tuple[Bucket, timedelta]:
        """Take one; returns what is left then, and zero, or how long to wait for the next one.

        A clock that goes back refills nothing.
        """
        passed = max((now - self.at).total_seconds(), 0)
        left = min(self.left + passed * allowance.per_second, allowance.burst)
        filled = Bucket(left, max(now, self.at))
        if left < 1:
            return filled, timedelta(seconds=(1 - left) / allowance.per_second)
        return replace(filled, left=left - 1), timedelta()


class Buckets:
    """A bucket for each name, in the memory of this process.  Threads may share them."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._buckets: dict[str, Bucket] = {}
        self._lock = threading.Lock()

    def take(self, name: str, now: datetime) -> timedelta:
        """Take one of a name's; returns zero, or how long it has to wait."""
        with self._lock:
            # Taken out and put in anew: those that were not asked for longest are first in line to be forgotten.
            known = self._buckets.pop(name, None) or Bucket(self._allowance.burst, now)
            self._buckets[name], wait = known.take(self._allowance, now)
            if len(self._buckets) > _NAMES:
                del self._buckets[next(iter(self._buckets))]
            return wait


USE = Allowance(burst=60, per_second=10)
"""Requests of one token."""
FAILURES = Allowance(burst=20, per_second=20 / 60)
"""Requests from one network without a token that is good for anything."""


# --- who -------------------------------------------------------------------------------------------------------------


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The desk that gives tokens and looks at them."""

    store: Store
    clock: Clock
    _use: Buckets = field(default_factory=lambda: Buckets(USE), init=False)
    _failures: Buckets = field(default_factory=lambda: Buckets(FAILURES), init=False)

    def grant(self, name: str, scopes: Collection[str]) -> str:
        """Make a token; it is told here and never again.

        Args:
            name: by which it can be taken back.

        Raises:
            Unfit: the name cannot be used or is taken, or there is no such scope.
        """
        if not name.strip() or not name.isprintable() or len(name) > _LONGEST_NAME:
            raise Unfit(f"A name is one line of at most {_LONGEST_NAME} characters.", field="name")
        if unknown := sorted(set(scopes).difference(SCOPES)):
            raise Unfit(f"There is no scope {unknown[0]!r}.", field="scope", hint=f"there is: {', '.join(SCOPES)}")
        if not scopes:
            raise Unfit("A token needs a scope.", field="scope", hint=f"there is: {', '.join(SCOPES)}")
        token = f"pub_{secrets.token_urlsafe(_BYTES)}"
        with self.store.write() as tx:
            if tx.api_tokens.add(name, _hash(token), set(scopes), self.clock()) is None:
                raise Unfit(f"There is a token {name!r} already.", field="name", hint="remove it, or take another name")
        return token

    def admit(self, token: str, network: str) -> ApiToken | None:
        """Whose token it is, if they may use it now; None where it is none of ours.

        A good token is never refused for what others in its network do: behind one proxy or at one provider there may
        be many.

        Args:
            token: as it came; empty where none came.
            network: see ``subscribers.network_of``.

        Raises:
            TooMany: of that token, or of failures in that network.
            StoreError: it cannot be looked up.
        """
        now = self.clock()
        holder = self._holder(token) if _FORM.fullmatch(token) else None
        wait = self._use.take(str(holder.id), now) if holder else self._failures.take(network, now)
        if wait:
            raise TooMany("Too many requests.", retry_after=wait)
        if holder and (holder.used is None or now - holder.used >= _NOTED_AGAIN):
            self._note(holder, now)
        return holder

    def _holder(self, token: str) -> ApiToken | None:
        with self.store.read() as tx:
            return tx.api_tokens.by_hash(_hash(token))

    def _note(self, holder: ApiToken, now: datetime) -> None:
        # A store that is busy or full may still be read: that is no reason to refuse what only reads.
        with suppress(StoreError), self.store.write() as tx:
            tx.api_tokens.touch(holder.id, now)
