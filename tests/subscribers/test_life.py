"""The life of a reader, as the store and the mail server see it: from sign-up to erasure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from outside import Clock, MailServer

from publisher.app import App, load
from publisher.errors import TooMany, Unfit
from publisher.store import ConsentRow, SubscriptionRow, Suppression
from publisher.subscribers import Change, Preferences, Wanted

ADA = "ada@example.org"
HOUSE = """
sources:
  notes: {{kind: folder, path: notes}}
  blog: {{kind: folder, path: blog}}
publications:
  weekly:
    title: The Weekly
    topics:
      harbour: {{title: Harbour, sources: [notes]}}
      town: {{title: Town, tags: [town]}}
    digest: {{schedule: {{weekly: "mon 08:00", daily: "daily 08:00"}}}}
    deliver: [post]
  monthly: {{title: "Monthly & <More>", digest: {{schedule: "monthly 1 08:00"}}, deliver: [post]}}
  feeds: {{title: Only feeds}}
channels:
  post: {{kind: smtp, url: "smtp://127.0.0.1:{port}", from: News <news@example.org>}}
subscriptions: {{per_network: 4, per_hour: 50}}
"""


@dataclass
class House:
    """The house with a mail server that keeps what it gets."""

    app: App
    mail: MailServer
    clock: Clock

    def work(self) -> list[tuple[str, str]]:
        """All that is due; returns subject and text of the mails that came of it."""
        before = len(self.mail.mails)
        reports = self.app.once(lambda _: None, lambda *_: None)
        assert all(report.well for report in reports), [report.words for report in reports]
        return [(mail.subject, mail.text) for mail in self.mail.mails[before:]]

    def sign_up(self, address: str = ADA, *publications: str, **more: Any) -> None:
        given = {"door": "page", "network": "192.0.2.0/24", "wording": "Yes, send it."} | more
        self.app.readers.sign_up(address, publications or ("weekly",), **given)

    def token(self, address: str = ADA, *publications: str, **more: Any) -> str:
        """That of the confirmation link that somebody gets who signs up."""
        self.sign_up(address, *publications, **more)
        [(_, text)] = self.work()
        return link(text, "confirm")

    def reader(self, address: str = ADA, *publications: str, **more: Any) -> str:
        """Somebody signs up and confirms; returns the token of their preferences."""
        asked = self.app.readers.confirm(self.token(address, *publications, **more))
        assert asked
        return asked.preferences.rpartition("/")[2]

    def subscriptions(self, address: str = ADA) -> dict[str, SubscriptionRow]:
        with self.app.store.read() as tx:
            row = tx.subscribers.by_address(address)
            return {sub.publication: sub for sub in tx.subscribers.subscriptions(row.id)} if row else {}

    def states(self, address: str = ADA) -> dict[str, str]:
        return {name: sub.state for name, sub in self.subscriptions(address).items()}

    def history(self, address: str = ADA) -> list[tuple[str, str, str]]:
        with self.app.store.read() as tx:
            return [(said.act, said.publication, said.door) for said in tx.subscribers.history(address)]


def link(text: str, room: str) -> str:
    [found] = re.findall(rf"https://news.example.org/{room}/(\S+)", text)
    return str(found)


@pytest.fixture
def house(
    tmp_path: Path, write_config: Callable[[str], Path], mail_server: MailServer, clock: Clock
) -> Iterator[House]:
    for folder in ("notes", "blog"):
        (tmp_path / folder).mkdir()
    app = App(load(write_config(HOUSE.format(port=mail_server.port)), {}), clock)
    house = House(app, mail_server, clock)
    house.work()
    yield house
    app.close()


# --- sign-up ---------------------------------------------------------------------------------------------------------


def test_whoever_signs_up_gets_one_mail_and_nothing_more_before_they_confirm(house: House) -> None:
    house.sign_up(ADA, "weekly", "monthly")
    [(subject, text)] = house.work()
    assert subject == "Please confirm: The Weekly, Monthly & <More>"
    assert "Monthly & <More>" in text
    assert house.states() == {"weekly": "pending", "monthly": "pending"}
    assert house.work() == []


def test_a_confirmation_makes_the_subscription_as_it_was_wished(house: House) -> None:
    token = house.token(ADA, "weekly", name="Ada", frequency="daily", topics=["town"], language="de")
    asked = house.app.readers.asked(token)
    assert asked
    assert (asked.address, asked.titles, asked.done, asked.preferences) == (ADA, ("The Weekly",), False, "")
    assert house.states() == {"weekly": "pending"}
    done = house.app.readers.confirm(token, network="192.0.2.0/24")
    assert done
    assert done.done
    sub = house.subscriptions()["weekly"]
    assert (sub.state, sub.frequency, sub.topics, sub.confirmed) == ("active", "daily", ("town",), house.clock())
    found = house.app.readers.preferences(done.preferences.rpartition("/")[2])
    assert found
    assert (found.subscriber.name, found.subscriber.language) == ("Ada", "de")


def test_both_the_sign_up_and_the_confirmation_are_in_the_log_with_what_was_shown(house: House) -> None:
    house.reader()
    with house.app.store.read() as tx:
        said = [(one.act, one.door, one.network, one.wording) for one in tx.subscribers.history(ADA)]
    wording = "Send me The Weekly by mail. I can stop it at any time, by a link in each mail."
    assert said == [("asked", "page", "192.0.2.0/24", "Yes, send it."), ("confirmed", "link", "", wording)]


def test_to_confirm_twice_changes_nothing(house: House) -> None:
    token = house.token()
    first, second = house.app.readers.confirm(token), house.app.readers.confirm(token)
    assert first == second
    assert [act for act, *_ in house.history()] == ["asked", "confirmed"]


def test_a_confirmation_comes_to_its_end(house: House) -> None:
    token = house.token()
    house.clock.advance(days=8)
    assert house.app.readers.asked(token) is None
    assert house.app.readers.confirm(token) is None
    house.work()
    assert house.states() == {}


def test_one_mail_in_a_day_whoever_asks_and_by_whatever_door(house: House) -> None:
    for door in ("page", "form", "api", "operator"):
        house.sign_up("Ada@Example.org", door=door, network="")
    assert len(house.work()) == 1
    reader = house.reader("bob@example.org")
    house.app.readers.move(reader, ADA)
    assert house.work() == []
    house.clock.advance(hours=24)
    house.sign_up()
    assert len(house.work()) == 1


def test_who_has_it_already_is_told_where_they_choose(house: House) -> None:
    token = house.reader()
    house.clock.advance(days=1)
    house.sign_up()
    [(subject, text)] = house.work()
    assert subject == "You get The Weekly already"
    assert link(text, "preferences") == token
    assert house.states() == {"weekly": "active"}


@pytest.mark.parametrize("reason", ["hard", "soft", "complaint", "by hand"])
def test_nothing_is_mailed_to_whom_the_list_keeps_everything_from(house: House, reason: str) -> None:
    with house.app.store.write() as tx:
        tx.suppressions.add(Suppression(address=ADA, reason=reason, moment=house.clock()))
    house.sign_up()
    assert house.work() == []
    assert house.states() == {}


def test_the_answer_waits_for_a_template_that_is_mended(house: House, tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    broken = tmp_path / "templates/notice.txt.j2"
    broken.write_text("{{ nothing_like_it }}")
    app = App(load(tmp_path / "config.yaml", {}), house.clock)
    app.readers.sign_up(ADA, ["weekly"], door="page")
    assert not all(report.well for report in app.once(lambda _: None, lambda *_: None))
    broken.unlink()
    assert all(report.well for report in app.once(lambda _: None, lambda *_: None))
    app.close()
    assert [mail.to for mail in house.mail.mails] == [ADA]


def test_more_than_may_are_asked_to_come_back_whoever_they_are(house: House) -> None:
    for number in range(4):
        house.sign_up(f"{number}@example.org")
    with pytest.raises(TooMany) as told:
        house.sign_up()
    assert told.value.retry_after == timedelta(hours=1)
    house.sign_up(network="198.51.100.0/24")
    house.sign_up(door="api")
    house.clock.advance(hours=1, seconds=1)
    house.sign_up()
    for number in range(49):
        house.sign_up(network=f"203.0.{number}.0/24")
    with pytest.raises(TooMany):
        house.sign_up(network="")


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("address", {"address": "ada"}),
        ("address", {"address": "Ada <ada@example.org>"}),
        ("address", {"address": "ada@example.org\r\nBcc: eve@example.org"}),
        ("address", {"address": "ada\x00@example.org"}),
        ("name", {"name": "Ada\nBcc: eve@example.org"}),
        ("name", {"name": "A" * 101}),
        ("publications", {"publications": ()}),
        ("publications", {"publications": ("feeds",)}),
        ("publications", {"publications": ("weekly", "monthly"), "frequency": "daily"}),
        ("frequency", {"frequency": "hourly"}),
        ("topics", {"topics": ["town", "gossip"]}),
        ("language", {"language": "tlh"}),
        ("timezone", {"timezone": "Mars/Olympus"}),
    ],
)
def test_what_cannot_be_used_is_refused_and_the_field_named(house: House, field: str, given: dict[str, Any]) -> None:
    told = {"address": ADA, "publications": ("weekly",), "door": "page"} | given
    with pytest.raises(Unfit) as refused:
        house.app.readers.sign_up(**told)
    assert refused.value.field == field
    with house.app.store.read() as tx:
        assert not tx.subscribers.is_waiting()


@pytest.mark.parametrize("address", ["grüße@bücher.example", "ada@xn--bcher-kva.example", "用户@例え.jp"])
def test_addresses_of_all_scripts_can_sign_up(house: House, address: str) -> None:
    house.sign_up(address)
    with house.app.store.read() as tx:
        assert tx.subscribers.is_waiting()


# --- preferences -----------------------------------------------------------------------------------------------------


def changed(house: House, token: str, change: Change) -> Preferences:
    found = house.app.readers.change(token, change)
    assert found
    return found


def test_a_reader_changes_their_mind_on_everything(house: House) -> None:
    token = house.reader()
    until = house.clock() + timedelta(days=9)
    found = changed(
        house,
        token,
        Change(
            publications={
                "weekly": Wanted(subscribed=True, frequency="daily", topics=("harbour",)),
                "monthly": Wanted(subscribed=True),
            },
            name="Ada L.",
            language="de",
            timezone="Europe/Berlin",
            paused_until=until,
        ),
    )
    told = found.subscriber
    assert (told.name, told.language, told.timezone, told.paused_until) == ("Ada L.", "de", "Europe/Berlin", until)
    weekly, monthly = found.choices
    assert [option.name for option in weekly.frequencies if option.chosen] == ["daily"]
    assert [option.name for option in weekly.topics if option.chosen] == ["harbour"]
    assert (weekly.subscribed, monthly.subscribed, monthly.frequencies, found.paused) == (True, True, (), True)
    assert house.history()[2:] == [("changed", "weekly", "link"), ("confirmed", "monthly", "link")]
    with house.app.store.read() as tx:
        assert tx.subscribers.history(ADA)[2].wording == "daily; harbour"
    found = changed(house, token, Change(publications={"weekly": Wanted(subscribed=False)}))
    assert house.states() == {"weekly": "left", "monthly": "active"}
    assert house.history()[-1] == ("left", "weekly", "link")


def test_who_left_comes_back_by_their_own_word_only(house: House) -> None:
    token = house.reader()
    changed(house, token, Change(publications={"weekly": Wanted(subscribed=False)}))
    with pytest.raises(Unfit):
        house.app.readers.enrol(ADA, ["weekly"], door="operator", wording="they told me")
    changed(house, token, Change(publications={"weekly": Wanted(subscribed=True)}))
    with house.app.store.read() as tx:
        assert tx.suppressions.of(ADA) == ()
    assert house.states() == {"weekly": "active"}


def test_what_cannot_be_had_is_refused_and_nothing_is_changed(house: House) -> None:
    token = house.reader()
    for wanted in ({"feeds": Wanted(subscribed=True)}, {"weekly": Wanted(subscribed=True, frequency="hourly")}):
        with pytest.raises(Unfit):
            house.app.readers.change(token, Change(name="Eve", publications=wanted))
    found = house.app.readers.preferences(token)
    assert found
    assert found.subscriber.name == ""


def test_a_new_address_says_yes_itself_and_the_former_links_are_dead(house: House) -> None:
    token = house.reader()
    house.app.readers.move(token, "new@example.org", network="192.0.2.0/24")
    [(subject, text)] = house.work()
    assert (subject, house.mail.mails[-1].to) == ("Your new address for Harbour News", "new@example.org")
    confirmation = link(text, "confirm")
    asked = house.app.readers.asked(confirmation)
    assert asked
    assert (asked.is_move, asked.done) == (True, False)
    assert house.states() == {"weekly": "active"}
    done = house.app.readers.confirm(confirmation)
    assert done
    assert house.states("new@example.org") == {"weekly": "active"}
    assert house.states() == {}
    assert house.app.readers.preferences(token) is None
    assert house.app.readers.preferences(done.preferences.rpartition("/")[2])
    assert house.app.readers.confirm(confirmation) == done


def test_nobody_moves_to_the_address_of_another_reader(house: House) -> None:
    token, _ = house.reader(), house.reader("bob@example.org")
    house.clock.advance(days=1)
    house.app.readers.move(token, "bob@example.org")
    [(_, text)] = house.work()
    assert house.app.readers.confirm(link(text, "confirm")) is None
    assert house.states() == {"weekly": "active"} == house.states("bob@example.org")


def test_who_refuses_to_be_moved_to_silences_nobody_else(house: House) -> None:
    token = house.reader()
    house.app.readers.move(token, "eve@example.org")
    house.work()
    [leave] = re.findall(r"<\S+/unsubscribe/(\S+)>", str(house.mail.mails[-1].message["List-Unsubscribe"]))
    assert house.app.returns.unsubscribe(leave, everything=True)
    assert house.states() == {"weekly": "active"}
    with house.app.store.read() as tx:
        assert (tx.suppressions.of(ADA), len(tx.suppressions.of("eve@example.org"))) == ((), 1)


# --- the end ---------------------------------------------------------------------------------------------------------


def test_a_reader_gets_all_that_is_known_of_them(house: House) -> None:
    told = house.app.readers.data(house.reader())
    assert told
    assert told["subscriber"]["address"] == ADA
    assert [said["act"] for said in told["consents"]] == ["asked", "confirmed"]
    assert [(one["recipient"], one["state"]) for one in told["deliveries"]] == [(ADA, "sent")]


def test_whoever_is_erased_is_nowhere_any_more(house: House, tmp_path: Path) -> None:
    token = house.reader(name="Ada Lovelace")
    house.app.readers.move(token, "other@example.com")
    house.work()
    assert house.app.readers.erase(token)
    assert house.app.readers.preferences(token) is None
    house.app.close()
    stored = b"".join(file.read_bytes() for file in (tmp_path / "data").glob("publisher.db*"))
    with house.app.store.read() as tx:
        assert tx.subscribers.count() == 0
        assert [one.reason for one in tx.suppressions.of(ADA)] == ["erased"]
        assert [(one.recipient.startswith("#"), one.detail) for one in tx.deliveries.list(limit=9)] == [(True, "")] * 2
    assert stored
    assert house.history()[-1] == ("erased", "", "link")


def test_whoever_was_erased_may_come_back(house: House) -> None:
    house.app.readers.erase(house.reader())
    house.clock.advance(days=1)
    house.reader()
    assert house.states() == {"weekly": "active"}
    with house.app.store.read() as tx:
        assert tx.suppressions.of(ADA, "weekly") == ()
        assert [one.reason for one in tx.suppressions.of(ADA, "monthly")] == ["erased"]


def test_links_are_good_for_one_person_and_one_purpose(house: House) -> None:
    ada, bob = house.reader(), house.reader("bob@example.org")
    confirmation = house.token("eve@example.org")
    [leave] = re.findall(r"<\S+/unsubscribe/(\S+)>", str(house.mail.mails[-1].message["List-Unsubscribe"]))
    number = {token: token.partition("-") for token in (ada, bob, confirmation, leave)}
    swapped = [f"{number[one][0]}-{number[two][2]}" for one in number for two in number if one != two]
    readers = house.app.readers
    for token in (*swapped, confirmation, leave, "", "0-" + "0" * 32, ada[:-1], ada + "0", "é"):
        if token not in (ada, bob):
            assert readers.preferences(token) is None
            assert readers.change(token, Change(name="Eve")) is None
            assert readers.data(token) is None
            assert readers.erase(token) is False
    for token in (*swapped, ada, bob, leave):
        if token != confirmation:
            assert readers.asked(token) is None
            assert readers.confirm(token) is None
    for token in (*swapped, ada, bob, confirmation):
        if token != leave:
            assert house.app.returns.unsubscribe(token) is None


def test_an_operator_enrols_whose_consent_is_known(house: House) -> None:
    house.app.readers.enrol(ADA, ["weekly"], name="Ada", door="operator", wording="signed a list at the fair")
    assert house.states() == {"weekly": "active"}
    assert house.work() == []
    with house.app.store.read() as tx:
        [said] = tx.subscribers.history(ADA)
    assert said == ConsentRow(
        publication="weekly", act="enrolled", moment=house.clock(), door="operator", wording="signed a list at the fair"
    )


def test_whoever_signs_up_is_asked_where_mails_are_only_files_too(
    tmp_path: Path, write_config: Callable[[str], Path], clock: Clock
) -> None:
    news = 'publications:\n  weekly: {title: The Weekly, digest: {schedule: "mon 08:00"}}\nsubscriptions: {}\n'
    app = App(load(write_config(news), {}), clock)
    app.readers.sign_up(ADA, ["weekly"], door="page")
    assert all(report.well for report in app.once(lambda _: None, lambda *_: None))
    with app.store.read() as tx:
        [delivery] = tx.deliveries.list(limit=9)
        documents = {document.name for document in tx.issues.documents(delivery.issue)}
    app.close()
    [file] = (tmp_path / "outbox").iterdir()
    assert "Subject: Please confirm: The Weekly" in file.read_text()
    assert documents == {"subject.txt", "mail.html", "mail.txt", "issue.json"}  # the last for those who mail it for us
