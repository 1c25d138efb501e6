"""The web face: what was published, and how the house is."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from publisher.errors import PublisherError

if TYPE_CHECKING:
    from publisher.app import App


@contextlib.contextmanager
def serving(app: Callable[[], App]) -> Iterator[str]:
    """Serve the pages from a thread of this process; gives the address they are at.

    Args:
        app: the house in force at the moment of a request; it changes when the configuration is read anew.

    Raises:
        PublisherError: the address of ``server.listen`` cannot be listened on.
    """
    import uvicorn

    from publisher.web.application import application

    listener = _listen(app().settings.server.listen)
    options = uvicorn.Config(
        application(app),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(app().settings.server.trusted_proxies),
        forwarded_allow_ips=app().settings.server.trusted_proxies,
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(options)
    thread = threading.Thread(target=server.run, args=([listener],), name="web", daemon=True)
    thread.start()
    host, port = listener.getsockname()[:2]
    try:
        yield f"http://{f'[{host}]' if ':' in host else host}:{port}/"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()


def _listen(address: str) -> socket.socket:
    """Listen here rather than in uvicorn, which would end the thread with a traceback where the port is taken."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        listener = socket.create_server((host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise PublisherError(
            f"cannot listen on {address}: {error.strerror}",
            hint="another program may be there; set server.listen to another port",
        ) from error
    # Head and body of an answer go in two writes: else the second waits 40 ms for the first to be acknowledged.
    # asyncio sets it only for sockets that name their protocol, and those that come of this one do not.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
