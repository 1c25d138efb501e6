"""What goes wrong, in one shape: problem details (RFC 9457)."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError
from starlette.responses import Response

from publisher.errors import PublisherError, TooMany, Unfit
from publisher.web.api.models import Fault, Problem

_MOST = 100
"""Faults that are told of one request."""
HEADERS = {"Cache-Control": "no-store"}
"""Of every answer: it may hold addresses."""


class Refused(Exception):
    """A request that is not done.

    Args:
        status: of HTTP.
        detail: what is wrong and what to do about it, in a sentence.
        faults: each place that is wrong.
        headers: of the answer.
    """

    def __init__(
        self, status: int, detail: str, faults: Iterable[Fault] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.faults, self.headers = status, detail, tuple(faults), dict(headers or {})

    def response(self) -> Response:
        """As it is answered."""
        title = HTTPStatus(self.status).phrase
        told = Problem(title=title, status=self.status, detail=self.detail, errors=self.faults)
        return Response(
            told.model_dump_json(),
            self.status,
            headers=HEADERS | self.headers,
            media_type="application/problem+json",
        )


def unauthorised(*, given: bool) -> Refused:
    """No token, or none of ours (RFC 6750 section 3)."""
    if given:
        challenge = 'Bearer realm="publisher", error="invalid_token"'
        return Refused(401, "This token is not known, or was removed.", headers={"WWW-Authenticate": challenge})
    detail = "A token is needed: `Authorization: Bearer pub_…`; `publisher token add` makes one."
    return Refused(401, detail, headers={"WWW-Authenticate": 'Bearer realm="publisher"'})


def forbidden(scope: str) -> Refused:
    """A token that is not good for this."""
    challenge = f'Bearer realm="publisher", error="insufficient_scope", scope="{scope}"'
    return Refused(403, f"This needs a token with the scope {scope}.", headers={"WWW-Authenticate": challenge})


def unreadable(error: ValidationError, *, tags: Collection[str] = ()) -> Refused:
    """A body or query that does not have its shape.

    Args:
        tags: the names of alternatives, which are no places in what was sent.
    """
    found = error.errors(include_url=False, include_context=False, include_input=False)
    faults = [Fault(place=_place(one["loc"], tags), message=_message(one)) for one in found[:_MOST]]
    return Refused(422, "What was sent cannot be used; nothing was done.", faults)


def of(error: PublisherError) -> Refused:
    """What the house says, as an answer."""
    if isinstance(error, Unfit):
        faults = [Fault(place=error.field, message=error.words)]
        return Refused(422, "What was sent cannot be used; nothing was done.", faults)
    if isinstance(error, TooMany):
        wait = {"Retry-After": str(max(1, math.ceil(error.retry_after.total_seconds())))}
        return Refused(429, str(error), headers=wait)
    # What is wrong with the store is for the operator, and may name what is in it.
    return Refused(503, "This cannot be done now; try again later.", headers={"Retry-After": "10"})


def _place(path: tuple[int | str, ...], tags: Collection[str]) -> str:
    """``entries[3].published``."""
    parts = path[1:] if path and path[0] in tags else path
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).removeprefix(".")


def _message(error: Any) -> str:
    return _WORDS.get(error["type"]) or str(error["msg"]).removeprefix("Value error, ")


_WORDS = {"json_invalid": "is not JSON", "extra_forbidden": "is not known here", "missing": "is missing"}
"""Where pydantic's own are not for whoever sent it."""
