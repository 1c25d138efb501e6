"""The disk is full at random moments of sending: nothing is lost, and a verdict that could not be written costs one
repeat for each connection at most."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from chaos_house import CONNECTIONS, KILLS, Sending

TIMES = max(1, KILLS // 40)
PATIENCE = 5
"""Seconds for which the ledger keeps a verdict in mind."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of sixteen megabytes, where we may make one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", disk], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("only root can mount a small file system")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def fill(disk: Path) -> None:
    """Leave no room at all."""
    with (disk / "filler").open("wb", buffering=0) as filler:
        for size in (65_536, 4096, 1):
            with suppress(OSError):
                while filler.write(b"x" * size):
                    pass


def make_room(disk: Path) -> None:
    (disk / "filler").unlink()


@pytest.mark.timeout(300 + TIMES * 60)
def test_a_full_disk_loses_nothing_and_repeats_one_message_for_each_connection_at_most(
    start_sending: Callable[..., Sending], small_disk: Path
) -> None:
    """For a moment, verdicts wait for room; for longer, the work ends, and is done again when there is room."""
    sending = start_sending(folder=small_disk)
    known = 0
    for long in [False, True] * TIMES:
        sending.plan(300)
        sending.store.close()  # SQLite's log begins anew with the next process, and grows from the start
        process = sending.start("deliver")
        wanted = len(sending.relay.taken) + sending.chance.randrange(1, 100)
        sending.relay.wait(partial(sending.has_taken, wanted))
        fill(small_disk)
        if long:
            assert process.wait() == 1
        else:
            time.sleep(sending.chance.uniform(0.2, PATIENCE / 3))
        make_room(small_disk)
        _ = long or process.wait()
        assert sending.command("deliver") == 0
        repeats = sending.repeats().total()
        assert repeats - known <= (CONNECTIONS if long else 0)
        known = repeats
    sending.tell("the disk full", times=2 * TIMES)
    sending.assert_all_arrived()
