"""A relay on loopback that takes commands in groups, records what it takes, and fails as it is told to."""

from __future__ import annotations

import re
import socket
import socketserver
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from waiting import PATIENCE

HANG_UP, RESET = "hang up", "reset"
"""What a relay may be told to do instead of answering."""

Says = Callable[[str, str], str]
"""(moment, recipient) -> what to say instead of what is usual, ``HANG_UP``, ``RESET``; empty: what is usual.

The moments: ``connect``, ``MAIL``, ``RCPT``, ``DATA``, ``half`` (in the middle of the content), ``.`` (nothing is kept
yet), ``taken`` (it is kept, and that was not said yet), ``told`` (that was said).
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that was kept."""

    recipient: str
    id: str
    """Its Message-ID."""
    at: float
    """Seconds, by a steady clock."""
    connection: int
    era: int
    """The relay's era when its connection was opened."""


class Recorder(socketserver.ThreadingTCPServer):
    """Keeps what it takes, with the moment and the connection that brought it.

    Args:
        pause: seconds before it says that a message was taken.
        says: see ``Says``.
        port: 0 for any.
    """

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 100

    def __init__(self, *, pause: float = 0, says: Says = lambda moment, recipient: "", port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Session)
        self.pause, self.says = pause, says
        self.era = 0
        """Whoever opens a connection belongs to it."""
        self.taken: list[Taken] = []
        self.named: set[tuple[int, str]] = set()
        """(era, recipient) of each RCPT."""
        self.connections: Counter[int] = Counter()
        """How many were opened, by era."""
        self.open = self.most_open = 0
        self.changed = threading.Condition()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    @property
    def copies(self) -> Counter[tuple[str, str]]:
        """How often each (recipient, Message-ID) was taken."""
        return Counter((one.recipient, one.id) for one in self.taken)

    def wait(self, happened: Callable[[], bool]) -> None:
        """Wait until something has happened here; it is noticed at once."""
        with self.changed:
            assert self.changed.wait_for(happened, PATIENCE), f"it has not happened within {PATIENCE} s"

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class _Session(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    server: Recorder

    def handle(self) -> None:
        relay = self.server
        with relay.changed:
            self.era = relay.era
            relay.connections[self.era] += 1
            self.number = relay.connections.total()
            relay.open += 1
            relay.most_open = max(relay.open, relay.most_open)
        try:
            self.converse()
        except OSError:
            pass  # whoever spoke to us was killed
        finally:
            with relay.changed:
                relay.open -= 1
                relay.changed.notify_all()

    def converse(self) -> None:
        self.recipient = ""
        going = self.say("connect", "220 recorder")
        while going and (line := self.rfile.readline()):
            going = self.obey(line.decode())

    def obey(self, line: str) -> bool:
        """False when the connection is over."""
        command = line[:4].strip().upper()
        if command == "RCPT":
            found = re.search(r"<(.*)>", line)
            assert found
            self.recipient = found[1]
            self.server.named.add((self.era, self.recipient))
            said = self.server.says("RCPT", self.recipient)
            self.recipient = "" if said[:1] in ("4", "5") else self.recipient
            return self.answer(said, "250 fine")
        if command == "DATA" and not self.recipient:
            return self.answer("", "503 nobody to send it to")
        if command == "DATA":
            return self.say("DATA", "354 go on", well=self.content)
        usual = {"EHLO": "250-recorder\r\n250 PIPELINING", "QUIT": "221 bye"}
        return self.say(command, usual.get(command, "250 fine")) and command != "QUIT"

    def content(self) -> bool:
        identity, lines = "", 0
        while (line := self.rfile.readline()) != b".\r\n":
            lines += 1
            if not line or (lines == 10 and not self.say("half", "")):
                return False
            if line.startswith(b"Message-ID: "):
                identity = line[12:].decode().strip()
        return self.say(".", "", well=lambda: self.keep(identity))

    def keep(self, identity: str) -> bool:
        time.sleep(self.server.pause)
        with self.server.changed:
            taken = Taken(self.recipient, identity, time.monotonic(), self.number, self.era)
            self.server.taken.append(taken)
            self.server.changed.notify_all()
        return self.say("taken", "250 taken") and self.say("told", "")

    def say(self, moment: str, usual: str, well: Callable[[], bool] = lambda: True) -> bool:
        """Answer, and go on where that was the usual answer; False when the connection is over."""
        return self.answer(self.server.says(moment, self.recipient), usual, well)

    def answer(self, said: str, usual: str, well: Callable[[], bool] = lambda: True) -> bool:
        """See ``say``."""
        if said == RESET:  # closed at once with this option, a connection ends without a farewell (socket(7))
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            socket.close(self.request.detach())
        if said in (HANG_UP, RESET):
            return False
        if answer := said or usual:
            self.wfile.write(f"{answer}\r\n".encode())
        if said:
            return not said.startswith("421")
        return well()
