import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from publisher import templating
from publisher.errors import RenderError, TooLong
from publisher.templating import Templates


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own.html.j2").write_text("<p>{{ text }}</p>\n")
    (tmp_path / "own.txt.j2").write_text("{{ text }}\n")
    return tmp_path


def told(act) -> str:
    with pytest.raises(RenderError) as caught:
        act()
    return str(caught.value)


def test_html_is_escaped_and_text_is_not(folder: Path) -> None:
    templates = Templates(folder)
    assert templates.render("own.html.j2", text="<b>&") == "<p>&lt;b&gt;&amp;</p>\n"
    assert templates.render("own.txt.j2", text="<b>&") == "<b>&\n"
    assert templates.render_text("{{ text }}", text="<b>&") == "<b>&"


def test_data_is_never_compiled(folder: Path) -> None:
    assert Templates(folder).render_text("{{ text }}", text="{{ 7 * 7 }}{% for") == "{{ 7 * 7 }}{% for"


def test_the_operators_folder_is_searched_first_and_may_extend_what_it_replaces(folder: Path) -> None:
    (folder / "page.html.j2").write_text("mine")
    (folder / "digest.html.j2").write_text(
        "{% extends 'built-in/digest.html.j2' %}{% block style %}{% endblock %}{% block masthead %}{% endblock %}"
        "{% block headlines %}{% endblock %}{% block entries %}only this{% endblock %}{% block footer %}{% endblock %}"
    )
    assert Templates(folder).render("page.html.j2") == "mine"
    known = {"publication": type("P", (), {"language": "en"}), "issue": type("I", (), {"subject": "S"}), "entries": ()}
    assert "only this" in Templates(folder).render("digest.html.j2", **known)


def test_the_names_are_those_of_both_folders_once(folder: Path) -> None:
    (folder / "page.html.j2").write_text("mine")
    built_in = ["digest.html.j2", "digest.txt.j2", "page.html.j2", "style.css.j2"]
    names = Templates(folder).names()
    assert names == sorted(set(names))
    assert {*built_in, "own.html.j2", "own.txt.j2"} <= set(names)
    assert set(built_in) <= set(Templates(folder / "missing").names())


def test_the_fingerprint_changes_with_any_template_and_with_nothing_else(folder: Path) -> None:
    before = Templates(folder).fingerprint()
    (folder / "readme.md").write_text("not a template")
    assert Templates(folder).fingerprint() == before != Templates().fingerprint()
    (folder / "own.txt.j2").write_text("edited")
    assert Templates(folder).fingerprint() != before


def test_all_built_in_templates_compile() -> None:
    templates = Templates()
    for name in templates.names():
        templates.check(name)


def test_templates_are_found_inside_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "publisher"
    shutil.copytree(Path(templating.__file__).parents[1] / "templates", package / "templates")
    monkeypatch.setattr("publisher.__file__", str(package / "__init__.py"))
    (package / "templates" / "digest.txt.j2").write_text("from the wheel")
    assert Templates().render("digest.txt.j2") == "from the wheel"


def test_an_unknown_name_is_told_with_its_line_and_the_names_that_are_known(folder: Path) -> None:
    (folder / "own.html.j2").write_text("<p>\n\n{{ entri }}</p>")
    with pytest.raises(RenderError) as caught:
        Templates(folder).render("own.html.j2", entries=(), issue=1)
    assert str(caught.value) == "own.html.j2:3: 'entri' is undefined"
    assert caught.value.hint == "Known here: entries, issue."


def test_a_fault_in_an_included_template_names_that_one(folder: Path) -> None:
    (folder / "part.html.j2").write_text("\n{{ 1 / 0 }}")
    (folder / "own.html.j2").write_text("{% include 'part.html.j2' %}")
    assert told(lambda: Templates(folder).render("own.html.j2")) == "part.html.j2:2: division by zero"


def test_a_fault_of_syntax_is_found_without_rendering(folder: Path) -> None:
    (folder / "own.html.j2").write_text("fine\n{% if %}")
    assert told(lambda: Templates(folder).check("own.html.j2")).startswith("own.html.j2:2: ")
    assert told(lambda: Templates(folder).check_text("{{ title | nosuch }}")).startswith("template:1: No filter named")


def test_a_missing_template_is_told(folder: Path) -> None:
    (folder / "own.html.j2").write_text("\n{% include 'part.html.j2' %}")
    assert told(lambda: Templates(folder).check("no.html.j2")) == "no.html.j2: there is no template 'no.html.j2'"
    wrong = told(lambda: Templates(folder).render("own.html.j2"))
    assert wrong == "own.html.j2:2: there is no template 'part.html.j2'"


