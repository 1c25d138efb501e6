from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outside import Response as Answer
from outside import WebSite
from pydantic import TypeAdapter, ValidationError
from pytest_httpserver import HTTPServer
from waiting import done_in
from werkzeug import Request, Response

from publisher.errors import BadStatus, Held, SourceError
from publisher.model import Cursor, Harvest
from publisher.net import Net
from publisher.sources._dates import (
    date_of_address,
    is_date,
    puts_month_first,
    read_date,
    split_date,
    without_date,
    year_told,
)
from publisher.sources._listing import Selectors, find, split_selector
from publisher.sources.page import Page

GOLDEN = Path(__file__).parent.parent / "golden" / "page"
CASES = sorted(case.name for case in GOLDEN.iterdir())
URL = "https://site.example.org/news/"


def page(case: str) -> str:
    return (GOLDEN / case / "input.html").read_text()


def listed(html: str, url: str = URL, **select: str) -> list[tuple[str, str]]:
    listing = find(html, url, Selectors(**select) if select else None)
    return [(item.title, item.link.removeprefix("https://site.example.org")) for item in listing.items]


def told(case: str) -> list[dict[str, Any]] | dict[str, str]:
    """What is found in a golden page, in the words of its expected.json."""
    options = GOLDEN / case / "options.json"
    source = TypeAdapter(Page).validate_python(
        {"url": URL} | (json.loads(options.read_text()) if options.exists() else {})
    )
    try:
        items = find(page(case), source.url, source.select).items
    except SourceError as error:
        return {"error": str(error), "hint": error.hint}
    fields = ("title", "link", "summary", "published", "image")
    return [
        {name: value.isoformat() if isinstance(value := getattr(item, name), datetime) else value for name in fields}
        for item in items
    ]


# --- golden pages ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_a_real_page_gives_what_its_reader_sees(case: str) -> None:
    assert told(case) == json.loads((GOLDEN / case / "expected.json").read_text())


@pytest.mark.parametrize("case", [case for case in CASES if case not in ("explicit_selectors", "json_ld")])
def test_a_page_put_into_one_form_for_all_of_it_gives_the_same(case: str) -> None:
    """As pages of ASP.NET are."""
    before, body, rest = page(case).partition("</head>" if "</head>" in page(case) else "</HEAD>")
    inside, end, after = rest.rpartition("</")
    wrapped = before + body + "<form id=aspnetForm>" + inside + "</form>" + end + after
    if isinstance(expected := told(case), dict):
        with pytest.raises(SourceError):
            find(wrapped, URL)
    else:
        assert [item["title"] for item in expected] == [title for title, _ in listed(wrapped)]


# --- pages that stand in for others ----------------------------------------------------------------------------------

NEWS = [(f"/news/{n}", f"Report number {n} on the building of the bridge") for n in range(5)]


def rich(title: str = "News", extra: str = "", heading: str = "") -> str:
    """A page that lists news, with something else on it."""
    rows = "".join(f"<li><h3><a href='{a}'>{t}</a></h3><p>{t} was read by all of them.</p></li>" for a, t in NEWS)
    return f"<html><head><title>{title}</title>{extra}</head><body>{extra}{heading}<ul>{rows}</ul></body></html>"


@pytest.mark.parametrize(
    "extra",
    [
        "<form action=/login><input name=user><input type=password></form>",
        "<script src=/cdn-cgi/challenge-platform/scripts/jsd/main.js></script>",
        "<form action=/comment><div class=g-recaptcha></div><input type=email></form>",
        "<form action=/consent/save><button>I agree</button></form>",
        "<noscript>Please enable JavaScript for the map.</noscript>",
        "<meta http-equiv=refresh content='300'>",
        "<meta http-equiv=refresh content='0; url=/news/#top'>",
    ],
)
def test_a_page_of_news_may_have_a_login_box_a_captcha_and_a_cookie_banner(extra: str) -> None:
    assert len(listed(rich(extra=extra))) == 5


@pytest.mark.parametrize("title", ["Wartungsarbeiten – Stadtwerke", "Login service news", "Road maintenance"])
def test_a_page_of_news_may_be_about_maintenance_or_logging_in(title: str) -> None:
    assert len(listed(rich(title))) == 5


@pytest.mark.parametrize(
    ("title", "extra"),
    [
        ("Sign in", "<input type=password>"),
        ("Siden ble ikke funnet", ""),
        ("Attention Required! | Cloudflare", ""),
        ("News", "<div id=cf-error-details></div>"),
    ],
)
def test_certain_signs_count_whatever_is_listed_also_with_selectors(title: str, extra: str) -> None:
    for select in ({}, {"item": "li"}):
        with pytest.raises(SourceError, match="this looks like"):
            listed(rich(title, extra), **select)


