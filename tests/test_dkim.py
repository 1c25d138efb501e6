"""What dkimpy says of our signatures."""

from __future__ import annotations

import base64
import logging
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dkim
import pytest
from aiosmtpd.controller import Controller
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st
from receivers import Relay, free_port, make_issue, make_parcel
from waiting import done_in

from publisher import channels, config, sources
from publisher.channels import _mail
from publisher.channels._mail import Dkim
from publisher.channels.smtp import Smtp
from publisher.dkim import Seal, Signer, _fields, _relaxed, _relaxed_body
from publisher.errors import ConfigError
from publisher.mime import Draft, Letter, slot
from publisher.model import Document, Issue, Subscriber, Verdict
from publisher.net import Net
from publisher.options import MASK

NOON = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)
thorough = settings(max_examples=300, deadline=None)


# --- keys, as openssl makes them, and what DNS says of them ----------------------------------------------------------


def pem(key: Any, form: PrivateFormat = PrivateFormat.PKCS8, password: str = "") -> str:
    lock = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, form, lock).decode()


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


# RFC 8463 appendix A.2
ED_PRIVATE = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="
ED_PUBLIC = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
ED_KEY = ed25519.Ed25519PrivateKey.from_private_bytes(base64.b64decode(ED_PRIVATE))


@cache
def signers() -> tuple[Signer, Signer]:
    return Signer("example.org", "s1", pem(rsa_key())), Signer("example.org", "s2", pem(ED_KEY))


def dns(name: bytes, timeout: int = 5) -> bytes:
    public = rsa_key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return {
        b"s1._domainkey.example.org.": b"v=DKIM1; k=rsa; p=" + base64.b64encode(public),
        b"s2._domainkey.example.org.": b"v=DKIM1; k=ed25519; p=" + ED_PUBLIC.encode(),
    }[name]


class VerifyKey:
    """The one thing that dkimpy asks of PyNaCl, done by cryptography."""

    def __init__(self, text: bytes, encoder: object) -> None:
        self._key = ed25519.Ed25519PublicKey.from_public_bytes(base64.b64decode(text))

    def verify(self, digest: bytes, signature: bytes) -> None:
        self._key.verify(signature, digest)


@pytest.fixture(autouse=True, scope="module")
def sodium() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        nacl = SimpleNamespace(
            signing=SimpleNamespace(VerifyKey=VerifyKey),
            encoding=SimpleNamespace(Base64Encoder=None),
            exceptions=SimpleNamespace(BadSignatureError=InvalidSignature, ValueError=ValueError),
        )
        patch.setattr(dkim, "nacl", nacl, raising=False)
        yield


def verdicts(message: bytes, count: int = 2) -> list[bool]:
    """What dkimpy says of each signature, the topmost first."""
    silent = logging.getLogger("dkim")
    silent.setLevel(logging.CRITICAL)
    found = []
    for index in range(count):
        try:
            found.append(dkim.DKIM(message, logger=silent).verify(idx=index, dnsfunc=dns))
        except dkim.ValidationError:  # the body's hash
            found.append(False)
    return found


# --- any message -----------------------------------------------------------------------------------------------------

words = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=30) | st.sampled_from(
    [" ", "\t", "  \t ", "ü", ".", "..", "long " * 20]
)
visible = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp")), max_size=90)
values = st.lists(visible | st.sampled_from([" ", "\t", "  \t ", "long " * 20]), max_size=6).map(
    lambda parts: "\r\n ".join(p for p in parts if p.strip(" \t")).encode()
)
lines = st.lists(words | st.sampled_from(["", " ", ".", "trailing \t ", "two  blanks"]), max_size=8)
bodies = lines.map(lambda found: "".join(f"{line}\r\n" for line in found).encode())


