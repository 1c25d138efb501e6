"""What all rooms of the web share: pages in the frame of the site, and bodies of requests in bounds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

if TYPE_CHECKING:
    from starlette.requests import Request

    from publisher.app import App

House: TypeAlias = "Callable[[], App]"
"""Gives the house in force at the moment of a request."""

Form: TypeAlias = dict[str, list[str]]
"""What was sent with a form: each field's values."""

HTML, CSS = "text/html; charset=utf-8", "text/css; charset=utf-8"
_LARGEST_FORM = 10_000
_FIELDS = 500


def page(
    app: App, request: Request, template: str, *, language: str = "", code: int = 200, **known: object
) -> HTMLResponse:
    """A page in the frame of the site.

    Args:
        language: in which it speaks; empty: that of the site.
        code: the status of the answer.
        known: what the template knows beside the frame's own.
    """
    site = app.settings.model_site()
    spoken = language or site.language
    text = app.templates.render(template, site=site, language=spoken, root=_root(request), code=code, **known)
    return HTMLResponse(text, code)


def _root(request: Request) -> str:
    """The way from a page to the first one: relative, for Host cannot be trusted, and a proxy may hide a folder."""
    return "../" * (request.url.path.count("/") - 1)


def dead_link(app: App, request: Request) -> HTMLResponse:
    """What is told to whoever follows a link that is none of ours, or none any more."""
    return page(app, request, "error.html.j2", code=404, is_link=True)


async def body(request: Request, most: int = _LARGEST_FORM) -> bytes:
    """The body of a request, which may be anybody's.

    Raises:
        HTTPException: it is too large.
    """
    found = b""
    async for piece in request.stream():
        found += piece
        if len(found) > most:
            raise HTTPException(413)
    return found


async def form(request: Request) -> Form:
    """The fields of a form (application/x-www-form-urlencoded).

    Raises:
        HTTPException: it is too large.
    """
    return fields(await body(request))


def fields(sent: bytes) -> Form:
    """The same, of a body that has been read."""
    try:
        return parse_qs(sent.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_FIELDS)
    except ValueError:
        raise HTTPException(413) from None


def first(form: Form, name: str) -> str:
    """The first value of a field; empty where it has none."""
    return form.get(name, [""])[0]


def client(request: Request) -> str:
    """The address of whoever asks, as far as the proxies in front are trusted; empty where it is not known."""
    return request.client.host if request.client else ""


def conditional(request: Request, body: bytes, media_type: str) -> Response:
    """The body, or 304 when the reader has it (RFC 9110 section 13.1.2)."""
    # Weak: the same text may travel compressed.
    tag = f'W/"{hashlib.sha256(body).hexdigest()[:20]}"'
    headers = {"ETag": tag, "Cache-Control": "max-age=60"}
    offered = {known.strip().removeprefix("W/") for known in request.headers.get("If-None-Match", "").split(",")}
    if tag.removeprefix("W/") in offered or "*" in offered:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)
