"""The one way out of the house for sources and webhooks: an HTTP session, and connections for what is not HTTP.

What comes back is hostile, so each request has an allowance: a wall clock and a number of bytes.  Both are kept by the
socket itself, below HTTP and TLS, where neither a drip of single bytes nor a chunk of unbounded size can slip by.
Decompressed bytes are counted above it.  Addresses are checked where the connection is made, on the very address that
is then connected to, so no second look-up can answer differently.
"""

from __future__ import annotations

import base64
import copy
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import IncompleteRead
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, TypeVar
from urllib.parse import SplitResult, unquote_to_bytes, urldefrag, urljoin, urlsplit

import certifi
import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import DecodeError, HTTPError
from urllib3.poolmanager import PoolManager
from urllib3.response import BaseHTTPResponse, GzipDecoderState
from urllib3.util import make_headers

from publisher.errors import (
    AddressRefused,
    BadStatus,
    Interrupted,
    NetError,
    TooLarge,
    TooSlow,
    UnknownHost,
    Unreachable,
)
from publisher.model import Certificate

# Its warnings quote request paths, which may hold secrets (a chat room's webhook), and a server causes them at will.
logging.getLogger("urllib3").setLevel(logging.ERROR)

AGENT = "publisher/0.1 (newsletters and feeds)"

_REDIRECTS = 5
_ORIGINS = 50
"""To as many of them connections are kept."""
_PERMANENT = (301, 308)
_TEMPORARY = (302, 303, 307)
_REPEATED = (307, 308)
"""Redirects that ask for the same request elsewhere, its body and all (RFC 9110 sections 15.4.8 and 15.4.9)."""
_HEADER_ROOM = 500_000
"""Bytes that the headers of all hops and the framing of the body may take, beside the body's own limit."""
_PIECE = 65536
_LONGEST_WAIT = timedelta(days=30)
_HARMLESS = {"accept", "accept-encoding", "accept-language", "user-agent", "if-none-match", "if-modified-since"}
"""Headers that another host may see after a redirect; any other may hold a secret."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered, whole: a body that was cut short is an error, never an answer."""

    url: str
    """Where it came from, after redirects."""
    status: int
    """2xx or 304."""
    headers: Mapping[str, str]
    """Names are case-insensitive."""
    body: bytes
    """Decompressed."""
    moved_to: str = ""
    """The new address when every redirect from the start was permanent (RFC 9110 sections 15.4.2 and 15.4.9)."""
    certificate: Certificate | None = None
    """That of the server; None without TLS."""

    @property
    def media_type(self) -> str:
        """Lower case, without parameters; empty when the server does not say."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    @property
    def charset(self) -> str:
        """What Content-Type says, lower case; empty when it does not."""
        parser = Message()
        parser["Content-Type"] = self.headers.get("Content-Type", "")
        return parser.get_content_charset("")

    @property
    def etag(self) -> str:
        """For the next visit's ``etag``."""
        return self.headers.get("ETag", "")

    @property
    def modified(self) -> str:
        """For the next visit's ``modified``."""
        return self.headers.get("Last-Modified", "")


