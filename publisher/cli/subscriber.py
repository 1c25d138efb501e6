"""``publisher subscriber``: the readers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, NamedTuple, TextIO

import typer

from publisher.cli._common import FAILED, WRONG, AsJson, end, house, local, print_json, require_digest, table

if TYPE_CHECKING:
    from publisher.app import App
    from publisher.store import SubscriptionRow
    from publisher.subscribers import Refusal, Tally

cli = typer.Typer(name="subscriber", help="The readers.", no_args_is_help=True)

Address = Annotated[str, typer.Argument(help="Whose.")]
Publication = Annotated[str, typer.Option(help="Only those of that one.")]
State = Annotated[str, typer.Option(help="Only these: pending, active or left.")]

_STATES = ("", "pending", "active", "left")
_PRINTED = 100
"""As many refused lines are printed, at most; a file can take all of them."""


# --- a look ----------------------------------------------------------------------------------------------------------


@cli.command("list")
def list_(
    publication: Publication = "",
    state: State = "",
    most: Annotated[int, typer.Option(help="How many rows.")] = 50,
    after: Annotated[int, typer.Option(help="Those that come after this id.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Readers in the order in which they came, with what they get.

    Example: publisher subscriber list --publication weekly --state active
    """
    _check_state(state)
    with house() as app:
        if publication:
            require_digest(app, publication)
        with app.store.read() as tx:
            rows = tx.subscribers.list(publication, state, after=after, limit=most)
            theirs = {row.id: tx.subscribers.subscriptions(row.id) for row in rows}
        if as_json:
            return print_json([{"subscriber": row, "subscriptions": theirs[row.id]} for row in rows])
        lines = [(r.id, r.address, r.name, _states(theirs[r.id]), local(app, r.created)) for r in rows]
        return table("", ("id", "address", "name", "subscriptions", "came"), lines)


def _states(subs: Iterable[SubscriptionRow]) -> str:
    return ", ".join(f"{sub.publication} {sub.state}" for sub in subs)


@cli.command()
def show(
    address: Address,
    link: Annotated[bool, typer.Option("--link", help="Tell the link to their preferences; it is theirs.")] = False,
    as_json: AsJson = False,
) -> None:
    """What a reader gets, and what stands against it.

    Example: publisher subscriber show reader@example.org
    """
    from dataclasses import asdict

    with house() as app:
        with app.store.read() as tx:
            row = tx.subscribers.by_address(address)
            subs = tx.subscribers.subscriptions(row.id) if row else ()
            closed = tx.suppressions.of(address)
        if row is None and not closed:
            end(f"{address} is no subscriber, and not on the suppression list", FAILED)
        told = {"preferences": app.readers.link(row)} if row and link else {}
        if as_json:
            return print_json({"subscriber": row, "subscriptions": subs, "suppressions": closed, **told})
        if row:
            facts = asdict(row) | told
            table("", ("", ""), [(name, _said(app, value)) for name, value in facts.items() if value])
        lines = [(s.publication, s.state, s.frequency, ", ".join(s.topics), local(app, s.confirmed)) for s in subs]
        table("", ("publication", "state", "frequency", "topics", "confirmed"), lines)
        blocks = [(c.publication or "all", c.reason, local(app, c.moment), c.detail) for c in closed]
        return table("On the suppression list", ("publication", "reason", "since", "detail"), blocks)


def _said(app: App, value: Any) -> str:
    return local(app, value) if hasattr(value, "isoformat") else str(value)


@cli.command()
def history(address: Address, as_json: AsJson = False) -> None:
    """What somebody said to being mailed: when, at which door, and the words they were shown; the first first.

    Example: publisher subscriber history reader@example.org
    """
    with house() as app:
        rows = app.readers.history(address)
        if not rows:
            end(f"the log knows nothing of {address}", FAILED)
        if as_json:
            return print_json(rows)
        lines = [(local(app, r.moment), r.act, r.publication or "all", r.door, r.network, r.wording) for r in rows]
        return table("", ("when", "what", "publication", "door", "network", "wording"), lines)


# --- one reader ------------------------------------------------------------------------------------------------------


