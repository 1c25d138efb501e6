from __future__ import annotations

import base64
import contextlib
import json
import re
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer
from receivers import free_port, make_issue, make_parcel
from standardwebhooks import Webhook as Receiver
from waiting import PATIENCE
from werkzeug import Request

from publisher.channels.webhook import KIND, Webhook, _judged
from publisher.errors import ChannelError, ChannelGone
from publisher.model import Parcel, Receipt, Subscriber, Verdict
from publisher.net import Net

SECRET = "whsec_" + base64.b64encode(b"0" * 32).decode()
OLD_SECRET = "whsec_" + base64.b64encode(b"1" * 24).decode()


@pytest.fixture
def hook(httpserver: HTTPServer) -> HTTPServer:
    httpserver.expect_request("/hook").respond_with_data("", status=204)
    return httpserver


def channel(server: HTTPServer, **options: object) -> Webhook:
    return Webhook(url=server.url_for("/hook"), private=True, timeout=timedelta(seconds=30), **options)


def send_one(options: Webhook, net: Net, parcel: Parcel | None = None) -> Receipt:
    (receipt,) = options.send([parcel or make_parcel()], net)
    return receipt


def request(server: HTTPServer) -> Request:
    return server.log[-1][0]


# --- what arrives ----------------------------------------------------------------------------------------------------


def test_an_issue_arrives_as_an_event(hook: HTTPServer, net: Net) -> None:
    receipt = send_one(channel(hook), net)
    assert receipt == Receipt(delivery=1, verdict=Verdict.SENT, detail="answered 204")
    assert request(hook).headers["Content-Type"] == "application/json"
    assert request(hook).json == {
        "type": "issue.published",
        "timestamp": "2026-11-03T08:00:00+00:00",
        "data": {"number": 1, "title": "The Weekly"},
    }


@pytest.mark.parametrize("held", [SECRET, OLD_SECRET])
def test_whoever_holds_either_secret_can_verify_it(hook: HTTPServer, net: Net, held: str) -> None:
    send_one(channel(hook, secret=f"{SECRET} {OLD_SECRET}"), net)
    seen = request(hook)
    assert Receiver(held).verify(seen.data, dict(seen.headers))["type"] == "issue.published"


def test_a_second_attempt_has_the_same_id_and_another_parcel_another(hook: HTTPServer, net: Net) -> None:
    other = make_parcel(issue=make_issue(2))
    list(channel(hook, secret=SECRET).send([make_parcel(), make_parcel(), other], net))
    first, second, third = (seen.headers["webhook-id"] for seen, _ in hook.log)
    assert first == second != third
    assert first.startswith("msg_")


def test_without_a_secret_nothing_is_signed(hook: HTTPServer, net: Net) -> None:
    send_one(channel(hook), net)
    assert "webhook-signature" not in request(hook).headers
    assert "webhook-id" in request(hook).headers


def test_headers_can_be_added_but_not_the_signature_s_replaced(hook: HTTPServer, net: Net) -> None:
    send_one(channel(hook, headers={"Authorization": "Bearer token", "webhook-id": "mine"}), net)
    assert request(hook).headers["Authorization"] == "Bearer token"
    assert request(hook).headers["webhook-id"].startswith("msg_")


# --- a body of one's own ---------------------------------------------------------------------------------------------


