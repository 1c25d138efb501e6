"""Signatures under mail (DKIM, RFC 6376; Ed25519, RFC 8463), for a stream of messages that are nearly the same.

Relaxed canonicalisation of headers and bodies, SHA-256, no length limit.  What a stream shares is made canonical and
hashed once; a message costs the hash of its own few bytes and the signature itself.
"""

from __future__ import annotations

import base64
import hashlib
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

_SIGNED = frozenset(
    {
        "from",
        "reply-to",
        "to",
        "subject",
        "date",
        "message-id",
        "list-id",
        "list-unsubscribe",
        "list-unsubscribe-post",
        "feedback-id",
        "mime-version",
        "content-type",
    }
)
_OVERSIGNED = ("from", "subject", "to")
"""Named once more than they are there, so that nobody can add another one (RFC 6376 section 8.15)."""

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_SELECTOR = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+{_LABEL}")
_FEWEST_BITS = 1024  # RFC 8301 section 3.2

_BLANKS = re.compile(rb"[ \t]{2,}|\t")  # those that are not one space already
_NEXT_FIELD = re.compile(rb"\r\n(?![ \t])")
_WIDTH = 72
_DIGEST = hashlib.sha256().digest_size


class Signer:
    """A domain's key.

    Args:
        domain: who answers for the mail (``d=``), in ASCII.
        selector: where below ``_domainkey`` of that domain the public key is found (``s=``).
        key: RSA of 1024 bits or more, or Ed25519; PEM (PKCS #8, or PKCS #1 for RSA), not encrypted.

    Attributes:
        algorithm: ``rsa-sha256`` or ``ed25519-sha256``.
        length: how many bytes each of its signatures has.
        record: what DNS must say for it, as a TXT record at ``name``.
        name: ``selector._domainkey.domain``.

    Raises:
        ValueError: one of them cannot be used; the message names it, and tells nothing of the key.
    """

    def __init__(self, domain: str, selector: str, key: str) -> None:
        if not _DOMAIN.fullmatch(domain):
            raise ValueError(f"domain: {domain!r} is not the name of a domain (in ASCII, such as example.org)")
        if not _SELECTOR.fullmatch(selector):
            raise ValueError(f"selector: {selector!r} is not made of letters, digits, hyphens and dots")
        self.domain, self.selector = domain.lower(), selector
        private = _loaded(key)
        self.algorithm, self.sign = _algorithm(private)
        self.length = len(self.sign(bytes(_DIGEST)))
        self.name = f"{self.selector}._domainkey.{self.domain}"
        self.record = f"v=DKIM1; k={self.algorithm.partition('-')[0]}; p={_public(private)}"


class Seal:
    """Signs the messages of a stream: all that they share is canonical and hashed once.

    Args:
        signers: each adds a header of its own.
        shared: the headers that do not differ, each ended by CRLF.
        personal: the names of those that do, in the order in which messages have them; all of them are signed.  Where
            a message has one of them not, that is signed too, and nobody can add it (RFC 6376 section 5.4).
        body: the body's shared pieces; between two of them stands what differs.  A piece is whole lines, ended by
            CRLF, and no piece but the last ends in an empty line.
        moment: when they were signed (``t=``); the same moment gives the same signatures.

    Attributes:
        size: how many bytes the headers of each message have.
    """

    def __init__(
        self,
        signers: Iterable[Signer],
        *,
        shared: bytes,
        personal: Sequence[str],
        body: Sequence[bytes],
        moment: datetime,
    ) -> None:
        fields = [field for field in map(_relaxed, _fields(shared)) if _name(field) in _SIGNED]
        names = [*map(_name, fields), *(name.lower() for name in personal), *_OVERSIGNED]
        self._headers = hashlib.sha256(b"".join(fields))
        self._body = hashlib.sha256(_relaxed_body(body[0]))
        self._rest = [_relaxed_body(piece) for piece in body[1:]]
        self._signatures = [_Signature(signer, names, moment) for signer in signers]
        self.size = sum(signature.size for signature in self._signatures)

    def on(self, personal: bytes, between: Iterable[bytes] = ()) -> bytes:
        """The ``DKIM-Signature`` headers of one message, to stand above all others.

        Args:
            personal: its own headers, each ended by CRLF.
            between: what stands between the shared pieces of its body; each is whole lines, of which the last is not
                empty.
        """
        headers, body = self._headers.copy(), self._body.copy()
        headers.update(b"".join(map(_relaxed, _fields(personal))))
        for own, shared in zip(between, self._rest, strict=True):
            body.update(_relaxed_body(own))
            body.update(shared)
        body_hash = base64.b64encode(body.digest())
        return b"".join(signature.over(headers.copy(), body_hash) for signature in self._signatures)


