from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from queue import Queue

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from receivers import Fragile, Grouping, Relay, free_port, make_issue, make_parcel, only_login, server_context
from waiting import PATIENCE

from publisher.channels._mail import Dkim
from publisher.channels._wire import Reply
from publisher.channels.smtp import KIND, Smtp, _verdict
from publisher.errors import ChannelDown, ChannelError
from publisher.mime import Draft
from publisher.model import Parcel, Receipt, Subscriber, Verdict
from publisher.net import Net

SENT, DEFERRED, FAILED = Verdict.SENT, Verdict.DEFERRED, Verdict.FAILED
UNCERTAIN, BROKEN = Verdict.UNCERTAIN, Verdict.BROKEN

Start = Callable[..., Relay]
StartFragile = Callable[..., Fragile]


def channel(port: int, *, scheme: str = "smtp", login: str = "", **options: object) -> Smtp:
    return Smtp(url=f"{scheme}://{login}127.0.0.1:{port}", timeout=timedelta(seconds=30), **options)


def send(options: Smtp, parcels: list[Parcel], net: Net) -> list[Receipt]:
    return list(options.send(parcels, net))


def verdicts(receipts: list[Receipt]) -> list[Verdict]:
    return [receipt.verdict for receipt in receipts]


def parcels(count: int) -> list[Parcel]:
    issue = make_issue()
    return [make_parcel(number, issue=issue) for number in range(1, count + 1)]


# --- what arrives ----------------------------------------------------------------------------------------------------


def test_a_stream_goes_over_one_connection_and_arrives_as_it_was_meant(relay: Relay, net: Net) -> None:
    receipts = send(channel(relay.port), parcels(5), net)
    assert [receipt.delivery for receipt in receipts] == [1, 2, 3, 4, 5]
    assert set(verdicts(receipts)) == {SENT}
    assert len(set(relay.peers)) == 1
    assert [message["To"] for message in relay.messages] == [f"reader{n}@example.org" for n in range(1, 6)]
    first = relay.messages[0]
    assert first.get_body(("plain",)).get_content() == "Grüße vom Hafen\r\n.\r\n..zwei\r\n"
    assert (first["From"], first["Subject"]) == ("Harbour News <news@news.example.org>", "The Weekly, 1")
    assert relay.taken[0].mail_from == "news@news.example.org"
    assert relay.taken[0].rcpt_tos == ["reader1@example.org"]


def test_the_message_on_the_wire_has_no_bare_line_end_and_no_long_line(relay: Relay, net: Net) -> None:
    issue = make_issue(text="bare \r and \n and " + "x" * 3000)
    send(channel(relay.port), [make_parcel(issue=issue)], net)
    content = relay.taken[0].original_content
    assert content.count(b"\n") == content.count(b"\r") == content.count(b"\r\n")
    assert max(map(len, content.split(b"\r\n"))) <= 76


def test_two_issues_in_one_stream_are_two_letters(relay: Relay, net: Net) -> None:
    issues = [make_issue(1), make_issue(2)]
    send(channel(relay.port), [make_parcel(n, issue=issues[n % 2]) for n in range(4)], net)
    assert [message["Subject"] for message in relay.messages] == ["The Weekly, 1", "The Weekly, 2"] * 2


def test_the_sender_and_where_answers_go_can_be_named(relay: Relay, net: Net) -> None:
    options = channel(relay.port, sender="Hafen, Neues <post@example.org>", reply_to="editor@example.org")
    send(options, parcels(1), net)
    assert relay.messages[0]["From"].addresses[0].display_name == "Hafen, Neues"
    assert relay.messages[0]["Reply-To"] == "editor@example.org"
    assert relay.taken[0].mail_from == "post@example.org"


def test_a_recipient_with_a_name_has_a_bare_address_on_the_envelope(relay: Relay, net: Net) -> None:
    send(channel(relay.port), [make_parcel(recipient="Jörg Ä. <joerg@exämple.org>")], net)
    assert relay.taken[0].rcpt_tos == ["joerg@xn--exmple-cua.org"]
    assert relay.messages[0]["To"].addresses[0].display_name == "Jörg Ä."


