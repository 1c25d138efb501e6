"""All rooms of the web as one ASGI application: which address leads where, and what every answer has."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from publisher.errors import PublisherError, TooMany
from publisher.log import logger
from publisher.web import api, hubs, operator, published, readers, signup
from publisher.web._common import House, page

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_PRIVATE = ("/confirm/", "/preferences/", "/unsubscribe/", "/websub/")
"""What is behind the links in mails, and where hubs push to, is for nobody else: not for caches or search engines."""


def application(app: House) -> ASGIApp:
    """The web face of the house that ``app`` gives at the moment of a request."""
    errors = _Errors(app)
    made = Starlette(
        routes=[
            *operator.routes(app),
            *signup.routes(app),
            *readers.routes(app),
            *api.routes(app),
            *hubs.routes(app),
            *published.routes(app),  # the last: a publication may have any name that is not taken
        ],
        middleware=[Middleware(GZipMiddleware, minimum_size=1000)],
        exception_handlers={HTTPException: errors.told, PublisherError: errors.told, Exception: errors.told},
    )
    made.router.redirect_slashes = False  # it would take the address from the Host header
    return _Headers(made, app)


class _Errors:
    def __init__(self, app: House) -> None:
        self._app = app

    async def told(self, request: Request, error: Exception) -> Response:
        """A page for browsers, a line of text for everybody else."""
        if isinstance(error, HTTPException):
            status, words, headers = error.status_code, error.detail, error.headers
        elif isinstance(error, TooMany):
            status, words = 429, str(error)
            headers = {"Retry-After": f"{error.retry_after.total_seconds():.0f}"}
        else:
            status, words, headers = 503, "Something is wrong here; the operator can see what in the log.", None
            if isinstance(error, PublisherError):  # of any other the server itself tells
                logger().error("a request cannot be answered", why=str(error), hint=error.hint)
        plain = PlainTextResponse(f"{words}\n", status, headers=headers)
        return plain if "text/html" not in request.headers.get("Accept", "") else await self._page(request, plain)

    async def _page(self, request: Request, plain: Response) -> Response:
        try:
            made = await run_in_threadpool(
                page, self._app(), request, "error.html.j2", code=plain.status_code, is_link=False
            )
        except PublisherError:  # the template is what is wrong
            return plain
        if "Retry-After" in plain.headers:
            made.headers["Retry-After"] = plain.headers["Retry-After"]
        return made


class _Headers:
    """Puts on every answer, errors included, what browsers must know of it."""

    def __init__(self, wrapped: ASGIApp, app: House) -> None:
        self._wrapped, self._app = wrapped, app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                known = {name.lower() for name, _ in message["headers"]}
                told = self._told(scope["path"]).items()
                more = [(name.lower().encode(), value.encode()) for name, value in told]
                message["headers"] += [(name, value) for name, value in more if name not in known]
            await send(message)

        await self._wrapped(scope, receive, with_headers)

    def _told(self, path: str) -> dict[str, str]:
        site = urlsplit(self._app().settings.site.url)
        # No script anywhere, no style but our own sheet; images are where the entries say they are.
        told = {
            "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' https: http:; "
            f"base-uri 'none'; form-action 'self' {site.scheme}://{site.netloc}; frame-ancestors 'none'",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }
        if path.startswith(_PRIVATE):
            told |= {"Cache-Control": "no-store", "X-Robots-Tag": "noindex"}
        if path == "/subscribe":
            told |= signup.FROM_ANYWHERE
        return told
