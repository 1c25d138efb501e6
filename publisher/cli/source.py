"""``publisher source``: where entries come from."""

from __future__ import annotations

from typing import Annotated

import typer

from publisher.cli._common import AsJson, Global, house, local, print_json, table

cli = typer.Typer(name="source", help="Where entries come from.", no_args_is_help=True)


@cli.command("list")
def list_(as_json: AsJson = False) -> None:
    """The sources and how they are.

    Example: publisher source list
    """
    with house() as app:
        rows = app.status().sources
        if as_json:
            return print_json(rows)
        lines = [(s.name, s.kind, s.title, s.entries, local(app, s.visited), s.error or "well") for s in rows]
        return table("", ("name", "kind", "title", "entries", "visited", "health"), lines)


@cli.command("test")
def try_(
    name: Annotated[str, typer.Argument(help="A source of the configuration, or the address of a feed or page.")],
    private: Annotated[bool, typer.Option("--private", help="It may be at a private address.")] = False,
    as_json: AsJson = False,
) -> None:
    """What a visit would bring, in a table; nothing is stored.

    Example: publisher source test https://blog.example.org
    """
    from publisher.app import try_source

    items = try_source(name, Global.config, private=private)
    if as_json:
        return print_json(items)
    lines = [(f"{item.published:%Y-%m-%d}" if item.published else "", item.title, item.link) for item in items]
    table("", ("published", "title", "link"), lines)
    return typer.echo(f"{len(items)} entries")
