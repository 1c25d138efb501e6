"""A reader with a real browser and a real mailbox, and pages that everybody can use."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from outside import Clock, Mail, MailServer
from playwright.sync_api import Browser, Page, sync_playwright
from waiting import PATIENCE, wait_for
from web_house import ADA, House, at_work, served, write_config, write_notes

CHROMIUM = Path("/usr/bin/chromium")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS = ["--headless", *QUIET, "--disable-component-update", "--disable-sync"]

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="Chromium is not installed; apt-get install chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A window of a reader who has no script: none is needed."""
    context = browser.new_context(java_script_enabled=False, locale="en-GB")
    context.set_default_timeout(1000 * PATIENCE)
    yield context.new_page()
    context.close()


@pytest.fixture
def house(tmp_path: Path, mail_server: MailServer, clock: Clock) -> Iterator[House]:
    write_notes(tmp_path)
    with at_work(write_config(tmp_path, mail_server.port), mail_server, clock) as house:
        wait_for(lambda: mail_server.mails and (tmp_path / "feeds/weekly/index.html").exists())
        yield house


def next_mail(house: House, to: str, after: int) -> Mail:
    """The mail that comes to somebody, of those after that number."""
    found = wait_for(lambda: [mail for mail in house.mail.mails[after:] if mail.to == to])
    assert isinstance(found[0], Mail)
    return found[0]


def heading(page: Page) -> str:
    return page.locator("h1").inner_text()


def test_the_whole_life_of_a_reader(page: Page, house: House, clock: Clock) -> None:
    # They sign up where the publication is, and confirm by the link in the mail.
    page.goto(f"{house.address}/weekly/")
    page.get_by_label("daily").check()
    page.get_by_label("Town").uncheck()
    page.get_by_label("Your mail address").fill(ADA)
    page.get_by_role("button", name="Subscribe").click()
    assert heading(page) == "Look into your mailbox"
    mail = next_mail(house, ADA, 0)
    assert mail.subject == "Please confirm: The Weekly"
    page.goto(house.address + house.path(mail, "confirm"))
    assert heading(page) == "Please confirm"
    page.get_by_role("button", name="Yes, subscribe me").click()
    assert heading(page) == "You are subscribed"
    with house.app.store.read() as tx:
        assert [(said.act, said.door) for said in tx.subscribers.history(ADA)] == [
            ("asked", "page"),
            ("confirmed", "link"),
        ]

    # They choose.
    page.get_by_role("link", name="Preferences").click()
    assert page.get_by_role("radio", name="daily").is_checked()
    assert not page.get_by_label("Town").is_checked()
    page.get_by_role("radio", name="weekly").check()
    page.get_by_label("Town").check()
    page.get_by_label("Your name").fill("Ada")
    page.get_by_label("Language").select_option("de")
    page.get_by_label("Time zone").select_option("Europe/Lisbon")
    page.get_by_role("button", name="Save").click()
    assert page.locator("html").get_attribute("lang") == "de"
    assert page.get_by_role("status").inner_text() == "Gespeichert."
    page.get_by_label("Sprache").select_option("")
    page.get_by_role("button", name="Speichern").click()
    page.get_by_label("No mail before").fill("2026-12-24")
    page.get_by_role("button", name="Pause").click()
    assert "before 2026-12-24" in page.inner_text("main")
    page.get_by_role("button", name="Send mail again now").click()
    assert page.get_by_role("status").inner_text() == "Mail is sent again."

    # They move.
    seen = len(house.mail.mails)
    page.get_by_label("Your new mail address").fill("ada@new.example")
    page.get_by_role("button", name="Change the address").click()
    assert "a mail is on its way" in page.get_by_role("status").inner_text()
    mail = next_mail(house, "ada@new.example", seen)
    page.goto(house.address + house.path(mail, "confirm"))
    page.get_by_role("button", name="Yes, this is my new address").click()
    assert heading(page) == "Your new address is in force"
    page.get_by_role("link", name="Preferences").click()
    assert "ada@new.example" in page.inner_text("header")

    # They take their data along.
    with page.expect_download() as download:
        page.get_by_role("link", name="Download all").click()
    told = json.loads(Path(download.value.path()).read_text())
    assert (told["subscriber"]["address"], told["subscriber"]["name"]) == ("ada@new.example", "Ada")
    preferences = page.url

    # They leave by the link in a mail, and come back.
    page.goto(house.address + house.path(mail, "unsubscribe"))
    assert heading(page) == "Unsubscribe"
    page.get_by_role("button", name="Unsubscribe from everything").click()
    assert heading(page) == "You are unsubscribed"
    assert house.states("ada@new.example") == {"weekly": "left"}
    clock.advance(days=1)
    seen = len(house.mail.mails)
    page.goto(house.address)
    page.get_by_role("checkbox", name="The Weekly").check()
    page.get_by_label("Your mail address").fill("ada@new.example")
    page.get_by_role("button", name="Subscribe").click()
    mail = next_mail(house, "ada@new.example", seen)
    page.goto(house.address + house.path(mail, "confirm"))
    page.get_by_role("button", name="Yes, subscribe me").click()
    assert house.states("ada@new.example") == {"weekly": "active"}

    # They are forgotten.
    page.goto(preferences)
    page.get_by_role("link", name="Erase me").click()
    page.get_by_role("button", name="Erase me for good").click()
    assert heading(page) == "You are erased"
    assert house.states("ada@new.example") == {}
    page.goto(preferences)
    assert heading(page) == "This link does not work"


