"""Plain commands: how the house is."""

from __future__ import annotations

from dataclasses import asdict

import typer

from publisher.cli._common import AsJson, counts, house, local, print_json, table

cli = typer.Typer()


@cli.command()
def status(as_json: AsJson = False) -> None:
    """What was, what is next, what is wrong.

    Example: publisher status
    """
    with house() as app:
        picture = app.status()
        if as_json:
            return print_json({**asdict(picture), "wrong": picture.wrong})
        sources = [
            (s.name, s.kind, s.entries, local(app, s.visited), local(app, s.next), s.error or "well")
            for s in picture.sources
        ]
        table("Sources", ("name", "kind", "entries", "visited", "next", "health"), sources)
        publications = [(p.name, local(app, p.next_issue), p.readers, p.url) for p in picture.publications]
        table("Publications", ("name", "next issue", "readers", "address"), publications)
        issues = [
            (f"{i.publication} {i.edition}", local(app, i.created), i.entries, i.subject, counts(i.deliveries))
            for i in picture.issues
        ]
        table("Last issues", ("issue", "made", "entries", "subject", "deliveries"), issues)
        channels = [(c.name, c.kind, c.open, local(app, c.retry_at), c.error or "well") for c in picture.channels]
        table("Channels", ("name", "kind", "open", "held until", "health"), channels)
        for sentence in picture.wrong:
            typer.echo(f"! {sentence}")
    return None
