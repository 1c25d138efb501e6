"""Brevo: https://developers.brevo.com/docs/transactional-webhooks; authentication: …/docs/secured-webhooks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from pydantic import Field

from publisher.bounces.providers._request import Fetch, Request, text
from publisher.bounces.returned import Addresses, Returned
from publisher.options import Secret
from publisher.replies import Fate, fate_of, status_in

_EVENTS = {
    "invalid_email": Fate.HARD,
    "soft_bounce": Fate.SOFT,
    "blocked": Fate.SOFT,
    "error": Fate.SOFT,
    "spam": Fate.COMPLAINT,
    "unsubscribe": Fate.UNSUBSCRIBE,
    "unsubscribed": Fate.UNSUBSCRIBE,
}


@dataclass(frozen=True, kw_only=True)
class Brevo:
    """Events that Brevo posts, alone or in batches."""

    kind: ClassVar[str] = "brevo"

    secret: Annotated[
        Secret, Field(min_length=1, description="The webhook's bearer token, or the user:password in its address.")
    ] = field(repr=False)

    def read(self, request: Request, addresses: Addresses, fetch: Fetch) -> tuple[Returned, ...]:
        """One event, or a list of them."""
        request.check_secret(self.secret)
        said = request.json()
        judged = [(event, _fate(event)) for event in (said if isinstance(said, list) else [said])]
        return tuple(_returned(event, fate) for event, fate in judged if fate != Fate.NOTHING)


KIND = Brevo


def _fate(event: Any) -> Fate:
    if text(event, "event") == "hard_bounce":
        return fate_of(550, "", text(event, "reason"), otherwise=Fate.HARD)
    return _EVENTS.get(text(event, "event"), Fate.NOTHING)


def _returned(event: Any, fate: Fate) -> Returned:
    return Returned(
        fate=fate,
        recipient=text(event, "email"),
        message_id=text(event, "message-id"),
        status=status_in(text(event, "reason")),
        detail=text(event, "reason") or text(event, "event"),
    )