class Net:
    """The way out.  Safe from many threads; connections are kept, and shared by all that were ``bound`` from one.

    No cookies are kept, and neither proxies nor credentials are taken from the environment.

    Args:
        timeout: wall clock for a whole request: name, connection, TLS, upload, redirects and the last byte of the body.
        max_bytes: size of a body, after decompression.
        private: addresses that are not global may be talked to.
        agent: what we call ourselves.
        closing: is set when the house closes; nobody rests any more then.
    """

    def __init__(
        self,
        *,
        timeout: timedelta = timedelta(seconds=20),
        max_bytes: int = 5_000_000,
        private: bool = False,
        agent: str = AGENT,
        closing: threading.Event | None = None,
    ) -> None:
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._private = private
        self._closing = closing or threading.Event()
        self._robots = True
        self._mind: Callable[[str], None] | None = None
        self._standing = {"User-Agent": agent, "Accept": "*/*", **make_headers(accept_encoding=True)}
        tls = _tls()
        # Apart, so that a connection which one source may have is never found by another that may not.
        self._adapters = {False: _Adapter(tls), True: _Adapter(tls)}

    def bound(
        self,
        *,
        timeout: timedelta | None = None,
        max_bytes: int | None = None,
        private: bool | None = None,
        robots: bool | None = None,
    ) -> Net:
        """The same connections under other limits; what is not given stays as it is."""
        other = copy.copy(self)
        other._timeout = self._timeout if timeout is None else timeout
        other._max_bytes = self._max_bytes if max_bytes is None else max_bytes
        other._private = self._private if private is None else private
        other._robots = self._robots if robots is None else robots
        return other

    def onward(self, url: str, home: str) -> Net:
        """The way to an address that stands in what was found at another one.

        Whoever lets us talk to private addresses means the one that they name, and not those that somebody writes
        there: at another host, an address has to be a public one.
        """
        try:
            at_home = urlsplit(url).hostname == urlsplit(home).hostname
        except ValueError:  # it is told where it is fetched
            at_home = False
        return self if at_home else self.bound(private=False)

    def minding(self, mind: Callable[[str], None]) -> Net:
        """The same, but before each GET ``mind`` is told the address, and raises where that is not to be fetched."""
        other = copy.copy(self)
        other._mind = mind
        return other

    @property
    def guest(self) -> bool:
        """Whether we are at other people's and have to mind what they ask of robots, which nobody does yet."""
        return self._robots and not self._private and self._mind is None

    def rest(self, seconds: float) -> None:
        """Leave the other side alone for so long.

        Raises:
            Interrupted: the house is closing.
        """
        if self._closing.wait(seconds):
            raise Interrupted

    def get(self, url: str, *, headers: Mapping[str, str] | None = None, etag: str = "", modified: str = "") -> Answer:
        """Fetch, following at most five redirects.

        Args:
            url: http or https; ``user:password@`` in it is sent as Basic authentication (RFC 7617), to that host only.
            headers: beside our own; those that may hold a secret are not sent on to another host.
            etag: of the answer that is known; with it or ``modified`` the status may be 304 (RFC 9110 section 13.1).
            modified: the Last-Modified of the answer that is known.

        Raises:
            NetError: AddressRefused, Unreachable, TooSlow, TooLarge or BadStatus.
        """
        target, login = _without_login(url)
        if self._mind:
            self._mind(target)
        wanted = {**self._standing, **(headers or {}), **login, **_conditions(etag, modified)}
        steps: list[int] = []
        with self._journey() as trip:
            while len(steps) <= _REDIRECTS:
                answer = self._exchange(trip, "GET", target, wanted)
                following = _following(answer)
                if not following:
                    # An address that needs a login is not replaced: the new one would need the password in it.
                    moved = steps and not login and all(status in _PERMANENT for status in steps)
                    answer = replace(answer, moved_to=answer.url if moved else "")
                    return _success(answer, conditional=bool(etag or modified))
                steps.append(answer.status)
                wanted = wanted if _same_site(target, following) else _harmless(wanted)
                target = following
        raise Unreachable(f"{_place(target)}: more than {_REDIRECTS} redirects")

    def post(self, url: str, body: bytes, *, headers: Mapping[str, str], follow: bool = False) -> Answer:
        """Send; redirects are not followed, a 3xx is a BadStatus.

        Args:
            follow: the body may go to whom the server names instead (307 and 308), at most five times; the headers
                hold no secret then.

        Raises:
            NetError: AddressRefused, Unreachable, TooSlow, TooLarge or BadStatus; ``asked`` where it may have arrived.
        """
        target, login = _without_login(url)
        wanted = {**self._standing, **headers}
        with self._journey() as trip:
            try:
                for _ in range(1 + _REDIRECTS * follow):
                    answer = self._exchange(trip, "POST", target, {**wanted, **login}, body)
                    following = _following(answer) if answer.status in _REPEATED else ""
                    if not following:
                        break
                    login = login if _same_site(target, following) else {}
                    target = following
                return _success(answer)
            except NetError as error:
                error.asked = trip.asked
                raise

    @property
    def timeout(self) -> timedelta:
        """For the whole of a request, or of what is made of a connection from ``dial``."""
        return self._timeout

    @property
    def max_bytes(self) -> int:
        """Of one answer."""
        return self._max_bytes

    def dial(self, address: tuple[str, int], seconds: float) -> socket.socket:
        """Connect for another protocol than HTTP, under the same rules of where to; as ``socket.create_connection``.

        What is said over the connection is the caller's to bound.

        Args:
            address: host and port.
            seconds: how long it may take.

        Raises:
            NetError: AddressRefused, Unreachable or TooSlow.
        """
        with self.bound(timeout=timedelta(seconds=seconds))._journey() as trip:
            trip.host = f"{address[0]}:{address[1]}"
            return socket.socket(fileno=_connect(*address).detach())

    def close(self) -> None:
        """Close the kept connections, of everything bound to this Net too."""
        for adapter in self._adapters.values():
            adapter.close()

    @contextmanager
    def _journey(self) -> Iterator[_Trip]:
        trip = _Trip(self._timeout.total_seconds(), self._max_bytes, self._private)
        token = _trip.set(trip)
        try:
            yield trip
        finally:
            _trip.reset(token)

    def _exchange(
        self, trip: _Trip, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> Answer:
        """One request and its answer, whatever its status; only the bodies of successes are read."""
        trip.host, trip.certificate = _place(url), None
        request = _prepared(method, url, headers, body)
        try:
            with self._send(trip, request) as response:
                # The end of what has no body is read as well: else its connection would not be kept.
                has_end = 200 <= response.status_code < 300 or response.status_code == 304
                content = _read(response, trip) if has_end else b""
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            raise _translated(error, trip.host) from error
        return Answer(str(request.url), response.status_code, response.headers, content, certificate=trip.certificate)

    def _send(self, trip: _Trip, request: requests.PreparedRequest) -> requests.Response:
        while True:
            trip.fresh = False
            try:
                return self._adapters[self._private].send(request, stream=True)
            except requests.ConnectionError:
                # A kept connection may have been closed by the other side just as we used it (RFC 9112 section 9.3.1).
                if trip.fresh or request.method != "GET":
                    raise


# --- one request's allowance -----------------------------------------------------------------------------------------


class _Trip:
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
        self._bytes -= count
        if self._bytes < 0:
            raise self.too_large()

    def too_slow(self) -> TooSlow:
        return TooSlow(f"{self.host} took more than {self.seconds:g} s")

    def too_large(self) -> TooLarge:
        return TooLarge(f"{self.host} sent more than {self.max_bytes} bytes")


_trip: ContextVar[_Trip] = ContextVar("_trip")


class _Socket(socket.socket):
    """Gives each operation what is left of the request's time: a plain timeout starts anew with every byte."""

    def settimeout(self, value: float | None) -> None:
        """Nobody may have it wait for ever; urllib3 would between two operations, at the price of a system call."""
        if value is not None:
            super().settimeout(value)

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        _trip.get().asked = True
        count = self._timed(super().recv_into, *args, **kwargs)
        _trip.get().received(count)
        return count

    def send(self, *args: Any, **kwargs: Any) -> int:
        return self._timed(super().send, *args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        return self._timed(super().sendall, *args, **kwargs)

    def _timed(self, operation: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        trip = _trip.get()
        self.settimeout(trip.left())
        try:
            return operation(*args, **kwargs)
        except TimeoutError:
            raise trip.too_slow() from None


class _TlsSocket(_Socket, ssl.SSLSocket):
    pass


def _tls() -> ssl.SSLContext:
    """One for all hosts: making one takes longer than most requests.

    It trusts what the system trusts, where an operator puts the authority of an intranet, and what certifi does, since
    a slim image has no store of its own.
    """
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    context.sslsocket_class = _TlsSocket
    return context


# --- connections -----------------------------------------------------------------------------------------------------


class _Http(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _connect(self._dns_host, self.port)


class _Https(HTTPSConnection):
    certificate: Certificate | None = None
    """Read once, when the connection is made, and known as long as it is kept."""

    def _new_conn(self) -> socket.socket:
        return _connect(self._dns_host, self.port)

    def request(self, *args: Any, **kwargs: Any) -> None:
        super().request(*args, **kwargs)
        _trip.get().certificate = self.certificate

    def connect(self) -> None:
        try:
            super().connect()
        except ssl.SSLCertVerificationError as error:
            raise Unreachable(
                f"the certificate of {_trip.get().host} is not valid: {error.verify_message}",
                hint="the certificate of an authority of your own belongs in the system's store",
            ) from error
        except ssl.SSLError as error:
            raise Unreachable(f"{_trip.get().host} and we have no TLS in common: {error.reason or error}") from error
        except TimeoutError as error:
            raise _trip.get().too_slow() from error
        self.certificate = _certificate(self.sock)


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


class _Response(requests.Response):
    """An answer without a jar for cookies, which takes longer to make than all the rest of it."""

    def __init__(self, url: str, raw: BaseHTTPResponse) -> None:
        self._content_consumed = False
        self.status_code, self.url, self.raw = raw.status, url, raw
        self.headers = CaseInsensitiveDict(raw.headers)


class _Adapter(HTTPAdapter):
    """Used without requests' Session, which would keep cookies and ask the environment for proxies and passwords."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self._pools: dict[str, HTTPConnectionPool] = {}
        super().__init__(pool_connections=2 * _ORIGINS, pool_maxsize=10)  # those that we know are never closed

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> HTTPConnectionPool:
        """The connections to an origin.  urllib3's own key for it has thirty fields, and takes a tenth of a request."""
        origin = str(request.url)[: str(request.url).find("/", 8)]
        pool = self._pools.get(origin)
        if pool is None:
            if len(self._pools) >= _ORIGINS:
                self._pools.clear()
            pool = self._pools[origin] = self.poolmanager.connection_from_url(origin)
        return pool

    def build_response(self, req: requests.PreparedRequest, resp: BaseHTTPResponse) -> requests.Response:
        """The answer, and none of its cookies, which nobody keeps."""
        return _Response(str(req.url), resp)

    def close(self) -> None:
        """Close the kept connections."""
        self._pools.clear()
        super().close()

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any) -> None:
        self.poolmanager = PoolManager(connections, maxsize=maxsize, block=block, ssl_context=self._tls)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def cert_verify(self, *args: Any) -> None:
        """The shared context knows whom to trust; here requests would load certifi's file anew for each connection."""


def _connect(host: str, port: int) -> socket.socket:
    """Connect to one of a host's addresses; every one of them has been checked."""
    trip = _trip.get()
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
        connection.settimeout(_trip.get().left())
    except BaseException:
        connection.close()
        raise
    return connection


def _no_connection(trip: _Trip, failure: OSError) -> NetError:
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
        raise _trip.get().too_slow()
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


def _certificate(connection: Any) -> Certificate | None:
    """What the other side of a connection showed; it has been verified."""
    shown = connection.getpeercert() if isinstance(connection, ssl.SSLSocket) else None
    if not shown:
        return None
    begins, ends = (
        datetime.fromtimestamp(ssl.cert_time_to_seconds(str(shown[end])), UTC) for end in ("notBefore", "notAfter")
    )
    return Certificate(begins=begins, ends=ends)


# --- pure parts ------------------------------------------------------------------------------------------------------


def _without_login(url: str) -> tuple[str, dict[str, str]]:
    """The URL without user, password and fragment; and the header that says them (RFC 7617)."""
    parts = _split(url)
    login, _, netloc = parts.netloc.rpartition("@")
    target = urldefrag(parts._replace(netloc=netloc).geturl()).url
    if not login:
        return target, {}
    user, _, password = login.partition(":")
    token = base64.b64encode(unquote_to_bytes(user) + b":" + unquote_to_bytes(password)).decode()
    return target, {"Authorization": f"Basic {token}"}


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url.strip())
        _ = parts.port
    except ValueError:
        raise Unreachable(f"not a web address: {_shown(url)}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Unreachable(f"not a web address: {_shown(url)} (it begins with http:// or https://)")
    return parts


def _shown(url: str) -> str:
    """An address that cannot be read, without anything that might be a password in it."""
    return repr(url.rpartition("@")[2][:100])


def _place(url: str) -> str:
    """How messages name it: the host alone, since paths and queries may hold secrets."""
    return urlsplit(url).netloc


def _prepared(method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> requests.PreparedRequest:
    request = requests.PreparedRequest()
    try:
        # Step by step, without the cookies, passwords and hooks that `prepare` would look for.
        request.prepare_method(method)
        request.prepare_url(url, None)
        # Latin-1, so that an ETag goes back as the bytes it came as.
        request.prepare_headers({name: value.encode("latin-1") for name, value in headers.items()})
        request.prepare_body(body, None)
        return request
    except requests.exceptions.InvalidURL as error:
        raise Unreachable(f"not a web address: {_shown(url)}") from error
    except ValueError as error:
        raise Unreachable(f"a header for {_place(url)} holds what no header may") from error


def _conditions(etag: str, modified: str) -> dict[str, str]:
    conditions = {"If-None-Match": etag, "If-Modified-Since": modified}
    return {name: value for name, value in conditions.items() if value}


def _following(answer: Answer) -> str:
    """Where a redirect leads, without credentials; empty when it is none."""
    location = answer.headers.get("Location", "")
    if not location or answer.status not in (*_PERMANENT, *_TEMPORARY):
        return ""
    try:
        # Header bytes arrive as Latin-1; an address that is not ASCII is meant as UTF-8.
        location = urljoin(answer.url, location.encode("latin-1").decode("utf-8", "replace"))
    except ValueError as error:
        raise Unreachable(f"{_place(answer.url)} redirects to what is no address: {_shown(location)}") from error
    return _without_login(location)[0]


def _same_site(old: str, new: str) -> bool:
    """A secret that one was told may be told to the other: the same origin, or the same host over TLS."""
    (scheme, host, port), (new_scheme, new_host, new_port) = _origin(old), _origin(new)
    upgraded = (scheme, port, new_scheme, new_port) == ("http", 80, "https", 443)
    return host == new_host and (upgraded or (scheme, port) == (new_scheme, new_port))


def _origin(url: str) -> tuple[str, str | None, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def _harmless(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() in _HARMLESS}


def _read(response: requests.Response, trip: _Trip) -> bytes:
    codings = response.headers.get("Content-Encoding", "")
    if "," in codings:
        # Coded twice, a few kilobytes unfold into days of work without a byte of output.
        raise Unreachable(f"{trip.host} sent a body that is compressed more than once")
    if (response.raw.length_remaining or 0) > trip.max_bytes:
        raise trip.too_large()
    body = bytearray()
    while piece := response.raw.read(min(_PIECE, trip.max_bytes + 1 - len(body)), decode_content=True):
        body += piece
        if len(body) > trip.max_bytes:
            raise trip.too_large()
    if response.raw.tell() and not _ended(response.raw._decoder):
        raise Unreachable(_CUT_SHORT.format(host=trip.host))
    return bytes(body)


def _ended(decoder: Any) -> bool:
    """A compressed body came to its own end; urllib3, whose decoder this is, does not tell.

    Without it a connection that breaks off would look like the end of a body that has no length.
    """
    if decoder is None or getattr(decoder, "_state", None) == GzipDecoderState.SWALLOW_DATA:
        return True
    stream = decoder._obj
    return bool(stream.is_finished() if hasattr(stream, "is_finished") else stream.eof)


def _success(answer: Answer, *, conditional: bool = False) -> Answer:
    """The answer itself; 304 is one only where the request had a condition (RFC 9110 section 15.4.5)."""
    if 200 <= answer.status < 300 or (answer.status == 304 and conditional):
        return answer
    raise BadStatus(
        f"{_place(answer.url)} answered {answer.status} {_reason(answer.status)}".rstrip(),
        status=answer.status,
        retry_after=retry_after(answer.headers.get("Retry-After", ""), datetime.now(UTC)),
    )


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def retry_after(text: str, now: datetime) -> timedelta | None:
    """Read Retry-After: seconds or a date (RFC 9110 section 10.2.3), at most thirty days; None when it says neither."""
    try:
        if text.strip().isdecimal():
            return timedelta(seconds=min(float(text), _LONGEST_WAIT.total_seconds()))
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    wait = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now
    return min(max(wait, timedelta()), _LONGEST_WAIT)


_CUT_SHORT = "{host} cut its answer short"
_SAYINGS: dict[type[Exception], str] = {
    DecodeError: "{host} sent a body that cannot be decompressed",
    IncompleteRead: _CUT_SHORT,
    ConnectionError: "{host} closed the connection",
}


def _translated(error: Exception, host: str) -> NetError:
    chain = list(_chain(error))
    for kind, saying in _SAYINGS.items():
        if any(isinstance(link, kind) for link in chain):
            return Unreachable(saying.format(host=host))
    # Quoted, since it may be the server's own words.
    return Unreachable(f"{host} does not answer in HTTP: {str(chain[-1])[:100]!r}")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
