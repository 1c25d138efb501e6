"""What comes back: bounces, complaints and wishes to be left alone, by mail or from a provider's webhook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from publisher.bounces.apply import Returns
from publisher.bounces.inbox import Inbox, read_inbox
from publisher.bounces.mail import read
from publisher.bounces.providers import Fetch, Provider, Request, providers
from publisher.bounces.returned import Addresses, Returned
from publisher.replies import Fate

__all__ = [
    "Addresses",
    "Fate",
    "Fetch",
    "Inbox",
    "Provider",
    "Request",
    "Returned",
    "Returns",
    "providers",
    "read",
    "read_inbox",
    "ways",
]


def ways() -> Mapping[str, type[Any]]:
    """The ways by which things come back, by name: the mailbox, and each provider.  Each is set up by its options."""
    return {**providers(), Inbox.kind: Inbox}
