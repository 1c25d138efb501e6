"""A name server on loopback, by UDP and TCP: its zone is a text of lines ``name KIND value``."""

from __future__ import annotations

import socketserver
import threading
from collections import Counter, defaultdict

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


def _on_one_port() -> list[socketserver.BaseServer]:
    """A server for each protocol; what is free for the one may be taken for the other."""
    while True:
        by_udp = _Udp(("127.0.0.1", 0), _ByUdp)
        try:
            return [by_udp, _Tcp(by_udp.server_address, _ByTcp)]
        except OSError:
            by_udp.server_close()


class NameServer:
    """Answers from its zone; a name that is not in it does not exist.

    Attributes:
        failing: names for which it answers SERVFAIL.
        silent: names for which it answers nothing.
        asked: how often it was asked for what, and by which protocol.
    """

    def __init__(self) -> None:
        self.begin()
        self._servers = _on_one_port()
        for server in self._servers:
            server.world = self
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.address = f"127.0.0.1:{self._servers[0].server_address[1]}"

    def begin(self) -> None:
        self.failing: set[str] = set()
        self.silent: set[str] = set()
        self.asked: Counter[tuple[str, str, str]] = Counter()
        self.change("")

    def change(self, zone: str) -> None:
        self._zone: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for line in filter(str.strip, zone.splitlines()):
            name, kind, value = line.split(maxsplit=2)
            self._zone[name.lower()][kind].append(_strings(value) if kind == "TXT" else value)

    def answer(self, wire: bytes, protocol: str) -> bytes:
        query = dns.message.from_wire(wire)
        [question] = query.question
        name, kind = question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype)
        self.asked[name, kind, protocol] += 1
        if name in self.silent:
            return b""
        reply = dns.message.make_response(query)
        if name in self.failing:
            reply.set_rcode(dns.rcode.SERVFAIL)
        elif name not in self._zone:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        elif values := self._zone[name][kind]:
            reply.answer.append(dns.rrset.from_text_list(question.name, 60, "IN", kind, values))
        full = reply.to_wire(max_size=65535)
        if protocol == "udp" and len(full) > query.payload:
            reply.answer.clear()
            reply.flags |= dns.flags.TC
            full = reply.to_wire()
        return full

    def close(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()


def _strings(text: str) -> str:
    """A TXT record is made of strings of 255 bytes at most; odd bytes are written by their number."""
    raw = text.encode("latin-1")
    pieces = [raw[start : start + 255] for start in range(0, len(raw), 255)] or [b""]
    return " ".join('"' + "".join(f"\\{byte:03}" for byte in piece) + '"' for piece in pieces)


class _Udp(socketserver.ThreadingUDPServer):
    world: NameServer
    daemon_threads = True


class _Tcp(socketserver.ThreadingTCPServer):
    world: NameServer
    daemon_threads = True
    allow_reuse_address = True


class _ByUdp(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        wire, sock = self.request
        if reply := self.server.world.answer(wire, "udp"):
            sock.sendto(reply, self.client_address)


class _ByTcp(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        size = int.from_bytes(self.rfile.read(2), "big")
        if reply := self.server.world.answer(self.rfile.read(size), "tcp"):
            self.wfile.write(len(reply).to_bytes(2, "big") + reply)
