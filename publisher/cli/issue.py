"""``publisher issue``: the issues that were made."""

from __future__ import annotations

from typing import Annotated

import typer

from publisher.cli._common import WRONG, AsJson, counts, end, house, local, print_json, table

cli = typer.Typer(name="issue", help="The issues that were made.", no_args_is_help=True)


@cli.command("list")
def list_(as_json: AsJson = False) -> None:
    """The last issues and what became of their deliveries.

    Example: publisher issue list
    """
    with house() as app:
        rows = app.status().issues
        if as_json:
            return print_json(rows)
        lines = [
            (i.id, i.publication, i.edition, local(app, i.created), i.entries, i.subject, counts(i.deliveries))
            for i in rows
        ]
        return table("", ("id", "publication", "number", "made", "entries", "subject", "deliveries"), lines)


@cli.command()
def show(
    number: Annotated[int, typer.Argument(metavar="ID", help="As `issue list` shows it.")],
    document: Annotated[str, typer.Option(help="mail.txt, mail.html, subject.txt or issue.json.")] = "mail.txt",
) -> None:
    """A document of an issue.

    Example: publisher issue show 3 --document mail.html > issue.html
    """
    with house() as app, app.store.read() as tx:
        documents = {found.name: app.as_read(found) for found in tx.issues.documents(number)}
    if document not in documents:
        end(f"issue {number} has no {document}; it has: {', '.join(documents) or 'nothing, it is not there'}", WRONG)
    typer.echo(documents[document].text)


@cli.command()
def pause(number: Annotated[int, typer.Argument(metavar="ID", help="As `issue list` shows it.")]) -> None:
    """Send nothing more of an issue, until it is resumed.

    Example: publisher issue pause 3
    """
    _pause(number, "by hand")
    typer.echo(f"issue {number} is paused; what is on its way arrives")


@cli.command()
def resume(number: Annotated[int, typer.Argument(metavar="ID", help="As `issue list` shows it.")]) -> None:
    """Go on with an issue that was paused, by hand or because too many deliveries failed.

    Example: publisher issue resume 3 && publisher deliver
    """
    _pause(number, "")
    typer.echo(f"issue {number} goes on")


def _pause(number: int, why: str) -> None:
    with house() as app, app.store.write() as tx:
        there = tx.issues.pause(number, why)
    if not there:
        end(f"there is no issue {number}", WRONG)
