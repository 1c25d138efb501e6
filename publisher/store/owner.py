"""Who holds a lease: the name of a process, told apart from a later process that was given the same number."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

_IMPORTED = str(time.time_ns())


def this_process() -> str:
    """The name of this process: ``host:pid:start``."""
    return f"{socket.gethostname()}:{os.getpid()}:{_start(os.getpid()) or _IMPORTED}"


def dead(owners: Collection[str]) -> set[str]:
    """Those owners that are processes of this host and are no more.

    Processes of other hosts, and names that are not of the form of ``this_process``, are never counted dead: their
    leases have to run out.  Hosts (containers too) that share a store must have different host names.
    """
    return {owner for owner in owners if _is_dead(owner)}


def _is_dead(owner: str) -> bool:
    host, _, process = owner.partition(":")
    pid, _, start = process.partition(":")
    if host != socket.gethostname() or not pid.isdecimal() or not start:
        return False
    return not _runs(int(pid)) or _start(int(pid)) not in ("", start)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return _stat(pid)[:1] != ["Z"]


def _start(pid: int) -> str:
    """The boot and the tick at which a process started (proc(5), field 22 of ``stat``); empty where nothing tells."""
    with suppress(OSError, IndexError):
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text()[:8]}.{_stat(pid)[19]}"
    return ""


def _stat(pid: int) -> list[str]:
    """What follows the command's name in ``/proc/<pid>/stat``: the state comes first."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    return []
