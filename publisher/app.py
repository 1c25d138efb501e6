"""The one place where the parts are put together."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

from publisher import bounces, channels, config, hubs, schedule, sources
from publisher.access import Access
from publisher.alert import alert
from publisher.bounces import Provider, Request, Returns, read_inbox
from publisher.channels import Channel
from publisher.check import Finding, check, connect
from publisher.collect import Collecting, Received, collect, receive, receive_from_hub, tidy
from publisher.compose import compose, preview
from publisher.config import Settings, SourceSettings
from publisher.deliver import Paces, deliver, is_held
from publisher.discover import Discovery, Tried, discover, try_site
from publisher.doctor import Diagnosis, Dns, examine
from publisher.engine.local import Local, Report
from publisher.errors import ConfigError, Fault, PublisherError
from publisher.images import Images
from publisher.log import logger
from publisher.mime import bare_address, filled, message_id
from publisher.model import (
    Clock,
    Document,
    Harvest,
    Issue,
    Item,
    Outcome,
    Parcel,
    Receipt,
    Step,
    Work,
    member_of,
    source_name,
)
from publisher.net import Answer, Net
from publisher.publish import as_sent, newest, past_issues, publish, stale
from publisher.renderers import example, front, opml
from publisher.selection import Choice, judges
from publisher.statistics import Statistics
from publisher.status import SourceStatus, Status, feeds_of, next_visit, status
from publisher.store import ApiToken, HubRow, Store, Tx, open_store
from publisher.subscribers import Readers, network_of, subscribe
from publisher.templating import Templates
from publisher.timetable import Timetable
from publisher.tokens import form_proof, is_form_proof

STEPS = ("collect", "publish", "compose", "subscribe", "bounces", "alert", "deliver")
"""In the order in which an entry walks; what came back is read before anything is sent."""

_SERVED = (*STEPS, "hubs")
"""What a service does: a hub answers later, and somebody must be there."""

_DUE = {
    "collect": schedule.due_visits,
    "compose": schedule.due_issues,
    "subscribe": schedule.due_signups,
    "bounces": schedule.due_returns,
    "alert": schedule.due_alerts,
    "hubs": schedule.due_hubs,
}
"""What is due of those steps of which the rows alone tell."""

_ISSUES = 50
"""As many are on one page of an archive."""


def utc_now() -> datetime:
    """The clock of the house when nobody hands in another."""
    return datetime.now(UTC)


def load(path: Path, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the configuration, with the kinds that are installed.

    Raises:
        ConfigError: with every fault there is.
    """
    return config.load(
        path,
        sources=sources.kinds(),
        channels=channels.kinds(),
        ways=bounces.ways(),
        judges=judges(),
        environ=os.environ if environ is None else environ,
    )


def schema() -> dict[str, object]:
    """The JSON Schema of config.yaml, for editors that check while one types."""
    return config.schema(sources=sources.kinds(), channels=channels.kinds(), ways=bounces.ways())


