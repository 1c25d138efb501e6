"""Tokens that lead back to a row: the bounce address of a delivery, the link by which its reader leaves the list."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

_FORM = re.compile(r"([1-9a-v][0-9a-v]{0,12}|0)-([a-z2-7]{26})")
_DIGITS = "0123456789abcdefghijklmnopqrstuv"


def token(purpose: str, number: int, secret: str) -> str:
    """A name for a row that nobody can guess or use for anything else: small letters, digits and one hyphen.

    At most 40 characters (RFC 5321 section 4.5.3.1.1 leaves 64 for the whole local part of an address); 130 bits of it
    are a keyed hash.  Capitals mean the same, for there are mail servers that write an address anew.
    """
    return f"{_written(number)}-{_seal(purpose, number, secret)}"


def opened(purpose: str, token: str, secret: str) -> int | None:
    """The row's number; None where the token is not one of ours, or was made for another purpose."""
    match = _FORM.fullmatch(token.lower())
    if not match:
        return None
    number = int(match[1], 32)
    return number if hmac.compare_digest(match[2], _seal(purpose, number, secret)) else None


def _seal(purpose: str, number: int, secret: str) -> str:
    digest = hmac.digest(secret.encode(), f"{purpose} {number}".encode(), hashlib.sha256)
    return base64.b32encode(digest)[:26].decode().lower()


def _written(number: int) -> str:
    digits = ""
    while number or not digits:
        number, digit = divmod(number, 32)
        digits = _DIGITS[digit] + digits
    return digits
