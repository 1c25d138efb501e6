"""How fast feeds are collected, beside the package ``reader`` with as many workers; prints a table.

``BENCH_SOURCES`` says how many feeds there are (2,000), ``BENCH_WORKERS`` how many are asked at a time (64).  Both
programs ask the same server on loopback, whose answers take 20 ms, and keep what they learn in SQLite.  Each is a
process of its own, so that its processor time is its own; that of its child processes counts as well.

Last comes what it costs to know what is due: half as many sources as there are feeds, of fifty times as many on record.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import NamedTuple, Protocol

from bench import feeds
from publisher.app import App, load, utc_now
from publisher.engine.local import Report

SCENES = {"unchanged (304)": 0, f"all changed, {feeds.ENTRIES} entries": feeds.ENTRIES}
"""What is measured, and how many new entries each feed has then."""
AIMS = dict(zip(SCENES, ("3x", "2x"), strict=True))

_CONFIG = """\
version: 1
site: {title: Harbour News, url: 'https://news.example.org'}
defaults: {every: 1h}
sources:
"""


class Cost(NamedTuple):
    """What one feed takes, in seconds."""

    wall: float
    cpu: float


class Program(Protocol):
    """What is measured."""

    def collect(self) -> None:
        """Ask each of the feeds once."""

    def entries(self) -> int:
        """How many entries it has."""


class House:
    """The whole way: what is due, HTTP, parsing in children, sanitising, and what is new committed."""

    def __init__(self, folder: Path, addresses: Iterable[str], workers: int) -> None:
        file = folder / "config.yaml"
        sources = (f"  s{n}: {{kind: feed, url: '{url}', private: true}}\n" for n, url in enumerate(addresses))
        file.write_text(_CONFIG + "".join(sources))
        self._later = timedelta()
        self._app = App(load(file, {}), self._now).ready()
        self._workers = workers

    def _now(self) -> datetime:
        return utc_now() + self._later

    def collect(self) -> None:
        """An hour later all of them are due."""
        self._later += timedelta(hours=1)
        engine = self._app.engine(self._tell, self._workers)
        engine.run(self._app.due("collect"))
        engine.close()

    def _tell(self, report: Report) -> None:
        if not report.well:
            sys.stderr.write(f"{report.work.subject}: {report.words}\n")

    def entries(self) -> int:
        """As the store says."""
        with self._app.store.read() as tx:
            return sum(tx.entries.counts().values())


class Peer:
    """``reader``, as its documentation shows it."""

    def __init__(self, folder: Path, addresses: Iterable[str], workers: int) -> None:
        os.environ["READER_NO_VENDORED_FEEDPARSER"] = "1"  # its own copy wants a package that it does not ask for
        from reader import make_reader  # noqa: PLC0415  which reads that

        self._reader = make_reader(str(folder / "reader.sqlite"))
        self._workers = workers
        for address in addresses:
            self._reader.add_feed(address)

    def collect(self) -> None:
        """All of them, due or not."""
        self._reader.update_feeds(scheduled=False, workers=self._workers)

    def entries(self) -> int:
        """As its database says."""
        return self._reader.get_entry_counts().total or 0


PROGRAMS: dict[str, Callable[[Path, Iterable[str], int], Program]] = {"house": House, "reader": Peer}


# --- one program -----------------------------------------------------------------------------------------------------


def measured(name: str, port: int, count: int, workers: int) -> dict[str, Cost]:
    """What each scene costs a program, which must have every entry afterwards."""
    site = feeds.Feeds(port)
    with tempfile.TemporaryDirectory() as folder:
        program = PROGRAMS[name](Path(folder), [site.url(number) for number in range(count)], workers)
        program.collect()
        costs, expected = {}, program.entries()
        for scene, new in SCENES.items():
            site.publish(new)
            expected += count * new
            costs[scene] = _timed(count, program.collect)
            if program.entries() != expected:
                raise SystemExit(f"{name}, {scene}: {program.entries():,} entries, not {expected:,}")
    return costs


def _timed(count: int, action: Callable[[], None]) -> Cost:
    wall, cpu = time.perf_counter(), _spent()
    action()
    return Cost((time.perf_counter() - wall) / count, (_spent() - cpu) / count)


def _spent() -> float:
    """Processor time of this process and of all its children, those that are still there too."""
    ended = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in ended) + sum(_living()) / os.sysconf("SC_CLK_TCK")


def _living() -> Iterator[int]:
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        if int(fields[1]) == os.getpid():
            yield sum(map(int, fields[11:15]))


# --- what is due ---


def asked(on_record: int, due: int) -> float:
    """Seconds that it takes to know what is due, of so many sources."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yaml"
        file.write_text(_CONFIG + "  s0: {kind: feed, url: 'http://127.0.0.1/feed', private: true}\n")
        settings = load(file, {})
        # Put in past the file: to read a hundred thousand sources from YAML is another matter.
        many = dict.fromkeys((f"s{number}" for number in range(on_record)), settings.sources["s0"])
        with closing(App(settings.model_copy(update={"sources": many})).ready()) as app:
            with closing(sqlite3.connect(Path(folder) / "data/publisher.db")) as connection:
                later = {"count": on_record - due, "later": 10**12}
                connection.execute(_PUT_OFF, later)
                connection.commit()
            return median(_asked(app, due) for _ in range(11))


