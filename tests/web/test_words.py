"""What pages and notices say, in the languages that there are words in."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

TEMPLATES = Path(__file__).parents[2] / "templates"
PAGES = [*TEMPLATES.glob("notice.*.j2"), *(file for file in TEMPLATES.glob("*.html.j2") if "digest" not in file.name)]


@pytest.mark.parametrize("language", [file.stem for file in (TEMPLATES / "words").glob("*.json")])
def test_every_sentence_has_words_and_they_name_the_same_values(language: str) -> None:
    words = json.loads((TEMPLATES / f"words/{language}.json").read_text())
    said = {sentence for file in PAGES for sentence in re.findall(r'\b_\("([^"]*)"', file.read_text())}
    assert said - set(words) == set()
    for sentence, translation in words.items():
        assert sorted(re.findall(r"\{\w*\}", translation)) == sorted(re.findall(r"\{\w*\}", sentence)), sentence
