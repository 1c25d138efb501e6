"""``publisher source``: where entries come from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from publisher.cli._common import WRONG, AsJson, Global, end, house, local, print_json, table

if TYPE_CHECKING:
    from publisher.app import App
    from publisher.discover import Tried
    from publisher.model import Item
    from publisher.sources import Trial
    from publisher.status import HubStatus

_PARTS = ("title", "link", "date", "teaser", "image")
_TEASER, _TEXT = 60, 500
"""Characters that are shown."""
_ELEMENTS = 3
"""Elements that are named for one part."""

cli = typer.Typer(name="source", help="Where entries come from.", no_args_is_help=True)


@cli.command("list")
def list_(
    name: Annotated[
        str, typer.Argument(help="One of them, and when it is visited next; of a list the feeds. Left out: all.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """The sources and how they are.

    Example: publisher source list
    """
    with house() as app:
        if name and name not in app.settings.sources:
            end(f"there is no {name!r}; there is: {', '.join(app.settings.sources) or 'none'}", WRONG)
        rows = (app.feeds(name) if name else ()) or [s for s in app.status().sources if name in ("", s.name)]
        if as_json:
            return print_json(rows)
        lines = [
            (
                s.name,
                s.kind,
                s.title,
                s.entries,
                local(app, s.visited),
                local(app, s.next),
                _pushed(app, s.hub),
                s.error or "well",
            )
            for s in rows
        ]
        table("", ("name", "kind", "title", "entries", "visited", "next", "pushed by a hub", "health"), lines)
        if name:
            at, why = app.next_visit(name)
            typer.echo(f"Next visit to {name}: {local(app, at) if at else 'never'} ({why}).")
    return None


def _pushed(app: App, hub: HubStatus | None) -> str:
    """Until when, or why not; empty where there is no hub."""
    if hub is None:
        return ""
    told = f"until {local(app, hub.until)}" if hub.pushes else "no"
    return f"{told}: {hub.error}" if hub.error else told if hub.pushes else "asked"


@cli.command("test")
def try_(
    name: Annotated[str, typer.Argument(help="A source of the configuration, or the address of a feed or page.")],
    private: Annotated[bool, typer.Option("--private", help="It may be at a private address.")] = False,
    full_text: Annotated[
        bool, typer.Option("--full-text", help="Show the beginning of the whole text of the first article too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """What a first visit would bring, from which elements of the page, and what to write down; nothing is stored.

    Example: publisher source test https://council.example.org/news
    """
    from publisher.app import try_source

    tried = try_source(name, Global.config, private=private, full_text=full_text)
    if as_json:
        return print_json(tried)
    _show_items(tried)
    _show_elements(tried.trial)
    if full_text and tried.trial.items:
        _show_text(tried.trial.items)
    return typer.echo(_to_write_down(tried))


@cli.command()
def accept(name: Annotated[str, typer.Argument(help="A source of the configuration.")]) -> None:
    """Take at the next visit what a source has now, although the page looks different from what it was.

    What is dated after the last visit that went well is news; all else on it is published, and not mailed.

    Example: publisher source accept council
    """
    with house() as app:
        if not app.accept(name):
            end(f"there is no source {name!r} that was ever visited (publisher source list)", WRONG)
    typer.echo(f"The next visit to {name} takes what is there; publisher collect {name} makes it now.")


def _show_items(tried: Tried) -> None:
    items, trial = tried.trial.items, tried.trial
    rows = [
        (
            f"{item.published:%Y-%m-%d}" if item.published else "",
            item.title,
            _beginning(item),
            _yes(item.image),
            item.link,
        )
        for item in items
    ]
    table("", ("date", "title", "teaser", "image", "link"), rows)
    typer.echo(f"{len(items)} {trial.what} ({trial.way})")
    for note in trial.notes:
        typer.echo(note)


def _beginning(item: Item) -> str:
    from publisher import html

    return html.excerpt(item.summary or item.content, _TEASER)


def _yes(image: str) -> str:
    return "yes" if image else ""


def _show_elements(trial: Trial) -> None:
    """For each part the elements that it was taken from, and of how many entries."""
    if not trial.elements:
        return
    rows = []
    for part in _PARTS:
        found = Counter(elements[part] for elements in trial.elements if part in elements)
        told = ", ".join(f"{element} ({count})" for element, count in found.most_common(_ELEMENTS))
        rows.append((part, told or "nowhere on the page"))
    table("Taken from", ("part", "element (of how many entries)"), rows)


def _show_text(items: Sequence[Item]) -> None:
    from publisher import html

    typer.echo(f"\nThe whole text of {items[0].title!r} begins:\n")
    typer.echo(html.excerpt(items[0].content, _TEXT) + "\n")


def _to_write_down(tried: Tried) -> str:
    """The source as config.yaml has it, or what could be added there; empty where it has all that there is."""
    if tried.trial.way == "selectors" or not (tried.url or tried.trial.select):
        return ""
    select = [f"      {part}: {json.dumps(css, ensure_ascii=False)}" for part, css in tried.trial.select.items()]
    lines = [
        "To write into the configuration:\n",
        "sources:",
        f"  {tried.name}:",
        *([f"    kind: {tried.kind}", f"    url: {tried.url}"] if tried.url else []),
        *(["    select:                # may be left out: the list was found without it"] if select else []),
        *(["    # no select: no selectors take the parts of an entry together here"] if _is_plain(tried.trial) else []),
        *select,
    ]
    return "\n".join(lines)


def _is_plain(trial: Trial) -> bool:
    """Whether what was found on a page has elements, and no selectors for them."""
    return any(trial.elements) and not trial.select
