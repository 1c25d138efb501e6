"""The public keys of those who sign (DKIM, RFC 6376 section 3.6; Ed25519, RFC 8463)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping

from publisher.dkim import Signer
from publisher.doctor import tags
from publisher.doctor.dns import Dns
from publisher.doctor.remarks import Remark, Remarks, instead, note, publish, shown, well, wrong

_STRONG = 2048
"""Bits of an RSA key that signers should have (RFC 8301 section 3.2)."""


def judge(signer: Signer, dns: Dns) -> Remarks:
    """What there is to say of the record of a key that we sign with.

    Raises:
        NetError: DNS did not answer.
    """
    found = dns.texts(signer.name)
    if not found:
        missing = f"{signer.name} is not there: nobody can verify what we sign"
        yield wrong(missing, publish(signer.name, signer.record))
    elif len(found) > 1:
        told = f"{signer.name} has {len(found)} TXT records, where there must be one"
        yield wrong(told, f"Remove all of them but one.\n{instead(signer.name, signer.record)}")
    else:
        yield from examine(found[0], signer)


def examine(text: str, signer: Signer) -> Remarks:
    """What there is to say of the one record that DNS has (RFC 6376 section 3.6.1)."""
    mend = instead(signer.name, signer.record)
    try:
        record = tags.parse(text)
    except ValueError as error:
        yield wrong(f"{signer.name} cannot be read: {error}", mend)
        return
    if fault := next(_faults(record, signer), ""):
        yield wrong(f"{signer.name}: {fault}", mend)
        return
    yield well(f"{signer.name} has the key that we sign with")
    if "y" in _list(record.get("t", "")):
        yield note(f"{signer.name} says that the signature is a test (t=y), so some receivers pass it over", mend)
    if remark := _strength(signer):
        yield remark


def _faults(record: Mapping[str, str], signer: Signer) -> Iterator[str]:
    """Why receivers cannot use a record for our signatures, the worst first."""
    ours = tags.parse(signer.record)
    if "v" in record and (next(iter(record)), record["v"]) != ("v", "DKIM1"):
        yield "it does not begin with v=DKIM1"
    if "p" not in record:
        yield "it has no key (p=)"
    elif not record["p"]:
        yield "its key is empty (p=), which means that it was revoked"
    if (kind := record.get("k", "rsa")) != ours["k"]:
        yield f"it is of the kind {shown(kind, 20)}, and we sign with {ours['k']}"
    if "sha256" not in _list(record.get("h", "sha256")):
        yield f"it does not let us sign with SHA-256 (h={shown(record['h'], 40)})"
    if not _list(record.get("s", "*")) & {"*", "email"}:
        yield f"it is not for mail (s={shown(record['s'], 40)})"
    if _key(record.get("p", "")) != _key(ours["p"]):
        yield "its key is not that of the one that we sign with"


def _list(value: str) -> set[str]:
    return {item.strip() for item in value.split(":")}


def _key(text: str) -> bytes | None:
    """The bytes of a key, those of RSA in one form of the two that there are; None when it is no Base64."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

    try:
        key = base64.b64decode(re.sub(r"\s", "", text), validate=True)
    except (binascii.Error, ValueError):
        return None
    try:
        return load_der_public_key(key).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        return key


def _strength(signer: Signer) -> Remark | None:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    if not signer.algorithm.startswith("rsa"):
        return None
    key = load_der_public_key(base64.b64decode(tags.parse(signer.record)["p"]))
    if not isinstance(key, RSAPublicKey) or key.key_size >= _STRONG:
        return None
    return note(
        f"the key of {signer.name} has {key.key_size} bits, and can be broken by those who have much to spend",
        f"Make one of {_STRONG} bits under a new selector: openssl genrsa -out secrets/dkim.pem {_STRONG}",
    )