def test_what_selectors_find_is_a_list_whatever_else_is_on_the_page() -> None:
    links = "".join(f"<li><a href='{address}'>{title}</a></li>" for address, title in NEWS)
    html = f"<body><form><input type=password></form><ul>{links}</ul></body>"
    assert len(listed(html, item="li")) == 5
    with pytest.raises(SourceError, match="asks for a password"):
        listed(html)


@pytest.mark.parametrize("target", ["/login?next=/news", "/account/sign-in", "/wp-login.php"])
def test_a_page_that_leads_to_a_login_is_no_list(web_site: WebSite, target: str) -> None:
    web_site.pages["/news"] = Answer(status=302, headers={"Location": target})
    web_site.pages[target] = Answer(rich().encode(), headers={"Content-Type": "text/html"})
    with pytest.raises(SourceError, match="a login form, to which we were led"):
        Page(url=f"{web_site.url}/news").fetch(None, Net(private=True))


@given(st.text(max_size=300), st.sampled_from(["title", "h1", "p", "meta http-equiv=refresh content=", "form"]))
def test_no_page_breaks_the_search_for_signs(text: str, tag: str) -> None:
    html = f"<html><head><meta http-equiv=Refresh content='0;url={text}'></head><body><{tag}>{text}</{tag}></body>"
    with contextlib.suppress(SourceError):
        find(html, URL)


# --- redesigns -------------------------------------------------------------------------------------------------------

REDESIGNS = GOLDEN.parent / "redesigns"


def visited(web_site: WebSite, html: str, cursor: Cursor | None, **options: Any) -> Harvest:
    web_site.pages["/"] = Answer(html.encode(), headers={"Content-Type": "text/html"})
    return TypeAdapter(Page).validate_python({"url": web_site.url + "/", **options}).fetch(cursor, Net(private=True))


def redesign(case: str) -> tuple[str, str]:
    return (REDESIGNS / case / "before.html").read_text(), (REDESIGNS / case / "after.html").read_text()


def test_a_redesign_that_lists_nothing_of_what_was_there_is_held_until_the_operator_has_looked(
    web_site: WebSite,
) -> None:
    before, after = redesign("other_links")
    known = visited(web_site, before, None).cursor
    for _ in range(2):
        with pytest.raises(Held, match="looks different"):
            visited(web_site, after, known)
    assert len(visited(web_site, after, None).items) == 3


def test_a_redesign_that_lists_some_of_what_was_there_is_not_held(web_site: WebSite) -> None:
    before, after = redesign("some_old_links")
    assert len(visited(web_site, after, visited(web_site, before, None).cursor).items) == 3


def test_new_links_where_the_old_ones_stood_are_not_held(web_site: WebSite) -> None:
    before, _ = redesign("other_links")
    known = visited(web_site, before, None).cursor
    assert len(visited(web_site, before.replace("/news/", "/news/2027/"), known).items) == 4


def test_selectors_say_what_the_list_is_so_that_nothing_is_held(web_site: WebSite) -> None:
    before, after = redesign("other_links")
    known = visited(web_site, before, None, select={"item": "article, .tile"}).cursor
    assert len(visited(web_site, after, known, select={"item": "article, .tile"}).items) == 3


def test_a_page_that_was_known_before_shapes_were_kept_is_not_held(web_site: WebSite) -> None:
    before, after = redesign("other_links")
    known = {name: value for name, value in visited(web_site, before, None).cursor.items() if name != "shape"}
    assert len(visited(web_site, after, known).items) == 3


# --- shapes of lists -------------------------------------------------------------------------------------------------

TOPICS = ["The bridge is closed until spring", "A prize for the school's garden", "Parking fees put to the vote"]
TEASER = "Walkers can still cross on the northern side, says the mayor."


def pieces(shape: str) -> str:
    return "".join(shape.format(title=title, link=f"/a/{number}", teaser=TEASER) for number, title in enumerate(TOPICS))