@cli.command()
def add(
    address: Address,
    publications: Annotated[list[str], typer.Argument(metavar="PUBLICATION…", help="What they shall get.")],
    name: Annotated[str, typer.Option(help="What they are called.")] = "",
    consent: Annotated[str, typer.Option(help="How you know that they want it; left out: a mail asks them.")] = "",
) -> None:
    """Add a reader: who is asked by one mail whether they want it, unless you say how you know.

    Example: publisher subscriber add reader@example.org weekly --consent "Asked at our stand, 3 May"
    """
    with house() as app, _fit():
        if consent.strip():
            app.readers.enrol(address, publications, name=name, door="operator", wording=consent)
            typer.echo(f"{address} gets {', '.join(publications)}")
        else:
            wording = app.readers.wording([name for name in publications if name in app.settings.audiences])
            app.readers.sign_up(address, publications, name=name, door="operator", wording=wording)
            typer.echo(f"{address} is asked by mail, by the service or the next `publisher run --once`")


@cli.command()
def confirm(
    address: Address,
    publication: Annotated[str, typer.Argument(help="What they signed up for.")],
    words: Annotated[str, typer.Option(help="How they said it; the log keeps it.")],
) -> None:
    """Confirm for a reader what waits for their confirmation, because they have told you.

    Example: publisher subscriber confirm reader@example.org weekly --words "By telephone, 3 May"
    """
    with house() as app, _fit():
        if not app.readers.confirm_by_hand(address, publication, door="operator", wording=words):
            end(f"nothing of {address} waits for a confirmation of {publication}", FAILED)
        typer.echo(f"{address} gets {publication}")


@cli.command()
def remove(
    address: Address,
    publication: Annotated[str, typer.Option(help="Nothing more of that one; left out: nothing at all.")] = "",
    words: Annotated[str, typer.Option(help="How they said it; the log keeps it.")] = "",
) -> None:
    """Send a reader nothing more, until they themselves sign up again.

    Example: publisher subscriber remove reader@example.org --publication weekly
    """
    with house() as app, _fit():
        known = app.readers.remove(address, publication, door="operator", wording=words)
    of = publication or "anything"
    typer.echo(f"{address} {'' if known else 'was no subscriber, and '}gets nothing more of {of}")


