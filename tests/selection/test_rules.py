"""What rules make of an entry."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.config import RuleSettings
from publisher.model import Author, Entry
from publisher.selection import Rules, judges
from publisher.templating import Templates

ARRIVED = datetime(2026, 11, 2, 8, tzinfo=UTC)
TEMPLATES = Templates()
ENTRY = Entry(
    number=7,
    uid="urn:x:7",
    source="council",
    arrived=ARRIVED,
    changed=ARRIVED,
    title="Council: The bridge",
    summary="<p>A new <b>bridge</b>.</p>",
    authors=(Author(name="Ada"),),
    tags=("Town", "sponsored"),
    language="en",
)


def rules(*written: Mapping[str, Any]) -> Rules:
    return Rules([RuleSettings(**rule) for rule in written], TEMPLATES)


def made(*written: Mapping[str, Any], entry: Entry = ENTRY) -> Entry | None:
    return rules(*written).apply(entry)


def test_without_rules_an_entry_is_what_it_was() -> None:
    assert made() == ENTRY


@pytest.mark.parametrize(
    "condition",
    [
        '"sponsored" in entry.tags',
        'entry.source == "council" and not entry.link',
        'entry.title.startswith("Council:")',
        '"new bridge" in entry.text',
        '"ada" in entry.authors | map(attribute="name") | map("lower")',
        "entry.published.year == 2026",
        "entry.updated == entry.arrived",
        "entry.text | wordcount < 5",
        "true",
    ],
)
def test_what_a_condition_can_ask_of_an_entry(condition: str) -> None:
    assert made({"drop": condition}) is None
    assert made({"drop": f"not ({condition})"}) == ENTRY
    assert made({"keep": condition}) == ENTRY
    assert made({"keep": f"not ({condition})"}) is None
    judges()["condition"](condition)


def test_where_there_are_several_keeps_one_that_holds_is_enough_and_a_drop_is_final() -> None:
    keeps = [{"keep": "false"}, {"keep": "true"}]
    assert made(*keeps) == ENTRY
    assert made(*keeps, {"drop": "true"}) is None
    assert made({"drop": "true"}, *keeps) is None


def test_a_tag_is_added_once_however_it_is_written() -> None:
    assert made({"tag": "Bridges"}) == replace(ENTRY, tags=("Town", "sponsored", "Bridges"))
    assert made({"tag": "TOWN"}) == ENTRY
    assert made({"tag": "from {{ entry.source }}"}, {"tag": "{{ '' }}"}) == replace(
        ENTRY, tags=(*ENTRY.tags, "from council")
    )


def test_a_title_is_made_by_a_template_on_one_line_and_never_taken_away() -> None:
    wording = "{{ entry.title | replace('Council: ', '') }}{% if entry.language %} ({{ entry.language }}){% endif %}\n"
    judges()["wording"](wording)
    assert made({"retitle": wording}) == replace(ENTRY, title="The bridge (en)")
    assert made({"retitle": "{{ '' }} "}) == ENTRY
    long = made({"retitle": "{{ 'x' * 9999 }}"})
    assert long
    assert (len(long.title), long.title[-1]) == (500, "…")


def test_a_section_and_a_pin_are_given_where_they_belong_and_the_last_section_wins() -> None:
    council = {"section": "Council", "when": 'entry.source == "council"'}
    other = {"section": "Other", "when": 'entry.source == "blog"'}
    assert made(council, other) == replace(ENTRY, section="Council")
    assert made(other, council, {"section": "All"}) == replace(ENTRY, section="All")
    assert made({"pin": "'Town' in entry.tags"}) == made({"pin": "true"}) == replace(ENTRY, pinned=True)
    assert made({"pin": "true"}, {"pin": "false"}) == replace(ENTRY, pinned=True)
    assert made({"pin": "true", "when": "false"}) == ENTRY


def test_later_rules_see_what_earlier_ones_made() -> None:
    first = {"retitle": "Bridge"}, {"tag": "news"}, {"section": "Town"}, {"pin": "true"}
    seen = "entry.title == 'Bridge' and 'news' in entry.tags and entry.section == 'Town' and entry.pinned"
    assert made(*first, {"drop": seen}) is None
    assert made({"drop": seen}, *first) is not None


def test_what_an_issue_told_is_dressed_by_the_rules_and_never_dropped() -> None:
    ours = rules({"drop": "true"}, {"keep": "false"}, {"section": "Town"}, {"tag": "a"})
    assert ours.dress(ENTRY) == replace(ENTRY, section="Town", tags=(*ENTRY.tags, "a"))


# --- what fails ------------------------------------------------------------------------------------------------------

FAILING = [
    "entry.authors[5].name == 'x'",
    "entry.title < 5",
    "entry.published > '2026'",
    "entry.title.foo.bar",
    "1 / (entry.number - 7)",
    "entry.title * 999999999",
    "entry.number ** 99999999999",
    "range(99999999)",
    "entry.tags.append('x')",
    "entry.title.__class__.__mro__",
]


@pytest.mark.parametrize("condition", FAILING)
def test_a_condition_that_fails_changes_nothing_and_is_told(condition: str) -> None:
    for rule in ({"drop": condition}, {"keep": condition}, {"pin": condition}, {"tag": "x", "when": condition}):
        ours = rules(rule, {"section": "Town"})
        assert ours.apply(ENTRY) == replace(ENTRY, section="Town")
        assert ours.trouble.startswith("rule 1 failed on an entry: condition")
        assert ours.trouble.endswith("(entry 7, 'Council: The bridge')")


def test_a_template_that_fails_changes_nothing_and_is_told_with_how_often() -> None:
    ours = rules({"section": "Town"}, {"retitle": "{{ entry.authors[3].name }}"})
    for number in (1, 2, 2, 3):
        assert ours.apply(replace(ENTRY, number=number)) == replace(ENTRY, number=number, section="Town")
    assert ours.trouble.startswith("rule 2 failed on 3 entries: template:1: ")


def test_what_is_told_of_failures_is_bounded() -> None:
    ours = rules(*[{"tag": "{{ entry.title.x.y }}"}] * 50)
    ours.apply(replace(ENTRY, title="x" * 9999))
    assert 100 < len(ours.trouble) <= 300


def test_where_nothing_failed_nothing_is_told() -> None:
    ours = rules({"tag": "a"})
    ours.apply(ENTRY)
    assert ours.trouble == ""


@given(title=st.text(max_size=40), tag=st.text(max_size=20), summary=st.text(max_size=40))
def test_what_comes_from_outside_is_never_run(title: str, tag: str, summary: str) -> None:
    hostile = replace(ENTRY, title="{{ 7 * 7 }}" + title, tags=("{% for %}" + tag,), summary=summary)
    ours = rules(
        {"drop": "entry.title == '49'"},
        {"tag": "{{ entry.title }}"},
        {"retitle": "{{ entry.tags[0] }} {{ entry.text }}"},
    )
    found = ours.apply(hostile)
    assert found
    assert ("{% for %}" in found.title, "{{ 7 * 7 }}" in found.tags[1]) == (True, True)
    assert ours.trouble == ""


conditions = st.sampled_from(["true", "false", "'a' in entry.tags", "entry.number > 5", *FAILING[:4]])
acts = st.one_of(
    st.builds(lambda act, condition: {act: condition}, st.sampled_from(["drop", "keep", "pin"]), conditions),
    st.builds(
        lambda act, text, condition: {act: text, "when": condition},
        st.sampled_from(["tag", "retitle", "section"]),
        st.sampled_from(["a", "b"]),
        conditions,
    ),
)


@given(st.lists(acts, max_size=6), st.integers(1, 9))
def test_rules_decide_alone_from_the_entry_and_touch_nothing_else(written: list[dict[str, str]], number: int) -> None:
    entry = replace(ENTRY, number=number)
    found = made(*written, entry=entry)
    assert found == made(*written, entry=entry)
    if found:
        assert found.tags[:2] == entry.tags
        plain = replace(found, tags=entry.tags, title=entry.title, section="", pinned=False)
        assert plain == entry
        assert found == rules(*written).dress(entry) or any("drop" in rule or "keep" in rule for rule in written)


@given(st.lists(acts, max_size=6))
def test_an_entry_is_only_missing_where_a_rule_says_so(written: list[dict[str, str]]) -> None:
    sure = [rule for rule in written if not {"drop", "keep"} & set(rule)]
    assert made(*sure) is not None
    failing = [{"drop": FAILING[0]}, {"keep": FAILING[1]}]
    assert made(*sure, *failing) is not None


# --- what is wrong when it is read -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("sponsored in entry.tags", "there is no 'sponsored', only entry (text stands in quotes: \"sponsored\")"),
        ("sponsored", "there is no 'sponsored', only entry"),
        ("entry.titel", "entry has no 'titel' (did you mean 'title'?)"),
        ("entry.titel == 'x'", "entry has no 'titel' (did you mean 'title'?)"),
        ("entry.source = 'x'", "cannot be understood: chunk after expression (compare by ==)"),
        ("entry.tags && entry.title", "(say `and`)"),
        ("entry.tags || entry.title", "(say `or`)"),
        ("!entry.tags", "(say `not`)"),
        ("{{ entry.tags }}", "(write it without {{ }})"),
        ("'a' in", "cannot be understood: "),
        ("", """(write it like '"sea" in entry.tags')"""),
        ("entry.title | shout", "No filter named 'shout'"),
        ("entry.title is loud", "No test named 'loud'"),
        ("range(5)", "there is no 'range', only entry"),
        ("entry.title | select(" + "(" * 300, "cannot be understood: "),
    ],
)
def test_a_wrong_condition_is_told_with_what_to_write_instead(condition: str, words: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as raised:
        judges()["condition"](condition)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("wording", "words"),
    [
        ("{{ entry.titel }}", "entry has no 'titel' (did you mean 'title'?)"),
        ("{{ title }}", "there is no 'title', only entry"),
        ("{{ entry.title", "cannot be understood: "),
        ("  ", "is empty"),
        ("{% for a in entry.tags %}x{% endfor %}", "more than {{ … }} and {% if … %} is not possible here"),
        ("{% include 'digest.html.j2' %}", "more than {{ … }} and {% if … %} is not possible here"),
        ("{% macro m() %}{{ m() }}{% endmacro %}", "more than {{ … }} and {% if … %} is not possible here"),
    ],
)
def test_a_wrong_template_is_told(wording: str, words: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as raised:
        judges()["wording"](wording)
    assert words in str(raised.value)


@given(st.text(max_size=30))
def test_whatever_is_written_is_judged_and_nothing_else_happens(text: str) -> None:
    for judge in judges().values():
        with suppress(ValueError):
            judge(text)
