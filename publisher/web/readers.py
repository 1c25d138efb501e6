"""Behind the links in mails: readers confirm, choose, leave and vanish.  Looking at any of it changes nothing."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timedelta
from functools import cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, available_timezones

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from publisher.errors import Unfit
from publisher.subscribers import Change, Preferences, Wanted, network_of
from publisher.web._common import Form, House, client, dead_link, first, form, page

if TYPE_CHECKING:
    from publisher.app import App

_REGIONS = ("Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")


def routes(app: House) -> list[Route]:
    """Where the links in mails lead."""
    desk = _Desk(app)
    return [
        Route("/confirm/{token}", desk.asked),
        Route("/confirm/{token}", desk.confirm, methods=["POST"]),
        Route("/preferences/{token}", desk.preferences),
        Route("/preferences/{token}", desk.change, methods=["POST"]),
        Route("/preferences/{token}/data.json", desk.data),
        Route("/preferences/{token}/erase", desk.erasing),
        Route("/preferences/{token}/erase", desk.erase, methods=["POST"]),
        Route("/unsubscribe/{token}", desk.leaving),
        Route("/unsubscribe/{token}", desk.leave, methods=["POST"]),
    ]


class _Desk:
    def __init__(self, app: House) -> None:
        self._app = app

    # --- confirmation ------------------------------------------------------------------------------------------------

    def asked(self, request: Request) -> Response:
        """A page with a button.  It changes nothing: programs that look for malware follow each link of a mail."""
        return self._asked(request, confirmed=False)

    async def confirm(self, request: Request) -> Response:
        """What the button does."""
        await self._ours(request)
        return await run_in_threadpool(self._asked, request, confirmed=True)

    def _asked(self, request: Request, *, confirmed: bool) -> Response:
        app, token = self._app(), request.path_params["token"]
        readers, network = app.readers, network_of(client(request))
        asked = readers.confirm(token, network=network) if confirmed else readers.asked(token)
        if asked is None:
            return dead_link(app, request)
        proof = app.form_proof(token)
        return page(app, request, "confirm.html.j2", language=asked.language, asked=asked, proof=proof)

    # --- preferences -------------------------------------------------------------------------------------------------

    def preferences(self, request: Request) -> Response:
        """All that a reader decides."""
        return self._preferences(request)

    async def change(self, request: Request) -> Response:
        """What one of its buttons does."""
        sent = await self._ours(request)
        return await run_in_threadpool(self._changed, request, sent)

    def _changed(self, request: Request, sent: Form) -> Response:
        app, token = self._app(), request.path_params["token"]
        found = app.readers.preferences(token)
        if found is None:
            return dead_link(app, request)
        network = network_of(client(request))
        try:
            if first(sent, "do") == "move":
                app.readers.move(token, first(sent, "address"), network=network)
                app.wake()
                return self._preferences(request, done="asked")
            done, change = _wanted(app, found, sent)
            app.readers.change(token, change, network=network)
        except Unfit as error:
            return self._preferences(request, error=error, typed=first(sent, "address"))
        return self._preferences(request, done=done)

    def _preferences(
        self, request: Request, *, done: str = "", error: Unfit | None = None, typed: str = ""
    ) -> Response:
        app, token = self._app(), request.path_params["token"]
        found = app.readers.preferences(token)
        if found is None:
            return dead_link(app, request)
        zone = _zone(app, found)
        return page(
            app,
            request,
            "preferences.html.j2",
            language=_language(app, found),
            code=400 if error else 200,
            preferences=found,
            here=_here(request),
            proof=app.form_proof(token),
            zones=sorted({*_zones(), found.subscriber.timezone} - {""}),
            zone=zone,
            tomorrow=(app.clock().astimezone(ZoneInfo(zone)) + timedelta(days=1)).date(),
            done=done,
            error={"field": error.field, "words": str(error)} if error else None,
            typed=typed,
        )

    # --- the end -----------------------------------------------------------------------------------------------------

    def data(self, request: Request) -> Response:
        """All that is known of a reader, for them to keep."""
        app = self._app()
        told = app.readers.data(request.path_params["token"])
        if told is None:
            return dead_link(app, request)
        text = json.dumps(told, ensure_ascii=False, indent=1, default=datetime.isoformat)
        attached = {"Content-Disposition": 'attachment; filename="data.json"'}
        return Response(f"{text}\n", media_type="application/json", headers=attached)

    def erasing(self, request: Request) -> Response:
        """A page that says what it means, with a button."""
        app, token = self._app(), request.path_params["token"]
        found = app.readers.preferences(token)
        if found is None:
            return dead_link(app, request)
        return self._erasing(request, found, found.subscriber.address)

    async def erase(self, request: Request) -> Response:
        """What the button does."""
        await self._ours(request)
        return await run_in_threadpool(self._erased, request)

    def _erased(self, request: Request) -> Response:
        app, token = self._app(), request.path_params["token"]
        found = app.readers.preferences(token)
        if found is None or not app.readers.erase(token, network=network_of(client(request))):
            return dead_link(app, request)
        return self._erasing(request, found, "")

    def _erasing(self, request: Request, found: Preferences, address: str) -> Response:
        app, token = self._app(), request.path_params["token"]
        return page(
            app,
            request,
            "erase.html.j2",
            language=_language(app, found),
            address=address,
            here=_here(request),
            proof=app.form_proof(token),
        )

    # --- leaving -----------------------------------------------------------------------------------------------------

    def leaving(self, request: Request) -> Response:
        """A page with a button."""
        name = self._app().returns.publication_of(request.path_params["token"])
        return self._left(request, name, done=False)

    async def leave(self, request: Request) -> Response:
        """What the button does, and one click in a mail program (RFC 8058): no cookie, no redirect, no question."""
        everything = first(await form(request), "from") == "everything"
        return await run_in_threadpool(self._leave, request, everything=everything)

    def _leave(self, request: Request, *, everything: bool) -> Response:
        name = self._app().returns.unsubscribe(request.path_params["token"], everything=everything)
        return self._left(request, name, done=True, everything=everything)

    def _left(self, request: Request, name: str | None, *, done: bool, everything: bool = False) -> Response:
        app = self._app()
        if name is None:
            return dead_link(app, request)
        publication = app.settings.publications.get(name)  # it may have been taken out since
        return page(
            app,
            request,
            "unsubscribe.html.j2",
            language=publication.language if publication else "",
            title=publication.title if publication else name,
            done=done,
            everything=everything,
            has_preferences=name in app.settings.audiences,
        )

    async def _ours(self, request: Request) -> Form:
        """What was sent by a form of ours.

        Raises:
            HTTPException: it was not; another site may have made a browser send it.
        """
        sent, token = await form(request), request.path_params["token"]
        is_foreign = request.headers.get("Sec-Fetch-Site") == "cross-site"
        if is_foreign or not self._app().is_form_proof(first(sent, "proof"), token):
            raise HTTPException(403)
        return sent


def _here(request: Request) -> str:
    """The page of somebody's preferences, from there or below."""
    below = request.url.path.count("/") - 2
    return f"{'../' * below}{request.path_params['token']}"


