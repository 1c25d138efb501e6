"""What mail providers report, signed as they sign it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from publisher.bounces import Addresses, Fate, Request, Returned, providers
from publisher.bounces.providers.brevo import Brevo
from publisher.bounces.providers.mailgun import Mailgun
from publisher.bounces.providers.postmark import Postmark
from publisher.bounces.providers.sendgrid import SendGrid
from publisher.bounces.providers.ses import Ses
from publisher.errors import Forged, ReportError

_NOW = datetime(2026, 10, 19, 9, 0, tzinfo=UTC)
_STAMP = str(int(_NOW.timestamp()))
_OURS = Addresses(bounces=("bounce+{token}@example.org",))
_GONE = "smtp; 550 5.1.1 user unknown"
_BLOCKED = "smtp; 550 5.7.1 blocked by our policy"


def _no_fetch(url: str) -> bytes:
    raise AssertionError(f"nobody should ask for {url}")


def _request(body: Any, **headers: str) -> Request:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Request(headers={name.replace("_", "-"): value for name, value in headers.items()}, body=raw, received=_NOW)


def _fates(told: tuple[Returned, ...]) -> list[Fate]:
    return [one.fate for one in told]


def test_each_provider_is_a_file() -> None:
    assert set(providers()) == {"brevo", "mailgun", "postmark", "sendgrid", "ses"}


_ALL = [
    Mailgun(signing_key="k"),
    Postmark(password="a:b"),
    Brevo(secret="t"),
    Ses(topic="arn:aws:sns:eu-west-1:123456789012:bounces"),
]


@given(st.sampled_from(_ALL), st.binary(max_size=200) | st.recursive(st.none() | st.text(), st.lists).map(json.dumps))
@settings(deadline=None, max_examples=50)
def test_a_stranger_is_refused_whatever_is_said(provider: Any, body: bytes | str) -> None:
    raw = body.encode() if isinstance(body, str) else body
    with pytest.raises(ReportError):
        provider.read(_request(raw, Authorization="Basic !!!"), _OURS, _no_fetch)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    _JSON, st.sampled_from(["RecordType", "event", "x"]), st.sampled_from(["Bounce", "hard_bounce", "SpamComplaint"])
)
@settings(deadline=None)
def test_a_report_of_an_unknown_shape_is_read(body: Any, key: str, name: str) -> None:
    for said in (body, {"a": body, key: name, "email": body, "Email": body, "reason": body, "Details": body}):
        Brevo(secret="t").read(_request(said, Authorization="Bearer t"), _OURS, _no_fetch)
        Postmark(password="t").read(_request(said, Authorization="Bearer t"), _OURS, _no_fetch)
        _sns.read(_sns.message("Notification", Message=json.dumps(said)))


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"\xff"])
def test_what_is_no_json_is_named(body: bytes) -> None:
    with pytest.raises(ReportError, match="JSON"):
        Brevo(secret="t").read(_request(body, Authorization="Bearer t"), _OURS, _no_fetch)


# --- Postmark, Brevo -------------------------------------------------------------------------------------------------


def _basic(password: str) -> str:
    return "Basic " + base64.b64encode(password.encode()).decode()


@pytest.mark.parametrize(
    "header", ["", "Basic", "Basic ", "Bearer ", "Bearer a:c", _basic("a:c"), _basic(""), "Digest a:b"]
)
def test_a_wrong_password_is_refused(header: str) -> None:
    for provider in (Postmark(password="a:b"), Brevo(secret="a:b")):
        with pytest.raises(Forged):
            provider.read(_request({}, Authorization=header), _OURS, _no_fetch)


@pytest.mark.parametrize("header", ["Bearer a:b", _basic("a:b"), _basic("a:b").replace("Basic", "basic")])
def test_the_right_password_is_taken_in_either_form(header: str) -> None:
    assert Brevo(secret="a:b").read(_request({}, authorization=header), _OURS, _no_fetch) == ()


@pytest.mark.parametrize(
    ("record", "fate"),
    [
        ({"RecordType": "Bounce", "Type": "HardBounce", "Details": _GONE}, Fate.HARD),
        ({"RecordType": "Bounce", "Type": "HardBounce", "Details": "no"}, Fate.HARD),
        ({"RecordType": "Bounce", "Type": "HardBounce", "Details": _BLOCKED}, Fate.SOFT),
        ({"RecordType": "Bounce", "Type": "BadEmailAddress"}, Fate.HARD),
        ({"RecordType": "Bounce", "Type": "SoftBounce"}, Fate.SOFT),
        ({"RecordType": "Bounce", "Type": "Blocked"}, Fate.SOFT),
        ({"RecordType": "Bounce", "Type": "Unsubscribe"}, Fate.UNSUBSCRIBE),
        ({"RecordType": "Bounce", "Type": "SpamComplaint"}, Fate.COMPLAINT),
        ({"RecordType": "SpamComplaint"}, Fate.COMPLAINT),
        (
            {"RecordType": "SubscriptionChange", "SuppressSending": True, "SuppressionReason": "ManualSuppression"},
            Fate.UNSUBSCRIBE,
        ),
        ({"RecordType": "SubscriptionChange", "SuppressSending": True, "SuppressionReason": "HardBounce"}, Fate.HARD),
        ({"RecordType": "SubscriptionChange", "SuppressSending": False}, None),
        ({"RecordType": "Bounce", "Type": "Transient"}, None),
        ({"RecordType": "Bounce", "Type": "AutoResponder"}, None),
        ({"RecordType": "Open"}, None),
    ],
)
def test_postmark(record: dict[str, Any], fate: Fate | None) -> None:
    request = _request({"Email": "anna@example.net", **record}, Authorization=_basic("a:b"))
    told = Postmark(password="a:b").read(request, _OURS, _no_fetch)
    assert _fates(told) == ([fate] if fate else [])
    assert all(one.recipient == "anna@example.net" for one in told)


@pytest.mark.parametrize(
    ("event", "fate"),
    [
        ("hard_bounce", Fate.HARD),
        ("invalid_email", Fate.HARD),
        ("soft_bounce", Fate.SOFT),
        ("blocked", Fate.SOFT),
        ("spam", Fate.COMPLAINT),
        ("unsubscribed", Fate.UNSUBSCRIBE),
        ("deferred", None),
        ("opened", None),
    ],
)
def test_brevo(event: str, fate: Fate | None) -> None:
    said = {"event": event, "email": "anna@example.net", "message-id": "<m@example.org>", "reason": "no"}
    for body in (said, [said]):
        told = Brevo(secret="t").read(_request(body, Authorization="Bearer t"), _OURS, _no_fetch)
        assert _fates(told) == ([fate] if fate else [])
        assert all((one.recipient, one.message_id) == ("anna@example.net", "m@example.org") for one in told)


# --- Mailgun ---------------------------------------------------------------------------------------------------------


def _mailgun(event: dict[str, Any], stamp: str = _STAMP, key: str = "k", token: str = "t" * 50) -> tuple[Returned, ...]:
    signature = hmac.new(key.encode(), (stamp + token).encode(), hashlib.sha256).hexdigest()
    said = {"signature": {"timestamp": stamp, "token": token, "signature": signature}, "event-data": event}
    return Mailgun(signing_key="k").read(_request(said), _OURS, _no_fetch)


@pytest.mark.parametrize(
    ("event", "fate"),
    [
        ({"event": "failed", "severity": "permanent", "reason": "bounce"}, Fate.HARD),
        ({"event": "failed", "severity": "permanent", "delivery-status": {"code": 550, "message": _GONE}}, Fate.HARD),
        (
            {"event": "failed", "severity": "permanent", "delivery-status": {"code": 550, "message": _BLOCKED}},
            Fate.SOFT,
        ),
        ({"event": "failed", "severity": "permanent", "delivery-status": {"code": 452}}, Fate.SOFT),
        ({"event": "failed", "severity": "permanent", "reason": "suppress-bounce"}, Fate.HARD),
        ({"event": "failed", "severity": "permanent", "reason": "suppress-complaint"}, Fate.COMPLAINT),
        ({"event": "failed", "severity": "permanent", "reason": "old", "delivery-status": {"code": 602}}, Fate.SOFT),
        ({"event": "failed", "severity": "temporary", "delivery-status": {"code": 550}}, None),
        ({"event": "complained"}, Fate.COMPLAINT),
        ({"event": "unsubscribed"}, Fate.UNSUBSCRIBE),
        ({"event": "delivered"}, None),
        ({}, None),
    ],
)
def test_mailgun(event: dict[str, Any], fate: Fate | None) -> None:
    ours = {"message": {"headers": {"message-id": "m@example.org"}}, "envelope": {"sender": "bounce+ab@example.org"}}
    told = _mailgun({"recipient": "anna@example.net", **ours, **event})
    assert _fates(told) == ([fate] if fate else [])
    expected = ("anna@example.net", "m@example.org", "ab")
    assert all((one.recipient, one.message_id, one.token) == expected for one in told)


@pytest.mark.parametrize("key", ["", "K", "kk"])
def test_mailgun_with_another_key_is_forged(key: str) -> None:
    with pytest.raises(Forged):
        _mailgun({"event": "complained"}, key=key)


@pytest.mark.parametrize("late", [timedelta(days=2), timedelta(days=-2)])
def test_a_signature_from_another_day_is_refused(late: timedelta) -> None:
    with pytest.raises(Forged, match="too old"):
        _mailgun({"event": "complained"}, stamp=str(int((_NOW - late).timestamp())))


@pytest.mark.parametrize("stamp", ["", "soon", "9" * 40, "nan"])
def test_a_signature_without_a_moment_is_refused(stamp: str) -> None:
    with pytest.raises(Forged):
        _mailgun({"event": "complained"}, stamp=stamp)


# --- SendGrid --------------------------------------------------------------------------------------------------------

_EC = ec.generate_private_key(ec.SECP256R1())
_EC_PUBLIC = base64.b64encode(_EC.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def _sendgrid(body: Any, signed: bytes | None = None) -> tuple[Returned, ...]:
    raw = json.dumps(body).encode()
    signature = _EC.sign(_STAMP.encode() + (raw if signed is None else signed), ec.ECDSA(SHA256()))
    headers = {
        "x-twilio-email-event-webhook-signature": base64.b64encode(signature).decode(),
        "x-twilio-email-event-webhook-timestamp": _STAMP,
    }
    return SendGrid(key=_EC_PUBLIC).read(Request(headers=headers, body=raw, received=_NOW), _OURS, _no_fetch)


@pytest.mark.parametrize(
    ("event", "fate"),
    [
        ({"event": "bounce", "type": "bounce", "status": "5.1.1", "reason": "550 unknown"}, Fate.HARD),
        ({"event": "bounce", "type": "bounce", "reason": "no"}, Fate.HARD),
        ({"event": "bounce", "type": "bounce", "reason": _BLOCKED}, Fate.SOFT),
        ({"event": "bounce", "type": "blocked", "reason": "550 5.1.1 no"}, Fate.SOFT),
        ({"event": "bounce", "type": "blocked", "bounce_classification": "Invalid Address"}, Fate.HARD),
        ({"event": "dropped", "reason": "Bounced Address"}, Fate.HARD),
        ({"event": "dropped", "reason": "Spam Reporting Address"}, Fate.COMPLAINT),
        ({"event": "dropped", "reason": "Unsubscribed Address"}, Fate.UNSUBSCRIBE),
        ({"event": "dropped", "reason": "Recipient List over Package Quota"}, Fate.SOFT),
        ({"event": "spamreport"}, Fate.COMPLAINT),
        ({"event": "group_unsubscribe"}, Fate.UNSUBSCRIBE),
        ({"event": "deferred", "response": "450 later"}, None),
        ({"event": "delivered"}, None),
    ],
)
def test_sendgrid(event: dict[str, Any], fate: Fate | None) -> None:
    told = _sendgrid([{"email": "anna@example.net", "smtp-id": "<m@example.org>", **event}, "odd", None])
    assert _fates(told) == ([fate] if fate else [])
    assert all((one.recipient, one.message_id) == ("anna@example.net", "m@example.org") for one in told)


def test_sendgrid_with_another_body_than_was_signed_is_forged() -> None:
    with pytest.raises(Forged):
        _sendgrid([{"event": "spamreport"}], signed=b"[]")


def test_sendgrid_without_a_list_is_named() -> None:
    with pytest.raises(ReportError, match="list"):
        _sendgrid({"event": "spamreport"})


def test_sendgrid_without_a_signature_is_forged() -> None:
    with pytest.raises(Forged):
        SendGrid(key=_EC_PUBLIC).read(_request([]), _OURS, _no_fetch)


@pytest.mark.parametrize("key", ["", "!!", base64.b64encode(b"key").decode()])
def test_a_key_that_is_none_is_refused_at_once(key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        SendGrid(key=key)


# --- Amazon SES ------------------------------------------------------------------------------------------------------


class _Sns:
    """Amazon's side: a key, its certificate at an address, and messages signed with it."""

    topic = "arn:aws:sns:eu-west-1:123456789012:bounces"
    host = "https://sns.eu-west-1.amazonaws.com"
    certificate_url = host + "/SimpleNotificationService-" + "0a" * 16 + ".pem"

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
        certificate = x509.CertificateBuilder(name, name, self.key.public_key(), x509.random_serial_number())
        certificate = certificate.not_valid_before(_NOW - timedelta(days=9)).not_valid_after(_NOW + timedelta(days=9))
        self.certificate = certificate.sign(self.key, SHA256()).public_bytes(Encoding.PEM)
        self.fetched: list[str] = []

    def message(self, kind: str, version: str = "2", **more: str) -> dict[str, str]:
        told = {"Type": kind, "MessageId": "1", "TopicArn": self.topic, "Timestamp": "2026-10-19T09:00:00Z", **more}
        names = ["Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
        signed = "".join(f"{name}\n{told[name]}\n" for name in names if name in told).encode()
        signature = self.key.sign(signed, padding.PKCS1v15(), SHA256() if version == "2" else SHA1())
        told |= {"SignatureVersion": version, "Signature": base64.b64encode(signature).decode()}
        return told | {"SigningCertURL": self.certificate_url}

    def fetch(self, url: str) -> bytes:
        self.fetched.append(url)
        return self.certificate

    def read(self, message: Any, provider: Ses | None = None) -> tuple[Returned, ...]:
        return (provider or Ses(topic=self.topic)).read(_request(message), _OURS, self.fetch)

    def report(self, **report: Any) -> tuple[Returned, ...]:
        return self.read(self.message("Notification", Message=json.dumps(report), Subject="Amazon SES"))


_sns = _Sns()


@pytest.fixture
def sns() -> _Sns:
    _sns.fetched.clear()
    return _sns


_MAIL = {
    "source": "bounce+ab@example.org",
    "messageId": "their own",
    "headers": [{"name": "Message-ID", "value": "<m@example.org>"}],
}


@pytest.mark.parametrize(
    ("kind", "subtype", "words", "fate"),
    [
        ("Permanent", "General", _GONE, Fate.HARD),
        ("Permanent", "General", _BLOCKED, Fate.SOFT),
        ("Permanent", "General", "", Fate.HARD),
        ("Permanent", "NoEmail", _BLOCKED, Fate.HARD),
        ("Permanent", "OnAccountSuppressionList", "", Fate.HARD),
        ("Transient", "MailboxFull", "", Fate.SOFT),
        ("Transient", "ContentRejected", "", Fate.SOFT),
        ("Undetermined", "Undetermined", _GONE, Fate.SOFT),
    ],
)
def test_ses_bounces(sns: _Sns, kind: str, subtype: str, words: str, fate: Fate) -> None:
    recipients = [{"emailAddress": "anna@example.net", "diagnosticCode": words}]
    bounce = {"bounceType": kind, "bounceSubType": subtype, "bouncedRecipients": recipients}
    (told,) = sns.report(notificationType="Bounce", mail=_MAIL, bounce=bounce)
    assert told.fate == fate
    assert (told.token, told.recipient, told.message_id) == ("ab", "anna@example.net", "m@example.org")


def test_ses_complaints_by_event_publishing(sns: _Sns) -> None:
    complaint = {"complainedRecipients": [{"emailAddress": "anna@example.net"}], "complaintFeedbackType": "abuse"}
    (told,) = sns.report(eventType="Complaint", mail=_MAIL, complaint=complaint)
    assert (told.fate, told.recipient) == (Fate.COMPLAINT, "anna@example.net")
    assert sns.report(eventType="Complaint", complaint={**complaint, "complaintFeedbackType": "not-spam"}) == ()


def test_ses_deliveries_tell_nothing(sns: _Sns) -> None:
    assert sns.report(notificationType="Delivery", mail=_MAIL, delivery={"recipients": ["anna@example.net"]}) == ()


@pytest.mark.parametrize("version", ["1", "2"])
def test_ses_subscription_is_confirmed_at_the_address_that_was_signed(sns: _Sns, version: str) -> None:
    url = sns.host + "/?Action=ConfirmSubscription&Token=t"
    message = sns.message("SubscriptionConfirmation", version, Message="Confirm?", SubscribeURL=url, Token="t")
    assert sns.read(message) == ()
    assert sns.fetched == [sns.certificate_url, url]


@pytest.mark.parametrize(
    "host", ["https://evil.example", "http://sns.eu-west-1.amazonaws.com", "https://sns.us-east-1.amazonaws.com"]
)
def test_ses_subscription_elsewhere_is_not_confirmed(sns: _Sns, host: str) -> None:
    message = sns.message("SubscriptionConfirmation", Message="", SubscribeURL=host + "/?Action=x", Token="t")
    with pytest.raises(Forged):
        sns.read(message)
    assert sns.fetched == [sns.certificate_url]


def test_ses_certificates_are_fetched_once(sns: _Sns) -> None:
    provider = Ses(topic=sns.topic)
    for _ in range(3):
        sns.read(sns.message("Notification", Message="{}"), provider)
    assert sns.fetched == [sns.certificate_url]


@pytest.mark.parametrize(
    "change",
    [
        {"Message": '{"notificationType": "Complaint"}'},
        {"TopicArn": "arn:aws:sns:eu-west-1:999999999999:bounces"},
        {"Signature": ""},
        {"Signature": "AAAA"},
        {"SignatureVersion": "1"},
        {"Type": "UnsubscribeConfirmation"},
        {
            "SigningCertURL": "https://sns.eu-west-1.amazonaws.com.evil.example/SimpleNotificationService-"
            + "0a" * 16
            + ".pem"
        },
        {"SigningCertURL": "https://user@sns.eu-west-1.amazonaws.com/SimpleNotificationService-" + "0a" * 16 + ".pem"},
        {"SigningCertURL": "https://sns.eu-west-1.amazonaws.com/other.pem"},
        {"SigningCertURL": "https://["},
        {"SigningCertURL": ""},
    ],
)
def test_ses_with_anything_changed_is_forged(sns: _Sns, change: dict[str, str]) -> None:
    with pytest.raises(Forged):
        sns.read(sns.message("Notification", Message="{}") | change)


def test_ses_with_a_certificate_of_another_time_is_forged(sns: _Sns) -> None:
    request = _request(sns.message("Notification", Message="{}"))
    late = Request(headers={}, body=request.body, received=_NOW + timedelta(days=30))
    with pytest.raises(Forged, match="not valid"):
        Ses(topic=sns.topic).read(late, _OURS, sns.fetch)


def test_ses_with_something_else_for_a_certificate_is_forged(sns: _Sns) -> None:
    with pytest.raises(Forged, match="certificate"):
        Ses(topic=sns.topic).read(_request(sns.message("Notification", Message="{}")), _OURS, lambda url: b"404")


def test_ses_with_a_message_that_is_no_report_is_named(sns: _Sns) -> None:
    with pytest.raises(ReportError, match="JSON"):
        sns.read(sns.message("Notification", Message="Hello"))


@pytest.mark.parametrize(
    "topic", ["", "bounces", "arn:aws:sqs:eu-west-1:123456789012:q", "arn:aws-x:sns:a:123456789012:t"]
)
def test_ses_with_something_else_for_a_topic_is_refused_at_once(topic: str) -> None:
    with pytest.raises(ValueError, match="topic"):
        Ses(topic=topic)
