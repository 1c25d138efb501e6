from __future__ import annotations

import base64
import errno
import os
import signal
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from receivers import Letterbox, make_issue, make_parcel
from waiting import PATIENCE, wait_for

from publisher.channels.sendmail import KIND, Sendmail, _filled, _not_run, _verdict
from publisher.errors import ChannelDown, ChannelError
from publisher.model import Parcel, Receipt, Verdict
from publisher.net import Net


@pytest.fixture
def letterbox(tmp_path: Path) -> Letterbox:
    return Letterbox(tmp_path / "letterbox")


@pytest.fixture
def saying(tmp_path: Path) -> Callable[..., Letterbox]:
    """A program that says and does something at its end, or before it reads."""
    return lambda then="", first="": Letterbox(tmp_path / "saying", first=first, then=then)


def send_one(box: Letterbox, net: Net, parcel: Parcel | None = None, **options: Any) -> Receipt:
    (receipt,) = Sendmail(command=box.command, **options).send([parcel or make_parcel()], net)
    return receipt


def read(**options: object) -> Sendmail:
    """The options as config.yaml gives them."""
    return TypeAdapter(Sendmail).validate_python(options)


# --- what the program gets -------------------------------------------------------------------------------------------


def test_a_message_arrives_whole_with_the_line_ends_of_this_machine(letterbox: Letterbox, net: Net) -> None:
    receipt = send_one(letterbox, net, sender="News <news@example.org>")
    assert receipt == Receipt(delivery=1, verdict=Verdict.SENT, detail="exit code 0")
    [message] = letterbox.messages
    assert (message["From"], message["To"]) == ("News <news@example.org>", "reader1@example.org")
    assert message["Message-ID"] == f"<{make_parcel().message_id}>"
    assert message.get_body(("plain",)).get_content() == "Grüße vom Hafen\n.\n..zwei\n"
    assert b"\r" not in letterbox.raw[0]
    assert letterbox.raw[0].endswith(b"--\n")


def test_the_envelope_is_in_the_arguments(letterbox: Letterbox, net: Net) -> None:
    parcel = replace(make_parcel(recipient="Ann <ann@example.org>"), token="x7-q")
    send_one(letterbox, net, parcel, sender="News <news@example.org>")
    send_one(letterbox, net, parcel, bounces="bounce+{token}@example.org")
    assert letterbox.arguments == [
        ["-f", "news@example.org", "--", "ann@example.org"],
        ["-f", "bounce+x7-q@example.org", "--", "ann@example.org"],
    ]


def test_answers_go_where_reply_to_says(letterbox: Letterbox, net: Net) -> None:
    send_one(letterbox, net, reply_to="office@example.org")
    assert letterbox.messages[0]["Reply-To"] == "office@example.org"


def test_a_signature_holds_when_the_line_ends_are_what_they_were(letterbox: Letterbox, net: Net) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    options = read(command=letterbox.command, dkim={"domain": "example.org", "selector": "s", "key": pem})
    list(options.send([make_parcel()], net))
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    record = b"v=DKIM1; p=" + base64.b64encode(public)
    assert dkim.verify(letterbox.raw[0].replace(b"\n", b"\r\n"), dnsfunc=lambda *_, **__: record)


def test_no_shell_sees_the_words(letterbox: Letterbox, net: Net) -> None:
    send_one(letterbox, net, make_parcel(recipient="$id`id`@example.org"))
    line = f"'{letterbox.program}' '{letterbox.command[1]}' \"two words\" $HOME * {{recipient}}"
    list(Sendmail(command=line).send([make_parcel()], net))
    assert letterbox.arguments == [
        ["-f", "news@news.example.org", "--", "$id`id`@example.org"],
        ["two words", "$HOME", "*", "reader1@example.org"],
    ]