def test_what_is_wrong_is_said_at_its_field_which_has_the_focus(browser: Browser, house: House) -> None:
    page = browser.new_page()
    page.goto(f"{house.address}/subscribe?publication=weekly")
    page.eval_on_selector("form", "form => { form.noValidate = true }")
    page.get_by_label("Your mail address").fill("ada@")
    page.get_by_role("button", name="Subscribe").click()
    assert page.evaluate("document.activeElement.id") == "address"
    said = page.evaluate("document.getElementById(document.activeElement.getAttribute('aria-describedby')).innerText")
    assert said == "Please look again: This is not a mail address."
    assert page.get_by_label("Your mail address").input_value() == "ada@"
    page.close()


def test_the_keyboard_is_enough(page: Page, house: House) -> None:
    page.goto(f"{house.address}/weekly/")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # over what stands before the form
    for _ in range(4):
        page.keyboard.press("Tab")  # how often, two topics, the address
    page.keyboard.type(ADA)
    page.keyboard.press("Enter")
    page.wait_for_url("**/subscribe")
    assert heading(page) == "Look into your mailbox"


# --- for everybody ---------------------------------------------------------------------------------------------------

AXE = Axe()
WIDTHS = (320, 1000)
OVERFLOWS = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
CONTROLS = "button, select, nav a, .pills a, .plain a, .button, input:not([type=hidden]):not([tabindex])"
SMALL = """
controls => [...document.querySelectorAll(controls)]
    .map(node => node.closest('label') || node)
    .filter(node => node.getBoundingClientRect().height < 44)
    .map(node => node.outerHTML)
"""


def every_page(house: House) -> dict[str, str]:
    """The paths of all that readers see, by what it is."""
    house.sign_up("asked@example.org")
    [asked] = house.work()
    preferences = house.reader("ada@example.org", "weekly")
    paused, moved = house.reader("paused@example.org"), house.reader("moved@example.org")
    house.press(paused, do="pause", until="2027-01-01")
    house.press(moved, do="move", address="new@example.org")
    [move] = house.work()
    leave = house.path(asked, "unsubscribe")
    return {
        "front": "/",
        "publication": "/weekly/",
        "sign up": "/subscribe",
        "sign up for one": "/subscribe?publication=weekly",
        "issues": "/weekly/issues/",
        "issue": "/weekly/issues/1",
        "confirm": house.path(asked, "confirm"),
        "move": house.path(move, "confirm"),
        "preferences": preferences,
        "paused": paused,
        "erase": f"{preferences}/erase",
        "unsubscribe": leave,
        "not found": "/nothing",
        "dead link": f"{leave}x",
    }


