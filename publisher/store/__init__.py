"""The store: all that the house knows, in SQLite or PostgreSQL.  All SQL of the project lives in this room.

SQLAlchemy costs a third of a second to import; it is imported when a store is opened, not for ``publisher --help``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from publisher.model import Clock
from publisher.store.owner import this_process
from publisher.store.rows import (
    OWN,
    UNPROVEN,
    ApiToken,
    Arrival,
    Audience,
    ChannelState,
    ConsentRow,
    DeliveryRow,
    Departure,
    Due,
    Enrolment,
    Group,
    HubRow,
    IssueRow,
    Known,
    Leased,
    PublicationState,
    Push,
    Return,
    Run,
    Settled,
    SignUp,
    SourceState,
    Standing,
    SubscriberRow,
    SubscriptionRow,
    Suppression,
    Twin,
    Waiting,
    Young,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from publisher.store.api_tokens import ApiTokens
    from publisher.store.channels import Channels
    from publisher.store.deliveries import Deliveries
    from publisher.store.entries import Entries
    from publisher.store.hubs import Hubs
    from publisher.store.issues import Issues
    from publisher.store.publications import Publications
    from publisher.store.runs import Runs
    from publisher.store.sources import Sources
    from publisher.store.stories import Stories
    from publisher.store.subscribers import Subscribers
    from publisher.store.suppressions import Suppressions


__all__ = [
    "OWN",
    "UNPROVEN",
    "ApiToken",
    "Arrival",
    "Audience",
    "ChannelState",
    "ConsentRow",
    "DeliveryRow",
    "Departure",
    "Due",
    "Enrolment",
    "Group",
    "HubRow",
    "IssueRow",
    "Known",
    "Leased",
    "PublicationState",
    "Push",
    "Return",
    "Run",
    "Settled",
    "SignUp",
    "SourceState",
    "Standing",
    "Store",
    "SubscriberRow",
    "SubscriptionRow",
    "Suppression",
    "Twin",
    "Tx",
    "Waiting",
    "Young",
    "open_store",
]


def open_store(url: str, owner: str | None = None) -> Store:
    """Open a store, made or brought up to date if need be.

    Args:
        owner: in whose name slots, publications and deliveries are held; this process's when left out.
        url: ``sqlite:///relative/path``, ``sqlite:////absolute/path`` or ``postgresql://user:password@host/database``.

    Raises:
        StoreError: the address is wrong, the store cannot be reached, or a newer version has written it.
    """
    from publisher.store.database import connect

    return Store(connect(url), owner or this_process())


class Store:
    """The door to the store.  Many threads may share one."""

    def __init__(self, engine: Engine, owner: str) -> None:
        self._engine = engine
        self._owner = owner

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """One reading transaction: a consistent snapshot.

        Raises:
            StoreError: the store cannot be read.
        """
        from publisher.store.database import reading

        with reading(self._engine) as connection:
            yield Tx(connection, self._owner)

    @contextmanager
    def write(self) -> Iterator[Tx]:
        """One writing transaction: committed at the end, rolled back by an exception.

        On SQLite there is one at a time; keep it short, and open no other one inside it.

        Raises:
            StoreError: the store cannot be written; nothing was.
        """
        from publisher.store.database import writing

        with writing(self._engine) as connection:
            yield Tx(connection, self._owner)

    @contextmanager
    def hold(self, run: str, clock: Clock) -> Iterator[bool]:
        """Hold what is being made, so that nobody else makes it meanwhile; gives False where somebody else does.

        Args:
            run: ``Work.run``.  The feeds and the digest of a publication do not wait for each other.

        Raises:
            StoreError: the store cannot be written.
        """
        with self.write() as tx:
            held = tx.publications.lease(run, clock())
        try:
            yield held
        finally:
            if held:
                with self.write() as tx:
                    tx.publications.release(run)

    def backup(self, file: Path, progress: Callable[[int, int], None] | None = None) -> None:
        """Copy the store while it is in use; the file is there whole, checked, or not at all.

        Args:
            file: where to; replaced if it is there.
            progress: told pages copied, and pages in all.

        Raises:
            StoreError: the copy cannot be written or is not sound, or the store is not a file.
        """
        from publisher.store.backup import backup

        backup(self._engine, file, progress or (lambda copied, total: None))

    def close(self) -> None:
        """Close all connections that are not in use."""
        self._engine.dispose()


class Tx:
    """One transaction, by concern; a concern is made when it is asked for first."""

    def __init__(self, connection: Connection, owner: str) -> None:
        self._connection, self._owner = connection, owner

    @cached_property
    def sources(self) -> Sources:
        """How each source stands."""
        from publisher.store.sources import Sources

        return Sources(self._connection, self._owner)

    @cached_property
    def hubs(self) -> Hubs:
        """Who pushes the entries of sources."""
        from publisher.store.hubs import Hubs

        return Hubs(self._connection, self._owner)

    @cached_property
    def entries(self) -> Entries:
        """All entries of all sources."""
        from publisher.store.entries import Entries

        return Entries(self._connection, self._owner)

    @cached_property
    def stories(self) -> Stories:
        """Which entries tell the same."""
        from publisher.store.stories import Stories

        return Stories(self._connection, self._owner)

    @cached_property
    def publications(self) -> Publications:
        """How each publication stands."""
        from publisher.store.publications import Publications

        return Publications(self._connection, self._owner)

    @cached_property
    def runs(self) -> Runs:
        """The slots that have run."""
        from publisher.store.runs import Runs

        return Runs(self._connection, self._owner)

    @cached_property
    def issues(self) -> Issues:
        """All issues of all publications."""
        from publisher.store.issues import Issues

        return Issues(self._connection, self._owner)

    @cached_property
    def channels(self) -> Channels:
        """How each channel stands."""
        from publisher.store.channels import Channels

        return Channels(self._connection, self._owner)

    @cached_property
    def deliveries(self) -> Deliveries:
        """All deliveries of all issues."""
        from publisher.store.deliveries import Deliveries

        return Deliveries(self._connection, self._owner)

    @cached_property
    def suppressions(self) -> Suppressions:
        """Who shall get nothing, and what came back."""
        from publisher.store.suppressions import Suppressions

        return Suppressions(self._connection, self._owner)

    @cached_property
    def subscribers(self) -> Subscribers:
        """The readers, what they wish, and what they said to it."""
        from publisher.store.subscribers import Subscribers

        return Subscribers(self._connection, self._owner)

    @cached_property
    def api_tokens(self) -> ApiTokens:
        """Who may use the API."""
        from publisher.store.api_tokens import ApiTokens

        return ApiTokens(self._connection, self._owner)
