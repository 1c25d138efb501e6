"""What a feed asks of those who visit it: in its own elements, and in what HTTP says of its freshness.

RSS 2.0: ``ttl``, ``skipHours``, ``skipDays``.  RSS 1.0 Syndication module: ``sy:updatePeriod``, ``sy:updateFrequency``.
RFC 9111 section 5.2.2.1: ``max-age``.  feedparser keeps only the last of several hours and days, so they are read here.
"""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

from publisher.model import Cursor, Hints
from publisher.net import Answer

KEY = "hints"
"""Under which a cursor keeps what the body asks for: a 304 has none."""

_ITEM = re.compile(r"<(?:\w+:)?(?:item|entry)[\s>]")
_TTL = re.compile(r"<ttl>\s*(\d{1,7})\s*</ttl>", re.IGNORECASE)
_PERIOD = re.compile(r"<\w+:updatePeriod>\s*(\w+)\s*</", re.IGNORECASE)
_FREQUENCY = re.compile(r"<\w+:updateFrequency>\s*(\d{1,5})\s*</", re.IGNORECASE)
_HOUR = re.compile(r"<hour>\s*(\d\d?)\s*</hour>", re.IGNORECASE)
_DAY = re.compile(r"<day>\s*(mon|tue|wed|thu|fri|sat|sun)\w*\s*</day>", re.IGNORECASE)
_MAX_AGE = re.compile(r"(?:^|[\s,])max-age\s*=\s*\"?(\d{1,9})", re.IGNORECASE)
_PERIODS = {"hourly": 3600, "daily": 86400, "weekly": 7 * 86400, "monthly": 30 * 86400, "yearly": 365 * 86400}
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def asked(text: str) -> dict[str, Any]:
    """What the elements of an XML feed ask for, as JSON can say it: ``fresh`` in seconds, ``hours``, ``days``."""
    head = _without_items(text)
    ttl, period, often = _TTL.search(head), _PERIOD.search(head), _FREQUENCY.search(head)
    cycle = _PERIODS.get(period[1].lower(), 0) // max(1, int(often[1]) if often else 1) if period else 0
    return {
        "fresh": max(int(ttl[1]) * 60 if ttl else 0, cycle),
        "hours": sorted({int(hour) % 24 for hour in _HOUR.findall(head) if int(hour) <= 24}),
        "days": sorted({_DAYS.index(day.lower()) for day in _DAY.findall(head)}),
    }


def _without_items(text: str) -> str:
    """The elements of the feed itself, which may stand before its items and after them."""
    first = _ITEM.search(text)
    if first is None:
        return text
    end = max(text.rfind("</item>"), text.rfind("</entry>"), first.start())
    return text[: first.start()] + text[end:]


def hints(remembered: Cursor, said: Hints) -> Hints:
    """What the last body asked for, together with what HTTP said now."""
    told = json.loads(remembered.get(KEY) or "{}")
    fresh = timedelta(seconds=min(told.get("fresh", 0), _PERIODS["yearly"]))
    return Hints(
        fresh_for=max(fresh, said.fresh_for or timedelta()) or None,
        skip_hours=frozenset(told.get("hours", ())),
        skip_days=frozenset(told.get("days", ())),
    )


def freshness(answer: Answer) -> Hints:
    """What HTTP says of how long an answer stays fresh."""
    age = _MAX_AGE.search(answer.headers.get("Cache-Control", ""))
    return Hints(fresh_for=timedelta(seconds=int(age[1])) if age and int(age[1]) else None)
