from __future__ import annotations

import base64
import gzip
import logging
import shutil
import socket
import ssl
import subprocess
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import brotli
import pytest
from hostile.server import Behaviour, closing, ok, serving
from hypothesis import given, settings
from hypothesis import strategies as st
from urllib3.response import ZstdDecoder
from waiting import PATIENCE

from publisher.errors import AddressRefused, BadStatus, NetError, TooLarge, TooSlow, Unreachable
from publisher.net import Answer, Net, _following, is_global, retry_after, sockets
from publisher.net.addresses import same_site

SECOND = timedelta(seconds=1)


@pytest.fixture(scope="module")
def shared() -> Iterator[Net]:
    net = Net(private=True, timeout=30 * SECOND)
    yield net
    net.close()


@pytest.fixture
def net(shared: Net) -> Net:
    return shared.bound()


@pytest.fixture(scope="module", autouse=True)
def no_name_servers() -> Iterator[None]:
    """Only localhost and addresses are known, so that no test asks the outside."""
    real = socket.getaddrinfo

    def look_up(host: str, port: int, **options: int) -> list[object]:
        numeric = 0 if host.lower().startswith("localhost") else socket.AI_NUMERICHOST
        return real(host, port, flags=numeric, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", look_up)
        yield


# --- an answer -------------------------------------------------------------------------------------------------------


def test_an_answer_is_whole_and_tells_its_type_and_validators(net: Net) -> None:
    answer = ok(b"<rss/>", "Content-Type: Text/XML; Charset=UTF-8", 'ETag: "a"', "Last-Modified: Mon, 02 Nov 2026")
    with serving(answer) as server:
        got = net.get(server.url + "/feed#part")
    assert (got.url, got.status, got.body) == (server.url + "/feed", 200, b"<rss/>")
    assert (got.media_type, got.charset, got.etag) == ("text/xml", "utf-8", '"a"')
    assert (got.modified, got.moved_to, got.headers["content-type"]) == (
        "Mon, 02 Nov 2026",
        "",
        "Text/XML; Charset=UTF-8",
    )


def test_a_conditional_request_may_be_answered_with_not_modified(net: Net) -> None:
    with serving(b"HTTP/1.1 304 Not Modified\r\nETag: a\r\n\r\n") as server:
        got = net.get(server.url, etag='W/"a"', modified="Mon, 02 Nov 2026 08:00:00 GMT")
    assert (got.status, got.body, got.etag) == (304, b"", "a")
    assert b'If-None-Match: W/"a"\r\n' in server.requests[0]
    assert b"If-Modified-Since: Mon, 02 Nov 2026 08:00:00 GMT\r\n" in server.requests[0]


def test_a_request_says_who_asks_and_keeps_no_cookies(net: Net) -> None:
    with serving(ok(b"", "Set-Cookie: id=1")) as server:
        net.get(server.url)
        net.get(server.url, headers={"accept": "application/json"})
    assert b"User-Agent: publisher/" in server.requests[0]
    assert b"Cookie" not in server.requests[1]
    assert server.requests[1].lower().count(b"accept: ") == 1


def test_the_environment_has_no_say(net: Net, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with serving(ok()) as server:
        net.get(server.url)
    assert b"Authorization" not in server.requests[0]


def test_a_post_carries_its_body_and_headers(net: Net) -> None:
    with serving(ok(b"thanks")) as server:
        assert net.post(server.url, b"{}", headers={"Content-Type": "application/json"}).body == b"thanks"
    assert server.requests[0].startswith(b"POST / HTTP/1.1\r\n")
    assert server.requests[0].endswith(b"\r\n\r\n{}")
    assert b"Content-Type: application/json\r\n" in server.requests[0]


def test_a_post_follows_no_redirect(net: Net) -> None:
    answer = ok(b"", "Location: /there", status="307 Temporary Redirect")
    with serving(answer) as server, pytest.raises(BadStatus) as caught:
        net.post(server.url, b"{}", headers={})
    assert caught.value.status == 307
    assert len(server.requests) == 1


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate", "raw deflate", "br", "zstd", "identity", ""])
def test_every_content_coding_is_undone(net: Net, coding: str) -> None:
    body = b"<rss>" + b"entry " * 30_000 + b"</rss>"
    name = coding.removeprefix("raw ")
    with serving(ok(coded(coding, body), f"Content-Encoding: {name}")) as server:
        assert net.get(server.url).body == body


def coded(coding: str, body: bytes) -> bytes:
    if coding == "br":
        return brotli.compress(body, quality=4)
    if coding == "zstd":
        return ZstdDecoder.__init__.__globals__["zstd"].compress(body)  # whichever module this Python has it in
    if coding == "raw deflate":
        packer = zlib.compressobj(wbits=-15)
        return packer.compress(body) + packer.flush()
    return {"gzip": gzip.compress, "x-gzip": gzip.compress, "deflate": zlib.compress}.get(coding, bytes)(body)


def test_a_chunked_answer_is_put_together(net: Net) -> None:
    with serving(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
    ) as server:
        assert net.get(server.url).body == b"abcde"
        assert net.get(server.url).body == b"abcde"
    assert server.connections == 1


def test_an_answer_that_ends_with_the_connection_is_whole(net: Net) -> None:
    with serving(closing(b"HTTP/1.0 200 OK\r\n\r\nabc")) as server:
        assert net.get(server.url).body == b"abc"


# --- connections -----------------------------------------------------------------------------------------------------


def test_one_connection_serves_many_requests_also_under_other_limits(net: Net) -> None:
    with serving(ok(b"x")) as server:
        net.get(server.url)
        net.bound(timeout=20 * SECOND, max_bytes=10).get(server.url)
        net.post(server.url, b"y", headers={})
    assert server.connections == 1


def test_a_private_connection_is_never_found_by_a_net_that_may_not_have_it(net: Net) -> None:
    with serving(ok(b"x")) as server:
        net.get(server.url)
        with pytest.raises(AddressRefused):
            net.bound(private=False).get(server.url)
    assert len(server.requests) == 1


def test_a_kept_connection_that_dies_is_replaced_for_get(net: Net) -> None:
    def behave(connection: socket.socket, _: bytes) -> None:
        if len(server.requests) == 2:
            raise ConnectionError  # the request was read and nothing was said
        connection.sendall(ok(b"x"))

    with serving(behave) as server:
        net.get(server.url)
        assert net.get(server.url).body == b"x"
    assert (server.connections, len(server.requests)) == (2, 3)


def test_a_kept_connection_that_dies_is_an_error_for_post_which_may_have_been_heard(net: Net) -> None:
    def behave(connection: socket.socket, _: bytes) -> None:
        if len(server.requests) == 2:
            raise ConnectionError
        connection.sendall(ok(b"x"))

    with serving(behave) as server:
        net.post(server.url, b"a", headers={})
        with pytest.raises(Unreachable, match="closed the connection"):
            net.post(server.url, b"b", headers={})
    assert len(server.requests) == 2


def test_a_new_connection_that_dies_is_not_tried_again(net: Net) -> None:
    with serving(closing(b"")) as server, pytest.raises(Unreachable, match="closed the connection"):
        net.get(server.url)
    assert server.connections == 1


def test_many_threads_share_one_net(net: Net) -> None:
    def behave(connection: socket.socket, request: bytes) -> None:
        connection.sendall(ok(request.split(b" ")[1]))

    with serving(behave) as server, ThreadPoolExecutor(16) as pool:
        bodies = pool.map(lambda n: net.get(f"{server.url}/{n}").body, range(200))
        assert list(bodies) == [b"/%d" % n for n in range(200)]


# --- redirects -------------------------------------------------------------------------------------------------------


def redirecting(**steps: str) -> Behaviour:
    """``a="301 /b"``: the path /a answers so; any other path is a success."""

    def behave(connection: socket.socket, request: bytes) -> None:
        step = steps.get(request.split(b" ")[1].decode().strip("/"))
        status, _, location = (step or "").partition(" ")
        connection.sendall(ok(b"", f"Location: {location}", status=f"{status} Moved") if step else ok(b"here"))

    return behave


@pytest.mark.parametrize(
    ("steps", "end", "moved"),
    [
        ({"a": "301 /b"}, "/b", True),
        ({"a": "308 /b", "b": "301 /c"}, "/c", True),
        ({"a": "302 /b"}, "/b", False),
        ({"a": "303 /b"}, "/b", False),
        ({"a": "307 b"}, "/b", False),
        ({"a": "301 /b", "b": "302 /c"}, "/c", False),
        ({"a": "302 /b", "b": "301 /c"}, "/c", False),
        ({"a": "301 /%C3%BC?q=a b#top"}, "/%C3%BC?q=a%20b", True),
        ({"a": "301 /\u00c3\u00bc"}, "/%C3%BC", True),  # UTF-8 bytes, as Latin-1 reads them
        ({"a": "301 b", "b": "301 c", "c": "301 d", "d": "301 e", "e": "301 f"}, "/f", True),
    ],
)
def test_the_new_address_is_remembered_only_if_every_step_was_permanent(
    net: Net, steps: dict[str, str], end: str, moved: bool
) -> None:
    with serving(redirecting(**steps)) as server:
        got = net.get(server.url + "/a")
    assert (got.body, got.url) == (b"here", server.url + end)
    assert got.moved_to == (server.url + end if moved else "")


def test_a_loop_of_redirects_is_left_after_five(net: Net) -> None:
    with serving(redirecting(a="302 /b", b="302 /a")) as server, pytest.raises(Unreachable, match="more than 5"):
        net.get(server.url + "/a")
    assert len(server.requests) == 6


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/", "javascript:1", "http://[::1"])
def test_a_redirect_leads_only_to_web_addresses(net: Net, location: str) -> None:
    with serving(redirecting(a=f"302 {location}")) as server, pytest.raises(Unreachable):
        net.get(server.url + "/a")


def test_a_redirect_without_an_address_is_a_bad_status(net: Net) -> None:
    with serving(ok(status="302 Found")) as server, pytest.raises(BadStatus, match="answered 302 Found"):
        net.get(server.url)


@pytest.mark.parametrize("status", [307, 308])
def test_a_post_that_may_goes_on_as_it_is_to_whom_the_server_names(net: Net, status: int) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    with serving(ok(b"here"), host="127.0.0.2") as other, serving(redirecting(a=f"{status} {other.url}/b")) as server:
        login = server.url.replace("//", "//ada:swordfish@")
        assert net.post(login + "/a", b"a=b", headers=form, follow=True).body == b"here"
    assert server.requests[0].endswith(b"\r\n\r\na=b")
    assert b"Authorization" in server.requests[0]
    assert other.requests[0].startswith(b"POST /b HTTP/1.1\r\n")
    assert other.requests[0].endswith(b"\r\n\r\na=b")
    assert b"Content-Type: application/x-www-form-urlencoded\r\n" in other.requests[0]
    assert b"Authorization" not in other.requests[0]


@pytest.mark.parametrize(("steps", "requests"), [({"a": "302 /b"}, 1), ({"a": "307 /b", "b": "307 /a"}, 6)])
def test_a_post_goes_on_only_where_it_stays_one_and_not_for_ever(
    net: Net, steps: dict[str, str], requests: int
) -> None:
    with serving(redirecting(**steps)) as server, pytest.raises(BadStatus):
        net.post(server.url + "/a", b"", headers={}, follow=True)
    assert len(server.requests) == requests


def test_secrets_stay_with_the_host_that_they_were_given_for(net: Net) -> None:
    secrets = {"Authorization": "Bearer swordfish", "X-Key": "swordfish", "Accept": "text/xml"}
    with serving(ok(b"here"), host="127.0.0.2") as other, serving(redirecting(a=f"301 {other.url}/b")) as server:
        net.get(server.url + "/a", headers=secrets, etag="e")
    assert server.requests[0].count(b"swordfish") == 2
    assert b"swordfish" not in other.requests[0]
    assert b"Accept: text/xml" in other.requests[0]
    assert b"If-None-Match: e" in other.requests[0]


def test_secrets_go_along_within_a_host(net: Net) -> None:
    with serving(redirecting(a="301 /b")) as server:
        net.get(server.url + "/a", headers={"Authorization": "Bearer swordfish"})
    assert b"swordfish" in server.requests[1]


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("http://a.example/", "https://a.example/x", True),
        ("http://a.example:80/", "https://a.example:443/x", True),
        ("https://a.example/", "http://a.example/", False),
        ("https://a.example/", "https://a.example:8443/", False),
        ("http://a.example/", "https://b.a.example/", False),
        ("http://A.example/", "http://a.example:80/", True),
    ],
)
def test_a_host_is_the_same_if_nothing_weaker_or_foreign_hears_the_secret(old: str, new: str, same: bool) -> None:
    assert same_site(old, new) is same


