"""Postmark: https://postmarkapp.com/developer/webhooks/webhooks-overview.

It signs nothing; the webhook's address holds a user and a password.  It tells a message's number of its own and not its
Message-ID, so that only the recipient's address is left to know it by.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from pydantic import Field

from publisher.bounces.providers._request import Fetch, Request, at, text
from publisher.bounces.returned import Addresses, Returned
from publisher.options import Secret
from publisher.replies import Fate, code_in, fate_of, status_in

_TYPES = {
    "BadEmailAddress": Fate.HARD,
    "ManuallyDeactivated": Fate.HARD,
    "SoftBounce": Fate.SOFT,
    "Blocked": Fate.SOFT,
    "DMARCPolicy": Fate.SOFT,
    "DnsError": Fate.SOFT,
    "SpamNotification": Fate.SOFT,
    "VirusNotification": Fate.SOFT,
    "Unknown": Fate.SOFT,
    "SpamComplaint": Fate.COMPLAINT,
    "Unsubscribe": Fate.UNSUBSCRIBE,
}
"""The others are answers, delays and mistakes of ours; and HardBounce, of which the server's words tell more."""
_SUPPRESSIONS = {
    "HardBounce": Fate.HARD,
    "SpamComplaint": Fate.COMPLAINT,
    "ManualSuppression": Fate.UNSUBSCRIBE,
}


@dataclass(frozen=True, kw_only=True)
class Postmark:
    """Bounces, complaints and changes of subscription that Postmark posts."""

    kind: ClassVar[str] = "postmark"

    password: Annotated[
        Secret, Field(min_length=1, description="user:password, as they stand in the webhook's address.")
    ] = field(repr=False)

    def read(self, request: Request, addresses: Addresses, fetch: Fetch) -> tuple[Returned, ...]:
        """One record."""
        request.check_secret(self.password)
        record = request.json()
        fate = _fate(record)
        return (_returned(record, fate),) if fate != Fate.NOTHING else ()


KIND = Postmark


def _fate(record: Any) -> Fate:
    match text(record, "RecordType"):
        case "SpamComplaint":
            return Fate.COMPLAINT
        case "SubscriptionChange" if at(record, "SuppressSending") is True:
            return _SUPPRESSIONS.get(text(record, "SuppressionReason"), Fate.UNSUBSCRIBE)
        case "Bounce" if text(record, "Type") == "HardBounce":
            return fate_of(550, "", text(record, "Details"), otherwise=Fate.HARD)
        case "Bounce":
            return _TYPES.get(text(record, "Type"), Fate.NOTHING)
    return Fate.NOTHING


def _returned(record: Any, fate: Fate) -> Returned:
    words = text(record, "Details") or text(record, "Description") or text(record, "SuppressionReason")
    return Returned(
        fate=fate,
        recipient=text(record, "Email") or text(record, "Recipient"),
        status=status_in(words) if code_in(words) else "",
        detail=words,
    )
