"""What the tests of this room put into the store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from publisher.model import Document, Item
from publisher.store import Arrival, Tx
from publisher.store.owner import this_process

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
LONG_AFTER = NOW + timedelta(days=1)
"""When every lease has run out."""


def ended() -> str:
    """The name of a process of this machine that is no more."""
    return this_process() + "0"


def arrival(
    key: str, *, uid: str = "", link_key: str = "", backlog: bool = False, published: datetime | None = None
) -> Arrival:
    item = Item(guid=key, title=f"Title of {key}", content=f"<p>{key}</p>", published=published)
    return Arrival(
        key=key, uid=uid or f"urn:x:{key}", item=item, digest=f"digest of {key}", link_key=link_key, backlog=backlog
    )


def new_issue(tx: Tx, publication: str = "weekly", entries: tuple[int, ...] = ()) -> int:
    document = Document(name="mail.html", media_type="text/html", body=b"<p>\x00\xff</p>")
    return tx.issues.add(publication, "Subject", entries, [document], NOW).id


def plan(tx: Tx, recipients: int, channel: str = "post") -> int:
    """A new issue with so many deliveries."""
    issue = new_issue(tx)
    tx.deliveries.plan(issue, [(channel, f"reader{number}@example.org") for number in range(recipients)], NOW)
    return issue