@cli.command()
def erase(
    address: Address,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Forget a reader: nothing that is kept tells who they were.  There is no way back.

    Example: publisher subscriber erase reader@example.org
    """
    if not yes:
        if not sys.stdin.isatty():
            end("erasing cannot be undone: say --yes", WRONG)
        typer.confirm(f"Erase {address}? This cannot be undone.", abort=True)
    with house() as app:
        if not app.readers.erase_by_hand(address, door="operator"):
            end(f"{address} is no subscriber", FAILED)
    typer.echo(f"{address} is erased; the suppression list keeps a hash, so that no import brings them back")


# --- lists -----------------------------------------------------------------------------------------------------------


@cli.command("import")
def import_(
    file: Annotated[str, typer.Argument(help="CSV; - reads standard input.")],
    *,
    publication: Annotated[str, typer.Option(help="What they shall get.")],
    consent: Annotated[str, typer.Option(help="How you know it of those whose consent the file does not state.")] = "",
    ask: Annotated[bool, typer.Option("--ask", help="Ask those by one mail each instead.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing, and tell what would be.")] = False,
    refused: Annotated[Path | None, typer.Option(help="A CSV file for the refused lines, instead of here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Take over a list that Mailchimp, Buttondown, Ghost, Substack, listmonk or this house exported.

    Who left or cannot be reached goes on the suppression list, and nothing takes anybody off it.  To import a file
    twice changes nothing.  Ends with 1 where lines were refused.

    Example: publisher subscriber import members.csv --publication weekly --dry-run
    """
    from publisher.subscribers import Terms

    terms = Terms(publication=publication, consent=consent.strip(), ask=ask, dry_run=dry_run)
    with house() as app, _fit(), _opened(file) as read, _refusals(refused) as take, _bar(read.size) as tell:
        tally = app.readers.take_over(
            read.stream, read.name, terms, refused=take, told=lambda tally: tell(tally.bytes, tally.rows)
        )
    _report(tally, dry_run=dry_run, as_json=as_json)
    if tally.outcomes["refused"]:
        raise typer.Exit(FAILED)


def _report(tally: Tally, *, dry_run: bool, as_json: bool) -> None:
    from publisher.subscribers import OUTCOMES

    if as_json:
        told = {"system": tally.system, "rows": tally.rows, "dry_run": dry_run}
        return print_json(told | {name: tally.outcomes[name] for name in OUTCOMES})
    lines = [(f"{tally.outcomes[name]:,}", words) for name, words in OUTCOMES.items() if tally.outcomes[name]]
    typer.echo(f"Exported by {tally.system}, {tally.rows:,} lines{'; nothing was changed' if dry_run else ''}.")
    return table("", ("lines", "who"), lines)


@cli.command()
def export(
    file: Annotated[str, typer.Argument(help="Where to; - or left out: here.")] = "-",
    publication: Publication = "",
    state: State = "",
) -> None:
    """Write the list as CSV, a line for each subscription.  No spreadsheet executes it; `subscriber import` reads it.

    Example: publisher subscriber export readers.csv --publication weekly --state active
    """
    _check_state(state)
    with house() as app:
        if publication:
            require_digest(app, publication)
        with app.store.read() as tx:
            expected = tx.subscribers.count_subscriptions(publication, state)
        with _written(file) as out, _bar(expected) as tell:
            count = app.readers.export(out, publication=publication, state=state, told=lambda count: tell(count, count))
    if file != "-":
        typer.echo(f"{file}: {count:,} subscriptions")


# --- what they share -------------------------------------------------------------------------------------------------


def _check_state(state: str) -> None:
    if state not in _STATES:
        end(f"--state is pending, active or left, not {state}", WRONG)


@contextmanager
def _fit() -> Iterator[None]:
    """End the command where what was typed cannot be used."""
    from publisher.errors import Unfit

    try:
        yield
    except Unfit as error:
        end(error.words, WRONG)


class _File(NamedTuple):
    stream: BinaryIO
    name: str
    size: int | None
    """In bytes; of standard input nobody knows it."""


@contextmanager
def _opened(file: str) -> Iterator[_File]:
    if file == "-":
        yield _File(sys.stdin.buffer, "standard input", None)
        return
    try:
        with Path(file).open("rb") as stream:
            yield _File(stream, Path(file).name, Path(file).stat().st_size)
    except OSError as error:
        end(f"{file}: cannot be read: {error.strerror}", WRONG)


@contextmanager
def _written(file: str) -> Iterator[TextIO]:
    """A file to write that nobody but its owner may read."""
    import os

    if file == "-":
        yield sys.stdout
        return
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as out:
            yield out
    except OSError as error:
        end(f"{file}: cannot be written: {error.strerror}", FAILED)


@contextmanager
def _refusals(file: Path | None) -> Iterator[Callable[[Refusal], None]]:
    """Where refused lines go: into a file, or the first of them onto standard error."""
    if file is None:
        yield from _printed()
        return
    import csv

    from publisher.subscribers import harmless

    with _written(str(file)) as out:
        writer = csv.writer(out)
        writer.writerow(("line", "address", "why"))

        def take(one: Refusal) -> None:
            writer.writerow((one.line, harmless(one.address), harmless(one.why)))

        yield take


def _printed() -> Iterator[Callable[[Refusal], None]]:
    count = 0

    def take(one: Refusal) -> None:
        nonlocal count
        count += 1
        if count <= _PRINTED:
            words = (f"line {one.line}", one.address, one.why)
            typer.echo(_plain(": ".join(filter(None, words))), err=True)

    yield take
    if count > _PRINTED:
        typer.echo(f"and {count - _PRINTED:,} more lines; --refused FILE writes all of them", err=True)


def _plain(text: str) -> str:
    """What a file says must not move the cursor or colour the terminal."""
    return "".join(c if c.isprintable() else " " for c in text)


@contextmanager
def _bar(total: int | None) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, told how much of the total is done, and how many lines that is."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("0 lines", total=total)

        def tell(done: int, lines: int) -> None:
            elapsed = progress.tasks[0].elapsed or 1
            progress.update(task, completed=done, description=f"{lines:,} lines, {lines / elapsed:,.0f} /s")

        yield tell
