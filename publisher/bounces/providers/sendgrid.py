"""SendGrid: https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from publisher.bounces.providers._request import Fetch, Request, text
from publisher.bounces.returned import Addresses, Returned
from publisher.errors import Forged, ReportError
from publisher.replies import Fate, fate_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

_SIMPLE = {
    "spamreport": Fate.COMPLAINT,
    "unsubscribe": Fate.UNSUBSCRIBE,
    "group_unsubscribe": Fate.UNSUBSCRIBE,
}
_DROPPED = {
    "bounced address": Fate.HARD,
    "invalid": Fate.HARD,
    "spam reporting address": Fate.COMPLAINT,
    "unsubscribed address": Fate.UNSUBSCRIBE,
}
"""Why SendGrid did not even try; any other reason is about the message or the account."""


@dataclass(frozen=True, kw_only=True)
class SendGrid:
    """Events that SendGrid posts, with the Signed Event Webhook switched on."""

    kind: ClassVar[str] = "sendgrid"

    key: Annotated[str, Field(description="The verification key that SendGrid shows: one line of Base64.")]

    def __post_init__(self) -> None:
        _ = self._public_key

    @cached_property
    def _public_key(self) -> EllipticCurvePublicKey:
        from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
        from cryptography.hazmat.primitives.serialization import load_der_public_key

        try:
            key = load_der_public_key(base64.b64decode(self.key, validate=True))
        except Exception as error:  # cryptography names no error for bytes that are no key
            raise ValueError("key: not a verification key as SendGrid shows it") from error
        if not isinstance(key, EllipticCurvePublicKey):
            raise ValueError("key: not an elliptic curve key, which SendGrid's are")
        return key

    def read(self, request: Request, addresses: Addresses, fetch: Fetch) -> tuple[Returned, ...]:
        """A list of events."""
        self._check(request)
        events = request.json()
        if not isinstance(events, list):
            raise ReportError("a report of SendGrid is not a list of events")
        return tuple(_returned(event, fate) for event, fate in _judged(events))

    def _check(self, request: Request) -> None:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
        from cryptography.hazmat.primitives.hashes import SHA256

        stamp = request.header("X-Twilio-Email-Event-Webhook-Timestamp")
        try:
            signature = base64.b64decode(request.header("X-Twilio-Email-Event-Webhook-Signature"))
            self._public_key.verify(signature, stamp.encode() + request.body, ECDSA(SHA256()))
        except (InvalidSignature, ValueError) as error:
            raise Forged("a report that says it is from SendGrid has the wrong signature") from error
        request.check_fresh(stamp)


KIND = SendGrid


def _judged(events: list[Any]) -> Iterator[tuple[Any, Fate]]:
    judged = ((event, _fate(event)) for event in events)
    return ((event, fate) for event, fate in judged if fate != Fate.NOTHING)


def _fate(event: Any) -> Fate:
    match text(event, "event"):
        case "bounce":
            return _bounced(event)
        case "dropped":
            return _DROPPED.get(text(event, "reason").lower(), Fate.SOFT)
        case name:
            return _SIMPLE.get(name, Fate.NOTHING)


def _bounced(event: Any) -> Fate:
    """A block is, in SendGrid's words, about the message or the sender, unless it is classified as the address."""
    if text(event, "bounce_classification") == "Invalid Address":
        return Fate.HARD
    if text(event, "type") != "bounce":
        return Fate.SOFT
    return fate_of(550, text(event, "status"), text(event, "reason"), otherwise=Fate.HARD)


def _returned(event: Any, fate: Fate) -> Returned:
    return Returned(
        fate=fate,
        recipient=text(event, "email"),
        message_id=text(event, "smtp-id"),
        status=text(event, "status"),
        detail=text(event, "reason") or text(event, "event"),
    )