def test_our_environment_and_its_secrets_are_not_handed_on(
    letterbox: Letterbox, net: Net, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMTP_PASSWORD", "hunter2")
    send_one(letterbox, net)
    [environment] = letterbox.environments
    assert environment.keys() - {"PWD", "OLDPWD", "SHLVL", "_"} <= {"HOME", "PATH", "LC_ALL"}  # the shell adds some
    assert environment["LC_ALL"] == "C"


def test_a_parcel_is_not_begun_before_the_receipt_of_the_one_before_was_taken(letterbox: Letterbox, net: Net) -> None:
    receipts = Sendmail(command=letterbox.command).send([make_parcel(1), make_parcel(2)], net)
    next(receipts)
    assert len(letterbox.raw) == 1
    receipts.close()
    time.sleep(0.05)
    assert len(letterbox.arguments) == 1


# --- addresses that look like options --------------------------------------------------------------------------------


def test_a_recipient_that_looks_like_an_option_is_none(letterbox: Letterbox, net: Net) -> None:
    parcel = make_parcel(recipient="-oQ/tmp@example.org")
    assert send_one(letterbox, net, parcel).verdict is Verdict.SENT
    assert letterbox.arguments[0][-2:] == ["--", "-oQ/tmp@example.org"]
    unguarded = replace(Sendmail(), command=(*letterbox.command[:2], "{recipient}"))
    parcels = [parcel, make_parcel(2)]
    assert [(r.verdict, r.detail) for r in unguarded.send(parcels, net)] == [
        (Verdict.FAILED, "'-oQ/tmp@example.org' would be taken for an option of the program"),
        (Verdict.SENT, "exit code 0"),
    ]


words = st.lists(st.sampled_from(["-i", "-f", "--", "{recipient}", "{sender}", "--to={recipient}", "x{sender}"]))
addresses = st.text(st.sampled_from("-a@{}senderrecipient"), min_size=1)


@given(words, addresses, addresses)
def test_no_address_becomes_an_option_and_none_is_read_for_a_place(
    words: list[str], sender: str, recipient: str
) -> None:
    try:
        filled = _filled(["program", *words], sender=sender, recipient=recipient)
    except ValueError:
        assert sender.startswith("-") or recipient.startswith("-")
        return
    known = {"{recipient}": recipient, "{sender}": sender, "--to={recipient}": f"--to={recipient}"}
    assert filled == ["program", *(known.get(word, word.replace("{sender}", sender)) for word in words)]
    before = filled[: words.index("--") + 1] if "--" in words else filled
    assert all(word in words for word in before if word.startswith("-") and not word.startswith("--to="))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"command": ""}, "command: it begins with the program"),
        ({"command": "'unclosed {recipient}"}, "command: No closing quotation"),
        ({"command": "/usr/sbin/sendmail -i"}, "command: nothing in it says who gets the message"),
        ({"command": ["{recipient}"]}, "command: it begins with the program"),
        ({"command": ["a\0b", "{recipient}"]}, "command: a word of it cannot be handed"),
        ({"from": "-x@example.org"}, "from: an address that begins with a hyphen"),
        ({"from": "nobody"}, "from: 'nobody'"),
        ({"reply_to": "nobody"}, "reply_to: 'nobody'"),
        ({"bounces": "-x{token}@example.org"}, "bounces: write a word before"),
        ({"bounces": "{token}@example.org"}, "bounces: write a word before"),
        ({"bounces": "bounce@example.org"}, "bounces: write bounce"),
        ({"connections": 0}, "connections"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(**options)


def test_a_command_is_a_line_or_a_list() -> None:
    line = read(command="/usr/sbin/sendmail -i -f {sender} -- {recipient}")
    listed = read(command=["/usr/sbin/sendmail", "-i", "-f", "{sender}", "--", "{recipient}"])
    assert list(line._words) == list(listed._words) == list(Sendmail()._words)


def test_it_runs_as_often_at_once_as_the_options_say() -> None:
    assert [way.connections for way in Sendmail(connections=3).ways()] == [3]
    assert [way.connections for way in Sendmail().ways()] == [1]


# --- what it says ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "verdict", "gone"),
    [
        (0, Verdict.SENT, False),
        (1, Verdict.DEFERRED, False),
        (os.EX_DATAERR, Verdict.FAILED, False),
        (os.EX_NOUSER, Verdict.FAILED, True),
        (os.EX_NOHOST, Verdict.FAILED, True),
        (os.EX_UNAVAILABLE, Verdict.DEFERRED, False),
        (os.EX_SOFTWARE, Verdict.DEFERRED, False),
        (os.EX_TEMPFAIL, Verdict.DEFERRED, False),
    ],
)
def test_an_exit_code_is_a_verdict(
    saying: Callable[..., Letterbox], net: Net, code: int, verdict: Verdict, gone: bool
) -> None:
    receipt = send_one(saying(f"echo so much >&2; exit {code}"), net)
    assert (receipt.verdict, receipt.gone) == (verdict, gone)
    assert receipt.detail == f"exit code {code}: so much"


@pytest.mark.parametrize("code", [os.EX_USAGE, os.EX_NOPERM, os.EX_CONFIG])
def test_a_program_that_refuses_us_is_a_fault_of_the_channel(
    saying: Callable[..., Letterbox], net: Net, code: int
) -> None:
    with pytest.raises(ChannelError, match=f"refuses us: exit code {code}: not you") as caught:
        send_one(saying(f"echo not you >&2; exit {code}"), net)
    assert not isinstance(caught.value, ChannelDown)
    assert "`command`" in caught.value.hint


@given(st.integers(-64, 255))
def test_every_exit_code_is_one_verdict_and_only_nothing_at_all_is_success(code: int) -> None:
    assert (_verdict(code) is Verdict.SENT) == (code == 0)
    assert (_verdict(code) is Verdict.UNCERTAIN) == (code < 0)


def test_a_program_that_is_killed_by_another_may_have_taken_the_message(
    saying: Callable[..., Letterbox], net: Net
) -> None:
    receipt = send_one(saying("kill -SEGV $$"), net)
    assert (receipt.verdict, receipt.detail) == (Verdict.UNCERTAIN, f"ended by signal {signal.SIGSEGV:d}")


