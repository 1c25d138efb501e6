"""What the commands share: their options, the house, work by hand, and how they speak."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from datetime import datetime

    from publisher.app import App
    from publisher.engine.local import Report

FAILED, WRONG, UNREACHED = 1, 2, 3

AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]
"""The option that every reading command has."""


class Global:
    """What stands before the command."""

    config = Path("config.yaml")
    verbose = False


# --- the house -------------------------------------------------------------------------------------------------------


@contextmanager
def house() -> Iterator[App]:
    """The house as the configuration says, for as long as the command takes."""
    from publisher.app import App, load

    app = App(load(settings_file()))
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


def settings_file() -> Path:
    """The configuration that was named; ends the command where there is none."""
    if not Global.config.exists():
        end(f"{Global.config}: there is no such file; `publisher init DIR` writes one", WRONG)
    return Global.config


def set_up_log(app: App) -> None:
    """Log as the configuration says, and everything with ``--verbose``."""
    from publisher import log

    log.set_up("debug" if Global.verbose else app.settings.log.level, app.settings.log.format)


def require_digest(app: App, publication: str) -> None:
    """End the command where there is no such publication, or it has no digest."""
    if publication not in app.settings.digests:
        known = ", ".join(app.settings.digests) or "none"
        end(f"no publication {publication!r} with a digest; there is: {known}", WRONG)


# --- work ------------------------------------------------------------------------------------------------------------


def by_hand(step: str, subjects: Sequence[str], known: Callable[[App], Collection[str]]) -> None:
    """Do one step now and tell of it.

    Args:
        subjects: what to do it with; all that are known where none is named.
        known: the names of those that there are.
    """
    with house() as app:
        names = known(app)
        if unknown := [name for name in subjects if name not in names]:
            end(f"there is no {unknown[0]!r}; there is: {', '.join(names) or 'none'}", WRONG)
        set_up_log(app)
        with closing(app.engine(lambda _: None)) as engine:
            reports = engine.run(app.by_hand(step, subjects or list(names)))
            if step == "collect":
                reports += engine.run(app.listed_by(report.work.subject for report in reports))
        report(reports, app)


def report(reports: Sequence[Report], app: App) -> None:
    """Print what was done; the exit code tells whether all of it went well."""
    if not reports:
        soonest = "; ".join(f"{name} at {local(app, at)}" for at, name in app.status().next[:1])
        typer.echo(f"Nothing to do.{soonest and f' Next: {soonest}.'}")
        return
    rows = [(report.work.step, report.work.subject, _mark(report), report.words) for report in reports]
    table("", ("step", "of", "", "result"), rows)
    if not all(report.well for report in reports):
        raise typer.Exit(FAILED)


def _mark(report: Report) -> str:
    return ("*" if report.changed else "-") if report.well else "!"


# --- words -----------------------------------------------------------------------------------------------------------


def end(words: str, code: int) -> NoReturn:
    """End the command with a sentence."""
    sys.stderr.write(f"{words}\n")
    raise SystemExit(code)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table; nothing where it has no rows."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        return
    grid = Table(*columns, box=SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
    for row in rows:
        # Text, not markup: what sources say must not become colours or links of the terminal.
        grid.add_row(*(Text("".join(c if c.isprintable() else " " for c in str(cell))) for cell in row))
    Console(width=None if sys.stdout.isatty() else 200).print(grid)


def local(app: App, moment: datetime | None) -> str:
    """A moment as the clocks of the site show it."""
    from zoneinfo import ZoneInfo

    return f"{moment.astimezone(ZoneInfo(app.settings.site.timezone)):%Y-%m-%d %H:%M %Z}" if moment else "-"


def counts(of: Mapping[Any, int]) -> str:
    """How many there are of each, in words."""
    return ", ".join(f"{count} {name}" for name, count in of.items()) or "none"


def print_json(value: object) -> None:
    """Print for machines: rows become objects, moments ISO 8601."""
    typer.echo(json.dumps(value, indent=1, default=_plain))


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
