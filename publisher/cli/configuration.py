"""Plain commands: the configuration, and what it points to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from publisher.cli._common import (
    FAILED,
    UNREACHED,
    WRONG,
    AsJson,
    Global,
    end,
    house,
    print_json,
    settings_file,
    table,
)

cli = typer.Typer()


@cli.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write config.yaml.")],
    site: Annotated[str, typer.Option("--from", help="A site to begin with.")] = "",
    private: Annotated[bool, typer.Option("--private", help="The site may be at a private address.")] = False,
) -> None:
    """Write a working configuration: for a site, whose feed or list of articles is found, or for a folder of notes.

    Example: publisher init harbour --from https://harbour.example.org
    """
    from publisher.app import initialise

    made = initialise(folder, site, private=private)
    typer.echo(f"{made.words}\nWritten to {made.file}. Now:\n\n  publisher -c {made.file} run --once")


@cli.command()
def check(
    connect: Annotated[
        bool, typer.Option("--connect", help="Also ask the channels and the mailboxes whether they answer.")
    ] = False,
) -> None:
    """Every fault of the configuration with its line, and of what it points to.

    Example: publisher check --connect
    """
    with house() as app:
        findings, answers = list(app.check()), list(app.connect()) if connect else []
    rows = [("ok" if found.well else "!", found.place, found.message) for found in findings + answers]
    table("", ("", "place", "finding"), rows)
    if not all(finding.well for finding in findings):
        raise typer.Exit(WRONG)
    if not all(answer.well for answer in answers):
        raise typer.Exit(UNREACHED)
    typer.echo(f"{Global.config} is well.")


@cli.command()
def doctor(
    name_server: Annotated[
        str, typer.Option("--dns", help="The name server to ask, as ADDRESS or ADDRESS:PORT, not the machine's own.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """What should be mended so that mail arrives: SPF, DKIM and DMARC in DNS, the ways back, the relay.

    Example: publisher doctor --dns 9.9.9.9
    """
    from publisher.doctor import Severity

    with house() as app:
        try:
            found = list(app.doctor(name_server))
        except ValueError as error:
            end(f"--dns: {error}", WRONG)
    if as_json:
        print_json(found)
    else:
        marks = {Severity.WELL: "ok", Severity.NOTE: "-", Severity.WRONG: "!", Severity.UNASKED: "?"}
        table("", ("", "place", "about", "finding"), [(marks[o.severity], o.place, o.about, o.message) for o in found])
        for one in found:  # below the table and never wrapped, so that it can be copied
            if one.mend:
                typer.echo(f"{marks[one.severity]} {one.place}, {one.about}: {one.message}\n{one.mend}\n")
    severities = {one.severity for one in found}
    if Severity.WRONG in severities:
        raise typer.Exit(FAILED)
    if Severity.UNASKED in severities:
        raise typer.Exit(UNREACHED)


@cli.command()
def show() -> None:
    """The configuration in force, with every default filled in and secrets hidden.

    Example: publisher show
    """
    from publisher import config
    from publisher.app import load

    typer.echo(config.show(load(settings_file())))


@cli.command()
def schema() -> None:
    """The JSON Schema of config.yaml, for editors that check while one types.

    Example: publisher schema > config.schema.json
    """
    from publisher.app import schema

    typer.echo(json.dumps(schema(), indent=1, ensure_ascii=False))
