"""Hubs: who is asked to push a source's entries to us, and what follows when it answers (WebSub).

A visit finds the hub that a source names, and writes it down.  This asks it: to push, to go on before what it has
confirmed ends, to push no more.  The hub answers at an address that only it knows, and until it has, nothing counts;
whatever becomes of it, visits go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from publisher import websub
from publisher.config import Settings
from publisher.errors import BadStatus, NetError
from publisher.model import Clock, Done, Later, Outcome, Work, source_name
from publisher.net import Net
from publisher.rhythm import jitter
from publisher.store import HubRow, Push, Store

DOOR = "websub"
"""What the addresses begin with that hubs push to."""

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_TRIES = 5
"""As often a hub is asked to push no more; then what it has confirmed will end by itself."""
_UNREACHABLE = "no hub can reach {url}: site.url is an address of a network of one's own"


def ask(work: Work, settings: Settings, *, store: Store, net: Net, clock: Clock) -> Outcome:
    """Ask a hub to push, or to push no more.

    That it is being asked is written first: it may answer while it is still being told.

    Returns:
        Done when it has taken the question, which is not yet the answer; Later when it has not.

    Raises:
        StoreError: nothing could be recorded, and it was not asked.
    """
    with store.read() as tx:
        row = tx.hubs.get(work.subject)
    if row is None or row.next_at is None or row.next_at > clock():
        return Done("it has been asked")
    source = settings.sources.get(source_name(row.visited))
    private = source is not None and source.private
    asked = asking(row, settings.site.url, clock(), private=private)
    with store.write() as tx:
        if asked is None:
            tx.hubs.remove(row.name)
        elif not tx.hubs.claim(row, asked):
            return Done("it has been asked")
    if asked is None or asked.next_at is None:
        return Done(asked.error if asked else "it will end by itself")
    form = websub.request(
        leave=asked.state is Push.LEAVING, topic=asked.topic, callback=asked.callback, secret=asked.secret
    )
    try:
        net.bound(private=private).post(asked.hub, form, headers=_FORM, follow=True)
    except NetError as error:
        told = error.retry_after if isinstance(error, BadStatus) else None
        now = clock()
        again = now + websub.pause(asked.failures, asked.until - now if asked.until else None, told) * jitter(
            row.name, now
        )
        with store.write() as tx:
            tx.hubs.trouble(asked, error.words, again)
        return Later(error.words, again)
    return Done("asked to push no more" if asked.state is Push.LEAVING else "asked to push")


def verify(token: str, query: Mapping[str, str], *, store: Store, clock: Clock) -> str | None:
    """Answer a hub that asks whether it was us who asked it (section 5.3), or tells that it will not push (5.2).

    Args:
        token: the end of the address that it asks at.
        query: what it says: ``hub.mode``, ``hub.topic``, ``hub.challenge``, ``hub.lease_seconds``, ``hub.reason``.

    Returns:
        What it is answered with; None: that is none of our wishes.

    Raises:
        StoreError: it cannot be looked up, or nothing was noted.
    """
    with store.read() as tx:  # whoever knows no token holds nobody up
        known = tx.hubs.by_token(token)
    if known is None:
        return None
    with store.write() as tx:
        row = tx.hubs.by_token(token)
        if row is None or query.get("hub.topic") != row.topic:
            return None
        now, mode = clock(), query.get("hub.mode")
        if mode == "denied":
            tx.hubs.put(denied(row, query, now))
            return ""
        if mode == "unsubscribe" and row.state is Push.LEAVING:
            tx.hubs.remove(row.name)
        elif mode == "subscribe" and row.state is not Push.LEAVING and row.callback:
            tx.hubs.put(confirmed(row, query, now))
        else:
            return None
        return query.get("hub.challenge", "")


def pushing(token: str, *, store: Store) -> HubRow | None:
    """The hub that was given this token; None where there is none, or it is to push no more."""
    with store.read() as tx:
        row = tx.hubs.by_token(token)
    return row if row and row.state is not Push.LEAVING else None


def is_genuine(row: HubRow, body: bytes, signature: str, *, store: Store) -> bool:
    """Whether what was pushed is the hub's; what is not is told by ``publisher source list``.

    Raises:
        StoreError: it is not, and that could not be noted.
    """
    if websub.is_signed(body, signature, row.secret):
        return True
    words = "what it pushes is not signed with our secret" if signature else "what it pushes is not signed"
    if row.error != words:
        with store.write() as tx:
            tx.hubs.trouble(row, words, row.next_at)
    return False


# --- the decisions, pure ---------------------------------------------------------------------------------------------


def asking(row: HubRow, site: str, now: datetime, *, private: bool) -> HubRow | None:
    """What is to be written before a hub is asked; None: it need not be asked any more, and is forgotten.

    It is never asked where ``next_at`` is None in it.

    Args:
        site: the address of the house.
        private: the source is on a network of our own, and so may be its hub, which then knows private addresses.
    """
    failures, left = row.failures + 1, row.until - now if row.until else None
    later = now + websub.pause(failures, left) * jitter(row.name, now)
    if row.state is Push.LEAVING:
        over = row.until is None or row.until <= now or failures > _TRIES
        return None if over else replace(row, failures=failures, next_at=later)
    if websub.is_inward(site) and not private:
        return replace(row, state=Push.WANTED, until=None, next_at=None, error=_UNREACHABLE.format(url=site))
    callback, state = f"{site}/{DOOR}/{row.token}", Push.WANTED if not row.pushes(now) else row.state
    return replace(row, callback=callback, state=state, failures=failures, next_at=later, error="")


def confirmed(row: HubRow, query: Mapping[str, str], now: datetime) -> HubRow:
    """The row after the hub has confirmed that it pushes."""
    lease = websub.lease(query.get("hub.lease_seconds", ""))
    state = row.state if row.pushes(now) else Push.ACTIVE
    again = now + websub.renewal(lease, jitter(row.name, now))
    return replace(row, state=state, until=now + lease, next_at=again, failures=0, error="")


def denied(row: HubRow, query: Mapping[str, str], now: datetime) -> HubRow:
    """The row after the hub has said that it will not push, or not any more."""
    if row.state is Push.LEAVING:
        return replace(row, until=None)
    words = websub.reason(query)
    said = f"the hub denies it: {words}" if words else "the hub denies it"
    return replace(row, state=Push.DENIED, until=None, next_at=now + websub.DENIED, error=said)
