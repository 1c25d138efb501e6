"""Behind the links in mails: looking changes nothing, each link is good for one thing, and only our forms count."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from selectolax.lexbor import LexborHTMLParser
from web_house import ADA, House, all_links

from publisher.subscribers import Preferences


def preferences(house: House, path: str) -> Preferences:
    found = house.app.readers.preferences(path.rpartition("/")[2])
    assert found
    return found


def test_the_link_asks_and_the_button_confirms(readers_house: House) -> None:
    house = readers_house
    house.sign_up()
    [mail] = house.work()
    path = house.path(mail, "confirm")
    page = house.get(path)
    assert ADA in page.text
    assert "Send me The Weekly by mail." in page.text
    assert house.states() == {"weekly": "pending"}
    done = house.press(path)
    assert done.status_code == 200
    assert house.states() == {"weekly": "active"}
    assert "You are subscribed" in done.text
    assert "/preferences/" in done.text
    assert "You are subscribed" in house.get(path).text


def test_a_link_that_came_to_its_end_says_so(readers_house: House) -> None:
    house = readers_house
    house.sign_up()
    [mail] = house.work()
    house.clock.advance(days=8)
    answer = house.get(house.path(mail, "confirm"))
    assert answer.status_code == 404
    assert "This link does not work" in answer.text


def test_a_reader_changes_all_that_they_may(readers_house: House) -> None:
    house = readers_house
    path = house.reader()
    given = {
        "do": "save",
        "shown": ["weekly", "monthly"],
        "publication": ["weekly", "monthly"],
        "frequency-weekly": "daily",
        "topic-weekly": ["town"],
        "name": "Ada",
        "language": "de",
        "timezone": "America/New_York",
    }
    answer = house.press(path, **given)
    assert answer.status_code == 200
    assert "Gespeichert" in answer.text
    found = preferences(house, path)
    assert (found.subscriber.name, found.subscriber.language) == ("Ada", "de")
    assert house.states() == {"weekly": "active", "monthly": "active"}
    page = LexborHTMLParser(house.get(path).text)
    chosen = [node.attributes["value"] for node in page.css("fieldset [checked], select [selected]")]
    assert chosen == ["weekly", "daily", "town", "monthly", "de", "America/New_York"]
    assert house.press(path, do="save", shown="monthly").status_code == 200
    assert house.states() == {"weekly": "active", "monthly": "left"}


def test_a_form_that_shows_nothing_changes_nothing(readers_house: House) -> None:
    path = readers_house.reader()
    assert readers_house.press(path, do="save").status_code == 200
    assert readers_house.states() == {"weekly": "active"}
    assert readers_house.press(path, do="dance").status_code == 400


def test_a_pause_ends_at_midnight_where_the_reader_is_or_when_they_say_so(readers_house: House) -> None:
    house = readers_house
    path = house.reader(ADA, "weekly", timezone="America/New_York")
    assert house.press(path, do="pause", until="2026-11-02").status_code == 200
    assert preferences(house, path).subscriber.paused_until == datetime(2026, 11, 2, 5, 0, tzinfo=UTC)
    assert "before 2026-11-02" in house.get(path).text
    assert "Mail is sent again" in house.press(path, do="resume").text
    assert preferences(house, path).paused is False
    for wrong in ("2026-10-19", "1999-01-01", "soon", "", "0001-01-01"):
        answer = house.press(path, do="pause", until=wrong)
        assert answer.status_code == 400
        error = LexborHTMLParser(answer.text).css_first("#until")
        assert error.attributes["aria-describedby"] == "until-error"
    assert preferences(house, path).paused is False


def test_a_new_address_is_asked_and_the_answer_tells_nothing(readers_house: House) -> None:
    house = readers_house
    path = house.reader()
    house.reader("bob@example.org")
    house.clock.advance(days=1)
    told = {house.press(path, do="move", address=to).text for to in ("bob@example.org", "new@example.org")}
    assert len(told) == 1
    mails = {mail.to: mail for mail in house.work()}
    assert "Please look again" in house.press(path, do="move", address="new@").text
    assert house.states() == {"weekly": "active"}
    done = house.press(house.path(mails["new@example.org"], "confirm"))
    assert "Your new address is in force" in done.text
    assert house.states("new@example.org") == {"weekly": "active"}
    assert house.get(path).status_code == 404
    assert house.press(house.path(mails["bob@example.org"], "confirm")).status_code == 404


def test_a_reader_takes_their_data_along_and_is_erased(readers_house: House) -> None:
    house = readers_house
    path = house.reader()
    answer = house.get(f"{path}/data.json")
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["Cache-Control"] == "no-store"
    told = json.loads(answer.text)
    assert (told["subscriber"]["address"], told["consents"][0]["act"]) == (ADA, "asked")
    assert ADA in house.get(f"{path}/erase").text
    assert house.states() == {"weekly": "active"}
    done = house.press(f"{path}/erase")
    assert "You are erased" in done.text
    assert ADA not in done.text
    assert house.states() == {}
    for below in ("", "/data.json", "/erase"):
        assert house.get(path + below).status_code == 404


# --- looking changes nothing -----------------------------------------------------------------------------------------


def test_a_thousand_looks_at_every_link_of_a_mail_change_no_row(readers_house: House) -> None:
    house = readers_house
    house.reader()
    house.clock.advance(days=1)
    house.sign_up(ADA, "monthly")
    mails = [*house.work(), next(mail for mail in house.mail.mails if mail.to == "board@example.org")]
    links = sorted({link for mail in mails for link in all_links(mail) if link.startswith(house.address)})
    rooms = {re.sub(r"[0-9]?[a-z0-9]*-[0-9a-f]{32}", "…", link.removeprefix(house.address)) for link in links}
    assert {"/confirm/…", "/unsubscribe/…"} <= rooms
    house.work()
    before = house.dump()
    looks = 0
    while looks < 1_000:
        for link in links:
            for ask in (house.session.get, house.session.head):
                assert ask(link, timeout=30).status_code in (200, 404)
                looks += 1
    assert house.dump() == before
    assert house.work() == []


def test_head_is_answered_wherever_get_is(readers_house: House) -> None:
    house = readers_house
    path = house.reader()
    for one in ("/", "/subscribe", "/feeds.opml", "/weekly/", "/weekly/issues/", "/weekly/issues/1", path):
        head, get = house.session.head(house.address + one, timeout=30), house.get(one)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["Content-Security-Policy"] == get.headers["Content-Security-Policy"]


# --- only our forms count --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("below", ["", "/erase"])
def test_a_form_that_is_not_ours_is_refused(readers_house: House, below: str) -> None:
    house = readers_house
    path, other = house.reader() + below, house.reader("bob@example.org") + below
    [theirs] = set(re.findall(r'name="proof" value="(\w+)"', house.get(other).text))
    [proof] = set(re.findall(r'name="proof" value="(\w+)"', house.get(path).text))
    before = house.dump()
    given: dict[str, Any] = {"do": "save", "shown": "weekly"}
    for wrong in ({}, {"proof": ""}, {"proof": theirs}, {"proof": "é\udcff"}, {"proof": proof[:-1]}):
        body = {**given, **wrong}
        answer = house.post(path, {name: value.encode("utf-8", "replace") for name, value in body.items()})
        assert answer.status_code == 403
    cross = house.post(path, {**given, "proof": proof}, headers={"Sec-Fetch-Site": "cross-site"})
    assert cross.status_code == 403
    assert house.dump() == before
    assert house.post(path, {**given, "proof": proof}, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_a_confirmation_that_is_not_ours_is_refused(readers_house: House) -> None:
    house = readers_house
    house.sign_up()
    [mail] = house.work()
    path = house.path(mail, "confirm")
    assert house.post(path).status_code == 403
    assert house.post(path, b"List-Unsubscribe=One-Click").status_code == 403
    assert house.states() == {"weekly": "pending"}


def test_each_link_is_good_for_one_thing_and_one_person(readers_house: House) -> None:
    house = readers_house
    ada, bob = house.reader(), house.reader("bob@example.org")
    house.sign_up("eve@example.org")
    [mail] = house.work()
    right = {
        "preferences": [ada.rpartition("/")[2], bob.rpartition("/")[2]],
        "confirm": [house.path(mail, "confirm").rpartition("/")[2]],
        "unsubscribe": [house.path(mail, "unsubscribe").rpartition("/")[2]],
    }
    tokens = {token for of in right.values() for token in of}
    parts = [token.rpartition("-") for token in sorted(tokens)]
    swapped = {f"{number}-{proof}" for number, _, _ in parts for _, _, proof in parts} - tokens
    before = house.dump()
    for room, good in right.items():
        for token in (tokens | swapped | {"x", "0-" + "0" * 32}) - set(good):
            proof = house.app.form_proof(token)  # even if somebody could make one
            for below in ("", "/erase", "/data.json") if room == "preferences" else ("",):
                path = f"/{room}/{token}{below}"
                assert house.get(path).status_code == 404
                sent = house.post(path, {"proof": proof, "do": "save", "shown": "weekly", "from": "everything"})
                assert sent.status_code in (404, 405)
    assert house.dump() == before


# --- what nobody else may learn --------------------------------------------------------------------------------------


@pytest.fixture
def log() -> Iterator[list[logging.LogRecord]]:
    """All that would be logged if everything was, as the house sets it up: by a handler of the root."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler(logging.DEBUG)
    handler.emit = records.append
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield records
    root.removeHandler(handler)
    root.setLevel(level)


