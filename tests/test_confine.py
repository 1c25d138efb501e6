from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from waiting import PATIENCE, wait_for

from publisher.confine import confined
from publisher.errors import SourceError

SECOND = timedelta(seconds=1)


def echo(value: object) -> object:
    return value


def complain() -> None:
    raise SourceError("this is no feed", hint="look at the page's links")


def chatter() -> str:
    print("a line on standard output")
    os.write(1, b"and one below Python")
    return sys.stdin.read()


travels = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=50, deadline=None)
@given(travels)
def test_what_travels_arrives_as_it_was(value: object) -> None:
    assert confined(f"{__name__}:echo", value) == value


def test_one_child_does_one_call_after_the_other() -> None:
    assert len({confined("os:getpid") for _ in range(5)}) == 1


def test_what_the_child_says_of_the_source_is_kept() -> None:
    with pytest.raises(SourceError, match=r"^this is no feed$") as caught:
        confined(f"{__name__}:complain")
    assert caught.value.hint == "look at the page's links"


def test_any_other_failure_becomes_a_source_error() -> None:
    with pytest.raises(SourceError, match="cannot be read: invalid literal for int"):
        confined("builtins:int", "x")


@pytest.fixture
def long_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine, it is the processor's time that ends a job."""
    monkeypatch.setattr("publisher.confine._PATIENCE", 100)


@pytest.mark.usefixtures("long_clock")
def test_a_parser_that_burns_the_processor_is_ended_and_the_error_says_why() -> None:
    with pytest.raises(SourceError, match=r"took more than 0\.5 s of processor time to read"):
        confined("re:match", "(a+)+$", "a" * 50 + "!", cpu=SECOND / 2)


def test_a_parser_that_waits_for_ever_is_ended_by_the_wall_clock() -> None:
    with pytest.raises(SourceError, match=r"took more than 0\.3 s to read"):
        confined("time:sleep", 60, cpu=SECOND / 10)


@pytest.mark.usefixtures("long_clock")
def test_the_limit_counts_anew_for_each_call() -> None:
    busy = ("re:match", "(a+)+$", "a" * 21 + "!")
    pids, moments = {confined("os:getpid")}, [confined("time:process_time")]
    confined(*busy)
    moments.append(confined("time:process_time"))
    for _ in range(5):
        confined(*busy, cpu=3 * SECOND * (moments[1] - moments[0]))
        pids.add(confined("os:getpid"))
    assert len(pids) == 1


def test_a_parser_that_eats_memory_is_refused_it() -> None:
    with pytest.raises(SourceError, match="needs more than 500 MB of memory to read"):
        confined("builtins:bytearray", 2_000_000_000, memory=500_000_000)


def test_an_answer_that_is_too_large_is_an_error() -> None:
    with pytest.raises(SourceError, match="more than 64 MB"):
        confined("operator:mul", "x", 65_000_000)


def test_a_child_that_grew_is_not_kept() -> None:
    before = confined("os:getpid")
    confined("builtins:exec", "import sys; sys.hoard = b'x' * 260_000_000")
    assert confined("os:getpid") != before


@pytest.mark.parametrize(("function", "argument"), [("os:_exit", 3), ("signal:raise_signal", int(signal.SIGKILL))])
def test_a_child_that_dies_fails_its_call_and_no_other(function: str, argument: int) -> None:
    with pytest.raises(SourceError, match=r"the process that tried (ended with status 3|was ended by SIGKILL)"):
        confined(function, argument)
    assert confined("builtins:len", b"abc") == 3


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not _running(pid))


def test_a_child_that_died_between_two_calls_is_replaced() -> None:
    kill(confined("os:getpid"))
    assert confined("builtins:len", b"abc") == 3


def test_what_the_child_prints_and_reads_stays_out_of_the_conversation() -> None:
    assert confined(f"{__name__}:chatter") == ""


def test_the_child_inherits_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", "swordfish")
    kill(confined("os:getpid"))
    assert confined("os:getenv", "SMTP_PASSWORD") is None


def test_the_child_is_in_a_session_of_its_own() -> None:
    assert confined("os:getsid", 0) != os.getsid(0)


def test_many_threads_at_once_get_each_their_own_answer_from_at_most_four_children() -> None:
    pids = set()

    def call(number: int) -> bool:
        pids.add(confined("os:getpid"))
        return bool(confined("operator:mul", b"%d" % number, 10_000) == b"%d" % number * 10_000)

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(call, range(200)))
    assert len(pids) <= 4


def test_one_burner_does_not_hold_up_the_others(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(confined, f"{__name__}:until_it_is_there", str(tmp_path / "go"), cpu=PATIENCE * SECOND)
        wait_for((tmp_path / "begun").exists)
        assert confined("builtins:len", b"abc") == 3
        assert not busy.done()
        (tmp_path / "go").touch()
        assert busy.result(PATIENCE) == "it was there"


def until_it_is_there(file: str) -> str:
    Path(file).with_name("begun").touch()
    wait_for(Path(file).exists)
    return "it was there"


def test_children_end_with_their_parent() -> None:
    code = "import os; from publisher.confine import confined; print(confined('os:getpid'), flush=True); os._exit(0)"
    parent = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    child = int(parent.stdout)
    wait_for(lambda: not _running(child))


def _running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return not status.stdout.startswith("Z")
