"""How long the house takes for many readers; prints a table.

``BENCH_LINES`` says how many lines a list has that is imported (100,000; a million shows how it grows).  Each part is a
function that gets a folder of its own and yields lines; ``PARTS`` names them.
"""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

Part = Callable[[Path], Iterator[str]]


def lists(folder: Path) -> Iterator[str]:
    """A list is imported, imported once more, and exported; in a process of its own."""
    words = [sys.executable, "-m", "bench.lists", str(folder), os.environ.get("BENCH_LINES", "100000")]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 (our own words)
    yield from done.stdout.splitlines()


PARTS: tuple[Part, ...] = (lists,)


def main() -> None:
    """Measure and print."""
    busy = os.getloadavg()[0]
    for part in PARTS:
        with tempfile.TemporaryDirectory() as folder:
            for line in part(Path(folder)):
                sys.stdout.write(f"{line}\n")
    sys.stdout.write(
        f"\n{os.cpu_count()} cores, load {busy:.1f} at the start; Python {platform.python_version()}, SQLite "
        f"{sqlite3.sqlite_version} on disk, synchronous=FULL.\n"
    )


if __name__ == "__main__":
    main()