def test_the_size_is_announced(relay: Relay, net: Net) -> None:
    send(channel(relay.port), parcels(1), net)
    assert relay.options[0] == [f"SIZE={len(relay.taken[0].original_content)}"]


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["RCPT", "DATA"])
@pytest.mark.parametrize(
    ("answer", "verdict"),
    [("450 busy", DEFERRED), ("452 too many", DEFERRED), ("550 no such user", FAILED), ("552 full", FAILED)],
)
def test_a_refused_recipient_is_told_apart_and_the_others_still_get_theirs(
    relay: Relay, net: Net, command: str, answer: str, verdict: Verdict
) -> None:
    relay.answers[command, "reader2@example.org"] = answer
    receipts = send(channel(relay.port), parcels(3), net)
    assert verdicts(receipts) == [SENT, verdict, SENT]
    assert receipts[1].detail == answer
    assert len(relay.taken) == 2
    assert len(set(relay.peers)) == 1


def test_a_refused_sender_is_our_fault_and_burns_nobody(relay: Relay, net: Net) -> None:
    relay.answers["MAIL", ""] = "553 sender not yours"
    with pytest.raises(ChannelError, match="refuses the sender: 553 sender not yours") as caught:
        send(channel(relay.port), parcels(2), net)
    assert not isinstance(caught.value, ChannelDown)
    assert "from" in caught.value.hint


@pytest.mark.parametrize(
    ("answer", "gone"),
    [
        ("550 5.1.1 no such user", True),
        ("550 no such user here", True),
        ("550 5.7.1 your message looks like spam", False),
        ("552 5.2.2 mailbox full", False),
        ("450 4.2.1 greylisted", False),
    ],
)
def test_a_recipient_who_is_not_there_is_told_from_one_who_is_refused(
    relay: Relay, net: Net, answer: str, gone: bool
) -> None:
    relay.answers["RCPT", "reader1@example.org"] = answer
    receipts = send(channel(relay.port), parcels(2), net)
    assert [receipt.gone for receipt in receipts] == [gone, False]


def test_a_relay_that_is_busy_at_mail_defers(relay: Relay, net: Net) -> None:
    relay.answers["MAIL", ""] = "451 later"
    assert verdicts(send(channel(relay.port), parcels(2), net)) == [DEFERRED, DEFERRED]


def test_what_is_no_address_fails_and_nothing_of_it_is_sent(relay: Relay, net: Net) -> None:
    hostile = "a@example.org>\r\nRCPT TO:<b@example.org"
    receipts = send(channel(relay.port), [make_parcel(1, recipient=hostile), make_parcel(2)], net)
    assert verdicts(receipts) == [FAILED, SENT]
    assert [envelope.rcpt_tos for envelope in relay.taken] == [["reader2@example.org"]]


def test_an_issue_that_cannot_be_mailed_is_broken_and_holds_up_no_other(relay: Relay, net: Net) -> None:
    stream = [make_parcel(1, issue=make_issue(1, title="a\x00b")), make_parcel(2)]
    receipts = send(channel(relay.port), stream, net)
    assert verdicts(receipts) == [BROKEN, SENT]
    assert "control character" in receipts[0].detail
    assert len(relay.taken) == 1


def test_a_message_above_the_announced_size_fails_without_being_sent(start_relay: Start, net: Net) -> None:
    relay = start_relay(data_size_limit=500)
    receipts = send(channel(relay.port), parcels(1), net)
    assert verdicts(receipts) == [FAILED]
    assert "the relay takes 500" in receipts[0].detail
    assert relay.peers == []


