"""What is due, derived from rows."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from outside import Clock

from publisher.app import STEPS, App, load
from publisher.engine.local import Report
from publisher.model import Later, Work
from publisher.store import SubscriptionRow

NOTE = "---\ntitle: {title}\ndate: 2026-10-01\n---\nText.\n"
HOUSE = """
sources:
  notes: {kind: folder, path: notes, every: 1h}
publications:
  plain: {title: Plain, feeds: {formats: [rss]}}
  weekly:
    title: Weekly
    feeds: {formats: [rss]}
    digest: {schedule: "mon 08:00"}
    recipients: [ada@example.org]
"""


@pytest.fixture
def config(tmp_path: Path, write_config: Callable[[str], Path]) -> Path:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/first.md").write_text(NOTE.format(title="First"))
    return write_config(HOUSE)


@pytest.fixture
def house(config: Path, clock: Clock) -> Iterator[Callable[[], App]]:
    """Opens the house anew, as a restart does."""
    opened: list[App] = []

    def open_house() -> App:
        opened.append(App(load(config, {}), clock))
        return opened[-1]

    yield open_house
    for app in opened:
        app.close()


def due(app: App) -> list[str]:
    return [work.run for step in STEPS for work in app.due(step)]


def once(app: App) -> list[Report]:
    return app.once(lambda _: None, lambda *_: None)


def test_a_new_house_visits_and_publishes_at_once_and_waits_for_the_slot_of_its_digest(
    house: Callable[[], App],
) -> None:
    app = house()
    assert due(app) == ["collect notes", "publish plain", "publish weekly"]
    once(app)
    assert due(app) == []


def test_a_publication_without_a_digest_is_rendered_when_something_changed_only(
    house: Callable[[], App], clock: Clock, tmp_path: Path
) -> None:
    app = house()
    once(app)
    clock.advance(hours=1)
    assert due(app) == ["collect notes"]
    (tmp_path / "feeds/plain/rss.xml").unlink()
    assert due(app) == ["collect notes", "publish plain"]


def test_after_a_long_time_down_one_slot_is_due_and_not_each_that_was_missed(
    house: Callable[[], App], clock: Clock, tmp_path: Path
) -> None:
    once(house())
    (tmp_path / "notes/second.md").write_text(NOTE.format(title="Second").replace("2026-10-01", "2026-10-22"))
    clock.advance(days=30)
    app = house()
    assert due(app) == ["collect notes"]  # and then the digest, so that what happened meanwhile is in it
    reports = once(app)
    assert [report.work.run for report in reports if report.work.step == "compose"] == ["compose weekly"]
    assert due(app) == []
    assert len(app.status().issues) == 1


def test_a_digest_with_another_schedule_does_not_make_up_for_slots_before_the_change(
    house: Callable[[], App], clock: Clock, config: Path
) -> None:
    once(house())
    clock.now = datetime(2026, 10, 20, 12, 0, tzinfo=UTC)
    config.write_text(config.read_text().replace("mon 08:00", "daily 07:00"))
    app = house()
    assert "compose weekly" not in due(app)
    clock.advance(days=1)
    assert "compose weekly" in [report.work.run for report in once(app)]


def test_a_first_issue_looks_back_once_and_at_once(house: Callable[[], App], config: Path, tmp_path: Path) -> None:
    config.write_text(config.read_text().replace('schedule: "mon 08:00"', 'schedule: "mon 08:00", first_issue: 60d'))
    app = house()
    once(app)
    assert [issue.entries for issue in app.status().issues] == [1]
    assert len(list((tmp_path / "outbox").glob("*.eml"))) == 1
    assert due(app) == []


def test_a_first_issue_waits_until_each_source_was_tried(house: Callable[[], App], config: Path) -> None:
    text = config.read_text().replace('schedule: "mon 08:00"', 'schedule: "mon 08:00", first_issue: 60d')
    config.write_text(text.replace("sources:\n", "sources:\n  other: {kind: folder, path: missing}\n"))
    app = house()
    app.do(Work(step="collect", subject="notes", slot="x"))
    assert "compose weekly" not in due(app)
    app.do(Work(step="collect", subject="other", slot="x"))
    assert "compose weekly" in due(app)


def test_a_slot_that_could_not_run_is_due_again_soon(house: Callable[[], App], clock: Clock, tmp_path: Path) -> None:
    app = house()
    once(app)
    (tmp_path / "notes/second.md").write_text(NOTE.format(title="Second").replace("2026-10-01", "2026-10-19"))
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/digest.txt.j2").write_text("{{ nothing.of.the.kind }}")
    clock.now = datetime(2026, 10, 26, 8, 0, tzinfo=UTC)
    [report] = [report for report in once(app) if report.work.step == "compose"]
    assert isinstance(report.outcome, Later)
    assert "digest.txt.j2:1" in report.words
    assert "compose weekly" not in due(app)
    (tmp_path / "templates/digest.txt.j2").unlink()
    clock.advance(minutes=11)
    assert "compose weekly" in due(app)
    once(app)
    assert [issue.entries for issue in app.status().issues] == [1]


def test_a_source_that_fails_is_left_alone_for_longer_each_time(
    house: Callable[[], App], config: Path, clock: Clock
) -> None:
    config.write_text(config.read_text().replace("path: notes", "path: missing"))
    app, visits = house(), []
    for _ in range(24):
        clock.advance(hours=1)
        visits += [clock() for report in once(app) if report.work.step == "collect"]
    pauses = [later - earlier for earlier, later in itertools.pairwise(visits)]
    assert pauses == [timedelta(hours=hours) for hours in (1, 2, 4, 8)]


def test_an_issue_goes_out_although_its_publication_was_taken_out_of_the_configuration(
    house: Callable[[], App], config: Path, tmp_path: Path
) -> None:
    config.write_text(config.read_text().replace('"mon 08:00"', '"mon 08:00", first_issue: 60d'))
    app = house()
    for step in ("collect", "compose"):
        for work in app.due(step):
            app.do(work)
    config.write_text(config.read_text().partition("  weekly:")[0])
    app = house()
    assert "deliver outbox" in due(app)
    assert all(report.well for report in once(app))
    assert len(list((tmp_path / "outbox").glob("*.eml"))) == 1


def test_what_waits_for_a_channel_that_is_no_more_waits_and_is_told(house: Callable[[], App], config: Path) -> None:
    text = config.read_text().replace('"mon 08:00"', '"mon 08:00", first_issue: 60d')
    config.write_text(text + "    deliver: [other]\nchannels: {other: {kind: folder, path: other}}\n")
    app = house()
    for step in ("collect", "compose"):
        for work in app.due(step):
            app.do(work)
    config.write_text(text)
    app = house()
    assert [work for work in due(app) if work.startswith("deliver")] == []
    assert any("channel other: deliveries wait for it" in sentence for sentence in app.status().wrong)


def test_an_issue_is_finished_by_its_last_verdict_or_at_once_when_it_has_no_delivery(
    house: Callable[[], App], config: Path
) -> None:
    config.write_text(config.read_text().replace('"mon 08:00"', '"mon 08:00", first_issue: 60d'))
    app = house()
    for step in ("collect", "compose"):
        for work in app.due(step):
            app.do(work)
    assert [issue.finished for issue in app.status().issues] == [None]
    once(app)
    assert [issue.finished for issue in app.status().issues] == [app.clock()]
    config.write_text(config.read_text().replace("    recipients: [ada@example.org]\n", ""))
    app = house()
    app.do(app.by_hand("compose", ["weekly"])[0])
    assert all(issue.finished for issue in app.status().issues)


def test_an_issue_waits_for_the_visits_of_its_moment(
    house: Callable[[], App], config: Path, clock: Clock, tmp_path: Path
) -> None:
    config.write_text(config.read_text().replace("sources:\n", "sources:\n  other: {kind: folder, path: missing}\n"))
    app = house()
    once(app)
    clock.now = datetime(2026, 10, 26, 7, 30, tzinfo=UTC)
    (tmp_path / "notes/late.md").write_text(NOTE.format(title="Late").replace("2026-10-01", "2026-10-26"))
    assert "compose weekly" not in due(app)
    for work in app.due("collect"):
        app.do(work)
    assert "compose weekly" in due(app)
    once(app)
    assert [issue.entries for issue in app.status().issues] == [1]


def test_a_source_whose_kind_has_a_fault_holds_up_no_issue(
    house: Callable[[], App], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = house()
    once(app)
    clock.now = datetime(2026, 10, 26, 7, 30, tzinfo=UTC)
    monkeypatch.setattr("publisher.sources.folder.Folder.fetch", lambda *_: 1 / 0)
    reports = once(app)
    assert [report.work.run for report in reports if report.fault] == ["collect notes"]
    assert "compose weekly" in [report.work.run for report in reports]
    assert "unexpected ZeroDivisionError" in app.status().wrong[0]


def test_a_digest_that_goes_by_no_clock_is_due_when_an_entry_arrived_and_makes_an_issue_of_each(
    house: Callable[[], App], config: Path, clock: Clock, tmp_path: Path
) -> None:
    config.write_text(config.read_text().replace('schedule: "mon 08:00"', "schedule: each entry"))
    app = house()
    once(app)
    assert app.status().publications[-1].next_issue is None
    assert due(app) == []
    for title in ("Second", "Third"):
        text = NOTE.format(title=title).replace("2026-10-01", f"{clock():%Y-%m-%dT%H:%M:%SZ}")
        (tmp_path / f"notes/{title}.md").write_text(text)
        clock.advance(hours=1)
    reports = once(app)
    assert [report.work.run for report in reports if report.work.step == "compose"] == ["compose weekly"]
    assert [issue.entries for issue in app.status().issues] == [1, 1]
    assert len(list((tmp_path / "outbox").glob("*.eml"))) == 2
    assert due(app) == []


def test_a_restart_makes_no_visit_early_and_new_options_make_one_at_once(
    house: Callable[[], App], config: Path, clock: Clock
) -> None:
    once(house())
    clock.advance(minutes=1)
    assert due(house()) == []
    config.write_text(config.read_text().replace("path: notes", 'path: notes, pattern: "*.md"'))
    assert due(house()) == ["collect notes"]
    once(house())
    config.write_text(config.read_text().replace("  notes: {", "  other: {"))
    assert [work.subject for work in house().due("collect")] == ["other"]


def test_a_house_knows_how_long_it_may_rest(house: Callable[[], App], clock: Clock) -> None:
    app = house()
    assert app.pause() is None
    once(app)
    pause = app.pause()
    assert pause is not None
    clock.advance(seconds=pause.total_seconds() - 1)
    assert due(app) == []
    clock.advance(seconds=1)
    assert due(app) == ["collect notes"]


def test_a_source_that_is_visited_adaptively_is_visited_as_it_has_news(
    house: Callable[[], App], config: Path, clock: Clock, tmp_path: Path
) -> None:
    config.write_text(config.read_text().replace("every: 1h", "every: adaptive"))
    for day in range(1, 6):
        (tmp_path / f"notes/{day}.md").write_text(NOTE.format(title=day).replace("10-01", f"10-{13 + day:02}"))
    app = house()
    once(app)
    day = clock() - datetime(2026, 10, 18, tzinfo=UTC)
    pause, usual = app.pause(), max(timedelta(days=1), day) / 8
    assert pause is not None
    assert 0.9 * usual <= pause <= 1.1 * usual


def test_feeds_do_not_wait_for_a_digest_that_is_being_made(house: Callable[[], App]) -> None:
    app = house()
    [work] = [work for work in app.due("publish") if work.subject == "weekly"]
    with app.store.hold("compose weekly", app.clock) as held:
        assert held
        assert app.do(work).changed


def test_visits_to_one_host_go_in_one_lane_and_those_to_machines_of_ones_own_in_none(
    write_config: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "notes").mkdir()
    feeds = {"a": "https://one.example/a", "b": "https://one.example/b", "c": "https://two.example/"}
    lines = [f'  {name}: {{kind: feed, url: "{url}"}}' for name, url in feeds.items()]
    lines += [
        '  own: {kind: feed, url: "https://one.example/own", private: true}',
        "  notes: {kind: folder, path: notes}",
    ]
    app = App(load(write_config("sources:\n" + "\n".join(lines)), {}))
    lanes = {work.subject: work.lane for work in app.due("collect")}
    app.close()
    assert lanes == {"a": "one.example", "b": "one.example", "c": "two.example", "own": "", "notes": ""}


def test_each_frequency_has_slots_of_its_own(house: Callable[[], App], config: Path, clock: Clock) -> None:
    once(house())
    several = 'schedule: {weekly: "mon 08:00", daily: "daily 08:00"}'
    config.write_text(config.read_text().replace('schedule: "mon 08:00"', several))
    once(house())
    clock.now = datetime(2026, 10, 20, 6, 0, tzinfo=UTC)
    app = house()
    for work in app.due("collect"):
        app.do(work)
    assert "compose weekly/daily" in due(app)
    assert "compose weekly" not in due(app)
    once(app)
    assert due(app) == []
    assert sorted(run for run in app.runs if run.startswith("compose")) == ["compose weekly", "compose weekly/daily"]


def test_where_readers_clocks_count_an_issue_is_made_when_the_first_of_them_shows_its_time(
    house: Callable[[], App], config: Path, clock: Clock
) -> None:
    config.write_text(config.read_text().replace('"mon 08:00"', '"mon 08:00", timezone: subscriber'))
    app = house()
    once(app)

    def at(hour: int) -> bool:
        clock.now = datetime(2026, 10, 25, hour, 0, tzinfo=UTC)
        for work in app.due("collect"):
            app.do(work)
        return "compose weekly" in due(app)

    assert not at(20)  # in Berlin it is Sunday evening, and nobody is anywhere else
    with app.store.write() as tx:
        row = tx.subscribers.add("kim@example.org", timezone="Pacific/Kiritimati", now=clock())
        tx.subscribers.subscribe(SubscriptionRow(subscriber=row.id, publication="weekly", state="active"))
    assert at(21)
    [work] = app.due("compose")
    assert work.slot == "2026-10-26T08:00:00"
    app.do(work)
    assert not at(23)


def test_where_entries_are_pushed_nobody_visits_and_no_issue_waits_for_a_visit(
    tmp_path: Path, write_config: Callable[[str], Path], clock: Clock
) -> None:
    text = HOUSE.replace("sources:", "sources:\n  newsroom: {kind: api}").replace(
        'digest: {schedule: "mon 08:00"}', 'digest: {schedule: "mon 08:00", first_issue: 7d}'
    )
    (tmp_path / "notes").mkdir()
    app = App(load(write_config(text), {}), clock)
    once(app)
    assert due(app) == []  # the first issue was made
    clock.advance(days=8)
    once(app)
    assert due(app) == []
    [newsroom] = [source for source in app.status().sources if source.kind == "api"]
    assert (newsroom.next, newsroom.error) == (None, "")
    assert "collect newsroom" not in [name for _, name in app.status().next]
    app.close()
