"""What the files of other systems say: golden files, hostile ones, and what is written so that nothing executes it."""

from __future__ import annotations

import csv
import io
import json
import re
import tracemalloc
from contextlib import suppress
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher.errors import Unfit
from publisher.store import Standing
from publisher.subscribers.cells import LONGEST, Row, as_meant, harmless, rows
from publisher.subscribers.imports import Terms, decide
from publisher.subscribers.lists import Layout, Line, Says, layout, moment_of

GOLDEN = Path(__file__).parents[1] / "golden" / "lists"
CASES = sorted(folder.name for folder in GOLDEN.iterdir())
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def read(data: bytes | str, file: str = "") -> tuple[Layout, list[Line]]:
    stream = io.BytesIO(data.encode() if isinstance(data, str) else data)
    of_file = rows(stream)
    first = next(of_file)
    form = layout(first, file)
    return form, [form.line(row) for row in ([] if form.has_header else [first])] + [form.line(row) for row in of_file]


def told(line: Line) -> dict[str, object]:
    """The fields that say something."""
    given = {field.name: field.default for field in fields(Line)}
    return {name: value for name, value in asdict(line).items() if value != given[name]}


@pytest.mark.parametrize("case", CASES)
def test_a_golden_list_says_what_is_expected(case: str) -> None:
    form, lines = read((GOLDEN / case / "input.csv").read_bytes(), f"{case}.csv")
    said = {"system": form.system.name, "lines": [told(line) for line in lines]}
    text = json.dumps(said, indent=1, ensure_ascii=False, default=str) + "\n"
    expected = GOLDEN / case / "expected.json"
    if not expected.exists():
        expected.write_text(text, "utf-8")
        pytest.fail("the expected output was missing, and is written: look at it")
    assert text == expected.read_text("utf-8")


# --- moments and cells -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2021-04-02 09:30:00", datetime(2021, 4, 2, 9, 30, tzinfo=UTC)),
        ("2021-04-02T09:30:00.5Z", datetime(2021, 4, 2, 9, 30, 0, 500_000, tzinfo=UTC)),
        ("2021-04-02 11:30:00 +0200 UTC", datetime(2021, 4, 2, 9, 30, tzinfo=UTC)),
        ("2021-04-02", datetime(2021, 4, 2, tzinfo=UTC)),
        ("4/2/2021", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9" * 1000, None),
        ("", None),
    ],
)
def test_moments_are_read_as_these_systems_write_them(written: str, moment: datetime | None) -> None:
    assert moment_of(written) == moment


AWKWARD = st.text(st.sampled_from("=+-@\t\n\r'\"abc;, ＝") | st.characters(exclude_categories=["Cs"]))


@given(AWKWARD)
def test_what_is_written_harmless_is_read_as_it_was_meant(cell: str) -> None:
    assert as_meant(harmless(cell)) == cell


@given(st.lists(AWKWARD, min_size=1))
def test_no_cell_begins_with_a_formula_wherever_a_spreadsheet_splits(cells: list[str]) -> None:
    for cell in map(harmless, cells):
        for piece in re.split("[,;\t\n\r]", cell):
            assert not piece.startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠"))
        assert not cell.startswith(("\t", "\r", "\n"))


@given(
    st.lists(st.lists(st.text("ab\"', ;=\n", max_size=8), min_size=2, max_size=4).filter(lambda r: "".join(r).strip()))
)
def test_rows_that_a_csv_writer_wrote_are_read_again(table: list[list[str]]) -> None:
    width = 3
    table = [["a", "b", "c"], *([*row, "", ""][:width] for row in table)]
    out = io.StringIO(newline="")
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows(table)
    assert [row.cells for row in rows(io.BytesIO(out.getvalue().encode()))] == table


@given(st.binary(max_size=300))
def test_no_bytes_raise(data: bytes) -> None:
    try:
        _, lines = read(b"email,name\n" + data)
    except Unfit:
        return
    for line in lines:
        assert line.number >= 2
        assert line.says is not Says.NOTHING or line.why


@given(st.binary(min_size=1, max_size=300))
def test_a_header_of_any_bytes_is_understood_or_refused(data: bytes) -> None:
    first = next(rows(io.BytesIO(data)), None)
    if first is not None:
        with suppress(Unfit):
            layout(first)


def test_a_file_without_addresses_says_what_to_do() -> None:
    with pytest.raises(Unfit, match="no column is called email") as caught:
        layout(Row(1, ["name", "city"]))
    assert "called email" in caught.value.hint


# --- hostile files ---------------------------------------------------------------------------------------------------

HEAD = "email,name\n"
ADA, BEN = "ada@harbour.example,Ada\n", "ben@harbour.example,Ben\n"


def refusals(text: str | bytes) -> list[tuple[int, str]]:
    """The lines that say nothing; Ada before and Ben after what is hostile are read in any case."""
    _, lines = read(text)
    assert [line.address for line in lines if line.says is Says.LISTED] == [
        "ada@harbour.example",
        "ben@harbour.example",
    ]
    return [(line.number, line.why) for line in lines if line.says is Says.NOTHING]


