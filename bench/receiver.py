"""The other end: a relay in a process of its own that takes mail, counts it and throws it away.

Postfix's ``smtp-sink`` where it is installed; else, and where a relay far away is played, the one below.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from types import TracebackType

SINK = shutil.which("smtp-sink", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


class Receiver:
    """A relay on loopback, there until the block ends.

    Args:
        delay: seconds after which it hears of what was said to it, as if it were that far away.

    Attributes:
        name: what it is, for the conditions.
    """

    def __init__(self, delay: float = 0) -> None:
        self.port = _free_port()
        self.name, command = _command(self.port, delay)
        self._told = os.memfd_create("told")  # nothing of it goes to the disk that our commits wait for
        self._process = subprocess.Popen(command, stdout=self._told)  # noqa: S603 (our own words)
        _wait_for(self.port)

    def __enter__(self) -> Receiver:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait()
        os.close(self._told)

    @property
    def url(self) -> str:
        """Its address, as a channel wants it."""
        return f"smtp://127.0.0.1:{self.port}"

    @property
    def taken(self) -> int:
        """How many messages it has taken."""
        size = os.fstat(self._told).st_size
        told = os.pread(self._told, 200, max(0, size - 200))
        return int(told.rpartition(b"mesg=")[2].split(b"\r")[0] or 0)


def _command(port: int, delay: float) -> tuple[str, list[str]]:
    if SINK and not delay:
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        return "Postfix's smtp-sink", [SINK, "-c", *user, f"127.0.0.1:{port}", "100"]
    return "the bench's own receiver", [sys.executable, "-m", "bench.receiver", str(port), str(delay)]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int) -> None:
    ends = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.01)
        else:
            return


# --- the bench's own -------------------------------------------------------------------------------------------------

_GREETING = b"220 bench\r\n"
_HELLO = b"250-bench\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
_ANSWERS = {b"EHLO": _HELLO, b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n"}
_ANSWER = b"250 fine\r\n"
_END = b"\r\n.\r\n"


class _Count:
    """Tells how many messages came, in the words of ``smtp-sink -c``, before the message is answered."""

    def __init__(self) -> None:
        self._count = 0
        self._lock = threading.Lock()

    def one_more(self) -> None:
        with self._lock:
            self._count += 1
            os.write(sys.stdout.fileno(), b"mesg=%d\r" % self._count)


class _Session:
    """Finds the commands and the ends of messages in what comes."""

    def __init__(self, count: _Count) -> None:
        self._count = count
        self._held = b""
        self._in_message = False

    def answers(self, came: bytes) -> Iterator[bytes]:
        self._held += came
        while answer := self._content() if self._in_message else self._command():
            yield answer

    def _command(self) -> bytes:
        line, end, rest = self._held.partition(b"\r\n")
        if not end:
            return b""
        # What follows DATA is looked at together with its line end: a message may be nothing but a dot.
        self._in_message = line[:4].upper() == b"DATA"
        self._held = b"\r\n" + rest if self._in_message else rest
        return _ANSWERS.get(line[:4].upper(), _ANSWER)

    def _content(self) -> bytes:
        end = self._held.find(_END)
        if end < 0:
            self._held = self._held[-len(_END) + 1 :]
            return b""
        self._held = self._held[end + len(_END) :]
        self._in_message = False
        self._count.one_more()
        return _ANSWER


def _serve(port: int, delay: float) -> None:
    count = _Count()
    with socket.create_server(("127.0.0.1", port)) as server:
        while True:
            connection, _ = server.accept()
            threading.Thread(target=_speak, args=(connection, count, delay), daemon=True).start()


def _speak(connection: socket.socket, count: _Count, delay: float) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    session = _Session(count)
    with connection:
        connection.sendall(_GREETING)
        while came := connection.recv(1 << 18):
            if answers := b"".join(session.answers(came)):
                time.sleep(delay)
                connection.sendall(answers)
            if answers.endswith(_ANSWERS[b"QUIT"]):
                return


if __name__ == "__main__":
    _serve(int(sys.argv[1]), float(sys.argv[2]))