def test_tokens_and_addresses_stay_out_of_logs_referers_caches_and_search_engines(
    readers_house: House, log: list[logging.LogRecord]
) -> None:
    house = readers_house
    path = house.reader()
    for below in ("", "/erase", "/data.json", "/nothing"):
        answer = house.get(path + below)
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Robots-Tag"] == "noindex"
        assert "Set-Cookie" not in answer.headers
    house.post(path)
    house.press(path, do="pause", until="never")
    ours = [record.getMessage() for record in log if not record.name.startswith(("urllib3", "mail"))]
    assert not [line for line in ours if path.rpartition("/")[2] in line or ADA in line]


def test_every_link_begins_with_the_configured_address_whatever_host_says(readers_house: House) -> None:
    house, forged = readers_house, {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    house.post("/subscribe", {"address": ADA, "publication": "weekly"}, headers=forged)
    [mail] = house.work()
    path = house.path(mail, "confirm")
    pages = [house.get(one, headers=forged) for one in ("/", "/subscribe", "/weekly/", path, path + "x")]
    pages.append(house.post(path, {"proof": house.app.form_proof(path.rpartition("/")[2])}, headers=forged))
    assert all("evil.example" not in page.text + str(page.headers) for page in pages)
    assert all(link.startswith(house.address) for link in all_links(mail))
    assert f'"{house.address}/preferences/' in pages[-1].text
