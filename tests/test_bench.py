"""The benchmark runs and tells the whole of it; how fast anything is, is no matter of a test."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LINES = [
    r"whole way, unsigned +[\d,]+ /s +[\d,]+ /s  EmailMessage \+ smtplib +[\d.,]+x +25x",
    r"whole way, RSA-2048 +[\d,]+ /s +[\d,]+ /s  EmailMessage \+ dkimpy \+ smtplib +[\d.,]+x +30x",
    r"  the same, two processes +[\d,]+ /s +[\d,]+ /s  one process +[\d.,]+x",
    r"whole way, unsigned .*  smtp-source .* 0\.8x",
    r"  without the ledger +[\d,]+ /s .*  smtp-source .*",
    r"relay 10 ms away +[\d,]+ /s +[\d,]+ /s  EmailMessage \+ smtplib +[\d.,]+x +4x",
    r"one message made +[\d,]+ µs +[\d,]+ µs  EmailMessage\.as_bytes +[\d.,]+x +500x",
    r"  and signed +[\d,]+ µs +[\d,]+ µs  bare RSA +[\d.]+ of it +1\.2",
    r"ledger alone, time +[\d,]+ µs +[\d,]+ µs  whole way +\d+%",
    r"ledger alone, processor +[\d,]+ µs +[\d,]+ µs  whole way +\d+% +5%",
    r"peak memory, 2,000 recipients +\d+ MB +\d+ MB  for 200 +[\d.]+ of it +250 MB, flat",
]


@pytest.fixture(scope="module")
def told() -> str:
    few = {"BENCH_MESSAGES": "20", "BENCH_ROUNDS": "1"}
    words = [sys.executable, "-m", "bench.delivery"]
    done = subprocess.run(words, cwd=ROOT, env=os.environ | few, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_each_line_of_the_table_is_printed(told: str) -> None:
    assert [line for line in LINES if not re.search(f"^{line}$", told, re.MULTILINE)] == []


def test_every_message_arrived_and_that_is_said(told: str) -> None:
    found = re.search(r"^(\d+) of (\d+) messages arrived\.$", told, re.MULTILINE)
    assert found
    assert found[1] == found[2]
    assert int(found[1]) >= 20 * 4


def test_the_conditions_are_said(told: str) -> None:
    assert re.search(
        r"\d+ cores, .* Python \d.* synchronous=FULL.* receiver: .*;\n8 connections .*;\nmessages of 6\d\.\d KB", told
    )


def test_the_readers_are_measured_with_their_conditions() -> None:
    few = {"BENCH_LINES": "50", "BENCH_SUBSCRIBERS": "500"}
    words = [sys.executable, "-m", "bench.readers"]
    done = subprocess.run(words, cwd=ROOT, env=os.environ | few, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for part in ("import", "import of the same file again", "export"):
        assert re.search(
            rf"^{part}, 50 lines +[\d,]+ /s, +[\d,]+ /s of processor time, \d+ MB at most$", done.stdout, re.MULTILINE
        ), done.stdout
    assert re.search(
        r"^composition, 500 subscribers in 50 groups +[\d.]+ s, [\d,]+ /s, \d+ MB at most \(\d+ MB before\)$",
        done.stdout,
        re.MULTILINE,
    ), done.stdout
    assert re.search(r"\d+ cores, .* Python \d.* synchronous=FULL", done.stdout)


def test_collecting_is_measured_beside_reader_with_its_conditions() -> None:
    few = {"BENCH_SOURCES": "20", "BENCH_WORKERS": "4"}
    words = [sys.executable, "-m", "bench.collecting"]
    done = subprocess.run(words, cwd=ROOT, env=os.environ | few, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    cost = r" +[\d,]+ /s, [\d.]+ s CPU per 1,000"
    for scene, aim in (("unchanged \\(304\\)", "3x"), ("all changed, 30 entries", "2x")):
        assert re.search(rf"^{scene}{cost}{cost} +[\d.]+x +[\d.]+x +{aim}$", done.stdout, re.MULTILINE), done.stdout
    record = r"[\d.]+ ms of 1,000 on record +[\d.]+ ms of 10 on record +[\d.]+ of it +1"
    assert re.search(rf"^10 due +{record}$", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"\d+ cores, .* Python \d.* reader 3.* 20 feeds, 4 workers", done.stdout)
