import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from renderer_samples import SITE, WEEKLY, entry, issue
from selectolax.lexbor import LexborHTMLParser

from publisher import renderers
from publisher.errors import RenderError, TooLong
from publisher.mime import ANYBODY, filled
from publisher.model import Author, Document, Entry, Issue, Subscriber
from publisher.templating import Templates

TEMPLATES = Templates()
SUBJECT = "{{ publication.title }}: {{ entries[0].title }}"


def rendered(given: Issue, subject: str = SUBJECT) -> dict[str, Document]:
    documents = renderers.digest(TEMPLATES, template="digest", subject=subject).render(given)
    assert [document.name for document in documents] == ["subject.txt", "mail.html", "mail.txt", "issue.json"]
    return {document.name: document for document in documents}


def mail(*entries: Entry) -> LexborHTMLParser:
    return LexborHTMLParser(rendered(issue(*entries))["mail.html"].text)


def subject(template: str, *entries: Entry) -> str:
    return rendered(issue(*entries), template)["subject.txt"].text


ONE = entry(title="One", link="https://a.example/1", summary="<p>First</p>")


def test_the_subject_is_one_line_whatever_the_titles_hold() -> None:
    assert subject(SUBJECT, entry(title="A\r\nBcc: all\x00\x1b  x")) == "The Harbour Weekly: A Bcc: all x"
    assert subject("\n {{ issue.number }}\r\n{{ entries | length }}\n", ONE) == "12 1"


def test_a_subject_is_never_longer_than_it_may_be_and_never_empty() -> None:
    long = subject(SUBJECT, entry(title="x" * 999))
    assert len(long) == 250
    assert long.endswith("…")
    assert subject("{# nothing #}", ONE) == "The Harbour Weekly"


def test_a_title_is_never_compiled() -> None:
    assert subject(SUBJECT, entry(title="{{ 7 * 7 }}")) == "The Harbour Weekly: {{ 7 * 7 }}"


def test_headlines_come_first_when_there_are_more_than_two() -> None:
    entries = [entry(number, title=f"No {number}", link=f"https://a.example/{number}") for number in (1, 2, 3)]
    links = [node.attributes["href"] for node in mail(*entries).css(".headlines a")]
    assert links == ["https://a.example/1", "https://a.example/2", "https://a.example/3"]
    assert mail(*entries[:2]).css(".headlines") == []


def test_mail_clients_get_styles_in_attributes_and_fetch_no_style_sheet() -> None:
    made = mail(ONE)
    assert "font-size" in made.css_first("h1").attributes["style"]
    assert [node.text().strip()[:6] for node in made.css("style")] == ["@media"]
    assert made.css("link, script") == []
    assert "charset" in rendered(issue(ONE))["mail.html"].text[:200]


def test_the_footer_says_who_and_why_and_where() -> None:
    text = mail(ONE).css_first(".foot").text()
    assert "Harbour News, Harbour Street 1, 1000 Lisbon" in text
    assert "You get The Harbour Weekly because" in text
    links = [node.attributes["href"] for node in mail(ONE).css(".foot a")]
    assert links == ["https://news.example.org/weekly/", ANYBODY.preferences, ANYBODY.unsubscribe]


def test_an_issue_that_can_be_read_in_the_browser_says_where() -> None:
    archived = replace(issue(ONE), publication=replace(WEEKLY, archive=True))
    address = "https://news.example.org/weekly/issues/12"
    for told, expected in [(archived, address), (replace(archived, variant="de-3f9a1c2b"), f"{address}/de-3f9a1c2b")]:
        made = rendered(told)
        assert LexborHTMLParser(made["mail.html"].text).css_first(".foot a").attributes["href"] == expected
        assert f"Read in the browser: {expected}\n" in made["mail.txt"].text
    for told in (issue(ONE), replace(archived, number=0)):
        assert "in the browser" not in rendered(told)["mail.html"].text + rendered(told)["mail.txt"].text


def test_a_mail_speaks_the_language_of_its_page() -> None:
    entries = [entry(n, title=f"<{n}>", content="<p>x</p>" * 2000, link="https://a.example/") for n in range(3)]
    given = replace(issue(*entries), publication=replace(WEEKLY, title="A & B", language="de-AT", archive=True))
    made = rendered(given, '{{ _("Read on") }}')
    page, text = LexborHTMLParser(made["mail.html"].text), made["mail.txt"].text
    assert page.css_first("html").attributes["lang"] == "de-AT"
    assert page.css_first(".label").text() == "In dieser Ausgabe"
    assert page.css_first(".more a").attributes["aria-label"] == "Weiterlesen: <0>"
    assert [link.text() for link in page.css(".foot a")] == [
        "Im Browser lesen",
        "Im Netz lesen",
        "Einstellungen",
        "Abbestellen",
    ]
    assert "Sie erhalten A & B, weil" in text
    assert "Nr. 12" in text
    assert f"Einstellungen: {ANYBODY.preferences}\nAbbestellen: {ANYBODY.unsubscribe}\n" in text
    assert made["subject.txt"].text == "Weiterlesen"


