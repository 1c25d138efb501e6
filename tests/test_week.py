"""One simulated week: the clock is ours, everything else is real (HTTP, SQLite on disk, SMTP)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from outside import Clock, Mail, MailServer, Post, Response, WebSite, rss

from publisher.app import App, load
from publisher.engine.local import Report

BERLIN = ZoneInfo("Europe/Berlin")

SOURCES = """
sources:
  blog: {{kind: feed, url: "{web}/feed", private: true, every: 30m}}
  council: {{kind: page, url: "{web}/council", private: true, every: 1h}}
  flapping: {{kind: feed, url: "{web}/flapping", private: true, every: 30m}}
"""
LATE = """  late: {{kind: feed, url: "{web}/late", private: true, every: 30m}}
"""
REST = """
publications:
  morning:
    title: The Morning
    sources: [blog, council{late}]
    feeds: {{formats: [rss, atom, json, html]}}
    digest: {{schedule: "daily 08:00", max_entries: 3}}
    recipients: [ada@example.org, bob@example.org]
    deliver: [post]
  night:
    title: The Night
    sources: [flapping]
    digest: {{schedule: "daily 02:30"}}
    recipients: [owl@example.org]
    deliver: [post]
channels:
  post: {{kind: smtp, url: "smtp://127.0.0.1:{port}", from: News <news@example.org>}}
