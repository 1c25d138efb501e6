"""``publisher bounce``: what came back."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from publisher.cli._common import WRONG, AsJson, Global, by_hand, end, house, local, print_json, table

TRY_AGAIN = 75
"""EX_TEMPFAIL of sysexits.h: a mail server that hands us a message keeps it, and hands it over again later."""

_LARGEST_MESSAGE = 1_000_000  # bytes of a message that are looked at; its end is what it returns

cli = typer.Typer(name="bounce", help="What came back.", no_args_is_help=True)


@cli.command()
def read() -> None:
    """Read the mailbox that mail comes back to now, instead of at its slot.

    Example: publisher bounce read
    """
    with house() as app:
        if not app.settings.bounces.part("mailbox"):
            end("no mailbox is configured; write `bounces: {mailbox: {url: …}}`", WRONG)
    by_hand("bounces", [], lambda _: ["mailbox"])


@cli.command()
def take() -> None:
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
        with closing(App(load(Global.config))) as app:
            taken = app.returns.take(message)
    except PublisherError as error:  # a wrong configuration too: the message is not to blame
        end(error.words, TRY_AGAIN)
    typer.echo("taken" if taken else "nothing in it is about our mail")


@cli.command("list")
def list_(
    address: Annotated[str | None, typer.Option(help="Of one address only.")] = None,
    most: Annotated[int, typer.Option(help="How many rows.")] = 50,
    as_json: AsJson = False,
) -> None:
    """What came back, newest first; what is `unproven` may be made up, and nothing follows from it.

    Example: publisher bounce list --address reader@example.org
    """
    with house() as app:
        with app.store.read() as tx:
            rows = tx.suppressions.returned(address, limit=most)
        if as_json:
            return print_json(rows)
        lines = [
            (local(app, r.moment), r.address, r.fate, r.status, "-" if r.delivery is None else r.delivery, r.detail)
            for r in rows
        ]
        return table("", ("when", "address", "is", "status", "delivery", "detail"), lines)
