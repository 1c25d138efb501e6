"""Names that nobody can guess: tokens that lead back to a row, and the keyed hash that they are made with."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from functools import lru_cache

_BYTES = 16
_FORM = re.compile(r"([1-9a-v][0-9a-v]{0,12}|0)-([0-9a-f]{32})")
_DIGITS = "0123456789abcdefghijklmnopqrstuv"


def token(purpose: str, number: int, secret: str) -> str:
    """A name for a row that cannot be guessed, and is good for one purpose: small letters, digits and one hyphen.

    At most 46 characters (RFC 5321 section 4.5.3.1.1 leaves 64 for the whole local part of an address); 128 bits of it
    are a keyed hash.  Capitals mean the same, for there are mail servers that write an address anew.
    """
    return f"{_written(number)}-{keyed_hash(f'{purpose} {number}', secret, _BYTES)}"


def opened(purpose: str, token: str, secret: str) -> int | None:
    """The row's number; None where the token is not one of ours, or was made for another purpose."""
    number = claimed(token)
    if number is None:
        return None
    proof = token.lower().rpartition("-")[2]
    return number if hmac.compare_digest(proof, keyed_hash(f"{purpose} {number}", secret, _BYTES)) else None


def preferences_link(site: str, secret: str, subscriber: int, links: int) -> str:
    """Where a subscriber chooses what they get.

    Args:
        site: the address that all links begin with.
        links: the generation of their links; a later one makes this one good for nothing.
    """
    return f"{site}/preferences/{token(preferences(links), subscriber, secret)}"


def preferences(links: int) -> str:
    """The purpose of the token in such a link."""
    return f"preferences {links}"


def form_proof(token: str, secret: str) -> str:
    """What a form behind a link sends back, to show that it is our form: another site cannot know it."""
    return keyed_hash(f"form {token}", secret, _BYTES)


def is_form_proof(proof: str, token: str, secret: str) -> bool:
    """Whether it is; compared in constant time."""
    return hmac.compare_digest(proof.encode(), form_proof(token, secret).encode())


def claimed(token: str) -> int | None:
    """The number that a token claims, to look up what it was made with; nothing is to be believed before ``opened``."""
    match = _FORM.fullmatch(token.lower())
    return int(match[1], 32) if match else None


def unguessable() -> str:
    """A name of 32 hexadecimal digits that leads to what is kept beside it, and that nothing is made from."""
    return secrets.token_hex(_BYTES)


def keyed_hash(text: str, secret: str, size: int) -> str:
    """BLAKE2b with a key (RFC 7693 section 2.9), ``size`` bytes in hexadecimal digits.

    Not HMAC: three of these are made for each message, and it takes a tenth of the time.
    """
    return hashlib.blake2b(text.encode(), digest_size=size, key=_key(secret)).hexdigest()


@lru_cache(maxsize=8)
def _key(secret: str) -> bytes:
    """Of a secret of any length, the 64 bytes that a key may have."""
    return hashlib.blake2b(secret.encode()).digest()


def _written(number: int) -> str:
    digits = ""
    while number or not digits:
        number, digit = divmod(number, 32)
        digits = _DIGITS[digit] + digits
    return digits
