"""Run a function on hostile input where it can do no harm: in a child process, under limits.

A few kilobytes can keep a parser busy for minutes or make it ask for gigabytes, and neither can be stopped inside a
thread.  Children are started fresh (never forked from this process with its threads and open database), know nothing of
its environment, and are kept for the next call.

A child speaks with its parent over one socket, its standard input: jobs one way, answers the other, each a JSON text
after its length (eight bytes, big-endian).  It ends when the socket does.
"""

from __future__ import annotations

import base64
import json
import os
import queue
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

from publisher.errors import SourceError

_CHILDREN = 4
_PATIENCE = 3
"""A job may take this many times its processor time by the wall clock, on a busy machine."""
_LONGEST = 64_000_000
"""Bytes of a job or an answer."""
_BYTES = "publisher:bytes"
"""The one key of the object that stands for bytes."""
_GROWN = 250_000_000
"""Bytes of memory; a child that still holds more after its job is not kept."""
_KEPT = ("PATH", "LD_LIBRARY_PATH", "TZ")
"""What a child may know of our environment; the rest may hold secrets."""


def confined(function: str, *args: Any, cpu: timedelta = timedelta(seconds=10), memory: int = 1_000_000_000) -> Any:
    """Call a function in a child process.

    Safe from many threads; at most four calls run at once, others wait.

    Args:
        function: ``package.module:name``.
        args: what JSON can say, and bytes; the result likewise, at most 64 MB of it.
        cpu: processor time.
        memory: bytes of address space.

    Raises:
        SourceError: the function raised it (message and hint are kept), failed otherwise, or met a limit.
    """
    child = _slots.get()
    try:
        if child is None or not child.alive():
            child = _Child()
        return child.ask(_framed(function=function, args=args, cpu=cpu.total_seconds(), memory=memory), cpu)
    except OSError as error:
        raise SourceError(f"no process can be started to read it: {error}") from error
    finally:
        _slots.put(child)


# --- the parent's side -----------------------------------------------------------------------------------------------


class _Child:
    """A child process, waiting for jobs."""

    def __init__(self) -> None:
        self._channel, theirs = socket.socketpair()
        with theirs:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                [sys.executable, "-P", "-m", "publisher.confine"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,  # Ctrl-C is for the parent
            )

    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, job: bytes, cpu: timedelta) -> Any:
        """Have a job done; afterwards the child may have ended."""
        patience = _PATIENCE * cpu.total_seconds()
        ends = time.monotonic() + patience
        try:
            self._channel.settimeout(patience)
            self._channel.sendall(job)
            answer = _received(self._channel, ends)
        except TimeoutError:
            self._end()
            raise SourceError(f"took more than {patience:g} s to read") from None
        except (ValueError, RecursionError) as error:
            self._end()
            raise SourceError(f"cannot be read: {error}") from error
        except (OSError, EOFError) as error:
            raise SourceError(_obituary(self._end(), cpu)) from error
        except BaseException:
            self._end()
            raise
        if self._resident() > _GROWN:
            self._end()
        if "error" in answer:
            raise SourceError(answer["error"], hint=answer["hint"])
        return answer["result"]

    def _resident(self) -> int:
        """Bytes; 0 where there is no /proc to ask."""
        try:
            pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        except OSError:
            return 0
        return int(pages) * resource.getpagesize()

    def _end(self) -> int:
        """End it if it has not ended yet; its exit status, as subprocess says it."""
        self._channel.close()
        self._process.kill()
        return self._process.wait()


_slots: queue.LifoQueue[_Child | None] = queue.LifoQueue()
"""A child, or room for one; last in, first out, so that few are kept warm when few are needed."""
for _ in range(_CHILDREN):
    _slots.put(None)


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONUTF8": "1"}


def _obituary(status: int, cpu: timedelta) -> str:
    if status == -signal.SIGPROF:
        return f"took more than {cpu.total_seconds():g} s of processor time to read"
    if status < 0:
        return f"cannot be read: the process that tried was ended by {signal.Signals(-status).name}"
    return f"cannot be read: the process that tried ended with status {status}"


# --- the child's side ------------------------------------------------------------------------------------------------


def _serve() -> None:
    """Do jobs until the parent is gone."""
    with socket.socket(fileno=os.dup(0)) as parent:
        with Path(os.devnull).open() as nothing:
            os.dup2(nothing.fileno(), 0)  # else a job that reads its standard input reads the next job
        try:
            while True:
                parent.sendall(_answer(_received(parent)))
        except (EOFError, OSError):
            return


def _answer(job: Mapping[str, Any]) -> bytes:
    try:
        # Imported before the limits count: loading a library is our work, not the input's.
        module, _, name = job["function"].partition(":")
        function = getattr(import_module(module), name)
        with _limits(job["cpu"], job["memory"]):
            return _framed(result=function(*job["args"]))
    except SourceError as error:
        return _framed(error=str(error), hint=error.hint)
    except MemoryError:
        return _framed(error=f"needs more than {job['memory'] / 1e6:g} MB of memory to read", hint="")
    except Exception as error:
        return _framed(error=f"cannot be read: {error or type(error).__name__}", hint="")


@contextmanager
def _limits(cpu: float, memory: int) -> Iterator[None]:
    """End this process after so much processor time, and let no allocation pass so much memory.

    The timer and not RLIMIT_CPU, which counts in whole seconds.  Its signal has no handler and so ends the process at
    once, inside a C library too.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (memory if hard == resource.RLIM_INFINITY else min(memory, hard), hard))
    signal.setitimer(signal.ITIMER_PROF, cpu)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


# --- what travels ----------------------------------------------------------------------------------------------------


def _framed(**message: Any) -> bytes:
    text = json.dumps(message, default=_pack).encode()
    if len(text) > _LONGEST:
        raise SourceError(f"more than {_LONGEST // 1_000_000} MB to hand from one process to the other")
    return len(text).to_bytes(8) + text


def _received(channel: socket.socket, ends: float | None = None) -> dict[str, Any]:
    """The next message, complete before that moment of the monotonic clock.

    Raises:
        TimeoutError: it was not.
        EOFError: the other side is gone.
        ValueError: it is too long, or no JSON.
    """
    length = int.from_bytes(_exactly(channel, 8, ends))
    if length > _LONGEST:
        raise ValueError(f"a message of {length} bytes")
    message: dict[str, Any] = json.loads(_exactly(channel, length, ends), object_hook=_unpack)
    return message


def _exactly(channel: socket.socket, count: int, ends: float | None) -> bytes:
    received = bytearray()
    while len(received) < count:
        if ends is not None:
            channel.settimeout(max(ends - time.monotonic(), 1e-6))
        piece = channel.recv(min(count - len(received), 1_000_000))
        if not piece:
            raise EOFError
        received += piece
    return bytes(received)


def _pack(value: Any) -> dict[str, str]:
    if isinstance(value, bytes):
        return {_BYTES: base64.b64encode(value).decode()}
    raise TypeError(f"{type(value).__name__} cannot travel between processes")


def _unpack(value: dict[str, Any]) -> Any:
    return base64.b64decode(value[_BYTES]) if value.keys() == {_BYTES} else value


if __name__ == "__main__":
    _serve()
