"""``publisher delivery``: the ledger of deliveries."""

from __future__ import annotations

from typing import Annotated

import typer

from publisher.cli._common import FAILED, WRONG, AsJson, end, house, local, print_json, table

cli = typer.Typer(name="delivery", help="The ledger of deliveries.", no_args_is_help=True)


@cli.command("list")
def list_(
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
        end(f"--state takes one of {', '.join(State)}", WRONG)
    with house() as app:
        with app.store.read() as tx:
            rows = tx.deliveries.list(state=State(state) if state else None, issue=issue, limit=most)
        if as_json:
            return print_json(rows)
        lines = [
            (r.id, r.issue, r.channel, r.recipient, r.state, r.tries, local(app, r.next_at), r.detail) for r in rows
        ]
        return table("", ("id", "issue", "channel", "recipient", "state", "tries", "next", "detail"), lines)


@cli.command()
def retry(
    ids: Annotated[list[int] | None, typer.Argument(help="As `delivery list` shows them.")] = None,
    issue: Annotated[
        int | None, typer.Option(help="All of that issue that failed, were parked or are uncertain.")
    ] = None,
) -> None:
    """Plan failed, parked and uncertain deliveries anew, with all attempts before them.

    Example: publisher delivery retry 17 18 && publisher deliver
    """
    if not ids and issue is None:
        end("say which: publisher delivery retry 17, or --issue 3", WRONG)
    with house() as app, app.store.write() as tx:
        done = [key for key in ids or () if tx.deliveries.retry(app.clock(), id=key)]
        rest = tx.deliveries.retry(app.clock(), issue=issue) if issue is not None else 0
    typer.echo(f"{len(done) + rest} planned anew")
    if missed := sorted(set(ids or ()) - set(done)):
        end("not failed, or not there: " + ", ".join(map(str, missed)), FAILED)


@cli.command()
def close(
    ids: Annotated[list[int], typer.Argument(help="As `delivery list` shows them.")],
    sent: Annotated[bool, typer.Option("--sent/--failed", help="What became of them.")],
) -> None:
    """Say what became of parked and uncertain deliveries, so that their issue can be finished.

    Example: publisher delivery close 17 --sent
    """
    from publisher.model import State

    with house() as app, app.store.write() as tx:
        state = State.SENT if sent else State.FAILED
        missed = [key for key in ids if not tx.deliveries.close(key, state, app.clock())]
    typer.echo(f"{len(ids) - len(missed)} closed as {state}")
    if missed:
        end("neither parked nor uncertain, or not there: " + ", ".join(map(str, missed)), FAILED)
