"""What comes in as HTML: harmless, absolute, readable, and never slow."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from waiting import done_in

from publisher import html as room
from publisher.html import absolute, clean, excerpt, plain, to_text

BASE = "https://blog.example.org/2026/post.html"

words = str.split

NAMES = words(
    "a abbr b blockquote br caption center code col colgroup dd details div dl dt em figcaption figure font form h1 h2 "
    "hr i iframe img input li math object ol p pre q rt ruby script section select span strong style sub svg table "
    "tbody td textarea tfoot th thead time title tr ul video"
)
VALUES = words(
    "https://example.org/a?b=1&copy=2 /rel #top javascript:alert(1) data:text/html,x vbscript:x //host/x mailto:a@b.c "
    "1 100% 'q \"d x>y http://[::1 https://example.org/é"
)
attributes = st.builds(
    lambda name, value, quote: f" {name}={quote}{value}{quote}",
    st.sampled_from(words("href src srcset onclick style id class width height alt title cite datetime lang")),
    st.sampled_from(VALUES) | st.text(max_size=8),
    st.sampled_from(('"', "'", "")),
)
pieces = st.one_of(
    st.builds(
        lambda name, found, end: f"<{name}{''.join(found)}{end}",
        st.sampled_from(NAMES),
        st.lists(attributes, max_size=3),
        st.sampled_from((">", "/>", " >", "")),
    ),
    st.builds(lambda name: f"</{name}>", st.sampled_from(NAMES)),
    st.sampled_from(
        ("&amp;", "&lt;b&gt;", "&#13;", "&#10;", "&nbsp;", "<!-- x", "-->", "<![CDATA[x]]>", "<?x?>", "\n", "<")
    ),
    st.text(max_size=10),
)
pages = st.lists(pieces, max_size=40).map("".join)


def _element(name: str, found: list[str], content: list[str]) -> str:
    start = f"<{name}{''.join(found)}>"
    return start if name in words("br hr img") else f"{start}{''.join(content)}</{name}>"


usual = st.recursive(
    st.sampled_from(("word", " ", "\n", "&amp;", "&lt;b&gt;", ">", "&nbsp;", "\x00", "\ufffe")) | st.text(max_size=5),
    lambda content: st.builds(
        _element,
        st.sampled_from(words("a a b blockquote br em h2 img li ol p p pre span table tbody td tr ul script x")),
        st.lists(attributes | st.sampled_from((' href="/a"', ' href="/b?c&amp;d"', ' title=" href="')), max_size=2),
        st.lists(content, max_size=4),
    ),
    max_leaves=15,
)


class Tags(HTMLParser):
    """Every tag and attribute that a reader of the text would see."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


# --- clean ---


@settings(max_examples=500)
@given(pages)
def test_cleaning_what_was_cleaned_changes_nothing(html: str) -> None:
    once = clean(html, BASE)
    assert clean(once, BASE) == once
    assert clean(once) == once


@settings(max_examples=500)
@given(usual | pages)
def test_what_is_nested_as_usual_is_cleaned_like_all_else(html: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "_is_balanced", lambda html: False)
        expected = clean(html, BASE)
    assert clean(html, BASE) == expected


@settings(max_examples=300)
@given(pages)
def test_nothing_that_acts_survives(html: str) -> None:
    for tag, found in Tags(clean(html, BASE)).found:
        assert tag not in {"script", "style", "iframe", "form", "input", "object", "svg", "math", "video", "select"}
        assert not {"style", "id", "class", "onclick"} & found.keys()
        for name in {"href", "src", "cite"} & found.keys():
            assert re.match(r"https?://|mailto:", found[name] or "")


@settings(max_examples=300)
@given(pages)
def test_what_is_cleaned_stays_within_bounds(html: str) -> None:
    assert len(clean(html, BASE)) <= 40 * len(html) + 200


