"""Newsletters: golden messages, and whole visits to a server that does as it is told, and to Dovecot."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imap import ImapServer, changes_nothing
from mta import PASSWORD, Mta
from pydantic import TypeAdapter
from typer.testing import CliRunner

from publisher import config
from publisher.app import load
from publisher.cli import cli
from publisher.collect import collect
from publisher.errors import AddressRefused, ConfigError, NetError, SourceError
from publisher.html import clean
from publisher.model import Cursor, Done, Harvest, Outcome, Work
from publisher.net import Net
from publisher.sources._layout import flattened
from publisher.sources._message import read
from publisher.sources.mail import Mail
from publisher.store import Store, open_store

GOLDEN = Path(__file__).parent.parent / "golden" / "mail"
ARRIVED = "2026-11-07T10:00:00+00:00"
SENDERS = ["editor@example.org"]


def told(case: str) -> dict[str, Any] | None:
    """What is read in a golden message, in the words of its expected.json."""
    message = (GOLDEN / case / "message.eml").read_bytes().replace(b"\n", b"\r\n")
    try:
        found = read(message, ARRIVED, SENDERS)
    except SourceError as error:
        return {"error": str(error)}
    return found and {name: value for name, value in found.items() if value}


@pytest.mark.parametrize("case", sorted(path.name for path in GOLDEN.iterdir()))
def test_a_golden_message_gives_what_is_expected(case: str) -> None:
    assert told(case) == json.loads((GOLDEN / case / "expected.json").read_text())


# --- a visit, to a server that does as it is told --------------------------------------------------------------------


def tip(number: int, **headers: str) -> bytes:
    told = {
        "From": "Ada <editor@example.org>",
        "Subject": f"Tip {number}",
        "Message-ID": f"<{number}@tips>",
        "Date": "Sat, 07 Nov 2026 09:00:00 +0000",
        **headers,
    }
    return "".join(f"{name}: {value}\n" for name, value in told.items()).encode() + b"\nText.\n"


@pytest.fixture
def server() -> Iterator[ImapServer]:
    server = ImapServer()
    yield server
    assert changes_nothing(server.heard)
    server.close()


def visit(server: ImapServer, cursor: Cursor | None = None, *, net: Net | None = None, **options: Any) -> Harvest:
    source = TypeAdapter(Mail).validate_python({"url": server.url, **options})
    return source.fetch(cursor, net or Net(private=True))


def titles(harvest: Harvest) -> list[str]:
    return [item.title for item in harvest.items]


def test_the_newest_come_first_and_what_came_since_comes_later(server: ImapServer) -> None:
    server.add(tip(1), tip(2))
    first = visit(server)
    assert titles(first) == ["Tip 2", "Tip 1"]
    server.add(tip(3), tip(4))
    second = visit(server, first.cursor)
    assert titles(second) == ["Tip 4", "Tip 3"]
    assert visit(server, second.cursor) == Harvest(unchanged=True, cursor=second.cursor)


def test_a_first_visit_takes_the_newest_and_later_ones_catch_up(
    server: ImapServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("publisher.sources.mail._MOST", 3)
    server.add(*map(tip, range(10)))
    first = visit(server)
    assert (titles(first), first.notes) == (["Tip 9", "Tip 8", "Tip 7"], ("7 older messages were left out",))
    server.add(*map(tip, range(10, 14)))
    second = visit(server, first.cursor)
    assert (titles(second), second.notes) == (["Tip 12", "Tip 11", "Tip 10"], ("1 more at the next visit",))
    third = visit(server, second.cursor)
    assert (titles(third), third.notes) == (["Tip 13"], ())


def test_a_visit_ends_when_it_holds_enough(server: ImapServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("publisher.sources.mail._ENOUGH", 10)
    server.add(tip(1))
    cursor = visit(server).cursor
    server.add(tip(2), tip(3))
    assert titles(visit(server, cursor)) == ["Tip 2"]


def test_only_the_senders_that_are_named_are_read(server: ImapServer) -> None:
    others = ("a@example.org", "b@news.example.com", '"x@example.com" <c@badexample.com>', "Editor@Example.org")
    server.add(*(tip(number, From=sender) for number, sender in enumerate(others)))
    assert titles(visit(server, **{"from": ["example.com"]})) == ["Tip 1"]
    server.messages = {uid: message.replace(b"Editor@E", b"editor@e") for uid, message in server.messages.items()}
    assert titles(visit(server, **{"from": ["EDITOR@example.org", "b@news.example.com"]})) == ["Tip 3", "Tip 1"]


def test_a_cursor_moves_on_over_messages_of_others(server: ImapServer) -> None:
    server.add(tip(1), tip(2, From='"editor@example.org" <d@example.com>'))
    harvest = visit(server, **{"from": ["editor@example.org"]})
    assert (titles(harvest), harvest.cursor) == (["Tip 1"], {"validity": "1", "uid": "2"})


def test_a_message_that_cannot_be_read_is_noted_and_stops_no_other(server: ImapServer) -> None:
    secret = (GOLDEN / "smime/message.eml").read_bytes()
    server.add(tip(1), secret, tip(3), tip(4), tip(5, Subject="Large") + b"x" * 10_000)
    server.refused = {3}
    harvest = visit(server, net=Net(private=True, max_bytes=5000))
    assert titles(harvest) == ["Large", "Tip 4", "Tip 1"]
    arrived = "the message that arrived on 2026-11-07 10:00"
    assert harvest.notes == (
        f"{arrived}: only its beginning was read, for it is larger than max_bytes",
        "a message: the server cannot give it",
        f"{arrived}: “A secret” is encrypted",
    )
    assert harvest.cursor["uid"] == "5"


def test_a_note_holds_nothing_that_could_confuse_a_terminal(server: ImapServer) -> None:
    title = (
        "=?utf-8?B?"
        + base64.b64encode("\x1b[31m\u202ered".encode()).decode()
        + "?= \\ud800 =?utf-8?Q?x?="
        + "long" * 99
    )
    server.add(tip(1, Subject=title, **{"Content-Type": "application/pkcs7-mime"}))
    [note] = visit(server).notes
    assert "red" in note
    assert note.isprintable()
    assert len(note) < 200


def test_many_notes_are_told_in_few_words(server: ImapServer) -> None:
    server.add(*[(GOLDEN / "smime/message.eml").read_bytes()] * 9)
    assert visit(server).notes[5:] == ("4 more like these",)


def test_a_connection_that_is_lost_keeps_what_was_read_and_the_rest_comes_later(server: ImapServer) -> None:
    server.add(tip(0))
    cursor = visit(server).cursor
    server.add(*map(tip, range(1, 6)))
    server.lose_after = 2
    broken = visit(server, cursor)
    assert titles(broken) == ["Tip 2", "Tip 1"]
    assert "the connection was lost" in broken.notes[0]
    server.lose_after = -1
    assert titles(visit(server, broken.cursor)) == ["Tip 5", "Tip 4", "Tip 3"]


def test_a_first_visit_that_breaks_off_begins_anew(server: ImapServer) -> None:
    server.add(*map(tip, range(5)))
    server.lose_after = 2
    with pytest.raises(NetError):
        visit(server)


def test_a_message_that_keeps_its_reader_busy_is_left(server: ImapServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("publisher.sources.mail._CPU", timedelta(seconds=1))
    server.add(tip(1), tip(2, **{"Content-Type": "text/html"}) + b"<b><p>" * 600_000, tip(3))
    harvest = visit(server)
    assert titles(harvest) == ["Tip 3", "Tip 1"]
    assert "took more than" in harvest.notes[0]


def test_five_megabytes_of_nested_parts_end_in_time(server: ImapServer) -> None:
    nested = b"".join(
        b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n' % (number, number) for number in range(100_000)
    )
    server.add(tip(1), b"From: a@example.org\nSubject: Nested\n" + nested[:4_900_000], tip(3))
    began = time.monotonic()
    harvest = visit(server)
    took = time.monotonic() - began
    print(f"nested parts: {took:.2f} s; {harvest.notes}")
    assert titles(harvest) == ["Tip 3", "Tip 1"]
    assert "too deep" in harvest.notes[0]
    assert took < 30


def test_a_private_address_is_refused_where_it_is_not_allowed(server: ImapServer) -> None:
    with pytest.raises(AddressRefused):
        visit(server, net=Net())
    assert server.heard == []


# --- what becomes of it ----------------------------------------------------------------------------------------------


class House:
    """A store, and visits to a mailbox, an hour between them."""

    def __init__(self, server: ImapServer, write_config: Callable[[str], Path], store: Store) -> None:
        self.settings = load(
            write_config(f"sources: {{tips: {{kind: mail, url: '{server.url}', private: true}}}}\n"), {}
        )
        self.store = store
        self.now = datetime(2026, 11, 7, 12, tzinfo=UTC)
        self.net = Net()

    def visit(self) -> Outcome:
        self.now += timedelta(hours=1)
        work = Work(step="collect", subject="tips", slot=self.now.isoformat())
        return collect(work, self.settings, store=self.store, net=self.net, clock=lambda: self.now)

    @property
    def entries(self) -> list[tuple[str, bool]]:
        """Title, and whether it was there before, in order of arrival."""
        with self.store.read() as tx:
            found = sorted(tx.entries.newest(["tips"], 1000), key=lambda entry: entry.number)
        return [(entry.title, entry.backlog) for entry in found]


@pytest.fixture
def house(server: ImapServer, write_config: Callable[[str], Path], tmp_path: Path) -> Iterator[House]:
    store = open_store(f"sqlite:///{tmp_path / 'publisher.db'}")
    yield House(server, write_config, store)
    store.close()


def test_what_is_there_at_first_is_backlog_and_what_comes_is_news(server: ImapServer, house: House) -> None:
    server.add(tip(1))
    assert house.visit() == Done("1 new", changed=True)
    assert house.visit() == Done("unchanged")
    server.add(tip(2), tip(3))
    assert house.visit() == Done("2 new", changed=True)
    assert house.entries == [("Tip 1", True), ("Tip 2", False), ("Tip 3", False)]


def test_new_uids_double_no_entry_and_hide_no_new_one(server: ImapServer, house: House) -> None:
    server.add(tip(1), tip(2))
    house.visit()
    server.validity, server.messages = 7, {100: tip(1), 101: tip(2), 102: tip(3)}
    assert house.visit() == Done("1 new", changed=True)
    assert house.entries == [("Tip 1", True), ("Tip 2", True), ("Tip 3", False)]
    server.validity, server.messages = 3, {1: tip(4)}
    assert house.visit() == Done("1 new", changed=True)
    assert house.visit() == Done("unchanged")


def test_a_mailbox_that_was_emptied_withdraws_nothing(server: ImapServer, house: House) -> None:
    server.add(tip(1))
    house.visit()
    server.messages.clear()
    assert house.visit() == Done("unchanged")
    assert house.entries == [("Tip 1", True)]


def test_a_mailbox_that_was_empty_at_first_brings_news(server: ImapServer, house: House) -> None:
    house.visit()
    server.add(tip(1))
    house.visit()
    assert house.entries == [("Tip 1", False)]


def test_the_same_message_by_two_ways_is_one_entry(server: ImapServer, house: House) -> None:
    server.add(tip(1), tip(1, Received="from elsewhere"))
    house.visit()
    server.add(tip(2, **{"Message-ID": ""}), b"Received: by another way\n" + tip(2, **{"Message-ID": ""}))
    assert house.visit() == Done("1 new", changed=True)


# --- Dovecot ---------------------------------------------------------------------------------------------------------


def test_newsletters_are_read_from_a_real_server_which_stays_as_it_was(
    mta: Mta, certificate: Path, write_config: Callable[[str], Path]
) -> None:
    box, cases = mta.new_mailbox(), ("plain", "layout_tables", "smime", "another_sender")
    mta.fill(box, *((GOLDEN / case / "message.eml").read_bytes().replace(b"\n", b"\r\n") for case in cases))
    url = f"imaps://{box}%40example.org:{quote(PASSWORD, safe='')}@127.0.0.1:{mta.ports['imaps']}"
    options = f"url: '{url}', from: [example.org], ca: {certificate}, private: true"
    config = write_config(f"sources: {{tips: {{kind: mail, {options}}}}}\n")
    with mta.open_mailbox(box) as reader:
        before = reader.status("INBOX", "(MESSAGES RECENT UNSEEN HIGHESTMODSEQ)"), reader.uid("FETCH", "1:*", "FLAGS")
    tested = CliRunner().invoke(cli, ["-c", str(config), "source", "test", "tips"])
    assert "Twelve tips for the harbour" in tested.output
    assert "2 entries" in tested.output
    assert quote(PASSWORD, safe="") not in tested.output
    checked = CliRunner().invoke(cli, ["-c", str(config), "check", "--connect"])
    assert f"logged in as {box}@example.org; messages in INBOX: 4" in " ".join(checked.output.split())
    with mta.open_mailbox(box) as reader:
        after = reader.status("INBOX", "(MESSAGES RECENT UNSEEN HIGHESTMODSEQ)"), reader.uid("FETCH", "1:*", "FLAGS")
    assert after == before


# --- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ("url: 'pop3s://u:hunter2@imap.example.org'", "sources.tips: url: newsletters are read over IMAP"),
        ("url: 'https://u:hunter2@imap.example.org'", "sources.tips: url: it begins with imaps://"),
        ("url: 'imaps://u:hunter2@h', from: ['two words']", "neither an address nor a domain: 'two words'"),
        ("url: 'imaps://u:hunter2@h', from: ['a\"b@example.org']", "neither an address nor a domain"),
        ("from: [example.org]", "sources.tips.url: is missing"),
    ],
)
def test_a_fault_in_the_options_is_told_and_the_password_is_not(
    write_config: Callable[[str], Path], options: str, fault: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write_config(f"sources: {{tips: {{kind: mail, {options}}}}}\n"), {})
    assert fault in str(caught.value)
    assert "hunter" not in str(caught.value)


def test_no_password_is_shown(write_config: Callable[[str], Path]) -> None:
    settings = load(write_config("sources: {tips: {kind: mail, url: 'imaps://u:hunter2@h'}}\n"), {})
    told = config.show(settings) + repr(settings.sources["tips"].options) + repr(settings)
    assert "hunter" not in told


# --- pure ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("View this email in your browser", True),
        ("Read online »", True),
        ("Web version", True),
        ("Im Browser ansehen", True),
        ("Voir la version en ligne", True),
        ("Ver en el navegador", True),
        ("Webversion", True),
        ("View all our products online", False),
        ("online", False),
        ("Bekijk deze mail in je browser", True),
        ("click here", False),
        ("Our browser is better than yours", False),
        ("Read the whole story", False),
    ],
)
def test_the_same_on_the_web_is_found_where_a_link_says_so_in_plain_words(text: str, found: bool) -> None:
    message = (
        tip(1, **{"Content-Type": "text/html"})
        + f'<a href="https://w.example/1?a=1&amp;b=2"><b>{text}</b></a>'.encode()
    )
    told = read(message, ARRIVED, [])
    assert told
    assert told["link"] == ("https://w.example/1?a=1&b=2" if found else "")


@pytest.mark.parametrize(
    ("html", "seen"),
    [
        ("<table><tr><td>a<td>b<tr><td>c<td>d</table>", "<table>"),
        ("<table><tr><th>a<tr><td>b</table>", "<table>"),
        ("<table role=presentation><tr><th>a<tr><td>b</table>", "<div>a</div><div>b</div>"),
        ("<table><tr><td>a<td>b</table>", "<div>a</div><div>b</div>"),
        ("<table><tr><td>a<td>b<tr><td>c</table>", "<div>c</div>"),
        ("<table><tr><td><p>a<td>b<tr><td>c<td>d</table>", "<div>d</div>"),
        ("a<div><div> <span>&nbsp;</span></div></div>b", "ab"),
        ('<img alt="<div>" src="https://e.org/a.png"><div>x</div>', "<div>x</div>"),
        ("<p style='max-height:0.5em;border-width:1px'>seen</p>", "<p>seen</p>"),
        ("<p hidden>no</p><p style='display : none'>no</p>", ""),
        ("", ""),
    ],
)
def test_tables_that_lay_out_become_blocks_and_those_that_hold_data_stay(html: str, seen: str) -> None:
    found = flattened(html)
    assert seen in found
    assert ("<table>" in found) == (seen == "<table>")
    assert "no" not in found
    assert clean(found) == found


@settings(deadline=None)
@given(st.text("<>/ \"'=divtablerspngh&;a\n", max_size=200))
def test_what_is_flattened_is_clean(html: str) -> None:
    assert clean(flattened(html)) == flattened(html)


MESSAGES = [(GOLDEN / case / "message.eml").read_bytes() for case in ("layout_tables", "alternative", "encoded_words")]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(MESSAGES), st.lists(st.tuples(st.integers(0, 1 << 20), st.binary(max_size=4)), max_size=20))
def test_whatever_its_bytes_are_a_message_raises_only_our_own_errors(
    message: bytes, spoiled: list[tuple[int, bytes]]
) -> None:
    for place, piece in spoiled:
        at = place % len(message)
        message = message[:at] + piece + message[at + 1 :]
    try:
        found = read(message, ARRIVED, [])
    except SourceError:
        return
    assert found
    json.dumps(found).encode()
    assert found["guid"]
    assert clean(found["content"]) == found["content"]


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=300), st.sampled_from(["Subject", "From", "Date", "Message-ID", "Content-Type", "Archived-At"])
)
def test_whatever_a_header_holds_only_our_own_errors_are_raised(value: bytes, name: str) -> None:
    with suppress(SourceError):
        read(name.encode() + b": " + value + b"\n\nText\n", ARRIVED, [])
