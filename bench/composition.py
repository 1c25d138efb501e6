"""How long it takes to compose an issue for many subscribers in fifty groups: until each has a delivery on the disk.

Run as ``python -m bench.composition FOLDER SUBSCRIBERS``, so that its memory is its own.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

from bench import house
from publisher.app import App, load
from publisher.model import Done

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


def main(folder: Path, count: int) -> None:
    """Measure and print."""
    with closing(App(load(_furnished(folder), {})).ready()) as app:
        _fill(folder / "data/publisher.db", count)
        for work in app.due("collect"):
            app.do(work)
        [work] = app.due("compose")
        before, began = house.peak(), time.perf_counter()
        outcome = app.do(work)
        seconds = time.perf_counter() - began
        with app.store.read() as tx:
            planned = sum(tx.deliveries.by_state().values())
    if not isinstance(outcome, Done) or planned != count:
        raise SystemExit(f"{planned:,} deliveries: {outcome}")
    sys.stdout.write(
        f"composition, {count:,} subscribers in {GROUPS} groups  {seconds:.1f} s, {count / seconds:,.0f} /s, "
        f"{house.peak():,.0f} MB at most ({before:,.0f} MB before)\n"
    )


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


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
