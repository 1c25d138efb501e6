"""Writes of many threads in one transaction: the disk is asked once for all that came meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Generic, TypeVar

from publisher.errors import StoreError

T = TypeVar("T")
Tx = TypeVar("Tx")


class _Wish(Generic[Tx]):
    """What one thread wants to write, and what became of it."""

    def __init__(self, action: Callable[[Tx], Any]) -> None:
        self.action = action
        self.result: Any = None
        self.error: Exception | None = StoreError("nothing was written: who was to write it was stopped")


class _Page(Generic[Tx]):
    """Wishes that are fulfilled together."""

    def __init__(self, lock: threading.Lock) -> None:
        self.wishes: list[_Wish[Tx]] = []
        self.done = False
        self.turn = threading.Condition(lock)
        """Tells those who stand on it that it is committed, or one of them to commit it."""


class Together(Generic[Tx]):
    """Writes for several threads at a time.  Whoever comes while a page is being written stands on the next one.

    Args:
        write: opens a transaction that is committed at the end, or rolled back by an exception.
    """

    def __init__(self, write: Callable[[], AbstractContextManager[Tx]]) -> None:
        self._open = write
        self._lock = threading.Lock()
        self._busy = False
        self._page = _Page[Tx](self._lock)

    def write(self, action: Callable[[Tx], T]) -> T:
        """Returns what the action does when it is committed; raises what it raises, and then nothing of it is kept."""
        wish = _Wish(action)
        with self._lock:
            page = self._page
            page.wishes.append(wish)
            while self._busy and not page.done:
                page.turn.wait()
            if not page.done:  # nobody is writing: it is for us to write this page, and a new one begins
                self._busy, self._page = True, _Page(self._lock)
        if not page.done:
            try:
                self._write(page.wishes)
            finally:
                with self._lock:
                    self._busy, page.done = False, True
                    page.turn.notify_all()
                    self._page.turn.notify()
        if wish.error:
            raise wish.error
        result: T = wish.result
        return result

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
        with self._open() as tx:
            results = [wish.action(tx) for wish in wishes]
        for wish, result in zip(wishes, results, strict=True):
            wish.result, wish.error = result, None
