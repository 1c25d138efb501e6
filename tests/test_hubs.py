"""Hubs, from finding one to the entry in the published feed: a real hub, a real site, and the house as it is served."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
import requests
from hub import Hub
from outside import Clock, Post, Response, WebSite
from outside import rss as feed_of
from structlog.testing import capture_logs
from waiting import PATIENCE, wait_for

from publisher.app import App, Service, load
from publisher.collect import Collecting
from publisher.collect.visits import Failure, Success, Visit
from publisher.engine.local import Report
from publisher.hubs import asking
from publisher.store import HubRow, Push
from publisher.web import serving

CONFIG = """
version: 1
site: {{title: Harbour News, url: "{url}"}}
server: {{listen: "127.0.0.1:{port}"}}
sources:
  blog: {{kind: feed, url: "{site}/feed.xml", private: {private}, every: {every}{more}}}
publications:
  all: {{title: All, feeds: {{formats: [json]}}}}
"""


@dataclass
class House:
    """The house, where each step is taken by hand."""

    app: App
    config: Path
    hub: Hub
    site: WebSite
    clock: Clock
    posts: list[Post]
    url: str

    def feed(self, *posts: Post, links: bool = True) -> bytes:
        """The feed of the blog; of all its posts, or of those."""
        shown = posts or tuple(reversed(self.posts))
        told = f"<link rel='hub' href='{escape(self.hub.url)}' xmlns='http://www.w3.org/2005/Atom'/>"
        told += f"<link rel='self' href='{self.site.url}/feed.xml' xmlns='http://www.w3.org/2005/Atom'/>"
        body = feed_of(self.site.url, list(shown)).body
        return body.replace(b"<description/>", told.encode(), 1) if links else body

    def show(self, *, links: bool = True) -> None:
        self.site.pages["/feed.xml"] = Response(self.feed(links=links))

    @property
    def count(self) -> int:
        with self.app.store.read() as tx:
            return tx.entries.count("blog")

    def write(self, slug: str) -> Post:
        """A new post; what pushes it, or finds it, is for the test to say."""
        self.posts.append(Post(slug, self.clock() - timedelta(minutes=1)))
        self.show()
        return self.posts[-1]

    def push(self, *posts: Post, **more: str) -> list[int]:
        return self.hub.push(self.feed(*posts), **more)

    def step(self, step: str) -> list[Report]:
        return [Report(work, self.app.do(work)) for work in self.app.due(step)]

    def sweep(self) -> None:
        for step in ("collect", "hubs", "publish"):
            self.step(step)

    def subscribe(self) -> HubRow:
        """What is due until the hub has confirmed."""
        self.sweep()
        wait_for(lambda: self.row and self.row.pushes(self.clock()) and self.row.callback in self.hub.subscribed)
        return self.row

    def pass_time(self, span: timedelta, by: timedelta = timedelta(hours=1)) -> None:
        end = self.clock() + span
        while self.clock() < end:
            self.clock.now += by
            self.sweep()
            wait_for(self.all_verified)

    def all_verified(self) -> bool:
        """Whether the hub has heard what it wanted to know of each question."""
        return not self.hub.verifies or len(self.hub.verdicts) == len(self.hub.asked)

    @property
    def row(self) -> HubRow | None:
        with self.app.store.read() as tx:
            return tx.hubs.get("blog")

    @property
    def rows(self) -> list[HubRow]:
        with self.app.store.read() as tx:
            return tx.hubs.all()

    @property
    def titles(self) -> list[str]:
        with self.app.store.read() as tx:
            return [entry.title for entry in tx.entries.newest(["blog"], 1000)]

    @property
    def next_visit(self) -> timedelta:
        with self.app.store.read() as tx:
            return tx.sources.get("blog").next_at - self.clock()

    def visits(self) -> int:
        return len(self.site.hits)

    def set(self, **changed: object) -> None:
        """Change how it stands with the hub."""
        with self.app.store.write() as tx:
            tx.hubs.put(replace(self.row, **changed))

    def reopen(self, old: str = "", new: str = "") -> None:
        """Stop, change the configuration, and start again."""
        self.app.close()
        self.config.write_text(self.config.read_text().replace(old, new))
        self.app = App(load(self.config, {}), self.clock).ready()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@pytest.fixture
def hub(clock: Clock) -> Iterator[Hub]:
    made = Hub(clock)
    yield made
    made.close()


Open = Callable[..., House]


@pytest.fixture
def open_house(tmp_path: Path, web_site: WebSite, hub: Hub, clock: Clock) -> Iterator[Open]:
    opened: list[House] = []
    leave: list[contextmanager] = []

    def open_it(every: str = "adaptive", *, private: str = "true", more: str = "", url: str = "") -> House:
        port = free_port()
        config = tmp_path / "config.yaml"
        here = url or f"http://127.0.0.1:{port}"
        config.write_text(
            CONFIG.format(url=here, port=port, site=web_site.url, private=private, every=every, more=more)
        )
        app = App(load(config, {}), clock).ready()
        posts = [Post(f"old{number}", clock() - timedelta(days=9 - number)) for number in range(5)]
        house = House(app, config, hub, web_site, clock, posts, here)
        served = serving(lambda: house.app)
        served.__enter__()
        leave.append(served)
        opened.append(house)
        house.show()
        return house

    yield open_it
    for house, served in zip(opened, leave, strict=True):
        served.__exit__(None, None, None)
        house.app.close()


@pytest.fixture
def house(open_house: Open) -> House:
    return open_house()


# --- asking, and being asked ---


def test_the_hub_that_a_feed_names_is_asked_and_confirms_by_asking_back(house: House, hub: Hub) -> None:
    row = house.subscribe()
    [asked] = hub.asked
    assert asked.media_type == "application/x-www-form-urlencoded"
    assert asked.form["hub.topic"] == f"{house.site.url}/feed.xml"
    assert asked.callback == f"{house.url}/websub/{row.token}"
    assert re.fullmatch("[0-9a-f]{32}", row.token)
    assert re.fullmatch("[0-9a-f]{32}", asked.form["hub.secret"])
    assert row.token != asked.form["hub.secret"]
    assert hub.verdicts == [(200, "challenge")]
    assert (row.state, row.until) == (Push.ACTIVE, house.clock() + timedelta(days=10))
    house.sweep()
    assert len(hub.asked) == 1


def test_a_hub_that_asks_back_before_it_has_answered_is_confirmed_too(house: House, hub: Hub) -> None:
    hub.synchronous, hub.status = True, 204
    house.sweep()
    assert house.row.pushes(house.clock())
    assert house.row.next_at > house.clock() + timedelta(days=6)


def test_a_question_is_answered_in_plain_text_that_nobody_keeps(house: House, hub: Hub) -> None:
    row = house.subscribe()
    query = {"hub.mode": "subscribe", "hub.topic": row.topic, "hub.challenge": "<script>", "hub.lease_seconds": "9000"}
    answer = requests.get(row.callback, params=query, timeout=30)
    assert (answer.status_code, answer.text) == (200, "<script>")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"


def test_what_was_never_asked_for_is_not_confirmed(house: House, hub: Hub) -> None:
    row = house.subscribe()
    form = hub.asked[0].form
    assert hub.verify(form | {"hub.topic": "https://elsewhere.example.org/feed"}) == 404
    assert hub.verify(form | {"hub.mode": "unsubscribe"}) == 404
    assert hub.verify(form | {"hub.mode": "publish"}) == 404
    assert hub.verify(form | {"hub.callback": f"{house.url}/websub/{'0' * 32}"}) == 404
    assert requests.get(row.callback, timeout=30).status_code == 404
    assert house.row == row


def test_the_hub_decides_how_long_and_is_asked_again_well_before(house: House, hub: Hub) -> None:
    hub.lease = "7200"
    row = house.subscribe()
    assert row.until == house.clock() + timedelta(hours=2)
    assert timedelta(hours=1.3) < row.next_at - house.clock() < timedelta(hours=1.8)
    assert house.app.pause() <= row.next_at - house.clock()


def test_over_weeks_each_lease_is_renewed_before_it_ends_and_nothing_else_is_asked(house: House, hub: Hub) -> None:
    row = house.subscribe()
    callback, secret = row.callback, row.secret
    gaps = 0
    for _ in range(35 * 4):
        house.pass_time(timedelta(hours=6), timedelta(hours=6))
        gaps += not house.row.pushes(house.clock()) or hub.subscribed[callback].until <= house.clock()
    assert gaps == 0
    assert 4 <= len(hub.asked) <= 6  # ten days each, asked for anew after seven and a half or so
    assert {(asked.callback, asked.form["hub.secret"]) for asked in hub.asked} == {(callback, secret)}


def test_a_hub_that_does_not_confirm_is_asked_more_and_more_seldom(house: House, hub: Hub) -> None:
    hub.verifies = False
    house.pass_time(timedelta(days=60), timedelta(hours=3))
    assert 12 <= len(hub.asked) <= 20
    assert not house.row.pushes(house.clock())


def test_a_hub_that_fails_or_denies_costs_no_visit_and_is_asked_again(house: House, hub: Hub) -> None:
    hub.status = 500
    house.sweep()
    assert "500" in house.row.error
    house.write("new")
    house.clock.advance(days=1)
    house.sweep()
    assert "About new" in house.titles
    hub.status = 202
    house.clock.advance(days=1)
    assert house.subscribe().error == ""


def test_a_hub_may_ask_for_time_before_it_is_asked_again(house: House, hub: Hub) -> None:
    hub.status, hub.headers = 429, {"Retry-After": "86400"}
    house.sweep()
    assert house.row.next_at > house.clock() + timedelta(hours=20)


def test_a_hub_may_send_us_on_to_another(house: House, hub: Hub, clock: Clock) -> None:
    other = Hub(clock)
    hub.status, hub.headers = 307, {"Location": other.url}
    house.sweep()
    wait_for(lambda: list(other.subscribed) == [house.row.callback])
    other.close()


def test_a_hub_that_denies_is_left_alone_for_a_week(house: House, hub: Hub) -> None:
    house.subscribe()
    assert hub.deny(hub.asked[0].form, "too\nmany") == 200
    assert (house.row.state, house.row.error) == (Push.DENIED, "the hub denies it: too many")
    house.pass_time(timedelta(days=6), timedelta(hours=12))
    assert len(hub.asked) == 1
    house.pass_time(timedelta(days=2), timedelta(hours=12))
    assert len(hub.asked) == 2
    assert house.row.pushes(house.clock())


def test_one_of_several_hubs_that_never_confirms_gives_way_to_the_next(house: House, hub: Hub, clock: Clock) -> None:
    other = Hub(clock)
    hub.verifies = False
    both = f"<{hub.url}>; rel=hub, <{other.url}>; rel=hub, </feed.xml>; rel=self"
    for number in range(4):
        house.write(f"post{number}")
        house.site.pages["/feed.xml"].headers["Link"] = both
        house.clock.advance(days=1)
        house.sweep()
    wait_for(lambda: house.row.pushes(clock()))
    assert house.row.hub == other.url
    other.close()


# --- what is pushed ---


def test_what_is_pushed_is_kept_once_whatever_the_hub_signs_with(house: House, hub: Hub) -> None:
    house.subscribe()
    for algorithm in ("sha1", "sha256", "sha384", "sha512"):
        hub.algorithm = algorithm
        visits, post = house.visits(), house.write(algorithm)
        assert house.push(post) == [202]
        assert house.push(post) == [202]  # once more
        assert house.push() == [202]  # and all of it
        assert house.titles.count(f"About {algorithm}") == 1
        assert house.visits() == visits
    house.clock.advance(days=1)
    house.sweep()  # a visit brings the same
    assert len(house.titles) == len(set(house.titles)) == 9
    with house.app.store.read() as tx:
        entries = tx.entries.newest(["blog"], 20)
    assert {entry.title for entry in entries if not entry.backlog} == {
        f"About sha{bits}" for bits in (1, 256, 384, 512)
    }
    assert {entry.version for entry in entries} == {1}


def test_what_is_not_signed_with_our_secret_is_answered_alike_and_ignored(house: House, hub: Hub) -> None:
    house.subscribe()
    post = house.write("forged")
    for signature in ("", "sha1=" + "0" * 40, "sha256=", "md5=abc", "nonsense"):
        assert house.push(post, signature=signature) == [202]
        assert "About forged" not in house.titles
    assert house.row.error == "what it pushes is not signed with our secret"
    assert house.row.pushes(house.clock())
    with capture_logs() as log:
        house.push(post)
    assert "About forged" in house.titles
    assert house.row.error == ""
    assert log == [{"event": "pushed", "log_level": "info", "subject": "blog", "result": "1 new"}]


def test_who_knows_no_address_of_ours_is_told_that_there_is_nothing(house: House) -> None:
    for token in ("0" * 32, "x", "%00", "é"):
        assert requests.post(f"{house.url}/websub/{token}", b"x", timeout=30).status_code == 410


def test_what_is_larger_than_a_visit_may_bring_is_refused(open_house: Open, hub: Hub) -> None:
    house = open_house(more=", max_bytes: 10KB")
    house.subscribe()
    assert hub.push(b"x" * 10_001) == [413]
    assert hub.push(b"x" * 10_000) == [202]


def test_a_push_without_content_brings_a_visit_at_once_and_many_no_more_than_one_a_minute(
    house: House, hub: Hub
) -> None:
    house.subscribe()
    house.write("pinged")
    house.clock.advance(minutes=2)
    assert house.step("collect") == []
    visits = house.visits()
    for _ in range(5):
        assert hub.push(b"") == [202]
        house.sweep()
    assert "About pinged" in house.titles
    assert house.visits() == visits + 1
    house.clock.advance(minutes=1)
    hub.push(b"")
    house.sweep()
    assert house.visits() == visits + 2


def test_a_push_during_a_visit_that_may_have_come_too_early_for_it_brings_another(house: House, hub: Hub) -> None:
    house.subscribe()
    house.clock.advance(days=1)
    [work] = house.app.due("collect")
    fetch = type(house.app.settings.sources["blog"].options).fetch

    def fetch_and_be_told(source: object, *args: object) -> object:
        harvest = fetch(source, *args)
        house.write("late")
        assert hub.push(b"") == [202]
        return harvest

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(house.app.settings.sources["blog"].options), "fetch", fetch_and_be_told)
        house.app.do(work)
    assert "About late" not in house.titles
    assert house.next_visit == timedelta(minutes=1)
    house.clock.advance(minutes=1)
    house.sweep()
    assert "About late" in house.titles


UNREADABLE = [b"<html>Hello</html>", b"<rss version='2.0'><channel><item>", b"\x1f\x8b\x08rubbish", b"{}"]


@pytest.mark.parametrize("body", UNREADABLE)
def test_what_cannot_be_read_brings_a_visit_instead(house: House, hub: Hub, body: bytes) -> None:
    house.subscribe()
    house.write("new")
    house.clock.advance(minutes=2)
    assert hub.push(body) == [202]
    house.sweep()
    assert "About new" in house.titles


def test_entries_without_guids_are_left_to_a_visit_that_sees_them_all(house: House, hub: Hub) -> None:
    house.subscribe()
    house.clock.advance(minutes=2)
    visits, post = house.visits(), house.write("new")
    bare = re.sub(rb"<guid.*?</guid>", b"", house.feed(post))
    assert hub.push(bare) == [202]
    assert "About new" not in house.titles
    house.sweep()
    assert house.visits() == visits + 1
    assert house.titles.count("About new") == 1


def test_an_edit_comes_by_a_visit_so_that_an_old_push_brings_back_nothing(house: House, hub: Hub) -> None:
    house.subscribe()
    post = house.write("new")
    old = house.feed(post)
    house.push(post)
    post.text = "<p>Mended.</p>"
    house.show()
    house.clock.advance(minutes=2)
    house.push(post)
    house.sweep()
    house.clock.advance(minutes=2)
    hub.push(old)
    house.sweep()
    with house.app.store.read() as tx:
        [entry, *_] = tx.entries.newest(["blog"], 1)
    assert "Mended" in entry.summary + entry.content
    assert entry.version == 2


def test_with_whole_texts_a_push_brings_a_visit(open_house: Open, hub: Hub) -> None:
    pytest.importorskip("trafilatura")
    house = open_house(more=", full_text: true")
    house.subscribe()
    visits, post = house.visits(), house.write("new")
    house.clock.advance(minutes=2)
    house.push(post)
    assert "About new" not in house.titles
    house.sweep()
    assert "About new" in house.titles
    assert house.visits() > visits


def test_after_the_options_changed_what_is_pushed_waits_for_a_visit(house: House, hub: Hub) -> None:
    house.subscribe()
    post = house.write("new")
    house.site.pages["/other.xml"] = Response(house.feed(Post("other", house.clock())))
    house.reopen("/feed.xml", "/other.xml")
    house.push(post)
    assert "About new" not in house.titles


def test_an_archive_that_a_hub_pushes_is_published_and_is_no_news(house: House, hub: Hub) -> None:
    house.subscribe()
    house.push(Post("ancient", house.clock() - timedelta(days=400)), house.write("new"))
    with house.app.store.read() as tx:
        backlog = {entry.title: entry.backlog for entry in tx.entries.newest(["blog"], 20)}
    assert backlog["About ancient"]
    assert not backlog["About new"]


def test_hostile_pushes_are_cleaned_and_bounded(house: House, hub: Hub) -> None:
    house.subscribe()
    evil = Post("evil", house.clock(), text="<script>alert(1)</script><p onclick='x()'>Text</p>")
    assert house.push(evil) == [202]
    with house.app.store.read() as tx:
        told = tx.entries.newest(["blog"], 1)[0]
    assert "alert" not in told.summary + told.content
    assert "onclick" not in told.summary + told.content
    assert hub.push(b"<rss>" + b"<a>" * 500_000) == [202]


# --- visits beside it ---


def test_a_hub_that_has_shown_that_it_pushes_makes_visits_rarer(house: House, hub: Hub) -> None:
    house.subscribe()
    for number in range(30):  # a busy blog
        house.posts.append(Post(f"busy{number}", house.clock() - timedelta(minutes=90 - number)))
    house.show()
    house.clock.advance(days=1)
    house.sweep()
    assert house.next_visit < timedelta(hours=6)
    usual = house.next_visit
    house.push(house.write("pushed"))
    assert house.row.state is Push.PROVEN
    house.clock.now += usual
    house.sweep()
    assert house.app.next_visit("blog")[1] == "its hub pushes, so it is visited every 6h or so"
    assert timedelta(hours=5) < house.next_visit < timedelta(hours=7)


def test_a_fixed_interval_stays_as_it_was_written(open_house: Open, hub: Hub) -> None:
    house = open_house("10m")
    house.subscribe()
    house.push(house.write("pushed"))
    assert house.row.state is Push.PROVEN
    house.clock.advance(hours=1)
    house.sweep()
    assert house.next_visit <= timedelta(minutes=10)


def test_a_hub_that_dies_silently_loses_nothing_and_is_not_believed_any_more(house: House, hub: Hub) -> None:
    house.subscribe()
    house.push(house.write("pushed"))
    house.clock.advance(days=1)
    house.sweep()
    hub.close()
    house.write("missed")
    house.clock.advance(hours=7)
    house.sweep()
    assert "About missed" in house.titles
    assert (house.row.state, house.row.error) == (Push.ACTIVE, "a visit found what it had not pushed")
    seen = []
    for number in range(40):
        house.write(f"later{number}")
        house.clock.advance(hours=25)
        house.sweep()
        seen.append(f"About later{number}" in house.titles)
    assert all(seen)
    assert not house.row.pushes(house.clock())
    assert house.row.failures > 3


def test_whom_a_visit_found_silent_is_believed_again_when_it_pushes(house: House, hub: Hub) -> None:
    house.subscribe()
    house.push(house.write("pushed"))
    house.write("missed")
    house.clock.advance(days=1)
    house.sweep()
    assert house.row.state is Push.ACTIVE
    house.push(house.write("again"))
    assert (house.row.state, house.row.error) == (Push.PROVEN, "")


def test_a_feed_that_did_not_change_tells_nothing_new_of_its_hub(house: House, hub: Hub) -> None:
    row = house.subscribe()
    house.clock.advance(days=1)
    house.sweep()
    assert house.row == row


# --- ending it ---


def test_a_feed_that_names_no_hub_any_more_ends_it(house: House, hub: Hub) -> None:
    house.subscribe()
    house.write("bye")
    house.show(links=False)
    house.clock.advance(days=1)
    house.sweep()
    wait_for(lambda: not house.rows)
    assert [asked.mode for asked in hub.asked] == ["subscribe", "unsubscribe"]
    assert hub.subscribed == {}


def test_another_hub_takes_the_place_of_the_one_before(house: House, hub: Hub, clock: Clock) -> None:
    former = house.subscribe()
    house.hub = Hub(clock)
    house.write("moved")
    house.clock.advance(days=1)
    house.sweep()
    wait_for(lambda: [row.hub for row in house.rows if row.pushes(clock())] == [house.hub.url])
    wait_for(lambda: hub.subscribed == {})
    assert house.row.token != former.token
    assert house.row.secret != former.secret
    assert requests.post(former.callback, b"x", timeout=30).status_code == 410
    house.hub.close()


def test_a_source_that_left_the_configuration_is_pushed_no_more(house: House, hub: Hub) -> None:
    house.subscribe()
    hub.verifies = False
    house.reopen("  blog:", "  other:")
    assert house.push(house.posts[-1]) == [410]
    # Nothing tells any more that its hub may be at a private address: what it has confirmed ends by itself.
    for _ in range(12):
        house.step("hubs")
        house.clock.advance(days=2)
    house.step("hubs")
    assert house.rows == []
    assert [asked.mode for asked in hub.asked] == ["subscribe"]


def test_a_source_that_comes_back_into_the_configuration_is_pushed_again_although_it_did_not_change(
    house: House, hub: Hub
) -> None:
    former = house.subscribe()
    house.reopen("  blog:", "  other:")
    house.sweep()
    house.clock.advance(minutes=1)
    house.reopen("  other:", "  blog:")
    assert house.row is None
    assert house.subscribe().token != former.token
    house.site.pages["/feed.xml"] = Response(house.feed(links=False))
    house.clock.advance(days=1)
    house.sweep()
    house.reopen("  blog:", "  other:")
    house.clock.advance(minutes=1)
    house.reopen("  other:", "  blog:")
    assert [report.words for report in house.step("collect")] == ["unchanged"]
    assert house.row is None  # nor does it tell of one that it had once


def test_a_hub_that_lets_nobody_go_is_asked_five_times(house: House, hub: Hub) -> None:
    house.subscribe()
    hub.lease = "2592000"
    house.set(until=house.clock() + timedelta(days=30))
    hub.verifies = False
    house.write("bye")
    house.show(links=False)
    house.clock.advance(hours=23)
    house.pass_time(timedelta(days=20), timedelta(hours=6))
    assert [asked.mode for asked in hub.asked] == ["subscribe", *["unsubscribe"] * 5]
    assert house.rows == []


def test_a_source_that_ended_ends_it_too(house: House, hub: Hub) -> None:
    house.subscribe()
    house.site.pages["/feed.xml"] = Response(b"", 410)
    house.clock.advance(days=1)
    house.sweep()
    wait_for(lambda: not house.rows)


def test_under_a_new_address_of_the_site_the_hub_is_told_where_we_are(house: House, hub: Hub) -> None:
    row = house.subscribe()
    house.reopen(house.url, house.url.replace("127.0.0.1", "localhost"))
    hub.verifies = False
    house.step("hubs")
    assert [asked.callback for asked in hub.asked] == [row.callback, row.callback.replace("127.0.0.1", "localhost")]


def test_the_feeds_of_a_list_have_hubs_of_their_own_and_lose_them_when_they_are_taken_off(
    open_house: Open, hub: Hub
) -> None:
    house = open_house()
    house.site.pages["/other.xml"] = Response(house.feed().replace(b"/feed.xml", b"/other.xml"))
    outline = "<opml version='2.0'><body>{}</body></opml>"
    feeds = [f"<outline type='rss' xmlUrl='{house.site.url}/{name}.xml'/>" for name in ("feed", "other")]
    file = house.config.parent / "planet.opml"
    file.write_text(outline.format("".join(feeds)))
    house.reopen(f'kind: feed, url: "{house.site.url}/feed.xml"', "kind: opml, path: planet.opml")
    house.sweep()
    house.sweep()
    wait_for(lambda: len(hub.subscribed) == 2)
    assert sorted(one.topic for one in hub.subscribed.values()) == [
        f"{house.site.url}/{name}.xml" for name in ("feed", "other")
    ]
    assert all(feed.hub.pushes for feed in house.app.feeds("blog"))
    before, shown = house.count, len(house.titles)
    post = house.write("new")
    assert house.push(post) == [202, 202]  # the same identity in two feeds: two entries, and one story
    assert (house.count, len(house.titles)) == (before + 2, shown + 1)
    file.write_text(outline.format(feeds[0]))
    house.clock.advance(days=1)
    house.sweep()
    house.step("hubs")
    wait_for(lambda: [one.topic for one in hub.subscribed.values()] == [f"{house.site.url}/feed.xml"])


# --- who may be asked ---


def test_a_private_address_is_never_asked_unless_the_source_is_private(open_house: Open, hub: Hub) -> None:
    house = open_house(private="false", url="https://news.example.org")
    with house.app.store.write() as tx:
        tx.hubs.put(
            HubRow(name="blog", hub=hub.url, topic="https://a.example/", token="t", secret="s", next_at=house.clock())
        )
    house.step("hubs")
    assert hub.asked == []
    assert "not a public address" in house.row.error
    house.reopen("private: false", "private: true")
    house.set(next_at=house.clock())
    house.step("hubs")
    assert len(hub.asked) == 1


@pytest.mark.parametrize("site", ["http://localhost:8080", "http://192.168.1.7", "http://nas"])
def test_a_house_that_nobody_can_reach_asks_no_hub_and_says_why(site: str, clock: Clock) -> None:
    row = HubRow(name="blog", hub="https://hub.example/", topic="t", token="t", secret="s", next_at=clock())
    asked = asking(row, site, clock(), private=False)
    assert (asked.next_at, asked.callback) == (None, "")
    assert site in asked.error


def test_a_run_that_ends_asks_no_hub_for_nobody_would_be_there_to_answer(house: House, hub: Hub) -> None:
    house.app.once(lambda _: None, lambda *_: None)
    assert house.row
    assert hub.asked == []


def test_the_list_of_sources_tells_until_when_it_is_pushed_and_why_not(house: House, hub: Hub) -> None:
    def told() -> tuple[bool, bool, str]:
        [source] = house.app.status().sources
        return (source.hub.pushes, source.hub.proven, source.hub.error)

    assert house.app.status().sources[0].hub is None
    hub.verifies = False
    house.sweep()
    assert told() == (False, False, "not confirmed by the hub yet")
    hub.verifies = True
    house.clock.advance(hours=2)
    house.subscribe()
    assert told() == (True, False, "")
    house.push(house.write("new"))
    assert "its hub" not in house.app.next_visit("blog")[1], "this visit was planned before the hub had shown it"
    assert told() == (True, True, "")
    assert house.app.status().wrong == []


# --- at once ---


def test_an_entry_that_a_hub_pushes_is_in_the_published_feed_at_once(
    open_house: Open, hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the service at work, and as many slow sites being visited as there are threads for visits."""
    house = open_house("30m")
    house.clock.now = hub.clock.now = datetime.now(UTC)
    slow = "".join(f"  slow{n}: {{kind: feed, url: '{house.site.url}/slow{n}', private: true}}\n" for n in range(20))
    house.reopen("publications:", slow + "publications:")
    house.app.close()
    free, waiting = threading.Event(), threading.Semaphore(0)

    perform = Collecting.perform

    def slowly(collecting: Collecting, visit: Visit) -> Success | Failure:
        if visit.work.subject.startswith("slow"):
            waiting.release()
            free.wait(PATIENCE)
        return perform(collecting, visit)

    monkeypatch.setattr(Collecting, "perform", slowly)
    service = Service(house.config)
    house.app = service.app
    thread = threading.Thread(target=service.run, name="service")
    thread.start()
    try:
        wait_for(lambda: hub.subscribed)
        for _ in range(8):
            assert waiting.acquire(timeout=PATIENCE)
        file = house.config.parent / "feeds/all/feed.json"
        wait_for(file.exists)
        took = []
        for number in range(5):
            post = house.write(f"now{number}")
            began = time.monotonic()
            assert house.push(post) == [202]
            wait_for(lambda post=post: post.slug in file.read_text())
            took.append(time.monotonic() - began)
        with capsys.disabled():
            print(f"\npushed and published after {', '.join(f'{one:.2f}' for one in took)} s")
        assert max(took) < PATIENCE / 2, "a visit would have found it in half an hour"
    finally:
        free.set()
        service.stop()
        thread.join(PATIENCE)