@pytest.mark.parametrize(
    ("dirty", "tidy"),
    [
        ("<p onclick=x style='color:red' id=a class=b>t</p>", "<p>t</p>"),
        ("a<script>alert(1)</script>b<style>p{}</style>c", "abc"),
        ("a<svg><text>x</text></svg>b", "ab"),
        ("<form action=x>Name <input name=a><select><option>x</select></form>", "Name "),
        ("<a href='javascript:alert(1)'>x</a>", "x"),
        ("<a name=top></a>x", "x"),
        ("<img src='data:image/png;base64,AA'>x", "x"),
        ("<img src='/p.gif' width=1 height=1>x", "x"),
        ("<img src=/a.png width=100% height=40px>", '<img src="https://blog.example.org/a.png" width="100%">'),
        ("<img src=a.png alt='>'>", '<img src="https://blog.example.org/2026/a.png" alt="&gt;">'),
        (
            "<img src=a.png srcset='b.png 2x, data:x 3x'>",
            '<img src="https://blog.example.org/2026/a.png" srcset="https://blog.example.org/2026/b.png 2x">',
        ),
        ("<blockquote cite='/s'>q</blockquote>", '<blockquote cite="https://blog.example.org/s">q</blockquote>'),
        ("<a href='?a=1&copy=2'>x</a>", f'<a href="{BASE}?a=1&amp;copy=2" rel="noopener noreferrer">x</a>'),
        ("<p>one<p>two", "<p>one</p><p>two</p>"),
        ("<p>a<ul><li>b<li>c</ul></p>d", "<p>a</p><ul><li>b</li><li>c</li></ul>d"),
        ("<b>a<i>b</b>c</i>", "<b>a<i>b</i></b>c"),
        ("<td>no table</td>", "no table"),
        ("<table><tr><td>x</table>", "<table><tbody><tr><td>x</td></tr></tbody></table>"),
        ("<noscript><img src=/a.png></noscript>", '<img src="https://blog.example.org/a.png">'),
        ("<pre>\n\n x</pre>", "<pre> x</pre>"),
        ("1 < 2 &amp; 3 > 2", "1 &lt; 2 &amp; 3 &gt; 2"),
        ("a\x00\x0bb\ud800", "ab?"),
        ("a<br/>b<br></br>c", "a<br>b<br>c"),
    ],
)
def test_dirty_html_becomes_tidy(dirty: str, tidy: str) -> None:
    assert clean(dirty, BASE) == tidy


def test_a_player_becomes_a_link_to_what_it_plays() -> None:
    address = "https://video.example.org/embed/1"
    link = f'<p><a href="{address}" rel="noopener noreferrer">{address}</a></p>'
    assert clean(f"<iframe src='{address}'>no frames</iframe>") == link
    assert clean(f"<video><source src='{address}'></video>") == link
    assert clean("<iframe src='https://t.example.org/' width=1 height=1></iframe>") == ""


def test_relative_links_are_dropped_where_no_base_is_known() -> None:
    assert clean("<a href=/x>t</a><img src=/y>") == "t"


@pytest.mark.parametrize(
    "bomb",
    [
        "<div>",
        "<b>",
        "<ul><li>",
        "<table><tr><td>",
        "<p><b class=a><b class=b><b class=c>x",
        "<div><!--</div>-->",
        "<table><b>x<tr>",
        "</div>",
        "<a href='",
        '<a href="',
        "<!--",
        "</",
        "<svg",
    ],
)
@pytest.mark.parametrize("function", [clean, to_text, plain])
def test_a_hundred_thousand_tags_are_read_in_seconds(function: Callable[[str], str], bomb: str) -> None:
    html = bomb * (100_000 // bomb.count("<"))
    with done_in(2):
        assert len(function(html)) <= 10 * len(html)


# --- absolute ---


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("/a b", "https://blog.example.org/a%20b"),
        ("x?y#z", "https://blog.example.org/2026/x?y#z"),
        ("//cdn.example.org/a", "https://cdn.example.org/a"),
        (" HTTP://Example.org/ ", "http://Example.org/"),
        ("ht\ntps://example.org/", "https://example.org/"),
        ("mailto:a@example.org", "mailto:a@example.org"),
        ("mailto:", ""),
        ("javascript:alert(1)", ""),
        ("\x01javascript:alert(1)", ""),
        ("java\tscript:alert(1)", ""),
        ("data:text/html,x", ""),
        ("vbscript:x", ""),
        ("http://", ""),
        ("http://[::1", ""),
        ("http:\\\\example.org", "http://example.org"),
        ("https://example.org\\@evil.example/", "https://example.org/@evil.example/"),
        ("https://\\example.org/a", "https://blog.example.org/example.org/a"),
        ("\\a\\b?c=\\d", "https://blog.example.org/a/b?c=%5Cd"),
        ("mailto:a\\b@example.org", "mailto:a%5Cb@example.org"),
    ],
)
def test_addresses_become_absolute_or_nothing(url: str, found: str) -> None:
    assert absolute(url, BASE) == found


