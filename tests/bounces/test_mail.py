"""Mail that came back: samples beside what they say, and anything else that may lie in a mailbox."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from waiting import done_in

from publisher.bounces import Addresses, Fate, Returned, read

_SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.eml"))
_OURS = Addresses(bounces=("bounce+{token}@example.org",), unsubscribe=("unsubscribe+{token}@example.org",))


@pytest.mark.parametrize("sample", _SAMPLES, ids=lambda path: path.stem)
def test_a_sample_says_what_lies_beside_it(sample: Path) -> None:
    told = read(sample.read_bytes(), _OURS)
    names = ("fate", "token", "recipient", "message_id", "status")
    found = [{name: str(getattr(one, name)) for name in names} for one in told]
    assert found == json.loads(sample.with_suffix(".json").read_text())


def test_the_samples_are_of_every_fate() -> None:
    fates = {one["fate"] for sample in _SAMPLES for one in json.loads(sample.with_suffix(".json").read_text())}
    assert fates == set(Fate)
    assert len(_SAMPLES) >= 40


def test_the_servers_own_words_are_kept() -> None:
    sample = Path(__file__).parent / "samples" / "postfix-user-unknown.eml"
    (told,) = read(sample.read_bytes(), _OURS)
    assert told.detail == (
        "550 5.1.1 <anna@example.net>: Recipient address rejected: User unknown in virtual mailbox table"
    )


def test_line_ends_do_not_matter() -> None:
    for sample in _SAMPLES:
        unix = sample.read_bytes().replace(b"\r\n", b"\n")
        assert read(unix, _OURS) == read(unix.replace(b"\n", b"\r\n"), _OURS), sample.name


def test_a_report_for_a_thousand_recipients_is_bounded() -> None:
    fields = b"".join(
        b"Final-Recipient: rfc822; r%d@x.example\nAction: failed\nStatus: 5.1.1\n\n" % n for n in range(1000)
    )
    told = read(_report(b"message/delivery-status", fields), _OURS)
    assert len(told) == 50
    assert {one.fate for one in told} == {Fate.HARD}


def test_a_report_that_is_cut_short_after_its_status_is_still_read() -> None:
    body = b"Final-Recipient: rfc822; r@x.example\nAction: failed\nStatus: 5.1.1\n\n"
    message = _report(b"message/delivery-status", body) + b"x" * 5_000_000
    assert [one.fate for one in read(message, _OURS)] == [Fate.HARD]


@pytest.mark.parametrize("pattern", ["bounce@example.org", "{token}", "{token}+{token}@example.org", "b {token}@x"])
def test_a_pattern_without_a_place_for_the_token_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="token"):
        Addresses(bounces=(pattern,))


@pytest.mark.parametrize("header", ["BOUNCE+AB-12@EXAMPLE.ORG", "News <Bounce+ab-12@example.org>, other@x.example"])
def test_a_token_is_found_whatever_the_case(header: str) -> None:
    assert _OURS.bounced([header]) == "ab-12"


@pytest.mark.parametrize(
    "header", ["bounce+ab@example.org.evil.example", "xbounce+ab@example.org", "bounce+@example.org"]
)
def test_a_similar_address_is_not_ours(header: str) -> None:
    assert _OURS.bounced([header]) == ""


# --- the crash barrier -----------------------------------------------------------------------------------------------


def _report(kind: bytes, body: bytes) -> bytes:
    return (
        b"From: MAILER-DAEMON@x.example\nTo: bounce+ab@example.org\nMIME-Version: 1.0\n"
        b"Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: " + kind + b"\n\n" + body + b"\n--b--\n"
    )


def _is_fit_to_keep(told: tuple[Returned, ...]) -> None:
    assert told
    assert len(told) <= 50
    for one in told:
        texts = (one.token, one.recipient, one.message_id, one.status, one.detail)
        assert all(len(text) <= 300 and text.encode() == text.encode(errors="replace") for text in texts)
        assert not any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for text in texts for char in text)


@given(st.binary(max_size=3000))
@example(b"Content-Type: multipart/report; boundary=\n\n--\n")
@example(b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n\xff")
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_read(message: bytes) -> None:
    _is_fit_to_keep(read(message, _OURS))


@st.composite
def _spoilt(draw: st.DrawFn) -> bytes:
    """A sample with bytes flipped, lines lost or doubled, a piece of another one in it, or its end missing."""
    message = bytearray(draw(st.sampled_from(_SAMPLES)).read_bytes())
    other = draw(st.sampled_from(_SAMPLES)).read_bytes()
    for _ in range(draw(st.integers(0, 6))):
        if message:
            message[draw(st.integers(0, len(message) - 1))] = draw(st.integers(0, 255))
    at, start = draw(st.integers(0, len(message))), draw(st.integers(0, len(other)))
    message[at:at] = other[start : start + draw(st.integers(0, 400))]
    return bytes(message[: draw(st.integers(0, len(message)))]) if draw(st.booleans()) else bytes(message)


@given(_spoilt())
@settings(max_examples=400, deadline=None)
def test_a_spoilt_sample_is_read(message: bytes) -> None:
    _is_fit_to_keep(read(message, _OURS))


def _deep(levels: int) -> bytes:
    return b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (level, level) for level in range(levels)
    )


_HEAVY = {
    "deep parts": _deep(3000),
    "deep parts, many lines": _deep(300) + b"x\n" * 100_000,
    "nested messages": b"Content-Type: message/rfc822\n\n" * 5000,
    "a long parameter": b'Content-Type: multipart/report; a="' + b';"' * 200_000 + b"\n\n",
    "a long parameter, folded": b"Content-Type: multipart/report" + b'; a="' * 10 + b';";";"\n ' * 40_000 + b"\n\n",
    "a long parameter inside": _report(b"text/plain" + b';"\n ' * 60_000, b""),
    "many parameters inside": _report(b"text/plain" + b";a*0=b\n " * 30_000, b""),
    "many headers": b"To: bounce+ab@example.org\n" * 20_000,
    "a header without end": b"To: " + b"a" * 1_000_000,
    "at signs": b"To: " + b"a@" * 200_000 + b"\n\n" + b"a@" * 100_000,
    "dashes": b"From: postmaster@x.example\n\n" + b"-" * 250_000,
    "lines of dashes": b"From: postmaster@x.example\n\n" + (b"-" * 3900 + b"\n") * 60,
    "angle brackets": b"Content-Type: text/html\n\n" + b"<" * 250_000,
    "blanks": b"From: postmaster@x.example\n\n" + b" \n" * 120_000,
    "spaces": b"From: postmaster@x.example\n\n" + b" " * 250_000,
    "status codes": b"From: postmaster@x.example\n\n" + b"5.1." * 60_000,
    "words": b"From: postmaster@x.example\n\n" + b"user mailbox " * 20_000,
    "lines": b"From: postmaster@x.example\n\n" + b"<a@b.example>:\n" * 17_000,
    "many parts": b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 30_000,
    "encoded words": b"Subject: " + b"=?utf-8?Q?a?= " * 20_000 + b"\n\n",
    "empty blocks": _report(b"message/delivery-status", b"Action: failed\n\n" * 15_000),
}


@pytest.mark.parametrize("name", _HEAVY)
def test_a_message_made_to_keep_a_parser_busy_is_read_in_time(name: str) -> None:
    with done_in(5):
        _is_fit_to_keep(read(_HEAVY[name], _OURS))


def test_a_detector_that_stumbles_costs_one_message_its_address_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(message: object) -> object:
        raise RuntimeError("a detector's own mistake")

    monkeypatch.setattr("flufl.bounce.all_failures", stumble)
    (told,) = read((Path(__file__).parent / "samples" / "qmail.eml").read_bytes(), _OURS)
    assert (told.fate, told.token) == (Fate.HARD, "k7f3-q2zd")
