from __future__ import annotations

import base64
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from receivers import free_port
from waiting import PATIENCE

from publisher.channels import patiently
from publisher.channels._wire import Commands, Lost, NotSmtp, Relay, Reply, Wire, connect
from publisher.errors import ChannelDown, ChannelError


class Other:
    """The other end of a wire: says things, and hears what was said."""

    def __init__(self, timeout: float = PATIENCE) -> None:
        near, self.socket = socket.socketpair()
        near.setblocking(False)
        self.wire = Wire(near, timeout)

    def says(self, said: bytes) -> Wire:
        self.socket.sendall(said)
        return self.wire

    @property
    def heard(self) -> bytes:
        return self.socket.recv(1 << 16)


@pytest.fixture
def other() -> Iterator[Other]:
    other = Other()
    yield other
    other.wire.drop()
    other.socket.close()


# --- replies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        (b"250 2.0.0 fine\r\n", 250, "250 2.0.0 fine"),
        (b"250\r\n", 250, "250"),
        (b"250 \n", 250, "250"),
        (b"550-5.1.1 no such user:\r\n550 5.1.1 try again\r\n", 550, "550 5.1.1 no such user: try again"),
        (b"550-5.1.1 one\r\n550-\r\n550 5.7.1 two\r\n", 550, "550 5.1.1 one 5.7.1 two"),
        ("550 gibt’s nicht\r\n".encode(), 550, "550 gibt’s nicht"),
        ("550 gibt es hier nicht: Jörg\r\n".encode("latin-1"), 550, "550 gibt es hier nicht: J\ufffdrg"),
        (b"450 \x1b[31mred\x07 and\x00null\r\n", 450, "450 [31mred and null"),
        (b"450 " + b"x" * 4000 + b"\r\n", 450, "450 " + "x" * 300),
    ],
)
def test_a_reply_is_a_code_and_words_fit_to_be_shown(other: Other, said: bytes, code: int, words: str) -> None:
    reply = patiently(other.says(said).reply("RCPT"))
    assert (reply.code, reply.words) == (code, words)


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\r\n",
        b"25 short\r\n",
        b"2500 long\r\n",
        b"150 before the fact\r\n",
        b"650 beyond\r\n",
        b"250-one\r\n550 two\r\n",
        b"250-one\r\n<html>\r\n",
        b"250 " + b"x" * 5000 + b"\r\n",
        b"250 " + b"x" * 5000,
        b"250-and so on\r\n" * 5000,
    ],
)
def test_what_is_no_reply_ends_it(other: Other, said: bytes) -> None:
    threading.Thread(target=other.says, args=(said,), daemon=True).start()  # more than a socket holds
    with pytest.raises(NotSmtp, match="does not speak SMTP"):
        patiently(other.wire.reply("MAIL"))


def test_a_reply_has_to_be_whole_in_time_however_slowly_it_drips() -> None:
    other = Other(timeout=0.2)

    def drip() -> None:
        with suppress(OSError):  # until the wire is dropped
            while True:
                other.socket.send(b"2")
                time.sleep(0.02)

    threading.Thread(target=drip, daemon=True).start()
    began = time.monotonic()
    with pytest.raises(Lost, match="timed out"):
        patiently(other.wire.reply("MAIL"))
    assert time.monotonic() - began < PATIENCE / 2
    other.wire.drop()
    other.socket.close()


def test_an_end_in_the_middle_of_a_reply_is_a_loss(other: Other) -> None:
    other.says(b"250-one\r\n250")
    other.socket.close()
    with pytest.raises(Lost, match="hung up"):
        patiently(other.wire.reply("MAIL"))


def test_an_answer_to_nothing_is_never_taken_for_the_next_one(other: Other) -> None:
    assert patiently(other.says(b"250 fine\r\n250 and more\r\n").reply("MAIL")).granted
    with pytest.raises(NotSmtp, match="what it was not asked: 250 and more"):
        patiently(other.wire.command(b"RCPT TO:<a@example.org>"))


def test_leave_taken_unasked_is_the_answer_to_whatever_comes_next(other: Other) -> None:
    patiently(other.says(b"250 fine\r\n421 4.3.2 shutting down\r\n").reply("MAIL"))
    assert patiently(other.wire.command(b"RCPT TO:<a@example.org>")).code == 421
    assert other.wire.closing


@given(st.sampled_from(["MAIL", "RCPT", "DATA", ".", "RSET"]), st.integers(200, 599))
def test_only_a_success_grants_a_command(command: str, code: int) -> None:
    assert Reply(command, code).granted == (code == 354 if command == "DATA" else code < 300)


MAIL = (b"MAIL FROM:<a@example.org>\r\n", b"RCPT TO:<b@example.org>\r\n", b"DATA\r\n")


@pytest.mark.parametrize("following", [MAIL, None])
def test_leave_is_taken_between_mails_and_never_within_one(other: Other, following: Commands | None) -> None:
    other.wire.features = {"PIPELINING": ""}
    assert patiently(other.says(b"250 from\r\n250 to\r\n354 go on\r\n").begin(MAIL)) is None
    patiently(other.wire.content(b"text\r\n"))
    assert patiently(other.says(b"250 taken\r\n").end(following)).granted
    other.says(b"221 bye\r\n")
    patiently(other.wire.close())
    left = b"".join(following or [b"QUIT\r\n"])
    assert other.heard == b"".join(MAIL) + b"text\r\n.\r\n" + left


