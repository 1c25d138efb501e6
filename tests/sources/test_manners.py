"""What a feed asks of those who visit it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from publisher.model import Hints
from publisher.net import Net
from publisher.sources._manners import asked
from publisher.sources.feed import Feed

MODULE = 'xmlns:sy="http://purl.org/rss/1.0/modules/syndication/"'


def feed(asks: str, after: str = "") -> str:
    item = "<item><title>A</title><description>&lt;ttl&gt;9&lt;/ttl&gt;</description><ttl>9999</ttl></item>"
    return f'<rss version="2.0" {MODULE}><channel><title>T</title>{asks}{item}{after}</channel></rss>'


@pytest.mark.parametrize(
    ("asks", "fresh", "hours", "days"),
    [
        ("", 0, [], []),
        ("<ttl> 90 </ttl>", 5400, [], []),
        ("<ttl>soon</ttl>", 0, [], []),
        ("<sy:updatePeriod>hourly</sy:updatePeriod>", 3600, [], []),
        ("<sy:updatePeriod>daily</sy:updatePeriod><sy:updateFrequency>4</sy:updateFrequency>", 21600, [], []),
        ("<sy:updatePeriod>daily</sy:updatePeriod><sy:updateFrequency>0</sy:updateFrequency>", 86400, [], []),
        ("<sy:updatePeriod>now and then</sy:updatePeriod>", 0, [], []),
        ("<ttl>60</ttl><sy:updatePeriod>daily</sy:updatePeriod>", 86400, [], []),
        ("<skipHours><hour>0</hour><hour>23</hour><hour>24</hour><hour>77</hour></skipHours>", 0, [0, 23], []),
        ("<skipDays><day>Saturday</day> <day>sunday</day><day>Someday</day></skipDays>", 0, [], [5, 6]),
    ],
)
def test_what_its_elements_ask_for_is_understood_wherever_they_stand(
    asks: str, fresh: int, hours: list[int], days: list[int]
) -> None:
    expected = {"fresh": fresh, "hours": hours, "days": days}
    assert asked(feed(asks)) == asked(feed("", asks)) == expected


def test_it_is_remembered_while_the_feed_does_not_change_and_http_is_heard_too(httpserver: HTTPServer) -> None:
    body = feed("<ttl>60</ttl><skipDays><day>Sunday</day></skipDays>")
    answer = Response(body, headers={"ETag": '"1"', "Cache-Control": "public, max-age=60"})
    httpserver.expect_oneshot_request("/").respond_with_response(answer)
    source, net = Feed(url=httpserver.url_for("/")), Net(private=True)
    first = source.fetch(None, net)
    assert first.hints == Hints(fresh_for=timedelta(hours=1), skip_days=frozenset({6}))
    unchanged = Response(status=304, headers={"Cache-Control": "max-age=7200"})
    httpserver.expect_oneshot_request("/").respond_with_response(unchanged)
    second = source.fetch(first.cursor, net)
    assert second.unchanged
    assert second.hints == Hints(fresh_for=timedelta(hours=2), skip_days=frozenset({6}))
    net.close()
