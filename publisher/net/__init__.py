"""The one way out of the house for sources and webhooks: an HTTP session, and connections for what is not HTTP.

What comes back is hostile, so each request has an allowance: a wall clock and a number of bytes.  Both are kept by the
socket itself, below HTTP and TLS, where neither a drip of single bytes nor a chunk of unbounded size can slip by.
Decompressed bytes are counted above it.  Addresses are checked where the connection is made, on the very address that
is then connected to, so no second look-up can answer differently.
"""

from __future__ import annotations

import copy
import logging
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import IncompleteRead
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from urllib3.exceptions import DecodeError, HTTPError
from urllib3.response import GzipDecoderState
from urllib3.util import make_headers

from publisher.errors import BadStatus, Interrupted, NetError, Unreachable
from publisher.model import Certificate
from publisher.net.adapter import Adapter
from publisher.net.addresses import place, same_site, shown, without_login, written
from publisher.net.sockets import Trip, connect, current, is_global, tls_context

__all__ = ["AGENT", "Answer", "Net", "is_global", "retry_after"]

# Its warnings quote request paths, which may hold secrets (a chat room's webhook), and a server causes them at will.
logging.getLogger("urllib3").setLevel(logging.ERROR)

AGENT = "publisher/0.1 (newsletters and feeds)"

_REDIRECTS = 5
_PERMANENT = (301, 308)
_TEMPORARY = (302, 303, 307)
_REPEATED = (307, 308)
"""Redirects that ask for the same request elsewhere, its body and all (RFC 9110 sections 15.4.8 and 15.4.9)."""
_PIECE = 65536
_LONGEST_WAIT = timedelta(days=30)
_HARMLESS = {"accept", "accept-encoding", "accept-language", "user-agent", "if-none-match", "if-modified-since"}
"""Headers that another host may see after a redirect; any other may hold a secret."""


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
        tls = tls_context()
        # Apart, so that a connection which one source may have is never found by another that may not.
        self._adapters = {False: Adapter(tls), True: Adapter(tls)}

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
        target, login = without_login(url)
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
                wanted = wanted if same_site(target, following) else _harmless(wanted)
                target = following
        raise Unreachable(f"{place(target)}: more than {_REDIRECTS} redirects")

    def post(self, url: str, body: bytes, *, headers: Mapping[str, str], follow: bool = False) -> Answer:
        """Send; redirects are not followed, a 3xx is a BadStatus.

        Args:
            follow: the body may go to whom the server names instead (307 and 308), at most five times; the headers
                hold no secret then.

        Raises:
            NetError: AddressRefused, Unreachable, TooSlow, TooLarge or BadStatus; ``asked`` where it may have arrived.
        """
        target, login = without_login(url)
        wanted = {**self._standing, **headers}
        with self._journey() as trip:
            try:
                for _ in range(1 + _REDIRECTS * follow):
                    answer = self._exchange(trip, "POST", target, {**wanted, **login}, body)
                    following = _following(answer) if answer.status in _REPEATED else ""
                    if not following:
                        break
                    login = login if same_site(target, following) else {}
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
            return socket.socket(fileno=connect(*address).detach())

    def close(self) -> None:
        """Close the kept connections, of everything bound to this Net too."""
        for adapter in self._adapters.values():
            adapter.close()

    @contextmanager
    def _journey(self) -> Iterator[Trip]:
        trip = Trip(self._timeout.total_seconds(), self._max_bytes, self._private)
        token = current.set(trip)
        try:
            yield trip
        finally:
            current.reset(token)

    def _exchange(
        self, trip: Trip, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> Answer:
        """One request and its answer, whatever its status; only the bodies of successes are read."""
        trip.host, trip.certificate = place(url), None
        request = _prepared(method, url, headers, body)
        try:
            with self._send(trip, request) as response:
                # The end of what has no body is read as well: else its connection would not be kept.
                has_end = 200 <= response.status_code < 300 or response.status_code == 304
                content = _read(response, trip) if has_end else b""
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            raise _translated(error, trip.host) from error
        return Answer(str(request.url), response.status_code, response.headers, content, certificate=trip.certificate)

    def _send(self, trip: Trip, request: requests.PreparedRequest) -> requests.Response:
        while True:
            trip.fresh = False
            try:
                return self._adapters[self._private].send(request, stream=True)
            except requests.ConnectionError:
                # A kept connection may have been closed by the other side just as we used it (RFC 9112 section 9.3.1).
                if trip.fresh or request.method != "GET":
                    raise


# --- pure parts ------------------------------------------------------------------------------------------------------


def _prepared(method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> requests.PreparedRequest:
    request = requests.PreparedRequest()
    try:
        # Step by step, without the cookies, passwords and hooks that `prepare` would look for.
        request.prepare_method(method)
        request.url = written(url)
        # Latin-1, so that an ETag goes back as the bytes it came as.
        request.prepare_headers({name: value.encode("latin-1") for name, value in headers.items()})
        request.prepare_body(body, None)
        return request
    except requests.exceptions.InvalidURL as error:
        raise Unreachable(f"not a web address: {shown(url)}") from error
    except ValueError as error:
        raise Unreachable(f"a header for {place(url)} holds what no header may") from error


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
        raise Unreachable(f"{place(answer.url)} redirects to what is no address: {shown(location)}") from error
    return without_login(location)[0]


def _harmless(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() in _HARMLESS}


def _read(response: requests.Response, trip: Trip) -> bytes:
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
        f"{place(answer.url)} answered {answer.status} {_reason(answer.status)}".rstrip(),
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
