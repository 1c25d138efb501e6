"""Who shall get nothing any more, and what came back from them."""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import datetime

from sqlalchemy import ColumnElement, Text, and_, delete, func, or_, select, tuple_

from publisher.mime import address_key
from publisher.model import State
from publisher.store.concern import Concern
from publisher.store.rows import OWN, UNPROVEN, Return, Suppression
from publisher.store.tables import deliveries, returns, suppressions

_KEYS = ("address", "publication")


class Suppressions(Concern):
    """The suppression list, which nothing overrides."""

    def add(self, entry: Suppression) -> bool:
        """Suppress somebody.

        Returns:
            False when they were on the list; the first reason stands, unless it was the reader's own and this is not.
        """
        return self.add_all([entry]) == 1

    def add_all(self, entries: Iterable[Suppression]) -> int:
        """Suppress many at once; returns how many of them were not on the list."""
        rows = [asdict(entry) | {"address": address_key(entry.address)} for entry in entries]
        insert = self._insert(suppressions)
        was_own = or_(*(suppressions.c.reason == reason for reason in OWN))
        is_stronger = and_(was_own, *(insert.excluded.reason != reason for reason in OWN))
        told = {name: insert.excluded[name] for name in ("reason", "detail", "moment")}
        return self._many(insert.on_conflict_do_update(index_elements=_KEYS, set_=told, where=is_stronger), rows)

    def of(self, address: str, publication: str = "") -> tuple[Suppression, ...]:
        """What is on the list of somebody, be it under their address or its hash.

        Args:
            publication: only what keeps that one from them; empty: everything.
        """
        told = select(suppressions).where(suppressions.c.address.in_(self._names(address)))
        if publication:
            told = told.where(suppressions.c.publication.in_(("", publication)))
        ordered = told.order_by(suppressions.c.publication, suppressions.c.address)
        return tuple(Suppression(**row._asdict()) for row in self._connection.execute(ordered))

    def among(self, keys: Iterable[str], publication: str) -> dict[str, frozenset[str]]:
        """Of many addresses, those that are kept from a publication: by their key, the reasons."""
        names = {name: key for key in keys for name in (key, self._hashed_key(key))}
        found: dict[str, frozenset[str]] = {}
        told = select(suppressions.c.address, suppressions.c.reason).where(
            suppressions.c.address.in_(self._listed(list(names), Text)),
            suppressions.c.publication.in_(("", publication)),
        )
        for name, reason in self._connection.execute(told):
            found[names[name]] = found.get(names[name], frozenset()) | {reason}
        return found

    def lift(self, address: str, publication: str, others: Iterable[str] = ()) -> int:
        """Take back, as a reader has confirmed, that they left a publication or were erased.  All else stands.

        Args:
            others: the other publications there are, which stay left if they had left all.

        Returns:
            How many entries are gone.
        """
        own = [one for one in self.of(address, publication) if one.reason in OWN]
        for one in own:
            self._connection.execute(delete(suppressions).where(_is(one)))
        left = [asdict(replace(one, publication=name)) for one in own if not one.publication for name in others]
        if left:
            self._connection.execute(self._insert(suppressions).on_conflict_do_nothing(), left)
        return len(own)

    def remove(self, address: str) -> int:
        """Take an address off the list; returns how many entries it had there."""
        gone = delete(suppressions).where(suppressions.c.address.in_(self._names(address)))
        return self._connection.execute(gone).rowcount

    def erase(self, address: str, now: datetime) -> None:
        """Keep what is on the list of somebody without telling who it is, and add that they were erased."""
        key, hashed = self._names(address)
        self._connection.execute(
            delete(suppressions).where(suppressions.c.address.in_((key, hashed)), suppressions.c.reason.in_(OWN))
        )
        for one in self.of(key):
            self._connection.execute(delete(suppressions).where(_is(one)))
            self.add(replace(one, address=hashed, detail=""))
        self.add(Suppression(address=hashed, reason="erased", moment=now))

    def list(self, *, limit: int) -> builtins.list[Suppression]:
        """The newest first."""
        newest = select(suppressions).order_by(suppressions.c.moment.desc(), suppressions.c.address)
        return [Suppression(**row._asdict()) for row in self._connection.execute(newest.limit(limit))]

    def page(self, after: tuple[str, str] = ("", ""), *, limit: int) -> builtins.list[Suppression]:
        """The list in an order that stays while it grows.

        Args:
            after: address and publication of the entry that was told last.
        """
        key = tuple_(suppressions.c.address, suppressions.c.publication)
        rest = select(suppressions).where(key > tuple_(*after)).order_by(*key).limit(limit)
        return [Suppression(**row._asdict()) for row in self._connection.execute(rest)]

    # What came back.

    def note(self, entry: Return) -> bool:
        """Keep what came back.

        Returns:
            False when the same came before.
        """
        row = asdict(entry) | {"address": address_key(entry.address)}
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
            told = told.where(returns.c.address.in_(self._names(address)))
        return [Return(**row._asdict()) for row in self._connection.execute(told.limit(limit))]

    def good_since(self, address: str, since: datetime, until: datetime) -> int:
        """How many deliveries to an address were sent in that time and did not come back."""
        back = select(returns.c.delivery).where(
            returns.c.address == address_key(address), returns.c.delivery.is_not(None)
        )
        counted = select(func.count()).where(
            deliveries.c.recipient == address,
            deliveries.c.state == State.SENT,
            deliveries.c.settled > since,
            deliveries.c.settled <= until,
            deliveries.c.id.not_in(back),
        )
        return self._connection.execute(counted).scalar_one()


def _is(entry: Suppression) -> ColumnElement[bool]:
    return and_(suppressions.c.address == entry.address, suppressions.c.publication == entry.publication)