def sealed(shared: bytes, personal: bytes, *body: bytes, by: Sequence[Signer] = ()) -> bytes:
    names = [field.partition(b":")[0].decode() for field in _fields(personal)]
    seal = Seal(by or signers(), shared=shared, personal=names, body=body[::2], moment=NOON)
    return seal.on(personal, body[1::2]) + personal + shared + b"\r\n" + b"".join(body)


@thorough
@given(values, values, values, bodies)
@example(b"", b"", b"", b"")
@example(b"a", b"a", b"a", b"\r\n\r\n")
@example(b"a", b"a", b"a", b" \r\n\t\r\n")
@example(b"Z\xc3\xbcrich\r\n \t folded \r\n  again", b"a\tb", b"  a ", b".\r\n..\r\n a\t \tb \r\n\r\n \r\n\r\n")
def test_dkimpy_believes_both_signatures_of_any_message(
    subject: bytes, to: bytes, unsubscribe: bytes, body: bytes
) -> None:
    shared = b"From: a@example.org\r\nSubject: " + subject + b"\r\nX-Unsigned: x\r\nMIME-Version: 1.0\r\n"
    personal = b"To: " + to + b"\r\nMessage-ID: <a@b>\r\nList-Unsubscribe: " + unsubscribe + b"\r\n"
    assert verdicts(sealed(shared, personal, body)) == [True, True]


@thorough
@given(st.lists(bodies.map(lambda body: body + b"x \r\n"), min_size=2, max_size=5), bodies)
def test_a_body_may_differ_in_places(pieces: list[bytes], last: bytes) -> None:
    body = [*pieces, last] if len(pieces) % 2 == 0 else pieces
    assert verdicts(sealed(b"From: a@example.org\r\n", b"To: b@example.org\r\n", *body)) == [True, True]


def test_a_signer_knows_what_dns_must_say_of_it() -> None:
    assert [dns(f"{one.name}.".encode()).decode() for one in signers()] == [one.record for one in signers()]


def test_one_signer_is_enough() -> None:
    for signer in signers():
        assert verdicts(sealed(b"From: a@b.org\r\n", b"To: c@b.org\r\n", b"d\r\n", by=[signer]), 2) == [True, False]


def test_the_canonical_form_is_that_of_the_rfc() -> None:
    """RFC 6376 section 3.4.5; what an empty body comes to is in section 3.4.4."""
    assert [_relaxed(field) for field in _fields(b"A: X\r\nB : Y\t\r\n\tZ  \r\n")] == [b"a:X\r\n", b"b:Y Z\r\n"]
    assert _relaxed_body(b" C \r\nD \t E\r\n\r\n\r\n") == b" C\r\nD E\r\n"
    assert _relaxed_body(b"\r\n") == b""
    empty = sealed(b"From: a@b.org\r\n", b"To: c@b.org\r\n", b"\r\n")
    assert b"bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;" in empty


def test_blanks_without_end_are_made_canonical_in_no_time() -> None:
    body = b"\t " * 2_000_000 + b"x\r\n"
    with done_in(2):
        assert _relaxed_body(body) == b" x\r\n"


# --- letters ---------------------------------------------------------------------------------------------------------


def signed(issue: Issue, unsubscribe: str = "https://example.org/unsubscribe/x", **subscriber: str) -> bytes:
    return draft(issue, unsubscribe, **subscriber).signed()


def draft(issue: Issue, unsubscribe: str = "https://example.org/unsubscribe/x", **subscriber: str) -> Draft:
    letter = Letter(
        issue,
        sender="Häfen <news@example.org>",
        reply_to="editor@example.org",
        signers=signers(),
        unsubscribe_mail="unsubscribe+{token}@example.org",
    )
    parcel = make_parcel(1, "Jörg <joerg@example.org>", issue)
    return letter.draft(replace(parcel, token="abc", subscriber=Subscriber(unsubscribe=unsubscribe, **subscriber)))