def test_a_login_in_the_address_is_sent_as_basic_and_never_told(net: Net, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(ok(status="401 Unauthorized")) as server, pytest.raises(BadStatus) as caught:
        net.get(server.url.replace("//", "//j%C3%BCrgen:sword%40f:ish@"))
    token = base64.b64encode("jürgen:sword@f:ish".encode())
    assert b"Authorization: Basic " + token in server.requests[0]
    assert "sword" not in str(caught.value) + caplog.text


def test_an_address_with_a_login_does_not_move(net: Net) -> None:
    with serving(redirecting(a="301 /b")) as server:
        got = net.get(f"{server.url}/a".replace("//", "//user:swordfish@"))
    assert (got.moved_to, got.url) == ("", server.url + "/b")
    assert b"Authorization" in server.requests[1]


# --- addresses -------------------------------------------------------------------------------------------------------


def words(text: str) -> list[str]:
    return text.split()


SPELLINGS = """127.0.0.1 127.1 2130706433 0177.0.0.1 0x7f.1 0x7f000001 localhost LOCALHOST localhost. 0.0.0.0 0
[::1] [::] [::ffff:127.0.0.1] [::ffff:7f00:1] [::127.0.0.1] [64:ff9b::7f00:1] [64:ff9b::127.0.0.1] [2002:7f00:1::]
127.0.0.1. １２７.0.0.1 ⑫7.0.0.1"""


@pytest.mark.parametrize("host", words(SPELLINGS))
def test_no_spelling_of_loopback_reaches_a_server_there(shared: Net, host: str) -> None:
    with serving(ok(b"inside")) as canary, pytest.raises((AddressRefused, Unreachable)) as caught:
        shared.bound(private=False).get(f"http://{host}:{canary.port}/")
    assert canary.connections == 0
    if isinstance(caught.value, AddressRefused):
        assert caught.value.hint == "if this is meant, write private: true (on the command line: --private)"


@pytest.mark.parametrize(
    "address",
    words("""10.0.0.1 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 100.127.255.254 127.0.0.1 0.0.0.0 0.1.2.3
    224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255 192.0.2.1 198.18.0.1 192.0.0.192 ::1 :: ::127.0.0.1
    ::ffff:10.0.0.1 ::ffff:8.8.8.8 64:ff9b::8.8.8.8 64:ff9b::a00:1 64:ff9b:1::1 2002:a00:1:: 2002:808:808::
    2001:0:a00:1::1 2001:db8::1 fe80::1 fec0::1 fc00::1 fd00:ec2::254 ff02::1 ff0e::1 3fff::1 100::1"""),
)
def test_an_address_that_not_everyone_can_reach_is_not_global(address: str) -> None:
    assert not is_global(ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "185.199.108.153", "2606:4700:4700::1111", "2a00:1450::1"])
