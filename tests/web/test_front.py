"""The public pages: the first page, all feeds in one file, and past issues."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import requests
from outside import Clock, MailServer
from selectolax.lexbor import LexborHTMLParser
from web_house import ADA, House, served, write_config, write_notes

from publisher.app import App, load

MAIL_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' https:;"


def links(answer: requests.Response, which: str) -> list[str]:
    return [str(node.attributes["href"]) for node in LexborHTMLParser(answer.text).css(which)]


def test_the_first_page_shows_what_there_is_and_how_to_get_it(readers_house: House) -> None:
    house = readers_house
    answer = house.get("/")
    assert answer.status_code == 200
    page = LexborHTMLParser(answer.text)
    assert [node.text() for node in page.css(".publication h2")] == ["The Weekly", "Monthly & <More>", "Only feeds"]
    assert "Low water <at> noon & after" in page.css_first(".publication li a").text()
    assert links(answer, ".publication .pills a")[-1] == f"{house.address}/feeds/atom.xml"
    assert f"{house.address}/weekly/issues/1" in links(answer, ".issues a")
    assert page.css_first("form").attributes["action"] == f"{house.address}/subscribe"
    offered = [node.attributes["value"] for node in page.css("form [name=publication]")]
    assert offered == ["weekly", "monthly"]
    assert not page.css("form [name=publication][checked]")


def test_without_subscriptions_there_is_no_form_and_no_archive(
    tmp_path: Path, mail_server: MailServer, clock: Clock
) -> None:
    write_notes(tmp_path)
    config = write_config(tmp_path, mail_server.port)
    config.write_text(re.sub("subscriptions: .*", "", config.read_text()))
    with served(config, mail_server, clock) as house:
        for path in ("/", "/weekly/"):
            answer = house.get(path)
            assert answer.status_code == 200
            assert "<form" not in answer.text
            assert "/issues/" not in answer.text
        gone = ["/subscribe", "/weekly/issues/", "/weekly/issues/1"]
        assert [house.get(path).status_code for path in gone] == [404] * 3
        assert house.sign_up().status_code == 404


def test_all_feeds_are_in_one_file_each_publication_once(readers_house: House) -> None:
    answer = readers_house.get("/feeds.opml")
    assert answer.headers["Content-Type"] == "text/x-opml; charset=utf-8"
    root = ET.fromstring(answer.content)
    assert (root.tag, root.attrib["version"], root.findtext("head/title")) == ("opml", "2.0", "Harbour News")
    told = [(one.attrib["type"], one.attrib["text"], one.attrib["xmlUrl"]) for one in root.iterfind("body/outline")]
    assert told == [
        ("rss", "The Weekly", f"{readers_house.address}/weekly/atom.xml"),
        ("rss", "Monthly & <More>", f"{readers_house.address}/monthly/atom.xml"),
        ("rss", "Only feeds", f"{readers_house.address}/feeds/atom.xml"),
    ]
    assert root.find("body/outline[@text='Only feeds']").attrib.get("htmlUrl") is None


@pytest.mark.parametrize(
    ("former", "now"),
    [
        ("harbour: {title: Harbour", "harbour: {title: Quay"),
        ('daily: "daily 08:00"', 'often: "daily 08:00"'),
        ("subscriptions: {}", "subscriptions: {archive: none}"),
        ("subscriptions: {}", ""),
    ],
)
def test_a_publications_page_is_rendered_anew_when_what_it_offers_changes(
    readers_house: House, former: str, now: str
) -> None:
    house, config = readers_house, readers_house.app.settings.folder / "config.yaml"
    house.work()
    before = house.get("/weekly/").text
    assert 'value="daily"' in before
    assert house.app.due("publish") == []
    config.write_text(config.read_text().replace(former, now))
    again = App(load(config, {}), house.clock)
    assert "weekly" in [work.subject for work in again.due("publish")]
    again.once(lambda _: None, lambda *_: None)
    assert house.get("/weekly/").text != before
    again.close()


def test_a_new_issue_is_linked_on_the_page(readers_house: House, tmp_path: Path) -> None:
    house = readers_house
    (tmp_path / "notes/new.md").write_text("---\ntitle: Brand new\ndate: 2026-10-19\n---\nText.\n")
    house.clock.advance(days=7)
    house.work()
    house.work()
    newer, older = links(house.get("/weekly/"), "#issues ~ .issues a")
    assert older == f"{house.address}/weekly/issues/1"
    # The second or the third: that of another frequency, which nobody gets, is made at the same time.
    assert newer in (f"{house.address}/weekly/issues/2", f"{house.address}/weekly/issues/3")


# --- the archive -----------------------------------------------------------------------------------------------------


def test_an_issue_is_read_as_it_was_sent_by_nobody_in_particular(readers_house: House) -> None:
    house = readers_house
    [mail] = [mail for mail in house.mail.mails if mail.to == "board@example.org"]
    answer = house.get("/weekly/issues/1")
    assert answer.status_code == 200
    assert answer.headers["Content-Security-Policy"].startswith(MAIL_POLICY)
    assert mail.subject.encode().partition(b": ")[2].replace(b"<", b"&lt;").split(b" &")[0] in answer.content
    assert "board@example.org" not in answer.text
    assert "/unsubscribe/" not in answer.text
    assert "/preferences/" not in answer.text
    assert f'href="{house.address}/weekly/#subscribe"' in answer.text
    assert "\uffff" not in answer.text
    assert not re.search(r"<script|\son\w+=|javascript:", answer.text, re.IGNORECASE)


def test_where_each_reader_has_a_mail_of_their_own_the_archive_has_nobodys(
    tmp_path: Path, mail_server: MailServer, clock: Clock
) -> None:
    write_notes(tmp_path)
    (tmp_path / "templates").mkdir()
    personal = (
        '<p>{% if subscriber.name %}!{% endif %}{{ subscriber.address }} <a href="{{ subscriber.unsubscribe }}">x'
    )
    (tmp_path / "templates/digest.html.j2").write_text(personal)
    with served(write_config(tmp_path, mail_server.port), mail_server, clock) as house:
        text = house.get("/weekly/issues/1").text
        assert "@" not in text
        assert f'href="{house.address}/weekly/#subscribe"' in text


def test_the_list_of_issues_goes_on_page_by_page(readers_house: House) -> None:
    house = readers_house
    with house.app.store.write() as tx:
        for number in range(2, 54):
            tx.issues.add("weekly", f"Issue {number}", (), (), house.clock())
        tx.issues.add("weekly", "Only ships", (), (), house.clock(), variant="ships", number=53)
        tx.issues.notice("weekly", "Please confirm", (), house.clock())
    first = house.get("/weekly/issues/")
    found = links(first, ".issues a")
    assert [link.rpartition("/")[2] for link in found] == [str(number) for number in range(53, 3, -1)]
    assert "Please confirm" not in first.text
    [older] = [link for link in links(first, "main a") if "before=" in link]
    last = house.get(older.removeprefix(house.address))
    assert [link.rpartition("/")[2] for link in links(last, ".issues a")] == ["3", "2", "1"]
    assert "before=" not in last.text
    assert house.get("/weekly/issues/?before=x").text == first.text


@pytest.mark.parametrize(
    "path", ["0", "99", "9" * 40, "1/ships", "x", "-1", "1/../../../config.yaml", "1/notice%20" + "0" * 32]
)
def test_what_is_no_issue_is_not_found(readers_house: House, path: str) -> None:
    assert readers_house.get(f"/weekly/issues/{path}").status_code == 404
    assert readers_house.get(f"/nothing/issues/{path}").status_code == 404


def test_an_archive_that_is_not_public_is_not_there(tmp_path: Path, mail_server: MailServer, clock: Clock) -> None:
    write_notes(tmp_path)
    config = write_config(tmp_path, mail_server.port, subscriptions="archive: none")
    with served(config, mail_server, clock) as house:
        assert [house.get(f"/weekly/issues/{path}").status_code for path in ("", "1")] == [404, 404]
        assert "/issues/" not in house.get("/").text + house.get("/weekly/").text


# --- errors and headers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status"), [("/nothing", 404), ("/weekly/issues/77", 404), ("/bounces/mailgun", 404), ("/a/b/c/d", 404)]
)
def test_browsers_are_told_of_errors_by_a_page_and_programs_by_a_line(
    readers_house: House, path: str, status: int
) -> None:
    page = readers_house.get(path, headers={"Accept": "text/html,*/*;q=0.8"})
    assert page.status_code == status
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self';")
    assert "<h1" in page.text
    sheet = LexborHTMLParser(page.text).css_first("link[rel=stylesheet]").attributes["href"]
    assert requests.get(requests.compat.urljoin(page.url, sheet), timeout=30).status_code == 200
    line = readers_house.get(path)
    assert (line.status_code, line.headers["Content-Type"]) == (status, "text/plain; charset=utf-8")
    assert line.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self';")


def test_a_broken_template_is_told_with_all_headers(tmp_path: Path, mail_server: MailServer, clock: Clock) -> None:
    write_notes(tmp_path)
    (tmp_path / "templates").mkdir()
    with served(write_config(tmp_path, mail_server.port), mail_server, clock) as house:
        (tmp_path / "templates/site.html.j2").write_text("{{ nothing_like_it }}")
        answer = house.get("/subscribe", headers={"Accept": "text/html"})
        assert answer.status_code == 503
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Content-Type"].startswith("text/plain")


def test_a_store_that_is_away_is_told_by_a_page(readers_house: House) -> None:
    import sqlite3

    with sqlite3.connect(readers_house.app.settings.database.removeprefix("sqlite:///")) as database:
        database.execute("ALTER TABLE signups RENAME TO lost")
    answer = readers_house.post(
        "/subscribe", {"address": ADA, "publication": "weekly"}, headers={"Accept": "text/html"}
    )
    assert answer.status_code == 503
    assert "Something is wrong here" in answer.text
    assert ADA not in answer.text


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
def test_the_overview_is_for_this_machine_itself_and_for_nobody_behind_a_proxy(
    readers_house: House, header: str
) -> None:
    for path in ("/status", "/status.json"):
        assert readers_house.get(path).status_code == 200
        assert readers_house.get(path, headers={header: "for=127.0.0.1"}).status_code == 404


def test_a_proxy_that_is_trusted_makes_nobody_local(tmp_path: Path, mail_server: MailServer, clock: Clock) -> None:
    write_notes(tmp_path)
    config = write_config(tmp_path, mail_server.port)
    config.write_text(config.read_text().replace("server: {", "server: {trusted_proxies: [127.0.0.1], "))
    with served(config, mail_server, clock) as house:
        assert house.get("/status").status_code == 200
        for client in ("203.0.113.9", "127.0.0.1", "::1"):
            assert house.get("/status", headers={"X-Forwarded-For": client}).status_code == 404