@pytest.mark.parametrize(
    "shape",
    [
        "<h3>{title}</h3><p>{teaser}</p><a href={link}>Read more</a>",
        "<h3>{title}</h3>{teaser}<br><a href={link}>more »</a><hr>",
        "<h3><a href={link}>{title}</a></h3><p>{teaser}</p>",
        "<p><a href={link}>{title}</a></p><p>{teaser}</p>",
        "<p><b>{title}</b><br>{teaser} <a href={link}>Weiterlesen</a></p>",
        "<p><strong>{title}</strong></p><p>{teaser}</p><p><a href={link}>Lire la suite</a></p>",
        "<a href={link}><h2>{title}</h2><p>{teaser}</p></a>",
        "<div class=card><a href={link}><img src=/i.jpg></a><a href={link}>{title}</a><p>{teaser}</p>"
        "<a href={link}>Read more</a></div>",
        "<article><h2>{title}</h2><p>{teaser}</p><footer><a href={link}>Mehr</a></footer></article>",
        "<div class=item><div class=head>{title}</div><div>{teaser}</div><a href={link}>[more]</a></div>",
        "<span class=title><a href={link}>{title}</a></span><br>{teaser}<br><br>",
    ],
)
@pytest.mark.parametrize("around", ["<div id=content>{}</div>", "<main>{}</main>", "{}", "<td><div>{}</div></td>"])
def test_title_teaser_and_link_are_found_in_any_markup(shape: str, around: str) -> None:
    menu = "<ul><li><a href=/>Home</a><li><a href=/x>Sections</a><li><a href=/y>Contact</a></ul>"
    found = find(f"<body>{menu}{around.format(pieces(shape))}<p>© The Gazette</p></body>", URL).items

    assert [item.title for item in found] == TOPICS
    assert [item.link for item in found] == [f"https://site.example.org/a/{number}" for number in range(3)]
    assert [item.summary for item in found] == [TEASER] * 3


@pytest.mark.parametrize(
    "shape",
    [
        "<ul>{}</ul>|<li><a href={link}>{title}</a><p>{teaser}</p></li>",
        "<ul>{}</ul>|<li><a href={link}>{title}</a> – {teaser}</li>",
        "<dl>{}</dl>|<dt><a href={link}>{title}</a></dt><dd>{teaser}</dd>",
        "<dl>{}</dl>|<dt>{title}</dt><dd>{teaser} <a href={link}>more</a></dd>",
        "<table>{}</table>|<tr><td><a href={link}>{title}</a></td><td>{teaser}</td></tr>",
        "<table>{}</table>|<tr><td><a href={link}>{title}</a></td></tr><tr><td>{teaser}</td></tr>",
        "<table>{}</table>|<tr><td><b>{title}</b></td></tr><tr><td>{teaser} <a href={link}>Read more</a></td></tr>",
    ],
)
def test_lists_and_tables_are_read_by_item_and_row(shape: str) -> None:
    around, _, item = shape.partition("|")
    found = find(around.format(pieces(item)), URL).items
    assert [(item.title, item.link[-4:], item.summary) for item in found] == [
        (title, f"/a/{number}", TEASER) for number, title in enumerate(TOPICS)
    ]


def test_a_date_or_picture_above_each_title_belongs_to_it() -> None:
    shape = "<p>{day}.11.2026</p><img src=/{day}.jpg><h3><a href=/a/{day}>{title}</a></h3><p>Nobody knows more.</p>"
    html = "".join(shape.format(day=day, title=title) for day, title in enumerate(TOPICS, 1))
    found = find(html, URL).items
    assert [item.published for item in found] == [datetime(2026, 11, day, tzinfo=UTC) for day in (1, 2, 3)]
    assert [item.image for item in found] == [f"https://site.example.org/{day}.jpg" for day in (1, 2, 3)]


def test_links_that_share_a_pattern_are_a_list_wherever_they_stand() -> None:
    shapes = [
        "<div><span><a href=/news/2026/a>{}</a></span></div>",
        "<p class=x><em><a href=/news/2026/b>{}</a></em></p>",
        "<section><b><i><a href=/news/2025/c>{}</a></i></b></section>",
    ]
    items = "".join(shape.format(title) for shape, title in zip(shapes, TOPICS, strict=True))
    html = (
        f"<p><a href=/about>About all of us here</a></p>{items}<dl><dd><a href=/imprint>Imprint of this site</a></dl>"
    )
    assert [title for title, _ in listed(html)] == TOPICS


def test_entries_that_share_a_link_are_one_and_the_pages_own_address_is_none() -> None:
    html = (
        pieces("<li><a href={link}>{title}</a></li>")
        + "<li><a href=/a/1#c>Parking, once more</a><li><a href=./#x>This very page of news</a>"
    )
    assert listed(f"<ul>{html}</ul>") == [(title, f"/a/{number}") for number, title in enumerate(TOPICS)]


def test_one_article_is_a_list_and_one_link_is_not() -> None:
    one = (
        "<h2><a href=/a>The bridge is closed until spring</a></h2><p>Walkers can still cross on the northern side.</p>"
    )
    assert listed(f"<article>{one}</article>") == [("The bridge is closed until spring", "/a")]
    with pytest.raises(SourceError, match="no list of articles"):
        find(f"<div>{one}</div>", URL)


