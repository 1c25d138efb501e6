"""``publisher db``: the store."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from publisher.cli._common import house

cli = typer.Typer(name="db", help="The store.", no_args_is_help=True)


@cli.command()
def backup(file: Annotated[Path, typer.Argument(help="Where to; replaced if it is there.")]) -> None:
    """Copy the store to a file while the service runs; the copy is checked.

    Example: publisher db backup /backup/publisher-$(date +%F).db
    """
    from rich.progress import Progress

    with house() as app, Progress(transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("pages")
        app.store.backup(file, lambda copied, total: progress.update(task, total=total, completed=copied))
    typer.echo(f"{file}: {file.stat().st_size:,} bytes, checked")