def test_a_local_part_beyond_ascii_goes_where_smtputf8_is_spoken(relay: Relay, net: Net) -> None:
    receipts = send(channel(relay.port), [make_parcel(1, recipient="jösé@exämple.org"), make_parcel(2)], net)
    assert verdicts(receipts) == [SENT, SENT]
    assert relay.taken[0].rcpt_tos == ["jösé@xn--exmple-cua.org"]
    assert "To: jösé@xn--exmple-cua.org\r\n".encode() in relay.taken[0].original_content
    assert ["SMTPUTF8" in options for options in relay.options] == [True, False]


def test_a_local_part_beyond_ascii_fails_with_the_reason_elsewhere(start_relay: Start, net: Net) -> None:
    relay = start_relay(enable_SMTPUTF8=False)
    receipts = send(channel(relay.port), [make_parcel(1, recipient="jösé@example.org"), make_parcel(2)], net)
    assert verdicts(receipts) == [FAILED, SENT]
    assert "does not speak SMTPUTF8" in receipts[0].detail


def test_a_reader_can_leave_by_mail_where_an_address_is_named_for_it(relay: Relay, net: Net) -> None:
    options = replace(channel(relay.port), unsubscribe="unsubscribe+{token}@example.org")
    person = Subscriber(address="reader1@example.org", unsubscribe="https://news.example.org/unsubscribe/1-x")
    [receipt] = send(options, [replace(make_parcel(1), subscriber=person, token="1-abc")], net)
    assert receipt.verdict is SENT, receipt.detail
    [mail] = relay.messages
    ways = "<https://news.example.org/unsubscribe/1-x>, <mailto:unsubscribe+1-abc@example.org>"
    assert (mail["List-Unsubscribe"], mail["List-Unsubscribe-Post"]) == (ways, "List-Unsubscribe=One-Click")


# --- lost connections ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["MAIL", "RCPT", "DATA", "half", "."])
@pytest.mark.parametrize("answer", ["", "421 closing"])
def test_a_connection_lost_at_any_moment_costs_one_parcel_and_is_made_anew(
    start_fragile: StartFragile, net: Net, moment: str, answer: str
) -> None:
    relay = start_fragile((moment, answer, 1))
    receipts = send(channel(relay.port), parcels(3), net)
    in_doubt = moment in ("half", ".") and not answer  # the last dot had left
    assert verdicts(receipts) == [UNCERTAIN if in_doubt else DEFERRED, SENT, SENT]
    assert relay.connections == 2
    assert [b"To: reader%d@" % n in message for n, message in zip((2, 3), relay.taken, strict=True)] == [True, True]


@pytest.mark.parametrize("answer", ["", "421 closing"])
def test_a_connection_lost_twice_in_a_row_ends_the_stream(start_fragile: StartFragile, net: Net, answer: str) -> None:
    relay = start_fragile(("DATA", answer, 1), (".", answer, 1))
    receipts: list[Receipt] = []
    with pytest.raises(ChannelDown, match="lost 2 times in a row"):
        receipts.extend(channel(relay.port).send(parcels(4), net))
    assert (relay.connections, len(relay.taken)) == (2, 0)


def test_a_relay_that_closes_after_every_few_messages_is_reconnected_each_time(
    start_fragile: StartFragile, net: Net
) -> None:
    relay = start_fragile(*[("MAIL", "421 enough for one connection", 3)] * 3)
    receipts = send(channel(relay.port), parcels(9), net)
    assert verdicts(receipts) == [SENT, SENT, DEFERRED] * 3
    assert relay.connections == 3


def test_a_connection_lost_while_resetting_leaves_the_verdict_as_it_was(start_fragile: StartFragile, net: Net) -> None:
    relay = start_fragile(("RSET", "", 1))
    refused = make_parcel(1, recipient="refused@example.org")
    receipts = send(channel(relay.port), [refused, make_parcel(2)], net)
    assert verdicts(receipts) == [FAILED, SENT]
    assert (relay.heard.count("RSET"), relay.connections) == (1, 2)


def test_what_is_not_smtp_defers_the_parcel(start_fragile: StartFragile, net: Net) -> None:
    relay = start_fragile(("RCPT", "<html>", 1))
    assert verdicts(send(channel(relay.port), parcels(2), net)) == [DEFERRED, SENT]


