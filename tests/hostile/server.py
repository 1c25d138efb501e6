"""A server on loopback that says exactly the bytes it is told to, at the pace it is told to."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Behaviour = Callable[[socket.socket, bytes], None]
"""Handed the connection and one request (head and body); closes the connection by raising ``ConnectionError``."""

_TLS = 0x16
"""With this byte begins a handshake (RFC 8446 section 5.1), which a server without TLS does not wait for."""


class Server:
    """Counts what it sees."""

    def __init__(
        self, behave: Behaviour, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None, port: int = 0
    ) -> None:
        self._behave = behave
        self._tls = tls
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family)
        self.port: int = self._listener.getsockname()[1]
        self.host = f"[{host}]" if ":" in host else host
        self.connections = 0
        self.requests: list[bytes] = []
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.host}:{self.port}"

    def close(self) -> None:
        for connection in [self._listener, *self._open]:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._open.append(connection)
                threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            stack.enter_context(connection)
            while request := _request(connection):
                self.requests.append(request)
                self._behave(connection, request)


def _request(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65536)
        if not piece or piece[0] == _TLS:
            return b""
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@contextmanager
def serving(
    behave: Behaviour | bytes, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None, port: int = 0
) -> Iterator[Server]:
    """A server that behaves so; given bytes, it says them to every request."""
    server = Server(behave if callable(behave) else saying(behave), host, tls, port)
    try:
        yield server
    finally:
        server.close()


def saying(*answers: bytes) -> Behaviour:
    """The first answer to the first request, and so on; the last one is repeated."""
    waiting = list(answers)

    def behave(connection: socket.socket, _: bytes) -> None:
        connection.sendall(waiting.pop(0) if len(waiting) > 1 else waiting[0])

    return behave


def closing(answer: bytes) -> Behaviour:
    """Say it and hang up."""

    def behave(connection: socket.socket, _: bytes) -> None:
        connection.sendall(answer)
        raise ConnectionError

    return behave


def ok(body: bytes = b"", *headers: str, status: str = "200 OK") -> bytes:
    """A well-made answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