def test_a_short_text_is_mailed_whole_and_a_long_one_as_a_teaser() -> None:
    short = mail(entry(summary="<p>S</p>", content="<p>A <b>short</b> text</p>"))
    assert short.css_first(".text b").text() == "short"
    assert short.css(".more") == []
    long = mail(entry(summary="<p>A <i>teaser</i></p>", content="<p>x</p>" * 2000, link="https://a.example/"))
    assert long.css_first(".text i").text() == "teaser"
    assert long.css_first(".more a").attributes["href"] == "https://a.example/"


def test_an_image_is_shown_once() -> None:
    picture = "https://a.example/i.png?a=1&b=2"
    assert len(mail(replace(ONE, image=picture)).css("img")) == 1
    content = '<p><img src="https://a.example/i.png?a=1&amp;b=2" alt="x"></p>'
    assert len(mail(replace(ONE, image=picture, content=content)).css("img")) == 1


def test_the_text_part_holds_no_markup_and_no_entities() -> None:
    told = entry(title="A & B <c>", content="<p>1 &lt; 2 &amp; 3</p>", link="https://a.example/?a=1&b=2")
    text = rendered(issue(told))["mail.txt"].text
    assert "A & B <c>" in text
    assert "1 < 2 & 3" in text
    assert "https://a.example/?a=1&b=2" in text
    assert "&amp;" not in text
    assert "&lt;" not in text


def test_lines_of_the_text_part_are_short() -> None:
    words = "<p>" + "lorem ipsum " * 80 + "</p>"
    entries = [entry(number, title="word " * 40, content=words, link="https://a.example/") for number in range(3)]
    assert max(map(len, rendered(issue(*entries))["mail.txt"].text.splitlines())) <= 78


def test_mails_stay_below_the_size_at_which_they_are_cut_off() -> None:
    text = "<p>" + "lorem ipsum dolor " * 60 + "</p>"
    entries = [entry(n, title="T" * 60, summary=text, content=text * 50, link="https://a.example/") for n in range(60)]
    made = rendered(issue(*entries))
    assert 20_000 < len(made["mail.html"].body) < 100_000
    assert len(made["mail.txt"].body) < 100_000


def test_an_issue_whose_headlines_are_too_long_is_refused() -> None:
    entries = [entry(n, title="T" * 200, content=f"<p>{'lorem ipsum ' * 50}</p>" * 100) for n in range(1000)]
    with pytest.raises(TooLong, match="weekly: 1000 headlines"):
        rendered(issue(*entries))


def test_one_entry_always_fits_whatever_it_holds() -> None:
    x = "x" * 200_000
    authors, url = tuple(Author(name=x + str(n)) for n in range(9)), "https://a.example/" + "y" * 7_900
    vast = entry(title=x, summary=x, content=x, link=url, image=url, authors=authors, tags=(x,))
    assert len(rendered(issue(vast))["mail.html"].body) < 100_000


def test_the_json_tells_the_same_as_the_mail() -> None:
    told = entry(
        4,
        title="T",
        content="<p>A &amp; B</p>",
        tags=("x",),
        authors=(Author(name="Ana"),),
        image="https://a.example/i.png",
    )
    assert json.loads(rendered(issue(told))["issue.json"].body) == {
        "type": "issue",
        "publication": {"name": "weekly", "title": "The Harbour Weekly", "url": "https://news.example.org/weekly/"},
        "number": 12,
        "subject": "The Harbour Weekly: T",
        "created": "2026-11-03T12:00:00+00:00",
        "entries": [
            {
                "id": told.uid,
                "title": "T",
                "link": "https://news.example.org/weekly/#e4",
                "summary": "A & B",
                "image": "https://a.example/i.png",
                "published": "2026-11-03T12:04:00+00:00",
                "authors": ["Ana"],
                "tags": ["x"],
                "source": "blog",
            }
        ],
    }


def test_the_direction_of_writing_is_told() -> None:
    arabic = replace(issue(ONE), publication=replace(WEEKLY, language="ar"))
    assert LexborHTMLParser(rendered(arabic)["mail.html"].text).css_first("html").attributes["dir"] == "rtl"


def test_the_operators_own_template_is_used_and_its_faults_are_named(tmp_path: Path) -> None:
    (tmp_path / "mine.html.j2").write_text("<p>{% for entry in entries %}{{ teaser(entry) }}{% endfor %}</p>")
    (tmp_path / "mine.txt.j2").write_text("\n{{ entri }}")
    with pytest.raises(RenderError, match=r"mine\.txt\.j2:2: 'entri' is undefined") as caught:
        renderers.digest(Templates(tmp_path), template="mine", subject="S").render(issue(ONE))
    assert caught.value.hint == "Known here: entries, issue, language, publication, site, subscriber, teaser."