_PUT_OFF = """\
UPDATE sources SET next_at = next_at + :later
WHERE name IN (SELECT name FROM sources ORDER BY name DESC LIMIT :count)
"""


def _asked(app: App, due: int) -> float:
    began = time.perf_counter()
    found = app.due("collect")
    seconds = time.perf_counter() - began
    if len(found) != due:
        raise SystemExit(f"{len(found):,} of {due:,} are due")
    return seconds


# --- the table -------------------------------------------------------------------------------------------------------


def main() -> None:
    """Measure and print."""
    busy = os.getloadavg()[0]
    count, workers = int(os.environ.get("BENCH_SOURCES", "2000")), int(os.environ.get("BENCH_WORKERS", "64"))
    found = {}
    for name in PROGRAMS:
        with feeds.serving() as site:
            words = [sys.executable, "-m", "bench.collecting", name, *map(str, (site.port, count, workers))]
            told = subprocess.run(words, stdout=subprocess.PIPE, check=True)  # noqa: S603 (our own words)
        found[name] = {scene: Cost(*cost) for scene, cost in json.loads(told.stdout).items()}
    _write_row("", "house", "reader", "ratio", "of CPU", "aim")
    for scene, aim in AIMS.items():
        ours, theirs = found["house"][scene], found["reader"][scene]
        ratios = f"{theirs.wall / ours.wall:.2f}x", f"{theirs.cpu / ours.cpu:.2f}x"
        _write_row(scene, _told(ours), _told(theirs), *ratios, aim)
    many, due = count * 50, count // 2
    more, less = asked(many, due), asked(due, due)
    of_many, of_few = (f"{took * 1000:.1f} ms of {all_:,} on record" for took, all_ in ((more, many), (less, due)))
    _write_row(f"{due:,} due", of_many, of_few, f"{more / less:.2f} of it", "", "1")
    sys.stdout.write(
        f"\n{os.cpu_count()} cores, load {busy:.1f} at the start; Python {platform.python_version()}, SQLite "
        f"{sqlite3.sqlite_version} on disk; reader {version('reader')}; {count:,} feeds, {workers} workers; the server "
        f"is a process of its own.\n"
    )


def _write_row(*cells: str) -> None:
    widths = (26, 36, 36, 11, 8, 0)
    line = "".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    sys.stdout.write(f"{line}\n")


def _told(cost: Cost) -> str:
    return f"{1 / cost.wall:,.0f} /s, {cost.cpu * 1000:.2f} s CPU per 1,000"


if __name__ == "__main__":
    if sys.argv[1:]:
        sys.stdout.write(json.dumps(measured(sys.argv[1], *map(int, sys.argv[2:]))))
    else:
        main()
