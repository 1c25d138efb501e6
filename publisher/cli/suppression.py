"""``publisher suppression``: who shall get nothing more."""

from __future__ import annotations

from typing import Annotated

import typer

from publisher.cli._common import FAILED, WRONG, AsJson, end, house, local, print_json, require_digest, table

cli = typer.Typer(name="suppression", help="Who shall get nothing more.", no_args_is_help=True)


@cli.command("list")
def list_(
    most: Annotated[int, typer.Option(help="How many rows.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Who gets nothing more, and why; the newest first.

    Example: publisher suppression list
    """
    with house() as app:
        with app.store.read() as tx:
            rows = tx.suppressions.list(limit=most)
        if as_json:
            return print_json(rows)
        lines = [(r.address, r.publication or "all", r.reason, local(app, r.moment), r.detail) for r in rows]
        return table("", ("address", "publication", "reason", "since", "detail"), lines)


@cli.command()
def add(
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
        end(f"{address}: {error}", WRONG)
    with house() as app:
        if publication:
            require_digest(app, publication)
        entry = Suppression(address=address, publication=publication, reason="by hand", moment=app.clock())
        with app.store.write() as tx:
            is_new = tx.suppressions.add(entry)
    typer.echo(f"{address} gets nothing more" if is_new else f"{address} was on the list already")


@cli.command()
def remove(address: Annotated[str, typer.Argument(help="As `suppression list` shows it.")]) -> None:
    """Take an address off the list, with all its entries.  You answer for it that its reader wants that.

    Example: publisher suppression remove reader@example.org
    """
    with house() as app, app.store.write() as tx:
        gone = tx.suppressions.remove(address)
    if not gone:
        end(f"{address} is not on the list", FAILED)
    typer.echo(f"{address} gets mail again; it is now you who answers for it that they want it")
