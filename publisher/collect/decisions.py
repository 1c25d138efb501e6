"""What is decided about entries and visits, in pure functions."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from urllib.parse import parse_qsl, urlencode, urlsplit

from publisher.collect.tidying import sound
from publisher.model import Hub, Item, member_of
from publisher.store import Arrival, HubRow, Known, SourceState
from publisher.stories import TRACKING
from publisher.tokens import unguessable
from publisher.websub import chosen

_NAMESPACE = uuid.UUID("6d2b5a52-6b0f-5c35-9a4e-0f3f6c1f7a11")
_NOT_IN_IRIS = r"\s\x00-\x1f\x7f-\x9f<>\"{}|\\^`\ud800-\udfff\ufdd0-\ufdef\ufff0-\uffff"  # RFC 3987 section 2.2
_IRI = re.compile(
    rf"(https?://[^/{_NOT_IN_IRIS}]+|urn:[a-z0-9-]+:|tag:[^:{_NOT_IN_IRIS}]+:)[^{_NOT_IN_IRIS}]*", re.IGNORECASE
)
_TRACKING = re.compile(TRACKING, re.IGNORECASE)
_A_DAY = timedelta(days=1)  # a date without a time is midnight's: what is dated today may still be news
_LONGEST_PAUSE = timedelta(days=1)
AGAIN = timedelta(minutes=1)
"""However often a hub says that there is something new, so long lies between two visits."""
_PATIENCE = 3
"""After as many questions without an answer the next one of several hubs is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a harvest changes in the store."""

    arrivals: tuple[Arrival, ...] = ()
    """Oldest first: the order in which they get their numbers."""
    revisions: tuple[tuple[int, Item, str], ...] = ()
    """Number of the entry, its new content, the digest of that."""
    aliases: tuple[tuple[int, str], ...] = ()
    """Number of an entry, and one more key by which its source calls it now."""


@dataclass(frozen=True, slots=True)
class News:
    """Which entries that arrive are news, and which are backlog: published in feeds, but never mailed."""

    since: datetime | None
    """The moment from which the source is known; None: this is the first visit, and all that is there is backlog."""
    undated: bool = True
    """Whether an entry without a date is news."""

    @classmethod
    def of(cls, state: SourceState, *, same: bool) -> News:
        """The rule for a visit; ``same`` tells whether the source's options are those of the last visit.

        Under a new address, or found by new selectors, old entries may all look new: there, only what is dated after
        the last visit is news.
        """
        if state.since is None:
            return cls(None)
        if same:
            return cls(state.since - _A_DAY)
        return cls(state.visited, undated=False)

    @classmethod
    def pushed(cls, state: SourceState, now: datetime) -> News:
        """The rule for what is pushed: somebody sends it now, so it is news from the very first push on.

        But for what is dated more than a day before that first push: with it, an archive is brought in.
        """
        return cls((state.since or now) - _A_DAY)

    def is_news(self, item: Item) -> bool:
        """Whether a digest may tell of this item, which has just arrived."""
        if self.since is None:
            return False
        return item.published >= self.since if item.published else self.undated


def changes(known: Collection[Known], items: Sequence[Item], *, source: str, news: News, whole: bool = True) -> Changes:
    """Decide what is new, what was edited, and what only changed its name.

    Args:
        known: the entries of the source that have a key or a link in common with ``items``.
        items: the harvest, tidied, newest first.
        source: the name of what was visited; part of the public identity of an entry whose own is no IRI.
        news: tells news from backlog.
        whole: the items are all that the source lists now; where they are not, as in a push, nothing can have vanished.

    An entry that comes under another guid, but with the link, the title and the date of one whose guid has vanished
    from the harvest, is that one: sites that move rewrite all guids at once, and nobody wants their archive by mail.
    """
    member = member_of(source)
    by_key = {key: entry for entry in known for key in entry.keys}
    present = {key_of(item, member): link_key(item.link) for item in items}
    missing = [entry for entry in known if whole and not entry.keys & present.keys()]
    vanished = {(entry.link_key, _fold(entry.title)): entry for entry in missing}
    shared = Counter(present.values())
    arrivals, revisions, aliases, seen = [], [], [], set[str]()
    for item in items:
        key, link = key_of(item, member), link_key(item.link)
        if key in seen:
            continue
        entry = by_key.get(key)
        if entry is None and link and shared[link] == 1:
            entry = _renamed(item, vanished.pop((link, _fold(item.title)), None))
            aliases += [(entry.number, key)] if entry else []
        seen |= {key, *(entry.keys if entry else ())}  # an entry that is listed under two of its names is told once
        mark = digest(item)
        if entry is None:
            late = not news.is_news(item)
            arrivals.append(
                Arrival(key=key, uid=uid(source, item), item=item, digest=mark, link_key=link, backlog=late)
            )
        elif mark != entry.digest:
            revisions.append((entry.number, item, mark))
    return Changes(arrivals=tuple(reversed(arrivals)), revisions=tuple(revisions), aliases=tuple(aliases))


def following(known: HubRow | None, hub: Hub | None, name: str, now: datetime) -> HubRow | None:
    """The hub to follow after a visit: ``known`` itself where nothing changed, another one, or None.

    Args:
        known: the one that is followed until now.
        hub: what the source says of its hubs.
        name: what was visited.
    """
    if hub is None:
        return None
    failing = known is not None and known.failures >= _PATIENCE and not known.pushes(now)
    url = chosen(hub.urls, known.hub if known else "", failing=failing)
    if known and (known.hub, known.topic) == (url, hub.topic):
        return known
    return HubRow(name=name, hub=url, topic=hub.topic, token=unguessable(), secret=unguessable(), next_at=now)


def hastened(planned: datetime, asked: datetime | None, now: datetime) -> datetime:
    """When to come again, where meanwhile somebody has asked for a visit at a moment: soon, if that is soon."""
    soon = now + AGAIN
    return min(planned, soon) if asked and asked <= soon else planned


def _renamed(item: Item, vanished: Known | None) -> Known | None:
    """The entry that vanished, if the item is dated like it: a warning in the same words is another one next week."""
    same = vanished and (item.published is None or item.published == vanished.moment)
    return vanished if same else None


def told_apart(items: Sequence[Item]) -> list[Item]:
    """The items, those that have no guid and share a link with others told apart by their titles.

    Some sites list all of their news under one address; without this, each would be an edit of the last.
    """
    titles: dict[str, set[str]] = {}
    for item in items:
        titles.setdefault(link_key(item.link), set()).add(_fold(item.title))
    return [
        replace(item, guid=f"{item.link} {_fold(item.title)}")
        if item.link and not item.guid and len(titles[link_key(item.link)]) > 1
        else item
        for item in items
    ]


def member_name(url: str) -> str:
    """Under what a feed of a list goes, beside the name of the list: the same for the same address."""
    host = re.sub(r"[^a-z0-9.-]+", "-", urlsplit(url).hostname or "")
    return f"{host[:60]}-{hashlib.blake2b(url.encode(errors='replace'), digest_size=6).hexdigest()}"


def key_of(item: Item, member: str) -> str:
    """What names an entry among all of its source: feeds of one list may use the same identities."""
    return f"{member} {identity(item)}" if member else identity(item)


def identity(item: Item) -> str:
    """The key that names an entry within its source: its guid, else its canonical link, else its content."""
    if item.guid:
        return f"guid {item.guid}"
    if item.link:
        return f"link {link_key(item.link)}"
    told = item.published.isoformat() if item.title and item.published else item.summary + item.content
    return "text " + hashlib.sha256(f"{_fold(item.title)}\n{told}".encode(errors="replace")).hexdigest()


def uid(source: str, item: Item) -> str:
    """The public identity of an entry that arrives, an IRI (RFC 4287 section 4.2.6): the source's own if it is one."""
    own = item.guid or item.link
    if _IRI.fullmatch(own):
        return own
    return uuid.uuid5(_NAMESPACE, sound(f"{source}\n{identity(item)}")).urn


