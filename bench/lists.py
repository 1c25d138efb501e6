"""How fast a list is imported and exported.  Run as a process of its own, so that its memory is its own."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

from bench.house import peak
from publisher.app import App, load
from publisher.subscribers import Terms

_CONFIG = """\
version: 1
site: {title: Harbour News, url: 'https://news.example.org'}
sources: {notes: {kind: folder, path: notes/}}
publications: {weekly: {title: The Harbour Weekly, digest: {schedule: 'mon 08:00'}, deliver: [post]}}
channels: {post: {kind: smtp, url: 'smtp://127.0.0.1:25', from: News <news@example.org>}}
subscriptions: {}
"""
_HEAD = (
    '"Email Address","First Name","Last Name",MEMBER_RATING,OPTIN_TIME,OPTIN_IP,CONFIRM_TIME,CONFIRM_IP,LATITUDE,'
    "LONGITUDE,GMTOFF,DSTOFF,TIMEZONE,CC,REGION,LAST_CHANGED,LEID,EUID,NOTES,TAGS\n"
)
_LINE = (
    'reader{0}@example.org,Ada,"Reader {0}",2,"2018-02-12 10:54:27",192.0.2.1,"2018-02-12 10:55:01",192.0.2.1,,,1,2,'
    'Europe/Berlin,DE,BE,"2020-01-01 00:00:00",{0},{0:08x},,"""Editors"""\n'
)


def main(folder: Path, lines: int) -> Iterator[str]:
    """A list as Mailchimp exports it into an empty store; the same again, where all are there already; and out."""
    file = folder / "members.csv"
    with file.open("w") as out:
        out.write(_HEAD)
        out.writelines(_LINE.format(number) for number in range(lines))
    with closing(_house(folder)) as app:
        yield _told("import", lines, partial(_import, app, file, "enrolled"))
        yield _told("import of the same file again", lines, partial(_import, app, file, "known"))
        yield _told("export", lines, partial(_export, app, folder / "readers.csv"))


def _house(folder: Path) -> App:
    (folder / "notes").mkdir()
    (folder / "config.yaml").write_text(_CONFIG)
    return App(load(folder / "config.yaml", {})).ready()


def _import(app: App, file: Path, outcome: str) -> int:
    with file.open("rb") as stream:
        return app.readers.take_over(stream, file.name, Terms(publication="weekly")).outcomes[outcome]


def _export(app: App, file: Path) -> int:
    with file.open("w", newline="") as out:
        return app.readers.export(out)


def _told(what: str, lines: int, action: Callable[[], int]) -> str:
    begun, worked = time.perf_counter(), time.process_time()
    done = action()
    seconds, work = time.perf_counter() - begun, time.process_time() - worked
    if done != lines:
        raise SystemExit(f"{what}: {done:,} of {lines:,} lines were dealt with")
    speed = f"{lines / seconds:>9,.0f} /s, {lines / work:>7,.0f} /s of processor time"
    return f"{f'{what}, {lines:,} lines':<48}{speed}, {peak():,.0f} MB at most"


if __name__ == "__main__":
    for line in main(Path(sys.argv[1]), int(sys.argv[2])):
        sys.stdout.write(f"{line}\n")
