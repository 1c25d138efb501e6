"""``publisher token``: who may use the API."""

from __future__ import annotations

from typing import Annotated

import typer

from publisher.cli._common import FAILED, WRONG, AsJson, end, house, local, print_json, table

cli = typer.Typer(name="token", help="Who may use the API.", no_args_is_help=True)


@cli.command()
def add(
    name: Annotated[str, typer.Argument(help="By which it is known, and taken back.")],
    scope: Annotated[
        list[str], typer.Option(help="What it is good for; several times for several: entries:write, subscribers:read…")
    ],
) -> None:
    """Make a token and show it, this once: it cannot be shown again.

    Example: publisher token add newsroom --scope entries:write
    """
    from publisher.errors import Unfit

    with house() as app:
        try:
            typer.echo(app.access.grant(name, scope))
        except Unfit as error:
            end(error.words, WRONG)


@cli.command("list")
def list_(as_json: AsJson = False) -> None:
    """The tokens, what they are good for, and when each was used last, to the minute.

    Example: publisher token list
    """
    with house() as app:
        with app.store.read() as tx:
            rows = tx.api_tokens.list()
        if as_json:
            told = ("name", "scopes", "created", "used")
            return print_json([{field: getattr(row, field) for field in told} for row in rows])
        lines = [(row.name, ", ".join(row.scopes), local(app, row.created), local(app, row.used)) for row in rows]
        return table("", ("name", "scopes", "made", "used"), lines)


@cli.command()
def remove(name: Annotated[str, typer.Argument(help="As `token list` shows it.")]) -> None:
    """Let a token be good for nothing from now on.

    Example: publisher token remove newsroom
    """
    with house() as app, app.store.write() as tx:
        gone = tx.api_tokens.remove(name)
    if not gone:
        end(f"there is no token {name!r}", FAILED)
    typer.echo(f"{name} is good for nothing any more")
