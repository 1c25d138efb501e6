"""The commands: a thin face over ``app``.

Exit codes: 0 well; 1 something failed; 2 wrong use or configuration; 3 nothing could be reached.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from publisher.app import App
    from publisher.engine.local import Report

FAILED, WRONG, UNREACHED = 1, 2, 3
TRY_AGAIN = 75
"""EX_TEMPFAIL of sysexits.h: a mail server that hands us a message keeps it, and hands it over again later."""

cli = typer.Typer(
    name="publisher",
    help="New entries in, feeds and e-mail digests out.\n\nBegin with: publisher init DIR --from https://your.site",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help starts twice as fast
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
source_cli = typer.Typer(help="Where entries come from.", no_args_is_help=True)
issue_cli = typer.Typer(help="The issues that were made.", no_args_is_help=True)
delivery_cli = typer.Typer(help="The ledger of deliveries.", no_args_is_help=True)
bounce_cli = typer.Typer(help="What came back.", no_args_is_help=True)
suppression_cli = typer.Typer(help="Who shall get nothing more.", no_args_is_help=True)
db_cli = typer.Typer(help="The store.", no_args_is_help=True)
cli.add_typer(source_cli, name="source")
cli.add_typer(issue_cli, name="issue")
cli.add_typer(delivery_cli, name="delivery")
cli.add_typer(bounce_cli, name="bounce")
cli.add_typer(suppression_cli, name="suppression")
cli.add_typer(db_cli, name="db")

_LARGEST_MESSAGE = 1_000_000  # bytes of a message that are looked at; its end is what it returns

AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]
"""The option that every reading command has."""


class _Global:
    """What stands before the command."""

    config = Path("config.yaml")
    verbose = False


@cli.callback()
def _common(
    config: Annotated[
        Path, typer.Option("-c", "--config", envvar="PUBLISHER_CONFIG", help="The configuration.")
    ] = _Global.config,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Tell more.")] = False,
) -> None:
    _Global.config, _Global.verbose = config, verbose


def main() -> None:
    """Run one command; every error that is expected ends as a sentence, not as a traceback."""
    from publisher.errors import ChannelDown, ConfigError, NetError, PublisherError

    try:
        cli()
    except ConfigError as error:
        _end(str(error), WRONG)
    except (NetError, ChannelDown) as error:
        _end(error.words, UNREACHED)
    except PublisherError as error:
        _end(error.words, FAILED)
    except KeyboardInterrupt:
        _end("interrupted; what was underway is found again at the next run", 130)


def _end(words: str, code: int) -> NoReturn:
    sys.stderr.write(f"{words}\n")
    raise SystemExit(code)


# --- the service and its steps ---------------------------------------------------------------------------------------


@cli.command()
def run(
    once: Annotated[bool, typer.Option("--once", help="Do what is due, print a table, end.")] = False,
    only: Annotated[str, typer.Option(help="Parts to run, of: work, web.")] = "work,web",
) -> None:
    """The service: scheduler, workers and web page; or with --once all that is due.

    Example: publisher run --once
    """
    parts = set(only.split(","))
    if parts - {"work", "web"}:
        _end(f"--only takes work, web or both, not {', '.join(sorted(parts - {'work', 'web'}))}", WRONG)
    if once:
        with _house() as app:
            _report(_with_progress(app), app)
    else:
        _serve(parts)


def _serve(parts: set[str]) -> None:
    import signal
    from contextlib import nullcontext

    from publisher.app import Service
    from publisher.log import logger
    from publisher.web import serving

    service = Service(_settings_file())
    _set_up_log(service.app)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: service.stop())
    signal.signal(signal.SIGHUP, lambda *_: service.reload())
    with serving(lambda: service.app) if "web" in parts else nullcontext("") as address:
        if address:
            logger().info("the house can be seen", at=address)
        service.run(work="work" in parts)


def _with_progress(app: App) -> list[Report]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from publisher.log import logger

    _set_up_log(app)
    if not sys.stderr.isatty():
        return app.once(
            lambda report: logger().info(report.work.step, subject=report.work.subject, result=report.words),
            lambda _step, _count: None,
        )
    columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        tasks: dict[str, Any] = {}
        return app.once(
            lambda report: progress.advance(tasks[report.work.step]),
            lambda step, count: tasks.update({step: progress.add_task(step, total=count)}),
        )


def _report(reports: list[Report], app: App) -> None:
    """Print what was done; the exit code tells whether all of it went well."""
    if not reports:
        soonest = "; ".join(f"{name} at {_local(app, at)}" for at, name in app.status().next[:1])
        typer.echo(f"Nothing to do.{soonest and f' Next: {soonest}.'}")
        return
    rows = [(report.work.step, report.work.subject, _mark(report), report.words) for report in reports]
    _table("", ("step", "of", "", "result"), rows)
    if not all(report.well for report in reports):
        raise typer.Exit(FAILED)


def _mark(report: Report) -> str:
    return ("*" if report.changed else "-") if report.well else "!"


def _by_hand(step: str, subjects: list[str], known: Any) -> None:
    from publisher.engine.local import Local

    with _house() as app:
        names = known(app)
        if unknown := [name for name in subjects if name not in names]:
            _end(f"there is no {unknown[0]!r}; there is: {', '.join(names) or 'none'}", WRONG)
        _set_up_log(app)
        engine = Local(app.do, lambda _: None)
        _report(engine.run(app.by_hand(step, subjects or list(names))), app)
        engine.close()


@cli.command()
def collect(sources: Annotated[list[str] | None, typer.Argument(help="All of them if left out.")] = None) -> None:
    """Visit sources now.

    Example: publisher collect blog council
    """
    _by_hand("collect", sources or [], lambda app: app.settings.sources)


@cli.command()
def publish(publications: Annotated[list[str] | None, typer.Argument(help="All if left out.")] = None) -> None:
    """Render feeds and pages now; only files whose bytes change are written.

    Example: publisher publish weekly
    """
    _by_hand("publish", publications or [], lambda app: app.settings.publications)


@cli.command()
def compose(publication: Annotated[str, typer.Argument(help="One with a digest.")]) -> None:
    """Make an issue of what is waiting, now instead of at its slot; deliver sends it.

    Example: publisher compose weekly && publisher deliver
    """
    _by_hand("compose", [publication], lambda app: app.settings.digests)


@cli.command()
def deliver() -> None:
    """Carry out the deliveries that can go now, also on channels that are being left alone after a failure.

    Example: publisher deliver
    """
    _by_hand("deliver", [], lambda app: app.settings.channels)


@cli.command()
def preview(
    publication: Annotated[str, typer.Argument(help="One with a digest.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to write to.")] = Path("preview"),
) -> None:
    """Look at the next issue: writes its documents to a folder and opens the mail in a browser where there is one.

    Example: publisher preview weekly
    """
    import webbrowser

    with _house() as app:
        _known(publication, app.settings.digests)
        issue, waiting = app.preview(publication)
        if not issue.documents:
            _end(f"{publication} has no entry yet; run `publisher collect` first", FAILED)
        folder = output / publication
        folder.mkdir(parents=True, exist_ok=True)
        for document in issue.documents:
            (folder / document.name).write_bytes(app.as_read(document).body)
        if not waiting:
            typer.echo("Nothing is waiting for the next issue; this is how one of the newest entries would look.")
        typer.echo(f"{issue.subject}\n{len(issue.entries)} entries, written to {folder / 'mail.html'}")
        if sys.stdout.isatty():
            webbrowser.open((folder / "mail.html").resolve().as_uri())


@cli.command()
def send(
    publication: Annotated[str, typer.Argument(help="One with a digest.")],
    to: Annotated[str, typer.Option("--to", help="The address to send it to.")],
) -> None:
    """Send the next issue to one address as a test; the ledger never hears of it.

    Example: publisher send weekly --to me@example.org
    """
    from publisher.mime import check_address
    from publisher.model import Verdict

    try:
        address = check_address(to)
    except ValueError as error:
        _end(f"--to: {error}", WRONG)
    with _house() as app:
        _known(publication, app.settings.digests)
        receipt = app.send_test(publication, address)
        typer.echo(f"{address}: {receipt.verdict}{receipt.detail and f' ({receipt.detail})'}")
        if receipt.verdict is not Verdict.SENT:
            raise typer.Exit(FAILED)


# --- the configuration -----------------------------------------------------------------------------------------------


@cli.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write config.yaml.")],
    site: Annotated[str, typer.Option("--from", help="A site to begin with.")] = "",
    private: Annotated[bool, typer.Option("--private", help="The site may be at a private address.")] = False,
) -> None:
    """Write a working configuration: for a site, whose feed or list of articles is found, or for a folder of notes.

    Example: publisher init harbour --from https://harbour.example.org
    """
    from publisher.app import initialise

    made = initialise(folder, site, private=private)
    typer.echo(f"{made.words}\nWritten to {made.file}. Now:\n\n  publisher -c {made.file} run --once")


@cli.command()
def check(
    connect: Annotated[bool, typer.Option("--connect", help="Also ask the channels whether they answer.")] = False,
) -> None:
    """Every fault of the configuration with its line, and of what it points to.

    Example: publisher check --connect
    """
    with _house() as app:
        findings, answers = list(app.check()), list(app.connect()) if connect else []
    rows = [("ok" if found.well else "!", found.place, found.message) for found in findings + answers]
    _table("", ("", "place", "finding"), rows)
    if not all(finding.well for finding in findings):
        raise typer.Exit(WRONG)
    if not all(answer.well for answer in answers):
        raise typer.Exit(UNREACHED)
    typer.echo(f"{_Global.config} is well.")


@cli.command()
def doctor(
    name_server: Annotated[
        str, typer.Option("--dns", help="The name server to ask, as ADDRESS or ADDRESS:PORT, not the machine's own.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """What should be mended so that mail arrives: SPF, DKIM and DMARC in DNS, the ways back, the relay.

    Example: publisher doctor --dns 9.9.9.9
    """
    from publisher.doctor import Severity

    with _house() as app:
        try:
            found = list(app.doctor(name_server))
        except ValueError as error:
            _end(f"--dns: {error}", WRONG)
    if as_json:
        _print_json([_plain(one) for one in found])
    else:
        marks = {Severity.WELL: "ok", Severity.NOTE: "-", Severity.WRONG: "!", Severity.UNASKED: "?"}
        _table("", ("", "place", "about", "finding"), [(marks[o.severity], o.place, o.about, o.message) for o in found])
        for one in found:  # below the table and never wrapped, so that it can be copied
            if one.mend:
                typer.echo(f"{marks[one.severity]} {one.place}, {one.about}: {one.message}\n{one.mend}\n")
    severities = {one.severity for one in found}
    if Severity.WRONG in severities:
        raise typer.Exit(FAILED)
    if Severity.UNASKED in severities:
        raise typer.Exit(UNREACHED)


@cli.command()
def show() -> None:
    """The configuration in force, with every default filled in and secrets hidden.

    Example: publisher show
    """
    from publisher import config
    from publisher.app import load

    typer.echo(config.show(load(_settings_file())))


@cli.command()
def schema() -> None:
    """The JSON Schema of config.yaml, for editors that check while one types.

    Example: publisher schema > config.schema.json
    """
    from publisher.app import schema

    typer.echo(json.dumps(schema(), indent=1, ensure_ascii=False))


# --- looking ---------------------------------------------------------------------------------------------------------


@cli.command()
def status(as_json: AsJson = False) -> None:
    """What was, what is next, what is wrong.

    Example: publisher status
    """
    with _house() as app:
        picture = app.status()
        if as_json:
            return _print_json({**_plain(picture), "wrong": picture.wrong})
        sources = [
            (s.name, s.kind, s.entries, _local(app, s.visited), _local(app, s.next), s.error or "well")
            for s in picture.sources
        ]
        _table("Sources", ("name", "kind", "entries", "visited", "next", "health"), sources)
        publications = [(p.name, _local(app, p.next_issue), p.recipients, p.url) for p in picture.publications]
        _table("Publications", ("name", "next issue", "recipients", "address"), publications)
        issues = [
            (f"{i.publication} {i.number}", _local(app, i.created), i.entries, i.subject, _counts(i.deliveries))
            for i in picture.issues
        ]
        _table("Last issues", ("issue", "made", "entries", "subject", "deliveries"), issues)
        channels = [(c.name, c.kind, c.open, _local(app, c.retry_at), c.error or "well") for c in picture.channels]
        _table("Channels", ("name", "kind", "open", "held until", "health"), channels)
        for sentence in picture.wrong:
            typer.echo(f"! {sentence}")
    return None


@source_cli.command("list")
def source_list(as_json: AsJson = False) -> None:
    """The sources and how they are.

    Example: publisher source list
    """
    with _house() as app:
        rows = app.status().sources
        if as_json:
            return _print_json([_plain(row) for row in rows])
        lines = [(s.name, s.kind, s.title, s.entries, _local(app, s.visited), s.error or "well") for s in rows]
        return _table("", ("name", "kind", "title", "entries", "visited", "health"), lines)


@source_cli.command("test")
def source_test(
    name: Annotated[str, typer.Argument(help="A source of the configuration, or the address of a feed or page.")],
    private: Annotated[bool, typer.Option("--private", help="It may be at a private address.")] = False,
    as_json: AsJson = False,
) -> None:
    """What a visit would bring, in a table; nothing is stored.

    Example: publisher source test https://blog.example.org
    """
    from publisher.app import try_source

    items = try_source(name, _Global.config, private=private)
    if as_json:
        return _print_json([_plain(item) for item in items])
    lines = [(f"{item.published:%Y-%m-%d}" if item.published else "", item.title, item.link) for item in items]
    _table("", ("published", "title", "link"), lines)
    return typer.echo(f"{len(items)} entries")


@issue_cli.command("list")
def issue_list(as_json: AsJson = False) -> None:
    """The last issues and what became of their deliveries.

    Example: publisher issue list
    """
    with _house() as app:
        rows = app.status().issues
        if as_json:
            return _print_json([_plain(row) for row in rows])
        lines = [
            (i.id, i.publication, i.number, _local(app, i.created), i.entries, i.subject, _counts(i.deliveries))
            for i in rows
        ]
        return _table("", ("id", "publication", "number", "made", "entries", "subject", "deliveries"), lines)


@issue_cli.command("show")
def issue_show(
    number: Annotated[int, typer.Argument(metavar="ID", help="As `issue list` shows it.")],
    document: Annotated[str, typer.Option(help="mail.txt, mail.html, subject.txt or issue.json.")] = "mail.txt",
) -> None:
    """A document of an issue.

    Example: publisher issue show 3 --document mail.html > issue.html
    """
    with _house() as app, app.store.read() as tx:
        documents = {found.name: app.as_read(found) for found in tx.issues.documents(number)}
    if document not in documents:
        _end(f"issue {number} has no {document}; it has: {', '.join(documents) or 'nothing, it is not there'}", WRONG)
    typer.echo(documents[document].text)


@issue_cli.command("pause")
def issue_pause(number: Annotated[int, typer.Argument(metavar="ID", help="As `issue list` shows it.")]) -> None:
    """Send nothing more of an issue, until it is resumed.

    Example: publisher issue pause 3
    """
    _pause(number, "by hand")
    typer.echo(f"issue {number} is paused; what is on its way arrives")


@issue_cli.command("resume")
def issue_resume(number: Annotated[int, typer.Argument(metavar="ID", help="As `issue list` shows it.")]) -> None:
    """Go on with an issue that was paused, by hand or because too many deliveries failed.

    Example: publisher issue resume 3 && publisher deliver
    """
    _pause(number, "")
    typer.echo(f"issue {number} goes on")


def _pause(number: int, why: str) -> None:
    with _house() as app, app.store.write() as tx:
        there = tx.issues.pause(number, why)
    if not there:
        _end(f"there is no issue {number}", WRONG)


@delivery_cli.command("list")
def delivery_list(
    state: Annotated[
        str, typer.Option(help="planned, sending, sent, deferred, failed, suppressed, parked or uncertain.")
    ] = "",
    issue: Annotated[int | None, typer.Option(help="Of one issue only.")] = None,
    most: Annotated[int, typer.Option(help="How many rows.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Deliveries, newest first, and what the other side said.

    Example: publisher delivery list --state failed
    """
    from publisher.model import State

    if state and state not in list(State):
        _end(f"--state takes one of {', '.join(State)}", WRONG)
    with _house() as app:
        with app.store.read() as tx:
            rows = tx.deliveries.list(state=State(state) if state else None, issue=issue, limit=most)
        if as_json:
            return _print_json([_plain(row) for row in rows])
        lines = [
            (r.id, r.issue, r.channel, r.recipient, r.state, r.tries, _local(app, r.next_at), r.detail) for r in rows
        ]
        return _table("", ("id", "issue", "channel", "recipient", "state", "tries", "next", "detail"), lines)