"""


class House:
    """The service under test: a fresh process for each run, as far as one process can be that."""

    def __init__(self, write: Callable[[str], Path], web: WebSite, mail: MailServer, clock: Clock) -> None:
        self._write, self._web, self._mail, self._clock = write, web, mail, clock
        self.with_late = False
        self.blog: list[Post] = []
        self.late: list[Post] = []
        self.flapping: list[Post] = []
        self.council: list[str] = []

    def serve(self) -> None:
        """Put the posts on the web."""
        self._web.pages["/feed"] = rss(self._web.url, self.blog)
        self._web.pages["/late"] = rss(self._web.url, self.late)
        self._web.pages["/flapping"] = rss(self._web.url, self.flapping)
        self._web.pages["/council"] = Response(council_page(self.council), headers={"Content-Type": "text/html"})

    def run(self, until: datetime, *, serve: bool = True) -> list[Report]:
        """Let the time pass in steps of half an hour, doing at each what is due."""
        reports: list[Report] = []
        if serve:
            self.serve()
        app = App(load(self._config()), self._clock)
        while self._clock() < until:
            self._clock.advance(minutes=30)
            reports += app.once(lambda _: None, lambda *_: None)
        app.close()
        return reports

    def _config(self) -> Path:
        known = {"web": self._web.url, "port": self._mail.port, "late": ", late" if self.with_late else ""}
        text = SOURCES + (LATE if self.with_late else "") + REST
        return self._write(text.format(**known))


def council_page(items: list[str]) -> bytes:
    rows = "".join(
        f"<h3>{title}</h3><p>The council has decided on {title.lower()}, after a long debate in the town hall.</p>"
        f"<p><a href='/council/{re.sub('[^a-z]+', '-', title.lower())}'>Read more</a></p>"
        for title in items
    )
    menu = "<nav><ul><li><a href='/'>Home</a></li><li><a href='/contact'>Contact</a></li></ul></nav>"
    return f"<html><body>{menu}<main><h1>Council</h1>{rows}</main><footer>Imprint</footer></body></html>".encode()


def local(*when: int) -> datetime:
    return datetime(*when, tzinfo=BERLIN)  # type: ignore[misc]  # mypy cannot know how many numbers there are


@pytest.fixture
def house(
    write_config: Callable[[str], Path], web_site: WebSite, mail_server: MailServer, clock: Clock
) -> Iterator[House]:
    return House(write_config, web_site, mail_server, clock)


def headlines(mail: Mail) -> set[str]:
    """The posts that a mail tells of."""
    return set(re.findall(r"About (\w+)|(Decision \w+)", mail.text)) and {
        one or other for one, other in re.findall(r"About (\w+)|(Decision \w+)", mail.text)
    }


def test_a_week_mail_by_mail(
    house: House, mail_server: MailServer, web_site: WebSite, clock: Clock, tmp_path: Path
) -> None:
    mails = mail_server.mails

    def since(count: int) -> list[tuple[str, str, set[str]]]:
        """Mails after the first ``count``: local time, recipient, what they tell of."""
        return [(f"{m.at.astimezone(BERLIN):%a %H:%M}", m.to.split("@")[0], headlines(m)) for m in mails[count:]]

    def posted(slug: str, **changes: str) -> Post:
        return Post(slug, clock() - timedelta(minutes=5), **changes)

    # Monday: the sources are new; what they hold is published, and mailed to nobody, not even on Tuesday.
    clock.now = local(2026, 10, 19, 6, 0).astimezone(UTC)
    house.blog = [Post(f"old{n}", clock() - timedelta(days=n + 1)) for n in range(10)]
    house.flapping = [Post("asleep", clock() - timedelta(days=2))]
    house.council = [f"Decision {word}" for word in ("alpha", "beta", "gamma", "delta")]
    house.run(local(2026, 10, 19, 14, 0))
    assert (tmp_path / "feeds/morning/rss.xml").read_text().count("<item>") == 14
    assert mails == []

    # Monday afternoon, a new post and a new decision: both in one mail on Tuesday at eight, to each reader once.
    house.blog.insert(0, posted("bridge"))
    house.council.insert(0, "Decision epsilon")
    house.run(local(2026, 10, 20, 12, 0))
    news = {"bridge", "Decision epsilon"}
    assert since(0) == [("Tue 08:00", "ada", news), ("Tue 08:00", "bob", news)]
    assert len({mail.id for mail in mails}) == 2

    # Tuesday: the post is edited, one vanishes and the feed is reordered.  Nobody hears of that.
    house.blog[0] = Post("bridge", house.blog[0].published, text="<p>Corrected: it opens in May.</p>")
    vanished = house.blog.pop(3)
    house.blog[4], house.blog[5] = house.blog[5], house.blog[4]
    house.run(local(2026, 10, 21, 9, 0))
    assert len(mails) == 2
    assert "opens in May" in (tmp_path / "feeds/morning/rss.xml").read_text()

    # Wednesday: the vanished post returns; the site moves and renames every guid; the council's page is a login form.
    house.blog.insert(3, vanished)
    house.blog = [
        Post(p.slug, p.published, p.title, p.text, guid=f"https://new.example/?p={p.slug}") for p in house.blog
    ]
    house.serve()
    web_site.pages["/council"] = Response(
        b"<html><body><form><input type=password></form></body></html>", headers={"Content-Type": "text/html"}
    )
    before = (tmp_path / "feeds/morning/atom.xml").read_bytes()
    reports = house.run(local(2026, 10, 22, 9, 0), serve=False)
    assert len(mails) == 2
    assert (tmp_path / "feeds/morning/atom.xml").read_bytes() == before
    assert any(r.work.subject == "council" and not r.well for r in reports)

    # Thursday morning the house goes down for more than a day, and a source is added meanwhile.  When it comes back on
    # Friday at noon there is one mail, not two, and nothing of the added source's archive.
    for slug in ("ferry", "market"):
        house.blog.insert(0, posted(slug))
    house.late = [Post(f"archive{n}", clock() - timedelta(days=n)) for n in range(5)]
    house.with_late = True
    clock.now = local(2026, 10, 23, 12, 0).astimezone(UTC)
    house.run(local(2026, 10, 23, 20, 0))
    assert since(2) == [("Fri 12:30", "ada", {"ferry", "market"}), ("Fri 12:30", "bob", {"ferry", "market"})]

    # Friday night, a busy one: five posts where an issue holds three.  And the mail server is full on Saturday morning.
    for slug in ("one", "two", "three"):
        house.blog.insert(0, posted(slug))
    house.run(local(2026, 10, 23, 21, 0))
    house.blog.insert(0, posted("four"))
    house.late.insert(0, posted("five"))
    house.flapping.insert(0, posted("hoot"))
    mail_server.refusal = "452 4.3.1 Insufficient system storage"
    house.run(local(2026, 10, 24, 8, 30))
    assert len(mails) == 4
    mail_server.refusal = ""
    house.run(local(2026, 10, 24, 20, 0))
    saturday = since(4)
    assert sorted((to, told) for _, to, told in saturday if to != "owl") == [
        ("ada", {"one", "two", "three"}),
        ("bob", {"one", "two", "three"}),
    ]
    assert [told for _, to, told in saturday if to == "owl"] == [{"hoot"}]

    # Sunday the clocks go back: 02:30 comes twice, its mail once; eight o'clock is an hour later by the sun.
    house.flapping.insert(0, posted("moon"))
    house.run(local(2026, 10, 25, 1, 0))
    count = len(mails)
    for minute in range(0, 180, 30):
        # The source flaps all through the night: an error, an empty answer, a web page, half a feed…
        house.serve()
        good = web_site.pages["/flapping"].body
        web_site.pages["/flapping"] = [
            Response(b"", 500),
            Response(b""),
            Response(b"<html><title>Oops</title></html>", headers={"Content-Type": "text/html"}),
            Response(good[: len(good) // 2]),
            Response(good),
            Response(b"", 503),
        ][minute // 30]
        house.run(clock() + timedelta(minutes=30), serve=False)
    house.run(local(2026, 10, 25, 12, 0))
    assert since(count) == [
        ("Sun 02:30", "owl", {"moon"}),
        ("Sun 08:00", "ada", {"four", "five"}),
        ("Sun 08:00", "bob", {"four", "five"}),
    ]
    [owl] = [mail for mail in mails[count:] if mail.to.startswith("owl")]
    assert owl.at == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)

    # Nothing more comes, and nobody got anything twice.
    house.run(local(2026, 10, 26, 12, 0))
    assert len(mails) == count + 3
    assert len({(mail.to, mail.id) for mail in mails}) == len(mails)
    for reader in ("ada@example.org", "bob@example.org", "owl@example.org"):
        told = [slug for mail in mails if mail.to == reader for slug in headlines(mail)]
        assert len(told) == len(set(told))