def test_the_headers_that_readers_see_are_signed_and_three_cannot_be_added() -> None:
    first = str(message_from_bytes(signed(make_issue()))["DKIM-Signature"])
    tags = dict(tag.strip().split("=", 1) for tag in "".join(first.split()).split(";"))
    assert tags | {"h": "", "bh": "", "b": ""} == {
        "v": "1",
        "a": "rsa-sha256",
        "c": "relaxed/relaxed",
        "d": "example.org",
        "s": "s1",
        "t": str(int(make_issue().created.timestamp())),
        "h": "",
        "bh": "",
        "b": "",
    }
    assert sorted(tags["h"].split(":")) == sorted(
        [
            *["from", "to", "subject"] * 2,
            *["reply-to", "date", "message-id", "mime-version", "content-type"],
            *["list-id", "list-unsubscribe", "list-unsubscribe-post", "feedback-id"],
        ]
    )


def test_signatures_stand_first_and_their_lines_are_short() -> None:
    message = signed(make_issue())
    assert message.count(b"DKIM-Signature:") == 2
    above = message.partition(b"\r\nTo: ")[0]
    assert above.startswith(b"DKIM-Signature: v=1; a=rsa-sha256;")
    assert max(map(len, above.split(b"\r\n"))) <= 78
    unsigned = Letter(make_issue(), sender="", signers=()).to(make_parcel())
    assert message.endswith(unsigned.partition(b"\r\n\r\n")[2])


@given(st.text(st.characters(codec="utf-8", exclude_characters="\uffff"), max_size=60))
def test_a_draft_knows_what_a_relay_is_told_of_it_before_it_is_signed(name: str) -> None:
    issue = documented(make_issue(), {"subject.txt": "News", "mail.txt": f"Dear {slot('name')}", "mail.html": "x"})
    waiting = draft(issue, name="".join(c for c in name if c.isprintable()))
    assert (waiting.size, waiting.ascii) == (len(waiting.signed()), waiting.signed().isascii())


def test_each_attempt_sends_the_same_bytes() -> None:
    assert signed(make_issue()) == signed(make_issue())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"Subject: The", b"Subject: the"),
        (b"\r\nSubject:", b"\r\nSubject: Another\r\nSubject:"),
        (b"\r\nTo:", b"\r\nTo: x@example.org\r\nTo:"),
        (b"\r\nFrom:", b"\r\nFrom: x@example.org\r\nFrom:"),
        (b"\r\nSubject:", b"\r\nX: y\r\nSubject: Another\r\nSubject:"),
        (b"Message-ID: <", b"Message-ID: <a"),
        (b"/unsubscribe/x", b"/unsubscribe/y"),
        (b"unsubscribe+abc@", b"unsubscribe+abd@"),
        (b"=One-Click", b"=Two-Clicks"),
        (b"Feedback-ID: weekly", b"Feedback-ID: another"),
        (b"Hafen", b"hafen"),
        (b"; t=", b"; t=1"),
        (b"boundary=", b"boundary= "),
    ],
)
def test_what_was_changed_on_the_way_is_not_believed(before: bytes, after: bytes) -> None:
    message = signed(make_issue())
    assert before in message
    assert verdicts(message.replace(before, after)) == [False, False]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"Subject: The", b"SUBJECT:   The"),
        (b"Date: Tue, ", b"Date: Tue,\r\n\t"),
        (b"--\r\n", b"--\r\n\r\n\r\n"),
        (b"--\r\n", b"-- \t\r\n"),
        (b"\r\nPrecedence", b"\r\nX-Relay: yes\r\nPrecedence"),
    ],
)
def test_what_relays_do_to_blanks_and_line_ends_does_no_harm(before: bytes, after: bytes) -> None:
    message = signed(make_issue())
    assert before in message
    assert verdicts(message.replace(before, after)) == [True, True]


