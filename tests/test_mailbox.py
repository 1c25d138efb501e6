"""Against a real Dovecot; what no honest server does is done by a proxy before it, or by a server on a script."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mta import PASSWORD, Mta
from waiting import PATIENCE, wait_for

from publisher.errors import PublisherError, SourceError, StoreError, TooLarge, TooSlow, Unreachable
from publisher.mailbox import Visit, mailbox_at, read_mailbox

PROTOCOLS = ["imap", "pop3"]
SPOILED = range(0, 1500, 100)
"""Which bytes of a server's answers are spoiled, one in each session."""
SCHEMES = {"imaps": "imaps", "imap+starttls": "imap", "imap": "imap", "pop3s": "pop3s", "pop3+starttls": "pop3"}


class Box:
    """A mailbox of its own for each test, and what was read from it."""

    def __init__(self, mta: Mta) -> None:
        self.mta = mta
        self.name = mta.new_mailbox()
        self.seen: list[bytes] = []

    def url(self, scheme: str, *, port: int = 0, password: str = PASSWORD, folder: str = "") -> str:
        port = port or self.mta.ports[SCHEMES.get(scheme, scheme)]
        return f"{scheme}://{self.name}%40example.org:{quote(password, safe='')}@127.0.0.1:{port}{folder}"

    def fill(self, *messages: bytes) -> None:
        self.mta.fill(self.name, *messages)

    @property
    def contents(self) -> list[bytes]:
        return self.mta.contents(self.name)

    def handle(self, message: bytes) -> bool:
        self.seen.append(message)
        if b"stumble" in message:
            raise ValueError("a stone")
        return b"not ours" not in message

    def read(self, scheme: str, **options: object) -> Visit:
        return read_mailbox(self.url(scheme), self.handle, **options)  # type: ignore[arg-type]  # passed through

    def read_soon(self, scheme: str) -> None:
        """A POP3 server keeps a mailbox locked until it has noticed that a lost connection is one."""

        def read() -> bool:
            with suppress(SourceError):
                self.read(scheme)
                return True
            return False

        wait_for(read)


@pytest.fixture
def box(mta: Mta) -> Box:
    return Box(mta)


def mail(text: object) -> bytes:
    return b"Subject: %b\r\n\r\nText\r\n" % str(text).encode()


# --- what is read, and what stays ------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_message_is_handed_over_as_it_is_and_then_gone(box: Box, certificate: Path, scheme: str) -> None:
    messages = [
        mail("one"),
        b"Subject: two\r\n\r\n.\r\n..\r\n\r\n\xff\xfe\r\n" + b"x" * 5000 + b"\r\n",
        mail("three"),
    ]
    box.fill(*messages)
    assert box.read(scheme, ca=certificate) == Visit(handled=3)
    assert box.seen == messages
    assert box.contents == []
    assert box.read(scheme, ca=certificate) == Visit(handled=0)


def test_what_is_not_for_us_and_what_is_stumbled_over_stays_starred_and_is_read_once(box: Box) -> None:
    box.fill(mail(1), mail("not ours"), mail("stumble"), mail(4))
    visit = box.read("imap")
    assert (visit.handled, [left.why for left in visit.left]) == (2, ["it is not for us", "ValueError: a stone"])
    assert box.contents == [mail("not ours"), mail("stumble")]
    assert (box.read("imap"), len(box.seen)) == (Visit(handled=0), 4)
    with box.mta.open_mailbox(box.name) as reader:
        starred, unread = reader.uid("SEARCH", "FLAGGED")[1], reader.uid("SEARCH", "UNSEEN")[1]
        assert starred == unread == [b"2 3"]
        reader.uid("STORE", "2", "-FLAGS", r"(\Flagged)")
    assert box.read("imap").left[0].identity == "2"


def test_what_stays_with_pop3_is_passed_over_where_the_caller_knows_it(box: Box) -> None:
    box.fill(mail("not ours"), mail("stumble"), mail(3))
    first = box.read("pop3")
    assert (first.handled, len(first.left), len(box.contents)) == (1, 2, 2)
    box.fill(mail(4))
    assert box.read("pop3", known=[left.identity for left in first.left]) == Visit(handled=1)
    assert (box.seen[-1], len(box.seen)) == (mail(4), 4)
    assert len(box.read("pop3").left) == 2


@pytest.mark.parametrize("scheme", PROTOCOLS)
def test_a_message_is_there_until_it_was_handled(box: Box, scheme: str) -> None:
    box.fill(mail(1))
    there: list[list[bytes]] = []

    def handle(_message: bytes) -> bool:
        there.append(box.contents)
        return True

    read_mailbox(box.url(scheme), handle)
    assert (there, box.contents) == ([[mail(1)]], [])


