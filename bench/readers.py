"""How long the house takes for many readers; prints a table.

``BENCH_LINES`` says how many lines a list has that is imported, ``BENCH_SUBSCRIBERS`` for how many an issue is composed
(100,000 each; a million shows how it grows).  Each part is a process with a folder of its own.
"""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
import sys
import tempfile

PARTS = {"bench.lists": "BENCH_LINES", "bench.composition": "BENCH_SUBSCRIBERS"}
"""The modules that measure, and what says how many."""


def main() -> None:
    """Measure and print."""
    busy = os.getloadavg()[0]
    for part, count in PARTS.items():
        with tempfile.TemporaryDirectory() as folder:
            words = [sys.executable, "-m", part, folder, os.environ.get(count, "100000")]
            subprocess.run(words, check=True)  # noqa: S603 (our own words)
    sys.stdout.write(
        f"\n{os.cpu_count()} cores, load {busy:.1f} at the start; Python {platform.python_version()}, SQLite "
        f"{sqlite3.sqlite_version} on disk, synchronous=FULL.\n"
    )


if __name__ == "__main__":
    main()
