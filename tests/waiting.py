"""Waiting for what must happen: as long as the slowest machine may need, and no longer than it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

PATIENCE = 60
"""Seconds: what has not happened by then is stuck, however busy the machine is."""

T = TypeVar("T")


def wait_for(happened: Callable[[], T], seconds: float = PATIENCE) -> T:
    """Wait until something has happened; returns what it is."""
    __tracebackhide__ = True  # the line that waits says for what
    ends = time.monotonic() + seconds
    while True:
        late = time.monotonic() >= ends  # asked before, so that a process that was held up looks once more
        if found := happened():
            return found
        assert not late, f"it has not happened within {seconds:g} s"
        time.sleep(0.02)


@contextmanager
def done_in(seconds: float) -> Iterator[None]:
    """The block takes no more processor time than that; on a slow machine, no more than five times as much.

    What is bounded so would take minutes if it were not.
    """
    began = time.process_time()
    yield
    took = time.process_time() - began
    assert took < 5 * seconds, f"it took {took:.1f} s of processor time, and was to take {seconds:g} s at most"