@pytest.mark.parametrize(("answer", "verdict"), [("552 5.3.4 too big", FAILED), ("451 4.3.0 too busy", DEFERRED)])
def test_what_a_relay_says_before_it_hangs_up_on_a_large_message_is_its_verdict(
    start_fragile: StartFragile, net: Net, answer: str, verdict: Verdict
) -> None:
    relay = start_fragile(("half", answer, 1))
    large = make_parcel(1, issue=make_issue(text="x" * 8_000_000))
    receipts = send(channel(relay.port), [large, make_parcel(2)], net)
    assert verdicts(receipts) == [verdict, SENT]
    assert receipts[0].detail == answer


def test_the_last_dot_is_given_more_time_than_other_answers(net: Net, start_fragile: StartFragile) -> None:
    relay = start_fragile(slow_dot=2.5)
    options = Smtp(url=f"smtp://127.0.0.1:{relay.port}", timeout=timedelta(seconds=2))
    assert verdicts(send(options, parcels(1), net)) == [SENT]


# --- the door --------------------------------------------------------------------------------------------------------


def test_nobody_listening_is_a_channel_that_is_down(net: Net) -> None:
    with pytest.raises(ChannelDown, match="no connection: Connection refused"):
        send(channel(free_port()), parcels(1), net)


def test_a_silent_relay_is_a_channel_that_is_down(net: Net) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        options = Smtp(url=f"smtp://127.0.0.1:{silent.getsockname()[1]}", timeout=timedelta(seconds=0.1))
        with pytest.raises(ChannelDown, match="timed out"):
            send(options, parcels(1), net)


@pytest.mark.parametrize(("greeting", "down"), [("421 too busy", True), ("554 go away", False), ("<html>", False)])
def test_a_relay_that_does_not_greet_is_down_or_refuses_us(
    start_fragile: StartFragile, net: Net, greeting: str, down: bool
) -> None:
    relay = start_fragile(greeting=greeting)
    with pytest.raises(ChannelError) as caught:
        send(channel(relay.port), parcels(1), net)
    assert isinstance(caught.value, ChannelDown) is down


def test_nothing_is_opened_when_there_is_nothing_to_send(net: Net) -> None:
    assert send(channel(free_port()), [], net) == []


@pytest.mark.parametrize("scheme", ["smtp+starttls", "smtps"])
def test_mail_goes_encrypted_to_a_relay_whose_certificate_is_known(
    start_relay: Start, certificate: Path, net: Net, scheme: str
) -> None:
    relay = start_relay(**tls(scheme, certificate))
    options = channel(relay.port, scheme=scheme, ca=certificate)
    assert verdicts(send(options, parcels(2), net)) == [SENT, SENT]
    assert options.check(net).startswith(f"127.0.0.1:{relay.port} answers, TLSv1.3, without a login")


@pytest.mark.parametrize("scheme", ["smtp+starttls", "smtps"])
def test_a_certificate_that_nobody_vouches_for_is_refused(
    start_relay: Start, certificate: Path, net: Net, scheme: str
) -> None:
    relay = start_relay(**tls(scheme, certificate))
    with pytest.raises(ChannelError, match="not to be trusted") as caught:
        send(channel(relay.port, scheme=scheme), parcels(1), net)
    assert "`ca`" in caught.value.hint
    assert relay.taken == []


def tls(scheme: str, certificate: Path) -> dict[str, object]:
    context = server_context(certificate)
    return {"ssl_context": context} if scheme == "smtps" else {"tls_context": context, "require_starttls": True}


def test_mail_never_goes_unencrypted_when_encryption_was_asked_for(start_fragile: StartFragile, net: Net) -> None:
    relay = start_fragile(features=("SIZE 0",))
    with pytest.raises(ChannelError, match="STARTTLS extension not supported"):
        send(channel(relay.port, scheme="smtp+starttls"), parcels(1), net)
    assert "MAIL" not in relay.heard


