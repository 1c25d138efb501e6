"""What is running while channels are tested."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from aiosmtpd.controller import Controller
from receivers import Fragile, Relay, free_port

from publisher.net import Net


@pytest.fixture(scope="session")
def net() -> Iterator[Net]:
    net = Net()
    yield net
    net.close()


@pytest.fixture
def start_relay() -> Iterator[Callable[..., Relay]]:
    """Starts an aiosmtpd receiver with the given settings of its own."""
    running: list[Controller] = []

    def start(**settings: object) -> Relay:
        relay = Relay(port=free_port())
        controller = Controller(relay, hostname="127.0.0.1", port=relay.port, **settings)
        controller.start()
        running.append(controller)
        return relay

    yield start
    for controller in running:
        controller.stop()


@pytest.fixture
def relay(start_relay: Callable[..., Relay]) -> Relay:
    return start_relay()


@pytest.fixture
def start_fragile() -> Iterator[Callable[..., Fragile]]:
    running: list[Fragile] = []

    def start(*script: tuple[str, str, int], **settings: object) -> Fragile:
        server = Fragile(*script, **settings)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        running.append(server)
        return server

    yield start
    for server in running:
        server.shutdown()
        server.server_close()
