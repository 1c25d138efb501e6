"""Who may use the API: the hashes of their tokens, never the tokens."""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import delete, select, update

from publisher.store.concern import Concern
from publisher.store.rows import ApiToken
from publisher.store.tables import api_tokens


class ApiTokens(Concern):
    """The tokens of the API."""

    def add(self, name: str, hash: str, scopes: Iterable[str], now: datetime) -> ApiToken | None:
        """Keep a new token; None where that name is taken."""
        row = {"name": name, "hash": hash, "scopes": tuple(scopes), "created": now}
        insert = self._insert(api_tokens).values(row).on_conflict_do_nothing().returning(*api_tokens.c)
        made = self._connection.execute(insert).one_or_none()
        return ApiToken(**made._asdict()) if made else None

    def by_hash(self, hash: str) -> ApiToken | None:
        """The token of that hash; None where there is none."""
        row = self._connection.execute(select(api_tokens).where(api_tokens.c.hash == hash)).one_or_none()
        return ApiToken(**row._asdict()) if row else None

    def list(self) -> builtins.list[ApiToken]:
        """All tokens, by name."""
        return [ApiToken(**row._asdict()) for row in self._connection.execute(select(api_tokens).order_by("name"))]

    def remove(self, name: str) -> bool:
        """Let a token be good for nothing from now on; False where there is none of that name."""
        return self._connection.execute(delete(api_tokens).where(api_tokens.c.name == name)).rowcount == 1

    def touch(self, id: int, now: datetime) -> None:
        """Note that a token was used."""
        self._connection.execute(update(api_tokens).where(api_tokens.c.id == id).values(used=now))
