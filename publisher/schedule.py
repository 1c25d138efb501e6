"""WHEN: what is due, derived from rows; and APScheduler, which wakes the house at each slot.

The wake-up is only a messenger.  Whoever wakes, for whatever reason, asks the same question (what is due now?), so a
slot missed while the house was down, a job lost by a killed process and a clock that jumped are all the same case.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from publisher.config import Settings, SourceSettings
from publisher.health import GATHERING, is_time_to_tell
from publisher.model import ENTRY_SLOT, Work, digest_name, member_of, source_name
from publisher.selection import reach
from publisher.store import Audience, Due, PublicationState, Push, Tx
from publisher.timetable import (
    EACH_ENTRY,
    FURTHEST,
    Timetable,
    every,
    is_zone,
    latest_wall,
    moments,
    timetable,
    wall_times,
)

if TYPE_CHECKING:
    from apscheduler.schedulers.background import BackgroundScheduler

SWEEP = timedelta(seconds=15)
"""How often the house looks for work that no slot announces: deferred deliveries, what a killed process left."""

_A_DAY = timedelta(days=1)


def timetables(settings: Settings) -> dict[str, Timetable]:
    """The timetable of each run there is that goes by the clock, by the name of the run.

    Visits are not among them: of each the store knows when the next one is due.
    """
    issues = {
        f"compose {digest_name(name, frequency)}": timetable(text, settings.zone_of(name))
        for name, digest in settings.digests.items()
        for frequency, text in digest.frequencies.items()
        if text != EACH_ENTRY
    }
    inbox = settings.bounces.part("mailbox")
    return issues | ({"bounces mailbox": every(inbox.options.every)} if inbox else {})


def register(tx: Tx, settings: Settings, now: datetime) -> None:
    """Take note of sources that are new or have other options, of digests that are new or differently scheduled, and of
    frequencies that come and go.

    What is in the store when a digest is seen first is no news to its readers, and slots before that moment were never
    missed.
    """
    _plan_visits(tx, settings, now)
    _plan_hubs(tx, settings, now)
    for name in settings.publications:
        digest = settings.digests.get(name)
        plans = {key: f"{text} {digest.timezone}" for key, text in digest.frequencies.items()} if digest else {"": ""}
        for frequency, plan in plans.items():
            looks_back = digest is not None and digest.first_issue is not None and not frequency
            _note(tx, name, frequency, plan, now, opened=not looks_back)
        _withdraw(tx, name, plans)


def _plan_visits(tx: Tx, settings: Settings, now: datetime) -> None:
    """Let those be visited now that are new or have other options, and never again those that are not there any more.

    What was planned before is kept otherwise: a restart makes no visit early.
    """
    plans = tx.sources.plans()
    for name in dict.fromkeys([*settings.sources, *(name for name, plan in plans.items() if plan)]):
        source = settings.sources.get(source_name(name))
        is_there = source is not None and (source.lists or not member_of(name))
        plan = f"{source.fingerprint} {source.every}" if source and is_there else ""
        if plans.get(name) != plan:
            tx.sources.plan([name], plan, now if source and is_there and not source.pushed else None)


def _plan_hubs(tx: Tx, settings: Settings, now: datetime) -> None:
    """Let hubs be asked anew where the address of the site is another one, and leave those of what is not visited."""
    plans = tx.sources.plans()
    for row in tx.hubs.all():
        source = settings.sources.get(source_name(row.visited)) if plans.get(row.visited) else None
        if row.state is Push.LEAVING:
            continue
        if source is None or source.pushed:
            tx.hubs.leave(row, now)
        elif not row.callback.startswith(f"{settings.site.url}/"):
            tx.hubs.put(replace(row, state=Push.WANTED, until=None, next_at=now, failures=0))


def _note(tx: Tx, publication: str, frequency: str, plan: str, now: datetime, *, opened: bool) -> None:
    name = digest_name(publication, frequency)
    known = tx.publications.get(name)
    state = known or PublicationState(name=name, known=now)
    if known and plan == known.schedule:
        return
    if plan and not state.schedule:
        state = replace(state, since=tx.entries.last_number(), opened=opened)
        default = tx.publications.get(publication)
        if frequency and default:  # whoever chose it when it was offered before has got the first one's issues since
            tx.subscribers.hold_place(publication, frequency, default.since)
    tx.publications.put(replace(state, schedule=plan, known=now))


def _withdraw(tx: Tx, publication: str, offered: Collection[str]) -> None:
    """Let the readers of frequencies that are not offered any more go on with the first, from where they stand."""
    for state in tx.publications.all():
        name, _, frequency = state.name.partition("/")
        if name == publication and state.schedule and frequency not in offered:
            tx.subscribers.hold_place(publication, frequency, state.since)
            tx.publications.put(replace(state, schedule=""))


# --- what is due, step by step ---------------------------------------------------------------------------------------


def due_visits(tx: Tx, settings: Settings, now: datetime) -> list[Work]:
    """The sources whose next visit is due.  The cost grows with their number, not with that of all there are."""
    works = [
        Work(step="collect", subject=due.name, slot=due.next_at.isoformat(), lane=_host(source, due.url))
        for due in tx.sources.due(now)
        if (source := settings.sources.get(source_name(due.name)))
    ]
    open_slots = tx.runs.open([(work.run, work.slot) for work in works], now)
    return [work for work in works if (work.run, work.slot) in open_slots]


def next_moment(tx: Tx, now: datetime) -> datetime | None:
    """When something will be due next of which no timetable tells."""
    moments = (tx.sources.next_moment(now), tx.publications.next_moment(now), tx.hubs.next_moment(now))
    return min(filter(None, moments), default=None)


def due_hubs(tx: Tx, settings: Settings, now: datetime) -> list[Work]:
    """The hubs that are to be asked to push, or to push no more."""
    works = []
    for row in tx.hubs.due(now):
        source = settings.sources.get(source_name(row.visited))
        lane = "" if source and source.private else urlsplit(row.hub).hostname or ""
        works.append(Work(step="hubs", subject=row.name, lane=lane))
    return works


def _host(source: SourceSettings, url: str) -> str:
    """Whom a visit is a burden to; empty where that is nobody, or a machine of one's own."""
    return "" if source.private else urlsplit(url or getattr(source.options, "url", "")).hostname or ""


