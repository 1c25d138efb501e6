"""Input beside expected output: tests/golden/renderers/<case>/.  A missing file is written, and fails once."""

import runpy
from pathlib import Path

import pytest
from renderer_samples import SITE, issue, selection

from publisher import renderers
from publisher.model import Document, Entry
from publisher.templating import Templates

FOLDER = Path(__file__).parents[1] / "golden" / "renderers"
CASES = sorted(path.parent.name for path in FOLDER.glob("*/case.py"))
SUBJECT = "{{ publication.title }}: {{ entries[0].title }}"


def documents(entries: tuple[Entry, ...]) -> list[Document]:
    templates = Templates()
    made = [document for form in renderers.FORMATS.values() for document in form(templates).render(selection(*entries))]
    digest = renderers.digest(templates, template="digest", subject=SUBJECT)
    return made + (list(digest.render(issue(*entries), renderers.example(SITE))) if entries else [])


@pytest.mark.parametrize("case", CASES)
def test_the_documents_are_those_of_the_golden_folder(case: str) -> None:
    made = documents(runpy.run_path(str(FOLDER / case / "case.py"))["ENTRIES"])
    missing = [document for document in made if not (FOLDER / case / document.name).exists()]
    for document in missing:
        (FOLDER / case / document.name).write_bytes(document.body)
    assert not missing
    for document in made:
        assert document.text == (FOLDER / case / document.name).read_bytes().decode(), document.name


@pytest.mark.parametrize("case", CASES)
def test_rendering_twice_gives_the_same_bytes(case: str) -> None:
    entries = runpy.run_path(str(FOLDER / case / "case.py"))["ENTRIES"]
    assert documents(entries) == documents(entries)