def test_what_browsers_read_as_another_address_stays_what_it_is_when_it_is_cleaned_again() -> None:
    once = clean('<img src="https://\\c.example/b.jpg"><a href="https://a\\b.example/x">x</a>')
    assert clean(once) == once


@given(st.text() | st.sampled_from(VALUES), st.sampled_from((BASE, "", "http://a", "nonsense")))
def test_an_absolute_address_stays_as_it_is(url: str, base: str) -> None:
    once = absolute(url, base)
    assert absolute(once, "") == once
    assert not re.search(r"[\s\"<>\\]", once)


# --- text ---


def test_mail_text_is_readable() -> None:
    html = """<h1>Harbour &amp; town</h1><p>The <a href="https://example.org/a">new pier</a> opens on Monday; the
    <a href="https://example.org/b">ferry</a> as well, and <a href="https://example.org/a">both</a> are free.</p>
    <h2>To do</h2><ul><li>walk<ul><li>slowly</li></ul></li><li>swim</li></ul><ol start="9"><li>x<li>y</ol>
    <blockquote><p>So it is.</p><p>It is.</p></blockquote><p><img src="https://example.org/i.png" alt="A boat"></p>
    <table><tr><th>Day</th><th>Tide</th></tr><tr><td>Mon</td><td>8:00</td></tr></table>
    <pre>  a
 b</pre>line<br>next <a href="https://example.org/c">https://example.org/c</a>"""
    assert to_text(html, width=40) == (
        "Harbour & town\n"
        "==============\n"
        "\n"
        "The new pier [1] opens on Monday; the\n"
        "ferry [2] as well, and both [1] are\n"
        "free.\n"
        "\n"
        "To do\n"
        "-----\n"
        "\n"
        "- walk\n"
        "  - slowly\n"
        "- swim\n"
        "\n"
        "9. x\n"
        "10. y\n"
        "\n"
        "> So it is.\n"
        ">\n"
        "> It is.\n"
        "\n"
        "A boat\n"
        "\n"
        "Day | Tide\n"
        "Mon | 8:00\n"
        "\n"
        "  a\n"
        " b\n"
        "\n"
        "line\n"
        "next https://example.org/c\n"
        "\n"
        "[1] https://example.org/a\n"
        "[2] https://example.org/b"
    )


def test_long_addresses_are_not_broken() -> None:
    address = "https://example.org/" + "long-path-" * 20
    assert address in to_text(f"<blockquote><ul><li>see {address} there</ul></blockquote>", width=30).split()


def test_width_nought_wraps_nothing() -> None:
    assert to_text("<p>" + "word " * 100, width=0) == ("word " * 100).strip()


def test_a_link_around_a_block_is_numbered_at_its_first_text() -> None:
    html = '<a href="https://example.org/"><div><img src="x"></div><h3>Title</h3><p>Teaser</p></a>'
    assert to_text(html) == "Title [1]\n\nTeaser\n\n[1] https://example.org/"


@given(pages, st.integers(0, 80))
def test_any_html_becomes_text(html: str, width: int) -> None:
    assert "\r" not in to_text(html, width)


@given(pages, st.integers(1, 80))
def test_an_excerpt_is_one_line_within_its_limit(html: str, limit: int) -> None:
    text = excerpt(html, limit)
    assert len(text) <= limit
    assert text == " ".join(text.split())


def test_an_excerpt_is_cut_between_words() -> None:
    assert excerpt("<p>one two, three</p>", 12) == "one two…"
    assert excerpt("<p>one</p><p>two</p>", 7) == "one two"
    assert excerpt("abcdefghij", 5) == "abcd…"


def test_plain_text_is_one_line_without_markup() -> None:
    assert plain(" A&amp;B <b>bo</b>ld<br>x\n<script>no</script>&lt;i&gt; 1 < 2 ") == "A&B bold x <i> 1 < 2"