def test_nobody_can_add_a_way_off_the_list_to_a_mail_that_has_none() -> None:
    message = signed(make_issue(), unsubscribe="")
    assert verdicts(message) == [True, True]
    for added in (b"List-Unsubscribe: <https://a.example/>", b"List-Unsubscribe-Post: List-Unsubscribe=One-Click"):
        assert verdicts(message.replace(b"\r\nTo: ", b"\r\n" + added + b"\r\nTo: ")) == [False, False]


def documented(issue: Issue, bodies: dict[str, str]) -> Issue:
    documents = [Document(name=name, media_type="text/plain", body=body.encode()) for name, body in bodies.items()]
    return replace(issue, documents=tuple(documents))


texts = st.text(st.characters(codec="utf-8", exclude_characters="\uffff"), max_size=60)


@thorough
@given(st.lists(texts, min_size=2, max_size=4), texts, visible, visible)
@example(["a  ", " \tb\n\n"], "", "  two  blanks \u00a0", "Grüße " * 60)
@example(["", "", ""], " ", "", "a  b")
def test_dkimpy_believes_letters_whatever_fills_their_slots(text: list[str], html: str, own: str, subject: str) -> None:
    issue = documented(
        make_issue(),
        {
            "subject.txt": subject,
            "mail.txt": slot("name").join(text),
            "mail.html": f"{html}{slot('address')} {html}  ",
        },
    )
    assert verdicts(signed(issue, name=own, address=f"https://example.org/{own}")) == [True, True]


# --- keys ------------------------------------------------------------------------------------------------------------


def test_a_key_may_be_written_in_either_form() -> None:
    forms = [pem(rsa_key(), form) for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL)]
    both = [Signer("Example.ORG", "s1", text) for text in (*forms, forms[0].rstrip("\n"), f"\n{forms[1]}\n")]
    messages = {sealed(b"From: a@b.org\r\n", b"To: c@b.org\r\n", b"d\r\n", by=[signer]) for signer in both}
    assert len(messages) == 1


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: "a key", "not a private key in PEM"),
        (lambda: "", "not a private key in PEM"),
        (lambda: pem(rsa_key()).replace("A", "B", 40), "not a private key in PEM"),
        (lambda: pem(rsa_key(), password="word"), "it is encrypted"),
        (lambda: pem(rsa_key(), PrivateFormat.TraditionalOpenSSL, password="word"), "it is encrypted"),
        (lambda: pem(ec.generate_private_key(ec.SECP256R1())), "RSA and Ed25519 only"),
        (
            lambda: rsa_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
            "not a private key in PEM",
        ),
    ],
)
def test_a_key_that_cannot_sign_is_refused_and_not_shown(make: Callable[[], str], words: str) -> None:
    key = make()
    with pytest.raises(ValueError, match=f"^key: .*{words}") as caught:
        Signer("example.org", "s1", key)
    assert not set(key.split()) & set(re.findall(r"\S{12,}", str(caught.value)))
    assert caught.value.__cause__ is None


def test_a_key_that_nobody_believes_is_refused() -> None:
    short = subprocess.run(["openssl", "genrsa", "768"], check=True, capture_output=True, text=True).stdout
    with pytest.raises(ValueError, match="768 bits are too few"):
        Signer("example.org", "s1", short)


@pytest.mark.parametrize("domain", ["", "localhost", "exämple.org", "a b.org", "a.org;", "a..org", "-a.org", "a.org\n"])
def test_a_domain_is_a_name_in_dns(domain: str) -> None:
    with pytest.raises(ValueError, match=r"^domain: "):
        Signer(domain, "s1", pem(ED_KEY))


@pytest.mark.parametrize("selector", ["", "s 1", "s1;", "sé", ".s", "s\n"])
def test_a_selector_is_a_name_in_dns(selector: str) -> None:
    with pytest.raises(ValueError, match=r"^selector: "):
        Signer("example.org", selector, pem(ED_KEY))


# --- what an operator writes -----------------------------------------------------------------------------------------