def test_a_template_outside_the_folder_cannot_be_named(folder: Path) -> None:
    (folder / "inner").mkdir()
    assert "there is no template" in told(lambda: Templates(folder / "inner").check("../own.html.j2"))


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ text.__init__.__globals__ }}",
        "{{ '{0.__class__}'.format(text) }}",
        "{% for i in range(10**9) %}{% endfor %}",
    ],
)
def test_the_sandbox_holds(text: str) -> None:
    assert told(lambda: Templates().render_text(text, text="x")).startswith("template:1: ")


def test_a_runaway_template_is_stopped() -> None:
    text = "{% for i in range(99999) %}{% for i in range(99999) %}{{ 'x' * 1000 }}{% endfor %}{% endfor %}"
    with pytest.raises(RenderError, match="more than 10,000,000 characters") as caught:
        Templates().render_text(text)
    assert not isinstance(caught.value, TooLong)


def test_a_template_that_is_not_text_is_told(folder: Path) -> None:
    (folder / "own.html.j2").write_bytes(b"\xff\xfe")
    assert told(lambda: Templates(folder).check("own.html.j2")).startswith("own.html.j2: ")


def test_dates_are_written_in_the_zone_and_pattern_asked_for() -> None:
    moment = datetime(2026, 11, 2, 23, 30, tzinfo=UTC)
    text = "{{ m | date }}|{{ m | date('Asia/Tokyo') }}|{{ m | date('Asia/Tokyo', '%H:%M') }}"
    assert Templates().render_text(text, m=moment) == "2 November 2026|3 November 2026|08:30"


def test_the_filters_speak_html_text_and_json() -> None:
    known = {"html": "<p>One &amp; <b>two</b></p>", "data": {"a": "<ü>"}}
    assert Templates().render_text("{{ html | plain }}", **known) == "One & two"
    assert Templates().render_text("{{ html | excerpt(5) }}", **known) == "One…"
    assert Templates().render_text("{{ html | to_text | trim }}", **known) == "One & two"
    assert Templates().render_text("{{ data | tojson }}", **known) == '{"a": "\\u003c\\u00fc\\u003e"}'


@pytest.mark.parametrize(("language", "direction"), [("en", "ltr"), ("ar", "rtl"), ("he-IL", "rtl"), ("fa_IR", "rtl")])
def test_the_direction_of_a_language_is_known(language: str, direction: str) -> None:
    assert Templates().render_text("{{ language | direction }}", language=language) == direction


# --- what a template does with a variable ----------------------------------------------------------------------------

PARTS = {
    "prints.j2": "{{ who.name }}",
    "asks.j2": "\n{% if who.name %}x{% endif %}",
    "base.j2": "{% block a %}{{ who.name }}{% endblock %}",
    "shouts.j2": "{% filter upper %}{% block a %}{% endblock %}{% endfilter %}",
    "macros.j2": "{% macro m() %}{{ who.name }}{% endmacro %}",
    "loop.j2": "{% include 'loop.j2' %}{{ who.name }}",
}


@pytest.fixture
def parts(folder: Path) -> Path:
    for name, text in PARTS.items():
        (folder / name).write_text(text)
    return folder


