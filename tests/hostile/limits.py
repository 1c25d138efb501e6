"""What a process has left: room on a disk, and memory."""

from __future__ import annotations

import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    """To this process the disk is full for every file that would grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class Growth:
    """How many bytes of memory this process took at its peak, beyond what it had at the start; none without /proc."""

    def __init__(self) -> None:
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # proc(5): the peak is counted anew
        self._start = _status("VmRSS")

    def peak(self) -> int:
        return _status("VmHWM") - self._start


def _status(name: str) -> int:
    status = Path("/proc/self/status")
    line = re.search(rf"^{name}:\s+(\d+) kB$", status.read_text() if status.exists() else "", re.MULTILINE)
    return int(line[1]) * 1024 if line else 0
