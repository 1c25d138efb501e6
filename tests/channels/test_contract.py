"""What every kind of channel keeps to, whatever it speaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from email import message_from_bytes
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from receivers import Letterbox, Relay, free_port, make_issue, make_parcel
from waiting import wait_for

from publisher.channels import Channel, kinds
from publisher.errors import ChannelDown, ChannelError
from publisher.model import Parcel, Receipt, Verdict
from publisher.net import Net


@dataclass(frozen=True)
class Stage:
    """A kind with somebody to talk to, and the same kind with nobody there."""

    channel: Channel
    nobody: Channel
    identities: Callable[[], list[str]]
    """What the other side can tell parcels apart by, in the order in which they arrived."""


@pytest.fixture
def smtp(relay: Relay) -> Stage:
    def options(port: int) -> Channel:
        return kinds()["smtp"](url=f"smtp://127.0.0.1:{port}", timeout=timedelta(seconds=30))

    return Stage(options(relay.port), options(free_port()), lambda: [mail["Message-ID"] for mail in relay.messages])


@pytest.fixture
def webhook(httpserver: HTTPServer) -> Stage:
    httpserver.expect_request("/hook").respond_with_data("")
    here = kinds()["webhook"](url=httpserver.url_for("/hook"), private=True)
    nobody = kinds()["webhook"](url=f"http://127.0.0.1:{free_port()}/hook", private=True)
    return Stage(here, nobody, lambda: [request.headers["webhook-id"] for request, _ in httpserver.log])


@pytest.fixture
def folder(tmp_path: Path) -> Stage:
    outbox = tmp_path / "outbox"
    (tmp_path / "file").write_text("")

    def identities() -> list[str]:
        written = sorted(outbox.glob("*.eml"), key=lambda path: path.stat().st_mtime_ns)
        return [message_from_bytes(path.read_bytes())["Message-ID"] for path in written]

    return Stage(kinds()["folder"](path=outbox), kinds()["folder"](path=tmp_path / "file"), identities)


@pytest.fixture
def sendmail(tmp_path: Path) -> Stage:
    letterbox = Letterbox(tmp_path / "letterbox")

    def identities() -> list[str]:
        return [message["Message-ID"] for message in letterbox.messages]

    here, nobody = letterbox.command, [str(tmp_path / "nowhere"), "{recipient}"]
    return Stage(kinds()["sendmail"](command=here), kinds()["sendmail"](command=tuple(nobody)), identities)


@pytest.fixture(params=sorted(kinds()))
def stage(request: pytest.FixtureRequest) -> Stage:
    found: Stage = request.getfixturevalue(request.param)  # a new kind has to say here how it is reached
    return found


def parcels(count: int) -> list[Parcel]:
    return [make_parcel(number, issue=make_issue(number)) for number in range(1, count + 1)]


def test_each_parcel_has_one_receipt_in_order(stage: Stage, net: Net) -> None:
    receipts = list(stage.channel.send(parcels(4), net))
    assert [(receipt.delivery, receipt.verdict) for receipt in receipts] == [(n, Verdict.SENT) for n in range(1, 5)]
    assert len(stage.identities()) == len(set(stage.identities())) == 4


def test_no_parcel_is_no_receipt(stage: Stage, net: Net) -> None:
    assert list(stage.channel.send(iter(()), net)) == []


def test_parcels_are_asked_for_one_at_a_time_and_none_leaves_early(stage: Stage, net: Net) -> None:
    asked: list[int] = []

    def stream() -> Iterator[Parcel]:
        for parcel in parcels(3):
            asked.append(parcel.delivery)
            yield parcel

    sending = stage.channel.send(stream(), net)
    assert asked == []
    for taken, _ in enumerate(sending, start=1):
        assert len(asked) == taken
        assert len(stage.identities()) == taken


def test_the_same_parcel_twice_has_the_same_identity(stage: Stage, net: Net) -> None:
    list(stage.channel.send(parcels(1), net))
    list(stage.channel.send(parcels(1), net))
    assert len(set(stage.identities())) == 1


def test_a_stream_that_is_closed_early_leaves_no_socket_open(stage: Stage, net: Net) -> None:
    sending = stage.channel.send(parcels(3), net)
    next(sending)
    sending.close()
    assert len(stage.identities()) == 1
    net.close()  # kept connections are the network's, not the channel's
    before = open_sockets()
    another = stage.channel.send(parcels(3), net)
    next(another)
    another.close()
    net.close()
    wait_for(lambda: open_sockets() <= before)


def test_a_stream_whose_parcels_fail_leaves_no_socket_open(stage: Stage, net: Net) -> None:
    def broken() -> Iterator[Parcel]:
        yield from parcels(1)
        raise LookupError

    net.close()
    before = open_sockets()
    with pytest.raises(LookupError):
        list(stage.channel.send(broken(), net))
    net.close()
    wait_for(lambda: open_sockets() <= before)


def test_nobody_there_loses_no_parcel(stage: Stage, net: Net) -> None:
    receipts: list[Receipt] = []
    try:
        receipts.extend(stage.nobody.send(parcels(2), net))
    except ChannelError:
        assert receipts == []
    else:
        assert [receipt.verdict for receipt in receipts] == [Verdict.DEFERRED] * 2


def test_a_connection_that_cannot_be_made_is_a_channel_that_is_down(smtp: Stage, net: Net) -> None:
    with pytest.raises(ChannelDown):
        list(smtp.nobody.send(parcels(1), net))
    with pytest.raises(ChannelDown):
        smtp.nobody.check(net)


def test_check_answers_in_one_line_and_sends_nothing(stage: Stage, net: Net) -> None:
    answer = stage.channel.check(net)
    assert answer
    assert "\n" not in answer
    assert stage.identities() == []


def open_sockets() -> int:
    """How many sockets this process has, the receivers' own among them."""
    return sum(path.is_socket() for path in Path("/proc/self/fd").iterdir())
