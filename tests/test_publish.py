from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from publisher.errors import RenderError
from publisher.model import Document
from publisher.publish import write


def document(name: str, body: bytes) -> Document:
    return Document(name=name, media_type="text/plain", body=body)


RSS, ATOM = document("rss.xml", b"<rss/>"), document("atom.xml", b"<feed/>")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "feeds" / "weekly"


def test_documents_are_written_into_a_folder_that_is_made(folder: Path) -> None:
    assert write(folder, [RSS, ATOM]) == ["rss.xml", "atom.xml"]
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {"rss.xml": RSS.body, "atom.xml": ATOM.body}


def test_what_has_the_same_bytes_is_not_touched(folder: Path) -> None:
    write(folder, [RSS, ATOM])
    before = (folder / "rss.xml").stat()
    assert write(folder, [RSS, document("atom.xml", b"<feed>2</feed>")]) == ["atom.xml"]
    after = (folder / "rss.xml").stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    assert (folder / "atom.xml").read_bytes() == b"<feed>2</feed>"


def test_files_of_formats_that_were_given_up_are_removed_and_those_of_others_left_alone(folder: Path) -> None:
    write(folder, [RSS, ATOM, *(document(name, b"x") for name in ("feed.json", "index.html", "style.css"))])
    (folder / "robots.txt").write_text("the operator's own")
    assert write(folder, [RSS]) == ["atom.xml", "feed.json", "index.html", "style.css"]
    assert sorted(file.name for file in folder.iterdir()) == ["robots.txt", "rss.xml"]


@settings(deadline=None)  # a disk takes the time it takes
@given(st.lists(st.dictionaries(st.sampled_from(["rss.xml", "atom.xml", "feed.json"]), st.binary(max_size=3))))
def test_the_folder_always_holds_what_was_written_last(editions: list[dict[str, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder, before = Path(temporary), dict[str, bytes]()
        for edition in editions:
            told = write(folder, [document(name, body) for name, body in edition.items()])
            assert {file.name: file.read_bytes() for file in folder.iterdir()} == edition
            assert set(told) == {name for name in before | edition if before.get(name) != edition.get(name)}
            before = edition


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_a_web_server_under_another_user_can_read_the_files(folder: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write(folder, [RSS])
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / "rss.xml").stat().st_mode) == 0o644


def test_a_reader_never_sees_half_a_file(folder: Path) -> None:
    editions = [bytes([letter]) * 300_000 for letter in b"ab"]
    write(folder, [document("rss.xml", editions[0])])
    done, seen = threading.Event(), set[bytes]()

    def read() -> None:
        while not done.is_set():
            seen.add((folder / "rss.xml").read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(60):
        write(folder, [document("rss.xml", editions[turn % 2])])
    done.set()
    reader.join()
    assert seen <= set(editions)


# --- a disk that refuses ---------------------------------------------------------------------------------------------


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every user of this machine may reach; tmp_path is for our eyes only."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        write(folder, [RSS])
        yield folder
        folder.chmod(0o755)


def in_a_child(before: str, folder: Path, body: str) -> str:
    """What ``write`` says in a process that has first done something to itself."""
    program = (
        "import os, resource, sys\nfrom pathlib import Path\nfrom publisher.errors import PublisherError\n"
        "from publisher.model import Document\nfrom publisher.publish import write\n"
        f"{before}\ndocument = Document(name='rss.xml', media_type='x', body={body})\n"
        f"try:\n    print(write(Path({str(folder)!r}), [document]))\n"
        "except PublisherError as error:\n    print(error.words)"
    )
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def test_a_disk_that_takes_no_more_is_told_and_the_old_file_stays_whole(public_folder: Path) -> None:
    # A limit on the size of files refuses in the middle of a write, as a full disk does.
    limit = f"resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, {resource.RLIM_INFINITY}))"
    told = in_a_child(limit, public_folder, "b'x' * 1_000_000")
    assert told.startswith(f"{public_folder}: cannot be written: File too large (make room, or")
    assert [(file.name, file.read_bytes()) for file in public_folder.iterdir()] == [("rss.xml", RSS.body)]


def test_a_folder_that_is_read_only_is_told_and_the_old_file_stays_whole(public_folder: Path) -> None:
    public_folder.chmod(0o555)
    ordinary = "if os.geteuid() == 0:\n    os.seteuid(65534)"  # nothing is read-only to root
    told = in_a_child(ordinary, public_folder, "b'new'")
    assert told.startswith(f"{public_folder}: cannot be written: Permission denied (make room, or give this user")
    assert [(file.name, file.read_bytes()) for file in public_folder.iterdir()] == [("rss.xml", RSS.body)]


def test_a_file_where_the_folder_should_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "feeds").write_text("not a folder")
    with pytest.raises(RenderError, match=r"feeds/weekly: cannot be written: Not a directory"):
        write(tmp_path / "feeds" / "weekly", [RSS])


def test_a_folder_where_a_file_should_be_is_told_and_nothing_is_left_behind(folder: Path) -> None:
    (folder / "rss.xml").mkdir(parents=True)
    with pytest.raises(RenderError, match=r"cannot be written: Is a directory"):
        write(folder, [RSS])
    assert [file.name for file in folder.iterdir()] == ["rss.xml"]
