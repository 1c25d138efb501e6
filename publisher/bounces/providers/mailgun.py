"""Mailgun: https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from pydantic import Field

from publisher.bounces.providers._request import Fetch, Request, at, text
from publisher.bounces.returned import Addresses, Returned
from publisher.errors import Forged
from publisher.options import Secret
from publisher.replies import Fate, fate_of

_SIMPLE = {"complained": Fate.COMPLAINT, "unsubscribed": Fate.UNSUBSCRIBE, "rejected": Fate.SOFT}
_SUPPRESSED = {
    "suppress-bounce": Fate.HARD,
    "suppress-complaint": Fate.COMPLAINT,
    "suppress-unsubscribe": Fate.UNSUBSCRIBE,
    "espblock": Fate.SOFT,
    "old": Fate.SOFT,
}
"""Reasons for which Mailgun never asked the receiving server, or gave up."""


@dataclass(frozen=True, kw_only=True)
class Mailgun:
    """Events that Mailgun posts."""

    kind: ClassVar[str] = "mailgun"

    signing_key: Annotated[Secret, Field(min_length=1, description="The account's HTTP webhook signing key.")] = field(
        repr=False
    )

    def read(self, request: Request, addresses: Addresses, fetch: Fetch) -> tuple[Returned, ...]:
        """One event."""
        said = request.json()
        self._check(request, said)
        event = at(said, "event-data")
        fate = _fate(event)
        return (_returned(event, fate, addresses),) if fate != Fate.NOTHING else ()

    def _check(self, request: Request, said: Any) -> None:
        stamp, token = text(said, "signature", "timestamp"), text(said, "signature", "token")
        expected = hmac.digest(self.signing_key.encode(), f"{stamp}{token}".encode(errors="replace"), hashlib.sha256)
        given = text(said, "signature", "signature").encode(errors="replace")
        if not hmac.compare_digest(given, expected.hex().encode()):
            raise Forged("a report that says it is from Mailgun has the wrong signature")
        request.check_fresh(stamp)


KIND = Mailgun


def _fate(event: Any) -> Fate:
    if text(event, "event") != "failed":
        return _SIMPLE.get(text(event, "event"), Fate.NOTHING)
    if text(event, "severity") != "permanent":  # it is tried again
        return Fate.NOTHING
    known = _SUPPRESSED.get(text(event, "reason"))
    return known or fate_of(_code(event), _status(event), _words(event), otherwise=Fate.HARD)


def _code(event: Any) -> int:
    """Mailgun has codes of its own from 600, none of which is a server's word."""
    code = text(event, "delivery-status", "code")
    return int(code) if code in map(str, range(200, 600)) else 550


def _status(event: Any) -> str:
    return text(event, "delivery-status", "enhanced-code")


def _words(event: Any) -> str:
    return text(event, "delivery-status", "message") or text(event, "delivery-status", "description")


def _returned(event: Any, fate: Fate, addresses: Addresses) -> Returned:
    return Returned(
        fate=fate,
        token=addresses.bounced([text(event, "envelope", "sender")]),
        recipient=text(event, "recipient"),
        message_id=text(event, "message", "headers", "message-id"),
        status=_status(event),
        detail=_words(event) or text(event, "reject", "reason") or text(event, "event"),
    )