@pytest.mark.parametrize("scheme", PROTOCOLS)
def test_a_store_that_fails_ends_the_visit_and_blames_no_message(box: Box, scheme: str) -> None:
    box.fill(mail(1), mail(2), mail(3))

    def handle(message: bytes) -> bool:
        if message == mail(2):
            raise StoreError("disk full")
        return True

    with pytest.raises(StoreError, match="disk full"):
        read_mailbox(box.url(scheme), handle)
    assert box.contents == [mail(2), mail(3)]
    assert box.read(scheme) == Visit(handled=2)


@pytest.mark.parametrize("scheme", PROTOCOLS)
def test_of_a_huge_message_only_the_beginning_is_read(box: Box, scheme: str) -> None:
    box.fill(mail("huge") + (b"x" * 76 + b"\r\n") * 50_000, mail(2))
    assert box.read(scheme, max_bytes=50_000) == Visit(handled=2)
    assert box.seen[0].startswith(mail("huge"))
    assert 3_000 < len(box.seen[0]) <= 50_000
    assert box.seen[1] == mail(2)


@pytest.mark.parametrize("scheme", PROTOCOLS)
def test_five_hundred_messages_are_read_quickly_and_no_more_than_asked_for(box: Box, scheme: str) -> None:
    box.fill(*map(mail, range(510)))
    began = time.monotonic()
    assert box.read(scheme) == Visit(handled=500)
    assert time.monotonic() - began < PATIENCE
    assert box.seen == [mail(number) for number in range(500)]
    assert len(box.contents) == 10


def test_another_folder_can_be_read(box: Box) -> None:
    box.fill(mail("inbox"))
    with box.mta.open_mailbox(box.name) as reader:
        reader.create('"Bounced \\"mail\\""')
        reader.append('"Bounced \\"mail\\""', None, None, mail("folder"))  # type: ignore[arg-type]  # both may be left out
    read_mailbox(box.url("imap", folder="/Bounced%20%22mail%22"), box.handle)
    assert box.seen == [mail("folder")]