@delivery_cli.command("retry")
def delivery_retry(
    ids: Annotated[list[int] | None, typer.Argument(help="As `delivery list` shows them.")] = None,
    issue: Annotated[
        int | None, typer.Option(help="All of that issue that failed, were parked or are uncertain.")
    ] = None,
) -> None:
    """Plan failed, parked and uncertain deliveries anew, with all attempts before them.

    Example: publisher delivery retry 17 18 && publisher deliver
    """
    if not ids and issue is None:
        _end("say which: publisher delivery retry 17, or --issue 3", WRONG)
    with _house() as app, app.store.write() as tx:
        done = [key for key in ids or () if tx.deliveries.retry(app.clock(), id=key)]
        rest = tx.deliveries.retry(app.clock(), issue=issue) if issue is not None else 0
    typer.echo(f"{len(done) + rest} planned anew")
    if missed := sorted(set(ids or ()) - set(done)):
        _end("not failed, or not there: " + ", ".join(map(str, missed)), FAILED)


@delivery_cli.command("close")
def delivery_close(
    ids: Annotated[list[int], typer.Argument(help="As `delivery list` shows them.")],
    sent: Annotated[bool, typer.Option("--sent/--failed", help="What became of them.")],
) -> None:
    """Say what became of parked and uncertain deliveries, so that their issue can be finished.

    Example: publisher delivery close 17 --sent
    """
    from publisher.model import State

    with _house() as app, app.store.write() as tx:
        state = State.SENT if sent else State.FAILED
        missed = [key for key in ids if not tx.deliveries.close(key, state, app.clock())]
    typer.echo(f"{len(ids) - len(missed)} closed as {state}")
    if missed:
        _end("neither parked nor uncertain, or not there: " + ", ".join(map(str, missed)), FAILED)