def test_titles_that_only_begin_like_an_error_or_like_read_more_are_titles() -> None:
    titles = ["Mehrzweckhalle öffnet wieder", "Weiterbildung im Winter", "Leserbriefe der Woche"]
    html = "<title>Highway 401: maintenance</title>" + "".join(
        f"<li><a href=/{n}>{title}</a> {n}.11.2026</li>" for n, title in enumerate(titles, 1)
    )
    assert [title for title, _ in listed(f"<ul>{html}</ul>")] == titles


@pytest.mark.parametrize("title", ["404", "Error 503", "HTTP 403 – Forbidden: access denied"])
def test_a_page_that_calls_itself_an_error_lists_nothing(title: str) -> None:
    with pytest.raises(SourceError, match="looks like an error page"):
        find(f"<title>{title}</title>" + pieces("<h3><a href={link}>{title}</a></h3>"), URL)


def test_at_most_two_hundred_items_are_found_in_the_order_of_the_page() -> None:
    html = "".join(f"<li><a href=/{n}>The story with the number {n}</a></li>" for n in range(500))
    assert [link for _, link in listed(f"<ul>{html}</ul>")] == [f"/{n}" for n in range(200)]


@pytest.mark.parametrize(
    "data", ["[" * 100_000, "nonsense", '{"@type": "BlogPosting", "headline": 7, "url": {}}', "[[[null]]]"]
)
def test_broken_schema_data_does_no_harm(data: str) -> None:
    html = f'<script type="application/ld+json">{data}</script>' + pieces("<h3><a href={link}>{title}</a></h3>")
    assert [title for title, _ in listed(html)] == TOPICS


def test_schema_data_that_tells_of_other_links_than_the_page_shows_is_not_believed() -> None:
    told = [
        {"@type": "BlogPosting", "headline": f"Hidden {n}", "url": f"https://elsewhere.example.net/{n}"}
        for n in range(5)
    ]
    html = f'<script type="application/ld+json">{json.dumps(told)}</script>' + pieces(
        "<h3><a href={link}>{title}</a></h3>"
    )
    assert [title for title, _ in listed(html)] == TOPICS


def test_cards_in_the_cells_of_a_table_are_all_found_and_other_columns_are_not_items() -> None:
    cell = "<td><h3><a href={link}>{title}</a></h3><p>{teaser}</p></td>"
    assert len(listed(f"<table><tr>{pieces(cell)}</tr><tr>{pieces(cell).replace('/a/', '/b/')}</tr></table>")) == 6
    row = "<tr><td>3.11.2026<td><a href={link}>{title}</a><td><a href=/of{link}>The section it is in</a></tr>"
    assert [title for title, _ in listed(f"<table>{pieces(row)}</table>")] == TOPICS


# --- selectors -------------------------------------------------------------------------------------------------------


def test_only_the_item_needs_a_selector() -> None:
    html = (
        pieces("<div class=n><h3><a href={link}>{title}</a></h3><p>{teaser}</p></div>")
        + "<h3><a href=/z>Not this</a></h3>"
    )
    found = find(html, URL, Selectors(item=".n")).items
    assert [(item.title, item.summary) for item in found] == [(title, TEASER) for title in TOPICS]


def test_selectors_that_match_nothing_say_how_many_they_matched() -> None:
    with pytest.raises(SourceError, match=r"select\.item \(\.nix\) matches 0 elements"):
        find("<p>Hello", URL, Selectors(item=".nix"))
    with pytest.raises(SourceError, match="matches 2 elements, none of them with a title and a link"):
        find("<p>Hello</p><p>World</p>", URL, Selectors(item="p"))


@pytest.mark.parametrize("broken", ["li:[", "", "h2 >", "h2 a@href@", "li:foo", "..a"])
def test_an_invalid_selector_is_a_fault_of_the_configuration(broken: str) -> None:
    with pytest.raises(ValidationError, match="not a CSS selector"):
        TypeAdapter(Page).validate_python({"url": URL, "select": {"item": "li", "title": broken}})


def test_a_selector_ends_where_its_attribute_begins() -> None:
    assert split_selector("h2 a@href") == ("h2 a", "href")
    assert split_selector("a[title='x@y.z']") == ("a[title='x@y.z']", "")
    assert split_selector("time @ data-when") == ("time", "data-when")


