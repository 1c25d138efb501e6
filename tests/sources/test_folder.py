"""Folders of notes: golden folders, and what goes wrong with files."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from publisher.errors import SourceError
from publisher.model import Cursor, Harvest
from publisher.net import Net
from publisher.sources.folder import Folder

GOLDEN = Path(__file__).parent.parent / "golden" / "folder"


def fetch(path: Path, cursor: Cursor | None = None, **options: Any) -> Harvest:
    return Folder(path=path, **options).fetch(cursor, Net())


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


@pytest.mark.parametrize("case", sorted(path.name for path in GOLDEN.iterdir()))
def test_a_golden_folder_gives_what_is_expected(case: str) -> None:
    expected = json.loads((GOLDEN / case / "expected.json").read_text())
    harvest = fetch(GOLDEN / case / "input")
    items = [
        {key: value for key, value in asdict(item).items() if value not in ("", (), None)} for item in harvest.items
    ]
    assert json.loads(json.dumps({"items": items, "notes": harvest.notes}, default=str)) == expected


def test_an_unchanged_folder_is_not_read_again(tmp_path: Path) -> None:
    file = write(tmp_path, "a.md", "# One")
    first = fetch(tmp_path)
    assert fetch(tmp_path, first.cursor).unchanged
    write(tmp_path, "a.md", "# Two, and longer")
    os.utime(file, (1, 1))
    assert [item.title for item in fetch(tmp_path, first.cursor).items] == ["Two, and longer"]


def test_a_folder_that_is_missing_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nowhere: cannot be read: No such file"):
        fetch(tmp_path / "nowhere")


def test_a_folder_that_lost_all_its_files_unpublishes_nothing(tmp_path: Path) -> None:
    file = write(tmp_path, "a.md", "# One")
    cursor = fetch(tmp_path).cursor
    file.unlink()
    with pytest.raises(SourceError, match="no file is there any more"):
        fetch(tmp_path, cursor)


def test_a_new_folder_may_be_empty(tmp_path: Path) -> None:
    assert fetch(tmp_path).items == ()


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("---\ntitle: [\n---\nx", "broken.md: line "),
        ("---\ntitle: a\ntitle: b\n---\nx", "broken.md: line 3: found duplicate key"),
        ("---\ndate: soon\n---\nx", "broken.md: not a date: 'soon'"),
        ("---\njust words\n---\nx", "broken.md: line 2: the front matter must be made of lines"),
        ("+++\ntitle = \n+++\nx", "broken.md: line 2: Invalid value"),
    ],
)
def test_a_broken_file_is_left_out_with_a_note_and_harms_no_other(tmp_path: Path, text: str, note: str) -> None:
    write(tmp_path, "broken.md", text)
    write(tmp_path, "sound.md", "# Sound")
    harvest = fetch(tmp_path)
    assert [item.title for item in harvest.items] == ["Sound"]
    assert harvest.notes[0].startswith(note)


def test_bytes_that_are_no_text_and_huge_files_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "b.md").write_bytes(b"x" * 2_000_001)
    assert fetch(tmp_path).items == ()
    assert fetch(tmp_path).notes == ("a.md: line 1: not UTF-8; save it in that encoding", "b.md: more than 2 MB")


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path, "secret.md", "# Secret")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/link.md").symlink_to(tmp_path / "secret.md")
    assert fetch(tmp_path / "notes").items == ()


def test_a_pattern_chooses_the_files(tmp_path: Path) -> None:
    write(tmp_path, "in/a.md", "# In")
    write(tmp_path, "out/a.md", "# Out")
    assert [item.title for item in fetch(tmp_path, pattern="in/*.md").items] == ["In"]
    assert len(fetch(tmp_path, pattern=("in/*.md", "out/*", "**/a.md")).items) == 2
    assert fetch(tmp_path / "in", pattern="../out/*.md").items == ()


@pytest.mark.parametrize("pattern", ["/etc/*", "", "**x/*.md"])
def test_a_pattern_that_means_nothing_is_a_fault_of_the_configuration(pattern: str) -> None:
    with pytest.raises(ValidationError, match="not a pattern"):
        TypeAdapter(Folder).validate_python({"path": "notes", "pattern": pattern})


def test_a_broken_file_is_read_again_when_it_is_mended(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "---\ntitle: [\n---\nx")
    broken = fetch(tmp_path)
    write(tmp_path, "a.md", "---\ntitle: Mended\n---\nx")
    assert [item.title for item in fetch(tmp_path, broken.cursor).items] == ["Mended"]


def test_more_files_than_one_visit_takes_are_left_out_with_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("publisher.sources.folder._MOST", 3)
    for day in range(1, 6):
        write(tmp_path, f"2026-11-0{day}.md", f"# Day {day}")
    harvest = fetch(tmp_path)
    assert [item.title for item in harvest.items] == ["Day 5", "Day 4", "Day 3"]
    assert harvest.notes == ("2 of 5 files were left out: one visit takes 3",)


def test_every_golden_folder_says_what_is_expected() -> None:
    assert [path.name for path in GOLDEN.iterdir() if not (path / "expected.json").is_file()] == []