def test_an_address_that_everyone_can_reach_is_global(address: str) -> None:
    assert is_global(ip_address(address))


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_does_not_become_global_by_being_wrapped(address: IPv4Address) -> None:
    for prefix in ("::ffff:0:0", "64:ff9b::", "::"):
        assert not is_global(IPv6Address(int(IPv6Address(prefix)) + int(address)))
    assert not is_global(IPv6Address((0x2002 << 112) | (int(address) << 80)))


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """127.0.0.2 counts as an address on the Internet."""
    monkeypatch.setattr(sockets, "is_global", lambda address: str(address) == "127.0.0.2")


@pytest.mark.usefixtures("outside")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]", "0.0.0.0"])
def test_a_redirect_from_outside_does_not_lead_inside(shared: Net, host: str) -> None:
    with (
        serving(ok(b"inside")) as canary,
        serving(redirecting(a=f"302 http://{host}:{canary.port}/"), "127.0.0.2") as lure,
        pytest.raises((AddressRefused, Unreachable)),
    ):
        shared.bound(private=False).get(lure.url + "/a")
    assert (len(lure.requests), canary.connections) == (1, 0)


@pytest.mark.usefixtures("outside")
def test_a_post_from_outside_does_not_go_on_inside(shared: Net) -> None:
    with (
        serving(ok(b"inside")) as canary,
        serving(redirecting(a=f"307 {canary.url}/"), "127.0.0.2") as lure,
        pytest.raises(AddressRefused),
    ):
        shared.bound(private=False).post(lure.url + "/a", b"", headers={}, follow=True)
    assert (len(lure.requests), canary.connections) == (1, 0)


