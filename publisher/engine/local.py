"""Work in threads of this process.

The engine owns nothing: work that it loses with its process is found again in the store by the next sweep.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from publisher.errors import PublisherError
from publisher.model import Done, Later, Never, Outcome, Step, Work


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a work."""

    work: Work
    outcome: Outcome
    fault: Exception | None = None
    """What was raised, where it is a fault of ours and its traceback is wanted."""

    @property
    def well(self) -> bool:
        """Whether there is nothing that an operator should look at."""
        return isinstance(self.outcome, Done)

    @property
    def changed(self) -> bool:
        """Whether anything is different now."""
        return isinstance(self.outcome, Done) and self.outcome.changed

    @property
    def words(self) -> str:
        """The result in a line."""
        return self.outcome.detail if isinstance(self.outcome, Done) else self.outcome.why


class Local:
    """A pool of threads; the same step is done to the same subject by one of them at a time."""

    def __init__(self, do: Step, tell: Callable[[Report], None], workers: int = 8) -> None:
        self._work = do
        self._tell = tell
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="work")
        self._lock = threading.Lock()
        self._underway: set[tuple[str, str]] = set()

    def submit(self, work: Work) -> Future[Report] | None:
        """Do it soon; None when the same is being done, or the engine is closing."""
        key = (work.step, work.subject)
        with self._lock:
            if key in self._underway:
                return None
            self._underway.add(key)
        try:
            return self._pool.submit(self._do, work)
        except RuntimeError:  # the pool is shut: nothing is lost, the store still says that this is due
            with self._lock:
                self._underway.discard(key)
            return None

    def run(self, works: Iterable[Work]) -> list[Report]:
        """Do all of these and wait for them; reports in the order of the works."""
        futures = [future for work in works if (future := self.submit(work))]
        return [future.result() for future in futures]

    def close(self) -> None:
        """Start nothing more, and wait for what is underway."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _do(self, work: Work) -> Report:
        try:
            report = self._report(work)
        finally:
            with self._lock:
                self._underway.discard((work.step, work.subject))
        self._tell(report)
        return report

    def _report(self, work: Work) -> Report:
        try:
            return Report(work, self._work(work))
        except PublisherError as error:
            return Report(work, Later(error.words))
        except Exception as error:  # a fault of ours: told with its traceback, and the house stands
            return Report(work, Never(f"unexpected {type(error).__name__}: {error}"), error)
