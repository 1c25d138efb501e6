"""How one page writes its dates: what a reader of the whole page knows, and no date says by itself.  Pure."""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterator
from datetime import datetime
from urllib.parse import urlsplit

from publisher.sources._dates import puts_month_first, read_date, year_told
from publisher.sources._outline import Node, Outline, joined, lines

_SHORT = 80
"""Characters of a line that may be a date."""
_YEAR = re.compile(r"/((?:19|20)\d\d)(?=[/-]|$)", re.ASCII)


class Calendar:
    """The dates of one page.

    ``3/11/2026`` is 11 March where another date on the page can only be read that way, else where the page is in the
    English of the United States.  A date without a year is of the year under whose heading it stands, else of the year
    in the address of its item, else in that of the page.
    """

    def __init__(self, outline: Outline) -> None:
        short = [(line[0], joined(line)) for line in lines(outline.nodes) if sum(len(n.text) for n in line) < _SHORT]
        told = puts_month_first(text for _, text in short)
        self._month_first = outline.language.lower() == "en-us" if told is None else told
        self._years = [(node.at, year) for node, year in _years(short)]
        self._own = _year_of(outline.url)

    def moment(self, text: str, at: int, link: str = "") -> datetime | None:
        """The first date in a text, aware and in UTC; None when there is none that can be read.

        Args:
            text: what may hold a date.
            at: where it stands, as a position in the outline.
            link: the address of what is dated.
        """
        return read_date(text, month_first=self._month_first, year=self._year(at) or _year_of(link) or self._own)

    def _year(self, at: int) -> int:
        """The year under whose heading a position is; 0: under none."""
        place = bisect(self._years, (at, 0))
        return self._years[place - 1][1] if place else 0


def _years(short: list[tuple[Node, str]]) -> Iterator[tuple[Node, int]]:
    """The lines that name a year and nothing else, and the year."""
    return ((node, year) for node, text in short if (year := year_told(text)))


def _year_of(url: str) -> int:
    match = _YEAR.search(urlsplit(url).path)
    return int(match[1]) if match else 0
