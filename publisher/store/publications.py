"""How each publication stands, and who is rendering it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import delete, func, or_, select, update

from publisher.store.concern import LEASE, Concern
from publisher.store.rows import PublicationState
from publisher.store.tables import leases, publications


class Publications(Concern):
    """The states of the publications."""

    def get(self, name: str) -> PublicationState | None:
        """The state of one; None when it was never put."""
        row = self._connection.execute(select(publications).where(publications.c.name == name)).one_or_none()
        return PublicationState(**row._asdict()) if row else None

    def put(self, state: PublicationState) -> None:
        """Write a state, be it new or not."""
        self._upsert(publications, asdict(state))

    def stamp(self, name: str, stamp: str, *, next_at: datetime | None = None, error: str = "") -> None:
        """Note what a publication's feeds were rendered from, and that they could be; the rest is left to others.

        Args:
            next_at: when something will be settled that they do not show yet.
            error: what did not go well all the same.
        """
        values = {"stamp": stamp, "next_at": next_at, "error": error}
        self._connection.execute(update(publications).where(publications.c.name == name).values(values))

    def next_moment(self, now: datetime) -> datetime | None:
        """When something will be settled next that has not yet."""
        moment: datetime | None = self._connection.scalar(
            select(func.min(publications.c.next_at)).where(publications.c.next_at > now)
        )
        return moment

    def trouble(self, name: str, error: str) -> None:
        """Note why its feeds or its issue could not be made; empty when the last attempt went well."""
        self._connection.execute(update(publications).where(publications.c.name == name).values(error=error))

    def all(self) -> list[PublicationState]:
        """All states, by name."""
        rows = self._connection.execute(select(publications).order_by(publications.c.name))
        return [PublicationState(**row._asdict()) for row in rows]

    def lease(self, name: str, now: datetime) -> bool:
        """Take what is to be made, so that nobody else makes it meanwhile.

        Returns:
            False when somebody else holds it, lives, and has time left.
        """
        held = {"owner": self._owner, "until": now + LEASE}
        holders = select(leases.c.owner).where(leases.c.publication == name)
        free = or_(leases.c.until < now, leases.c.owner.in_(self._dead(holders)))
        insert = self._insert(leases).values(publication=name, **held)
        upsert = insert.on_conflict_do_update(index_elements=["publication"], set_=held, where=free)
        return self._count(upsert) == 1

    def release(self, name: str) -> None:
        """Give it back, if it is still ours."""
        self._connection.execute(delete(leases).where(leases.c.publication == name, leases.c.owner == self._owner))
