"""Parcels, and relays on loopback to send them to."""

from __future__ import annotations

import json
import socket
import socketserver
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from publisher.mime import message_id
from publisher.model import Document, Issue, Parcel, Publication, Site

SITE = Site(title="Harbour News", url="https://news.example.org")


def make_issue(number: int = 1, *, text: str = "Grüße vom Hafen\n.\n..zwei\n", title: str = "Harbour News") -> Issue:
    publication = Publication(name="weekly", title="The Weekly", site=Site(title=title, url=SITE.url))
    documents = {
        "subject.txt": f"The Weekly, {number}",
        "mail.html": f"<p>{text}</p>",
        "mail.txt": text,
        "issue.json": json.dumps({"number": number, "title": "The Weekly"}),
    }
    return Issue(
        id=number,
        number=number,
        publication=publication,
        created=datetime(2026, 11, 3, 8, 0, tzinfo=UTC),
        entries=(),
        subject=documents["subject.txt"],
        documents=tuple(
            Document(name=name, media_type="text/plain", body=body.encode()) for name, body in documents.items()
        ),
    )


def make_parcel(delivery: int = 1, recipient: str = "", issue: Issue | None = None) -> Parcel:
    issue = issue or make_issue()
    recipient = recipient or f"reader{delivery}@example.org"
    identity = message_id(issue.id, "post", recipient, "news.example.org", "key")
    return Parcel(delivery=delivery, recipient=recipient, message_id=identity, issue=issue)


def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- a program that keeps what it is given ---------------------------------------------------------------------------


class Letterbox:
    """A program as sendmail is one, which writes what it gets into a folder and does what it is told besides.

    Args:
        then: lines of the shell that stand at its end.
        first: lines of the shell that stand before it reads.
    """

    def __init__(self, folder: Path, *, first: str = "", then: str = "") -> None:
        folder.mkdir()
        self.program, self._folder = folder.with_suffix(".sh"), folder
        keep = """
            cd "$1"; shift
            number=$(ls *.eml 2>/dev/null | wc -l)
            printf '%s\\n' "$@" > "$number.arguments"
            env > "$number.environment"
            cat > part; mv part "$number.eml"
        """
        self.program.write_text(f"#!/bin/sh\n{first}\n{keep}\n{then}\n")
        self.program.chmod(0o700)

    @property
    def command(self) -> tuple[str, ...]:
        return str(self.program), str(self._folder), "-f", "{sender}", "--", "{recipient}"

    @property
    def raw(self) -> list[bytes]:
        """The messages, byte by byte, in the order in which they came."""
        return self._all("eml")

    @property
    def messages(self) -> list[EmailMessage]:
        return [message_from_bytes(one, policy=policy.default) for one in self.raw]

    @property
    def arguments(self) -> list[list[str]]:
        return [one.decode().split("\n")[:-1] for one in self._all("arguments")]

    @property
    def environments(self) -> list[dict[str, str]]:
        return [dict(line.split("=", 1) for line in one.decode().splitlines()) for one in self._all("environment")]

    def _all(self, ending: str) -> list[bytes]:
        found = sorted(self._folder.glob(f"*.{ending}"), key=lambda path: int(path.stem))
        return [path.read_bytes() for path in found]


# --- a relay that keeps what it is given -----------------------------------------------------------------------------