# --- dates -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-03", "2026-11-03T00:00"),
        ("2026-11-03T08:00:00+02:00", "2026-11-03T06:00"),
        ("2026-11-03T08:00:00.123Z", "2026-11-03T08:00"),
        ("Tue, 03 Nov 2026 08:00:00 -0500", "2026-11-03T13:00"),
        ("3.11.2026", "2026-11-03T00:00"),
        ("03.11.26, 14:30 Uhr", "2026-11-03T14:30"),
        ("3/11/2026", "2026-11-03T00:00"),
        ("11/23/2026", "2026-11-23T00:00"),
        ("Veröffentlicht am 12. März 2026", "2026-03-12T00:00"),
        ("le 1er août 2026", "2026-08-01T00:00"),
        ("12 de mayo de 2026", "2026-05-12T00:00"),
        ("May 12th, 2026 at 5:04 pm", "2026-05-12T17:04"),
        ("1762155600", "2025-11-03T07:40"),
    ],
)
def test_dates_are_read_as_europeans_write_them(text: str, moment: str) -> None:
    assert read_date(text) == datetime.fromisoformat(f"{moment}+00:00")


@pytest.mark.parametrize(
    "text",
    [
        "3 listopada 2026",
        "3. listopadu 2026",
        "3 Kasım 2026 Salı",
        "3. marraskuuta 2026",
        "3 ноября 2026 г.",
        "3 листопада 2026",
        "3 Νοεμβρίου 2026",
        "3 בנובמבר 2026",
        "3 نوفمبر 2026",
        "2026年11月3日",
        "2026년 11월 3일",
        "令和8年11月3日",
        "2026. november 3.",
        "3 noiembrie 2026",
        "3 de novembre de 2026",
        "3 ноември 2026 г.",
        "٣ نوفمبر ٢٠٢٦",
        "3 تشرين الثاني 2026",
        "November, 3 2026",
        "3 Tháng 11, 2026",
        "ngày 3 tháng 11 năm 2026",
    ],
)
def test_a_date_is_understood_in_the_language_of_its_page(text: str) -> None:
    assert read_date(text) == datetime(2026, 11, 3, tzinfo=UTC)
    assert is_date(text)


@pytest.mark.parametrize("text", ["", "soon", "May 2026", "31.02.2026", "99.99.2026", "Chapter 12 of 2026", "5 apples"])
def test_what_cannot_be_read_is_no_date(text: str) -> None:
    assert read_date(text) is None


@pytest.mark.parametrize("text", ["Nov 3", "3. Nov.", "3 novembre", "3 de noviembre", "11月3日", "11-03", "3.11."])
def test_a_date_without_a_year_is_one_where_the_year_is_told(text: str) -> None:
    assert read_date(text) is None
    assert not is_date(text)
    assert read_date(text, year=2024) == datetime(2024, 11, 3, tzinfo=UTC)
    assert is_date(text, yearless=True)


@pytest.mark.parametrize("text", ["Room 3", "11:30", "3", "5.4.1", "Version 11-03-b"])
def test_not_every_number_is_a_date_without_a_year(text: str) -> None:
    assert read_date(text, year=2024) is None


def test_a_date_that_has_a_year_keeps_it() -> None:
    assert read_date("3 Nov 2025", year=2024) == datetime(2025, 11, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "year"),
    [("2026", 2026), ("March 2026", 2026), ("2025年", 2025), ("Archiv 2024", 2024), ("2023 (12)", 2023)]
    + [(text, 0) for text in ("Budget 2027", "In 2026 we met", "1066", "20261", "")],
)
def test_a_heading_tells_a_year_where_it_tells_nothing_else(text: str, year: int) -> None:
    assert year_told(text) == year


@pytest.mark.parametrize(
    "url",
    ["https://a.example/2026/11/03/x", "https://a.example/b/2026/nov/03/x", "https://a.example/2026-11-03-x.html"],
)
def test_an_address_tells_a_day(url: str) -> None:
    assert date_of_address(url) == datetime(2026, 11, 3, tzinfo=UTC)


@pytest.mark.parametrize("path", ["/2026/11/", "/2026/99/03/", "/2026/tea/03/", "/12026/11/03", "/2026/11/031"])
def test_not_every_number_in_an_address_is_a_day(path: str) -> None:
    assert date_of_address(f"https://a.example{path}") is None


def test_what_comes_first_is_seen_from_the_dates_that_leave_no_choice() -> None:
    assert puts_month_first(["on 3/11/2026", "11/23/2026"]) is True
    assert puts_month_first(["3/11/2026", "23/11/2026", "11/23/2026"]) is False
    assert puts_month_first(["3/11/2026", "23.11.2026"]) is None


@pytest.mark.parametrize(
    ("title", "parts"),
    [
        ("2.1.0 (2026-11-14)", ("2.1.0", "2026-11-14")),
        ("[2.1.0] - 2026-11-14", ("2.1.0", "2026-11-14")),
        ("14 November 2026: Release 4.1", ("Release 4.1", "14 november 2026")),
        ("Timetable from 13 December 2026", None),
        ("3 March 2026 was a Tuesday", None),
        ("2026-11-14", None),
        ("Nothing of that", None),
    ],
)
def test_a_title_and_its_date_are_two_things_where_something_is_between_them(
    title: str, parts: tuple[str, str] | None
) -> None:
    assert split_date(title) == parts


