"""The JSON API: what programs ask of the house, at ``/api/v1``.

Who asks is told by a bearer token (RFC 6750), what it may do by the token's scopes, and what goes wrong by one shape
(RFC 9457).  There are no cookies and no CORS: it is for programs, not for pages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from publisher.errors import PublisherError
from publisher.web.api import problems
from publisher.web.api.endpoints import BASE, ENDPOINTS, Call, Endpoint
from publisher.web.api.models import TAGS, Page
from publisher.web.api.problems import HEADERS, Refused

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from publisher.app import App

__all__ = ["BASE", "ENDPOINTS", "routes"]

_LARGEST = 5_000_000
"""Bytes of a body."""
_MOST = 50_000
"""Values in a body; a hundred entries with all that they may have are 20,000."""


def routes(app: Callable[[], App]) -> list[BaseRoute]:
    """The routes of the API.

    Args:
        app: the house in force at the moment of a request.
    """
    paths: dict[str, dict[str, Endpoint]] = {}
    for endpoint in ENDPOINTS:
        paths.setdefault(endpoint.path, {})[endpoint.method] = endpoint
    # An address may hold a slash.
    known = [
        Route(BASE + path.replace("{subscriber}", "{subscriber:path}"), _Resource(app, methods))
        for path, methods in paths.items()
    ]
    return [*known, Route("/api/{rest:path}", _Resource(app, {}))]


class _Resource:
    """All that can be done at one path: an ASGI application."""

    def __init__(self, app: Callable[[], App], methods: Mapping[str, Endpoint]) -> None:
        self._app = app
        self._methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self._answer(Request(scope, receive))
        except Refused as refused:
            response = refused.response()
        except PublisherError as error:
            response = problems.of(error).response()
        except ClientDisconnect:
            return
        except Exception:
            await Refused(500, "Something is wrong here; the operator can see what in the log.").response()(
                scope, receive, send
            )
            raise
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        endpoint, app = self._endpoint(request.method), self._app()
        by = await run_in_threadpool(_admitted, app, request, endpoint.scope) if endpoint.scope else ""
        body = await _body(request) if endpoint.body else b""
        return await run_in_threadpool(_done, app, by, endpoint, request, body)

    def _endpoint(self, method: str) -> Endpoint:
        if not self._methods:
            raise Refused(404, f"There is nothing here; {BASE}/openapi.json tells what there is.")
        endpoint = self._methods.get("GET" if method == "HEAD" else method)
        if endpoint is None:
            allowed = ", ".join(self._methods)
            raise Refused(405, f"What can be done here is {allowed}.", headers={"Allow": allowed})
        return endpoint


def _admitted(app: App, request: Request, scope: str) -> str:
    """The name of the token that may do this.

    Raises:
        Refused: there is none, or it may not.
        TooMany: it asked too often.
    """
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    token = token.strip() if kind.lower() == "bearer" else ""
    holder = app.admit(token, request.client.host if request.client else "")
    if holder is None:
        raise problems.unauthorised(given=bool(token))
    if scope not in holder.scopes:
        raise problems.forbidden(scope)
    return holder.name


async def _body(request: Request) -> bytes:
    """The body of a request that is JSON.

    Raises:
        Refused: it is none, or too large.
    """
    if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refused(415, "Send JSON, with `Content-Type: application/json`.")
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _LARGEST:
            raise Refused(413, f"Send at most {_LARGEST // 1_000_000} MB at once.", headers={"Connection": "close"})
    return bytes(body)


def _done(app: App, by: str, endpoint: Endpoint, request: Request, body: bytes) -> Response:
    """Understand a request, do it, and answer."""
    try:
        query = endpoint.query.model_validate(dict(request.query_params))
        told = _understood(body, endpoint.body) if endpoint.body else None
    except ValidationError as error:
        raise problems.unreadable(error, tags=TAGS) from None
    reply = endpoint.do(Call(app=app, by=by, path=request.path_params, query=query, body=told))
    headers = HEADERS | _link(request, reply.body)
    if reply.body is None:
        return Response(status_code=reply.status, headers=headers)
    return Response(reply.body.model_dump_json(), reply.status, headers, "application/json")


def _understood(body: bytes, shape: type[BaseModel]) -> BaseModel:
    """The body, in its shape.

    Raises:
        Refused: it holds so much that to tell each fault of it would cost more memory than there is.
        ValidationError: it does not have that shape.
    """
    with suppress(ValueError):  # what is no JSON is told below
        if _is_crowded(from_json(body)):
            raise Refused(422, f"Send at most {_MOST} values at once.")
    return shape.model_validate_json(body)


def _is_crowded(told: Any) -> bool:
    pending, count = [told], 0
    while pending and count <= _MOST:
        value = pending.pop()
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        count += len(inside)
        pending += [one for one in inside if isinstance(one, dict | list)]
    return count > _MOST


def _link(request: Request, body: Any) -> dict[str, str]:
    """Where the next page is (RFC 8288); relative, because Host cannot be trusted."""
    if not isinstance(body, Page) or body.next is None:
        return {}
    query = urlencode({**request.query_params, "cursor": body.next})
    return {"Link": f'<{request.url.path}?{query}>; rel="next"'}
