"""Where hubs push to, and ask whether they shall (WebSub).  The end of an address is known to one hub only."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from publisher.hubs import DOOR
from publisher.web._common import House, body


def routes(app: House) -> list[Route]:
    """Where hubs ask and push."""
    gate = _Gate(app)
    return [Route(f"/{DOOR}/{{token}}", gate.ask), Route(f"/{DOOR}/{{token}}", gate.push, methods=["POST"])]


class _Gate:
    def __init__(self, app: House) -> None:
        self._app = app

    def ask(self, request: Request) -> Response:
        """A hub asks whether it shall push, or tells that it will not (sections 5.2 and 5.3)."""
        answer = self._app().hub_asks(request.path_params["token"], request.query_params)
        if answer is None:
            raise HTTPException(404)
        return PlainTextResponse(answer)  # plain, for it is what whoever asks has written

    async def push(self, request: Request) -> Response:
        """A hub pushes (section 7).  What is not signed is answered like what is: nobody learns to forge here."""
        app = self._app()
        known = await run_in_threadpool(app.hub_of, request.path_params["token"])
        if known is None:
            raise HTTPException(410)  # the hub may forget us
        row, most = known
        pushed = await body(request, most)
        await run_in_threadpool(app.hub_pushes, row, request.headers, pushed)
        return Response(status_code=202)
