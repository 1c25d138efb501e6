"""Entries and publications to render."""

from datetime import UTC, datetime, timedelta
from typing import Any

from publisher.model import Entry, Issue, Publication, Selection, Site

NOON = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)

SITE = Site(
    title="Harbour News",
    url="https://news.example.org",
    timezone="Europe/Lisbon",
    postal_address="Harbour Street 1, 1000 Lisbon",
)

WEEKLY = Publication(
    name="weekly",
    title="The Harbour Weekly",
    site=SITE,
    description="Ships, council & weather.",
    timezone="Europe/Lisbon",
    formats=("rss", "atom", "json", "html"),
)


def entry(number: int = 1, **fields: Any) -> Entry:
    arrived = NOON + timedelta(minutes=number)
    given = {"number": number, "uid": f"tag:news.example.org,2026:{number}", "source": "blog", "arrived": arrived}
    return Entry(**({"changed": arrived} | given | fields))


def selection(*entries: Entry, full: bool = True) -> Selection:
    return Selection(publication=WEEKLY, entries=entries, full=full)


def issue(*entries: Entry) -> Issue:
    return Issue(number=12, publication=WEEKLY, created=NOON, entries=entries)