# --- who reads it ----------------------------------------------------------------------------------------------------

ANN = Subscriber(address="ann@example.org", name="Ann <& 'co'>", unsubscribe="https://news.example.org/u?a=1&b=2")
PLAIN = "{{ subscriber.name }} {{ subscriber.address }} {{ subscriber.unsubscribe }}"


def own(folder: Path, html: str, text: str = PLAIN, subject: str = "S") -> renderers.DigestRenderer:
    (folder / "mine.html.j2").write_text(html)
    (folder / "mine.txt.j2").write_text(text)
    return renderers.digest(Templates(folder), template="mine", subject=subject)


def test_the_built_in_mail_is_made_once_for_all_and_reads_as_if_it_was_made_for_each() -> None:
    digest = renderers.digest(TEMPLATES, template="digest", subject=SUBJECT)
    assert not digest.personal
    for_all, for_ann = digest.render(issue(ONE)), digest.render(issue(ONE), ANN)
    assert [filled(document, ANN) for document in for_all] == list(for_ann)
    assert ANN.unsubscribe in for_ann[2].text


@pytest.mark.parametrize(
    "html",
    [
        f"<p>{PLAIN}</p>",
        '<p><a href="{{ subscriber.unsubscribe }}" title="{{ subscriber.name }}">x</a></p>',
        "<style>p { color: red }</style><p>{% for entry in entries %}{{ subscriber.address }}{% endfor %}</p>",
        "{% extends 'built-in/digest.html.j2' %}{% block footer %}{{ subscriber.name }}{{ super() }}{% endblock %}",
        "<p>{% include 'mine.txt.j2' %}</p>",
    ],
)
def test_what_only_prints_its_subscriber_is_made_once_for_all(tmp_path: Path, html: str) -> None:
    digest = own(tmp_path, html)
    assert not digest.personal
    ann = replace(ANN, name="Ann")  # an included text is not escaped where it is rendered, but where it is filled
    alike = replace(ann, unsubscribe="https://news.example.org/u")
    assert [filled(document, alike) for document in digest.render(issue(ONE))] == list(digest.render(issue(ONE), alike))


def test_what_asks_about_its_subscriber_is_made_for_each(tmp_path: Path) -> None:
    html = "<p>{% if subscriber.name %}Dear {{ subscriber.name | upper }}{% else %}Hello{% endif %}</p>"
    digest = own(tmp_path, html, subject="For {{ subscriber.address }}")
    assert digest.personal
    subject, rich, text, _ = digest.render(issue(ONE), replace(ANN, name="Ann"))
    assert (subject.text, text.text) == (
        "For ann@example.org",
        "Ann ann@example.org https://news.example.org/u?a=1&b=2",
    )
    assert "<p>Dear ANN</p>" in rich.text
    assert "<p>Hello</p>" in digest.render(issue(ONE))[1].text


def test_what_is_made_for_each_has_no_slot_even_before_its_subscriber_is_known(tmp_path: Path) -> None:
    documents = own(tmp_path, f"<p>{PLAIN}{{% set x = subscriber %}}</p>").render(issue(ONE))
    assert not [document.name for document in documents if "\uffff" in document.text]
    assert "https://news.example.org/unsubscribe/example" in documents[1].text


def test_a_subject_that_tells_who_reads_it_is_made_for_each(tmp_path: Path) -> None:
    assert own(tmp_path, "<p></p>", subject="{{ subscriber.name }}").personal
    assert not own(tmp_path, "<p></p>", subject="{{ publication.title }} for subscribers").personal


def test_what_nobody_knows_of_a_subscriber_is_told_when_the_issue_is_made(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match=r"mine\.html\.j2:2: .* has no attribute 'age'"):
        own(tmp_path, "<p>\n{{ subscriber.age }}").render(issue(ONE))


@settings(max_examples=40)
@given(st.text() | st.sampled_from(["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</style><script>"]))
def test_titles_and_names_never_become_markup(text: str) -> None:
    publication = replace(WEEKLY, title="T" + text, site=replace(SITE, title=text, postal_address=text))
    told = [
        entry(
            n,
            title=text,
            link="https://a.example/",
            authors=(Author(name=text),),
            image=text,
            source=text,
            language=text,
        )
        for n in range(3)
    ]
    made = rendered(replace(issue(*told), publication=publication))
    page = LexborHTMLParser(made["mail.html"].text)
    assert page.css("script, [onerror], img:not(.picture)") == []
    assert len(page.css(".headlines a")) == 3
    assert len(page.css("h1")) == 1
    assert len(made["subject.txt"].text.splitlines()) == 1
