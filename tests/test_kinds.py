from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from publisher import channels, sources
from publisher.errors import PublisherError
from publisher.kinds import kinds

KIND = """
from dataclasses import dataclass
from typing import ClassVar

@dataclass(frozen=True)
class Kind:
    kind: ClassVar[str] = {name!r}

KIND = Kind
"""


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A room of its own for each test, with the kinds ``near`` and ``far`` and a module that is no kind."""
    name = f"room_{abs(hash(request.node.name))}"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "near.py").write_text(KIND.format(name="near"))
    (folder / "far.py").write_text(KIND.format(name="far"))
    (folder / "_shared.py").write_text("raise RuntimeError('nobody imports this')")
    monkeypatch.syspath_prepend(tmp_path)
    return name


def install(site: Path, room: str, module: str, code: str) -> None:
    """A distribution as pip would leave it: a module, and metadata with an entry point."""
    (site / f"{module}.py").write_text(code)
    metadata = site / f"{module}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{room}]\n{module} = {module}:KIND\n")


def test_each_module_of_a_room_without_an_underscore_is_a_kind(room: str) -> None:
    assert sorted(kinds(room)) == ["far", "near"]


def test_a_third_partys_kind_is_found_by_its_entry_point(room: str, tmp_path: Path) -> None:
    install(tmp_path, room, f"theirs_{room}", KIND.format(name="gopher"))
    found = kinds(room)
    assert sorted(found) == ["far", "gopher", "near"]
    assert found["gopher"].__module__ == f"theirs_{room}"


def test_a_third_party_cannot_replace_a_kind_of_ours(room: str, tmp_path: Path) -> None:
    install(tmp_path, room, f"theirs_{room}", KIND.format(name="near"))
    with pytest.raises(PublisherError, match=rf"two kinds are named 'near'; theirs_{room}:KIND must take another name"):
        kinds(room)


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("import a_module_that_is_not_there", "No module named 'a_module_that_is_not_there'"),
        ("def broken(:", "invalid syntax"),
        ("", "has no attribute 'KIND'"),
        ("KIND = object()", "has no attribute 'kind'"),
    ],
)
def test_a_kind_that_cannot_be_loaded_is_named_with_its_reason(
    room: str, tmp_path: Path, code: str, complaint: str
) -> None:
    install(tmp_path, room, f"theirs_{room}", code)
    with pytest.raises(PublisherError, match=rf"the kind 'theirs_{room}' cannot be loaded: .*{complaint}"):
        kinds(room)


def test_kinds_are_looked_for_once(room: str, tmp_path: Path) -> None:
    found = kinds(room)
    install(tmp_path, room, f"theirs_{room}", KIND.format(name="gopher"))
    assert kinds(room) is found


@pytest.mark.parametrize("room", [sources, channels])
def test_our_own_kinds_are_named_like_their_files(room: ModuleType) -> None:
    own = room.kinds()
    assert own
    assert all(kind.__module__.rpartition(".")[2] == name for name, kind in own.items())


def test_a_source_kind_that_was_installed_is_among_ours(tmp_path: Path) -> None:
    install(tmp_path, "publisher.sources", "gopher", KIND.format(name="gopher"))
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from publisher import sources; print(*sources.kinds())"
    names = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert set(names) == {"gopher", *sources.kinds()}
