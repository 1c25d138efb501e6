"""How fast an issue is delivered, beside the usual way and beside the limit; prints a table.

``BENCH_MESSAGES`` says to how many recipients (1,000), ``BENCH_ROUNDS`` how often each measurement is taken (3),
``BENCH_RECIPIENTS`` to how many an issue is composed when memory is measured (a hundred times the messages).  The
measurements take turns, so that a busy moment of the machine hits all of them, and the median of each counts.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bench import house, peer
from bench.receiver import Receiver
from publisher.app import App
from publisher.dkim import Signer
from publisher.mime import Letter
from publisher.model import Issue

SOURCE = shutil.which("smtp-source", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
FAR = 0.01  # seconds that a far relay's answers take
FAR_CONNECTIONS = 16


class Cost(NamedTuple):
    """What one message takes, in seconds."""

    wall: float
    cpu: float
    """Of this process."""


Measure = Callable[[], Cost]


def timed(count: int, action: Callable[[], object]) -> Cost:
    """What each of ``count`` messages costs that one action deals with."""
    wall, cpu = time.perf_counter(), time.process_time()
    action()
    return Cost((time.perf_counter() - wall) / count, (time.process_time() - cpu) / count)


def repeated(count: int, action: Callable[[], object]) -> Cost:
    """What an action costs that deals with one message."""

    def all_of_them() -> None:
        for _ in range(count):
            action()  # what it makes is let go at once: to keep it would cost more than to make it

    return timed(count, all_of_them)


def medians(measures: dict[str, Measure], rounds: int) -> dict[str, Cost]:
    """Each measurement once a round, one after the other."""
    taken = [{name: measure() for name, measure in measures.items()} for _ in range(rounds)]
    return {
        name: Cost(median(costs[name].wall for costs in taken), median(costs[name].cpu for costs in taken))
        for name in measures
    }


# --- what is measured ------------------------------------------------------------------------------------------------


@contextmanager
def _house(recipients: int, options: str) -> Iterator[App]:
    with tempfile.TemporaryDirectory() as folder:
        app = house.compose(Path(folder), recipients, options)
        try:
            yield app
        finally:
            app.close()


@dataclass
class Bench:
    """The measurements, with what they share."""

    messages: int
    near: Receiver
    far: Receiver
    key: rsa.RSAPrivateKey
    key_file: Path
    issue: Issue
    expected: int = 0
    """How many messages both relays must have taken."""

    @property
    def fewer(self) -> int:
        """For what is slow."""
        return max(self.messages // 10, 5)

    @property
    def pem(self) -> bytes:
        """The key, as a file has it."""
        return self.key_file.read_bytes()

    def measures(self) -> dict[str, Measure]:
        """By name; those that are compared stand side by side."""
        source = {"smtp-source": self.source} if SOURCE else {}
        return {
            "house": lambda: self.delivered(self.messages, house.smtp(self.near.url)),
            "peer": lambda: self.mailed(self.near),
            "wire": self.wire,
            **source,
            "ledger": lambda: self.ledger(self.messages),
            "house, signed": lambda: self.delivered(self.messages, house.smtp(self.near.url, self.key_file)),
            "peer, signed": lambda: self.mailed(self.near, self.pem),
            "house, signed, two processes": self.together,
            "house, far": lambda: self.delivered(self.messages, house.smtp(self.far.url, connections=FAR_CONNECTIONS)),
            "peer, far": lambda: self.mailed(self.far, connections=FAR_CONNECTIONS),
            "letter": lambda: self.letter(self.messages * 10),
            "EmailMessage": lambda: repeated(self.fewer, lambda: peer.message(self.issue, "a@example.org").as_bytes()),
            "letter, signed": lambda: self.letter(self.messages, [self.signer]),
            "RSA": self.bare,
        }

    def delivered(self, recipients: int, options: str) -> Cost:
        """The whole way: from the ledger to the relay and back into the ledger."""
        self.expected += recipients
        with _house(recipients, options) as app:
            return timed(recipients, lambda: house.deliver(app, recipients))

    def ledger(self, recipients: int) -> Cost:
        """The same, but nothing is sent."""
        with _house(recipients, house.NOWHERE) as app:
            return timed(recipients, lambda: house.deliver(app, recipients))

    def wire(self) -> Cost:
        """The same without the ledger: each message made and sent."""
        self.expected += self.messages
        with _house(1, house.smtp(self.near.url)) as app:
            return timed(self.messages, lambda: house.send(app, self.issue, self.messages))

    def together(self) -> Cost:
        """Two processes share one issue.  Their start does not count: it is paid once, and not for each message."""
        self.expected += self.messages
        with _house(self.messages, house.smtp(self.near.url, self.key_file)) as app:
            words = [sys.executable, "-m", "publisher", "-c", str(app.settings.folder / "config.yaml"), "deliver"]
            workers = [subprocess.Popen(words, stdout=subprocess.DEVNULL) for _ in range(2)]  # noqa: S603 (our own words)
            for worker in workers:
                worker.wait()
            if house.sent(app) != self.messages:
                raise SystemExit("not all were sent")
            return Cost(house.span(app) / self.messages, 0)

    def mailed(self, relay: Receiver, key: bytes = b"", connections: int = 1) -> Cost:
        """The usual way."""
        count = self.fewer * min(connections, 4)
        self.expected += count
        return timed(count, lambda: peer.send(relay.port, self.issue, count, key, connections))

    def source(self) -> Cost:
        """Postfix's load generator: bytes that are ready, and nothing to remember."""
        self.expected += self.messages
        size = str(len(self._letter().to(house.parcel(self.issue, 0))))
        words = [
            "-d",
            "-s",
            str(house.CONNECTIONS),
            "-m",
            str(self.messages),
            "-l",
            size,
            f"127.0.0.1:{self.near.port}",
        ]
        return timed(self.messages, lambda: subprocess.run([str(SOURCE), *words], check=True))  # noqa: S603 (as above)

    def letter(self, count: int, signers: Iterable[Signer] = ()) -> Cost:
        """One message made, and signed."""
        letter, parcel = self._letter(signers), house.parcel(self.issue, 0)
        return repeated(count, lambda: letter.to(parcel))

    def bare(self) -> Cost:
        """The RSA operation without which there is no signature."""
        padding, digest = PKCS1v15(), Prehashed(SHA256())
        return repeated(self.messages, lambda: self.key.sign(bytes(32), padding, digest))

    @property
    def signer(self) -> Signer:
        """Whose signature the letters get."""
        return Signer(house.DOMAIN, house.SELECTOR, self.pem.decode())

    @property
    def sizes(self) -> tuple[int, int]:
        """Bytes of a message, ours and the usual one."""
        ours = self._letter().to(house.parcel(self.issue, 0))
        return len(ours), len(peer.message(self.issue, "reader0@example.org").as_bytes())

    def _letter(self, signers: Iterable[Signer] = ()) -> Letter:
        return Letter(self.issue, sender=house.SENDER, signers=list(signers))