def test_the_month_comes_first_in_the_united_states() -> None:
    assert read_date("3/11/2026", month_first=True) == datetime(2026, 3, 11, tzinfo=UTC)


@given(st.text(max_size=300))
def test_no_text_is_a_date_that_cannot_be_handled(text: str) -> None:
    moment = read_date(text)
    assert moment is None or moment.utcoffset() == timedelta(0)
    assert isinstance(is_date(text), bool)
    assert text.endswith(without_date(text))


@given(st.dates(date(1971, 1, 1), date(2999, 1, 1)))
def test_every_day_is_read_back(day: date) -> None:
    for text in (f"{day:%Y-%m-%d}", f"{day:%d.%m.%Y}", f"{day:%-d %B %Y}", f"{day:%B %-d, %Y}", f"{day:%b %d, %Y}"):
        assert read_date(text) == datetime(day.year, day.month, day.day, tzinfo=UTC)


# --- hostile pages ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "html",
    [
        "<p class=x>abc" * 350_000,
        "<ul>" + "<li><a href=/a>The story that is not told</a>" * 100_000,
        "".join(f"<h3><a href=/{n}>The story number {n}</a></h3><p>And so on</p>" for n in range(70_000)),
        "".join(f"<h3>The story number {n}</h3>" for n in range(100_000)) + "<a href=/x>Read more</a>",
        "<span>" * 100_000,
        "".join(f"<div class=c{n}><a href=/{n}>A title of some length</a></div>" for n in range(60_000)),
        "".join(
            f"<x{n}><a href=/{n}a>A title of some length</a><a href=/{n}b>Another title</a></x{n}>"
            for n in range(40_000)
        ),
        "<b a=1><i b=2><a href=/1>" * 20_000 + "text " * 100_000,
        "<p>" + "9.9.9 " * 800_000,
        "<title>" + "<" * 5_000_000,
        "<table>" + "<tr><td>" * 100_000,
        ("<div class=title>" * 240 + "<a href=/>home page of it</a>" * 300 + "</div>" * 240) * 60,
    ],
    ids=range(12),
)
def test_a_hostile_page_is_done_with_in_five_seconds(html: str) -> None:
    with done_in(5), contextlib.suppress(SourceError):
        find(html[:5_000_000], URL)


# --- fetching --------------------------------------------------------------------------------------------------------


@pytest.fixture
def net() -> Iterator[Net]:
    net = Net(private=True)
    yield net
    net.close()


def test_a_page_brings_its_items(httpserver: HTTPServer, net: Net) -> None:
    httpserver.expect_request("/news").respond_with_data(page("table_two_rows"), content_type="text/html")
    harvest = Page(url=httpserver.url_for("/news")).fetch(None, net)
    assert harvest.title == "Announcements | Department of Botany"
    assert harvest.link == httpserver.url_for("/news")
    assert [item.published for item in harvest.items] == [
        datetime(2026, 11, 5, tzinfo=UTC),
        datetime(2026, 10, 21, tzinfo=UTC),
        datetime(2026, 10, 9, tzinfo=UTC),
    ]
    assert {item.guid for item in harvest.items} == {""}
    assert harvest.items[0].link == httpserver.url_for("/botany/announcements/2026/herbarium-digitised")


def test_items_are_in_the_language_of_their_page(httpserver: HTTPServer, net: Net) -> None:
    html = f"<html lang=he dir=rtl><body>{pieces('<h3><a href={link}>{title}</a></h3>')}"
    httpserver.expect_request("/").respond_with_data(html, content_type="text/html")
    assert {item.language for item in Page(url=httpserver.url_for("/")).fetch(None, net).items} == {"he"}


def test_options_reach_the_finder(httpserver: HTTPServer, net: Net) -> None:
    httpserver.expect_request("/").respond_with_data(page("explicit_selectors"), content_type="text/html")
    select = Selectors(item="#board > .n", title="em", link="b a@href", date="i@data-when")
    harvest = Page(url=httpserver.url_for("/"), select=select).fetch(None, net)
    assert [item.title for item in harvest.items] == [
        "Weir at Aldbrook",
        "Towpath between the locks",
        "Pumping station West",
    ]


def test_the_same_bytes_again_are_unchanged(httpserver: HTTPServer, net: Net) -> None:
    httpserver.expect_request("/").respond_with_data(page("h_feed"), content_type="text/html")
    source = Page(url=httpserver.url_for("/"))
    first = source.fetch(None, net)
    again = source.fetch(first.cursor, net)
    assert (again.unchanged, again.items, again.cursor) == (True, (), first.cursor)


