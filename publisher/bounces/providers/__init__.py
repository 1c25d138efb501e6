"""What mail providers report over HTTP.  One file per provider; each exports its frozen dataclass as ``KIND``.

A provider's options are the fields of its dataclass.  A third party ships one as an entry point of the group
``publisher.bounces.providers``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Protocol

from publisher import kinds as _kinds
from publisher.bounces.providers._request import Fetch, Request
from publisher.bounces.returned import Addresses, Returned

__all__ = ["Fetch", "Provider", "Request", "providers"]


class Provider(Protocol):
    """One provider's reports, set up from its options."""

    kind: ClassVar[str]

    def read(self, request: Request, addresses: Addresses, fetch: Fetch) -> tuple[Returned, ...]:
        """What a request tells of recipients; empty when it tells nothing that matters.

        Args:
            addresses: where our mail comes from and goes back to; some providers tell a token in it.
            fetch: gets the body at an address over HTTPS; for certificates, and to confirm a subscription.

        Raises:
            Forged: it does not come from the provider, or is too old.
            ReportError: it cannot be read.
        """
        ...


def providers() -> Mapping[str, type[Provider]]:
    """The providers that there are, by name."""
    return _kinds.kinds("publisher.bounces.providers")