def test_a_long_mailbox_is_looked_through_in_windows(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("publisher.mailbox.imap._WINDOW", 3)
    box.fill(*[mail("not ours")] * 4, *map(mail, range(6)))
    assert len(box.read("imap", at_most=4).left) == 4
    assert box.read("imap", at_most=4) == Visit(handled=4)
    assert box.seen[4:] == [mail(number) for number in range(4)]


@pytest.mark.parametrize("scheme", PROTOCOLS)
def test_what_was_handled_is_removed_though_the_time_was_too_short_for_all(
    box: Box, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.fill(*map(mail, range(5)))
    passed = iter(range(0, 300, 25))  # seconds: the clock of one that takes 25 for each
    monkeypatch.setattr("publisher.mailbox.connection.time", SimpleNamespace(monotonic=lambda: next(passed)))
    assert read_mailbox(box.url(scheme), box.handle, seconds=100) == Visit(handled=3)
    assert len(box.contents) == 2


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", PROTOCOLS)
def test_a_wrong_password_is_told_and_not_shown(box: Box, scheme: str) -> None:
    with pytest.raises(SourceError, match=r"^127\.0\.0\.1:\d+ refuses the login: ") as caught:
        read_mailbox(box.url(scheme, password="wrong one"), box.handle)
    assert "password" in caught.value.hint
    assert "wrong" not in caught.value.words


@pytest.mark.parametrize("scheme", [scheme for scheme in SCHEMES if scheme not in PROTOCOLS])
def test_a_certificate_that_nobody_vouches_for_is_refused(box: Box, scheme: str) -> None:
    with pytest.raises(Unreachable, match="not to be trusted") as caught:
        read_mailbox(box.url(scheme), box.handle)
    assert "`ca`" in caught.value.hint


def test_encryption_that_is_not_spoken_there_is_told(box: Box) -> None:
    with pytest.raises(Unreachable, match="no encrypted connection") as caught:
        read_mailbox(box.url("imaps", port=box.mta.ports["imap"]), box.handle)
    assert "imap" in caught.value.hint


def test_a_certificate_file_that_is_missing_is_told(box: Box, tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=r"nowhere\.pem: No such file"):
        box.read("imaps", ca=tmp_path / "nowhere.pem")


def test_a_folder_that_is_not_there_is_told(box: Box) -> None:
    with pytest.raises(SourceError, match="doesn't exist"):
        read_mailbox(box.url("imap", folder="/Nowhere"), box.handle)


@pytest.mark.parametrize("scheme", PROTOCOLS)
def test_nobody_there_is_told(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(Unreachable, match="no connection: Connection refused"):
        read_mailbox(f"{scheme}://u:p@127.0.0.1:{port}", bool)


# --- lost connections ------------------------------------------------------------------------------------------------


@pytest.fixture
def proxy() -> Iterator[Callable[..., int]]:
    """Starts a proxy to a port for one connection; gives the port of its own.

    After ``cut`` bytes to us it ends the connection; in the byte at ``spoil`` it turns a bit; ``hidden`` it makes
    unreadable.
    """
    servers: list[socket.socket] = []

    def start(target: int, **changes: object) -> int:
        servers.append(socket.create_server(("127.0.0.1", 0)))
        threading.Thread(target=_relay, args=(servers[-1], target), kwargs=changes, daemon=True).start()
        return int(servers[-1].getsockname()[1])

    yield start
    for server in servers:
        server.close()


def _relay(server: socket.socket, target: int, **changes: object) -> None:
    with server.accept()[0] as ours, socket.create_connection(("127.0.0.1", target)) as theirs:
        threading.Thread(target=_pump, args=(ours, theirs), daemon=True).start()
        _pump(theirs, ours, **changes)  # type: ignore[arg-type]  # passed through as they are
        for end in (ours, theirs):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def _pump(
    source: socket.socket, sink: socket.socket, cut: int = 1 << 60, spoil: int = -1, hidden: bytes = b"\0"
) -> None:
    passed = 0
    with suppress(OSError):
        while passed < cut and (data := bytearray(source.recv(min(cut - passed, 4096)))):
            if passed <= spoil < passed + len(data):
                data[spoil - passed] ^= 1 << spoil % 7
            sink.sendall(data.replace(hidden, b"?" * len(hidden)))
            passed += len(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("after", [0, 30, 500, 3_000, 10_000])
@pytest.mark.parametrize("scheme", PROTOCOLS)
def test_a_connection_lost_at_any_moment_loses_no_message(
    box: Box, proxy: Callable[..., int], scheme: str, after: int
) -> None:
    box.fill(*map(mail, range(200)))
    with pytest.raises((Unreachable, SourceError)):
        read_mailbox(box.url(scheme, port=proxy(box.mta.ports[scheme], cut=after)), box.handle)
    handled = set(box.seen)
    assert handled | set(box.contents) == set(map(mail, range(200)))
    box.read_soon(scheme)
    assert set(box.seen) == set(map(mail, range(200)))
    assert box.contents == []


def test_what_was_removed_before_the_connection_was_lost_is_not_read_again(box: Box, proxy: Callable[..., int]) -> None:
    box.fill(*map(mail, range(200)))
    with pytest.raises(Unreachable):
        read_mailbox(box.url("imap", port=proxy(box.mta.ports["imap"], cut=10_000)), box.handle)
    assert 200 - len(box.seen) <= len(box.contents) < 200 - len(box.seen) + 25


@pytest.mark.parametrize("scheme", PROTOCOLS)
def test_a_bit_that_turned_on_the_way_stops_one_visit_at_most(box: Box, proxy: Callable[..., int], scheme: str) -> None:
    for spoil in SPOILED:
        box.fill(mail(1), mail("not ours"))
        with suppress(PublisherError):
            read_mailbox(box.url(scheme, port=proxy(box.mta.ports[scheme], spoil=spoil)), box.handle, seconds=0.2)
    box.read_soon(scheme)
    assert set(box.contents) <= {mail("not ours")}


def test_two_may_read_a_mailbox_at_the_same_time(box: Box) -> None:
    box.fill(*map(mail, range(30)))

    def handle(message: bytes) -> bool:
        if not box.seen:
            box.seen.append(message)
            assert box.read("imap") == Visit(handled=30)
        return True

    assert read_mailbox(box.url("imap"), handle) == Visit(handled=1)
    assert (set(box.seen), box.contents) == (set(map(mail, range(30))), [])


def test_messages_go_from_a_server_that_cannot_remove_single_ones(box: Box, proxy: Callable[..., int]) -> None:
    box.fill(mail(1), mail("not ours"))
    port = proxy(box.mta.ports["imap"], hidden=b"UIDPLUS")
    assert read_mailbox(box.url("imap", port=port), box.handle).handled == 1
    assert box.contents == [mail("not ours")]


# --- servers that are none -------------------------------------------------------------------------------------------


@pytest.fixture
def saying() -> Iterator[Callable[..., int]]:
    """Starts a server that says its pieces, with a pause between them, and then what it heard last once more."""
    ends = threading.Event()
    servers: list[socket.socket] = []

    def serve(server: socket.socket, pieces: Iterator[bytes], pause: float) -> None:
        with server.accept()[0] as peer:
            try:
                for piece in pieces:
                    peer.sendall(piece)
                    if ends.wait(pause):
                        return
                while data := peer.recv(4096):
                    peer.sendall(data)
            except OSError:
                return

    def start(*pieces: bytes, again: bytes = b"", pause: float = 0) -> int:
        def all_pieces() -> Iterator[bytes]:
            yield from pieces
            while again:
                yield again

        servers.append(socket.create_server(("127.0.0.1", 0)))
        threading.Thread(target=serve, args=(servers[-1], all_pieces(), pause), daemon=True).start()
        return int(servers[-1].getsockname()[1])

    yield start
    ends.set()
    for server in servers:
        server.close()


@pytest.mark.parametrize("scheme", ["imap", "pop3", "imaps", "pop3s", "imap+starttls", "pop3+starttls"])
@pytest.mark.parametrize("drip", [b"", b"*"])
def test_a_server_that_drips_is_cut_off(saying: Callable[..., int], scheme: str, drip: bytes) -> None:
    port = saying(again=drip, pause=0.05) if drip else saying(pause=PATIENCE)
    began = time.monotonic()
    with pytest.raises((TooSlow, Unreachable)):
        read_mailbox(f"{scheme}://u:p@127.0.0.1:{port}", bool, seconds=0.5)
    assert time.monotonic() - began < PATIENCE / 2


IMAP_START = b"* OK hi\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n"


@pytest.mark.parametrize(
    ("scheme", "pieces", "again"),
    [
        ("imap", [IMAP_START], b"* OK " + b"x" * 10_000 + b"\r\n"),
        ("imap", [b"* OK {99999999999999}\r\n"], b""),
        ("pop3", [b"+OK hi\r\n+OK\r\n+OK\r\n+OK\r\n"], b"1 " + b"x" * 10_000 + b"\r\n"),
        ("pop3", [b"+OK"], b"x" * 100_000),
    ],
)
def test_a_server_that_floods_is_cut_off(
    saying: Callable[..., int], scheme: str, pieces: list[bytes], again: bytes
) -> None:
    port = saying(*pieces, again=again)
    with pytest.raises(TooLarge):
        read_mailbox(f"{scheme}://u:p@127.0.0.1:{port}", bool, seconds=30)


@pytest.mark.parametrize("scheme", PROTOCOLS)
@pytest.mark.parametrize(
    "said",
    [b"<html>\r\n", b"\xff\xfe\r\n", b"+OK\r\n", b"* OK\r\n", b"* OK hi\r\n* CAPABILITY \xff\r\n", b"\r\n", b"+"],
)
def test_what_speaks_another_protocol_is_told_as_that(saying: Callable[..., int], scheme: str, said: bytes) -> None:
    with pytest.raises(PublisherError, match=r"127\.0\.0\.1:\d+"):
        read_mailbox(f"{scheme}://u:p@127.0.0.1:{saying(said)}", bool, seconds=0.5)


# --- the address -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mail.example.org",
        "http://user:hunter2@host",
        "imaps://",
        "imaps://host",
        "imaps://user@host",
        "imaps://:hunter2@host",
        "imaps://user:hunter2@host:0",
        "imaps://user:hunter2@host:99999",
        "imaps://user:hunter2@[host",
        "imaps://user:hunt/er2@host",
        "imaps://user:hunt#er2@host",
        "imaps://user:hunt?er2@host",
        "imaps://user:hunter2%0D%0ADELE 1@host",
        "imaps://user:hunter2@host/IN%0ABOX",
        "imaps://user:hunter2@host/Rückläufer",
        "pop3s://user:hunter2@host/INBOX",
    ],
)
def test_an_unusable_address_of_a_mailbox_is_refused_without_showing_its_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"^url: ") as caught:
        read_mailbox(url, bool)
    assert "unt" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "port", "folder"),
    [
        ("imaps://u:p@host", 993, "INBOX"),
        ("imap+starttls://u:p@host/", 143, "INBOX"),
        ("imaps://u:p@host:1993/Bounces/2026", 1993, "Bounces/2026"),
        ("pop3s://u:p@host", 995, "INBOX"),
        ("pop3://u:p@host/", 110, "INBOX"),
    ],
)
def test_an_address_names_port_and_folder_or_the_usual_ones(url: str, port: int, folder: str) -> None:
    mailbox = mailbox_at(url)
    assert (mailbox.host, mailbox.port, mailbox.folder) == ("host", port, folder)
    assert "'p'" not in repr(mailbox)


@given(*[st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1)] * 2)
def test_any_printable_user_and_password_can_be_written(user: str, password: str) -> None:
    mailbox = mailbox_at(f"imaps://{quote(user, safe='')}:{quote(password, safe='')}@host")
    assert (mailbox.user, mailbox.password) == (user, password)
