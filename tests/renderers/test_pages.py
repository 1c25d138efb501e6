from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from renderer_samples import WEEKLY, entry, selection
from selectolax.lexbor import LexborHTMLParser

from publisher.model import Author, Selection
from publisher.renderers.pages import Page
from publisher.templating import Templates

TEMPLATES = Templates()


def page(given: Selection) -> LexborHTMLParser:
    document, style = Page(TEMPLATES).render(given)
    assert (document.name, document.media_type) == ("index.html", "text/html")
    assert (style.name, style.media_type) == ("style.css", "text/css")
    return LexborHTMLParser(document.text)


def test_the_page_links_to_the_feeds_that_exist_and_to_no_others() -> None:
    given = replace(selection(), publication=replace(WEEKLY, formats=("atom", "html")))
    links = [node.attributes["href"] for node in page(given).css("head link[rel=alternate], nav a")]
    assert links == [*["https://news.example.org/weekly/atom.xml"] * 2, "https://news.example.org/feeds.opml"]
    assert page(replace(given, publication=replace(WEEKLY, formats=("html",)))).css("nav") == []


def test_a_strict_content_security_policy_breaks_nothing() -> None:
    made = page(selection(entry(title="T", image="https://a.example/i.png", content="<p>C</p>")))
    assert made.css("script, style, [style], [onclick], link[rel=stylesheet][href^=http]") == []
    assert made.css_first("link[rel=stylesheet]").attributes["href"] == "style.css"


def test_each_entry_has_the_anchor_that_feeds_point_to() -> None:
    made = page(selection(entry(7, title="Seven", link="https://a.example/"), entry(8)))
    assert [node.id for node in made.css("article")] == ["e7", "e8"]
    assert made.css_first("#e7 h2 a").attributes["href"] == "https://a.example/"
    assert made.css_first("#e8 h2 a").attributes["href"] == "https://news.example.org/weekly/#e8"


def test_an_entry_that_has_no_page_elsewhere_is_shown_whole() -> None:
    whole = entry(content="<p>" + "word " * 100 + "<em>end</em></p>")
    assert page(selection(whole)).css_first("#e1 .text em").text() == "end"
    assert page(selection(whole, full=False)).css("#e1 .text") == []
    assert page(selection(replace(whole, link="https://a.example/"))).css("#e1 .text") == []


def test_dates_are_in_the_publications_time_zone_and_language_is_told() -> None:
    made = page(selection(entry(language="pt")))
    assert made.css_first("html").attributes["lang"] == "en"
    assert made.css_first("article").attributes["lang"] == "pt"
    assert made.css_first("article time").text() == "3 November 2026"


def test_an_empty_page_says_so() -> None:
    assert "Nothing has been published here yet" in page(selection()).css_first("main").text()


def test_the_operators_own_template_and_style_are_used(tmp_path: Path) -> None:
    (tmp_path / "page.html.j2").write_text("{{ entries | length }} {{ publication.title }}")
    (tmp_path / "style.css.j2").write_text("body {}")
    documents = Page(Templates(tmp_path)).render(selection(entry()))
    assert [document.text for document in documents] == ["1 The Harbour Weekly", "body {}"]


@settings(max_examples=30)
@given(st.text() | st.sampled_from(["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</title><script>"]))
def test_titles_names_and_descriptions_never_become_markup(text: str) -> None:
    publication = replace(WEEKLY, title="T" + text, description=text)
    told = entry(
        title=text, link="https://a.example/", image=text, authors=(Author(name=text),), tags=(text,), language=text
    )
    made = page(Selection(publication=publication, entries=(told,)))
    assert made.css("script, [onerror]") == []
    assert len(made.css("h1")) == len(made.css("article h2 a")) == 1


def test_an_image_stands_beside_a_teaser_and_is_not_doubled_in_a_whole_text() -> None:
    picture = '<p>C</p><img src="https://a.example/i.png?a=1&amp;b=2">'
    for link in ("", "https://a.example/"):
        made = page(selection(entry(1, title="T", link=link, content=picture)))
        assert [node.attributes["src"] for node in made.css("article img")] == ["https://a.example/i.png?a=1&b=2"]


def test_an_entry_reads_in_its_own_direction_whether_or_not_its_language_is_known() -> None:
    made = page(selection(entry(1, title="שלום", content="<p>עולם</p>"), entry(2, title="سلام", language="fa")))
    assert [node.attributes.get("lang") for node in made.css("article")] == [None, "fa"]
    assert {node.attributes.get("dir") for node in made.css("article h2, article .text, article > p:not(.about)")} == {
        "auto"
    }
