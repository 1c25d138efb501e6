"""Plain commands: the service, and its steps by hand."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from publisher.cli._common import WRONG, by_hand, end, house, report, set_up_log, settings_file

if TYPE_CHECKING:
    from publisher.app import App
    from publisher.engine.local import Report

cli = typer.Typer()


@cli.command()
def run(
    once: Annotated[bool, typer.Option("--once", help="Do what is due, print a table, end.")] = False,
    only: Annotated[str, typer.Option(help="Parts to run, of: work, web.")] = "work,web",
) -> None:
    """The service: scheduler, workers and web pages; or with --once all that is due.

    Example: publisher run --once
    """
    parts = set(only.split(","))
    if parts - {"work", "web"}:
        end(f"--only takes work, web or both, not {', '.join(sorted(parts - {'work', 'web'}))}", WRONG)
    if once:
        with house() as app:
            report(_with_progress(app), app)
    else:
        _serve(parts)


def _serve(parts: set[str]) -> None:
    import signal
    from contextlib import nullcontext

    from publisher.app import Service
    from publisher.log import logger
    from publisher.web import serving

    service = Service(settings_file())
    set_up_log(service.app)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: service.stop())
    signal.signal(signal.SIGHUP, lambda *_: service.reload())
    with serving(lambda: service.app) if "web" in parts else nullcontext("") as address:
        if address:
            logger().info("the house can be seen", by_readers=address, by_you=_overview(address))
        service.run(work="work" in parts)


def _overview(address: str) -> str:
    """Where the operator looks: at a page that answers this machine alone, if loopback is listened on."""
    from ipaddress import ip_address
    from urllib.parse import urlsplit

    host = ip_address(urlsplit(address).hostname or "")
    return f"{address}status" if host.is_loopback or host.is_unspecified else "publisher status"


def _with_progress(app: App) -> list[Report]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from publisher.log import logger

    set_up_log(app)
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


@cli.command()
def collect(sources: Annotated[list[str] | None, typer.Argument(help="All of them if left out.")] = None) -> None:
    """Visit sources now.

    Example: publisher collect blog council
    """
    by_hand("collect", sources or [], lambda app: app.settings.sources)


@cli.command()
def publish(publications: Annotated[list[str] | None, typer.Argument(help="All if left out.")] = None) -> None:
    """Render feeds and pages now; only files whose bytes change are written.

    Example: publisher publish weekly
    """
    by_hand("publish", publications or [], lambda app: app.settings.publications)


@cli.command()
def compose(
    publication: Annotated[str, typer.Argument(help="One with a digest; weekly/daily: by its schedule named daily.")],
) -> None:
    """Make an issue of what is waiting, now instead of at its slot; deliver sends it.

    Example: publisher compose weekly && publisher deliver
    """
    by_hand("compose", [publication], lambda app: app.settings.digest_names)


@cli.command()
def deliver() -> None:
    """Carry out the deliveries that can go now, also on channels that are being left alone after a failure.

    Example: publisher deliver
    """
    by_hand("deliver", [], lambda app: app.settings.channels)