def test_a_refused_starttls_is_never_passed_over(start_fragile: StartFragile, net: Net) -> None:
    relay = start_fragile(("STARTTLS", "454 not now", 1), ("STARTTLS", "502 never", 1), features=("STARTTLS",))
    options = channel(relay.port, scheme="smtp+starttls")
    with pytest.raises(ChannelDown, match="454 not now"):
        send(options, parcels(1), net)
    with pytest.raises(ChannelError, match="502 never"):
        send(options, parcels(1), net)
    assert "MAIL" not in relay.heard


def test_tls_spoken_to_a_port_that_does_not_says_which_scheme_is_for_which_port(relay: Relay, net: Net) -> None:
    with pytest.raises(ChannelDown, match="no encrypted connection") as caught:
        send(channel(relay.port, scheme="smtps"), parcels(1), net)
    assert "smtp+starttls://" in caught.value.hint


@pytest.fixture
def guarded(start_relay: Start, certificate: Path) -> Relay:
    """Wants STARTTLS and a login."""
    login = {"authenticator": only_login(b"pub@example.org", b"p/w:#1"), "auth_required": True}
    return start_relay(**tls("smtp+starttls", certificate), **login)


def test_a_login_with_special_characters_in_it_works(guarded: Relay, certificate: Path, net: Net) -> None:
    login = "pub%40example.org:p%2Fw%3A%231@"
    options = channel(guarded.port, scheme="smtp+starttls", login=login, ca=certificate)
    assert verdicts(send(options, parcels(1), net)) == [SENT]
    assert options.check(net) == f"127.0.0.1:{guarded.port} answers, TLSv1.3, logged in as pub@example.org"


@pytest.mark.parametrize("act", ["send", "check"])
def test_a_wrong_password_is_told_as_such_and_never_shown(
    guarded: Relay, certificate: Path, net: Net, act: str
) -> None:
    options = channel(guarded.port, scheme="smtp+starttls", login="pub%40example.org:wrong-one@", ca=certificate)
    with pytest.raises(ChannelError, match="535") as caught:
        options.check(net) if act == "check" else send(options, parcels(1), net)
    assert not isinstance(caught.value, ChannelDown)
    assert "password" in caught.value.hint
    assert "wrong-one" not in f"{caught.value} {caught.value.hint} {options!r}"


def test_a_login_that_the_relay_does_not_offer_is_told(relay: Relay, net: Net) -> None:
    with pytest.raises(ChannelError, match="AUTH extension not supported"):
        send(channel(relay.port, login="user:word@"), parcels(1), net)


def test_a_certificate_file_that_is_missing_is_told(tmp_path: Path, net: Net) -> None:
    with pytest.raises(ChannelError, match=r"nowhere\.pem: No such file"):
        send(channel(free_port(), scheme="smtp+starttls", ca=tmp_path / "nowhere.pem"), parcels(1), net)


def test_check_sends_nothing(relay: Relay, net: Net) -> None:
    answer = channel(relay.port).check(net)
    assert answer == f"127.0.0.1:{relay.port} answers, not encrypted, without a login"
    assert relay.peers == []


# --- one parcel at a time --------------------------------------------------------------------------------------------


def test_nothing_of_the_next_parcel_leaves_before_the_receipt_was_taken(start_fragile: StartFragile, net: Net) -> None:
    relay = start_fragile()
    stream = channel(relay.port).send(parcels(2), net)
    next(stream)
    assert relay.heard == ["EHLO", "MAIL", "RCPT", "DATA", "."]
    next(stream)
    assert relay.heard.count("MAIL") == 2
    stream.close()


def test_a_stream_that_is_closed_early_takes_leave(start_fragile: StartFragile, net: Net) -> None:
    relay = start_fragile()
    stream = channel(relay.port).send(parcels(2), net)
    next(stream)
    stream.close()
    assert relay.heard[-1] == "QUIT"
    assert len(relay.taken) == 1


# --- commands in groups ----------------------------------------------------------------------------------------------

