"""Looking into a mailbox: nothing in it changes.  Against a real Dovecot, and a server that does as it is told."""

from __future__ import annotations

import smtplib
import time
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from imap import ImapServer, changes_nothing
from mta import PASSWORD, Mta
from waiting import PATIENCE, wait_for

from publisher.errors import AddressRefused, NetError, SourceError, TooSlow, Unreachable
from publisher.mailbox import Mark, Peeked, peek_into_mailbox
from publisher.net import Net


def mail(text: object, sender: str = "editor@example.org") -> bytes:
    return f"From: {sender}\r\nSubject: {text}\r\n\r\nText\r\n".encode()


def subjects(peeked: Iterator[Peeked]) -> list[str]:
    return [one.message.partition(b"Subject: ")[2].partition(b"\r\n")[0].decode() for one in peeked]


# --- Dovecot ---------------------------------------------------------------------------------------------------------


def url_of(mta: Mta, box: str, scheme: str = "imap") -> str:
    return f"{scheme}://{box}%40example.org:{quote(PASSWORD, safe='')}@127.0.0.1:{mta.ports[scheme]}"


def state(mta: Mta, box: str) -> tuple[object, ...]:
    """All that another reader can see: flags, what is recent, counts, sequence of changes; and the files themselves."""
    with mta.open_mailbox(box) as reader:
        status = reader.status("INBOX", "(MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)")
        return status, reader.uid("FETCH", "1:*", "(FLAGS INTERNALDATE)"), mta.contents(box)


def test_a_look_changes_nothing_of_what_others_see(mta: Mta) -> None:
    box = mta.new_mailbox()
    mta.fill(box, *map(mail, range(5)))
    with mta.open_mailbox(box) as reader:
        reader.uid("STORE", "2", "+FLAGS", r"(\Seen \Flagged)")
        reader.uid("STORE", "3", "+FLAGS", r"(\Deleted)")
    before = state(mta, box)
    assert subjects(peek_into_mailbox(url_of(mta, box))) == ["4", "3", "2", "1", "0"]
    assert state(mta, box) == before


def test_what_is_new_to_its_owner_stays_new(mta: Mta) -> None:
    box = mta.new_mailbox()
    with smtplib.SMTP("127.0.0.1", mta.ports["smtp"]) as relay:
        relay.sendmail("ada@example.org", f"{box}@example.org", mail("one"))
    new = mta.folder / "mail" / box / "mail/new"
    arrived = wait_for(lambda: list(new.glob("*")))
    [peeked] = peek_into_mailbox(url_of(mta, box))
    assert b"Subject: one" in peeked.message
    assert peeked.arrived
    assert abs(datetime.now(UTC) - peeked.arrived) < timedelta(minutes=5)
    assert list(new.glob("*")) == arrived


def test_a_look_goes_on_where_the_last_one_ended(mta: Mta, certificate: Path) -> None:
    box = mta.new_mailbox()
    mta.fill(box, *map(mail, range(3)))
    [newest, *_] = peek_into_mailbox(url_of(mta, box, "imaps"), ca=certificate)
    assert subjects(peek_into_mailbox(url_of(mta, box), newest.mark)) == []
    mta.fill(box, mail(3), mail(4), mail(5, "other@example.com"))
    assert subjects(peek_into_mailbox(url_of(mta, box), newest.mark)) == ["3", "4", "5"]
    assert subjects(peek_into_mailbox(url_of(mta, box), newest.mark, at_most=1)) == ["3"]
    assert subjects(peek_into_mailbox(url_of(mta, box), newest.mark, senders=["other@", "@example.net"])) == ["5"]
    assert subjects(peek_into_mailbox(url_of(mta, box), newest.mark, senders=["example.net"])) == []


def test_a_private_address_is_refused_where_it_is_not_allowed(mta: Mta) -> None:
    box = mta.new_mailbox()
    mta.fill(box, mail(1))
    with pytest.raises(AddressRefused) as caught:
        list(peek_into_mailbox(url_of(mta, box), dial=Net().dial))
    assert "private: true" in caught.value.hint
    assert subjects(peek_into_mailbox(url_of(mta, box), dial=Net(private=True).dial)) == ["1"]


