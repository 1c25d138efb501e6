"""Work in threads of this process.

The engine owns nothing: work that it loses with its process is found again in the store by the next sweep.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from publisher.errors import PublisherError
from publisher.model import Done, Later, Never, Outcome, Step, Work

_MANY_LANES = 1000


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a work."""

    work: Work
    outcome: Outcome
    fault: Exception | None = None
    """What was raised, where it is a fault of ours and its traceback is wanted."""
    again: bool = False
    """The same was asked for while it was underway: perhaps it came too late to be a part of it."""

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
    """Threads, for each step its own; the same step is done to the same subject by one of them at a time.

    What has just arrived is published while slow sites are visited and slow relays are delivered to.  Works of one lane
    are done one after the other, in the order in which they came.

    Args:
        workers: how many threads a step has.
        pause: seconds between two works of a lane.
    """

    def __init__(self, do: Step, tell: Callable[[Report], None], workers: int = 8, pause: float = 0.5) -> None:
        self._work = do
        self._tell = tell
        self._pause = pause
        self._workers = workers
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._underway: set[tuple[str, str]] = set()
        self._again: set[tuple[str, str]] = set()
        """What was asked for while it was underway."""
        self._lanes: dict[str, deque[tuple[Work, Future[Report]]]] = {}
        """What waits in each lane that a thread is at work on."""
        self._rested: dict[str, float] = {}
        """From when on a lane that was left a moment ago may be taken up again."""

    def submit(self, work: Work) -> Future[Report] | None:
        """Do it soon; None when the same is being done, or the engine is closing."""
        key, future = (work.step, work.subject), Future[Report]()
        with self._lock:
            if self._closing.is_set():
                return None
            if key in self._underway:
                self._again.add(key)
                return None
            self._underway.add(key)
            if work.lane in self._lanes:
                self._lanes[work.lane].append((work, future))
                return future
            if work.lane:
                self._lanes[work.lane] = deque()
            if work.step not in self._pools:
                self._pools[work.step] = ThreadPoolExecutor(self._workers, thread_name_prefix=work.step)
            self._pools[work.step].submit(self._serve, work, future)
        return future

    def run(self, works: Iterable[Work]) -> list[Report]:
        """Do all of these and wait for them; reports in the order of the works."""
        futures = [future for work in works if (future := self.submit(work))]
        return [future.result() for future in futures]

    def close(self) -> None:
        """Start nothing more, and wait for what is underway.  Nothing is lost: the store still says what is due."""
        with self._lock:
            self._closing.set()
        for pool in self._pools.values():
            pool.shutdown(wait=True)

    def _serve(self, work: Work, future: Future[Report]) -> None:
        """Do a work, and then what waits in its lane."""
        following: tuple[Work, Future[Report]] | None = (work, future)
        while following:
            self._closing.wait(self._rested.get(work.lane, 0) - time.monotonic())
            self._do(*following)
            following = self._next(work.lane)

    def _next(self, lane: str) -> tuple[Work, Future[Report]] | None:
        if not lane:
            return None
        with self._lock:
            now = time.monotonic()
            if len(self._rested) > _MANY_LANES:
                self._rested = {name: until for name, until in self._rested.items() if until > now}
            self._rested[lane] = now + self._pause
            if self._lanes[lane]:
                return self._lanes[lane].popleft()
            del self._lanes[lane]
            return None

    def _do(self, work: Work, future: Future[Report]) -> None:
        if self._closing.is_set():
            future.cancel()
            return
        try:
            report = self._report(work)
        finally:
            with self._lock:
                self._underway.discard((work.step, work.subject))
                again = (work.step, work.subject) in self._again
                self._again.discard((work.step, work.subject))
        report = replace(report, again=again)
        try:
            self._tell(report)
        finally:
            future.set_result(report)

    def _report(self, work: Work) -> Report:
        try:
            return Report(work, self._work(work))
        except PublisherError as error:
            return Report(work, Later(error.words))
        except Exception as error:  # a fault of ours: told with its traceback, and the house stands
            return Report(work, Never(f"unexpected {type(error).__name__}: {error}"), error)
