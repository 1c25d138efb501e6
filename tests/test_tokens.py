from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from publisher.tokens import claimed, keyed_hash, opened, token

numbers = st.integers(0, 2**63 - 1)
words = st.text(max_size=80)


@given(words, numbers, words)
def test_a_token_leads_back_to_its_number_however_it_is_written(purpose: str, number: int, secret: str) -> None:
    made = token(purpose, number, secret)
    assert re.fullmatch("[a-z0-9-]{1,46}", made)
    assert opened(purpose, made, secret) == opened(purpose, made.upper(), secret) == number


@given(numbers, words, words, words, words)
def test_a_token_is_good_for_nothing_else(number: int, purpose: str, secret: str, other: str, another: str) -> None:
    made = token(purpose, number, secret)
    if other != purpose:
        assert opened(other, made, secret) is None
    if another != secret:
        assert opened(purpose, made, another) is None
    changed = made[:-1] + ("0" if made[-1] != "0" else "1")
    assert opened(purpose, changed, secret) is None
    assert (
        opened(purpose, token(purpose, number + 1, secret).partition("-")[0] + made[made.index("-") :], secret) is None
    )


@given(words, numbers, words)
def test_a_token_tells_the_number_that_it_claims(purpose: str, number: int, secret: str) -> None:
    made = token(purpose, number, secret)
    assert claimed(made) == claimed(made.upper()) == claimed(made[:-1] + "0") == number


@given(st.text())
def test_what_is_no_token_leads_nowhere(text: str) -> None:
    assert opened("bounce", text, "secret") is claimed(text) is None


def test_the_hash_is_as_long_as_it_was_asked_for_and_takes_a_key_of_any_length() -> None:
    assert len(keyed_hash("text", "secret", 20)) == 40
    assert len({keyed_hash("text", secret, 16) for secret in ("", "a", "a" * 64, "a" * 65, "a" * 1000)}) == 5