@lru_cache(maxsize=4000)  # it is asked for four times while an entry arrives
def link_key(link: str) -> str:
    """A link without what differs between two spellings of it: scheme, case of the host, tracking parameters."""
    try:
        parts = urlsplit(link)
        host = (parts.hostname or "").removeprefix("www.")
        port = f":{parts.port}" if parts.port not in (None, 80, 443) else ""
    except ValueError:
        return link
    pairs = [pair for pair in parse_qsl(parts.query, True) if not _TRACKING.fullmatch(pair[0])]
    query = urlencode(pairs, errors="replace")
    return f"{host}{port}{parts.path.rstrip('/')}{query and '?' + query}{parts.fragment and '#' + parts.fragment}"


def digest(item: Item) -> str:
    """A mark that differs when a reader would see a difference; dates alone are none (some feeds date by the clock)."""
    told = (item.title, item.link, item.summary, item.content, item.authors, item.tags, item.image, item.enclosures)
    return hashlib.sha256(repr(told).encode()).hexdigest()


def retry_pause(failures: int, every: timedelta, asked: timedelta | None) -> timedelta | None:
    """How long to leave a failing source alone; None: until its next slot.

    The first failure costs nothing; then the pause doubles from the source's own interval, up to a day.  What the
    server asked for (Retry-After) is granted, up to the same day.
    """
    backoff = min(every * (1 << min(failures - 1, 16)), _LONGEST_PAUSE) if failures > 1 else None
    asked = min(asked, _LONGEST_PAUSE) if asked else None
    return max(filter(None, (backoff, asked)), default=None)


def _fold(title: str) -> str:
    return " ".join(title.casefold().split())
