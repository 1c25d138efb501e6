"""A signed HTTP request to a partner's system (Standard Webhooks, standardwebhooks.com)."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import Field

from publisher.channels import Receipts, Way, unsendable
from publisher.errors import AddressRefused, BadStatus, ChannelError, ChannelGone, NetError, RenderError
from publisher.mime import bare_address
from publisher.model import ALERTS, Issue, Parcel, Receipt, Verdict
from publisher.net import Net
from publisher.options import Duration, LocalPath, Secret

_PREFIX = "whsec_"
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110 section 5.6.2
_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """Post each issue to one address, as signed JSON."""

    kind: ClassVar[str] = "webhook"

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
            "and payload, the issue as it is sent without a template; with each_recipient also recipient."
        ),
    ] = None
    headers: Annotated[Mapping[str, Secret], Field(description="Headers to add, such as Authorization.")] = field(
        default_factory=dict, repr=False
    )
    timeout: Annotated[Duration, Field(description="How long the other side may take.")] = timedelta(seconds=30)
    private: Annotated[bool, Field(description="It may be at a private address.")] = False
    each_recipient: Annotated[
        bool, Field(description="One request for each recipient, who is named in it, instead of one for the issue.")
    ] = False
    connections: Annotated[
        int, Field(ge=1, le=100, description="How many requests are underway at once, at most, with each_recipient.")
    ] = 1

    def __post_init__(self) -> None:
        _check_url(self.url)
        for secret in self.secret.split():
            _check_secret(secret)
        for name, value in self.headers.items():
            if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
                raise ValueError(f"headers: {name!r} cannot be sent: a value is one line of ASCII")

    @property
    def personal(self) -> bool:
        """Whether each recipient has a request of their own."""
        return self.each_recipient

    def ways(self) -> Sequence[Way]:
        """One."""
        return (Way(send=self.send, connections=self.connections),)

    def send(self, parcels: Iterable[Parcel], net: Net) -> Receipts:
        """Post each parcel.

        Raises:
            ChannelError: the template of the body is missing, or does not compile.
        """
        out = net.bound(timeout=self.timeout, private=self.private)
        template = _Template(self.body) if self.body else None
        for parcel in parcels:
            try:
                body = self._body(parcel, template)
            except (RenderError, ValueError) as error:
                yield unsendable(parcel, error)
            else:
                yield _posted(parcel.delivery, out, self.url, body, self._headers(parcel, body))

    def check(self, net: Net) -> str:
        """Compile the template.  The address is not tried: a webhook knows no request that does nothing."""
        if self.body:
            _Template(self.body)
        return f"{urlsplit(self.url).hostname} was not tried: any request to a webhook is a delivery"

    def _body(self, parcel: Parcel, template: _Template | None) -> bytes:
        issue, payload = parcel.issue, _payload(parcel.issue)
        recipient = {"recipient": _recipient(parcel)} if self.each_recipient else {}
        if template:
            return template.render(issue, payload=payload, **recipient).encode()
        event = {
            "type": "alert" if issue.publication.name == ALERTS else "issue.published",
            "timestamp": issue.created.isoformat(),
            "data": payload,
            **recipient,
        }
        return json.dumps(event, ensure_ascii=False).encode()

    def _headers(self, parcel: Parcel, body: bytes) -> Mapping[str, str]:
        identity = f"msg_{parcel.message_id.partition('@')[0]}"
        signed = _signed(identity, body, self.secret, datetime.now(UTC))
        return {"Content-Type": "application/json", **self.headers, **signed}


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


def _payload(issue: Issue) -> Any:
    try:
        return json.loads(issue.document("issue.json").body)
    except (KeyError, ValueError) as error:
        raise RenderError(f"{issue.publication.name}, issue {issue.number}: no issue.json: {error!r}") from error


def _recipient(parcel: Parcel) -> Mapping[str, str]:
    """To whom a request belongs, and by what the house knows it again.

    Raises:
        ValueError: the recipient is no address.
    """
    return {
        "address": bare_address(parcel.recipient),
        "name": parcel.subscriber.name,
        "unsubscribe": parcel.subscriber.unsubscribe,
        "token": parcel.token,
    }


class _Template:
    """The operator's own form of the body.

    Raises:
        ChannelError: it is missing, or does not compile.
    """

    def __init__(self, path: Path) -> None:
        from publisher.templating import Templates

        self._path, self._templates = path, Templates()
        try:
            self._text = path.read_text("utf-8")
            self._templates.check_text(self._text)
        except RenderError as error:
            raise ChannelError(f"{path}: {error}", hint=error.hint) from error
        except (OSError, UnicodeDecodeError) as error:
            raise ChannelError(f"{path} cannot be read: {error}") from error

    def render(self, issue: Issue, **known: object) -> str:
        """JSON.

        Raises:
            RenderError: it fails, or makes something else.
        """
        publication = issue.publication
        common = {"issue": issue, "entries": issue.entries, "publication": publication, "site": publication.site}
        try:
            text = self._templates.render_text(self._text, **common, **known)
            json.loads(text)
        except RenderError as error:
            raise RenderError(f"{self._path}: {error}", hint=error.hint) from error
        except json.JSONDecodeError as error:
            hint = "Write values as `| tojson`."
            raise RenderError(f"{self._path} does not make JSON: {error}", hint=hint) from error
        return text


# --- what came back --------------------------------------------------------------------------------------------------


def _posted(delivery: int, net: Net, url: str, body: bytes, headers: Mapping[str, str]) -> Receipt:
    try:
        status = net.post(url, body, headers=headers).status
    except BadStatus as error:
        verdict, why = _judged(error.status)
        detail = f"{error}: {why}" if why else str(error)
        if error.status == 410:
            raise ChannelGone(str(error), hint="write another address in `url`, or take the channel out") from error
        return Receipt(delivery=delivery, verdict=verdict, detail=detail, retry_after=error.retry_after)
    except AddressRefused as error:
        return Receipt(delivery=delivery, verdict=Verdict.FAILED, detail=f"{error} ({error.hint})")
    except NetError as error:
        verdict = Verdict.UNCERTAIN if error.asked else Verdict.DEFERRED
        return Receipt(delivery=delivery, verdict=verdict, detail=str(error))
    verdict, why = _judged(status)
    return Receipt(delivery=delivery, verdict=verdict, detail=f"answered {status} {why}".strip())


def _judged(status: int) -> tuple[Verdict, str]:
    """What an HTTP status says of a parcel (RFC 9110 section 15), and what the operator should know of it."""
    if 200 <= status < 300:
        return Verdict.SENT, ""
    if 300 <= status < 400:
        return Verdict.FAILED, "it has moved; write the new address in `url`"
    if status in (408, 425, 429) or status >= 500:
        return Verdict.DEFERRED, ""
    return Verdict.FAILED, ""