@dataclass
class Relay:
    """What an aiosmtpd receiver took, and what it is told to answer."""

    port: int = 0
    answers: dict[tuple[str, str], str] = field(default_factory=dict)
    """(command, recipient or "") -> what to say instead of 250."""
    taken: list[Envelope] = field(default_factory=list)
    peers: list[tuple[str, int]] = field(default_factory=list)
    options: list[list[str]] = field(default_factory=list)

    @property
    def messages(self) -> list[EmailMessage]:
        return [message_from_bytes(envelope.original_content, policy=policy.default) for envelope in self.taken]

    async def handle_MAIL(  # noqa: N802  (aiosmtpd's name)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.peers.append(session.peer)
        self.options.append(options)
        envelope.mail_from = address
        return self.answers.get(("MAIL", ""), "250 OK")

    async def handle_RCPT(  # noqa: N802  (aiosmtpd's name)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.answers.get(("RCPT", address), "250 OK")
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  (aiosmtpd's name)
        answer = self.answers.get(("DATA", envelope.rcpt_tos[0]), "250 taken")
        if answer.startswith("2"):
            self.taken.append(envelope)
        return answer


def only_login(login: bytes, password: bytes) -> Callable[..., AuthResult]:
    def authenticate(
        server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword
    ) -> AuthResult:
        return AuthResult(success=(data.login, data.password) == (login, password), handled=False)

    return authenticate


# --- a relay that fails at a chosen moment ---------------------------------------------------------------------------


class Fragile(socketserver.ThreadingTCPServer):
    """Says what it is told at a command of its first connections, or hangs up; the ones after that go well.

    ``script`` has, for each connection, a command (``MAIL``, ``RCPT``, ``DATA``, ``half``, ``.``, ``taken``,
    ``RSET``…), what to answer to it, and which time it comes up; an empty answer is to hang up without one.  ``half``
    is in the middle of the content, ``taken`` after the mail was kept and before that is said.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(
        self,
        *script: tuple[str, str, int],
        greeting: str = "220 fragile",
        features: tuple[str, ...] = (),
        slow_dot: float = 0,
    ) -> None:
        super().__init__(("127.0.0.1", 0), _FragileSession)
        self.script = deque(script)
        self.greeting = greeting
        self.features = features
        self.slow_dot = slow_dot
        self.heard: list[str] = []
        self.taken: list[bytes] = []
        self.connections = 0

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _FragileSession(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    server: Fragile

    def handle(self) -> None:
        relay = self.server
        relay.connections += 1
        self.moment, self.answer, self.times = relay.script.popleft() if relay.script else ("", "", 1)
        if not self.say(relay.greeting, "greeting"):
            return
        while line := self.rfile.readline():
            command = line.decode().split()[0].upper()
            relay.heard.append(command)
            if not (self.content() if command == "DATA" else self.say(self.usual(command, line), command)):
                return

    def usual(self, command: str, line: bytes) -> str:
        if b"refused@" in line:
            return "550 no such user"
        if command not in ("EHLO", "LHLO"):
            return "221 bye" if command == "QUIT" else "250 fine"
        lines = ["fragile", *self.server.features]
        return "\r\n".join(f"250{' ' if line is lines[-1] else '-'}{line}" for line in lines)

    def content(self) -> bool:
        if not self.say("354 go on", "DATA"):
            return False
        self.times -= self.moment == "half"
        if self.moment == "half" and self.times == 0:
            self.rfile.read(200)
            self.wfile.write(f"{self.answer}\r\n".encode() if self.answer else b"")
            return False
        body = b""
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                return False
            body += line
        self.server.heard.append(".")
        time.sleep(self.server.slow_dot)
        self.times -= self.moment == "taken"
        dies = self.moment == "taken" and self.times == 0
        if well := dies or self.say("250 taken", "."):
            self.server.taken.append(body)
        return well and not dies

    def say(self, answer: str, moment: str) -> bool:
        """False when the connection is over."""
        self.times -= moment == self.moment
        if moment == self.moment and self.times == 0:
            if self.answer:
                self.wfile.write(f"{self.answer}\r\n".encode())
            return bool(self.answer) and not self.answer.startswith("421")
        self.wfile.write(f"{answer}\r\n".encode())
        return moment != "QUIT"


# --- a relay that takes commands in groups ---------------------------------------------------------------------------


class Grouping(socketserver.ThreadingTCPServer):
    """Offers PIPELINING, keeps what came together in one segment, and is as strict as Postfix about the order.

    Args:
        delay: seconds between a segment and the answers to all that it asked: what a long way to the relay costs.
        flushes: it answers the first command of a segment only and forgets the others, as broken relays do.
        context: all is encrypted from the start.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, *, delay: float = 0, flushes: bool = False, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _GroupingSession)
        self.delay = delay
        self.flushes = flushes
        self.context = context
        self.groups: list[list[str]] = []
        self.received = 0
        self.taken: list[bytes] = []

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _GroupingSession(socketserver.BaseRequestHandler):
    server: Grouping

    def setup(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.server.context:
            self.request = self.server.context.wrap_socket(self.request, server_side=True)
        self.state = "idle"
        self.pending = b""

    def handle(self) -> None:
        self.request.sendall(b"220 grouping\r\n")
        while segment := self.request.recv(1 << 20):
            self.server.received += len(segment)
            self.pending += segment
            heard = list(self.asked())
            if not heard:
                continue
            self.server.groups.append([command for command, _ in heard])
            time.sleep(self.server.delay)
            answers = heard[:1] if self.server.flushes else heard
            self.request.sendall("".join(f"{answer}\r\n" for _, answer in answers).encode())
            if heard[-1][0] == "QUIT":
                return

    def asked(self) -> Iterator[tuple[str, str]]:
        while True:
            content = self.state == "content"
            line, end, rest = self.pending.partition(b"\r\n.\r\n" if content else b"\r\n")
            if not end:
                return
            self.pending = rest
            yield self.keep(line) if content else self.answer(line)

    def keep(self, content: bytes) -> tuple[str, str]:
        self.server.taken.append(content)
        self.state = "idle"
        return ".", "250 2.0.0 taken"

    def answer(self, line: bytes) -> tuple[str, str]:
        command = line[:4].decode().upper()
        if command == "QUIT":
            return command, "221 2.0.0 bye"
        after = {"MAIL": ("idle", "mail"), "RCPT": ("mail", "rcpt"), "DATA": ("rcpt", "content")}
        if command == "RSET":
            self.state = "idle"
        elif b"refused@" in line:
            return command, "550 5.1.1 no such user"
        elif command in after:
            before, self.state = after[command] if after[command][0] == self.state else ("", self.state)
            if not before:
                return command, "503 5.5.1 out of order"
        if command == "DATA":
            self.pending = b"\r\n" + self.pending
            return command, "354 go on"
        return command, "250-grouping\r\n250 PIPELINING" if command == "EHLO" else "250 2.0.0 fine"