def configured(folder: Path, dkim: str) -> config.Settings:
    (folder / "rsa.pem").write_text(pem(rsa_key()))
    (folder / "ed.pem").write_text(pem(ED_KEY))
    (folder / "ec.pem").write_text(pem(ec.generate_private_key(ec.SECP256R1())))
    file = folder / "config.yaml"
    site = "version: 1\nsite: {title: Harbour News, url: 'https://news.example.org'}\n"
    file.write_text(f"{site}channels:\n  post:\n    kind: smtp\n    url: smtp://relay\n    dkim: {dkim}\n")
    return config.load(file, sources=sources.kinds(), channels=channels.kinds(), environ={})


ONE = "{domain: example.org, selector: s1, key: !file rsa.pem}"
OTHER = "{domain: example.org, selector: s2, key: !file ed.pem}"


@pytest.mark.parametrize(("dkim", "count"), [(ONE, 1), (f"[{ONE}]", 1), (f"[{ONE}, {OTHER}]", 2), ("[]", 0)])
def test_one_signature_or_several_can_be_asked_for_and_keys_are_not_shown(
    tmp_path: Path, dkim: str, count: int
) -> None:
    made = configured(tmp_path, dkim)
    options = made.channels["post"].options
    made_signers = _mail.signers(options.dkim)
    assert len(made_signers) == count
    told = config.show(made) + repr(made) + repr(options) + repr(made_signers)
    assert told.count(MASK) == count + 1  # and the relay's address
    assert "BEGIN" not in told
    assert ED_PRIVATE not in told
    for key in ("rsa.pem", "ed.pem"):
        assert not any(line in told for line in (tmp_path / key).read_text().splitlines())


@pytest.mark.parametrize(
    ("dkim", "fault"),
    [
        ("{domain: example.org, key: !file ed.pem}", "dkim.selector: is missing"),
        ("{domain: localhost, selector: s1, key: !file ed.pem}", "dkim: domain: 'localhost' is not the name of a"),
        ("{domain: example.org, selector: s1, key: hunter2hunter2}", "dkim: key: not a private key in PEM"),
        (f"[{ONE}, {{domain: example.org, selector: s2, key: !file ec.pem}}]", "dkim.1: key: DKIM knows keys of RSA"),
        ("hunter2", "dkim: must be a mapping of options"),
    ],
)
def test_what_cannot_sign_is_a_fault_at_its_place(tmp_path: Path, dkim: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configured(tmp_path, dkim)
    (found,) = caught.value.faults
    assert str(found).startswith(f"{tmp_path}/config.yaml:7: channels.post.{fault}")
    assert "hunter2hunter2" not in str(found)


# --- the whole way ---------------------------------------------------------------------------------------------------


@pytest.fixture
def relay() -> Iterator[Relay]:
    relay = Relay(port=free_port())
    controller = Controller(relay, hostname="127.0.0.1", port=relay.port, enable_SMTPUTF8=True)
    controller.start()
    yield relay
    controller.stop()


def test_signatures_hold_for_what_arrives_through_smtp(relay: Relay) -> None:
    keys = (("s1", pem(rsa_key())), ("s2", pem(ED_KEY)))
    options = Smtp(
        url=f"smtp://127.0.0.1:{relay.port}",
        sender="Häfen <news@example.org>",
        dkim=tuple(Dkim(domain="example.org", selector=selector, key=key) for selector, key in keys),
    )
    issue = make_issue(text=".\n..\n.leading  dots \n \t\n" + "Grüße " * 200 + "\n.\n\n\n")
    recipients = ["ann@example.org", "Jörg <joerg@example.org>", "jösé@example.org"]
    parcels = [make_parcel(number, recipient, issue) for number, recipient in enumerate(recipients)]
    net = Net()
    receipts = list(options.send(parcels, net))
    net.close()
    assert [receipt.verdict for receipt in receipts] == [Verdict.SENT] * 3
    assert [verdicts(envelope.original_content) for envelope in relay.taken] == [[True, True]] * 3
