"""Works that are begun, and ended, several at a time: those of a ``Paged`` step."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from publisher.errors import PublisherError
from publisher.model import Outcome, Paged, Work

T = TypeVar("T")

_AHEAD = 2
"""For each thread so many works may have begun that have not ended: so none of them has to wait for the next."""


@dataclass(slots=True)
class Job:
    """A work on its way through a step."""

    work: Work
    future: Future[Any] = field(default_factory=Future)
    task: Any = None
    """What is to be performed, where the step is paged and the work has begun."""
    performed: Any = None


class Desk:
    """Begins and ends the works of a step, in a thread of its own: all that came while it was at others at once.

    Args:
        workers: how many threads perform what has begun.
        perform: performs a job, and puts it here again.
        idle: hears of a job of which there is nothing to perform.
        told: hears what became of one that was performed.
    """

    def __init__(
        self,
        step: Paged[Any, Any],
        workers: int,
        *,
        perform: Callable[[Job], None],
        idle: Callable[[Job, Outcome | Exception], None],
        told: Callable[[Job, Outcome | Exception], None],
    ) -> None:
        self._step = step
        self._most = workers
        self._perform = perform
        self._idle = idle
        self._told = told
        self._came = SimpleQueue[Job | None]()
        self._waiting: deque[Job] = deque()
        self._begun = SimpleQueue[Job | None]()
        self._open = 0
        """How many have begun that have not ended."""
        self._workers: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._serve, name="desk", daemon=True)
        self._thread.start()

    def put(self, job: Job) -> None:
        """Let it begin; or end, where it was performed."""
        self._came.put(job)

    def close(self) -> None:
        """Let nothing begin any more, and wait until all that is being performed has ended."""
        self._came.put(None)
        self._thread.join()
        for _ in self._workers:
            self._begun.put(None)
        for worker in self._workers:
            worker.join()

    def _work(self) -> None:
        while job := self._begun.get():
            self._perform(job)

    def _serve(self) -> None:
        closing = False
        while not closing or self._open:
            came = [self._came.get(), *_all(self._came)]
            closing = closing or None in came
            jobs = [job for job in came if job]
            self._waiting += [job for job in jobs if job.task is None]
            self._end([job for job in jobs if job.task is not None])
            if closing:
                self._cancel()
            else:
                self._begin()

    def _begin(self) -> None:
        room = _AHEAD * self._most - self._open
        jobs = [self._waiting.popleft() for _ in range(min(len(self._waiting), room))]
        for job, begun in zip(jobs, _each(self._step.begin, [job.work for job in jobs]), strict=True):
            if isinstance(begun, Outcome | Exception):
                self._idle(job, begun)
            else:
                job.task = begun
                self._open += 1
                self._begun.put(job)
                if len(self._workers) < min(self._open, self._most):
                    self._workers.append(threading.Thread(target=self._work, name="worker", daemon=True))
                    self._workers[-1].start()

    def _end(self, jobs: Sequence[Job]) -> None:
        self._open -= len(jobs)
        for job in jobs:
            if isinstance(job.performed, Exception):
                self._told(job, job.performed)
        jobs = [job for job in jobs if not isinstance(job.performed, Exception)]
        for job, result in zip(jobs, _each(self._step.end, [job.performed for job in jobs]), strict=True):
            self._told(job, result)

    def _cancel(self) -> None:
        """Give back what nobody performs yet."""
        idle = list(filter(None, _all(self._begun)))
        self._open -= len(idle)
        if idle:
            with contextlib.suppress(PublisherError):  # the store is away: it is ours until this process ends
                self._step.undo([job.task for job in idle])
        for job in (*idle, *self._waiting):
            job.future.cancel()
        self._waiting.clear()


def _all(queue: SimpleQueue[T]) -> Iterator[T]:
    """What is in it now."""
    with contextlib.suppress(Empty):
        while True:
            yield queue.get_nowait()


def _each(action: Callable[[Sequence[Any]], Sequence[Any]], things: Sequence[Any]) -> Sequence[Any]:
    """What the action gives for each thing, or the exception that it raises for it."""
    if not things:
        return []
    try:
        return action(things)
    except Exception as error:
        if len(things) == 1:
            return [error]
    # One of them is at fault, and the others shall not suffer for it.
    return [result for thing in things for result in _each(action, [thing])]
