"""Amazon SES, through a topic of Amazon SNS.

Reports: https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html; their signature:
https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import Field

from publisher.bounces.providers._request import Fetch, Request, at, rows, text
from publisher.bounces.returned import Addresses, Returned
from publisher.errors import Forged, ReportError
from publisher.replies import Fate, code_in, fate_of

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_DOMAINS = {
    "aws": "amazonaws.com",
    "aws-us-gov": "amazonaws.com",
    "aws-cn": "amazonaws.com.cn",
    "aws-eusc": "amazonaws.eu",
}
_TOPIC = re.compile(r"arn:(aws[a-z-]*):sns:([a-z0-9-]+):\d{12}:[\w.-]{1,256}", re.ASCII)
_CERTIFICATE = re.compile(r"/SimpleNotificationService-[0-9a-f]{32}\.pem", re.ASCII)
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
"""What a signature covers, in its order; what is absent is left out."""
_NOBODY = {"NoEmail", "Suppressed", "OnAccountSuppressionList", "OnTenantSuppressionList"}


@dataclass(frozen=True, kw_only=True)
class Ses:
    """Bounces and complaints that SES publishes to a topic, which posts them here."""

    kind: ClassVar[str] = "ses"

    topic: Annotated[str, Field(description="The topic's ARN: arn:aws:sns:eu-west-1:123456789012:bounces.")]

    def __post_init__(self) -> None:
        found = _TOPIC.fullmatch(self.topic)
        if not found or found[1] not in _DOMAINS:
            raise ValueError("topic: write the topic's ARN, arn:aws:sns:region:account:name")

    def read(self, request: Request, addresses: Addresses, fetch: Fetch) -> tuple[Returned, ...]:
        """One notification; what asks to confirm the subscription of our topic is confirmed by fetching its address."""
        said = request.json()
        self._check(said, request, fetch)
        if text(said, "Type") == "SubscriptionConfirmation":
            fetch(self._ours(text(said, "SubscribeURL")))
            return ()
        return tuple(_returned(_report(at(said, "Message")), addresses))

    def _check(self, said: Any, request: Request, fetch: Fetch) -> None:
        """Raise Forged unless it is our topic's, and signed by Amazon."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
        from cryptography.hazmat.primitives.hashes import SHA1, SHA256

        if text(said, "TopicArn") != self.topic:
            raise Forged("a report that says it is from Amazon is not of our topic")
        certificate = self._certificate(self._ours(text(said, "SigningCertURL")), fetch)
        key = certificate.public_key()
        current = certificate.not_valid_before_utc <= request.received <= certificate.not_valid_after_utc
        if not isinstance(key, RSAPublicKey) or not current:
            raise Forged("a report that says it is from Amazon is signed with a certificate that is not valid")
        # Version 1 is signed over SHA-1, which is what topics do unless they are told otherwise.
        algorithm = SHA256() if text(said, "SignatureVersion") == "2" else SHA1()  # noqa: S303  # as the service signs
        try:
            key.verify(base64.b64decode(text(said, "Signature")), _canonical(said), PKCS1v15(), algorithm)
        except (InvalidSignature, ValueError) as error:
            raise Forged("a report that says it is from Amazon has the wrong signature") from error

    def _ours(self, url: str) -> str:
        """The address, if it is at the very host of our topic's region."""
        _, partition, _, region, *_ = self.topic.split(":")
        try:
            parts = urlsplit(url)
        except ValueError:
            parts = urlsplit("")
        if (parts.scheme, parts.netloc) != ("https", f"sns.{region}.{_DOMAINS[partition]}"):
            raise Forged("a report that says it is from Amazon names an address that is not Amazon's")
        return url

    def _certificate(self, url: str, fetch: Fetch) -> Certificate:
        from cryptography.x509 import load_pem_x509_certificate

        if not _CERTIFICATE.fullmatch(urlsplit(url).path):
            raise Forged("a report that says it is from Amazon names no certificate")
        if url not in self._known:
            try:
                self._known[url] = load_pem_x509_certificate(fetch(url))
            except ValueError as error:
                raise Forged("what should be Amazon's certificate is none") from error
        return self._known[url]

    @cached_property
    def _known(self) -> dict[str, Certificate]:
        """Certificates by their address; only what Amazon has there can get in."""
        return {}


KIND = Ses


def _canonical(said: Any) -> bytes:
    names = _SIGNED.get(text(said, "Type"), ())
    lines = [f"{name}\n{value}\n" for name in names if isinstance(value := at(said, name), str)]
    return "".join(lines).encode(errors="replace")


def _report(message: Any) -> Any:
    try:
        return json.loads(message)
    except (TypeError, ValueError, RecursionError) as error:
        raise ReportError("a report of Amazon SES is no JSON", hint="Is it SES that publishes to the topic?") from error


def _returned(report: Any, addresses: Addresses) -> Iterator[Returned]:
    for recipient, fate in _fates(report):
        yield Returned(
            fate=fate,
            token=addresses.bounced([text(report, "mail", "source")]),
            recipient=text(recipient, "emailAddress"),
            message_id=_message_id(at(report, "mail")),
            status=text(recipient, "status"),
            detail=text(recipient, "diagnosticCode") or _words(report),
        )


def _fates(report: Any) -> Iterator[tuple[Any, Fate]]:
    match text(report, "notificationType") or text(report, "eventType"):
        case "Bounce":
            for recipient in rows(report, "bounce", "bouncedRecipients"):
                yield recipient, _bounced(at(report, "bounce"), recipient)
        case "Complaint" if text(report, "complaint", "complaintFeedbackType") != "not-spam":
            for recipient in rows(report, "complaint", "complainedRecipients"):
                yield recipient, Fate.COMPLAINT


def _bounced(bounce: Any, recipient: Any) -> Fate:
    """Permanent is also what refuses us, so that the server's words count where they are told."""
    if text(bounce, "bounceType") != "Permanent":
        return Fate.SOFT
    if text(bounce, "bounceSubType") in _NOBODY:
        return Fate.HARD
    words = text(recipient, "diagnosticCode")
    return fate_of(code_in(words) or 550, text(recipient, "status"), words, otherwise=Fate.HARD)


def _words(report: Any) -> str:
    kinds = (
        text(report, "bounce", "bounceType"),
        text(report, "bounce", "bounceSubType"),
        text(report, "complaint", "complaintFeedbackType"),
        text(report, "complaint", "complaintSubType"),
    )
    return " ".join(filter(None, kinds)) or "complaint"


def _message_id(mail: Any) -> str:
    """Ours, which SES tells only where the topic is set to include the original headers; it replaces it itself."""
    headers = ((text(header, "name").lower(), text(header, "value")) for header in rows(mail, "headers"))
    return next((value for name, value in headers if name == "message-id"), "")
