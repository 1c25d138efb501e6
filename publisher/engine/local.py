"""Work in threads of this process.

The engine owns nothing: work that it loses with its process is found again in the store by the next sweep.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from publisher.engine.desk import Desk, Job
from publisher.errors import PublisherError
from publisher.model import Done, Later, Never, Outcome, Paged, Step, Work

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
        do: does a work.
        tell: hears what became of it.
        workers: how many threads a step has.
        pause: seconds between two works of a lane.
        paged: the steps that are begun and ended for several works at a time, by name; the others are for ``do``.
    """

    def __init__(
        self,
        do: Step,
        tell: Callable[[Report], None],
        workers: int = 8,
        pause: float = 0.5,
        paged: Mapping[str, Paged[Any, Any]] | None = None,
    ) -> None:
        self._work = do
        self._tell = tell
        self._pause = pause
        self._workers = workers
        self._paged = paged or {}
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._desks: dict[str, Desk] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._underway: set[tuple[str, str]] = set()
        self._again: set[tuple[str, str]] = set()
        """What was asked for while it was underway."""
        self._lanes: dict[str, deque[Job]] = {}
        """What waits in each lane of which a work is being done."""
        self._rested: dict[str, float] = {}
        """From when on a lane that was left a moment ago may be taken up again."""

    def submit(self, work: Work) -> Future[Report] | None:
        """Do it soon; None when the same is being done, or the engine is closing."""
        key, job = (work.step, work.subject), Job(work)
        with self._lock:
            if self._closing.is_set():
                return None
            if key in self._underway:
                self._again.add(key)
                return None
            self._underway.add(key)
            if work.lane in self._lanes:
                self._lanes[work.lane].append(job)
                return job.future
            if work.lane:
                self._lanes[work.lane] = deque()
            self._open(work.step)
            self._start(job)
        return job.future

    def run(self, works: Iterable[Work]) -> list[Report]:
        """Do all of these and wait for them; reports in the order of the works."""
        futures = [future for work in works if (future := self.submit(work))]
        return [future.result() for future in futures]

    def close(self) -> None:
        """Start nothing more, and wait for what is underway.  Nothing is lost: the store still says what is due."""
        with self._lock:
            self._closing.set()
        for desk in self._desks.values():
            desk.close()
        for pool in self._pools.values():
            pool.shutdown(wait=True)
        for job in chain.from_iterable(self._lanes.values()):
            job.future.cancel()

    def _open(self, step: str) -> None:
        """Make what a step needs, when its first work comes."""
        if step in self._paged:
            if step not in self._desks:
                self._desks[step] = Desk(
                    self._paged[step], self._workers, perform=self._perform, idle=self._idle, told=self._told
                )
        elif step not in self._pools:
            self._pools[step] = ThreadPoolExecutor(self._workers, thread_name_prefix=step)

    def _start(self, job: Job) -> None:
        if desk := self._desks.get(job.work.step):
            desk.put(job)
        else:
            self._pools[job.work.step].submit(self._serve, job)

    def _serve(self, job: Job) -> None:
        """Do a work from its beginning to its end, and then what waits in its lane."""
        following: Job | None = job
        while following:
            self._rest(following.work.lane)
            if self._closing.is_set():
                following.future.cancel()
                return
            self._told(following, _tried(self._work, following.work))
            following = self._next(job.work.lane)

    def _perform(self, job: Job) -> None:
        """Perform what has begun, let begin what waits in its lane, and let it end."""
        self._rest(job.work.lane)
        job.performed = _tried(self._paged[job.work.step].perform, job.task)
        self._leave(job.work.lane)
        self._start(job)

    def _idle(self, job: Job, result: Outcome | Exception) -> None:
        """Tell of what began with nothing to perform, and let begin what waits in its lane."""
        self._leave(job.work.lane)
        self._told(job, result)

    def _leave(self, lane: str) -> None:
        if following := self._next(lane):
            self._start(following)

    def _rest(self, lane: str) -> None:
        self._closing.wait(self._rested.get(lane, 0) - time.monotonic())

    def _next(self, lane: str) -> Job | None:
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

    def _told(self, job: Job, result: Outcome | Exception) -> None:
        """Tell what became of a work, and let the same be done again."""
        key = (job.work.step, job.work.subject)
        with self._lock:
            self._underway.discard(key)
            again = key in self._again
            self._again.discard(key)
        report = replace(_report(job.work, result), again=again)
        with contextlib.suppress(Exception):  # who cannot be told holds up nobody
            self._tell(report)
        job.future.set_result(report)


def _tried(action: Callable[[Any], Any], thing: Any) -> Any:
    try:
        return action(thing)
    except Exception as error:
        return error


def _report(work: Work, result: Outcome | Exception) -> Report:
    if isinstance(result, PublisherError):
        return Report(work, Later(result.words))
    if isinstance(result, Exception):  # a fault of ours: told with its traceback, and the house stands
        return Report(work, Never(f"unexpected {type(result).__name__}: {result}"), result)
    return Report(work, result)
