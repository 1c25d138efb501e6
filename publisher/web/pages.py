"""The pages and feeds as an ASGI application."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from publisher.errors import Forged, PublisherError, ReportError
from publisher.web import api

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from publisher.app import App

MEDIA_TYPES = {
    "rss.xml": "application/rss+xml; charset=utf-8",
    "atom.xml": "application/atom+xml; charset=utf-8",
    "feed.json": "application/feed+json; charset=utf-8",
    "index.html": "text/html; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
}
"""The files of a publication that are served, and as what."""

_LARGEST_REPORT = 5_000_000  # bytes
_LARGEST_FORM = 10_000
_FORGED = {"mailgun": 406}
"""What a forged report is answered with instead of 403: Mailgun repeats a report after anything but 406."""

# No script anywhere, no style but our own sheet; images are where the entries say they are.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' https: http:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def application(app: Callable[[], App]) -> ASGIApp:
    """The web face of the house that ``app`` gives at the moment of a request."""
    pages = _Pages(app)
    return Starlette(
        routes=[
            Route("/", pages.overview),
            Route("/status.json", pages.status),
            Route("/health", pages.health),
            Route("/bounces/{provider}", pages.bounces, methods=["POST"]),
            Route("/unsubscribe/{token}", pages.unsubscribe),
            Route("/unsubscribe/{token}", pages.unsubscribed, methods=["POST"]),
            Route("/style.css", pages.style),
            Route("/status.css", pages.style),
            Route("/unsubscribe.css", pages.style),
            *api.routes(app),
            Route("/{publication}", pages.to_folder),
            Route("/{publication}/{file:path}", pages.file),
        ],
        middleware=[Middleware(_Headers), Middleware(GZipMiddleware, minimum_size=1000)],
        exception_handlers={HTTPException: _error, PublisherError: _error, Exception: _error},
    )


class _Pages:
    def __init__(self, app: Callable[[], App]) -> None:
        self._app = app

    def overview(self, request: Request) -> Response:
        """What was published, and when each thing runs next."""
        app = self._app()
        zone = ZoneInfo(app.settings.site.timezone)

        def local(moment: datetime) -> str:
            return f"{moment.astimezone(zone):%a %d %b, %H:%M}"

        return HTMLResponse(
            app.templates.render("status.html.j2", site=app.settings.model_site(), status=app.status(), local=local)
        )

    def status(self, request: Request) -> Response:
        """The same for machines."""
        status = self._app().status()
        return JSONResponse({"wrong": len(status.wrong), "next": [[at.isoformat(), name] for at, name in status.next]})

    def health(self, request: Request) -> Response:
        """200 as long as the store answers."""
        self._app().status()
        return PlainTextResponse("well\n")

    def style(self, request: Request) -> Response:
        """The style sheets of the house's own pages."""
        sheet = self._app().templates.render(f"{request.url.path.strip('/')}.j2")
        return _conditional(request, sheet.encode(), MEDIA_TYPES["style.css"])

    def to_folder(self, request: Request) -> Response:
        """A publication's address without its slash; relative, because Host cannot be trusted."""
        name = request.path_params["publication"]
        if name not in self._app().settings.publications:
            raise HTTPException(404)
        return RedirectResponse(f"/{name}/", status_code=308)

    def file(self, request: Request) -> Response:
        """One of the files of a publication, as it lies in the folder of feeds."""
        settings = self._app().settings
        name, file = request.path_params["publication"], request.path_params["file"] or "index.html"
        if name not in settings.publications or file not in MEDIA_TYPES:
            raise HTTPException(404)
        return _conditional(request, _read(settings.feeds / name / file), MEDIA_TYPES[file])

    async def bounces(self, request: Request) -> Response:
        """What a mail provider reports."""
        app, name = self._app(), request.path_params["provider"]
        way = app.settings.bounces.part(name)
        if way is None or name == "mailbox":
            raise HTTPException(404)
        body = await _body(request, _LARGEST_REPORT)
        try:
            await run_in_threadpool(app.reported, way.options, request.headers, body)
        except Forged as error:
            raise HTTPException(_FORGED.get(name, 403), str(error)) from None
        except ReportError as error:
            raise HTTPException(400, error.words) from None
        return Response(status_code=204)

    def unsubscribe(self, request: Request) -> Response:
        """A page with a button.  It changes nothing: programs that look for malware follow each link of a mail."""
        return self._leaving(self._app().returns.publication_of(request.path_params["token"]), done=False)

    async def unsubscribed(self, request: Request) -> Response:
        """What the button does, and one click in a mail program (RFC 8058): no cookie, no redirect, no question."""
        form = parse_qs((await _body(request, _LARGEST_FORM)).decode("ascii", "replace"))
        everything = form.get("from") == ["everything"]
        returns, token = self._app().returns, request.path_params["token"]
        name = await run_in_threadpool(returns.unsubscribe, token, everything=everything)
        return await run_in_threadpool(self._leaving, name, done=True, everything=everything)

    def _leaving(self, name: str | None, *, done: bool, everything: bool = False) -> Response:
        """The page of unsubscribing; of no publication where the link is none of ours."""
        app = self._app()
        publication = app.settings.publications.get(name or "")
        page = app.templates.render(
            "unsubscribe.html.j2",
            site=app.settings.model_site(),
            title=publication.title if publication else name,
            done=done,
            everything=everything,
        )
        return HTMLResponse(page, 200 if name else 404, headers={"Cache-Control": "no-store"})


async def _body(request: Request, most: int) -> bytes:
    """The body of a request, which may be anybody's.

    Raises:
        HTTPException: it is too large.
    """
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > most:
            raise HTTPException(413)
    return body


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise HTTPException(404, "not published yet") from None


def _conditional(request: Request, body: bytes, media_type: str) -> Response:
    """The body, or 304 when the reader has it (RFC 9110 section 13.1.2)."""
    # Weak: the same text may travel compressed.
    tag = f'W/"{hashlib.sha256(body).hexdigest()[:20]}"'
    headers = {"ETag": tag, "Cache-Control": "max-age=60"}
    offered = {known.strip().removeprefix("W/") for known in request.headers.get("If-None-Match", "").split(",")}
    if tag.removeprefix("W/") in offered or "*" in offered:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)


def _error(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return PlainTextResponse(f"{error.detail}\n", status_code=error.status_code, headers=error.headers)
    return PlainTextResponse("Something is wrong here; the operator can see what in the log.\n", status_code=503)


class _Headers:
    """Puts the security headers on every answer, errors included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
            await send(message)

        await self._app(scope, receive, with_headers)
