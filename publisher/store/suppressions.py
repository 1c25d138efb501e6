"""Who shall get nothing any more, and what came back from them."""

from __future__ import annotations

import builtins
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import delete, func, select

from publisher.model import State
from publisher.store.concern import Concern
from publisher.store.rows import UNPROVEN, Return, Suppression
from publisher.store.tables import deliveries, returns, suppressions


class Suppressions(Concern):
    """The suppression list, which nothing overrides."""

    def add(self, entry: Suppression) -> bool:
        """Suppress somebody.

        Returns:
            False when they were on the list; the first reason stands.
        """
        row = asdict(entry) | {"address": entry.address.casefold()}
        return self._count(self._insert(suppressions).values(row).on_conflict_do_nothing()) == 1

    def remove(self, address: str) -> int:
        """Take an address off the list; returns how many entries it had there."""
        gone = delete(suppressions).where(suppressions.c.address == address.casefold())
        return self._connection.execute(gone).rowcount

    def list(self, *, limit: int) -> builtins.list[Suppression]:
        """The newest first."""
        newest = select(suppressions).order_by(suppressions.c.moment.desc(), suppressions.c.address)
        return [Suppression(**row._asdict()) for row in self._connection.execute(newest.limit(limit))]

    # What came back.

    def note(self, entry: Return) -> bool:
        """Keep what came back.

        Returns:
            False when the same came before.
        """
        row = asdict(entry) | {"address": entry.address.casefold()}
        return self._count(self._insert(returns).values(row).on_conflict_do_nothing()) == 1

    def forget(self, before: datetime) -> int:
        """Forget what came back before that moment and proved nothing: nothing ever followed from it, nor will.

        Returns:
            How much was forgotten.
        """
        # None of it is about a delivery that we know: the index on that finds it.
        old = (returns.c.delivery.is_(None), returns.c.fate == UNPROVEN, returns.c.moment < before)
        return self._connection.execute(delete(returns).where(*old)).rowcount

    def returned(self, address: str | None = None, *, limit: int) -> builtins.list[Return]:
        """What came back, newest first; from an address, or from anybody."""
        told = select(returns).order_by(returns.c.moment.desc(), returns.c.key)
        if address is not None:
            told = told.where(returns.c.address == address.casefold())
        return [Return(**row._asdict()) for row in self._connection.execute(told.limit(limit))]

    def good_since(self, address: str, since: datetime, until: datetime) -> int:
        """How many deliveries to an address were sent in that time and did not come back."""
        back = select(returns.c.delivery).where(
            returns.c.address == address.casefold(), returns.c.delivery.is_not(None)
        )
        counted = select(func.count()).where(
            deliveries.c.recipient == address,
            deliveries.c.state == State.SENT,
            deliveries.c.settled > since,
            deliveries.c.settled <= until,
            deliveries.c.id.not_in(back),
        )
        return self._connection.execute(counted).scalar_one()
