from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from publisher.app import load
from publisher.check import check
from publisher.templating import Templates

HOUSE = """
publications:
  news:
    title: News
    sources: []
    digest: {{schedule: "mon 08:00", subject: "{subject}"}}
    recipients: [ada@example.org]
"""

Found = Callable[..., list[str]]


@pytest.fixture
def found(tmp_path: Path, write_config: Callable[[str], Path]) -> Found:
    """What is found well of a digest besides that it compiles."""

    def find(template: str = "", subject: str = "News") -> list[str]:
        settings = load(write_config(HOUSE.format(subject=subject)))
        (tmp_path / "templates").mkdir()
        if template:
            (tmp_path / "templates/digest.html.j2").write_text(template)
        findings = check(settings, Templates(tmp_path / "templates"))
        ours = [finding for finding in findings if finding.place.startswith("publications.news.digest")]
        assert all(finding.well for finding in ours)
        return [finding.message for finding in ours if "compiles" not in finding.message]

    return find


def test_of_a_template_that_only_prints_its_subscriber_nothing_is_said(found: Found) -> None:
    assert found("{{ subscriber.name }}") == []


def test_a_template_that_asks_about_its_subscriber_is_told_with_its_line(found: Found) -> None:
    [said] = found(
        "{% extends 'built-in/digest.html.j2' %}\n{% block footer %}{{ subscriber.name | upper }}{% endblock %}"
    )
    assert said.startswith("digest.html.j2:2: `subscriber` is not only printed, so each recipient's mail is rendered")


def test_a_subject_that_knows_its_subscriber_is_told(found: Found) -> None:
    [said] = found(subject="For {{ subscriber.name }}")
    assert said.startswith("`subscriber` is in the subject, so each recipient's mail is rendered")