@pytest.fixture
def template(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "partner.json.j2"
        path.write_text(text)
        return path

    return write


def test_a_template_makes_the_body(hook: HTTPServer, net: Net, template: Callable[[str], Path]) -> None:
    text = (
        '{"text": {{ (publication.title ~ " \\"" ~ site.title ~ "\\"") | tojson }},'
        ' "number": {{ issue.number }}, "of": {{ entries | length }}, "all": {{ payload | tojson }}}'
    )
    send_one(channel(hook, body=template(text), secret=SECRET), net)
    assert Receiver(SECRET).verify(request(hook).data, dict(request(hook).headers)) == {
        "text": 'The Weekly "Harbour News"',
        "number": 1,
        "of": 0,
        "all": {"number": 1, "title": "The Weekly"},
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ payload.title }}", r"partner\.json\.j2 does not make JSON: .*tojson"),
        ("{{ nothing }}", r"partner\.json\.j2: .*nothing.*Known here: "),
        ("{{ ''.__class__ }}", r"partner\.json\.j2"),
        ("{{ recipient.address | tojson }}", r"partner\.json\.j2: .*recipient"),
    ],
)
def test_a_parcel_of_which_a_template_makes_no_json_is_broken_and_not_sent(
    hook: HTTPServer, net: Net, template: Callable[[str], Path], text: str, message: str
) -> None:
    receipt = send_one(channel(hook, body=template(text)), net)
    assert receipt.verdict is Verdict.BROKEN
    assert re.search(message, receipt.detail)
    assert hook.log == []


def test_one_broken_parcel_keeps_no_other_back(hook: HTTPServer, net: Net, template: Callable[[str], Path]) -> None:
    options = channel(hook, body=template('{"n": {{ 1 // (issue.number - 2) }}}'))
    receipts = options.send([make_parcel(n, issue=make_issue(n)) for n in (1, 2, 3)], net)
    assert [receipt.verdict for receipt in receipts] == [Verdict.SENT, Verdict.BROKEN, Verdict.SENT]


def test_a_template_that_does_not_compile_is_a_fault_of_the_channel(
    hook: HTTPServer, net: Net, template: Callable[[str], Path]
) -> None:
    with pytest.raises(ChannelError, match=r"partner\.json\.j2: template:1"):
        send_one(channel(hook, body=template("{% if %}")), net)
    assert hook.log == []


@pytest.mark.parametrize("act", ["send", "check"])
def test_a_template_that_is_missing_is_named(hook: HTTPServer, net: Net, tmp_path: Path, act: str) -> None:
    options = channel(hook, body=tmp_path / "nowhere.j2")
    with pytest.raises(ChannelError, match=r"nowhere\.j2 cannot be read"):
        options.check(net) if act == "check" else send_one(options, net)


def test_an_issue_without_its_record_is_broken(hook: HTTPServer, net: Net) -> None:
    bare = replace(make_issue(3), documents=())
    receipt = send_one(channel(hook), net, make_parcel(issue=bare))
    assert receipt.verdict is Verdict.BROKEN
    assert receipt.detail.startswith("weekly, issue 3: no issue.json")


def test_a_message_to_the_operator_is_no_issue_that_was_published(hook: HTTPServer, net: Net) -> None:
    issue = make_issue(0)
    for name in ("weekly", "alerts"):
        told = replace(issue, publication=replace(issue.publication, name=name))
        send_one(channel(hook), net, make_parcel(issue=told))
    assert [json.loads(asked.data)["type"] for asked, _ in hook.log] == ["issue.published", "alert"]


# --- one request for each recipient ----------------------------------------------------------------------------------

ANN = replace(
    make_parcel(1, "Ann <ann@example.org>"),
    subscriber=Subscriber(address="ann@example.org", name="Ann", unsubscribe="https://news.example.org/-/u/x7"),
    token="x7",
)


def test_an_issue_is_one_request_unless_each_recipient_is_asked_for(hook: HTTPServer) -> None:
    assert not channel(hook).personal
    assert channel(hook, each_recipient=True).personal


def test_a_request_for_a_recipient_says_whose_it_is(hook: HTTPServer, net: Net) -> None:
    send_one(channel(hook, each_recipient=True, secret=SECRET), net, ANN)
    event = Receiver(SECRET).verify(request(hook).data, dict(request(hook).headers))
    assert event["data"] == {"number": 1, "title": "The Weekly"}
    assert event["recipient"] == {
        "address": "ann@example.org",
        "name": "Ann",
        "unsubscribe": "https://news.example.org/-/u/x7",
        "token": "x7",
    }


def test_a_request_for_the_issue_names_no_recipient(hook: HTTPServer, net: Net) -> None:
    send_one(channel(hook), net, ANN)
    assert b"ann" not in request(hook).data.lower()