@pytest.mark.parametrize(
    ("hostile", "why"),
    [
        ("x\0y@harbour.example,Eve\n", "not a mail address"),
        (f'"{"x" * 10_000_000}",Eve\n', f"longer than {LONGEST:,} characters"),
        ("x" * 10_000_000 + "\n", f"longer than {LONGEST:,} characters"),
        ('"eve@harbour.example,Eve\n', "a quotation mark is not closed"),
        ("," * 100_000 + "\n", "more than 1,000 cells"),
        (HEAD, "the header once more"),
        ("=cmd|'/c calc'!A1,Eve\n", "not a mail address"),
        (",Eve\n", "no address"),
        ("eve <eve@harbour.example>,Eve\n", "not a mail address"),
        ("x" * 400 + "@harbour.example,Eve\n", "not a mail address"),
    ],
)
def test_a_hostile_line_is_named_and_the_next_one_is_read(hostile: str, why: str) -> None:
    assert refusals(HEAD + ADA + hostile + BEN) == [(3, why)]


def test_an_address_with_a_line_break_in_it_is_none() -> None:
    assert refusals(HEAD + ADA + '"eve@harbour.example\r\nBcc: x@y.example",Eve\n' + BEN) == [(3, "not a mail address")]


def test_a_mark_that_is_not_closed_swallows_nobody_up_to_the_next_one() -> None:
    _, lines = read(HEAD + ADA + '"eve@harbour.example,Eve\n' + BEN + 'finn@harbour.example,"Finn ""F"""\n')
    assert [(line.number, line.says, line.name) for line in lines] == [
        (2, Says.LISTED, "Ada"),
        (3, Says.NOTHING, ""),
        (4, Says.LISTED, "Ben"),
        (5, Says.LISTED, 'Finn "F"'),
    ]


def test_an_endless_line_takes_no_more_memory_than_a_row_may() -> None:
    class Endless(io.RawIOBase):
        left = 50_000_000

        def read(self, size: int = -1) -> bytes:
            self.left -= size
            return b"x" * size if self.left > 0 else b""

    tracemalloc.start()
    found = list(rows(Endless()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [row.fault for row in found] == [f"longer than {LONGEST:,} characters"]
    assert peak < 3_000_000


def test_a_stray_byte_spoils_its_line_and_no_other() -> None:
    data = (
        HEAD.encode() + "ada@harbour.example,Jürgen\n".encode() + "ben@harbour.example,Jürgen\n".encode("windows-1252")
    )
    assert [line.name for line in read(data)[1]] == ["Jürgen", "Jürgen"]


# --- what a line comes to --------------------------------------------------------------------------------------------

LATER = datetime(2026, 2, 2, tzinfo=UTC)


def line(says: Says, **more: object) -> Line:
    return Line(number=2, says=says, address="ada@harbour.example", **more)


@pytest.mark.parametrize(
    ("says", "terms", "outcome"),
    [
        (Says.WANTS, {}, "enrolled"),
        (Says.LISTED, {}, "refused"),
        (Says.LISTED, {"consent": "At our fair"}, "enrolled"),
        (Says.LISTED, {"ask": True}, "asked"),
        (Says.UNCONFIRMED, {}, "refused"),
        (Says.UNCONFIRMED, {"consent": "At our fair"}, "refused"),
        (Says.UNCONFIRMED, {"ask": True}, "asked"),
        (Says.LEFT, {}, "left"),
        (Says.DEAD, {}, "dead"),
        (Says.COMPLAINED, {}, "dead"),
        (Says.BLOCKED, {}, "dead"),
        (Says.NOTHING, {"consent": "At our fair", "ask": True}, "refused"),
    ],
)
def test_what_becomes_of_somebody_new(says: Says, terms: dict[str, object], outcome: str) -> None:
    assert decide(line(says), Standing(), Terms(publication="weekly", **terms)).outcome == outcome


@given(
    says=st.sampled_from(Says),
    state=st.sampled_from(["", "asked", "pending", "active", "left"]),
    reason=st.sampled_from(["hard", "soft", "complaint", "unsubscribed", "erased", "by hand"]),
    consent=st.sampled_from(["", "They said so"]),
    ask=st.booleans(),
)
def test_nothing_overrides_the_suppression_list(says: Says, state: str, reason: str, consent: str, ask: bool) -> None:
    terms = Terms(publication="weekly", consent=consent, ask=ask)
    verdict = decide(line(says, moment=NOW), Standing(suppressed=frozenset({reason}), state=state), terms)
    assert verdict.outcome in ("suppressed", "dead", "refused")


def test_who_came_back_after_they_left_there_stays() -> None:
    terms = Terms(publication="weekly")
    assert decide(line(Says.LEFT, moment=NOW), Standing(state="active", confirmed=LATER), terms).outcome == "known"
    assert decide(line(Says.LEFT, moment=LATER), Standing(state="active", confirmed=NOW), terms).outcome == "left"
    assert decide(line(Says.LEFT), Standing(state="active", confirmed=NOW), terms).outcome == "left"


def test_a_line_about_another_publication_is_refused() -> None:
    verdict = decide(line(Says.WANTS, publication="monthly"), Standing(), Terms(publication="weekly"))
    assert (verdict.outcome, verdict.why) == ("refused", "it is about monthly")