# --- what comes back -------------------------------------------------------------------------------------------------


@bounce_cli.command("read")
def bounce_read() -> None:
    """Read the mailbox that mail comes back to now, instead of at its slot.

    Example: publisher bounce read
    """
    with _house() as app:
        if not app.settings.bounces.part("mailbox"):
            _end("no mailbox is configured; write `bounces: {mailbox: {url: …}}`", WRONG)
    _by_hand("bounces", [], lambda _: ["mailbox"])


@bounce_cli.command("take")
def bounce_take() -> None:
    """Take one message that came back from the standard input; a mail server's pipe calls this for each.

    Exit code 75 asks the mail server to try again later.  Any message is taken; of one that is not about our mail
    nothing follows.

    Example: publisher bounce take < returned.eml
    """
    from contextlib import closing

    from publisher.app import App, load
    from publisher.errors import PublisherError

    message = sys.stdin.buffer.read(_LARGEST_MESSAGE)
    while sys.stdin.buffer.read(_LARGEST_MESSAGE):
        pass  # read to its end: some mail servers take a closed pipe for a failure
    try:
        with closing(App(load(_Global.config))) as app:
            taken = app.returns.take(message)
    except PublisherError as error:  # a wrong configuration too: the message is not to blame
        _end(error.words, TRY_AGAIN)
    typer.echo("taken" if taken else "nothing in it is about our mail")


