"""Whole texts for lists that have only teasers: each article is fetched, once.

A source cannot ask the store what it knows, so the cursor remembers (``texts``): for each article a digest of its link
and one of what the list told of it, of the last thousand.

- An article that is not remembered is new; one of which the list tells something else by now was edited.  Both are
  fetched.
- An article that is remembered is left out of the harvest.  The store has it, and to tell it again without its text
  would be to edit the text away.
- An article that cannot be fetched is told with its teaser, and tried again at the next visits, three times in all.
  One whose earlier text is in the store is left out meanwhile: an old text is better than none.
- What a visit does not come to is told with its teaser, and fetched at the next.  Until then the cursor keeps no
  validators, so that the list is read again although it did not change.

All of this holds after a restart, and the cursor is kept in the same transaction as the entries.  Under new options
there is no cursor: everything is fetched anew.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from importlib.util import find_spec
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, Field

from publisher.confine import confined
from publisher.errors import BadStatus, PublisherError, SourceError
from publisher.html import plain
from publisher.model import Cursor, Harvest, Item
from publisher.net import Net
from publisher.sources._robots import polite

_MOST = 20
"""Articles of one visit."""
_PATIENCE = 60
"""Seconds after which a visit begins to fetch no other article."""
_TRIES = 3
_REMEMBERED = 1000
_DIGITS = 10
"""Hexadecimal ones of a digest: among a thousand articles, two that are alike are one chance in a million."""
_CPU = timedelta(seconds=4)
_PAGE_TYPES = ("", "text/html", "application/xhtml+xml")
_VALIDATORS = ("etag", "modified", "digest")


def installed(value: bool) -> bool:
    """The option ``full_text``, which can only be had with trafilatura.

    Raises:
        ValueError: it is not installed.
    """
    if value and not find_spec("trafilatura"):
        raise ValueError("needs trafilatura, which is not installed: pip install 'publisher[fulltext]'")
    return value


FullText = Annotated[
    bool,
    AfterValidator(installed),
    Field(
        description="Fetch each new article from its page: its whole text. Needs `pip install 'publisher[fulltext]'`."
    ),
]


def with_texts(harvest: Harvest, known: Cursor, net: Net, home: str) -> Harvest:
    """The harvest with whole texts, without the articles that need nothing; see above.

    Args:
        harvest: what the list told.
        known: the cursor of the last visit.
        net: for the list.
        home: where the list is.  Articles at another host are never looked for at private addresses.
    """
    shared = Counter(_page_of(item) for item in harvest.items)
    round_ = _Round(net, home, _read(known.get("texts", "")))
    items = [
        round_.taken(item) if _is_article(item) and shared[_page_of(item)] == 1 else item for item in harvest.items
    ]
    cursor = {**harvest.cursor, "texts": _written(round_)}
    if round_.waiting:
        cursor |= dict.fromkeys(_VALIDATORS, "")
    return replace(harvest, items=tuple(filter(None, items)), cursor=cursor, notes=(*harvest.notes, *round_.notes()))


def whole(item: Item, net: Net) -> Item:
    """An item with the text of its article, if that is longer than what it has.

    Raises:
        NetError: no answer to work with.
        SourceError: there is no article in it.
    """
    answer = polite(net).get(item.link)
    if answer.media_type not in _PAGE_TYPES:
        raise SourceError(f"{answer.url}: {answer.media_type} is not a web page")
    found = confined("publisher.sources._article:read", answer.body, answer.charset, answer.url, cpu=_CPU)
    longer = len(plain(found["content"])) > len(plain(item.content or item.summary))
    return replace(item, content=found["content"] if longer else item.content, image=item.image or found["image"])


def _page_of(item: Item) -> str:
    """Its page; those that share it, be they different sections of it, have none of their own."""
    return item.link.partition("#")[0]


def _is_article(item: Item) -> bool:
    """Whether it has a page: a mere file has none."""
    return bool(item.link) and all(item.link != enclosure.url for enclosure in item.enclosures)


class _Seen(NamedTuple):
    """What is remembered of an article."""

    told: str
    """Digest of what the list told of it."""
    failures: int
    """How often in a row it could not be fetched since then."""
    whole: bool
    """A text of it, perhaps an older one, is in the store."""


def _is_due(seen: _Seen | None, told: str) -> bool:
    return seen is None or seen.told != told or 0 < seen.failures < _TRIES


@dataclass
class _Round:
    """The articles of one visit."""

    net: Net
    home: str
    """The address of the list."""
    known: dict[str, _Seen]
    """By the digest of the link: as the last visit left it."""
    seen: dict[str, _Seen] = field(default_factory=dict)
    """As this one leaves it."""
    waiting: int = 0
    """Articles that the next visit shall fetch."""
    errors: list[PublisherError] = field(default_factory=list)
    _fetched: int = 0
    _ends: float = field(default_factory=lambda: time.monotonic() + _PATIENCE)

    def taken(self, item: Item) -> Item | None:
        """What becomes of an item; None where it is left out."""
        link, told = _digest(item.link), _digest(item.guid, item.title, item.summary, item.content)
        before = self.known.get(link)
        if before and not _is_due(before, told):
            self.seen[link] = before
            return None
        teaser = None if before and before.whole else item
        if self._is_over():
            self.waiting += 1
            return teaser
        try:
            found = self._fetch(item)
        except PublisherError as error:
            self.seen[link] = self._failed(before, told, error)
            return teaser
        self.seen[link] = _Seen(told, 0, whole=True)
        return found

    def notes(self) -> Iterable[str]:
        """What the operator may want to know."""
        if self.errors:
            yield f"{len(self.errors)} articles could not be fetched: {self.errors[0]}"
        if self.waiting:
            yield f"{self.waiting} articles are left to fetch"

    def _fetch(self, item: Item) -> Item:
        self._fetched += 1
        return whole(item, self.net.onward(item.link, self.home))

    def _failed(self, before: _Seen | None, told: str, error: PublisherError) -> _Seen:
        self.errors.append(error)
        if isinstance(error, BadStatus) and error.status in (429, 503):
            self._ends = 0  # asked to come later, we do
        failures = before.failures + 1 if before and before.told == told else 1
        self.waiting += failures < _TRIES
        return _Seen(told, failures, whole=bool(before and before.whole))

    def _is_over(self) -> bool:
        return self._fetched >= _MOST or time.monotonic() > self._ends


# --- what the cursor holds -------------------------------------------------------------------------------------------


def _digest(*parts: str) -> str:
    return hashlib.sha256(repr(parts).encode(errors="surrogatepass")).hexdigest()[:_DIGITS]


def _written(done: _Round) -> str:
    """What is listed now comes first, and is forgotten last."""
    seen = done.seen | {link: seen for link, seen in done.known.items() if link not in done.seen}
    lines = [f"{link}{told}{failures}{whole:d}" for link, (told, failures, whole) in seen.items()]
    return " ".join(lines[:_REMEMBERED])


def _read(text: str) -> dict[str, _Seen]:
    return {line[:_DIGITS]: _Seen(line[_DIGITS:-2], int(line[-2]), whole=line[-1] == "1") for line in text.split()}
