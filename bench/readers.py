"""How long the house takes for many readers; prints a table.

``BENCH_SUBSCRIBERS`` says how many there are (100,000; a million shows how it grows).  Each part is a function that
gets a folder of its own and yields lines; ``PARTS`` names them.
"""

from __future__ import annotations

import os
import platform
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from bench import house
from publisher.app import App, load
from publisher.model import Done

Part = Callable[[Path, int], Iterator[str]]

LANGUAGES = ("", "de", "fr", "es", "pt")
TOPICS = 10
GROUPS = len(LANGUAGES) * TOPICS

_CONFIG = """\
version: 1
site: {{title: Harbour News, url: 'https://news.example.org'}}
subscriptions: {{}}
sources: {{notes: {{kind: folder, path: notes/}}}}
publications:
  weekly:
    title: The Harbour Weekly
    topics: {{{topics}}}
    digest: {{schedule: 'mon 08:00', first_issue: 520w}}
    deliver: [outbox]
"""
# The primes keep languages, topics and hosts from going round together.
_SUBSCRIBERS = """\
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)
INSERT INTO subscribers (id, key, address, name, language, timezone, links, created)
SELECT i, address, address, 'Reader ' || i, CASE i % 5 {languages} END, '', 0, 0
FROM (
  SELECT i, 'reader' || (i * 7919 % 1000003) || '.' || i || '@host' || (i % 997) || '.example.org' AS address FROM n
)
"""
_SUBSCRIPTIONS = """\
INSERT INTO subscriptions (subscriber, publication, state, frequency, topics)
SELECT id, 'weekly', 'active', '', CASE id / 5 % 10 WHEN 0 THEN '' ELSE 'topic' || (id / 5 % 10) END FROM subscribers
"""


def composition(folder: Path, count: int) -> Iterator[str]:
    """An issue is composed for so many subscribers in fifty groups: until each has a delivery on the disk."""
    with closing(App(load(_furnished(folder), {})).ready()) as app:
        _fill(folder / "data/publisher.db", count)
        for work in app.due("collect"):
            app.do(work)
        [work] = app.due("compose")
        before, began = _peak(), time.perf_counter()
        outcome = app.do(work)
        seconds = time.perf_counter() - began
        with app.store.read() as tx:
            planned = sum(tx.deliveries.by_state().values())
    if not isinstance(outcome, Done) or planned != count:
        raise SystemExit(f"{planned:,} deliveries: {outcome}")
    yield f"composition  {count:>9,} subscribers  {GROUPS} groups  {seconds:6.1f} s  {count / seconds:>9,.0f} rows/s"
    yield f"peak memory  {_peak():>9,.0f} MB           {before:,.0f} MB before"


PARTS: tuple[Part, ...] = (composition,)


def _furnished(folder: Path) -> Path:
    """A configuration with ten topics, of which each holds another note."""
    topics = ", ".join(f"topic{number}: {{title: Topic {number}, tags: [tag{number}]}}" for number in range(1, TOPICS))
    file = house.furnish(folder, "{kind: folder, path: out}")
    file.write_text(_CONFIG.format(topics=topics))
    for number in range(1, TOPICS):
        note = folder / "notes" / f"{number}.md"
        note.write_text(note.read_text().replace("---\n", f"---\ntags: [tag{number}]\n", 1))
    return file


def _fill(database: Path, count: int) -> None:
    """Put subscribers in past the house, whose doors are not what is measured here."""
    languages = " ".join(f"WHEN {number} THEN '{language}'" for number, language in enumerate(LANGUAGES))
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(_SUBSCRIBERS.format(languages=languages), {"count": count})
        connection.execute(_SUBSCRIPTIONS)
        connection.commit()


def _peak() -> float:
    """The most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure and print."""
    count = int(os.environ.get("BENCH_SUBSCRIBERS", "100000"))
    busy = os.getloadavg()[0]
    for part in PARTS:
        with tempfile.TemporaryDirectory() as folder:
            for line in part(Path(folder), count):
                sys.stdout.write(f"{line}\n")
    sys.stdout.write(
        f"\n{os.cpu_count()} cores, load {busy:.1f} at the start; Python {platform.python_version()}, SQLite "
        f"{sqlite3.sqlite_version} on disk, synchronous=FULL.\n"
    )


if __name__ == "__main__":
    main()