def due_publications(settings: Settings, stale: Callable[[str], bool]) -> list[Work]:
    """The publications whose feeds or pages may not be what they would be now."""
    return [Work(step="publish", subject=name) for name in settings.publications if stale(name)]


def due_issues(tx: Tx, settings: Settings, now: datetime) -> list[Work]:
    """The digests whose latest slot has not run, and the new ones whose first issue can be made."""
    works, visits = [], tx.sources.due(now)
    for name, digest in settings.digests.items():
        sources = frozenset(settings.sources_of(name))
        awaited = [due for due in visits if source_name(due.name) in sources]
        for frequency in digest.frequencies:
            state = tx.publications.get(digest_name(name, frequency))
            slot = _latest(tx, settings, frequency, state, now) if state and state.schedule else None
            if slot and (slot.visits or not any(_is_awaited(due, slot.moment) for due in awaited)):
                works.append(Work(step="compose", subject=digest_name(name, frequency), slot=slot.name))
    return [work for work in works if tx.runs.is_open(work.run, work.slot, now)]


class _Slot(NamedTuple):
    name: str
    moment: datetime | None = None
    """None: the first issue's, which waits until each source was tried once."""
    visits: bool = False
    """It was a visit that brought it about: there is none to wait for."""


def _latest(tx: Tx, settings: Settings, frequency: str, state: PublicationState, now: datetime) -> _Slot | None:
    """The latest slot of a digest, as far as there was one since it is known."""
    publication = state.name.partition("/")[0]
    digest = settings.digest(publication)
    if not state.opened:
        return _Slot(f"first {state.known.isoformat()}")
    if digest.frequencies[frequency] == EACH_ENTRY:
        last = reach(tx, settings, publication, state.since, now)
        return _Slot(f"{ENTRY_SLOT}{last}", visits=True) if last > state.since else None
    if digest.by_readers_clocks and (times := wall_times(digest.frequencies[frequency])):
        return _latest_wall(tx, settings, times, state, now)
    latest = timetable(digest.frequencies[frequency], settings.zone_of(publication)).latest(now)
    return _Slot(latest.isoformat(), latest) if latest >= state.known else None


