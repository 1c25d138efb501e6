"""Where entries come from.  One file per kind; each exports its frozen dataclass as ``KIND``.

A kind's options are the fields of its dataclass.  A third party ships a kind as an entry point of the group
``publisher.sources``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Protocol

from publisher import kinds as _kinds
from publisher.model import Cursor, Harvest

if TYPE_CHECKING:
    from publisher.net import Net


class Source(Protocol):
    """One source, set up from its options."""

    kind: ClassVar[str]
    pushed: ClassVar[bool] = False
    """Its entries are sent to us and it is never visited; a kind that does not say so is."""

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


def kinds() -> Mapping[str, type[Source]]:
    """The kinds that there are, by name."""
    return _kinds.kinds("publisher.sources")
