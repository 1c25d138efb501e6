"""The door: what comes in, and that its answer tells nothing about anybody."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from outside import Clock, MailServer
from selectolax.lexbor import LexborHTMLParser
from sqlalchemy import Engine, event
from web_house import ADA, House, served, write_config, write_notes

from publisher.store import SignUp, Suppression

WORDING = "Send me The Weekly by mail. I can stop it at any time, by a link in each mail."


def kept(house: House) -> list[SignUp]:
    with house.app.store.write() as tx:
        return list(tx.subscribers.waiting(99))


def body(answer: Any) -> tuple[int, bytes, dict[str, str]]:
    headers = {name: value for name, value in answer.headers.items() if name.lower() != "date"}
    return answer.status_code, answer.content, headers


def test_a_form_is_kept_as_it_was_meant(readers_house: House) -> None:
    answer = readers_house.sign_up(
        ADA, "weekly", name="Ada", frequency="daily", topic=["town"], language="de", timezone="Europe/Lisbon"
    )
    assert answer.status_code == 200
    assert "<h1" in answer.text
    assert ADA not in answer.text
    [one] = kept(readers_house)
    assert (one.address, one.name, one.publications, one.frequency, one.topics) == (
        ADA,
        "Ada",
        ("weekly",),
        "daily",
        ("town",),
    )
    assert (one.language, one.timezone, one.network) == ("de", "Europe/Lisbon", "127.0.0.0/24")


def test_json_is_kept_as_it_was_meant(readers_house: House) -> None:
    told = {"address": ADA, "publications": ["weekly", "monthly"], "name": "Ada \U0001f6a2"}
    answer = readers_house.post("/subscribe", json=told, headers={"Origin": "https://other.example"})
    assert answer.status_code == 202
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    [one] = kept(readers_house)
    assert (one.publications, one.name, one.door) == (("monthly", "weekly"), "Ada \U0001f6a2", "form")


def test_the_mail_goes_out_at_once(readers_house: House) -> None:
    woken: list[bool] = []
    readers_house.app.wake = lambda: woken.append(True)
    readers_house.sign_up()
    assert woken == [True]


@pytest.mark.parametrize(
    ("headers", "door", "wording"),
    [
        ({}, "page", WORDING),
        ({"Origin": "SITE"}, "page", WORDING),
        ({"Origin": "null", "Sec-Fetch-Site": "same-origin"}, "page", WORDING),
        ({"Referer": "SITE/weekly/"}, "page", WORDING),
        ({"Origin": "https://other.example"}, "form", "a form at https://other.example"),
        ({"Origin": "null", "Referer": "https://other.example/a?b"}, "form", "a form at https://other.example"),
        ({"Origin": "null", "Sec-Fetch-Site": "cross-site"}, "form", "a form at another site"),
        ({"Origin": "http://[half", "Sec-Fetch-Site": "cross-site"}, "form", "a form at another site"),
    ],
)
def test_the_log_will_know_what_was_shown_and_where(
    readers_house: House, headers: dict[str, str], door: str, wording: str
) -> None:
    told = {name: value.replace("SITE", readers_house.address) for name, value in headers.items()}
    readers_house.post("/subscribe", {"address": ADA, "publication": "weekly"}, headers=told)
    [one] = kept(readers_house)
    assert (one.door, one.wording) == (door, wording)


def test_the_wording_that_is_kept_is_what_stands_beside_the_button(readers_house: House) -> None:
    for path in ("/weekly/", "/subscribe?publication=weekly"):
        consent = LexborHTMLParser(readers_house.get(path).text).css_first("#consent")
        assert consent.text(strip=True) == WORDING


def test_whoever_fills_in_what_no_reader_sees_is_answered_alike_and_not_kept(readers_house: House) -> None:
    usual, robot = readers_house.sign_up(), readers_house.sign_up(website="https://spam.example")
    assert body(usual) == body(robot)
    assert len(kept(readers_house)) == 1
    told = {"address": ADA, "publications": ["weekly"], "website": "x"}
    assert readers_house.post("/subscribe", json=told).status_code == 202
    assert len(kept(readers_house)) == 1


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"address": "ada@"}, "address"),
        ({"address": ""}, "address"),
        ({"address": "ada\r\nBcc: eve@example.org"}, "address"),
        ({"name": "x" * 101}, "name"),
        ({"publication": "{0}"}, "publications"),
        ({"frequency": "hourly"}, "frequency"),
        ({"topic": "gossip {x}"}, "topics"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
    ],
)
def test_what_cannot_be_used_comes_back_as_it_was_typed_with_its_field_named(
    readers_house: House, sent: dict[str, str], field: str
) -> None:
    given = {"address": "typed@example.org", "publication": "weekly", "frequency": "daily", "topic": "town"} | sent
    answer = readers_house.post("/subscribe", given)
    assert answer.status_code == 400
    page = LexborHTMLParser(answer.text)
    error = page.css_first("[role=alert]")
    assert error.attributes["id"] == f"{field}-error"
    assert page.css_first("title").text().startswith("Please look again")
    if field in ("address", "name"):
        wrong = page.css_first("[aria-invalid=true]")
        assert (wrong.id, wrong.attributes["aria-describedby"]) == (field, f"{field}-error")
        assert "autofocus" in wrong.attributes
        assert page.css_first("[name=frequency][checked]").attributes["value"] == "daily"
        assert [one.attributes["value"] for one in page.css("[name=topic][checked]")] == ["town"]
    if field != "address":
        assert page.css_first("#address").attributes["value"] == "typed@example.org"
    assert kept(readers_house) == []


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        (b"{", ""),
        (b"[]", ""),
        (b"[" * 5000, ""),
        (b'{"address": 1}', "address"),
        (b'{"address": "\\ud800 ada@example.org", "publications": ["weekly"]}', "address"),
        (b'{"address": "ada@example.org", "publications": "weekly"}', "publications"),
        (b'{"address": "ada@example.org", "publications": [null]}', "publications"),
        (b'{"address": "ada@example.org"}', "publications"),
        (b'{"address": "nobody", "publications": ["weekly"]}', "address"),
    ],
)
def test_wrong_json_is_answered_in_json(readers_house: House, sent: bytes, field: str) -> None:
    answer = readers_house.post("/subscribe", sent, headers={"Content-Type": "application/json; charset=utf-8"})
    assert answer.status_code == 400
    assert answer.json()["field"] == field
    assert answer.json()["error"]


@pytest.mark.parametrize("sent", [b"x" * 20_000, b"&a=" * 600])
def test_what_is_too_large_is_refused(readers_house: House, sent: bytes) -> None:
    answer = readers_house.post("/subscribe", sent, headers={"Accept": "text/html"})
    assert answer.status_code == 413
    assert "<h1" in answer.text


def test_a_browser_may_send_json_from_any_site_without_anybodys_cookies(readers_house: House) -> None:
    asked = {"Origin": "https://other.example", "Access-Control-Request-Method": "POST"}
    answer = readers_house.session.options(f"{readers_house.address}/subscribe", headers=asked, timeout=30)
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Access-Control-Allow-Headers"] == "Content-Type"
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_the_page_of_one_publication_is_about_that_one(readers_house: House) -> None:
    one = LexborHTMLParser(readers_house.get("/subscribe?publication=weekly").text)
    assert [node.attributes["value"] for node in one.css("[name=frequency]")] == ["weekly", "daily"]
    assert one.css_first("[name=publication]").attributes["type"] == "hidden"
    two = LexborHTMLParser(readers_house.get("/subscribe?publication=weekly&publication=monthly").text)
    assert len(two.css("[name=publication][checked]")) == 2
    assert len(LexborHTMLParser(readers_house.get("/subscribe?publication=x").text).css("[name=publication]")) == 2


def test_the_answer_is_in_the_language_of_the_reader_or_of_the_form(readers_house: House) -> None:
    for sent in ({"language": "de"}, {"shown": "de"}):
        answer = readers_house.sign_up(ADA, "weekly", **sent)
        assert '<html lang="de"' in answer.text
        assert "Postfach" in answer.text
    assert '<html lang="en"' in readers_house.sign_up(shown="tlh").text


def test_the_form_to_copy_and_the_json_of_the_documents_are_kept(readers_house: House) -> None:
    text = (Path(__file__).parents[2] / "docs/how-to/let-readers-subscribe.md").read_text()
    [form] = re.findall("```html\n(.*?)```", text, re.DOTALL)
    fields = {node.attributes["name"]: node.attributes.get("value") for node in LexborHTMLParser(form).css("input")}
    assert fields == {"publication": "weekly", "address": None, "website": None}
    answer = readers_house.post("/subscribe", {**fields, "address": ADA, "website": ""})
    assert answer.status_code == 200
    [told] = re.findall("```json\n(.*?)```", text, re.DOTALL)
    about = json.loads(told) | {"topics": ["harbour"]}
    assert readers_house.post("/subscribe", json=about).status_code == 202
    assert len(kept(readers_house)) == 2


# --- what an answer tells --------------------------------------------------------------------------------------------


@contextmanager
def statements() -> Iterator[list[str]]:
    """All SQL that is executed."""
    told: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        told.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield told
    event.remove(Engine, "before_cursor_execute", note)


@pytest.mark.parametrize("as_json", [False, True])
def test_the_answer_and_its_work_are_the_same_for_unknown_pending_active_and_suppressed(
    readers_house: House, as_json: bool
) -> None:
    house = readers_house
    house.reader("active@example.org")
    house.sign_up("pending@example.org")
    house.work()
    with house.app.store.write() as tx:
        for reason in ("hard", "complaint", "unsubscribed", "erased"):
            moment = house.clock()
            tx.suppressions.add(Suppression(address=f"{reason}@example.org", reason=reason, moment=moment))
    who = ("unknown", "active", "pending", "hard", "complaint", "unsubscribed", "erased", "board")
    answers, work = set(), set()
    for name in who:
        with statements() as told:
            told_to = {"address": f"{name}@example.org", "publications": ["weekly"]}
            answer = house.post("/subscribe", json=told_to) if as_json else house.sign_up(told_to["address"])
        answers.add(json.dumps([answer.status_code, answer.text, sorted(body(answer)[2].items())]))
        work.add(tuple(told))
    assert len(answers) == 1
    assert len(work) == 1
    assert any("INSERT INTO signups" in statement for statement in work.pop())


def test_more_than_may_are_told_to_come_back_whoever_they_are(
    tmp_path: Path, mail_server: MailServer, clock: Clock
) -> None:
    write_notes(tmp_path)
    config = write_config(tmp_path, mail_server.port, subscriptions="per_network: 3")
    config.write_text(config.read_text().replace("server: {", "server: {trusted_proxies: [127.0.0.1], "))
    with served(config, mail_server, clock) as house:
        near, far = ({"X-Forwarded-For": f"{network}.7"} for network in ("198.51.100", "203.0.113"))
        sent = {"address": ADA, "publication": "weekly"}
        answers = [house.post("/subscribe", sent, headers=near | {"Accept": "text/html"}) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[3].headers["Retry-After"] == "3600"
        assert "<h1" in answers[3].text
        told = {"address": "new@example.org", "publications": ["weekly"]}
        refused = house.post("/subscribe", json=told, headers=near)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "3600")
        assert house.post("/subscribe", json=told, headers=far).status_code == 202


@pytest.fixture
def fast_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, where there is one: ten thousand commits wait for no disk."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as folder:
        yield Path(folder)


@pytest.mark.timeout(900)
def test_ten_thousand_sign_ups_for_one_victim_from_everywhere_are_one_mail(
    fast_disk: Path, mail_server: MailServer, clock: Clock
) -> None:
    write_notes(fast_disk)
    config = write_config(fast_disk, mail_server.port, subscriptions="per_network: 99999, per_hour: 99999")
    config.write_text(config.read_text().replace("server: {", "server: {trusted_proxies: [127.0.0.1], "))
    with served(config, mail_server, clock) as house:
        names = [ADA, "ADA@example.org", "Ada@EXAMPLE.org"]
        for number in range(300):
            told = {"address": names[number % 3], "publications": [["weekly", "monthly"][number % 2]]}
            client = {"X-Forwarded-For": f"203.0.{number % 250}.9"}
            assert house.post("/subscribe", json=told, headers=client).status_code == 202
        house.work()
        for number in range(9_700):
            network = f"198.{number // 250}.{number % 250}.0/24"
            house.app.readers.sign_up(names[number % 3], ["weekly"], door="form", network=network)
        house.work()
        house.clock.advance(hours=23)
        house.sign_up()
        house.work()
    victims = [mail for mail in mail_server.mails if mail.to.lower() == ADA]
    assert len(victims) == 1