def beyond(folder: Path, text: str) -> str:
    (folder / "it.j2").write_text(text)
    return Templates(folder).beyond_printing("it.j2", "who")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "who",
        "{{ other.who }}{{ 'who' }}{% if other %}{{ who.name }}{% endif %}",
        "{% for one in others if one %}{{ loop.index }} {{ who.name }}{{ one | upper }}{% endfor %}",
        "{% include 'prints.j2' %}{% include ['no.j2', 'prints.j2'] %}{% include 'no.j2' ignore missing %}",
        "{% include 'asks.j2' without context %}{{ who.name }}",
        "{% import 'macros.j2' as macros %}{{ macros.m() }}",
        "{% extends 'base.j2' %}{% block a %}{{ super() }}{{ who.address }}{{ self.b() }}{% endblock %}",
        "{% filter upper %}{{ other }}{{ self.a() }}{% endfilter %}{% macro m(x) %}{{ x }}{% endmacro %}",
        "{% include 'loop.j2' %}",
    ],
)
def test_a_template_that_only_prints_is_found(parts: Path, text: str) -> None:
    assert beyond(parts, text) == ""


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("\n{{ who }}", "it.j2:2"),
        ("{{ who.name | upper }}", "it.j2:1"),
        ("{{ who['name'] }}", "it.j2:1"),
        ("{{ who.name.upper() }}", "it.j2:1"),
        ("{{ who.name ~ 'x' }}", "it.j2:1"),
        ("{{ who.name if x else y }}", "it.j2:1"),
        ("{{ f(who) }}{{ f(x=who.name) }}", "it.j2:1"),
        ("{% if who.name %}x{% endif %}", "it.j2:1"),
        ("{% for letter in who.name %}x{% endfor %}", "it.j2:1"),
        ("{% set x = who.name %}", "it.j2:1"),
        ("{% set x %}{{ who.name }}{% endset %}", "it.j2:1"),
        ("{% with x = who %}{% endwith %}", "it.j2:1"),
        ("{% filter upper %}\n{{ who.name }}{% endfilter %}", "it.j2:2"),
        ("{% macro m() %}{{ who.name }}{% endmacro %}", "it.j2:1"),
        ("{% call m() %}{{ who.name }}{% endcall %}", "it.j2:1"),
        ("{% autoescape false %}{{ who.name }}{% endautoescape %}", "it.j2:1"),
        ("{% include 'asks.j2' %}", "asks.j2:2"),
        ("{% include ['no.j2', 'asks.j2'] %}", "asks.j2:2"),
        ("{% filter upper %}{% include 'prints.j2' %}{% endfilter %}", "prints.j2:1"),
        ("{% include 'prints.j2' %}{% filter upper %}{% include 'prints.j2' %}{% endfilter %}", "prints.j2:1"),
        ("{% include x %}", "it.j2:1"),
        ("{% filter upper %}{% include x %}{% endfilter %}", "it.j2:1"),
        ("{% import 'macros.j2' as macros with context %}", "macros.j2:1"),
        ("{% from 'macros.j2' import m with context %}", "macros.j2:1"),
        ("{% extends 'asks.j2' %}", "asks.j2:2"),
        ("{% extends x %}", "it.j2:1"),
        ("{% extends 'base.j2' %}{% block a %}{{ super() | upper }}{% endblock %}", "it.j2:1"),
        ("{% block a %}{{ who.name }}{% endblock %}{% set x = self.a() %}", "it.j2:1"),
        ("{% extends 'shouts.j2' %}{% block a %}{{ who.name }}{% endblock %}", "shouts.j2:1"),
    ],
)
def test_a_template_that_does_more_than_print_is_found_and_where(parts: Path, text: str, place: str) -> None:
    assert beyond(parts, text) == place


def test_what_cannot_be_read_is_told_and_not_guessed_at(folder: Path) -> None:
    assert told(lambda: beyond(folder, "\n{% if %}")).startswith("it.j2:2: ")
    assert told(lambda: Templates(folder).beyond_printing("no.j2", "who")) == "no.j2: there is no template 'no.j2'"
    assert told(lambda: Templates(folder).mentions("{% if %}", "who")).startswith("template:1: ")


def test_a_text_mentions_a_variable_however_it_is_used(parts: Path) -> None:
    templates = Templates(parts)
    for text in (
        "{{ who }}",
        "{{ who.name | upper }}",
        "{{ who.name }}",
        "{% include 'prints.j2' %}",
        "{% include x %}",
    ):
        assert templates.mentions(text, "who")
    assert not templates.mentions("who {{ whose }} {{ other.who }}", "who")


# --- other languages -------------------------------------------------------------------------------------------------


def test_a_sentence_is_said_in_the_language_of_the_page_and_in_english_where_it_is_not_known(tmp_path: Path) -> None:
    (tmp_path / "words").mkdir()
    (tmp_path / "words/de.json").write_text(json.dumps({"Leave {title}": "{title} verlassen"}))
    (tmp_path / "leave.html.j2").write_text('{{ _("Leave {title}", title=title) }}')
    templates = Templates(tmp_path)

    def said(language: str) -> str:
        return templates.render("leave.html.j2", language=language, title="<News>")

    assert [said(tag) for tag in ("de", "de-AT", "DE")] == ["&lt;News&gt; verlassen"] * 3
    assert [said(tag) for tag in ("fr", "en", "", "../de")] == ["Leave &lt;News&gt;"] * 4


def test_words_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "words").mkdir()
    (tmp_path / "words/de.json").write_text("{")
    with pytest.raises(RenderError, match=r"words/de\.json"):
        Templates(tmp_path).render_text('{{ _("Leave") }}', language="de")


@pytest.mark.parametrize(
    "text", ["{{ 'x' * 99999999 }}", "{{ 9 ** 99999999 }}", "{{ 9 ** (9 ** 9) }}", "{{ [1] * 10 ** 9 }}"]
)
def test_what_would_grow_out_of_hand_is_refused_before_it_is_made(text: str) -> None:
    with pytest.raises(RenderError, match="makes more than"):
        Templates().render_text(text)
    assert Templates().render_text("{{ '-' * 3 }}{{ 3 * 'ab' }}{{ 2 ** 10 }}{{ 2.5 * 2 }}") == "---ababab10245.0"