PIPELINING = {"features": ("PIPELINING",)}
OPENING, NEXT = ["MAIL", "RCPT", "DATA"], [".", "MAIL", "RCPT", "DATA"]

StartGrouping = Callable[..., Grouping]


@pytest.fixture
def start_grouping() -> Iterator[StartGrouping]:
    with ExitStack() as running:

        def start(**settings: object) -> Grouping:
            server = running.enter_context(Grouping(**settings))  # type: ignore[arg-type]  # passed through as they are
            running.callback(server.shutdown)
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
            return server

        yield start


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_the_last_dot_leaves_together_with_the_next_commands(
    start_grouping: StartGrouping, certificate: Path, net: Net, scheme: str
) -> None:
    relay = start_grouping(context=server_context(certificate) if scheme == "smtps" else None)
    receipts = send(channel(relay.port, scheme=scheme, ca=certificate), parcels(3), net)
    assert [(receipt.delivery, receipt.verdict) for receipt in receipts] == [(1, SENT), (2, SENT), (3, SENT)]
    assert receipts[0].detail == "250 2.0.0 taken"
    assert relay.groups == [["EHLO"], OPENING, NEXT, NEXT, ["."], ["QUIT"]]
    assert [b"To: reader%d@" % n in mail for n, mail in enumerate(relay.taken, 1)] == [True] * 3


def test_no_content_of_the_next_parcel_leaves_before_the_receipt_was_taken(
    start_grouping: StartGrouping, net: Net
) -> None:
    relay = start_grouping()
    stream = channel(relay.port).send(parcels(3), net)
    for taken in (1, 2):
        next(stream)
        received = relay.received
        time.sleep(0.05)
        assert (len(relay.taken), relay.groups[-1], relay.received) == (taken, NEXT, received)
    stream.close()


def test_the_next_mail_is_signed_while_the_one_before_is_on_its_way(
    start_grouping: StartGrouping, net: Net, monkeypatch: pytest.MonkeyPatch
) -> None:
    signing, sign = Queue[str](), Draft.signed

    def signed(draft: Draft) -> bytes:
        signing.put(threading.current_thread().name)
        return sign(draft)

    monkeypatch.setattr(Draft, "signed", signed)
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    dkim = Dkim(domain="example.org", selector="s", key=Ed25519PrivateKey.generate().private_bytes(*form).decode())
    relay = start_grouping()
    stream = channel(relay.port, dkim=dkim).send(parcels(2), net)
    next(stream)
    assert [signing.get(timeout=PATIENCE) for _ in range(2)] == ["signing_0"] * 2
    stream.close()
    assert len(relay.taken) == 1


def test_a_stream_that_is_closed_with_the_next_parcel_begun_is_cut(start_grouping: StartGrouping, net: Net) -> None:
    relay = start_grouping()
    stream = channel(relay.port).send(parcels(3), net)
    next(stream)
    stream.close()
    assert (len(relay.taken), relay.groups[-1]) == (1, NEXT)


def test_one_parcel_is_pulled_ahead_and_not_two(start_grouping: StartGrouping, net: Net) -> None:
    pulled: list[int] = []

    def stream() -> Iterator[Parcel]:
        for parcel in parcels(4):
            pulled.append(parcel.delivery)
            yield parcel

    relay = start_grouping()
    assert [max(pulled) for _ in channel(relay.port).send(stream(), net)] == [2, 3, 4, 4]


def test_what_goes_wrong_with_the_next_parcel_waits_until_this_one_is_done(
    start_grouping: StartGrouping, net: Net
) -> None:
    def broken() -> Iterator[Parcel]:
        yield from parcels(2)
        raise LookupError

    relay = start_grouping()
    receipts: list[Receipt] = []
    with pytest.raises(LookupError):
        receipts.extend(channel(relay.port).send(broken(), net))
    assert (verdicts(receipts), len(relay.taken)) == ([SENT, SENT], 2)


