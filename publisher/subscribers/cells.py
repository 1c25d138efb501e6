"""The cells of a CSV file, whoever wrote it: read within bounds, and written so that no spreadsheet executes them.

The file may be of any size, in any of the encodings and with any of the delimiters that spreadsheets write, and
broken or hostile: what cannot be read is a line of its own, and the next one is read as if nothing had been.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import deque
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple, TextIO

LONGEST = 1 << 17
"""Characters of a row, at most: thirty times what the longest of an export is."""
WIDEST = 1000
"""Cells of a row, at most."""

_MOST_LINES = 100  # of a file, that one row goes over
_SNIFFED = 1 << 16
_DELIMITERS = ",;\t"
_NOT_UTF8 = re.compile("[\udc80-\udcff]")

# Where a spreadsheet begins a cell, be it split at commas or at semicolons, these begin a formula (the wide ones where
# the system writes Chinese or Japanese).  It takes what follows an apostrophe for text, and so do we: one of them more
# is written, one less read.
_BEGINS = "(?:^|(?<=[;,\t\n\r]))"
_FORMULA = "(?='*[=+\\-@\t\n\r＝＋－＠])"
_HARMFUL = re.compile(_BEGINS + _FORMULA)
_HARMLESS = re.compile(f"{_BEGINS}'{_FORMULA}")


class Row(NamedTuple):
    """A row of the file."""

    line: int
    """Where it begins, counted from 1."""
    cells: list[str]
    fault: str = ""
    """Why it cannot be read; empty where it can."""


def harmless(cell: str) -> str:
    """A cell as it may be written: nothing in it is executed by a spreadsheet."""
    return _HARMFUL.sub("'", cell)


def as_meant(cell: str) -> str:
    """A cell that ``harmless`` wrote, as it was before."""
    return _HARMLESS.sub("", cell)


def rows(stream: BinaryIO, passed: Callable[[int], None] = lambda count: None) -> Iterator[Row]:
    """The rows of a file, empty lines left out.  Never more of it is in memory than one row may have.

    Args:
        passed: told how many bytes have been taken from the stream in all, now and then.

    Raises:
        OSError: the stream cannot be read.
    """
    lines = _Lines(_text(stream, passed))
    delimiter = ""
    while (line := lines.take()) is not None:
        if not line.strip():
            continue
        delimiter = delimiter or max(_DELIMITERS, key=line.count)
        yield _row(lines, line, delimiter)


def _row(lines: _Lines, line: str, delimiter: str) -> Row:
    number = lines.number
    if len(line) > LONGEST:
        return Row(number, [], f"longer than {LONGEST:,} characters")
    if '"' not in line:
        cells: list[str] | None = line.rstrip("\n").split(delimiter)
    else:
        cells = _quoted(lines, line, delimiter)
    if cells is None:
        return Row(number, [], "a quotation mark is not closed")
    if len(cells) > WIDEST:
        return Row(number, [], f"more than {WIDEST:,} cells")
    return Row(number, cells)


def _quoted(lines: _Lines, line: str, delimiter: str) -> list[str] | None:
    """The cells of a row that may go over several lines; None, and only its first line taken, where it has no end.

    What goes over several lines must be right to the letter: else a mark that is not closed would swallow all rows up
    to the next one.
    """
    taken = [line]

    def more() -> Iterator[str]:
        yield line
        while len(taken) < _MOST_LINES and sum(map(len, taken)) <= LONGEST and (next_one := lines.take()) is not None:
            taken.append(next_one)
            yield next_one

    try:
        return next(csv.reader(more(), delimiter=delimiter, strict=True))
    except csv.Error:
        lines.give_back(taken[1:])
        return _by_itself(line, delimiter)


def _by_itself(line: str, delimiter: str) -> list[str] | None:
    """The cells of one line, with marks wherever they are; None where it does not end with it."""
    wanted: list[bool] = []

    def once() -> Iterator[str]:
        yield line
        wanted.append(True)

    try:
        cells = next(csv.reader(once(), delimiter=delimiter))
    except csv.Error:  # a cell is longer than the module takes
        return None
    return None if wanted else cells


class _Lines:
    """The lines of a text, with a way to give some back."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._waiting: deque[str] = deque()
        self.number = 0
        """Of the line that was taken last."""

    def take(self) -> str | None:
        """The next line with its end, cut where it is longer than a row may be; None at the end of the text."""
        if not self._waiting:
            line = self._text.readline(LONGEST + 1)
            self._skip_rest(line)
            if not line:
                return None
            self._waiting.append(_decoded(line))
        self.number += 1
        return self._waiting.popleft()

    def _skip_rest(self, line: str) -> None:
        while len(line) > LONGEST and not line.endswith("\n"):
            line = self._text.readline(LONGEST + 1)

    def give_back(self, lines: list[str]) -> None:
        """Let these be taken again."""
        self._waiting.extendleft(reversed(lines))
        self.number -= len(lines)


def _decoded(line: str) -> str:
    """A line that is not UTF-8 is windows-1252, as spreadsheets write where nobody asked them for better."""
    if line.isascii() or not _NOT_UTF8.search(line):
        return line
    return line.encode("utf-8", "surrogateescape").decode("windows-1252", "replace")


def _text(stream: BinaryIO, passed: Callable[[int], None]) -> TextIO:
    buffered = io.BufferedReader(_Counted(stream, passed), _SNIFFED)
    mark = buffered.peek(2)[:2]
    if mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return io.TextIOWrapper(buffered, "utf-16", "replace")
    return io.TextIOWrapper(buffered, "utf-8-sig", "surrogateescape")


class _Counted(io.RawIOBase):
    """A stream that tells how much has been read of it."""

    def __init__(self, stream: BinaryIO, passed: Callable[[int], None]) -> None:
        self._stream, self._passed, self._count = stream, passed, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # what BufferedReader hands in
        """Fill as much of a buffer as there is."""
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        self._count += len(data)
        self._passed(self._count)
        return len(data)
