"""What requests and urllib3 ask with, made of our sockets."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.poolmanager import PoolManager
from urllib3.response import BaseHTTPResponse

from publisher.errors import Unreachable
from publisher.model import Certificate
from publisher.net.sockets import connect, current

_ORIGINS = 50
"""To as many of them connections are kept."""
_AT_ONCE = 100
"""And so many to each: at others' one is asked at a time, but hosts of our own as many as there are threads."""


class _Http(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return connect(self._dns_host, self.port)


class _Https(HTTPSConnection):
    certificate: Certificate | None = None
    """Read once, when the connection is made, and known as long as it is kept."""

    def _new_conn(self) -> socket.socket:
        return connect(self._dns_host, self.port)

    def request(self, *args: Any, **kwargs: Any) -> None:
        super().request(*args, **kwargs)
        current.get().certificate = self.certificate

    def connect(self) -> None:
        try:
            super().connect()
        except ssl.SSLCertVerificationError as error:
            raise Unreachable(
                f"the certificate of {current.get().host} is not valid: {error.verify_message}",
                hint="the certificate of an authority of your own belongs in the system's store",
            ) from error
        except ssl.SSLError as error:
            raise Unreachable(f"{current.get().host} and we have no TLS in common: {error.reason or error}") from error
        except TimeoutError as error:
            raise current.get().too_slow() from error
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


class Adapter(HTTPAdapter):
    """Used without requests' Session, which would keep cookies and ask the environment for proxies and passwords."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._tls = tls
        self._pools: dict[str, HTTPConnectionPool] = {}
        # Those origins that we know are never closed; nor is what is kept to one of them.
        super().__init__(pool_connections=2 * _ORIGINS, pool_maxsize=_AT_ONCE)

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
        """What makes connections: ours."""
        self.poolmanager = PoolManager(connections, maxsize=maxsize, block=block, ssl_context=self._tls)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}

    def cert_verify(self, *args: Any) -> None:
        """The shared context knows whom to trust; here requests would load certifi's file anew for each connection."""


def _certificate(connection: Any) -> Certificate | None:
    """What the other side of a connection showed; it has been verified."""
    shown = connection.getpeercert() if isinstance(connection, ssl.SSLSocket) else None
    if not shown:
        return None
    begins, ends = (
        datetime.fromtimestamp(ssl.cert_time_to_seconds(str(shown[end])), UTC) for end in ("notBefore", "notAfter")
    )
    return Certificate(begins=begins, ends=ends)
