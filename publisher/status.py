"""What was, what is next, what is wrong: one picture of the house, for the terminal, machines and the status page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from publisher import health
from publisher.config import Settings, SourceSettings
from publisher.model import State, member_of, source_name
from publisher.options import spell
from publisher.renderers import FILES
from publisher.rhythm import LARGEST_JITTER, RELAXED, TOLD, gap, interval
from publisher.store import HubRow, Push, SourceState, Tx
from publisher.timetable import Timetable

_NAMED = 3
"""As many of the feeds of a list that are unwell are named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubStatus:
    """How it stands with the hub that a source names."""

    url: str
    pushes: bool
    """It has confirmed that it pushes the source's entries, and that has not ended."""
    proven: bool
    """It has done so, and nothing was found since that it had not pushed: the source is visited more seldom."""
    until: datetime | None
    """When what it has confirmed ends, or has ended."""
    error: str
    """Why it does not, or what it has missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStatus:
    """How a source is."""

    name: str
    kind: str
    title: str
    entries: int
    visited: datetime | None
    """The last visit that went well."""
    next: datetime | None
    """None: never again, the source has ended; or never, its entries are pushed."""
    failures: int
    """In a row, until now."""
    error: str
    """Why the last visit failed, or what is wrong although it went well."""
    feeds: int = 0
    """How many it lists."""
    hub: HubStatus | None = None
    """None: it names none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicationStatus:
    """How a publication is."""

    name: str
    title: str
    url: str
    entries: int
    """Of all its sources together."""
    files: tuple[tuple[str, str], ...]
    """What readers may subscribe to: the format's name, and the file."""
    next_issue: datetime | None
    """By its first schedule; None: it has no digest, or one that goes by no clock."""
    recipients: int
    """Who gets its issues because the configuration names them;"""
    subscribers: int
    """because they subscribe to it."""
    error: str
    """Why its feeds or its issues could not be made at the last attempt."""

    @property
    def readers(self) -> int:
        """How many there are of both; whoever is of both counts twice."""
        return self.recipients + self.subscribers


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueStatus:
    """How an issue is."""

    id: int
    publication: str
    number: int
    frequency: str
    """Whose schedule it was made by; empty: the publication's first."""
    variant: str
    """For which group of readers; empty: for all."""
    subject: str
    created: datetime
    entries: int
    finished: datetime | None
    """When the last of its deliveries was settled."""
    paused: str
    """Why none of its deliveries is taken now."""
    deliveries: dict[State, int]

    @property
    def edition(self) -> str:
        """Its number, with frequency and variant where it has them: ``12 daily de``."""
        return " ".join(filter(None, [str(self.number), self.frequency, self.variant]))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelStatus:
    """How a channel is."""

    name: str
    kind: str
    open: int
    """Deliveries that wait for it."""
    retry_at: datetime | None
    """It is down, and left alone until then."""
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How the house is."""

    now: datetime
    sources: tuple[SourceStatus, ...]
    publications: tuple[PublicationStatus, ...]
    issues: tuple[IssueStatus, ...]
    channels: tuple[ChannelStatus, ...]
    bounces: str = ""
    """Why the mailbox that mail comes back to could not be read at the last attempt."""

    @property
    def wrong(self) -> list[str]:
        """What an operator should look at, a sentence each."""
        sources = [f"source {s.name}: {s.error}" for s in self.sources if s.error]
        publications = [f"publication {p.name}: {p.error}" for p in self.publications if p.error]
        channels = [f"channel {c.name}: {c.error}" for c in self.channels if c.error]
        paused = [
            f"issue {i.edition} of {i.publication} is paused: {i.paused} (publisher issue resume {i.id})"
            for i in self.issues
            if i.paused
        ]
        stuck = [
            f"issue {i.edition} of {i.publication}: {count} deliveries {state} "
            f"(publisher delivery list --state {state})"
            for i in self.issues
            for state in (State.FAILED, State.PARKED, State.UNCERTAIN)
            if (count := i.deliveries.get(state, 0))
        ]
        bounces = [f"bounces: {self.bounces}"] * bool(self.bounces)
        return [*sources, *publications, *channels, *bounces, *paused, *stuck]

    @property
    def next(self) -> list[tuple[datetime, str]]:
        """What runs next, soonest first."""
        visits = [(s.next, f"collect {s.name}") for s in self.sources if s.next]
        issues = [(p.next_issue, f"compose {p.name}") for p in self.publications if p.next_issue]
        return sorted([*visits, *issues])


def status(tx: Tx, settings: Settings, runs: dict[str, Timetable], now: datetime) -> Status:
    """Draw the picture from the rows.

    Args:
        runs: the timetables in force, by name of the run.
    """
    return Status(
        now=now,
        sources=tuple(_sources(tx, settings, now)),
        publications=tuple(_publications(tx, settings, runs, now)),
        issues=tuple(_issues(tx)),
        channels=tuple(_channels(tx, settings)),
        bounces=_bounces(tx, settings),
    )


def _sources(tx: Tx, settings: Settings, now: datetime) -> list[SourceStatus]:
    states, counts = {state.name: state for state in tx.sources.all()}, tx.entries.counts()
    hubs = _hubs(tx, now)
    feeds: dict[str, list[SourceState]] = {}
    for state in states.values():
        if state.plan and member_of(state.name):
            feeds.setdefault(source_name(state.name), []).append(state)
    rows = []
    for name, source in settings.sources.items():
        own = _source(tx, source, states.get(name) or SourceState(name=name), counts.get(name, 0), hubs.get(name))
        rows.append(_with_feeds(own, feeds[name]) if name in feeds else own)
    return rows


def feeds_of(tx: Tx, settings: Settings, name: str, now: datetime) -> list[SourceStatus]:
    """How the feeds are that a source lists, by name."""
    counts, hubs, source = tx.entries.counts_by_member(name), _hubs(tx, now), settings.source(name)
    states = [state for state in tx.sources.all() if state.plan and state.name.startswith(f"{name}/")]
    return [
        replace(
            _source(tx, source, state, counts.get(member_of(state.name), 0), hubs.get(state.name)),
            kind="feed",
        )
        for state in states
    ]


def next_visit(tx: Tx, settings: Settings, name: str) -> tuple[datetime | None, str]:
    """When a source is visited next, and why then; None: never."""
    source, state = settings.source(name), tx.sources.get(name)
    if source.pushed:
        return None, "its entries are pushed"
    if state is None or state.tried is None:
        return state.next_at if state else None, "for the first time"
    if state.next_at is None:
        return None, "it has ended"
    if state.failures:
        why = f"its last visit failed, {state.failures} in a row; each more doubles the pause, up to a day"
    elif source.interval:
        why = f"it is visited every {spell(source.interval)}"
    elif source.lists:
        why = "it is visited as often as its feeds together have news"
    else:
        why = _rhythm(tx, name, state.visited or state.tried, state.next_at)
    return state.next_at, why


def _rhythm(tx: Tx, name: str, visited: datetime, next_at: datetime) -> str:
    """What the interval of an adaptive source comes from."""
    until_next, hub = next_at - visited, tx.hubs.get(name)
    moments = [moment for moment in tx.entries.moments(name, TOLD) if moment <= visited]  # as it was then
    usual, pause = gap(moments), interval(moments, visited)
    if until_next > LARGEST_JITTER * pause and hub and hub.state is Push.PROVEN and hub.pushes(visited):
        why, pause = "its hub pushes", max(pause, RELAXED)
    elif usual is None:
        why = "too little is known of it"
    elif visited - max(moments) > usual:
        why = f"nothing came for {_about(visited - max(moments))}"
    else:
        why = f"it has something new every {_about(usual)}"
    later = ", and later this time: it asked for that, or had less to tell" * (until_next > LARGEST_JITTER * pause)
    return f"{why}, so it is visited every {_about(pause)} or so{later}"


def _about(span: timedelta) -> str:
    """Roughly how long: in days where it is two or more, in hours, or in minutes."""
    minutes = round(span / timedelta(minutes=1))
    unit = 24 * 60 if minutes >= 2 * 24 * 60 else 60 if minutes >= 60 else 1
    return spell(timedelta(minutes=max(round(minutes / unit), 1) * unit))


def _source(tx: Tx, source: SourceSettings, state: SourceState, entries: int, hub: HubStatus | None) -> SourceStatus:
    return SourceStatus(
        name=state.name,
        kind=source.kind,
        title=state.title if state.url else source.title or state.title,
        entries=entries,
        visited=state.visited,
        next=state.next_at,
        failures=state.failures,
        error=_wrong(tx, state),
        hub=hub,
    )


def _wrong(tx: Tx, state: SourceState) -> str:
    last = tx.entries.last_sign(state.name, state.since) if state.ailment == health.SILENT else None
    words = health.sentence(state.ailment, error=state.error, expires=state.expires, last=last)
    if state.error and state.ailment != health.HELD:
        return state.error  # it says by itself what to do
    return health.with_advice(words, state.ailment, state.name, url=state.url)


def _with_feeds(own: SourceStatus, feeds: Sequence[SourceState]) -> SourceStatus:
    """How a list is: it is well when all of its feeds are."""
    unwell = [feed for feed in feeds if feed.error or feed.ailment]
    named = ", ".join(feed.url for feed in unwell[:_NAMED]) + (", …" if len(unwell) > _NAMED else "")
    verb = "is" if len(unwell) == 1 else "are"
    words = f"{len(unwell)} of {len(feeds)} feeds {verb} unwell: {named} (publisher source list {own.name})"
    coming = [feed.next_at for feed in feeds if feed.next_at] + [own.next] * bool(own.next)
    return replace(
        own,
        next=min(filter(None, coming), default=None),
        error=own.error or (words if unwell else ""),
        feeds=len(feeds),
    )


def _hubs(tx: Tx, now: datetime) -> dict[str, HubStatus]:
    return {row.name: _hub(row, now) for row in tx.hubs.all()}


def _hub(row: HubRow, now: datetime) -> HubStatus:
    pushes = row.pushes(now)
    waiting = "not confirmed by the hub yet" if row.failures and not pushes else ""
    return HubStatus(
        url=row.hub,
        pushes=pushes,
        proven=pushes and row.state is Push.PROVEN,
        until=row.until,
        error=row.error or waiting,
    )


def _bounces(tx: Tx, settings: Settings) -> str:
    state = tx.sources.get("bounces mailbox") if settings.bounces.part("mailbox") else None
    return state.error if state else ""


_FEEDS = {"rss": "RSS", "atom": "Atom", "json": "JSON Feed"}


def _publications(tx: Tx, settings: Settings, runs: dict[str, Timetable], now: datetime) -> list[PublicationStatus]:
    rows, counts, states = [], tx.entries.counts(), tx.publications.all()
    for name, options in settings.publications.items():
        publication, times = settings.publication(name), runs.get(f"compose {name}")
        rows.append(
            PublicationStatus(
                name=name,
                title=publication.title,
                url=publication.address(),
                entries=sum(counts.get(source, 0) for source in settings.sources_of(name)),
                files=tuple((_FEEDS[kind], FILES[kind][0]) for kind in options.feeds.formats if kind in _FEEDS),
                next_issue=times.next(now) if times else None,
                recipients=len(options.recipients),
                subscribers=tx.subscribers.count(name, "active"),
                error="; ".join(s.error for s in states if s.name.partition("/")[0] == name and s.error),
            )
        )
    return rows


def _issues(tx: Tx, most: int = 10) -> list[IssueStatus]:
    return [
        IssueStatus(
            id=row.id,
            publication=row.publication,
            number=row.number,
            frequency=row.frequency,
            variant=row.variant,
            subject=row.subject,
            created=row.created,
            entries=row.entries,
            finished=row.finished,
            paused=row.paused,
            deliveries=tx.deliveries.by_state(row.id),
        )
        for row in tx.issues.recent(most)
    ]


def _channels(tx: Tx, settings: Settings) -> list[ChannelStatus]:
    waiting, states = tx.deliveries.open(), {state.name: state for state in tx.channels.all()}
    rows = []
    for name in dict.fromkeys([*settings.channels, *waiting]):
        known = settings.channels.get(name)
        own = [state for key, state in states.items() if key == name or key.startswith(f"{name} via ")]
        error = "; ".join(state.error for state in own if state.error)
        rows.append(
            ChannelStatus(
                name=name,
                kind=known.kind if known else "",
                open=waiting.get(name, 0),
                retry_at=min((state.retry_at for state in own if state.retry_at), default=None),
                error=error if known else "deliveries wait for it, and the configuration does not have it",
            )
        )
    return rows