def test_an_issue_that_cannot_be_mailed_holds_up_none_beside_it(start_grouping: StartGrouping, net: Net) -> None:
    relay = start_grouping()
    stream = [make_parcel(1), make_parcel(2, issue=make_issue(2, title="a\x00b")), make_parcel(3)]
    receipts = send(channel(relay.port), stream, net)
    assert (verdicts(receipts), len(relay.taken)) == ([SENT, BROKEN, SENT], 2)


ADDRESSES = {"good@example.org": SENT, "refused@example.org": FAILED, "none": FAILED, "jösé@example.org": FAILED}


@pytest.mark.parametrize("kind", ["strict", "lenient", "plain"])
def test_whatever_stands_beside_it_each_parcel_has_its_own_verdict(
    start_grouping: StartGrouping, start_fragile: StartFragile, net: Net, kind: str
) -> None:
    """Strict: DATA after a refused recipient is refused.  Lenient: it waits for content.  Plain: nothing is grouped."""
    relay = start_grouping() if kind == "strict" else start_fragile(**(PIPELINING if kind == "lenient" else {}))

    @given(st.lists(st.sampled_from(sorted(ADDRESSES)), max_size=8))
    @settings(max_examples=25, deadline=None)
    def holds(recipients: list[str]) -> None:
        relay.taken.clear()
        stream = [make_parcel(n, recipient=recipient) for n, recipient in enumerate(recipients)]
        receipts = send(channel(relay.port), stream, net)
        assert [receipt.delivery for receipt in receipts] == list(range(len(recipients)))
        assert verdicts(receipts) == [ADDRESSES[recipient] for recipient in recipients]
        assert len([mail for mail in relay.taken if mail]) == recipients.count("good@example.org")

    holds()


@pytest.mark.parametrize("message", [1, 2, 3])
@pytest.mark.parametrize("moment", ["MAIL", "RCPT", "DATA", "."])
def test_a_connection_taking_leave_in_a_group_defers_one_parcel(
    start_fragile: StartFragile, net: Net, moment: str, message: int
) -> None:
    relay = start_fragile((moment, "421 4.3.2 closing", message), **PIPELINING)
    receipts = send(channel(relay.port), parcels(4), net)
    assert verdicts(receipts) == [DEFERRED if n == message else SENT for n in (1, 2, 3, 4)]
    assert (relay.connections, len(relay.taken)) == (2, 3)


@pytest.mark.parametrize("message", [1, 2, 3])
@pytest.mark.parametrize("moment", ["half", ".", "taken"])
def test_a_connection_lost_after_content_leaves_that_parcel_in_doubt_and_no_other(
    start_fragile: StartFragile, net: Net, moment: str, message: int
) -> None:
    relay = start_fragile((moment, "", message), **PIPELINING)
    receipts = send(channel(relay.port), parcels(4), net)
    assert [receipt.delivery for receipt in receipts] == [1, 2, 3, 4]
    assert verdicts(receipts) == [UNCERTAIN if n == message else SENT for n in (1, 2, 3, 4)]
    assert len(relay.taken) == (4 if moment == "taken" else 3)
    assert relay.connections == 2


