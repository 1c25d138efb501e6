"""For those who run the house: how it is, and what mail providers report to it."""

from __future__ import annotations

from datetime import datetime
from ipaddress import ip_address
from zoneinfo import ZoneInfo

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from publisher.errors import Forged, ReportError
from publisher.web._common import CSS, House, body, client, conditional, page

_LARGEST_REPORT = 5_000_000  # bytes
_FORGED = {"mailgun": 406}
"""What a forged report is answered with instead of 403: Mailgun repeats a report after anything but 406."""


def routes(app: House) -> list[Route]:
    """Where the operator looks, and providers report."""
    desk = _Desk(app)
    return [
        Route("/status", desk.overview),
        Route("/status.json", desk.status),
        Route("/status.css", desk.style),
        Route("/health", desk.health),
        Route("/bounces/{provider}", desk.bounces, methods=["POST"]),
    ]


class _Desk:
    def __init__(self, app: House) -> None:
        self._app = app

    def overview(self, request: Request) -> Response:
        """What was published, and when each thing runs next."""
        _from_here_only(request)
        app = self._app()
        zone = ZoneInfo(app.settings.site.timezone)

        def local(moment: datetime) -> str:
            return f"{moment.astimezone(zone):%a %d %b, %H:%M}"

        return page(app, request, "status.html.j2", language="en", status=app.status(), local=local)

    def status(self, request: Request) -> Response:
        """The same for machines."""
        _from_here_only(request)
        status = self._app().status()
        return JSONResponse({"wrong": len(status.wrong), "next": [[at.isoformat(), name] for at, name in status.next]})

    def style(self, request: Request) -> Response:
        """What the overview needs beside the sheet of all pages."""
        return conditional(request, self._app().templates.render("status.css.j2").encode(), CSS)

    def health(self, request: Request) -> Response:
        """200 as long as the store answers."""
        self._app().status()
        return PlainTextResponse("well\n")

    async def bounces(self, request: Request) -> Response:
        """What a mail provider reports."""
        app, name = self._app(), request.path_params["provider"]
        way = app.settings.bounces.part(name)
        if way is None or name == "mailbox":
            raise HTTPException(404)
        report = await body(request, _LARGEST_REPORT)
        try:
            await run_in_threadpool(app.reported, way.options, request.headers, report)
        except Forged as error:
            raise HTTPException(_FORGED.get(name, 403), str(error)) from None
        except ReportError as error:
            raise HTTPException(400, error.words) from None
        return Response(status_code=204)


def _from_here_only(request: Request) -> None:
    """There is no login: only this machine itself is answered.  Behind a proxy everybody looks like it.

    Raises:
        HTTPException: it is somebody else.
    """
    try:
        address = ip_address(client(request))
    except ValueError:
        raise HTTPException(404) from None
    address = getattr(address, "ipv4_mapped", None) or address
    if not address.is_loopback or {"x-forwarded-for", "forwarded"} & set(request.headers):
        raise HTTPException(404)
