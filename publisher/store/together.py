"""Writes of many threads in one transaction: the disk is asked once for all that came meanwhile.

And so is the database: what is to be done with several things of one kind is told all of them at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Generic, TypeVar

from publisher.errors import StoreError

T = TypeVar("T")
Thing = TypeVar("Thing")
Tx = TypeVar("Tx")


class _Wish(Generic[Tx]):
    """What one thread wants to write, and what became of it."""

    def __init__(self, action: Callable[[Tx, Sequence[Any]], Sequence[Any]], thing: Any) -> None:
        self.action, self.thing = action, thing
        self.result: Any = None
        self.error: Exception | None = StoreError("nothing was written: who was to write it was stopped")
        self.leads = False
        """It is for the one whose wish it is to write, for all who wait."""
        self.wake = threading.Lock()
        """Held until it is fulfilled, or leads: each wakes alone, with nobody in the way."""
        self.wake.acquire()


class Together(Generic[Tx]):
    """Writes for several threads at a time.  Whoever comes while others write is written for together with the next.

    Args:
        write: opens a transaction that is committed at the end, or rolled back by an exception.
    """

    def __init__(self, write: Callable[[], AbstractContextManager[Tx]]) -> None:
        self._open = write
        self._lock = threading.Lock()
        self._busy = False
        self._waiting: list[_Wish[Tx]] = []

    def write(self, action: Callable[[Tx, Sequence[Thing]], Sequence[T]], thing: Thing) -> T:
        """Returns what the action gives for this thing, when it is committed; raises what it raises, and then nothing
        of it is kept.

        Args:
            action: is given this thing, and those of others that came for the same at the same moment.
        """
        wish = _Wish(action, thing)
        with self._lock:
            self._waiting.append(wish)
            wish.leads, self._busy = not self._busy, True
        if not wish.leads:
            wish.wake.acquire()
        if wish.leads:
            self._lead()
        if wish.error:
            raise wish.error
        result: T = wish.result
        return result

    def _lead(self) -> None:
        """Write for all who wait, and let one of those who came meanwhile go on."""
        with self._lock:
            wishes, self._waiting = self._waiting, []
        try:
            self._write(wishes)
        finally:
            with self._lock:
                self._busy = bool(self._waiting)
                if self._busy:
                    self._waiting[0].leads = True
                    self._waiting[0].wake.release()
            for wish in wishes[1:]:  # the first is who leads
                wish.wake.release()

    def _write(self, wishes: Sequence[_Wish[Tx]]) -> None:
        try:
            self._fulfil(wishes)
        except Exception as error:
            if len(wishes) == 1:
                wishes[0].error = error
                return
            for wish in wishes:  # one of them is at fault, and the others shall not suffer for it
                self._write([wish])

    def _fulfil(self, wishes: Sequence[_Wish[Tx]]) -> None:
        alike: dict[Callable[[Tx, Sequence[Any]], Sequence[Any]], list[_Wish[Tx]]] = {}
        for wish in wishes:
            alike.setdefault(wish.action, []).append(wish)
        with self._open() as tx:
            results = [action(tx, [wish.thing for wish in its]) for action, its in alike.items()]
        for its, told in zip(alike.values(), results, strict=True):
            for wish, result in zip(its, told, strict=True):
                wish.result, wish.error = result, None