@pytest.mark.parametrize("message", [1, 2, 3])
@pytest.mark.parametrize("moment", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("answer", ["", "<html>"])
def test_a_connection_lost_over_a_group_costs_no_parcel_an_attempt(
    start_fragile: StartFragile, net: Net, moment: str, message: int, answer: str
) -> None:
    relay = start_fragile((moment, answer, message), **PIPELINING)
    receipts = send(channel(relay.port), parcels(4), net)
    assert [(receipt.delivery, receipt.verdict) for receipt in receipts] == [(n, SENT) for n in (1, 2, 3, 4)]
    assert (relay.connections, len(relay.taken)) == (2, 4)


def test_a_relay_that_cannot_do_what_it_offers_gets_a_command_at_a_time(
    start_grouping: StartGrouping, net: Net
) -> None:
    relay = start_grouping(flushes=True)
    options = Smtp(url=f"smtp://127.0.0.1:{relay.port}", timeout=timedelta(seconds=2))
    assert verdicts(send(options, parcels(3), net)) == [SENT] * 3
    assert relay.groups.count(OPENING) == 1
    assert relay.groups.count(["MAIL"]) == len(relay.taken) == 3


def test_a_relay_that_loses_its_way_in_a_group_gets_a_command_at_a_time(start_fragile: StartFragile, net: Net) -> None:
    relay = start_fragile(("MAIL", "503 bad sequence", 2), **PIPELINING)
    assert verdicts(send(channel(relay.port), parcels(3), net)) == [SENT] * 3
    assert (relay.connections, len(relay.taken)) == (2, 3)


def test_a_relay_lost_in_a_group_and_again_without_one_ends_the_stream(start_fragile: StartFragile, net: Net) -> None:
    relay = start_fragile(("MAIL", "", 1), ("MAIL", "", 1), **PIPELINING)
    receipts: list[Receipt] = []
    with pytest.raises(ChannelDown, match="lost 2 times in a row"):
        receipts.extend(channel(relay.port).send(parcels(4), net))
    assert (verdicts(receipts), relay.taken) == ([DEFERRED], [])


def test_a_sender_refused_in_a_group_is_our_fault_and_leaves_what_was_sent(
    start_fragile: StartFragile, net: Net
) -> None:
    relay = start_fragile(("MAIL", "550 5.7.1 quota reached", 2), **PIPELINING)
    receipts: list[Receipt] = []
    with pytest.raises(ChannelError, match=r"refuses the sender: 550 5\.7\.1 quota reached"):
        receipts.extend(channel(relay.port).send(parcels(3), net))
    assert verdicts(receipts) == [SENT]


# --- a mail store ----------------------------------------------------------------------------------------------------


def test_mail_goes_into_a_store_by_lmtp(start_fragile: StartFragile, net: Net) -> None:
    relay = start_fragile(**PIPELINING)
    receipts = send(
        channel(relay.port, scheme="lmtp"), [make_parcel(1, "refused@example.org"), make_parcel(2), make_parcel(3)], net
    )
    assert verdicts(receipts) == [FAILED, SENT, SENT]
    assert relay.heard[0] == "LHLO"


# --- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mail.example.org",
        "http://mail.example.org",
        "smtp://",
        "smtp://host:0",
        "smtp://host:99999",
        "smtp://user:hunter2@[host",
        "smtp://user:hunt/er2@host",
        "smtp://user:hunt#er2@host",
        "smtp://user:hunter2\u2100@host",
        "smtp://user@host",
        "smtp://user:hünter2@host",
        "smtp://host/path",
    ],
)
def test_an_unusable_address_of_a_relay_is_refused_without_showing_its_password(url: str) -> None:
    with pytest.raises(ValueError, match=r"^url: ") as caught:
        Smtp(url=url)
    assert "unt" not in str(caught.value)


@pytest.mark.parametrize("option", ["sender", "reply_to"])
def test_an_unusable_address_names_its_option(option: str) -> None:
    with pytest.raises(ValueError, match=r"^(from|reply_to): 'nobody': "):
        Smtp(url="smtp://relay.example.org", **{option: "nobody"})


def test_the_option_is_called_from_in_the_configuration() -> None:
    options = TypeAdapter(Smtp).validate_python({"url": "smtp://relay", "from": "News <news@example.org>"})
    assert options.sender == "News <news@example.org>"


@given(st.sampled_from(["MAIL", "RCPT", "DATA", ".", ""]), st.integers(-1, 999))
def test_only_a_success_after_the_last_dot_is_sent_and_only_a_refusal_for_good_fails(command: str, code: int) -> None:
    verdict = _verdict(Reply(command, code))
    assert (verdict is SENT) == (command == "." and code // 100 == 2)
    assert (verdict is FAILED) == (code // 100 == 5)


def test_the_kind_is_found_by_its_name() -> None:
    assert (KIND.kind, KIND.personal) == ("smtp", True)
