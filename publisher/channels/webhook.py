"""A signed HTTP request to a partner's system (Standard Webhooks, standardwebhooks.com)."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import Field

from publisher.channels import Receipts, Way
from publisher.errors import AddressRefused, BadStatus, ChannelError, NetError, RenderError
from publisher.model import Issue, Parcel, Receipt, Verdict
from publisher.net import Net
from publisher.options import Duration, LocalPath, Secret

_PREFIX = "whsec_"
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110 section 5.6.2
_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """Post each issue to one address, as signed JSON."""

    kind: ClassVar[str] = "webhook"
    personal: ClassVar[bool] = False

    url: Annotated[Secret, Field(description="Where to post (https://…). It may hold a token, and is never shown.")] = (
        field(repr=False)
    )
    secret: Annotated[
        Secret,
        Field(
            description="whsec_… that signs the requests; the new and the old one with a space between to change it."
        ),
    ] = field(default="", repr=False)
    body: Annotated[
        LocalPath | None,
        Field(
            description="Template of the body, which must come out as JSON. It knows issue, entries, publication, site "
            "and payload, the issue as it is sent without a template."
        ),
    ] = None
    headers: Annotated[Mapping[str, Secret], Field(description="Headers to add, such as Authorization.")] = field(
        default_factory=dict, repr=False
    )
    timeout: Annotated[Duration, Field(description="How long the other side may take.")] = timedelta(seconds=30)
    private: Annotated[bool, Field(description="It may be at a private address.")] = False

    def __post_init__(self) -> None:
        _check_url(self.url)
        for secret in self.secret.split():
            _check_secret(secret)
        for name, value in self.headers.items():
            if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
                raise ValueError(f"headers: {name!r} cannot be sent: a value is one line of ASCII")

    def ways(self) -> Sequence[Way]:
        """One."""
        return (Way(send=self.send),)

    def send(self, parcels: Iterable[Parcel], net: Net) -> Receipts:
        """Post the issue of each parcel.

        Raises:
            ChannelError: no body can be made: its template is missing or wrong.
        """
        out = net.bound(timeout=self.timeout, private=self.private)
        for parcel in parcels:
            body = _body(parcel.issue, self.body)
            headers = {"Content-Type": "application/json", **self.headers}
            headers |= _signed(f"msg_{parcel.message_id.partition('@')[0]}", body, self.secret, datetime.now(UTC))
            yield _posted(parcel.delivery, out, self.url, body, headers)

    def check(self, net: Net) -> str:
        """Compile the template.  The address is not tried: a webhook knows no request that does nothing."""
        if self.body:
            from publisher.templating import Templates

            with _naming(self.body):
                Templates().check_text(self.body.read_text("utf-8"))
        return f"{urlsplit(self.url).hostname} was not tried: any request to a webhook is a delivery"


KIND = Webhook


# --- what is sent ----------------------------------------------------------------------------------------------------


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        well = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and _VALUE.fullmatch(url)
    except ValueError:
        well = False
    if not well:
        raise ValueError("url: not a web address (it begins with http:// or https://)")


def _check_secret(secret: str) -> None:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except ValueError:
        key = b""
    if not key or not secret.startswith(_PREFIX):
        raise ValueError(f"secret: it is {_PREFIX} and base64, as `echo {_PREFIX}$(openssl rand -base64 32)` makes it")


def _signed(identity: str, body: bytes, secrets: str, now: datetime) -> dict[str, str]:
    """The headers of Standard Webhooks; one signature for each secret, so that a secret can be changed."""
    from standardwebhooks import Webhook as Signer

    headers = {"webhook-id": identity, "webhook-timestamp": str(int(now.timestamp()))}
    signatures = [Signer(secret).sign(identity, now, body.decode()) for secret in secrets.split()]
    return {**headers, "webhook-signature": " ".join(signatures)} if signatures else headers


def _body(issue: Issue, template: Path | None) -> bytes:
    payload = _payload(issue)
    if template:
        return _rendered(template, issue, payload).encode()
    event = {"type": "issue.published", "timestamp": issue.created.isoformat(), "data": payload}
    return json.dumps(event, ensure_ascii=False).encode()


def _payload(issue: Issue) -> Any:
    try:
        return json.loads(issue.document("issue.json").body)
    except (KeyError, ValueError) as error:
        raise ChannelError(f"{issue.publication.name}, issue {issue.number}: no issue.json: {error!r}") from error


def _rendered(template: Path, issue: Issue, payload: Any) -> str:
    from publisher.templating import Templates

    with _naming(template):
        text = Templates().render_text(
            template.read_text("utf-8"),
            issue=issue,
            entries=issue.entries,
            publication=issue.publication,
            site=issue.publication.site,
            payload=payload,
        )
        json.loads(text)
    return text


@contextmanager
def _naming(template: Path) -> Iterator[None]:
    """Say which template it is that is missing, wrong, or makes something else than JSON."""
    try:
        yield
    except RenderError as error:
        raise ChannelError(f"{template}: {error}", hint=error.hint) from error
    except json.JSONDecodeError as error:
        raise ChannelError(f"{template} does not make JSON: {error}", hint="Write values as `| tojson`.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ChannelError(f"{template} cannot be read: {error}") from error


# --- what came back --------------------------------------------------------------------------------------------------


def _posted(delivery: int, net: Net, url: str, body: bytes, headers: Mapping[str, str]) -> Receipt:
    try:
        status = net.post(url, body, headers=headers).status
    except BadStatus as error:
        verdict, why = _judged(error.status)
        detail = f"{error}: {why}" if why else str(error)
        return Receipt(delivery=delivery, verdict=verdict, detail=detail, retry_after=error.retry_after)
    except AddressRefused as error:
        return Receipt(delivery=delivery, verdict=Verdict.FAILED, detail=f"{error} ({error.hint})")
    except NetError as error:
        return Receipt(delivery=delivery, verdict=Verdict.DEFERRED, detail=str(error))
    verdict, why = _judged(status)
    return Receipt(delivery=delivery, verdict=verdict, detail=f"answered {status} {why}".strip())


def _judged(status: int) -> tuple[Verdict, str]:
    """What an HTTP status says of a parcel (RFC 9110 section 15), and what the operator should know of it."""
    if 200 <= status < 300:
        return Verdict.SENT, ""
    if 300 <= status < 400:
        return Verdict.FAILED, "it has moved; write the new address in `url`"
    if status == 410:
        return Verdict.FAILED, "it is gone; take the channel out"
    if status in (408, 425, 429) or status >= 500:
        return Verdict.DEFERRED, ""
    return Verdict.FAILED, ""
