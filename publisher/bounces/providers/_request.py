"""What all providers' reports need: the request, its password, and a way through its JSON."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from publisher.errors import Forged, ReportError

Fetch = Callable[[str], bytes]
"""Gets the body at an address; raises NetError."""

FRESH = timedelta(hours=25)
"""How old a signed request may be: SendGrid repeats one that failed for a day, Mailgun for eight hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as it came in."""

    headers: Mapping[str, str]
    body: bytes
    received: datetime

    def header(self, name: str) -> str:
        """The value of a header, whatever the case of its name; empty when there is none."""
        return next((value for key, value in self.headers.items() if key.lower() == name.lower()), "")

    def json(self) -> Any:
        """What the body holds.

        Raises:
            ReportError: it is no JSON.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise ReportError("a report of a mail provider is no JSON") from error

    def check_fresh(self, timestamp: str) -> None:
        """Raise Forged unless the moment, in seconds since 1970, is a recent one."""
        try:
            age = self.received - datetime.fromtimestamp(int(timestamp), UTC)
        except (ValueError, OverflowError, OSError) as error:
            raise Forged("a report of a mail provider does not tell when it was signed") from error
        if abs(age) > FRESH:
            raise Forged("a report of a mail provider is too old, or this machine's clock is wrong")

    def check_secret(self, secret: str) -> None:
        """Raise Forged unless the request brings the secret: as a bearer token, or as ``user:password``."""
        basic = base64.b64encode(secret.encode()).decode()
        scheme, _, given = self.header("Authorization").partition(" ")
        expected = {"basic": basic, "bearer": secret}.get(scheme.lower(), "")
        if not expected or not hmac.compare_digest(given.strip().encode(), expected.encode()):
            raise Forged("a report of a mail provider came without the right password")


def at(value: Any, *keys: str) -> Any:
    """What is at a path of keys in JSON; None when there is nothing."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def text(value: Any, *keys: str) -> str:
    """The text or number at a path of keys in JSON; empty when there is none."""
    found = at(value, *keys)
    return str(found)[:4000] if isinstance(found, str | int | float) else ""


def rows(value: Any, *keys: str) -> list[Any]:
    """The list at a path of keys in JSON; empty when there is none."""
    found = at(value, *keys)
    return found if isinstance(found, list) else []
