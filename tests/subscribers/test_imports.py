"""Lists are taken over and given out at the desk, into a real store."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from outside import Clock

from publisher.app import App, load
from publisher.errors import Unfit
from publisher.store import ConsentRow
from publisher.subscribers import Change, Preferences, Refusal, Tally, Terms, Wanted, imports

HOUSE = """
sources:
  notes: {kind: folder, path: notes}
publications:
  weekly:
    title: The Weekly
    topics: {harbour: {title: Harbour, tags: [harbour]}, town: {title: Town, tags: [town]}}
    digest: {schedule: {weekly: "mon 08:00", daily: "daily 08:00"}}
    deliver: [post]
  monthly: {title: Monthly, digest: {schedule: "monthly 1 08:00"}, deliver: [post]}
channels:
  post: {kind: smtp, url: "smtp://127.0.0.1:25", from: News <news@example.org>}
subscriptions: {per_network: 4, per_hour: 50}
"""
HEAD = "Email Address,First Name,OPTIN_TIME,CONFIRM_TIME,TIMEZONE,LEID,EUID\n"
ADA = "ada@example.org,Ada,2021-04-02 09:30:00,2021-04-02 09:31:12,Europe/Berlin,1,a\n"
UNSUBSCRIBED = "Email Address,CONFIRM_TIME,UNSUB_TIME,LEID,EUID\n{address},2018-01-01 00:00:00,{left},1,a\n"
CLEANED = "Email Address,CONFIRM_TIME,CLEAN_TIME,LEID,EUID\n{address},2018-01-01 00:00:00,2020-01-01 00:00:00,1,a\n"


@pytest.fixture
def app(tmp_path: Path, write_config: Callable[[str], Path], clock: Clock) -> Iterator[App]:
    (tmp_path / "notes").mkdir()
    opened = App(load(write_config(HOUSE), {}), clock)
    yield opened
    opened.close()


def take_over(
    app: App, text: str, publication: str = "weekly", **terms: object
) -> tuple[dict[str, int], list[Refusal]]:
    refused: list[Refusal] = []
    tally = app.readers.take_over(
        io.BytesIO(text.encode()),
        "list.csv",
        Terms(publication=publication, **terms),
        refused=refused.append,
    )
    assert sum(tally.outcomes.values()) == tally.rows
    return dict(tally.outcomes), refused


def token_of(app: App, address: str) -> str:
    row = app.readers.known(address)
    assert row
    return app.readers.link(row).rpartition("/")[2]


def chosen_by(app: App, address: str) -> Preferences | None:
    return app.readers.preferences(token_of(app, address)) if app.readers.known(address) else None


def state(app: App, address: str, publication: str = "weekly") -> str:
    found = chosen_by(app, address)
    return next((one.state for one in found.choices if one.publication.name == publication), "") if found else ""


def everything(app: App) -> list[object]:
    """All that an import may change."""
    with app.store.read() as tx:
        rows = tx.subscribers.page(limit=99)
        logs = [tx.subscribers.history(row.address) for row, _ in rows]
        return [rows, logs, tx.suppressions.list(limit=99), tx.subscribers.is_waiting()]


def test_whose_consent_is_stated_gets_it_at_once_and_the_log_says_why(app: App) -> None:
    assert take_over(app, HEAD + ADA) == ({"enrolled": 1}, [])
    found = chosen_by(app, "ada@example.org")
    assert found
    assert (found.subscriber.name, found.subscriber.timezone) == ("Ada", "Europe/Berlin")
    assert f"{found.subscriber.created:%F %T}" == "2021-04-02 09:30:00"
    [said] = app.readers.history("ada@example.org")
    assert said == ConsentRow(
        publication="weekly",
        act="imported",
        moment=said.moment,
        door="import",
        wording="Mailchimp, list.csv: CONFIRM_TIME 2021-04-02 09:31:12",
    )
    assert f"{said.moment:%F %T}" == "2021-04-02 09:31:12"
    with app.store.read() as tx:
        assert not tx.subscribers.is_waiting()


def test_whose_consent_is_not_stated_is_refused_with_what_to_do(app: App) -> None:
    outcomes, [refusal] = take_over(app, "email\nada@example.org\n")
    assert (outcomes, refusal.line, refusal.address) == ({"refused": 1}, 2, "ada@example.org")
    assert "--consent" in refusal.why
    assert "--ask" in refusal.why
    assert app.readers.known("ada@example.org") is None


def test_the_operators_words_are_in_the_log(app: App) -> None:
    assert take_over(app, "email\nada@example.org\n", consent="At our fair, 2024")[0] == {"enrolled": 1}
    [said] = app.readers.history("ada@example.org")
    assert (said.wording, said.moment) == ("At our fair, 2024 (a plain list, list.csv)", app.clock())


def test_those_who_are_asked_wait_for_one_mail_and_close_no_door_to_others(app: App) -> None:
    rows = "".join(f"r{number}@example.org\n" for number in range(60))
    assert take_over(app, f"email\n{rows}", ask=True)[0] == {"asked": 60}
    assert take_over(app, f"email\n{rows}", ask=True)[0] == {"known": 60}
    with app.store.read() as tx:
        assert {one.door for one in tx.subscribers.waiting(99)} == {"import"}
    app.readers.sign_up("bob@example.org", ["weekly"], door="page", network="192.0.2.0/24")


def test_to_import_a_file_twice_changes_nothing(app: App) -> None:
    unsubscribed = UNSUBSCRIBED.format(address="bob@example.org", left="2023-01-01 00:00:00")
    files = (HEAD + ADA, unsubscribed, CLEANED.format(address="cleo@example.org"))
    assert [take_over(app, text)[0] for text in files] == [{"enrolled": 1}, {"left": 1}, {"dead": 1}]
    before = everything(app)
    assert [take_over(app, text)[0] for text in files] == [{"known": 1}, {"suppressed": 1}, {"suppressed": 1}]
    assert everything(app) == before


def test_who_left_or_cannot_be_reached_is_never_activated_by_an_import(app: App) -> None:
    take_over(app, UNSUBSCRIBED.format(address="ADA@example.org", left=""))
    assert take_over(app, HEAD + ADA)[0] == {"suppressed": 1}
    assert take_over(app, "email\nada@example.org\n", consent="x")[0] == {"suppressed": 1}
    assert take_over(app, "email\nada@example.org\n", ask=True)[0] == {"suppressed": 1}
    assert take_over(app, HEAD + ADA, "monthly")[0] == {"enrolled": 1}, "they left the other one only"
    take_over(app, CLEANED.format(address="dora@example.org"))
    with app.store.read() as tx:
        assert [(one.publication, one.reason) for one in tx.suppressions.of("dora@example.org")] == [("", "hard")]


def test_who_was_erased_stays_so(app: App) -> None:
    take_over(app, HEAD + ADA)
    assert app.readers.erase_by_hand("ada@example.org", door="operator")
    assert take_over(app, HEAD + ADA)[0] == {"suppressed": 1}
    assert app.readers.known("ada@example.org") is None


def test_who_left_there_after_they_were_imported_leaves_here(app: App) -> None:
    take_over(app, HEAD + ADA)
    assert take_over(app, UNSUBSCRIBED.format(address="ada@example.org", left="2019-01-01 00:00:00"))[0] == {"known": 1}
    assert state(app, "ada@example.org") == "active"
    assert take_over(app, UNSUBSCRIBED.format(address="ada@example.org", left="2024-01-01 00:00:00"))[0] == {"left": 1}
    assert state(app, "ada@example.org") == "left"


def test_who_is_twice_in_a_file_is_enrolled_once(app: App) -> None:
    assert take_over(app, HEAD + ADA + ADA.upper())[0] == {"enrolled": 1, "known": 1}
    assert len(app.readers.history("ada@example.org")) == 1


def test_a_dry_run_tells_the_same_and_changes_nothing(app: App) -> None:
    text = HEAD + ADA + ADA + "bob,,,,,2,b\ncleo@example.org,,,,,3,c\n"
    before = everything(app)
    dry = take_over(app, text, dry_run=True)
    assert everything(app) == before
    assert take_over(app, text) == dry


def test_an_import_that_was_cut_off_goes_on(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "_BATCH", 2)
    text = HEAD + "".join(f"r{n}@example.org,,2021-04-02 09:30:00,2021-04-02 09:30:00,,{n},x\n" for n in range(7))

    def cut(tally: Tally) -> None:
        if tally.rows == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        app.readers.take_over(io.BytesIO(text.encode()), "list.csv", Terms(publication="weekly"), told=cut)
    assert take_over(app, text)[0] == {"known": 4, "enrolled": 3}
    with app.store.read() as tx:
        assert tx.subscribers.count_subscriptions("weekly", "active") == 7


def test_what_is_not_known_here_is_left_at_its_default(app: App) -> None:
    head = "address,name,publication,state,frequency,topics,language,timezone,created,confirmed,left\n"
    row = 'ada@example.org,"A\nda",weekly,active,hourly,"harbour, sea",xx,Moon/Base,2999-01-01,2999-01-01,\n'
    assert take_over(app, head + row)[0] == {"enrolled": 1}
    with app.store.read() as tx:
        [(person, sub)] = tx.subscribers.page(limit=9)
    assert (person.name, person.language, person.timezone, person.created) == ("A da", "", "", app.clock())
    assert (sub.frequency, sub.topics, sub.confirmed) == ("", ("harbour",), app.clock())


def test_what_was_exported_is_imported_as_it_was(
    app: App, tmp_path: Path, write_config: Callable[[str], Path], clock: Clock
) -> None:
    take_over(app, HEAD + ADA + '=bob@example.org,"=Bob;+1",2021-04-02 09:30:00,2021-04-02 09:30:00,,2,b\n')
    chosen = {"weekly": Wanted(subscribed=True, frequency="daily", topics=("town",))}
    app.readers.change(token_of(app, "ada@example.org"), Change(publications=chosen))
    take_over(app, UNSUBSCRIBED.format(address="gone@example.org", left="2024-01-01 00:00:00"))
    first, second = io.StringIO(newline=""), io.StringIO(newline="")
    told: list[int] = []
    assert app.readers.export(first, told=told.append) == 2
    assert told == [2]
    assert "'=bob@example.org,'=Bob;'+1," in first.getvalue()
    (tmp_path / "data/publisher.db").rename(tmp_path / "other.db")
    app.close()
    other = App(load(tmp_path / "config.yaml", {}), clock)
    assert take_over(other, first.getvalue())[0] == {"enrolled": 2}
    other.readers.export(second, publication="weekly", state="active")
    other.close()
    assert second.getvalue() == first.getvalue()


def test_nothing_of_it_begins_without_a_publication_that_can_be_subscribed_to(app: App) -> None:
    with pytest.raises(Unfit, match="there is: weekly, monthly"):
        take_over(app, HEAD + ADA, "feeds")
    with pytest.raises(Unfit, match="is empty"):
        take_over(app, "\n\n")


# --- by hand ---------------------------------------------------------------------------------------------------------


def test_a_pending_reader_is_confirmed_on_the_operators_word(app: App) -> None:
    app.readers.sign_up("ada@example.org", ["weekly"], door="operator", frequency="daily")
    app.once(lambda _: None, lambda *_: None)
    assert state(app, "ada@example.org") == "pending"
    assert not app.readers.confirm_by_hand("ada@example.org", "monthly", door="operator", wording="x")
    assert app.readers.confirm_by_hand("ada@example.org", "weekly", door="operator", wording="By telephone")
    assert state(app, "ada@example.org") == "active"
    said = app.readers.history("ada@example.org")[-1]
    assert (said.act, said.door, said.wording) == ("confirmed", "operator", "By telephone")
    assert not app.readers.confirm_by_hand("ada@example.org", "weekly", door="operator", wording="again")


def test_nobody_is_confirmed_by_hand_who_is_on_the_suppression_list(app: App) -> None:
    app.readers.sign_up("ada@example.org", ["weekly"], door="operator")
    app.once(lambda _: None, lambda *_: None)
    take_over(app, CLEANED.format(address="ada@example.org"))
    with pytest.raises(Unfit, match="suppression list"):
        app.readers.confirm_by_hand("ada@example.org", "weekly", door="operator", wording="By telephone")


def test_who_is_removed_leaves_and_stays_away(app: App) -> None:
    take_over(app, HEAD + ADA)
    assert app.readers.remove("ada@example.org", "weekly", door="operator", wording="By letter")
    assert not app.readers.remove("bob@example.org", door="operator", wording="")
    assert state(app, "ada@example.org") == "left"
    assert take_over(app, HEAD + ADA)[0] == {"suppressed": 1}
    for address, publication in (("nobody", ""), ("ada@example.org", "nwes")):
        with pytest.raises(Unfit):
            app.readers.remove(address, publication, door="operator", wording="")
