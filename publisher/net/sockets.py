"""Connections: where one may lead to, and what one request may spend on it."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, TypeVar

import certifi

from publisher.errors import AddressRefused, NetError, TooLarge, TooSlow, UnknownHost, Unreachable
from publisher.model import Certificate

_HEADER_ROOM = 500_000
"""Bytes that the headers of all hops and the framing of the body may take, beside the body's own limit."""

T = TypeVar("T")


class Trip:
    """What one request may still spend, over all its hops."""

    def __init__(self, seconds: float, max_bytes: int, private: bool) -> None:
        self.seconds = seconds
        self.max_bytes = max_bytes
        self.private = private
        self.host = ""
        self.fresh = False
        """A new connection was made for the present exchange."""
        self.certificate: Certificate | None = None
        """Of the server that the present exchange is with."""
        self.asked = False
        """An answer was waited for: the request had been written."""
        self._ends = time.monotonic() + seconds
        self._bytes = max_bytes + _HEADER_ROOM

    def left(self) -> float:
        """Seconds, more than none.

        Raises:
            TooSlow: there are none.
        """
        left = self._ends - time.monotonic()
        if left <= 0:
            raise self.too_slow()
        return left

    def received(self, count: int) -> None:
        """Count bytes.

        Raises:
            TooLarge: there are more than it may have.
        """
        self._bytes -= count
        if self._bytes < 0:
            raise self.too_large()

    def too_slow(self) -> TooSlow:
        """What to raise when the time is over."""
        return TooSlow(f"{self.host} took more than {self.seconds:g} s")

    def too_large(self) -> TooLarge:
        """What to raise when too much has come."""
        return TooLarge(f"{self.host} sent more than {self.max_bytes} bytes")


current: ContextVar[Trip] = ContextVar("trip")


class _Socket(socket.socket):
    """Gives each operation what is left of the request's time: a plain timeout starts anew with every byte."""

    def settimeout(self, value: float | None) -> None:
        """Nobody may have it wait for ever; urllib3 would between two operations, at the price of a system call."""
        if value is not None:
            super().settimeout(value)

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        current.get().asked = True
        count = self._timed(super().recv_into, *args, **kwargs)
        current.get().received(count)
        return count

    def send(self, *args: Any, **kwargs: Any) -> int:
        return self._timed(super().send, *args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        return self._timed(super().sendall, *args, **kwargs)

    def _timed(self, operation: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        trip = current.get()
        self.settimeout(trip.left())
        try:
            return operation(*args, **kwargs)
        except TimeoutError:
            raise trip.too_slow() from None


class _TlsSocket(_Socket, ssl.SSLSocket):
    pass


def tls_context() -> ssl.SSLContext:
    """One for all hosts: making one takes longer than most requests.

    It trusts what the system trusts, where an operator puts the authority of an intranet, and what certifi does, since
    a slim image has no store of its own.
    """
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    context.sslsocket_class = _TlsSocket
    return context


def connect(host: str, port: int) -> socket.socket:
    """Connect to one of a host's addresses; every one of them has been checked."""
    trip = current.get()
    trip.fresh = True
    addresses = _resolve(host.strip("[]"), port, trip.left())
    if not trip.private:
        _refuse_private(host, addresses)
    failure: OSError = OSError("it has no address")
    for index, (family, address) in enumerate(addresses):
        try:
            # A fair share for each: a dead IPv6 route must not eat the time of the IPv4 address behind it.
            return _connected(family, address, trip.left() / (len(addresses) - index))
        except OSError as error:
            failure = error
    raise _no_connection(trip, failure) from failure


def _connected(family: socket.AddressFamily, address: tuple[Any, ...], seconds: float) -> socket.socket:
    connection = _Socket(family, socket.SOCK_STREAM)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(seconds)
        connection.connect(address)
        # The TLS handshake takes the timeout of the socket that it is given as its own whole time.
        connection.settimeout(current.get().left())
    except BaseException:
        connection.close()
        raise
    return connection


def _no_connection(trip: Trip, failure: OSError) -> NetError:
    if isinstance(failure, TimeoutError):
        return trip.too_slow()
    if isinstance(failure, ConnectionRefusedError):
        return Unreachable(f"{trip.host} refused the connection")
    return Unreachable(f"no connection to {trip.host}: {failure.strerror or failure}")


_Addresses = list[tuple[socket.AddressFamily, tuple[Any, ...]]]


def _resolve(host: str, port: int, seconds: float) -> _Addresses:
    """All addresses of a host.

    In a thread of its own: getaddrinfo knows no timeout, and a slow name server is as hostile as a slow web server.
    """
    outcome: list[_Addresses | Exception] = []

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            outcome.append([(family, address) for family, _, _, _, address in found])
        except (OSError, ValueError) as error:
            outcome.append(error)

    thread = threading.Thread(target=look_up, name="publisher-lookup", daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise current.get().too_slow()
    if isinstance(outcome[0], Exception):
        raise _no_address(host, outcome[0]) from outcome[0]
    return outcome[0]


def _no_address(host: str, failure: Exception) -> Unreachable:
    if isinstance(failure, socket.gaierror) and failure.errno == socket.EAI_AGAIN:
        return Unreachable(f"no name server answers for {host}")
    return UnknownHost(f"no such host: {host}")


_UNICAST = ip_network("2000::/3")
"""The only part of IPv6 that is given out to hosts; 64:ff9b::/96 (NAT64) and ::ffff:0:0/96 are outside."""
_SPECIAL = [ip_network(text) for text in ("2002::/16", "2001::/23", "3fff::/20", "192.0.0.0/24", "192.88.99.0/24")]
"""6to4, Teredo and their relays, where any IPv4 address may travel inside; and what older Pythons do not know of the
registries of special addresses (RFC 6890)."""


def is_global(address: IPv4Address | IPv6Address) -> bool:
    """Anyone on the Internet could talk to it: it is no way into a network that only we can reach."""
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if any(address in network for network in _SPECIAL):
        return False
    return isinstance(address, IPv4Address) or address in _UNICAST


def _refuse_private(host: str, addresses: _Addresses) -> None:
    for _, address in addresses:
        if not is_global(ip_address(address[0])):
            raise AddressRefused(
                f"{host} is at {address[0]}, which is not a public address",
                hint="if this is meant, write private: true (on the command line: --private)",
            )
