"""All that the API can do: one table, of which the routes and the OpenAPI document are made."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from publisher import model
from publisher.web.api import models
from publisher.web.api.models import Fault, Nothing
from publisher.web.api.problems import Refused

if TYPE_CHECKING:
    from publisher.app import App
    from publisher.store import IssueRow, SubscriberRow, SubscriptionRow

BASE = "/api/v1"
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request that may be done, understood."""

    app: App
    by: str
    """The name of the token that asks; empty where none is needed."""
    path: Mapping[str, str]
    """The variable parts of its path."""
    query: Any
    body: Any


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered."""

    body: BaseModel | None
    status: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One thing that the API can do."""

    method: str
    path: str
    """Below ``BASE``."""
    scope: str
    """What a token must be good for; empty: none is needed."""
    summary: str
    do: Callable[[Call], Reply]
    query: type[BaseModel] = Nothing
    body: type[BaseModel] | None = None
    answers: Mapping[int, type[BaseModel] | None] = field(default_factory=dict)
    """What it answers when all is well, by status."""


def _said(row: Any, **more: Any) -> dict[str, Any]:
    return {**asdict(row), **more}


def _no(what: str) -> Refused:
    return Refused(404, f"There is no {what}.")


# --- pages -----------------------------------------------------------------------------------------------------------


def _next(rows: Sequence[T], limit: int, key: Callable[[T], Sequence[Any]]) -> str | None:
    """The cursor behind the last of ``limit`` rows; None where there are no more of them."""
    return _cursor(key(rows[limit - 1])) if len(rows) > limit else None