@bounce_cli.command("list")
def bounce_list(
    address: Annotated[str | None, typer.Option(help="Of one address only.")] = None,
    most: Annotated[int, typer.Option(help="How many rows.")] = 50,
    as_json: AsJson = False,
) -> None:
    """What came back, newest first; what is `unproven` may be made up, and nothing follows from it.

    Example: publisher bounce list --address reader@example.org
    """
    with _house() as app:
        with app.store.read() as tx:
            rows = tx.suppressions.returned(address, limit=most)
        if as_json:
            return _print_json([_plain(row) for row in rows])
        lines = [
            (_local(app, r.moment), r.address, r.fate, r.status, "-" if r.delivery is None else r.delivery, r.detail)
            for r in rows
        ]
        return _table("", ("when", "address", "is", "status", "delivery", "detail"), lines)


@suppression_cli.command("list")
def suppression_list(
    most: Annotated[int, typer.Option(help="How many rows.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Who gets nothing more, and why; the newest first.

    Example: publisher suppression list
    """
    with _house() as app:
        with app.store.read() as tx:
            rows = tx.suppressions.list(limit=most)
        if as_json:
            return _print_json([_plain(row) for row in rows])
        lines = [(r.address, r.publication or "all", r.reason, _local(app, r.moment), r.detail) for r in rows]
        return _table("", ("address", "publication", "reason", "since", "detail"), lines)


@suppression_cli.command("add")
def suppression_add(
    address: Annotated[str, typer.Argument(help="Whose.")],
    publication: Annotated[str, typer.Option(help="Nothing more of that one; left out: nothing at all.")] = "",
) -> None:
    """Send somebody nothing more.

    Example: publisher suppression add reader@example.org --publication weekly
    """
    from publisher.mime import bare_address
    from publisher.store import Suppression

    try:
        address = bare_address(address)
    except ValueError as error:
        _end(f"{address}: {error}", WRONG)
    with _house() as app:
        if publication:
            _known(publication, app.settings.digests)
        entry = Suppression(address=address, publication=publication, reason="by hand", moment=app.clock())
        with app.store.write() as tx:
            is_new = tx.suppressions.add(entry)
    typer.echo(f"{address} gets nothing more" if is_new else f"{address} was on the list already")


@suppression_cli.command("remove")
def suppression_remove(address: Annotated[str, typer.Argument(help="As `suppression list` shows it.")]) -> None:
    """Take an address off the list, with all its entries.  You answer for it that its reader wants that.

    Example: publisher suppression remove reader@example.org
    """
    with _house() as app, app.store.write() as tx:
        gone = tx.suppressions.remove(address)
    if not gone:
        _end(f"{address} is not on the list", FAILED)
    typer.echo(f"{address} gets mail again; it is now you who answers for it that they want it")


@db_cli.command("backup")
def db_backup(file: Annotated[Path, typer.Argument(help="Where to; replaced if it is there.")]) -> None:
    """Copy the store to a file while the service runs; the copy is checked.

    Example: publisher db backup /backup/publisher-$(date +%F).db
    """
    from rich.progress import Progress

    with _house() as app, Progress(transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("pages")
        app.store.backup(file, lambda copied, total: progress.update(task, total=total, completed=copied))
    typer.echo(f"{file}: {file.stat().st_size:,} bytes, checked")


# --- small things ----------------------------------------------------------------------------------------------------


@contextmanager
def _house() -> Iterator[App]:
    from publisher.app import App, load

    app = App(load(_settings_file()))
    try:
        with _interruptible(app):
            yield app
    finally:
        app.close()


@contextmanager
def _interruptible(app: App) -> Iterator[None]:
    """Let SIGINT and SIGTERM end the command, and what is being sent after the messages that are on their way."""
    import signal

    def interrupt(*_: object) -> NoReturn:
        app.stopping.set()
        raise KeyboardInterrupt

    former = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _settings_file() -> Path:
    if not _Global.config.exists():
        _end(f"{_Global.config}: there is no such file; `publisher init DIR` writes one", WRONG)
    return _Global.config


def _set_up_log(app: App) -> None:
    from publisher import log

    log.set_up("debug" if _Global.verbose else app.settings.log.level, app.settings.log.format)


def _known(publication: str, names: Any) -> None:
    if publication not in names:
        _end(f"no publication {publication!r} with a digest; there is: {', '.join(names) or 'none'}", WRONG)


def _table(title: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        return
    table = Table(*columns, box=SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
    for row in rows:
        # Text, not markup: what sources say must not become colours or links of the terminal.
        table.add_row(*(Text("".join(c if c.isprintable() else " " for c in str(cell))) for cell in row))
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def _local(app: App, moment: Any) -> str:
    from zoneinfo import ZoneInfo

    return f"{moment.astimezone(ZoneInfo(app.settings.site.timezone)):%Y-%m-%d %H:%M %Z}" if moment else "-"


def _counts(counts: Any) -> str:
    return ", ".join(f"{count} {state}" for state, count in counts.items()) or "none"


def _plain(row: Any) -> Any:
    from dataclasses import asdict

    return asdict(row)


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1, default=lambda v: v.isoformat() if hasattr(v, "isoformat") else str(v)))