def test_a_template_knows_the_recipient(hook: HTTPServer, net: Net, template: Callable[[str], Path]) -> None:
    options = channel(hook, each_recipient=True, body=template('{"to": {{ recipient.address | tojson }}}'))
    send_one(options, net, ANN)
    assert request(hook).json == {"to": "ann@example.org"}


def test_each_recipient_has_an_id_of_their_own_and_what_is_no_address_fails(hook: HTTPServer, net: Net) -> None:
    parcels = [make_parcel(1), make_parcel(2, "nobody"), make_parcel(3), make_parcel(1)]
    receipts = list(channel(hook, each_recipient=True).send(parcels, net))
    assert [receipt.verdict for receipt in receipts] == [Verdict.SENT, Verdict.FAILED, Verdict.SENT, Verdict.SENT]
    first, second, again = (seen.headers["webhook-id"] for seen, _ in hook.log)
    assert first == again != second


def test_so_many_requests_are_underway_at_once_as_the_options_say(hook: HTTPServer) -> None:
    assert [way.connections for way in channel(hook, each_recipient=True, connections=5).ways()] == [5]
    assert [way.connections for way in channel(hook).ways()] == [1]


# --- what comes back -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "verdict", "words"),
    [
        (200, Verdict.SENT, "answered 200"),
        (202, Verdict.SENT, "answered 202"),
        (301, Verdict.FAILED, "write the new address"),
        (304, Verdict.FAILED, "moved"),
        (307, Verdict.FAILED, "write the new address"),
        (400, Verdict.FAILED, "400 Bad Request"),
        (401, Verdict.FAILED, "401"),
        (404, Verdict.FAILED, "404"),
        (408, Verdict.DEFERRED, "408"),
        (429, Verdict.DEFERRED, "429"),
        (500, Verdict.DEFERRED, "500"),
        (503, Verdict.DEFERRED, "503 Service Unavailable"),
    ],
)
def test_a_status_is_a_verdict(httpserver: HTTPServer, net: Net, status: int, verdict: Verdict, words: str) -> None:
    headers = {"Location": httpserver.url_for("/elsewhere")}
    httpserver.expect_request("/hook").respond_with_data("", status=status, headers=headers)
    receipt = send_one(channel(httpserver), net)
    assert receipt.verdict is verdict
    assert words in receipt.detail
    assert len(httpserver.log) == 1


def test_410_says_that_nothing_shall_be_sent_there_any_more(httpserver: HTTPServer, net: Net) -> None:
    httpserver.expect_request("/hook").respond_with_data("", status=410)
    receipts: list[Receipt] = []
    with pytest.raises(ChannelGone, match="410 Gone"):
        receipts.extend(channel(httpserver).send([make_parcel(1), make_parcel(2)], net))
    assert (receipts, len(httpserver.log)) == ([], 1)


@pytest.mark.parametrize("status", [429, 503])
def test_the_other_side_says_how_long_to_wait(httpserver: HTTPServer, net: Net, status: int) -> None:
    httpserver.expect_request("/hook").respond_with_data("", status=status, headers={"Retry-After": "120"})
    assert send_one(channel(httpserver), net).retry_after == timedelta(minutes=2)


def test_nobody_there_defers_without_showing_the_address(net: Net) -> None:
    options = Webhook(url=f"http://127.0.0.1:{free_port()}/hook?token=hunter2", private=True)
    receipt = send_one(options, net)
    assert receipt.verdict is Verdict.DEFERRED
    assert "hunter2" not in f"{receipt} {options!r}"


def test_the_other_side_has_half_a_minute_in_all() -> None:
    assert Webhook(url="https://partner.example.org/").timeout == timedelta(seconds=30)


@pytest.fixture
def answering() -> Iterator[Callable[[Callable[[socket.socket], None]], str]]:
    """Starts a server that hands each connection, before anything was read from it, to a function."""
    servers: list[socketserver.ThreadingTCPServer] = []

    def start(act: Callable[[socket.socket], None]) -> str:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    act(self.request)

        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}/hook"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def take(connection: socket.socket) -> None:
    """Read a request with its body."""
    with connection.makefile("rb") as file:
        length = 0
        while (line := file.readline().lower()) not in (b"\r\n", b""):
            length = int(line.split()[1]) if line.startswith(b"content-length:") else length
        file.read(length)


