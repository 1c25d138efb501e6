"""The door: whoever signs up, on our pages or on any other site's, gets the same answer, whoever they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from publisher.errors import TooMany, Unfit
from publisher.subscribers import network_of
from publisher.web._common import House, body, client, fields, first, page

if TYPE_CHECKING:
    from publisher.app import App

FROM_ANYWHERE = MappingProxyType({"Access-Control-Allow-Origin": "*"})
"""Other sites may send their readers' wishes by script, and read the answer: it tells nothing."""

_JSON = "application/json"
_ASKED = "If we can write to that address, a mail is on its way to it. Follow the link in it, and you are subscribed."
_LONGEST_ORIGIN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class _Typed:
    """What came in."""

    address: str = ""
    publications: tuple[str, ...] = ()
    name: str = ""
    frequency: str = ""
    topics: tuple[str, ...] = ()
    language: str = ""
    timezone: str = ""
    shown: str = ""
    """The language of the form."""
    website: str = ""
    """No reader sees this field: whoever fills it in is a program."""


def routes(app: House) -> list[Route]:
    """Where readers sign up."""
    door = _Door(app)
    return [
        Route("/subscribe", door.form),
        Route("/subscribe", door.sign_up, methods=["POST"]),
        Route("/subscribe", door.rules, methods=["OPTIONS"]),
    ]


class _Door:
    def __init__(self, app: House) -> None:
        self._app = app

    def form(self, request: Request) -> Response:
        """The page to sign up on; ``?publication=weekly`` is about that one."""
        app = self._opened()
        asked = request.query_params.getlist("publication")
        typed = _Typed(publications=tuple(name for name in app.settings.audiences if name in asked))
        return self._form(app, request, typed)

    async def rules(self, request: Request) -> Response:
        """What a browser asks before it sends JSON from another site (Fetch standard, section 3.2)."""
        allowed = {"Access-Control-Allow-Methods": "POST", "Access-Control-Allow-Headers": "Content-Type"}
        return Response(status_code=204, headers={**allowed, "Access-Control-Max-Age": "86400"})

    async def sign_up(self, request: Request) -> Response:
        """Keep who wants what; the mail that asks them goes out from elsewhere."""
        sent = await body(request)
        answer = await run_in_threadpool(self._answer, request, sent)
        answer.headers["Cache-Control"] = "no-store"
        return answer

    def _answer(self, request: Request, sent: bytes) -> Response:
        app, typed = self._opened(), _Typed()
        as_json = request.headers.get("Content-Type", "").partition(";")[0].strip().lower() == _JSON
        try:
            typed = _from_json(sent) if as_json else _from_form(sent)
            self._keep(app, request, typed, as_json=as_json)
        except Unfit as error:
            if not as_json:
                return self._form(app, request, typed, error)
            return JSONResponse({"error": str(error), "field": error.field}, 400)
        except TooMany as error:
            if not as_json:
                raise
            wait = {"Retry-After": f"{error.retry_after.total_seconds():.0f}"}
            return JSONResponse({"error": str(error)}, 429, headers=wait)
        if as_json:
            return JSONResponse({"message": _ASKED}, 202)
        return page(app, request, "look.html.j2", language=_language(app, typed))

    def _keep(self, app: App, request: Request, typed: _Typed, *, as_json: bool) -> None:
        if typed.website:
            return
        elsewhere = _elsewhere(request, app.settings.site.url) or ("another site" if as_json else "")
        known = [name for name in typed.publications if name in app.settings.audiences]
        app.readers.sign_up(
            typed.address,
            typed.publications,
            name=typed.name,
            frequency=typed.frequency,
            topics=typed.topics,
            language=typed.language,
            timezone=typed.timezone,
            door="form" if elsewhere else "page",
            network=network_of(client(request)),
            wording=f"a form at {elsewhere}" if elsewhere else app.readers.wording(known, _language(app, typed)),
        )
        app.wake()

    def _form(self, app: App, request: Request, typed: _Typed, error: Unfit | None = None) -> Response:
        """The form, with what was typed and what is wrong with it."""
        settings = app.settings
        one = [name for name in typed.publications if name in settings.audiences]
        offers = [settings.offer(name) for name in (one if len(one) == 1 else settings.audiences)]
        known = {
            "offers": offers,
            "others": len(offers) < len(settings.audiences),
            "typed": typed,
            "error": {"field": error.field, "words": str(error)} if error else None,
        }
        code = 400 if error else 200
        return page(app, request, "subscribe.html.j2", language=_language(app, typed), code=code, **known)

    def _opened(self) -> App:
        app = self._app()
        if not app.settings.audiences:
            raise HTTPException(404)
        return app


def _language(app: App, typed: _Typed) -> str:
    """In which somebody is answered: the one they want, that of the form, or that of the publication."""
    own = [tag for tag in (typed.language, typed.shown) if tag in app.readers.languages]
    known = [name for name in typed.publications if name in app.settings.audiences]
    return own[0] if own else app.readers.spoken(known)


_TEXTS = ("address", "name", "frequency", "language", "timezone", "shown", "website")


def _from_form(sent: bytes) -> _Typed:
    form = fields(sent)
    texts: dict[str, Any] = {name: first(form, name) for name in _TEXTS}
    return _Typed(publications=tuple(form.get("publication", ())), topics=tuple(form.get("topic", ())), **texts)


def _from_json(sent: bytes) -> _Typed:
    """The same as JSON.

    Raises:
        Unfit: it is none, or something of it is of another type.
    """
    try:
        told = json.loads(sent)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise Unfit("This is not an object in JSON.", field="")
    lists: dict[str, Any] = {name: _texts(told.get(name, []), name) for name in ("publications", "topics")}
    texts: dict[str, Any] = {name: _text(told.get(name, ""), name) for name in _TEXTS}
    return _Typed(**lists, **texts)


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise Unfit("This is not a text.", field=name)
    return value.encode("utf-8", "replace").decode()  # JSON can hold half a character, which nothing else can


def _texts(values: Any, name: str) -> tuple[str, ...]:
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise Unfit("This is not a list of texts.", field=name)
    return tuple(_text(value, name) for value in values)


def _elsewhere(request: Request, site: str) -> str:
    """The site that a form stands on; empty where it is ours."""
    told = request.headers.get("Origin", "null")
    origin = _origin(request.headers.get("Referer", "") if told == "null" else told)
    if origin:
        return "" if origin == _origin(site) else origin
    return "another site" if request.headers.get("Sec-Fetch-Site") == "cross-site" else ""


def _origin(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    is_site = parts.scheme in ("http", "https") and parts.hostname and url.isprintable()
    return f"{parts.scheme}://{parts.netloc}".lower()[:_LONGEST_ORIGIN] if is_site else ""
