"""What a mail server's answer says about the recipient."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting import done_in

from publisher.replies import Fate, code_in, fate_of, status_in

_HARD = [
    (550, "5.1.1", "no such user"),
    (550, "", "5.1.1 <joe@spam-filter.example>: unknown"),
    (550, "5.1.1", "see https://help.example/policy/blocked"),
    (550, "", "No such user here"),
    (550, "", "Requested action not taken: mailbox unavailable"),
    (550, "", "Benutzer unbekannt"),
    (550, "", "宛先不明"),
    (553, "", "sorry, no mailbox here by that name"),
    (550, "5.0.0", "<a@b.example>: Recipient address rejected: User unknown in local recipient table"),
    (550, "5.4.1", "Recipient address rejected: Access denied."),
    (556, "5.1.10", "Recipient address has null MX"),
    (550, "5.2.1", "The account is inactive"),
    (0, "", "the domain nowhere.example couldn't be found"),
]
_SOFT = [
    (450, "4.1.1", "no such user, at the moment"),
    (421, "", "closing"),
    (552, "5.2.2", "mailbox full"),
    (550, "5.1.1", "The mailbox of this user is full"),
    (552, "", "Quota exceeded"),
    (550, "5.7.1", "user unknown"),
    (554, "5.7.1", "Service unavailable; client host [192.0.2.1] blocked using a list"),
    (550, "5.1.1", "your message looks like spam"),
    (554, "", "Reject due to policy restrictions"),
    (553, "", "sorry, that domain isn't in my list of allowed rcpthosts"),
    (552, "5.3.4", "Message too large"),
    (554, "5.4.6", "mail loops back to myself"),
    (550, "5.0.0", ""),
    (554, "", "Transaction failed"),
    (0, "", ""),
]


@pytest.mark.parametrize(("code", "status", "text"), _HARD)
def test_hard_is_what_says_that_nobody_is_there(code: int, status: str, text: str) -> None:
    assert fate_of(code, status, text) == Fate.HARD


@pytest.mark.parametrize(("code", "status", "text"), _SOFT)
def test_soft_is_what_may_pass_or_is_our_own_fault(code: int, status: str, text: str) -> None:
    assert fate_of(code, status, text) == Fate.SOFT


@pytest.mark.parametrize(("code", "status"), [(250, ""), (250, "2.1.5"), (0, "2.0.0")])
def test_nothing_follows_from_success(code: int, status: str) -> None:
    assert fate_of(code, status, "Ok") == Fate.NOTHING


def test_a_permanent_refusal_without_a_reason_is_what_the_caller_knows() -> None:
    assert fate_of(550, "5.0.0", "no", otherwise=Fate.HARD) == Fate.HARD
    assert fate_of(550, "5.7.1", "no", otherwise=Fate.HARD) == Fate.SOFT
    assert fate_of(450, "", "no", otherwise=Fate.HARD) == Fate.SOFT


@given(st.integers(0, 999), st.text(max_size=12), st.text(max_size=300))
def test_every_reply_has_a_fate_and_policy_is_never_hard(code: int, status: str, text: str) -> None:
    assert fate_of(code, status, text) in (Fate.HARD, Fate.SOFT, Fate.NOTHING)
    assert fate_of(code, status, "rejected as spam. " + text) != Fate.HARD
    assert fate_of(550, "5.7.1", text) != Fate.HARD


@given(st.sampled_from(["4.2.2", "4.1.1", "4.7.1"]), st.text(max_size=100))
def test_a_passing_refusal_is_never_hard(status: str, text: str) -> None:
    assert fate_of(450, status, text) == Fate.SOFT


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("550 5.1.1 gone", "5.1.1"),
        ("550 5.0.0 gone (5.1.1)", "5.1.1"),
        ("(#5.2.2)", "5.2.2"),
        ("host 5.1.1.9 said", ""),
        ("version 15.1.1", ""),
        ("", ""),
    ],
)
def test_a_status_is_found_and_an_ip_address_is_none(text: str, status: str) -> None:
    assert status_in(text) == status


@pytest.mark.parametrize(
    ("text", "code"),
    [("550 no", 550), ("550-5.1.1 no", 550), ("said: 450 later", 450), ("10.550 9.", 0), ("", 0), ("in 1550 days", 0)],
)
def test_a_reply_code_is_found(text: str, code: int) -> None:
    assert code_in(text) == code


@pytest.mark.parametrize("text", ["user mailbox " * 9999, "a@" * 99999, "5.1." * 9999, "no user " * 9999, "a" * 999999])
def test_words_made_to_keep_a_pattern_busy_are_read_in_time(text: str) -> None:
    with done_in(0.5):
        fate_of(550, "", text)
