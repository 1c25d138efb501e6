"""Writing the list of readers as a CSV file that no spreadsheet executes, and that can be imported again."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import datetime
from typing import TextIO

from publisher.config import Settings
from publisher.store import Store, SubscriberRow, SubscriptionRow
from publisher.subscribers.cells import harmless
from publisher.subscribers.lists import TOPICS_APART

COLUMNS = (
    "address",
    "name",
    "publication",
    "state",
    "frequency",
    "topics",
    "language",
    "timezone",
    "created",
    "confirmed",
    "left",
)

_AT_ONCE = 5_000


def export(
    store: Store,
    settings: Settings,
    out: TextIO,
    *,
    publication: str = "",
    state: str = "",
    told: Callable[[int], None] = lambda count: None,
) -> int:
    """Write a line for each subscription, of a publication or state where one is named; returns how many.

    All are as they were at one moment, whatever happens meanwhile.

    Args:
        out: opened with ``newline=""``.
        told: how many have been written, now and then.

    Raises:
        OSError: it cannot be written.
        StoreError: the store cannot be read.
    """
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    count, after = 0, (0, "")
    with store.read() as tx:
        while page := tx.subscribers.page(publication, state, after=after, limit=_AT_ONCE):
            writer.writerows([harmless(cell) for cell in _cells(settings, *pair)] for pair in page)
            after = page[-1][1].subscriber, page[-1][1].publication
            count += len(page)
            told(count)
    return count


def _cells(settings: Settings, row: SubscriberRow, sub: SubscriptionRow) -> tuple[str, ...]:
    digest = settings.digests.get(sub.publication)
    return (
        row.address,
        row.name,
        sub.publication,
        sub.state,
        sub.frequency or (digest.default_frequency if digest else ""),
        TOPICS_APART.join(sub.topics),
        row.language,
        row.timezone,
        _moment(row.created),
        _moment(sub.confirmed),
        _moment(sub.left),
    )


def _moment(moment: datetime | None) -> str:
    return moment.isoformat() if moment else ""