def _cursor(key: Sequence[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def _place(cursor: str, *kinds: type[Any]) -> list[Any] | None:
    """The key that a cursor was made of; None for the first page.

    Raises:
        Refused: it is none of ours.
    """
    if not cursor:
        return None
    try:
        key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, RecursionError):
        key = None
    if isinstance(key, list) and tuple(map(type, key)) == kinds and all(map(_storable, key)):
        return key
    raise Refused(422, "What was sent cannot be used.", [Fault(place="cursor", message="is none of ours")])


def _storable(part: Any) -> bool:
    return 0 <= part < 2**63 if isinstance(part, int) else part.isprintable()


# --- entries ---------------------------------------------------------------------------------------------------------


def push_entries(call: Call) -> Reply:
    """Push entries to a source."""
    source = call.app.settings.sources.get(call.path["name"])
    if source is None or not source.pushed:
        raise _no(f"source {call.path['name']!r} that entries can be pushed to (kind: api)")
    kept = call.app.push(source.name, call.body.items())
    return Reply(models.Pushed(**asdict(kept)))


def list_publications(call: Call) -> Reply:
    """The publications."""
    settings = call.app.settings
    return Reply(models.Publications(items=tuple(_publication(call.app, name) for name in settings.publications)))


def _publication(app: App, name: str) -> models.Publication:
    part, digest = app.settings.publications[name], app.settings.digests.get(name)
    return models.Publication(
        name=name,
        title=part.title,
        description=part.description,
        language=part.language,
        url=app.settings.publication(name).address(),
        sources=app.settings.sources_of(name),
        topics={topic: one.title for topic, one in part.topics.items()},
        frequencies=tuple(key or digest.default_frequency for key in digest.frequencies) if digest else (),
    )


def list_entries(call: Call) -> Reply:
    """What the feeds of a publication hold, and what they held before."""
    name, limit, place = call.path["name"], call.query.limit, _place(call.query.cursor, int)
    if name not in call.app.settings.publications:
        raise _no(f"publication {name!r}")
    with call.app.store.read() as tx:
        rows, more = call.app.choice(tx, name).last(limit, *place or ())
    return Reply(models.Entries(items=tuple(map(_entry, rows)), next=None if more is None else _cursor([more])))


def _entry(row: model.Entry) -> models.Entry:
    said = _said(
        row,
        id=row.uid,
        authors=tuple(map(_author, row.authors)),
        enclosures=tuple(map(_file, row.enclosures)),
        also_in=tuple(map(_mention, row.also_in)),
    )
    return models.Entry(**{name: said[name] for name in models.Entry.model_fields})


def _author(row: model.Author) -> models.EntryAuthor:
    return models.EntryAuthor(**asdict(row))


def _mention(row: model.Mention) -> models.EntryMention:
    return models.EntryMention(**asdict(row))


def _file(row: model.Enclosure) -> models.EntryEnclosure:
    return models.EntryEnclosure(**asdict(row))


# --- subscribers -----------------------------------------------------------------------------------------------------


def list_subscribers(call: Call) -> Reply:
    """Who gets what."""
    query, place = call.query, _place(call.query.cursor, int) or [0]
    chosen = (query.publication or "", query.state or "")
    with call.app.store.read() as tx:
        rows = tx.subscribers.list(*chosen, after=place[0], limit=query.limit + 1)
        theirs = tx.subscribers.subscriptions_of(row.id for row in rows[: query.limit])
    items = tuple(_subscriber(call.app, row, theirs.get(row.id, ())) for row in rows[: query.limit])
    return Reply(models.Subscribers(items=items, next=_next(rows, query.limit, lambda row: [row.id])))


def get_subscriber(call: Call) -> Reply:
    """One subscriber."""
    return Reply(_told(call.app, _known(call)))


def add_subscriber(call: Call) -> Reply:
    """Let somebody subscribe: at once where their consent is known; else a mail asks them."""
    body, app = call.body, call.app
    given = body.model_dump(exclude={"address", "publications", "consent", "wording"}) | {
        "language": body.language or ""
    }
    if body.consent:
        row = app.readers.enrol(body.address, body.publications, **given, door="api", wording=body.consent)
        return Reply(_told(app, row))
    app.readers.sign_up(body.address, body.publications, **given, door="api", wording=body.wording)
    app.wake()
    return Reply(models.Asked(), 202)


def change_subscriber(call: Call) -> Reply:
    """Change what somebody gets, how often, about what, and how they are addressed."""
    body, row = call.body, _known(call)
    change = body.model_dump(exclude_unset=True, exclude={"publications", "consent"})
    if "paused_until" in change:
        change["paused_until"] = change["paused_until"] or call.app.clock()
    wanted = {name: one.model_dump(exclude_none=True) for name, one in body.publications.items()}
    done = call.app.readers.amend_by_hand(
        row.address, wanted, change, by=f"the API, token {call.by}", consent=body.consent or ""
    )
    if done is None:
        raise _no("such subscriber")
    return Reply(_told(call.app, done.subscriber))


def erase_subscriber(call: Call) -> Reply:
    """Forget somebody: nothing that is kept tells who they were, and nothing is sent to them any more."""
    call.app.readers.erase_by_hand(_known(call).address, door="api")
    return Reply(None, 204)


def get_history(call: Call) -> Reply:
    """What somebody said to our mailing them."""
    address = _known(call).address
    with call.app.store.read() as tx:
        rows = tx.subscribers.history(address)
    return Reply(models.History(items=tuple(models.Consent(**asdict(row)) for row in rows)))


def _known(call: Call) -> SubscriberRow:
    row = call.app.readers.known(call.path["subscriber"])
    if row is None:
        raise _no("such subscriber")
    return row


def _told(app: App, row: SubscriberRow) -> models.Subscriber:
    with app.store.read() as tx:
        return _subscriber(app, row, tx.subscribers.subscriptions(row.id))


def _subscriber(app: App, row: SubscriberRow, theirs: Iterable[SubscriptionRow]) -> models.Subscriber:
    said = _said(row, subscriptions=tuple(_subscription(app, one) for one in theirs))
    return models.Subscriber(**{name: said[name] for name in models.Subscriber.model_fields})


def _subscription(app: App, row: SubscriptionRow) -> models.Subscription:
    digest = app.settings.digests.get(row.publication)
    said = _said(row, frequency=row.frequency or (digest.default_frequency if digest else ""))
    return models.Subscription(**{name: said[name] for name in models.Subscription.model_fields})


# --- issues ----------------------------------------------------------------------------------------------------------


def list_issues(call: Call) -> Reply:
    """What was mailed."""
    query, place = call.query, _place(call.query.cursor, int) or [None]
    with call.app.store.read() as tx:
        rows = tx.issues.recent(query.limit + 1, query.publication, before=place[0])
    items = tuple(models.Issue(**asdict(row)) for row in rows[: query.limit])
    return Reply(models.Issues(items=items, next=_next(rows, query.limit, lambda row: [row.id])))


def get_issue(call: Call) -> Reply:
    """One issue, and how many of its deliveries are in which state."""
    number = call.path["issue"]
    with call.app.store.read() as tx:
        row = tx.issues.get(int(number)) if number.isascii() and number.isdigit() and len(number) < 19 else None
        if row is None or row.is_notice:
            raise _no("such issue")
        return Reply(_issue(row, tx.deliveries.by_state(row.id)))


def _issue(row: IssueRow, deliveries: Mapping[model.State, int]) -> models.IssueWithDeliveries:
    return models.IssueWithDeliveries(**asdict(row), deliveries=_by_word(deliveries))


def _by_word(counts: Mapping[model.State, int]) -> dict[str, int]:
    return {state.value: count for state, count in counts.items()}


# --- suppressions ----------------------------------------------------------------------------------------------------


def list_suppressions(call: Call) -> Reply:
    """Who gets nothing more."""
    limit, place = call.query.limit, _place(call.query.cursor, str, str) or ["", ""]
    with call.app.store.read() as tx:
        rows = tx.suppressions.page((place[0], place[1]), limit=limit + 1)
    items = tuple(models.Suppression(**asdict(row)) for row in rows[:limit])
    return Reply(models.Suppressions(items=items, next=_next(rows, limit, lambda row: [row.address, row.publication])))


def add_suppression(call: Call) -> Reply:
    """Send somebody nothing more.  There is no way back through the API."""
    body = call.body
    added = call.app.readers.suppress(body.address, body.publication or "", detail=f"the API, token {call.by}")
    return Reply(models.Suppressed(added=added))


# --- statistics ------------------------------------------------------------------------------------------------------


def get_statistics(call: Call) -> Reply:
    """The figures of the house."""
    found = call.app.statistics.figures()
    publications = (
        models.PublicationFigures(
            name=one.name,
            subscribers=dict(one.subscribers),
            issues=one.issues,
            deliveries=_by_word(one.deliveries),
        )
        for one in found.publications
    )
    return Reply(
        models.Figures(
            moment=found.moment,
            publications=tuple(publications),
            channels=tuple(models.ChannelFigures(**asdict(one)) for one in found.channels),
            sources=tuple(models.SourceFigures(**asdict(one)) for one in found.sources),
        )
    )


def get_document(call: Call) -> Reply:
    """This document."""
    from publisher.web.api.document import document

    return Reply(models.Document(document()))


# --- the table -------------------------------------------------------------------------------------------------------

_SUBSCRIBER = "/subscribers/{subscriber}"

ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/sources/{name}/entries",
        scope="entries:write",
        summary="Push entries to a source of the kind api",
        do=push_entries,
        body=models.Push,
        answers={200: models.Pushed},
    ),
    Endpoint(
        method="GET",
        path="/publications",
        scope="entries:read",
        summary="The publications",
        do=list_publications,
        answers={200: models.Publications},
    ),
    Endpoint(
        method="GET",
        path="/publications/{name}/entries",
        scope="entries:read",
        summary="What the feeds of a publication hold, and what they held before",
        do=list_entries,
        query=models.Paging,
        answers={200: models.Entries},
    ),
    Endpoint(
        method="GET",
        path="/subscribers",
        scope="subscribers:read",
        summary="Who gets what",
        do=list_subscribers,
        query=models.WhichSubscribers,
        answers={200: models.Subscribers},
    ),
    Endpoint(
        method="POST",
        path="/subscribers",
        scope="subscribers:write",
        summary="Let somebody subscribe: at once where their consent is known, else a mail asks them",
        do=add_subscriber,
        body=models.NewSubscriber,
        answers={200: models.Subscriber, 202: models.Asked},
    ),
    Endpoint(
        method="GET",
        path=f"{_SUBSCRIBER}/history",
        scope="subscribers:read",
        summary="What somebody said to our mailing them",
        do=get_history,
        answers={200: models.History},
    ),
    Endpoint(
        method="GET",
        path=_SUBSCRIBER,
        scope="subscribers:read",
        summary="One subscriber, by address or id",
        do=get_subscriber,
        answers={200: models.Subscriber},
    ),
    Endpoint(
        method="PATCH",
        path=_SUBSCRIBER,
        scope="subscribers:write",
        summary="Change what somebody gets, how often, about what, and how they are addressed",
        do=change_subscriber,
        body=models.ChangedSubscriber,
        answers={200: models.Subscriber},
    ),
    Endpoint(
        method="DELETE",
        path=_SUBSCRIBER,
        scope="subscribers:write",
        summary="Forget somebody: nothing that is kept tells who they were",
        do=erase_subscriber,
        answers={204: None},
    ),
    Endpoint(
        method="GET",
        path="/issues",
        scope="issues:read",
        summary="What was mailed, the newest first",
        do=list_issues,
        query=models.OfPublication,
        answers={200: models.Issues},
    ),
    Endpoint(
        method="GET",
        path="/issues/{issue}",
        scope="issues:read",
        summary="One issue, and how many of its deliveries are in which state",
        do=get_issue,
        answers={200: models.IssueWithDeliveries},
    ),
    Endpoint(
        method="GET",
        path="/suppressions",
        scope="suppressions:read",
        summary="Who gets nothing more",
        do=list_suppressions,
        query=models.Paging,
        answers={200: models.Suppressions},
    ),
    Endpoint(
        method="POST",
        path="/suppressions",
        scope="suppressions:write",
        summary="Send somebody nothing more; nothing that the API can do takes it back",
        do=add_suppression,
        body=models.NewSuppression,
        answers={200: models.Suppressed},
    ),
    Endpoint(
        method="GET",
        path="/statistics",
        scope="statistics:read",
        summary="The figures of the house, some seconds old at most",
        do=get_statistics,
        answers={200: models.Figures},
    ),
    Endpoint(
        method="GET",
        path="/openapi.json",
        scope="",
        summary="This document",
        do=get_document,
        answers={200: models.Document},
    ),
)
"""In the order in which a path is looked for: the longer of two that may be meant comes first."""