class _Signature:
    """A signer's header, which is the same for all messages but for two hashes: ``bh=`` and ``b=`` come last."""

    def __init__(self, signer: Signer, names: Iterable[str], moment: datetime) -> None:
        tags = (
            f"DKIM-Signature: v=1; a={signer.algorithm}; c=relaxed/relaxed; d={signer.domain}; s={signer.selector}; "
            f"t={int(moment.timestamp())}; h={' : '.join(names)};"
        )
        lines = textwrap.wrap(tags, _WIDTH, break_long_words=False, break_on_hyphens=False)
        self._sign = signer.sign
        self._start = "\r\n ".join([*lines, "bh="]).encode()
        self._canonical = _relaxed(self._start).removesuffix(b"\r\n")
        self.size = len(self._written(base64.b64encode(bytes(_DIGEST)), bytes(signer.length)))

    def over(self, headers: hashlib._Hash, body_hash: bytes) -> bytes:
        """RFC 6376 section 3.7: the header signs itself too, with an empty ``b=`` and no line end."""
        headers.update(self._canonical + body_hash + b"; b=")
        return self._written(body_hash, self._sign(headers.digest()))

    def _written(self, body_hash: bytes, signature: bytes) -> bytes:
        signature = base64.b64encode(signature)
        lines = [signature[start : start + _WIDTH] for start in range(0, len(signature), _WIDTH)]
        return self._start + body_hash + b";\r\n b=" + b"\r\n ".join(lines) + b"\r\n"


# --- keys ------------------------------------------------------------------------------------------------------------


def _loaded(key: str) -> PrivateKeyTypes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(key.encode(), password=None)
    except TypeError:
        raise ValueError("key: it is encrypted; what signs without being asked needs one that is not") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("key: not a private key in PEM, as `openssl genrsa 2048` makes it") from None


def _algorithm(key: PrivateKeyTypes) -> tuple[str, Callable[[bytes], bytes]]:
    """The name of what a key does, and the function that does it to a SHA-256 digest."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
    from cryptography.hazmat.primitives.hashes import SHA256

    if isinstance(key, Ed25519PrivateKey):
        return "ed25519-sha256", key.sign
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("key: DKIM knows keys of RSA and Ed25519 only")
    if key.key_size < _FEWEST_BITS:
        raise ValueError(f"key: {key.key_size} bits are too few; nobody believes less than {_FEWEST_BITS}")
    padding, digest = PKCS1v15(), Prehashed(SHA256())
    return "rsa-sha256", lambda hashed: key.sign(hashed, padding, digest)


def _public(key: PrivateKeyTypes) -> str:
    """The public key as DNS has it (RFC 6376 section 3.6.1, with the form that all use; RFC 8463 section 4.2)."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    if isinstance(key, Ed25519PrivateKey):
        return base64.b64encode(key.public_key().public_bytes_raw()).decode()
    return base64.b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


# --- the canonical form ----------------------------------------------------------------------------------------------


def _fields(headers: bytes) -> list[bytes]:
    return _NEXT_FIELD.split(headers.removesuffix(b"\r\n"))


def _name(field: bytes) -> str:
    """In lower case when the field is canonical."""
    return field.partition(b":")[0].decode()


def _relaxed(field: bytes) -> bytes:
    """RFC 6376 section 3.4.2."""
    name, _, value = field.partition(b":")
    return name.rstrip(b" \t").lower() + b":" + _BLANKS.sub(b" ", value.replace(b"\r\n", b"")).strip(b" ") + b"\r\n"


def _relaxed_body(body: bytes) -> bytes:
    """RFC 6376 section 3.4.4.  Blanks are squeezed first: what may end a line then is one, and no search for it runs
    in squares."""
    lines = _BLANKS.sub(b" ", body).replace(b" \r\n", b"\r\n").rstrip(b" \r\n")
    return lines and lines + b"\r\n"