def peak_memory(recipients: int, messages: int) -> float:
    """In MB: of a process that composes an issue to so many and sends it, until ``messages`` have arrived."""
    with tempfile.TemporaryDirectory() as folder, Receiver() as relay:
        words = [sys.executable, "-m", "bench.house", folder, str(recipients), house.smtp(relay.url)]
        process = subprocess.Popen(words)  # noqa: S603 (our own words)
        peak = 0
        while relay.taken < messages and process.poll() is None:
            peak = _high_water(process.pid) or peak
            time.sleep(0.01)
        if process.poll():
            raise SystemExit("no memory was measured: see above")
        process.kill()
        process.wait()
        return peak / 1000


def _high_water(pid: int) -> int:
    """Kilobytes of memory that a process has held at most; 0 when it is no more.

    Not ``ru_maxrss``: a new process inherits that from the one that started it.
    """
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) if found else 0


# --- the table -------------------------------------------------------------------------------------------------------

Row = tuple[str, str, str, str, str]


def rows(cost: dict[str, Cost]) -> Iterator[Row]:
    """What was measured, ours, theirs, the ratio and the aim."""

    def compared(what: str, ours: str, theirs: str, form: Callable[[Cost], str], aim: str) -> Row:
        ratio = f"{cost[theirs].wall / cost[ours].wall:,.2f}x"
        return what, form(cost[ours]), f"{form(cost[theirs])}  {_WHO[theirs]}", ratio, aim

    yield compared("whole way, unsigned", "house", "peer", _rate, "25x")
    yield compared("whole way, RSA-2048", "house, signed", "peer, signed", _rate, "30x")
    yield compared("  the same, two processes", "house, signed, two processes", "house, signed", _rate, "")
    for what, ours, aim in (("whole way, unsigned", "house", "0.8x"), ("  without the ledger", "wire", "")):
        if "smtp-source" in cost:
            yield compared(what, ours, "smtp-source", _rate, aim)
        else:
            yield what, _rate(cost[ours]), "–  smtp-source is not installed", "–", aim
    yield compared(f"relay {FAR * 1000:g} ms away", "house, far", "peer, far", _rate, "4x")
    yield compared("one message made", "letter", "EmailMessage", _micros, "500x")
    signature = cost["letter, signed"].wall / cost["RSA"].wall
    yield (
        "  and signed",
        _micros(cost["letter, signed"]),
        f"{_micros(cost['RSA'])}  bare RSA",
        f"{signature:.2f} of it",
        "1.2",
    )
    ledger, whole = cost["ledger"], cost["house"]
    yield "ledger alone, time", _micros(ledger), f"{_micros(whole)}  whole way", f"{ledger.wall / whole.wall:.0%}", ""
    yield (
        "ledger alone, processor",
        f"{ledger.cpu * 1e6:,.0f} µs",
        f"{whole.cpu * 1e6:,.0f} µs  whole way",
        f"{ledger.cpu / whole.cpu:.0%}",
        "5%",
    )