def _latest_wall(tx: Tx, settings: Settings, times: Timetable, state: PublicationState, now: datetime) -> _Slot | None:
    """The latest time that the first of the readers' clocks has shown."""
    run, home = Work(step="compose", subject=state.name).run, settings.site.timezone
    if not tx.runs.is_open(run, latest_wall(times, now, [FURTHEST]).isoformat(), now):
        return None  # no clock on earth is further: the readers need not be asked for theirs, which takes time
    zones = {home, *filter(is_zone, tx.subscribers.zones(Audience.of(settings, state.name, now)))}
    wall = latest_wall(times, now, zones)
    moment = min(moments(wall, zones, home).values())
    return _Slot(wall.isoformat(), moment) if moment >= state.known else None


def _is_awaited(visit: Due, issue: datetime | None) -> bool:
    """Whether a visit that is due belongs before an issue: what it brings is to be in it.

    Args:
        issue: the issue's slot; None: the first issue, which waits until each source was tried once.
    """
    return visit.tried is None or (issue is not None and visit.next_at <= issue)


def due_signups(tx: Tx, settings: Settings, now: datetime) -> list[Work]:
    """The sign-ups, if one waits for its answer, or the day's tidying up has not been done."""
    if settings.subscriptions is None:
        return []
    work = Work(step="subscribe", subject="sign-ups", slot=every(_A_DAY).latest(now).isoformat())
    if tx.runs.is_open(work.run, work.slot, now):
        return [work]
    return [replace(work, slot="")] if tx.subscribers.is_waiting() else []


def due_returns(tx: Tx, settings: Settings, now: datetime) -> list[Work]:
    """The mailbox that mail comes back to, if its latest slot has not run."""
    inbox = settings.bounces.part("mailbox")
    if inbox is None:
        return []
    work = Work(step="bounces", subject="mailbox", slot=every(inbox.options.every).latest(now).isoformat())
    state = tx.sources.get(work.run)
    is_held = state and state.next_at and state.next_at > now and state.fingerprint == inbox.fingerprint
    return [work] if not is_held and tx.runs.is_open(work.run, work.slot, now) else []


def due_alerts(tx: Tx, settings: Settings, now: datetime) -> list[Work]:
    """The message to the operator, if sources turned ill or well, and no more are expected to do so just now."""
    turned = [state.turned or now for state in tx.sources.untold()] if settings.alerts else []
    if not turned:
        return []
    is_due = is_time_to_tell(turned, undecided=bool(tx.sources.undecided(min(turned) + GATHERING)), now=now)
    return [Work(step="alert", subject="operator")] if is_due else []


def due_deliveries(tx: Tx, settings: Settings, now: datetime, is_held: Callable[[str], bool]) -> list[Work]:
    """The channels that have a delivery which could go now, and are not left alone for now.

    What waits for a channel that the configuration does not have waits on; ``status`` tells.
    """
    due = [name for name in tx.deliveries.due(now) if name in settings.channels]
    return [Work(step="deliver", subject=name) for name in due if not is_held(name)]


# --- the alarm clock -------------------------------------------------------------------------------------------------


class Alarm:
    """Wakes the house at each slot, and every few seconds besides; APScheduler keeps the time."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._scheduler: BackgroundScheduler | None = None

    def set(self, runs: dict[str, Timetable]) -> None:
        """Ring by these timetables from now on."""
        from apscheduler.schedulers.background import BackgroundScheduler

        # An alarm that is late still rings (the default grace is one second), once however often it was missed.
        defaults = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        self._scheduler = BackgroundScheduler(timezone="UTC", job_defaults=defaults)
        for name, times in runs.items():
            self._scheduler.add_job(self._wake, _trigger(times), id=name)
        self._scheduler.add_job(self._wake, "interval", seconds=SWEEP.total_seconds(), id="sweep")
        self._scheduler.start()

    def ring_in(self, wait: timedelta) -> None:
        """Ring once more, after that time; what was asked for so before is forgotten."""
        if self._scheduler:
            moment = datetime.now(UTC) + wait
            self._scheduler.add_job(self._wake, "date", run_date=moment, id="next", replace_existing=True)

    def renew(self, runs: dict[str, Timetable]) -> None:
        """Ring by other timetables, if it rings at all."""
        if self._scheduler:
            self.stop()
            self.set(runs)

    def stop(self) -> None:
        """Ring no more."""
        if self._scheduler:
            self._scheduler.shutdown(wait=False)
            self._scheduler = None


def _trigger(times: Timetable) -> Any:
    from apscheduler.triggers.base import BaseTrigger

    class Slots(BaseTrigger):  # type: ignore[misc]  # APScheduler 3 ships no types
        def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
            return times.next(max(previous, now) if previous else now)

    return Slots()
