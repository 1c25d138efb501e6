"""Entries that are pushed: whoever writes them sends them here, and nobody is visited."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from publisher.model import Cursor, Harvest
from publisher.net import Net


@dataclass(frozen=True, kw_only=True)
class Api:
    """Entries that other programs push: POST /api/v1/sources/NAME/entries, with a token that may entries:write."""

    kind: ClassVar[str] = "api"
    pushed: ClassVar[bool] = True

    def fetch(self, cursor: Cursor | None, net: Net) -> Harvest:
        """Nothing: what there is was pushed already."""
        return Harvest(unchanged=True, cursor=cursor or {})


KIND = Api