def after_a_button(house: House, paths: dict[str, str]) -> Iterator[tuple[str, str, dict[str, str]]]:
    """What buttons lead to: path, and what is sent."""

    def proof(path: str) -> str:
        found = re.search(r'name="proof" value="(\w+)"', house.get(path).text)
        assert found
        return found[1]

    chosen = paths["preferences"]
    yield "look", "/subscribe", {"address": "x@example.org", "publication": "weekly"}
    yield "wrong", "/subscribe", {"address": "x@", "publication": "weekly"}
    yield "none chosen", "/subscribe", {"address": "x@example.org"}
    yield "saved", chosen, {"proof": proof(chosen), "do": "save"}
    yield "wrong day", chosen, {"proof": proof(chosen), "do": "pause", "until": "x"}
    yield "forged", chosen, {"do": "save"}
    yield "confirmed", paths["confirm"], {"proof": proof(paths["confirm"])}
    yield "unsubscribed", paths["unsubscribe"], {"from": "publication"}
    yield "erased", paths["erase"], {"proof": proof(paths["erase"])}


@pytest.mark.parametrize("language", ["en", "ar"])
def test_axe_finds_nothing_and_nothing_overflows_light_or_dark_wide_or_narrow(
    browser: Browser, tmp_path: Path, mail_server: MailServer, clock: Clock, language: str
) -> None:
    write_notes(tmp_path)
    title = {"en": "Harbour News", "ar": "أخبار الميناء"}[language]
    config = write_config(tmp_path, mail_server.port, language=language, title=title)
    found: list[str] = []
    with served(config, mail_server, clock) as house:
        house.work()
        paths = every_page(house)
        window = browser.new_page(color_scheme="light")
        told = [(name, lambda path=path: window.goto(house.address + path)) for name, path in paths.items()]
        told += [
            (name, lambda path=path, sent=sent: _posted(window, house.address + path, sent))
            for name, path, sent in after_a_button(house, paths)
        ]
        for name, go in told:
            go()
            window.emulate_media(color_scheme="light")
            found += [f"{name}, light: {line}" for line in _violations(window)]
            window.emulate_media(color_scheme="dark")  # which changes nothing but colours
            found += [f"{name}, dark: {line}" for line in _violations(window, "color-contrast")]
            for width in WIDTHS:
                window.set_viewport_size({"width": width, "height": 800})
                found += [f"{name} is wider than {width}"] * window.evaluate(OVERFLOWS)
            found += [f"{name}: small {node}" for node in window.evaluate(SMALL, CONTROLS)]
            assert window.evaluate("document.dir") == {"en": "ltr", "ar": "rtl"}[language], name
        window.close()
    assert found == []


def _posted(window: Page, url: str, sent: dict[str, str]) -> None:
    """Send a form as a page of ours would."""
    window.goto(url.partition("?")[0])
    fields = [{"name": name, "value": value} for name, value in sent.items()]
    send = """([url, fields]) => {
        const form = Object.assign(document.createElement('form'), {method: 'post', action: url});
        for (const field of fields) form.append(Object.assign(document.createElement('input'), field));
        document.body.append(form);
        form.submit();
    }"""
    with window.expect_navigation():
        window.evaluate(send, [url, fields])


def _violations(window: Page, *rules: str) -> list[str]:
    """What axe finds, by all its rules or by these."""
    options = {"resultTypes": ["violations"], **({"runOnly": list(rules)} if rules else {})}
    found = AXE.run(window, options=options).response["violations"]
    return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]