def naming(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Names resolve to these addresses, one list for each question; returns the questions."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def look_up(host: str, port: int, **options: int) -> list[object]:
        asked.append(host)
        addresses = answers[min(len(asked), len(answers)) - 1]
        return [entry for address in addresses for entry in real(address, port, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


@pytest.mark.usefixtures("outside")
def test_a_name_is_looked_up_once_and_connected_to_where_it_was_checked(
    shared: Net, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = naming(monkeypatch, ["127.0.0.2"], ["127.0.0.1"])
    with serving(ok(b"outside"), "127.0.0.2") as server:
        assert shared.bound(private=False).get(f"http://rebind.example:{server.port}/").body == b"outside"
    assert asked == ["rebind.example"]


@pytest.mark.usefixtures("outside")
def test_a_name_with_one_private_address_among_public_ones_is_refused(
    shared: Net, monkeypatch: pytest.MonkeyPatch
) -> None:
    naming(monkeypatch, ["127.0.0.2", "127.0.0.1"])
    with (
        serving(ok(), "127.0.0.2") as server,
        pytest.raises(AddressRefused, match=r"mixed\.example is at 127\.0\.0\.1"),
    ):
        shared.bound(private=False).get(f"http://mixed.example:{server.port}/")
    assert server.connections == 0


def test_the_next_address_is_tried_when_one_does_not_answer(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    naming(monkeypatch, ["127.0.0.3", "127.0.0.2"])
    with serving(ok(b"x"), "127.0.0.2") as server:
        assert net.get(f"http://two.example:{server.port}/").body == b"x"


def test_a_connection_for_another_protocol_is_made_under_the_same_rules(shared: Net) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = ("localhost", server.getsockname()[1])
        with shared.bound(private=True).dial(address, 30) as connected, server.accept()[0] as peer:
            peer.sendall(b"hello")
            assert connected.recv(5) == b"hello"
        with pytest.raises(AddressRefused, match="not a public address"):
            shared.bound(private=False).dial(address, 30)


def test_an_international_name_is_asked_for_in_ascii(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = naming(monkeypatch, ["127.0.0.1"])
    with serving(ok(b"x")) as server:
        net.get(f"http://bücher.example:{server.port}/ä?ö")
    assert asked == ["xn--bcher-kva.example"]
    assert server.requests[0].startswith(b"GET /%C3%A4?%C3%B6 HTTP/1.1\r\n")
    assert b"Host: xn--bcher-kva.example" in server.requests[0]


@pytest.mark.parametrize(
    "url",
    ["", "feed.xml", "//a.example", "ftp://a.example", "http://", "http://:80/", "http://[::1", "http://a b/", "http://*/",
     "http://a:99999/", "http://a:b/", "http://" + "a" * 64 + ".example/", "http://a..b/", "http://\x00/", "http://a\x00b/",
     "http://xn--/", "http://%zz/", "http://[v1.x]/", "http://user:swordfish@a b/", "http://user:sword/fish@[::1"],
)  # fmt: skip
def test_an_address_that_is_none_is_told_and_its_password_is_not(net: Net, url: str) -> None:
    with pytest.raises(Unreachable) as caught:
        net.get(url)
    assert "sword" not in str(caught.value)


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=30))
def test_any_text_as_address_gives_no_other_error_than_our_own(shared: Net, text: str) -> None:
    for url in (text, f"http://127.0.0.1:1/{text}", f"http://{text}@127.0.0.1:1/"):
        with pytest.raises(NetError):
            shared.bound(timeout=SECOND / 5, private=False).get(url)


@given(st.text(max_size=20))
def test_any_text_as_redirect_gives_no_other_error_than_our_own(text: str) -> None:
    answer = Answer("http://a.example/", 302, {"Location": text}, b"")
    try:
        following = _following(answer)
    except NetError:
        return
    assert following == "" or following.startswith(("http://", "https://"))


# --- limits ----------------------------------------------------------------------------------------------------------


def dripping(head: bytes, drop: bytes, pause: float = 0.05) -> Behaviour:
    def behave(connection: socket.socket, _: bytes) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(drop)
            time.sleep(pause)

    return behave


def silent(connection: socket.socket, _: bytes) -> None:
    connection.recv(1)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "behave",
    [
        silent,
        dripping(b"", b"H"),
        dripping(b"HTTP/1.1 200 OK\r\n", b"a"),
        dripping(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"),
        dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        dripping(b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
        dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x"),
        dripping(CHUNKED, b"1\r\nx\r\n"),
        dripping(CHUNKED, b"0"),
        dripping(CHUNKED + b"0\r\n", b"a: b\r\n"),
        dripping(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", gzip.compress(b"")),
    ],
    ids=[
        "silence",
        "status",
        "header",
        "headers",
        "continue",
        "body",
        "length",
        "chunks",
        "size",
        "trailers",
        "empty gzip",
    ],
)
def test_a_drip_does_not_outlast_the_deadline(net: Net, behave: Behaviour) -> None:
    with serving(behave) as server, within(0.25), pytest.raises(TooSlow, match=r"took more than 0\.25 s"):
        net.bound(timeout=timedelta(seconds=0.25)).get(server.url)


class within:  # noqa: N801 - reads as a statement
    """The block takes so many seconds, and not as long as what would hold it up."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __enter__(self) -> None:
        self.started = time.monotonic()

    def __exit__(self, *_: object) -> None:
        assert self.seconds <= time.monotonic() - self.started + 0.01 < PATIENCE / 2


def test_an_upload_that_nobody_reads_ends_with_the_deadline(net: Net) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf, within(0.25), pytest.raises(TooSlow):
        net.bound(timeout=timedelta(seconds=0.25)).post(
            f"http://127.0.0.1:{deaf.getsockname()[1]}/", b"x" * 20_000_000, headers={}
        )


def test_a_tls_handshake_that_nobody_answers_ends_with_the_deadline(net: Net) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf, within(0.25), pytest.raises(TooSlow):
        net.bound(timeout=timedelta(seconds=0.25)).get(f"https://127.0.0.1:{deaf.getsockname()[1]}/")


def test_a_slow_name_server_ends_with_the_deadline(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(*_: object, **__: object) -> list[object]:
        time.sleep(PATIENCE)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with within(0.25), pytest.raises(TooSlow):
        net.bound(timeout=timedelta(seconds=0.25)).get("http://slow.example/")


def test_the_deadline_covers_all_redirects_together(net: Net) -> None:
    def behave(connection: socket.socket, _: bytes) -> None:
        time.sleep(0.15)
        connection.sendall(ok(b"", "Location: /", status="302 Found"))

    with serving(behave) as server, within(0.25), pytest.raises(TooSlow):
        net.bound(timeout=timedelta(seconds=0.25)).get(server.url)


def test_a_body_of_exactly_the_limit_is_taken(net: Net) -> None:
    with serving(ok(b"x" * 1000)) as server:
        assert len(net.bound(max_bytes=1000).get(server.url).body) == 1000


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", CHUNKED], ids=["endless", "chunked"])
def test_an_endless_body_ends_at_the_limit(net: Net, head: bytes) -> None:
    piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    with serving(dripping(head, piece, pause=0)) as server, pytest.raises(TooLarge, match="more than 1000000 bytes"):
        net.bound(max_bytes=1_000_000).get(server.url)


def test_a_body_that_says_it_is_too_long_is_not_read(net: Net) -> None:
    with serving(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n") as server, pytest.raises(TooLarge):
        net.bound(max_bytes=1000).get(server.url)


@pytest.mark.parametrize("size", [b"-1", b"-ffffff", b"7fffffffffffffff", b"ffffffffffffffffffff"])
def test_a_chunk_of_absurd_size_takes_no_memory(net: Net, size: bytes) -> None:
    behave = dripping(CHUNKED + size + b"\r\n", b"x" * 65536, pause=0)
    with serving(behave) as server, light(20_000_000), pytest.raises(NetError):
        net.bound(max_bytes=1_000_000).get(server.url)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\na: ", b"HTTP/1.1 "])
def test_endless_headers_take_no_memory(net: Net, head: bytes) -> None:
    with serving(dripping(head, b"x" * 65536, pause=0)) as server, light(20_000_000), pytest.raises(NetError):
        net.get(server.url)


class light:  # noqa: N801 - reads as a statement
    """The block allocates no more than so many bytes at a time."""

    def __init__(self, most: int) -> None:
        self.most = most

    def __enter__(self) -> None:
        tracemalloc.start()

    def __exit__(self, *_: object) -> None:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < self.most


@pytest.mark.parametrize("coding", ["gzip", "deflate", "raw deflate", "br", "zstd"])
def test_a_bomb_unfolds_no_further_than_the_limit(net: Net, coding: str, bombs: Callable[[str], bytes]) -> None:
    bomb = ok(bombs(coding), f"Content-Encoding: {coding.removeprefix('raw ')}")
    with serving(bomb) as server, light(8_000_000), pytest.raises(TooLarge):
        net.bound(max_bytes=1_000_000).get(server.url)


@pytest.fixture(scope="module")
def bombs() -> Callable[[str], bytes]:
    zeros = bytes(50_000_000)
    return lambda coding: coded(coding, zeros)


def test_a_body_compressed_many_times_over_is_refused(net: Net) -> None:
    answer = ok(gzip.compress(gzip.compress(b"x")), "Content-Encoding: gzip, gzip")
    with serving(answer) as server, pytest.raises(Unreachable, match="compressed more than once"):
        net.get(server.url)


# --- what is no answer -----------------------------------------------------------------------------------------------

PACKED = gzip.compress(b"entry " * 1000)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        CHUNKED + b"5\r\nab",
        CHUNKED + b"2\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 99\r\n\r\n" + PACKED[:20],
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + PACKED[:-12],
        b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n\r\n" + coded("deflate", b"entry " * 1000)[:-8],
        b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\n" + coded("br", b"entry " * 1000)[:-4],
        b"HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\n\r\n" + coded("zstd", b"entry " * 1000)[:-4],
    ],
    ids=["length", "chunk", "no last chunk", "gzip length", "gzip", "deflate", "br", "zstd"],
)
def test_a_body_that_was_cut_short_is_an_error(net: Net, answer: bytes) -> None:
    with serving(closing(answer)) as server, pytest.raises(Unreachable, match="cut its answer short"):
        net.get(server.url)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\r\n\r\n",
        b"HTTP/9.9.9 200\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 99999 OK\r\n\r\n",
        CHUNKED + b"xyz\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nab",
        ok(b"no gzip", "Content-Encoding: gzip"),
        ok(b"no br", "Content-Encoding: br"),
        ok(b"no zstd", "Content-Encoding: zstd"),
        ok(b"no deflate", "Content-Encoding: deflate"),
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\na: " + b"b" * 70_000 + b"\r\n\r\n",
    ],
)
def test_what_is_no_http_is_told_in_words(net: Net, answer: bytes) -> None:
    with serving(closing(answer)) as server, pytest.raises(Unreachable) as caught:
        net.get(server.url)
    assert str(caught.value).startswith(f"127.0.0.1:{server.port} ")
    assert "Connection aborted" not in str(caught.value)
    assert str(caught.value).isprintable()  # the server's words cannot break out of a line of a log


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=60), st.sampled_from(["gzip", "deflate", "br", "zstd"]))
def test_any_bytes_as_a_compressed_body_give_no_other_error_than_our_own(shared: Net, junk: bytes, coding: str) -> None:
    with serving(closing(ok(junk, f"Content-Encoding: {coding}"))) as server:
        try:
            shared.get(server.url)
        except NetError:
            return


def test_a_refused_connection_is_told(net: Net) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(Unreachable, match=f"^127.0.0.1:{port} refused the connection$"):
        net.get(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    ("code", "said"),
    [(socket.EAI_NONAME, "no such host: a.example"), (socket.EAI_AGAIN, "no name server answers for a.example")],
)
def test_a_name_without_an_address_is_told(net: Net, monkeypatch: pytest.MonkeyPatch, code: int, said: str) -> None:
    def look_up(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(code, "the system's words")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(Unreachable) as caught:
        net.get("http://a.example/")
    assert str(caught.value) == said


@pytest.mark.parametrize(("status", "said"), [("404 x", "404 Not Found"), ("503 x", "503 Service"), ("599 x", "599")])
def test_a_status_that_is_no_success_is_told_without_the_path(net: Net, status: str, said: str) -> None:
    with serving(ok(b"sorry", "Retry-After: 120", status=status)) as server, pytest.raises(BadStatus) as caught:
        net.get(server.url + "/secret-hook")
    assert caught.value.status == int(status[:3])
    assert caught.value.retry_after == timedelta(seconds=120)
    assert said in str(caught.value)
    assert "secret-hook" not in str(caught.value)


NOW = datetime(2026, 11, 3, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("120", timedelta(seconds=120)),
        (" 0 ", timedelta()),
        ("9" * 5000, timedelta(days=30)),
        (format_datetime(NOW + timedelta(hours=1), usegmt=True), timedelta(hours=1)),
        (format_datetime(NOW - timedelta(hours=1), usegmt=True), timedelta()),
        ("Fri, 31 Dec 9999 23:59:59 GMT", timedelta(days=30)),
        ("Tuesday, 03-Nov-26 09:00:00 GMT", timedelta(hours=1)),
        ("Tue Nov  3 09:00:00 2026", timedelta(hours=1)),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("²", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_of_at_most_thirty_days(text: str, wait: timedelta | None) -> None:
    assert retry_after(text, NOW) == wait


@given(st.text())
def test_retry_after_reads_any_text(text: str) -> None:
    wait = retry_after(text, NOW)
    assert wait is None or timedelta() <= wait <= timedelta(days=30)


# --- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a self-signed certificate for localhost, in one file."""
    if not shutil.which("openssl"):
        pytest.skip("the openssl command is needed to make a certificate")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = words("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2")
    subprocess.run(
        [*command, "-keyout", path, "-out", path.with_name("c.pem"), *names], check=True, capture_output=True
    )
    path.write_text(path.read_text() + path.with_name("c.pem").read_text())
    return path


@pytest.fixture(scope="module")
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trusting(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Net]:
    """Where the operator has put the certificate into the system's store."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_name("c.pem")))
    net = Net(private=True)
    yield net
    net.close()


def test_a_certificate_that_nobody_vouches_for_is_refused(net: Net, tls: ssl.SSLContext) -> None:
    said = r"^the certificate of localhost:\d+ is not valid: self-signed certificate"
    with serving(ok(), tls=tls) as server, pytest.raises(Unreachable, match=said):
        net.get(f"https://localhost:{server.port}/")
    assert server.requests == []


def test_a_certificate_in_the_systems_store_is_trusted(trusting: Net, tls: ssl.SSLContext) -> None:
    with serving(ok(b"x" * 100_000), tls=tls) as server:
        for _ in range(3):
            assert len(trusting.get(f"https://localhost:{server.port}/").body) == 100_000
    assert server.connections == 1


def test_an_answer_tells_until_when_the_certificate_is_valid_also_on_a_kept_connection(
    trusting: Net, tls: ssl.SSLContext
) -> None:
    with serving(ok(), tls=tls) as server:
        told = [trusting.get(f"https://localhost:{server.port}/").certificate for _ in range(3)]
    assert server.connections == 1
    assert told == [told[0]] * 3
    assert told[0]
    assert told[0].ends - told[0].begins == timedelta(days=2)
    assert abs(told[0].ends - datetime.now(UTC)) <= timedelta(days=2)


def test_an_answer_without_tls_has_no_certificate(net: Net) -> None:
    with serving(ok()) as server:
        assert net.get(server.url).certificate is None


def test_a_certificate_for_another_name_is_refused(trusting: Net, tls: ssl.SSLContext) -> None:
    with serving(ok(), tls=tls) as server, pytest.raises(Unreachable, match=r"not valid for '127\.0\.0\.1'"):
        trusting.get(f"https://127.0.0.1:{server.port}/")


def test_a_drip_through_tls_does_not_outlast_the_deadline(trusting: Net, tls: ssl.SSLContext) -> None:
    behave = dripping(b"HTTP/1.1 200 OK\r\n\r\n", b"x")
    with serving(behave, tls=tls) as server, within(0.25), pytest.raises(TooSlow):
        trusting.bound(timeout=timedelta(seconds=0.25)).get(f"https://localhost:{server.port}/")


def test_an_upload_through_tls_that_nobody_reads_ends_with_the_deadline(trusting: Net, tls: ssl.SSLContext) -> None:
    def handshake_only(listener: socket.socket) -> None:
        with tls.wrap_socket(listener.accept()[0], server_side=True):
            done.wait(PATIENCE)

    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        threading.Thread(target=handshake_only, args=(deaf,), daemon=True).start()
        url = f"https://localhost:{deaf.getsockname()[1]}/"
        with within(0.25), pytest.raises(TooSlow):
            trusting.bound(timeout=timedelta(seconds=0.25)).post(url, b"x" * 20_000_000, headers={})
        done.set()


def test_a_server_that_speaks_no_tls_is_told(net: Net) -> None:
    with serving_plain() as port, pytest.raises(Unreachable, match=r"^localhost:\d+ and we have no TLS in common"):
        net.get(f"https://localhost:{port}/")


class serving_plain:  # noqa: N801 - reads as a statement
    """Answers the first bytes it gets in plain HTTP."""

    def __enter__(self) -> int:
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._answer, daemon=True).start()
        return int(self.listener.getsockname()[1])

    def _answer(self) -> None:
        connection, _ = self.listener.accept()
        with connection:
            connection.recv(10)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.recv(10_000)

    def __exit__(self, *_: object) -> None:
        self.listener.close()
