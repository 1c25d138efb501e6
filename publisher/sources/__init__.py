"""Where entries come from.  One file per kind; each exports its frozen dataclass as ``KIND``.

A kind's options are the fields of its dataclass.  A third party ships a kind as an entry point of the group
``publisher.sources``.
"""

from __future__ import annotations

from typing import ClassVar, Protocol, runtime_checkable

from publisher.model import Cursor, Harvest
from publisher.net import Net


@runtime_checkable
class Source(Protocol):
    """One source, set up from its options."""

    kind: ClassVar[str]

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