def test_one_that_takes_too_long_is_ended_with_all_it_started_and_may_have_taken_the_message(
    saying: Callable[..., Letterbox], net: Net, tmp_path: Path
) -> None:
    box = saying(f"sleep 30 & echo $! > {tmp_path}/child; wait")
    receipt = send_one(box, net, timeout=timedelta(seconds=1))
    assert receipt.verdict is Verdict.UNCERTAIN
    assert receipt.detail.endswith("took more than 1 s, and was stopped")
    child = Path("/proc", (tmp_path / "child").read_text().strip())
    wait_for(lambda: not child.exists() or " Z " in (child / "stat").read_text())


def test_what_it_leaves_behind_in_the_background_is_not_waited_for(
    saying: Callable[..., Letterbox], net: Net, tmp_path: Path
) -> None:
    began = time.monotonic()
    receipt = send_one(saying(f"echo queued; sleep {PATIENCE} & echo $! > {tmp_path}/child"), net)
    assert (receipt.verdict, receipt.detail) == (Verdict.SENT, "exit code 0: queued")
    assert time.monotonic() - began < PATIENCE / 2
    os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)


def test_one_that_closes_its_output_and_goes_on_is_waited_for(saying: Callable[..., Letterbox], net: Net) -> None:
    assert send_one(saying("exec >&- 2>&-; sleep 0.2; exit 67"), net).verdict is Verdict.FAILED


def test_one_that_closes_its_output_and_does_not_end_is_stopped(saying: Callable[..., Letterbox], net: Net) -> None:
    receipt = send_one(saying("exec >&- 2>&-; sleep 30"), net, timeout=timedelta(seconds=0.3))
    assert receipt.verdict is Verdict.UNCERTAIN


def test_one_that_talks_without_end_is_heard_to_the_end_and_quoted_in_a_line(
    saying: Callable[..., Letterbox], net: Net
) -> None:
    flood = "printf 'it \\033[31m is\\nfull '; head -c 3000000 /dev/zero | tr '\\0' x >&2; exit 75"
    receipt = send_one(saying(flood), net)
    assert receipt.verdict is Verdict.DEFERRED
    assert receipt.detail.startswith("exit code 75: it [31m is full xxx")
    assert len(receipt.detail) < 350


def test_one_that_does_not_read_the_message_is_judged_by_its_exit_code(
    saying: Callable[..., Letterbox], net: Net
) -> None:
    issue = make_issue(text="long " * 100_000)
    assert send_one(saying(first="exit 75"), net, make_parcel(issue=issue)).verdict is Verdict.DEFERRED


# --- what cannot be sent ---------------------------------------------------------------------------------------------


def test_a_message_that_cannot_be_made_is_broken_and_a_wrong_address_fails_and_the_others_go(
    letterbox: Letterbox, net: Net
) -> None:
    def parcels() -> Iterator[Parcel]:
        yield make_parcel(1, issue=make_issue(1, title="a\x00b"))
        yield make_parcel(2, "nobody")
        yield make_parcel(3)

    verdicts = [receipt.verdict for receipt in Sendmail(command=letterbox.command).send(parcels(), net)]
    assert verdicts == [Verdict.BROKEN, Verdict.FAILED, Verdict.SENT]
    assert len(letterbox.raw) == 1


@pytest.mark.parametrize("act", ["send", "check"])
def test_a_program_that_is_missing_or_may_not_be_run_is_told(letterbox: Letterbox, net: Net, act: str) -> None:
    def attempt() -> None:
        options = Sendmail(command=letterbox.command)
        options.check(net) if act == "check" else list(options.send([make_parcel()], net))

    letterbox.program.chmod(stat.S_IRUSR)
    with pytest.raises(ChannelError, match="letterbox") as caught:
        attempt()
    assert not isinstance(caught.value, ChannelDown)
    letterbox.program.unlink()
    with pytest.raises(ChannelError, match="letterbox") as caught:
        attempt()
    assert "`command`" in caught.value.hint


@pytest.mark.parametrize("name", ["EAGAIN", "ENOMEM", "EMFILE", "ENOSPC"])
def test_a_machine_that_is_full_is_a_channel_that_is_down(name: str) -> None:
    assert isinstance(_not_run("sendmail", OSError(getattr(errno, name), "full")), ChannelDown)


def test_check_finds_the_program_and_runs_nothing(letterbox: Letterbox, net: Net) -> None:
    assert Sendmail(command=letterbox.command).check(net) == f"{letterbox.program} is there; it was not run"
    assert Sendmail(command="sh {recipient}").check(net).endswith("/sh is there; it was not run")
    assert letterbox.arguments == []


def test_the_kind_is_found_by_its_name() -> None:
    assert (KIND.kind, KIND.personal) == ("sendmail", True)