# --- the door --------------------------------------------------------------------------------------------------------


@pytest.fixture
def relay() -> Iterator[Callable[..., tuple[Relay, list[bytes]]]]:
    """Starts a relay that greets, then gives the answers it was handed, one for each line; tells what it heard."""
    servers: list[socket.socket] = []

    def start(*answers: bytes, **login: object) -> tuple[Relay, list[bytes]]:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)
        heard: list[bytes] = []

        def serve() -> None:
            client, _ = server.accept()
            with client, client.makefile("rb") as lines:
                client.sendall(b"220 here\r\n")
                for answer in answers:
                    heard.append(lines.readline())
                    client.sendall(answer + b"\r\n")
                heard.extend(lines)

        threading.Thread(target=serve, daemon=True).start()
        return Relay("smtp", *server.getsockname(), **login), heard

    yield start
    for server in servers:
        server.close()


def hello(*offers: bytes) -> bytes:
    return b"\r\n".join([*(b"250-" + offer for offer in (b"here", *offers)), b"250 HELP"])


def encoded(text: bytes) -> bytes:
    return base64.b64encode(text) + b"\r\n"


Start = Callable[..., tuple[Relay, list[bytes]]]
LOGIN = {"user": "ann", "password": "s3cret"}


def test_what_a_relay_offers_is_known_in_capitals(relay: Start) -> None:
    there, _ = relay(hello(b"size 1000", b"AUTH=PLAIN LOGIN", b"Pipelining", b"8BITMIME"))
    wire = patiently(connect(there, 5))
    assert wire.features == {"SIZE": "1000", "AUTH": "PLAIN LOGIN", "PIPELINING": "", "8BITMIME": "", "HELP": ""}
    assert wire.pipelining
    wire.drop()


def test_a_relay_from_before_esmtp_is_greeted_in_its_own_way(relay: Start) -> None:
    there, heard = relay(b"502 what?", b"250 hello")
    wire = patiently(connect(there, 5))
    assert [line[:5] for line in heard] == [b"EHLO ", b"HELO "]
    assert not wire.pipelining
    wire.drop()


@pytest.mark.parametrize(
    ("offer", "answers", "said"),
    [
        (b"LOGIN PLAIN", [b"235 welcome"], [b"AUTH PLAIN " + encoded(b"\0ann\0s3cret")]),
        (
            b"CRAM-MD5 LOGIN",
            [b"334 VXNlcm5hbWU6", b"334 UGFzc3dvcmQ6", b"235 welcome"],
            [b"AUTH LOGIN\r\n", encoded(b"ann"), encoded(b"s3cret")],
        ),
    ],
)
def test_a_password_is_told_in_the_way_that_the_relay_offers(
    relay: Start, offer: bytes, answers: list[bytes], said: list[bytes]
) -> None:
    there, heard = relay(hello(b"AUTH " + offer), *answers, **LOGIN)
    patiently(connect(there, 5)).drop()
    assert heard[1 : 1 + len(said)] == said


def test_a_token_is_told_as_a_token(relay: Start) -> None:
    there, heard = relay(hello(b"AUTH PLAIN XOAUTH2"), b"235 welcome", **LOGIN, token=True)
    patiently(connect(there, 5)).drop()
    assert heard[1] == b"AUTH XOAUTH2 " + encoded(b"user=ann\x01auth=Bearer s3cret\x01\x01")


def test_a_token_that_is_refused_is_told_and_never_shown(relay: Start) -> None:
    challenge = b"334 eyJzdGF0dXMiOiI0MDEifQ=="
    there, heard = relay(hello(b"AUTH XOAUTH2"), challenge, b"535 5.7.8 expired", **LOGIN, token=True)
    with pytest.raises(ChannelError, match=r"535 5\.7\.8 expired") as caught:
        patiently(connect(there, 5))
    assert heard[2] == b"\r\n"
    assert "token" in caught.value.hint
    assert "s3cret" not in f"{caught.value} {there!r}"


def test_a_login_that_is_busy_is_a_relay_that_is_down(relay: Start) -> None:
    there, _ = relay(hello(b"AUTH PLAIN"), b"454 4.7.0 try later", **LOGIN)
    with pytest.raises(ChannelDown, match=r"454 4\.7\.0 try later"):
        patiently(connect(there, 5))


def test_a_login_in_no_way_that_we_know_is_told(relay: Start) -> None:
    there, _ = relay(hello(b"AUTH GSSAPI NTLM"), **LOGIN)
    with pytest.raises(ChannelError, match="it offers GSSAPI NTLM for a login, not PLAIN or LOGIN"):
        patiently(connect(there, 5))


def test_what_was_said_before_encryption_is_never_read_as_if_it_was_encrypted(relay: Start) -> None:
    there, _ = relay(hello(b"STARTTLS"), b"220 go\r\n250 injected")
    with pytest.raises(ChannelError, match="speaks before encryption"):
        patiently(connect(Relay("smtp+starttls", there.host, there.port), 5))


def test_a_relay_that_takes_leave_at_the_door_is_down(relay: Start) -> None:
    there, _ = relay(b"421 4.7.0 too many of you")
    with pytest.raises(ChannelDown, match=r"421 4\.7\.0 too many of you"):
        patiently(connect(there, 5))


def test_nobody_there_is_a_relay_that_is_down() -> None:
    with pytest.raises(ChannelDown, match="Connection refused"):
        patiently(connect(Relay("smtp", "127.0.0.1", free_port()), 5))