def drip(connection: socket.socket) -> None:
    take(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"x: y\r\n")
        time.sleep(0.05)


def test_an_answer_that_drips_is_not_waited_for_beyond_the_deadline(
    answering: Callable[[Callable[[socket.socket], None]], str], net: Net
) -> None:
    began = time.monotonic()
    options = Webhook(url=answering(drip), private=True, timeout=timedelta(seconds=0.3))
    assert send_one(options, net).verdict is Verdict.UNCERTAIN
    assert time.monotonic() - began < PATIENCE / 2


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
def test_a_connection_lost_before_the_answer_was_whole_leaves_it_open_whether_it_arrived(
    answering: Callable[[Callable[[socket.socket], None]], str], net: Net, answer: bytes
) -> None:
    def act(connection: socket.socket) -> None:
        take(connection)
        connection.sendall(answer)

    assert send_one(Webhook(url=answering(act), private=True), net).verdict is Verdict.UNCERTAIN


def test_without_a_connection_nothing_has_arrived(
    answering: Callable[[Callable[[socket.socket], None]], str], net: Net
) -> None:
    def act(connection: socket.socket) -> None:
        connection.sendall(b"no TLS here\r\n")

    secure = answering(act).replace("http:", "https:")
    assert send_one(Webhook(url=secure, private=True), net).verdict is Verdict.DEFERRED
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        port = deaf.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):  # who waits before us is never let in
            options = Webhook(url=f"http://127.0.0.1:{port}/", private=True, timeout=timedelta(seconds=0.3))
            receipt = send_one(options, net)
    assert (receipt.verdict, receipt.detail) == (Verdict.DEFERRED, f"127.0.0.1:{port} took more than 0.3 s")


def test_a_private_address_is_refused_unless_it_is_allowed(hook: HTTPServer, net: Net) -> None:
    receipt = send_one(Webhook(url=hook.url_for("/hook").replace("localhost", "127.0.0.1")), net)
    assert receipt.verdict is Verdict.FAILED
    assert "private" in receipt.detail
    assert hook.log == []


@given(st.integers(100, 999))
def test_every_status_is_exactly_one_verdict(status: int) -> None:
    verdict, _ = _judged(status)
    assert (verdict is Verdict.SENT) == (200 <= status < 300)
    assert (verdict is Verdict.DEFERRED) == (status >= 500 or status in (408, 425, 429))


# --- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", ["hunter2", "whsec_", "whsec_not base64!", "whsec_####", f"{SECRET} {SECRET[6:]}"])
def test_a_secret_that_is_none_is_refused_without_showing_it(secret: str) -> None:
    with pytest.raises(ValueError, match=r"^secret: it is whsec_ and base64") as caught:
        Webhook(url="https://partner.example.org/", secret=secret)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["", "partner.example.org", "ftp://partner.example.org", "https://", "https://a:b/", "https://a/\n"]
)
def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"^url: not a web address"):
        Webhook(url=url)


@pytest.mark.parametrize("header", [("a b", "c"), ("a", "b\r\nc: d"), ("a", ""), ("a", " b"), ("ä", "b"), ("a", "ä")])
def test_a_header_that_cannot_be_sent_is_refused(header: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match=r"^headers: "):
        Webhook(url="https://partner.example.org/", headers=dict([header]))


def test_check_compiles_the_template_and_sends_nothing(
    hook: HTTPServer, net: Net, template: Callable[[str], Path]
) -> None:
    assert "was not tried" in channel(hook, body=template("{{ payload | tojson }}")).check(net)
    with pytest.raises(ChannelError, match=r"partner\.json\.j2"):
        channel(hook, body=template("{% if %}")).check(net)
    assert hook.log == []


def test_the_kind_is_found_by_its_name() -> None:
    assert (KIND.kind, KIND) == ("webhook", Webhook)
