"""What anybody may read: the first page, feeds and pages of publications, and past issues."""

from __future__ import annotations

import re
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from publisher.images import KEPT
from publisher.web._common import CSS, HTML, House, conditional, page

MEDIA_TYPES = {
    "rss.xml": "application/rss+xml; charset=utf-8",
    "atom.xml": "application/atom+xml; charset=utf-8",
    "feed.json": "application/feed+json; charset=utf-8",
    "index.html": HTML,
    "style.css": CSS,
}
"""The files of a publication that are served, and as what."""

_MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' https:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Mails have their styles in their text; of scripts there is none here either."""


def routes(app: House) -> list[Route]:
    """Where readers look."""
    shelf = _Shelf(app)
    return [
        Route("/", shelf.front),
        Route("/feeds.opml", shelf.opml),
        Route("/style.css", shelf.style),
        Route("/image/{proof}/{name}", shelf.image),
        Route("/{publication}", shelf.to_folder),
        Route("/{publication}/issues", shelf.to_folder),
        Route("/{publication}/issues/", shelf.issues),
        Route("/{publication}/issues/{number:int}", shelf.issue),
        Route("/{publication}/issues/{number:int}/{variant:path}", shelf.issue),
        Route("/{publication}/{file:path}", shelf.file),
    ]


class _Shelf:
    def __init__(self, app: House) -> None:
        self._app = app

    def front(self, request: Request) -> Response:
        """What is published here."""
        return conditional(request, self._app().front().body, HTML)

    def opml(self, request: Request) -> Response:
        """All feeds, for a feed reader to take over."""
        document = self._app().opml()
        return conditional(request, document.body, f"{document.media_type}; charset=utf-8")

    def style(self, request: Request) -> Response:
        """The style sheet of all pages."""
        return conditional(request, self._app().templates.render("style.css.j2").encode(), CSS)

    def image(self, request: Request) -> Response:
        """A picture of an entry, which is elsewhere, without anybody being seen there."""
        found = self._app().images.picture(request.path_params["proof"], request.path_params["name"])
        if found is None:
            raise HTTPException(404)
        headers = {"Cache-Control": f"public, max-age={KEPT.total_seconds():.0f}"}
        return Response(found.body, media_type=found.media_type, headers=headers)

    def to_folder(self, request: Request) -> Response:
        """An address without its slash; relative, because Host cannot be trusted."""
        self._named(request)
        return RedirectResponse(f"{request.url.path}/", status_code=308)

    def file(self, request: Request) -> Response:
        """One of the files of a publication, as it lies in the folder of feeds."""
        name, file = self._named(request), request.path_params["file"] or "index.html"
        if file not in MEDIA_TYPES:
            raise HTTPException(404)
        return conditional(request, _read(self._app().settings.feeds / name / file), MEDIA_TYPES[file])

    def issues(self, request: Request) -> Response:
        """The issues that were sent, newest first."""
        app, name = self._app(), self._named(request)
        if not app.settings.has_archive:
            raise HTTPException(404)
        before = request.query_params.get("before", "")
        found, older = app.past_issues(name, int(before) if re.fullmatch("[0-9]{1,9}", before) else None)
        publication = app.settings.publication(name)
        return page(
            app,
            request,
            "issues.html.j2",
            language=publication.language,
            publication=publication,
            issues=found,
            older=older,
        )

    def issue(self, request: Request) -> Response:
        """One of them, or a variant of it, as it was sent."""
        number, variant = request.path_params["number"], request.path_params.get("variant", "")
        document = self._app().as_sent(self._named(request), number, variant)
        if document is None:
            raise HTTPException(404)
        answer = conditional(request, document.body, HTML)
        answer.headers["Content-Security-Policy"] = _MAIL_POLICY
        return answer

    def _named(self, request: Request) -> str:
        name = str(request.path_params["publication"])
        if name not in self._app().settings.publications:
            raise HTTPException(404)
        return name


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise HTTPException(404, "not published yet") from None
