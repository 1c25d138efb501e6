"""Questions to the name server."""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from publisher.errors import NetError, TooSlow, Unreachable

if TYPE_CHECKING:
    from dns.resolver import Resolver

Address = IPv4Address | IPv6Address

_PORT = 53
_MESSAGE = 1232
"""Bytes that an answer by UDP may have before it comes by TCP: what passes everywhere in one piece."""
_ENOUGH = 4
"""After so many questions without an answer no more are asked: an operator waits for this."""


class Dns:
    """A name server.  Each question is asked once; what was answered is kept.

    A name that is not there, or that nobody can have, is one without records: an empty answer, not an error.

    Args:
        server: ``address`` or ``address:port``; empty: what the machine itself asks.
        patience: how long it may take for one answer.

    Raises:
        ValueError: ``server`` is not of that form.
    """

    def __init__(self, server: str = "", *, patience: timedelta = timedelta(seconds=5)) -> None:
        self._server = _endpoint(server) if server else None
        self._patience = patience.total_seconds()
        self._known: dict[tuple[str, str], list[Any] | NetError] = {}
        self._silences = 0

    def texts(self, name: str) -> list[str]:
        """The TXT records, sorted; the strings of each are joined (RFC 7208 section 3.3), a character for each byte.

        Raises:
            NetError: no answer.
        """
        return sorted(b"".join(record.strings).decode("latin-1") for record in self._records(name, "TXT"))

    def addresses(self, name: str) -> list[Address]:
        """The A and AAAA records, sorted.

        Raises:
            NetError: no answer.
        """
        texts = [record.address for kind in ("A", "AAAA") for record in self._records(name, kind)]
        return [ip_address(text) for text in sorted(texts)]

    def exchanges(self, name: str) -> list[str]:
        """The hosts of the MX records, best first; an empty one means that no mail is taken (RFC 7505).

        Raises:
            NetError: no answer.
        """
        records = self._records(name, "MX")
        hosts = sorted((int(record.preference), record.exchange.to_text().rstrip(".").lower()) for record in records)
        return [host for _, host in hosts]

    def _records(self, name: str, kind: str) -> list[Any]:
        question = name.lower(), kind
        if question not in self._known:
            try:
                self._known[question] = self._asked(name, kind)
            except NetError as error:
                self._known[question] = error
        answer = self._known[question]
        if isinstance(answer, NetError):
            raise answer
        return answer

    def _asked(self, name: str, kind: str) -> list[Any]:
        from dns.exception import DNSException, Timeout
        from dns.name import from_text
        from dns.resolver import NXDOMAIN, YXDOMAIN, NoAnswer

        if self._silences >= _ENOUGH:
            raise TooSlow(f"{self._told} was silent {_ENOUGH} times, and is not asked for the {kind} of {name}")
        try:
            there = from_text(name)
        except (DNSException, UnicodeError):
            return []
        try:
            return list(self._resolver.resolve(there, kind, lifetime=self._patience))
        except (NXDOMAIN, YXDOMAIN, NoAnswer):
            return []
        except Timeout as error:
            self._silences += 1
            raise TooSlow(f"{self._told} did not answer in {self._patience:g} s for the {kind} of {name}") from error
        except (DNSException, OSError) as error:
            raise Unreachable(f"{self._told} could not answer for the {kind} of {name}") from error

    @cached_property
    def _resolver(self) -> Resolver:
        from dns.exception import DNSException
        from dns.resolver import Resolver

        try:
            resolver = Resolver(configure=self._server is None)
        except DNSException as error:
            hint = "name one by --dns ADDRESS"
            raise Unreachable("this machine is not told which name server to ask", hint=hint) from error
        if self._server:
            resolver.nameservers, resolver.port = [self._server[0]], self._server[1]
        resolver.use_edns(0, 0, _MESSAGE)
        return resolver

    @property
    def _told(self) -> str:
        return f"the name server {self._server[0]}" if self._server else "the name server"


def _endpoint(server: str) -> tuple[str, int]:
    try:
        return str(ip_address(server)), _PORT
    except ValueError:
        pass
    try:
        parts = urlsplit(f"//{server}")
        return str(ip_address(parts.hostname or "")), parts.port or _PORT
    except ValueError:
        raise ValueError(f"{server!r} is not an address such as 9.9.9.9, 127.0.0.1:5353 or [::1]:53") from None