_WHO = {
    "peer": "EmailMessage + smtplib",
    "peer, signed": "EmailMessage + dkimpy + smtplib",
    "peer, far": "EmailMessage + smtplib",
    "house, signed": "one process",
    "smtp-source": "smtp-source (C)",
    "EmailMessage": "EmailMessage.as_bytes",
}


def memory_row(messages: int, many: int) -> Row:
    """Many recipients beside few: flat is 1."""
    few = many // 10
    less, more = peak_memory(few, messages), peak_memory(many, messages)
    beside = f"{less:,.0f} MB  for {few:,}"
    return f"peak memory, {many:,} recipients", f"{more:,.0f} MB", beside, f"{more / less:.2f} of it", "250 MB, flat"


def _rate(cost: Cost) -> str:
    return f"{1 / cost.wall:,.0f} /s"


def _micros(cost: Cost) -> str:
    return f"{cost.wall * 1e6:,.0f} µs"


def conditions(bench: Bench, rounds: int) -> str:
    """What the figures depend on."""
    ours, theirs = bench.sizes
    return (
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start; Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, synchronous=FULL, {_sync() * 1000:.2f} ms for a commit of nothing else; "
        f"receiver: {bench.near.name};\n"
        f"{house.CONNECTIONS} connections of ours and of smtp-source, one of the usual way and without the ledger, "
        f"{FAR_CONNECTIONS} of each to the far relay;\n"
        f"messages of {ours / 1000:.1f} KB (usual way: {theirs / 1000:.1f} KB), {bench.messages:,} of ours and of "
        f"smtp-source, {bench.fewer:,} of the usual way ({bench.fewer * 4:,} to the far relay);\n"
        f"medians of {rounds} rounds."
    )


def _sync() -> float:
    """Seconds that the disk takes for the smallest transaction: nothing that commits each verdict can be faster."""
    with tempfile.TemporaryDirectory() as folder:
        database = sqlite3.connect(Path(folder) / "probe.db", isolation_level=None)
        database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE probe (n)")
        cost = repeated(200, lambda: database.execute("INSERT INTO probe VALUES (1)"))
        database.close()
        return cost.wall


def table(rows: Iterable[Row]) -> str:
    """In columns."""
    lines = [("", "house", "beside it", "ratio", "aim"), *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


@contextmanager
def _set_up(messages: int) -> Iterator[Bench]:
    key = rsa.generate_private_key(65537, 2048)
    with tempfile.TemporaryDirectory() as folder, Receiver() as near, Receiver(FAR) as far:
        file = Path(folder) / "key.pem"
        file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
        with _house(1, house.NOWHERE) as app:
            issue = house.issue_of(app)
        yield Bench(messages, near, far, key, file, issue)


def main() -> None:
    """Measure and print."""
    messages, rounds = int(os.environ.get("BENCH_MESSAGES", "1000")), int(os.environ.get("BENCH_ROUNDS", "3"))
    many = int(os.environ.get("BENCH_RECIPIENTS", messages * 100))
    with _set_up(messages) as bench:
        said = conditions(bench, rounds)
        measured = list(rows(medians(bench.measures(), rounds)))
        taken = bench.near.taken + bench.far.taken
    sys.stdout.write(f"{table([*measured, memory_row(messages, many)])}\n\n{said}\n")
    sys.stdout.write(f"{taken:,} of {bench.expected:,} messages arrived.\n")
    sys.exit(taken != bench.expected)


if __name__ == "__main__":
    main()