def test_ten_thousand_messages_cost_little_time_and_memory(mta: Mta) -> None:
    box = mta.new_mailbox()
    with mta.open_mailbox(box) as reader:
        reader.append("INBOX", None, None, mail("many") + b"x" * 10_000)  # type: ignore[arg-type]  # both may be left out
        while int(reader.select()[1][0] or 0) < 10_000:
            reader.copy("1:*", "INBOX")
    tracemalloc.start()
    began = time.monotonic()
    peeked = [(one.mark.uid, one.behind) for one in peek_into_mailbox(url_of(mta, box))]
    took, peak = time.monotonic() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(f"10,000 messages: {took:.2f} s, {peak / 1e6:.1f} MB")
    assert len(peeked) == 200
    assert peeked[-1][1] > 9_000
    assert took < PATIENCE
    assert peak < 10_000_000


# --- a server that does as it is told --------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[ImapServer]:
    server = ImapServer()
    yield server
    assert changes_nothing(server.heard)
    server.close()


def test_new_uids_for_all_messages_begin_the_reading_anew(server: ImapServer) -> None:
    server.add(*map(mail, range(3)))
    mark = Mark(server.validity, 3)
    assert subjects(peek_into_mailbox(server.url, mark)) == []
    server.validity = 2
    assert subjects(peek_into_mailbox(server.url, mark)) == ["2", "1", "0"]


def test_a_mailbox_that_was_emptied_holds_nothing(server: ImapServer) -> None:
    assert list(peek_into_mailbox(server.url)) == []
    assert list(peek_into_mailbox(server.url, Mark(1, 3))) == []
    assert not any("SEARCH" in command for command in server.heard)


def test_the_end_of_a_large_message_is_not_read(server: ImapServer) -> None:
    server.add(mail("large") + b"x" * 5000, mail("small"))
    small, large = peek_into_mailbox(server.url, max_bytes=1000)
    assert (small.whole, large.whole, len(large.message)) == (True, False, 1000)


def test_a_message_that_the_server_cannot_read_stops_no_other(server: ImapServer) -> None:
    server.add(mail(1), mail(2), mail(3))
    server.refused = {2}
    assert subjects(peek_into_mailbox(server.url)) == ["3", "", "1"]


def test_a_message_that_vanished_is_passed_over(server: ImapServer) -> None:
    server.add(mail(1), mail(2), mail(3))
    looking = peek_into_mailbox(server.url)
    assert subjects(iter([next(looking)])) == ["3"]
    del server.messages[2]
    assert subjects(looking) == ["1"]


def test_a_connection_that_is_lost_keeps_what_came_before(server: ImapServer) -> None:
    server.add(*map(mail, range(5)))
    server.lose_after = 2
    looking = peek_into_mailbox(server.url)
    assert [next(looking).mark.uid, next(looking).mark.uid] == [5, 4]
    with pytest.raises(Unreachable):
        next(looking)


def test_a_long_mailbox_is_searched_in_windows(server: ImapServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("publisher.mailbox.imap._WINDOW", 3)
    server.add(*map(mail, range(8)))
    assert subjects(peek_into_mailbox(server.url)) == [str(number) for number in range(8)][::-1]
    assert subjects(peek_into_mailbox(server.url, Mark(1, 6))) == ["6", "7"]


def test_at_least_one_message_is_begun_and_none_when_it_is_late(
    server: ImapServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add(*map(mail, range(5)))
    moments = iter([0, 76])  # seconds by the clock: when the look begins, and after the first message
    monkeypatch.setattr("publisher.mailbox.connection.time", SimpleNamespace(monotonic=lambda: next(moments)))
    assert subjects(peek_into_mailbox(server.url, seconds=100)) == ["4"]


def test_a_folder_that_is_refused_is_told(server: ImapServer) -> None:
    server.is_shut = True
    with pytest.raises(SourceError, match="cannot"):
        list(peek_into_mailbox(server.url))


def test_a_reader_that_stumbles_is_not_blamed_on_the_server(server: ImapServer) -> None:
    server.add(mail(1))
    with pytest.raises(ValueError, match="a stone"):
        [int("a stone") for _ in peek_into_mailbox(server.url)]


def test_nobody_there_is_told_through_a_net_too(server: ImapServer) -> None:
    server.close()
    with pytest.raises(NetError, match="refused"):
        list(peek_into_mailbox(server.url, dial=Net(private=True).dial))


def test_a_name_server_that_is_slow_ends_with_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getaddrinfo", lambda *_args, **_options: time.sleep(PATIENCE) or [])
    with pytest.raises(TooSlow):
        list(peek_into_mailbox("imap://u:p@slow.example", dial=Net().dial, seconds=0.2))
