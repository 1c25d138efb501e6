"""An IMAP server that is as small as our client lets it be, and does what no honest one does when it is told to."""

from __future__ import annotations

import re
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

ARRIVED = "07-Nov-2026 10:00:00 +0000"


@dataclass
class ImapServer:
    """One mailbox, that anybody may enter."""

    messages: dict[int, bytes] = field(default_factory=dict)
    """By UID, in ascending order."""
    validity: int = 1
    heard: list[str] = field(default_factory=list)
    """The commands, without their tags."""
    lose_after: int = -1
    """Messages after which each connection is lost; -1: none is."""
    refused: set[int] = field(default_factory=set)
    """UIDs of messages that it says it cannot read."""
    is_shut: bool = False
    """It refuses the folder."""

    def __post_init__(self) -> None:
        server = self

        class Session(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(b"* OK hi\r\n")
                given = 0
                for line in self.rfile:
                    tag, _, command = line.decode().strip().partition(" ")
                    server.heard.append(command)
                    if command.startswith("AUTHENTICATE"):
                        self.wfile.write(b"+ \r\n")
                        self.rfile.readline()
                    if "FETCH" in command:
                        given += 1
                        if given == server.lose_after + 1 > 0:
                            return
                    for answer in server.answers(command):
                        self.wfile.write(answer + b"\r\n")
                    self.wfile.write(f"{tag} {server.verdict(command)}\r\n".encode())

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"imap://u:p@127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def add(self, *messages: bytes) -> None:
        for message in messages:
            self.messages[max(self.messages, default=0) + 1] = message

    def verdict(self, command: str) -> str:
        refused = self.is_shut and command.startswith("EXAMINE")
        broken = (found := re.match(r"UID FETCH (\d+) ", command)) and int(found[1]) in self.refused
        return "NO [SERVERBUG] cannot" if refused or broken else "OK done"

    def answers(self, command: str) -> Iterator[bytes]:
        if command == "CAPABILITY":
            yield b"* CAPABILITY IMAP4rev1 AUTH=PLAIN"
        elif command.startswith("EXAMINE") and not self.is_shut:
            yield f"* {len(self.messages)} EXISTS".encode()
            yield f"* OK [UIDVALIDITY {self.validity}] UIDs valid".encode()
        elif found := re.match(r"UID SEARCH (\d+):(\d+) UID (\d+):\*", command):
            window = list(self.messages)[int(found[1]) - 1 : int(found[2])]
            uids = [uid for uid in window if uid >= int(found[3]) or uid == max(self.messages)]
            yield f"* SEARCH {' '.join(map(str, self._from(command, uids)))}".encode()
        elif found := re.match(r"UID FETCH (\d+) .*<0\.(\d+)>\)$", command):
            uid = int(found[1])
            if uid in self.messages and uid not in self.refused:
                whole = self.messages[uid]
                piece = whole[: int(found[2])]
                head = (
                    f'* 1 FETCH (UID {uid} INTERNALDATE "{ARRIVED}" RFC822.SIZE {len(whole)} BODY[]<0> {{{len(piece)}}}'
                )
                yield head.encode() + b"\r\n" + piece + b")"

    def _from(self, command: str, uids: list[int]) -> list[int]:
        senders = re.findall(r'FROM "([^"]*)"', command)
        return [uid for uid in uids if not senders or any(s.encode() in self.messages[uid] for s in senders)]


def changes_nothing(heard: list[str]) -> bool:
    """Whether no command was among them that could change anything."""
    harmless: Any = ("CAPABILITY", "AUTHENTICATE", "EXAMINE", "UID SEARCH", "UID FETCH", "LOGOUT")
    return all(command.startswith(harmless) and ("FETCH" not in command or "BODY.PEEK" in command) for command in heard)