def _wanted(app: App, found: Preferences, sent: Form) -> tuple[str, Change]:
    """What a form says: the word for it, and what is to change.

    Raises:
        Unfit: it cannot be understood.
    """
    match first(sent, "do"):
        case "pause":
            return "paused", Change(paused_until=_midnight(app, found, first(sent, "until")))
        case "resume":
            return "resumed", Change(paused_until=app.clock())
        case "save":
            shown = [choice.publication.name for choice in found.choices]
            wishes = {name: _wish(name, sent) for name in shown if name in sent.get("shown", ())}
            texts = {name: first(sent, name) for name in ("name", "language", "timezone") if name in sent}
            return "saved", Change(publications=wishes, **texts)  # type: ignore[arg-type]  # they are the texts of it
    raise Unfit("That did not work", field="")


def _wish(name: str, sent: Form) -> Wanted:
    return Wanted(
        subscribed=name in sent.get("publication", ()),
        frequency=first(sent, f"frequency-{name}"),
        topics=tuple(sent.get(f"topic-{name}", ())),
    )


def _midnight(app: App, found: Preferences, text: str) -> datetime:
    zone = ZoneInfo(_zone(app, found))
    try:
        moment = datetime.combine(date.fromisoformat(text), time(), zone)
    except ValueError:
        moment = app.clock()
    if moment <= app.clock():
        raise Unfit("This is not a day to come.", field="until")
    return moment


def _zone(app: App, found: Preferences) -> str:
    return found.subscriber.timezone or app.settings.site.timezone


def _language(app: App, found: Preferences) -> str:
    """Theirs; else that of what they get."""
    theirs = [choice.publication.name for choice in found.choices if choice.subscribed]
    return app.readers.spoken(theirs, found.subscriber.language)


@cache
def _zones() -> frozenset[str]:
    """The time zones that people live in, without old names of theirs."""
    return frozenset(zone for zone in available_timezones() if zone.partition("/")[0] in _REGIONS)
