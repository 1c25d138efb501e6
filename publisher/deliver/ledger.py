"""What connections have to say, committed together: the disk is asked once for all that came meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from threading import Event

from publisher.errors import StoreError
from publisher.model import Clock
from publisher.store import Settled, Store, Suppression, Tx

_PATIENCE = 5.0
"""Seconds for which a verdict is kept in mind while the store cannot take it: to forget it would double a message."""
_PAUSE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What one connection has to say."""

    settled: Settled | None = None
    launched: int = 0
    """A delivery whose last byte may leave once this is committed."""
    finished: int = 0
    """An issue of which nothing is left in hand."""
    paused: tuple[int, str] | None = None
    """An issue, and why none of its deliveries is taken now."""
    suppressed: Suppression | None = None


class _Page:
    """Notes that are committed together."""

    def __init__(self, lock: threading.Lock) -> None:
        self.notes: list[Note] = []
        self.done = False
        self.error: Exception | None = None
        self.turn = threading.Condition(lock)
        """Tells those who stand on it that it is committed, or one of them to commit it."""


class Ledger:
    """Commits notes.  Whoever comes while a page is being written stands on the next one.

    Args:
        stop: set from outside, it ends the waiting for a store that cannot be written.
    """

    def __init__(self, store: Store, clock: Clock, stop: Event) -> None:
        self._store, self._clock, self._stop = store, clock, stop
        self._lock = threading.Lock()
        self._busy = False
        self._page = _Page(self._lock)

    def write(self, notes: Iterable[Note]) -> None:
        """Returns when the notes are committed.

        Raises:
            StoreError: the store could not be written for seconds, or until we were stopped.
        """
        with self._lock:
            page = self._page
            page.notes += notes
            while self._busy and not page.done:
                page.turn.wait()
            if not page.done:  # nobody is writing: it is for us to write this page, and a new one begins
                self._busy, self._page = True, _Page(self._lock)
        if not page.done:
            self._commit(page)
            with self._lock:
                self._busy = False
                page.turn.notify_all()
                self._page.turn.notify()  # nobody else: to wake a thread for nothing costs as much as a verdict
        if page.error:
            raise page.error

    def _commit(self, page: _Page) -> None:
        ends = time.monotonic() + _PATIENCE
        try:
            while True:
                try:
                    return self._write(page.notes)
                except StoreError:
                    if self._stop.is_set() or time.monotonic() > ends:
                        raise
                    self._stop.wait(_PAUSE)
        except Exception as error:  # it is told to each connection that waits for this page
            page.error = error
        finally:
            page.done = True

    def _write(self, notes: Sequence[Note]) -> None:
        with self._store.write() as tx:
            _put(tx, notes, self._clock)


def _put(tx: Tx, notes: Sequence[Note], clock: Clock) -> None:
    if settled := [note.settled for note in notes if note.settled]:
        tx.deliveries.settle(settled)
    if launched := [note.launched for note in notes if note.launched]:
        tx.deliveries.launch(launched)
    for entry in filter(None, (note.suppressed for note in notes)):
        tx.suppressions.add(entry)
    for issue, why in filter(None, (note.paused for note in notes)):
        tx.issues.pause(issue, why)
    for issue in {note.finished for note in notes if note.finished}:
        tx.issues.finish(issue, clock())