class App:
    """The house, put together from one configuration.

    Args:
        settings: the configuration.
        clock: tells the time; tests hand in their own.
    """

    def __init__(self, settings: Settings, clock: Clock = utc_now) -> None:
        self.settings = settings
        self.clock = clock
        self.stopping = threading.Event()
        self.net = Net(closing=self.stopping)
        proxied = settings.server.images == "proxied"
        self.templates = Templates(settings.templates, picture=self._picture if proxied else None)
        self.wake: Callable[[], None] = lambda: None
        """Tells the service that there is something to do now; without one, nobody has to know."""
        self._paces = Paces()

    def close(self) -> None:
        """Let go of connections and files."""
        self.net.close()
        if "store" in vars(self):
            self.store.close()

    @cached_property
    def store(self) -> Store:
        """The store, opened when it is needed first; it takes note of the digests there are.

        Raises:
            StoreError: it cannot be opened.
        """
        store = open_store(self.settings.database)
        with store.write() as tx:
            schedule.register(tx, self.settings, self.clock())
        return store

    def ready(self) -> App:
        """The house with its store open, so that what is wrong with it is known at once."""
        _ = self.store
        return self

    @cached_property
    def secret(self) -> str:
        """The key from which identities are derived; made on first use when the configuration gives none."""
        return self.settings.secret_key or _kept_secret(self.settings.folder / "data" / "secret_key")

    @cached_property
    def returns(self) -> Returns:
        """The desk for what comes back."""
        return Returns(store=self.store, settings=self.settings, secret=self.secret, clock=self.clock)

    def _picture(self, url: str) -> str:
        return self.images.address(url)

    @cached_property
    def images(self) -> Images:
        """The pictures of entries that readers get from here."""
        folder = self.settings.folder / "data" / "images"
        return Images(site=self.settings.site.url, secret=self.secret, folder=folder, net=self.net)

    @cached_property
    def readers(self) -> Readers:
        """The desk for all that readers decide."""
        return Readers(
            store=self.store, settings=self.settings, templates=self.templates, secret=self.secret, clock=self.clock
        )

    @cached_property
    def access(self) -> Access:
        """The desk for those who use the API."""
        return Access(store=self.store, clock=self.clock)

    def admit(self, token: str, client: str) -> ApiToken | None:
        """Whose token of the API it is; None where it is none of ours.

        Args:
            client: the address that it came from.

        Raises:
            TooMany: it, or its network without a good token, has asked too often.
            StoreError: it cannot be looked up.
        """
        return self.access.admit(token, network_of(client))

    @cached_property
    def statistics(self) -> Statistics:
        """The figures of the house."""
        return Statistics(store=self.store, settings=self.settings, clock=self.clock)

    def push(self, source: str, items: Sequence[Item]) -> Received:
        """Take what was pushed to a source, all of it or nothing, and let it be published at once.

        Raises:
            Unfit: there is nothing to read in an item; the field tells which.
            StoreError: nothing was kept.
        """
        kept = receive(source, Harvest(items=tuple(items)), self.settings, store=self.store, clock=self.clock)
        self._tell(source, kept)
        if kept.arrived or kept.edited:
            self.wake()
        return kept

    def hub_asks(self, token: str, query: Mapping[str, str]) -> str | None:
        """What a hub is answered with that asks whether it shall push; None: it shall not.

        Raises:
            StoreError: it cannot be looked up.
        """
        return hubs.verify(token, query, store=self.store, clock=self.clock)

    def hub_of(self, token: str) -> tuple[HubRow, int] | None:
        """Which hub pushes to an address, and how many bytes it may; None where none does.

        Raises:
            StoreError: it cannot be looked up.
        """
        row = hubs.pushing(token, store=self.store)
        source = self.settings.sources.get(source_name(row.visited)) if row else None
        return (row, source.max_bytes) if row and source else None

    def hub_pushes(self, row: HubRow, headers: Mapping[str, str], body: bytes) -> None:
        """Take what a hub pushed, and let it be published at once; what it has not signed is nothing to us.

        Raises:
            StoreError: nothing was kept.
        """
        if not hubs.is_genuine(row, body, headers.get("X-Hub-Signature", ""), store=self.store):
            return
        pushed = Answer(url=row.topic, status=200, headers=headers, body=body)
        self._tell(
            row.visited, receive_from_hub(row.visited, pushed, self.settings, store=self.store, clock=self.clock)
        )
        self.wake()

    def _tell(self, subject: str, kept: Received | None) -> None:
        """Log what was pushed; at length only what changed something, as with visits."""
        changed = kept is not None and (kept.arrived or kept.edited)
        tell = logger().info if changed else logger().debug
        tell("pushed", subject=subject, result=kept.words if kept else "it is visited instead")

    def reported(self, provider: Provider, headers: Mapping[str, str], body: bytes) -> None:
        """Take what a mail provider reports.

        Raises:
            Forged: it does not come from the provider, or is too old.
            ReportError: it cannot be read.
            NetError: the provider's certificate cannot be fetched.
            StoreError: nothing was recorded.
        """
        request = Request(headers=headers, body=body, received=self.clock())
        self.returns.report(provider, request, lambda url: self.net.get(url).body)

    @cached_property
    def runs(self) -> dict[str, Timetable]:
        """The timetables in force, by name of the run."""
        return schedule.timetables(self.settings)

    def do(self, work: Work) -> Outcome:
        """Do one thing now."""
        return self._steps[work.step](work)

    def engine(self, tell: Callable[[Report], None], workers: int = 8) -> Local:
        """Threads that do what is due here.

        Args:
            tell: hears what became of each work.
            workers: how many threads each step has.
        """
        collecting = Collecting(self.settings, store=self.store, net=self.net, clock=self.clock)
        return Local(self.do, tell, workers, paged={"collect": collecting})

    @cached_property
    def _steps(self) -> dict[str, Step]:
        settings, store, clock = self.settings, self.store, self.clock
        return {
            "collect": lambda work: collect(work, settings, store=store, net=self.net, clock=clock),
            "hubs": lambda work: hubs.ask(work, settings, store=store, net=self.net, clock=clock),
            "publish": lambda work: publish(work, settings, store=store, templates=self.templates, clock=clock),
            "compose": lambda work: compose(work, settings, store=store, templates=self.templates, clock=clock),
            "subscribe": lambda work: subscribe(
                work, settings, store=store, templates=self.templates, secret=self.secret, clock=clock
            ),
            "bounces": lambda work: read_inbox(work, self.returns),
            "alert": lambda work: alert(work, settings, store=store, templates=self.templates, clock=clock),
            "deliver": lambda work: deliver(
                work,
                settings,
                store=store,
                net=self.net,
                templates=self.templates,
                secret=self.secret,
                clock=clock,
                stop=self.stopping,
                paces=self._paces,
            ),
        }

    def due(self, step: str) -> list[Work]:
        """The work of one step that is due now, derived from rows."""
        with self.store.read() as tx:
            now = self.clock()
            if step in _DUE:
                return _DUE[step](tx, self.settings, now)
            if step == "publish":
                return schedule.due_publications(
                    self.settings, lambda name: stale(tx, name, self.settings, self.templates, now)
                )
            states, channels = tx.channels.all(), self.settings.channels
            return schedule.due_deliveries(tx, self.settings, now, lambda name: is_held(channels[name], states, now))

    def pause(self) -> timedelta | None:
        """How long it is until something will be due of which no timetable tells; None: nobody knows."""
        now = self.clock()
        with self.store.read() as tx:
            moment = schedule.next_moment(tx, now)
        return moment - now if moment else None

    def feeds(self, source: str) -> list[SourceStatus]:
        """How the feeds are that a source lists."""
        with self.store.read() as tx:
            return feeds_of(tx, self.settings, source, self.clock())

    def next_visit(self, source: str) -> tuple[datetime | None, str]:
        """When a source is visited next, and why then; None: never."""
        with self.store.read() as tx:
            return next_visit(tx, self.settings, source)

    def listed_by(self, sources: Iterable[str]) -> list[Work]:
        """The first visits to feeds that these have just named."""
        lists = set(sources)
        return [work for work in self.due("collect") if member_of(work.subject) and source_name(work.subject) in lists]

    def by_hand(self, step: str, subjects: Sequence[str]) -> list[Work]:
        """Work that an operator asks for now, whatever its schedule says; of a list of feeds, all that it names too."""
        slot = f"by hand {self.clock().isoformat()}"
        lists = [name for name in subjects if step == "collect" and self.settings.source(name).lists]
        feeds = [feed.name for name in lists for feed in self.feeds(name)]
        return [Work(step=step, subject=name, slot=slot) for name in dict.fromkeys([*subjects, *feeds])]

    def accept(self, source: str) -> bool:
        """Take at its next visit, which is due at once, what a source has now, however different that looks.

        Returns:
            False where it has never brought anything, so that there is nothing to differ from.

        Raises:
            StoreError: nothing was changed.
        """
        with self.store.write() as tx:
            found = tx.sources.accept(source, self.clock())
        self.wake()
        return found

    def once(self, tell: Callable[[Report], None], begin: Callable[[str, int], None]) -> list[Report]:
        """Do everything that is due, in the order in which an entry walks.

        Args:
            tell: hears of each work when it is done.
            begin: hears of each step's name and number of works before they begin.
        """
        reports: list[Report] = []
        with contextlib.closing(self.engine(tell)) as engine:
            # Twice: a list names feeds to visit, and pages link to the issues that were made meanwhile.
            for step in ("collect", *STEPS, "publish"):
                unwell = {report.work for report in reports if not report.well}
                works = [work for work in self.due(step) if work not in unwell]
                begin(step, len(works))
                reports += engine.run(works)
        return reports

    def status(self) -> Status:
        """How the house is now."""
        with self.store.read() as tx:
            return status(tx, self.settings, self.runs, self.clock())

    def check(self) -> Iterator[Finding]:
        """What the configuration points to."""
        return check(self.settings, self.templates)

    def connect(self) -> Iterator[Finding]:
        """Whether the channels answer, and the mailboxes: those of sources, and the one that mail comes back to."""
        return connect(self.settings, self.net)

    def doctor(self, name_server: str = "") -> Iterator[Diagnosis]:
        """What should be mended so that mail arrives.

        Args:
            name_server: ``address`` or ``address:port``; empty: what the machine itself asks.

        Raises:
            ValueError: ``name_server`` is not of that form.
        """
        return examine(self.settings, Dns(name_server))

    def preview(self, publication: str) -> tuple[Issue, bool]:
        """The next issue as it would be made now, and whether anything waits for it."""
        return preview(publication, self.settings, store=self.store, templates=self.templates, clock=self.clock)

    def as_read(self, document: Document) -> Document:
        """A document of an issue as an example of a subscriber reads it."""
        return filled(document, example(self.settings.model_site()))

    def front(self) -> Document:
        """The first page of the site: what is published here, and what is new in it.

        Raises:
            RenderError: its template cannot be used.
        """
        with self.store.read() as tx:
            shown = newest(tx, self.settings, self.templates, self.clock())
        return front(self.templates, self.settings.model_site(), shown)

    def choice(self, tx: Tx, publication: str) -> Choice:
        """What is in a publication now, as long as that transaction is open."""
        return Choice(tx, publication, self.settings, self.templates, self.clock())

    def opml(self) -> Document:
        """All feeds in one file."""
        return opml(self.settings.model_site(), map(self.settings.publication, self.settings.publications))

    def past_issues(self, publication: str, before: int | None = None) -> tuple[tuple[Issue, ...], bool]:
        """A page of the issues that anybody may read, newest first, and whether there are older ones."""
        with self.store.read() as tx:
            found = past_issues(tx, publication, self.settings, _ISSUES + 1, before=before)
        return found[:_ISSUES], len(found) > _ISSUES

    def as_sent(self, publication: str, number: int, variant: str) -> Document | None:
        """The mail of an issue as anybody may read it; None where there is none."""
        with self.store.read() as tx:
            return as_sent(tx, self.settings, publication, number, variant)

    def form_proof(self, token: str) -> str:
        """What a form behind a link sends back, to show that it is our form."""
        return form_proof(token, self.secret)

    def is_form_proof(self, proof: str, token: str) -> bool:
        """Whether it is."""
        return is_form_proof(proof, token, self.secret)

    def send_test(self, publication: str, address: str) -> Receipt:
        """Send the next issue to one address, on the publication's first channel that speaks to persons.

        The ledger never hears of it.

        Raises:
            PublisherError: there is nothing to send, or no channel to send it on.
        """
        names = self.settings.publications[publication].deliver
        ways = [name for name in names if self.settings.channels[name].options.personal]
        issue, _ = self.preview(publication)
        if not ways:
            raise PublisherError(f"{publication} has no channel that sends to a person", hint="name one in deliver:")
        if not issue.entries:
            raise PublisherError(f"{publication} has no entry yet", hint="run `publisher collect` first")
        unique = message_id(f"test {secrets.token_hex(8)}", ways[0], address, self.settings.site_host, self.secret)
        reader = replace(example(self.settings.model_site()), address=bare_address(address))
        parcel = Parcel(delivery=0, recipient=address, message_id=unique, issue=issue, subscriber=reader)
        way: Channel = self.settings.channels[ways[0]].options
        [receipt] = way.send([parcel], self.net)
        return receipt