def test_the_server_is_asked_whether_anything_changed(httpserver: HTTPServer, net: Net) -> None:
    def answer(request: Request) -> Response:
        if request.headers.get("If-None-Match") == '"7"':
            return Response(status=304)
        return Response(page("h_feed"), headers={"ETag": '"7"'}, content_type="text/html")

    httpserver.expect_request("/").respond_with_handler(answer)
    source = Page(url=httpserver.url_for("/"))
    first = source.fetch(None, net)
    again = source.fetch(first.cursor, net)
    assert again.unchanged
    assert again.cursor == first.cursor


def test_a_page_that_moved_for_good_is_visited_at_its_new_address(httpserver: HTTPServer, net: Net) -> None:
    httpserver.expect_ordered_request("/old").respond_with_data("", 301, headers={"Location": "/new"})
    for _ in range(2):
        httpserver.expect_ordered_request("/new").respond_with_data(page("h_feed"), content_type="text/html")
    source = Page(url=httpserver.url_for("/old"))
    first = source.fetch(None, net)
    assert source.fetch(first.cursor, net).unchanged
    httpserver.check_assertions()


def test_a_page_that_is_gone_is_over(httpserver: HTTPServer, net: Net) -> None:
    httpserver.expect_request("/").respond_with_data("", 410)
    assert Page(url=httpserver.url_for("/")).fetch(None, net).gone


def test_a_page_that_is_missing_is_an_error(httpserver: HTTPServer, net: Net) -> None:
    httpserver.expect_request("/").respond_with_data("", 404)
    with pytest.raises(BadStatus):
        Page(url=httpserver.url_for("/")).fetch(None, net)


STORY = "<article><h2><a href=/{0}>The story of number {0}</a></h2><p>Text {0}.</p></article>"
STORIES = "".join(map(STORY.format, "abcdef"))


def test_of_a_page_that_breaks_off_the_last_item_is_left_and_the_page_is_asked_for_anew(
    web_site: WebSite, net: Net
) -> None:
    """Whoever made it died over it, and the server sent what there was: nothing but its end is missing."""
    source, new = Page(url=f"{web_site.url}/"), "<article><h2><a href=/new>The story that is new</a></h2></article>"
    web_site.pages["/"] = html(f"<html><body><main>{STORIES}</main></body></HTML >")
    first = source.fetch(None, net)
    assert (len(first.items), first.notes) == (6, ())
    for _ in range(2):
        web_site.pages["/"] = html(f"<html><body><main>{new}{STORIES}"[:-60])
        harvest = source.fetch(first.cursor, net)
        assert [item.link.rpartition("/")[2] for item in harvest.items] == ["new", "a", "b", "c", "d"]
        assert harvest.notes == (f"{web_site.url}/ breaks off: the last article that is left of it was not taken",)
        first = source.fetch(harvest.cursor, net)
        assert not first.unchanged
    web_site.pages["/"] = html(f"<html><body><main>{new}{STORIES}</main></body></html>")
    whole = source.fetch(first.cursor, net)
    assert (len(whole.items), whole.notes) == (7, ())


def test_a_page_that_never_says_where_it_ends_is_taken_as_it_is(web_site: WebSite, net: Net) -> None:
    source, cursor = Page(url=f"{web_site.url}/"), None
    for count in (5, 6):
        web_site.pages["/"] = html(f"<html><body><main>{STORIES[: count * len(STORIES) // 6]}")
        harvest = source.fetch(cursor, net)
        cursor = harvest.cursor
        assert (len(harvest.items), harvest.notes) == (count, ())


def html(text: str) -> Answer:
    return Answer(text.encode(), headers={"Content-Type": "text/html"})


def test_an_empty_page_never_means_that_all_entries_vanished(httpserver: HTTPServer, net: Net) -> None:
    httpserver.expect_request("/").respond_with_data("<h1>News</h1><p>Nothing at present.", content_type="text/html")
    with pytest.raises(SourceError, match="no list of articles") as caught:
        Page(url=httpserver.url_for("/")).fetch(None, net)
    assert "select" in caught.value.hint


@pytest.mark.parametrize(
    ("media_type", "says"), [("application/rss+xml", "this is a feed"), ("image/png", "image/png is not")]
)
def test_what_is_no_page_is_said_so(httpserver: HTTPServer, net: Net, media_type: str, says: str) -> None:
    httpserver.expect_request("/").respond_with_data("x", content_type=media_type)
    with pytest.raises(SourceError, match=says):
        Page(url=httpserver.url_for("/")).fetch(None, net)


