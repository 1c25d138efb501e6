"""Where entries come from.  One file per kind; each exports its frozen dataclass as ``KIND``.

A kind's options are the fields of its dataclass.  A third party ships a kind as an entry point of the group
``publisher.sources``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol

from publisher import kinds as _kinds
from publisher.errors import SourceError
from publisher.model import Cursor, Harvest, Item

if TYPE_CHECKING:
    from publisher.net import Answer, Net


class Source(Protocol):
    """One source, set up from its options."""

    kind: ClassVar[str]
    pushed: ClassVar[bool] = False
    """Its entries are sent to us and it is never visited; a kind that does not say so is."""

    awaited: ClassVar[bool] = True
    """It has a rhythm of its own, and the operator does not know when it falls silent; a kind that does not say so has.
    """

    def fetch(self, cursor: Cursor | None, net: Net) -> Harvest:
        """Visit the source.

        Args:
            cursor: what the last visit left; None at the first one, and after the options changed.
            net: the only way out; it knows this source's deadline, size limit and whether it may be private.

        Raises:
            NetError: no answer to work with.
            SourceError: an answer that cannot be read, or that holds nothing where there must be something.
        """
        ...


class List(Source, Protocol):
    """A source that lists feeds, by the ``feeds`` of its harvest."""

    def feed(self, url: str) -> Source:
        """One of them, ready to be visited."""
        ...


def kinds() -> Mapping[str, type[Source]]:
    """The kinds that there are, by name."""
    return _kinds.kinds("publisher.sources")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a first visit brings, and how it was found."""

    items: tuple[Item, ...]
    way: str
    """``feed``, ``h-feed``, ``JSON-LD``, ``repeated structure``, ``dated sections``, ``selectors``…"""
    elements: tuple[Mapping[str, str], ...] = ()
    """For each item: the element that each of its parts was taken from; empty for a kind that has no elements."""
    select: Mapping[str, str] = field(default_factory=dict)
    """The selectors that find the same, to be written down; empty where there are none."""
    notes: tuple[str, ...] = ()
    what: str = "entries"
    """What the items are."""


def tried(source: Source, net: Net) -> Trial:
    """Try a source out.

    Raises:
        NetError: no answer to work with.
        SourceError: an answer that cannot be read.
    """
    explain = getattr(source, "explain", None)
    if explain:
        trial: Trial = explain(net)
        return trial
    harvest = source.fetch(None, net)
    return Trial(items=harvest.items, way=source.kind, notes=harvest.notes)


def pushed(source: Source, answer: Answer) -> Harvest | None:
    """What a hub pushed of a source; None where only a visit can tell.

    Raises:
        SourceError: it cannot be read.
    """
    read = getattr(source, "read_pushed", None)
    harvest: Harvest | None = read(answer) if read else None
    return harvest


def whole(item: Item, net: Net) -> Item:
    """An item with the whole text of its article.

    Raises:
        NetError: no answer to work with.
        SourceError: there is no article at its link, or what reads articles is not installed.
    """
    from publisher.sources import _fulltext

    try:
        _fulltext.installed(True)
    except ValueError as error:
        raise SourceError(f"full text {error}") from error
    return _fulltext.whole(item, net)
