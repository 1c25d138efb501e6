"""Plain commands: a look at the next issue."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from publisher.cli._common import FAILED, WRONG, end, house, require_digest

cli = typer.Typer()


@cli.command()
def preview(
    publication: Annotated[str, typer.Argument(help="One with a digest.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to write to.")] = Path("preview"),
) -> None:
    """Look at the next issue: writes its documents to a folder and opens the mail in a browser where there is one.

    Example: publisher preview weekly
    """
    import webbrowser

    with house() as app:
        require_digest(app, publication)
        issue, waiting = app.preview(publication)
        if not issue.documents:
            end(f"{publication} has no entry yet; run `publisher collect` first", FAILED)
        folder = output / publication
        folder.mkdir(parents=True, exist_ok=True)
        for document in issue.documents:
            (folder / document.name).write_bytes(app.as_read(document).body)
        if not waiting:
            settled = " that has settled" if app.settings.publications[publication].settle else ""
            typer.echo(f"Nothing{settled} is waiting for the next issue; this is how one of the newest would look.")
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
        end(f"--to: {error}", WRONG)
    with house() as app:
        require_digest(app, publication)
        receipt = app.send_test(publication, address)
        typer.echo(f"{address}: {receipt.verdict}{receipt.detail and f' ({receipt.detail})'}")
        if receipt.verdict is not Verdict.SENT:
            raise typer.Exit(FAILED)