def test_a_page_that_would_keep_the_parser_busy_for_minutes_is_given_up(httpserver: HTTPServer, net: Net) -> None:
    httpserver.expect_request("/").respond_with_data("<div>" * 300_000, content_type="text/html")
    started = time.monotonic()
    with pytest.raises(SourceError, match="took more than"):
        Page(url=httpserver.url_for("/")).fetch(None, net)
    assert time.monotonic() - started < 30, "on a busy machine; of processor time it gets four seconds"


# --- more than one page ----------------------------------------------------------------------------------------------


class Archive:
    """A list of articles, newest first, three on a page."""

    def __init__(self, site: WebSite, count: int) -> None:
        self.site = site
        self.pager = '<div class="pagination"><a href="/news?page={next}">Older posts »</a></div>'
        self.show(count)

    def show(self, count: int) -> None:
        numbers = list(range(count, 0, -1))
        for page in range(0, count, 3):
            row = "<h3><a href=/a/{0}>The story that has the number {0}</a></h3><p>What happened on day {0}.</p>"
            rows = "".join(row.format(number) for number in numbers[page : page + 3])
            more = self.pager.format(next=page // 3 + 2) if page + 3 < count else ""
            path = "/news" if page == 0 else f"/news?page={page // 3 + 1}"
            self.put(path, f"<title>News</title><main>{rows}</main>{more}")

    def put(self, path: str, html: str) -> None:
        self.site.pages[path] = Answer(html.encode(), headers={"Content-Type": "text/html; charset=utf-8"})

    def visit(self, cursor: Cursor | None, net: Net) -> tuple[list[int], list[str], Harvest]:
        """The numbers of the articles, the pages that were asked for, and the harvest."""
        self.site.hits.clear()
        harvest = Page(url=f"{self.site.url}/news").fetch(cursor, net)
        return [int(item.link.rpartition("/")[2]) for item in harvest.items], list(self.site.hits), harvest


def test_the_first_visit_reads_the_older_pages_too(web_site: WebSite, net: Net) -> None:
    numbers, asked, _ = Archive(web_site, 8).visit(None, net)
    assert numbers == [8, 7, 6, 5, 4, 3, 2, 1]
    assert asked == ["/news", "/news?page=2", "/news?page=3"]


def test_five_pages_are_read_at_most(web_site: WebSite, net: Net) -> None:
    numbers, asked, _ = Archive(web_site, 50).visit(None, net)
    assert (len(numbers), len(asked)) == (15, 5)


def test_later_visits_read_on_only_where_all_on_a_page_is_new(web_site: WebSite, net: Net) -> None:
    archive = Archive(web_site, 8)
    _, _, first = archive.visit(None, net)
    archive.show(10)
    numbers, asked, second = archive.visit(first.cursor, net)
    assert (numbers, asked) == ([10, 9, 8], ["/news"])
    archive.show(14)
    numbers, asked, _ = archive.visit(second.cursor, net)
    assert (numbers, asked) == ([14, 13, 12, 11, 10, 9], ["/news", "/news?page=2"])


def test_an_older_page_that_fails_is_noted_and_harms_nothing(web_site: WebSite, net: Net) -> None:
    archive = Archive(web_site, 8)
    web_site.pages["/news?page=2"] = Answer(b"", 500)
    numbers, _, harvest = archive.visit(None, net)
    assert numbers == [8, 7, 6]
    assert "500" in harvest.notes[0]


@pytest.mark.parametrize(
    ("pager", "found"),
    [
        ("<link rel=next href=/news?page=2>", True),
        ("<a rel='nofollow next' href=/news?page=2>2</a>", True),
        ("<nav><a href=/news?page=2>Nächste Seite ›</a></nav>", True),
        ("<p><a href=/news?page=2>Entradas anteriores</a></p>", True),
        ("<ul class=pager><li><a href=/news/older>Articles plus anciens</a></ul>", True),
        ("<p><a href=/weiter>Weiter</a></p>", False),
        ("<nav><a href=/news?page=0>Previous</a></nav>", False),
        ("<link rel=next href=https://elsewhere.example.org/news?page=2>", False),
        ("<link rel=next href='javascript:next()'>", False),
        ("<nav><a href='#'>Next</a></nav>", False),
        ("<link rel=next href=>", False),
    ],
)
def test_the_link_to_the_older_articles_is_recognised(pager: str, found: bool) -> None:
    assert bool(find(f"<main>{pieces('<h3><a href={link}>{title}</a></h3>')}</main>{pager}", URL).older) == found


def test_pages_that_lead_to_each_other_are_read_once(web_site: WebSite, net: Net) -> None:
    archive = Archive(web_site, 6)
    html = web_site.pages["/news?page=2"].body.decode()
    archive.put("/news?page=2", html + '<a rel=next href="/news?page=2"></a>')
    assert archive.visit(None, net)[1] == ["/news", "/news?page=2"]
