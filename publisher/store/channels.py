"""How each channel stands."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import select

from publisher.store.concern import Concern
from publisher.store.rows import ChannelState
from publisher.store.tables import channels


class Channels(Concern):
    """The states of the channels."""

    def get(self, name: str) -> ChannelState | None:
        """The state of one; None when it was never put."""
        row = self._connection.execute(select(channels).where(channels.c.name == name)).one_or_none()
        return ChannelState(**row._asdict()) if row else None

    def put(self, state: ChannelState) -> None:
        """Write a state, be it new or not."""
        self._upsert(channels, asdict(state))

    def all(self) -> list[ChannelState]:
        """All states, by name."""
        rows = self._connection.execute(select(channels).order_by(channels.c.name))
        return [ChannelState(**row._asdict()) for row in rows]
