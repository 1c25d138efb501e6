"""How fast a channel may go: so many in so long, over all, by one way, and to one domain."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping

from publisher.options import Rate

_LENIENCE = 0.1
"""Seconds by which a turn may come early when the one before came late: nobody is woken at the exact moment."""


class Pace:
    """Gives turns, evenly spaced (the generic cell rate algorithm, ITU-T I.371 annex A).  Threads may share it.

    It never gives more turns than a rate allows in its time, and one besides.

    Args:
        rates: by name; a name without a rate has a turn at any time.
    """

    def __init__(self, rates: Mapping[str, Rate]) -> None:
        self._pauses = {name: rate.pause for name, rate in rates.items()}
        self._next: dict[str, float] = {}
        self._lock = threading.Lock()

    def limits(self, name: str) -> bool:
        """Whether there is a rate of that name."""
        return name in self._pauses

    def take(self, names: Collection[str], now: float) -> float:
        """Take a turn of all of them where they have one, and return 0; else the seconds until they all have one.

        Args:
            now: from a steady clock.
        """
        with self._lock:
            wait = max(0.0, *(self._next.get(name, 0) - now for name in names), 0.0)
            if not wait:
                for name in names:
                    if pause := self._pauses.get(name):
                        self._next[name] = max(self._next.get(name, 0), now - min(pause, _LENIENCE)) + pause
            return wait