@dataclass(frozen=True, slots=True)
class Beginning:
    """What ``init`` found and wrote."""

    file: Path
    words: str


def initialise(folder: Path, site: str, *, private: bool, clock: Clock = utc_now) -> Beginning:
    """Write a working configuration into a folder.

    Args:
        folder: made if it is not there.
        site: an address whose feed or list of articles becomes the source; empty: a folder of Markdown does.
        private: whether the site may be at a private address.

    Raises:
        PublisherError: there is a configuration already, or nothing that could be followed was found.
    """
    file = folder / "config.yaml"
    if file.exists():
        raise PublisherError(f"{file} is there already", hint="choose another folder; nothing was changed")
    found = discover(site, Net(private=private)) if site else None
    text = Templates().render(
        "config.yaml.j2", found=found, private=private, first_issue=_first_issue(found, clock()) if found else "7d"
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    except OSError as error:
        raise PublisherError(f"{file}: cannot be written: {error.strerror}") from error
    if found is None:
        (folder / "content").mkdir(exist_ok=True)
        return Beginning(file, f"Write Markdown into {folder / 'content'}; what appears there is published.")
    what = "the feed" if found.kind == "feed" else "the list of articles"
    return Beginning(file, f"Found {what} at {found.source}, {len(found.items)} entries.")


def _first_issue(found: Discovery, now: datetime) -> str:
    """How far the first issue must look back to hold five entries: a week at least."""
    ages = sorted(now - item.published for item in found.items if item.published and item.published <= now)
    return f"{max(7, ages[:5][-1].days + 2) if ages else 7}d"


def try_source(name: str, config_file: Path, *, private: bool, full_text: bool = False) -> Tried:
    """What a first visit would bring: to a source of the configuration, or to any address.

    Args:
        private: an address may be a private one; a source of the configuration says so itself.
        full_text: the first item is told with the whole text of its article.

    Raises:
        NetError: no answer to work with.
        SourceError: an answer that cannot be read.
    """
    if "." in name or "/" in name:
        net = Net(private=private)
        done = try_site(name, net)
        home = done.url
    else:
        source = _source(config_file, name)
        net = Net(timeout=source.timeout, max_bytes=source.max_bytes, private=source.private)
        net = net.bound(robots=source.robots == "obey")
        trial = sources.tried(source.options, net)
        done, home = Tried(name=name, kind=source.kind, url="", trial=trial), getattr(source.options, "url", "")
    items = list(done.trial.items)
    if full_text:
        items[:1] = [sources.whole(item, net.onward(item.link, home)) for item in items[:1]]
    return replace(done, trial=replace(done.trial, items=tuple(tidy(item, home) for item in items)))


def _source(config_file: Path, name: str) -> SourceSettings:
    known = load(config_file).sources
    if name not in known:
        told = ", ".join(known) or "none"
        raise ConfigError([Fault(str(config_file), 0, "sources", f"there is no {name!r}; there is: {told}")])
    return known[name]


def _kept_secret(file: Path) -> str:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            # Linked into place when it is whole: of several processes one wins, and none reads half a key.
            with tempfile.NamedTemporaryFile("w", dir=file.parent, prefix=".secret_key-") as made:
                made.write(secrets.token_hex(32))
                made.flush()
                with contextlib.suppress(FileExistsError):
                    os.link(made.name, file)
        return file.read_text().strip()
    except OSError as error:
        raise PublisherError(
            f"{file}: the secret key cannot be kept there: {error.strerror}",
            hint="make the folder writable, or set secret_key in the configuration",
        ) from error


class Service:
    """The house as a service: rings at each slot, works in threads, and can change its configuration while it runs."""

    def __init__(self, path: Path, clock: Clock = utc_now) -> None:
        self._path = path
        self._clock = clock
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._reload = threading.Event()
        self.app = self._opened()

    def _opened(self) -> App:
        app = App(load(self._path), self._clock).ready()
        app.wake = self._wake.set
        return app

    def run(self, *, work: bool = True) -> None:
        """Work until ``stop``; what is underway then is finished first.

        Args:
            work: False only keeps the configuration fresh, for a process that does nothing but show pages.
        """
        log, alarm = logger(), schedule.Alarm(self._wake.set)
        engine = self.app.engine(self._tell)
        if work:
            alarm.set(self.app.runs)
        log.info("started", config=str(self._path), sources=len(self.app.settings.sources))
        try:
            while True:
                self._wake.clear()  # first, so that what is asked from here on wakes the wait below
                if self._stop.is_set():
                    break
                if self._reload.is_set():
                    self._reload.clear()
                    engine = self._renew(engine, alarm)
                if work:
                    self._sweep(engine)
                    self._set_alarm(alarm)
                self._wake.wait()
        finally:
            alarm.stop()
            engine.close()
            self.app.close()
            log.info("stopped")

    def stop(self) -> None:
        """End the service; safe to call from a signal handler."""
        self._stop.set()
        self.app.stopping.set()
        self._wake.set()

    def reload(self) -> None:
        """Read the configuration again; safe to call from a signal handler."""
        self._reload.set()
        self._wake.set()

    def _sweep(self, engine: Local) -> None:
        try:
            for step in _SERVED:
                for work in self.app.due(step):
                    engine.submit(work)
        except PublisherError as error:  # the store is away: it is asked again at the next sweep
            logger().error("cannot see what is due", why=str(error), hint=error.hint)

    def _set_alarm(self, alarm: schedule.Alarm) -> None:
        """Ring when the next thing is due."""
        with contextlib.suppress(PublisherError):  # the store is away: it is asked again at the next sweep
            if wait := self.app.pause():
                alarm.ring_in(wait)

    def _renew(self, engine: Local, alarm: schedule.Alarm) -> Local:
        """Take the new configuration, or keep the old one when the new one is wrong."""
        try:
            app = self._opened()
        except PublisherError as error:
            faults = [str(fault) for fault in error.faults] if isinstance(error, ConfigError) else [error.words]
            logger().error("the new configuration is not used, the old one stays in force", faults=faults)
            return engine
        former, self.app = self.app, app
        former.stopping.set()
        engine.close()
        former.close()
        alarm.renew(app.runs)
        logger().info("reloaded", config=str(self._path), sources=len(app.settings.sources))
        return app.engine(self._tell)

    def _tell(self, report: Report) -> None:
        if report.again and report.well:  # what fails waits for the next sweep, else it would fail without a pause
            self._wake.set()
        log, fields = logger(), {"subject": report.work.subject, "result": report.words}
        if not report.well:
            log.warning(report.work.step, **fields, exc_info=report.fault)
        elif report.changed:
            log.info(report.work.step, **fields)
            self._wake.set()  # what was done made more to do
        else:
            log.debug(report.work.step, **fields)
