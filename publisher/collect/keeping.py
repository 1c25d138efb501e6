"""What was brought, written into the store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from publisher.collect.decisions import Changes, News, changes, key_of, link_key
from publisher.config import SourceSettings
from publisher.model import Harvest, Item, member_of
from publisher.store import SourceState, Tx
from publisher.stories import WINDOW

_SPARED = 1000  # of each source so many are never forgotten: as many as a feed can hold


def write(
    tx: Tx, source: SourceSettings, items: Sequence[Item], *, visited: str, news: News, now: datetime
) -> tuple[int, int]:
    """Write what is new and what was edited; returns how many of each.

    Args:
        visited: the name of the source, or of a feed that it lists.
    """
    found = find(tx, source, items, visited=visited, news=news, whole=not source.pushed)
    for number, key in found.aliases:
        tx.entries.alias(source.name, key, number)
    for number, item, mark in found.revisions:
        tx.entries.revise(number, item, mark, now, link_key=link_key(item.link))
    return add(tx, source, found, visited=visited, now=now), len(found.revisions)


def find(tx: Tx, source: SourceSettings, items: Sequence[Item], *, visited: str, news: News, whole: bool) -> Changes:
    """What these items change."""
    member = member_of(visited)
    keys, links = {key_of(item, member) for item in items}, {link_key(item.link) for item in items} - {""}
    known = tx.entries.known(source.name, keys, links, member=member)
    return changes(known, items, source=visited, news=news, whole=whole)


def add(tx: Tx, source: SourceSettings, found: Changes, *, visited: str, now: datetime) -> int:
    """Write what is new; returns how many."""
    return tx.entries.add(source.name, found.arrivals, now, member=member_of(visited))


def forget(tx: Tx, grown: Iterable[SourceSettings], now: datetime) -> None:
    """Let go of contents that are old enough, unless they wait for an issue, or for a reader's turn.

    Args:
        grown: the sources in which something has arrived.
    """
    if not (sources := {source.name: source.keep for source in grown}):
        return
    waiting = [state.since for state in tx.publications.all() if state.schedule]
    own = tx.subscribers.earliest()
    keep_after = min(waiting if own is None else [*waiting, own], default=tx.entries.last_number())
    for name, keep in sources.items():
        tx.entries.forget(name, now - keep, _SPARED, keep_after)
    tx.stories.forget(now - WINDOW)


def well(
    state: SourceState, fingerprint: str, harvest: Harvest, now: datetime, *, ailment: str, next_at: datetime | None
) -> SourceState:
    """How a source is that has brought something."""
    return replace(
        state,
        ailment=ailment,
        turned=state.turned if ailment == state.ailment else now,
        fingerprint=fingerprint,
        cursor=harvest.cursor,
        title=harvest.title or state.title,
        since=state.since or now,
        visited=state.visited if harvest.gone else now,
        tried=now,
        failures=0,
        failing=None,
        error="",
        next_at=next_at,
        gone=harvest.gone,
        expires=harvest.certificate.ends if harvest.certificate else None,
    )
