"""The text of a page from its bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.charset import decoded


@pytest.mark.parametrize(
    ("body", "charset"),
    [
        ("Müller".encode(), ""),
        ("Müller".encode("windows-1252"), ""),
        ("Müller".encode("windows-1252"), "iso-8859-1"),
        (b'<meta charset="iso-8859-2">M\xfcller', ""),
        ("\ufeffMüller".encode(), "windows-1252"),
        ("\ufeffMüller".encode("utf-16-le"), "utf-8"),
        ("Müller".encode(), "rot13"),
        ("Müller".encode(), "no-such-charset"),
    ],
)
def test_the_charset_is_found(body: bytes, charset: str) -> None:
    assert decoded(body, charset).endswith("Müller")


@given(st.binary(max_size=200), st.sampled_from(["", "utf-8", "utf-16", "big5", "iso-8859-14", "latin-9", "punycode"]))
def test_any_bytes_are_text_of_some_kind(body: bytes, charset: str) -> None:
    assert isinstance(decoded(body, charset), str)
