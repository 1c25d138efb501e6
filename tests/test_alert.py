from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from outside import Clock

from publisher.app import load
from publisher.config import Settings
from publisher.errors import ConfigError
from publisher.health import Complaint, advice
from publisher.model import Site
from publisher.renderers import alert
from publisher.templating import Templates

# --- who is told -----------------------------------------------------------------------------------------------------


def loaded(write_config: Callable[[str], Path], text: str) -> Settings:
    return load(write_config(text))


HOOK = '  hook: {kind: webhook, url: "https://a.example/"}\n'


def test_channels_that_speak_to_persons_need_recipients(write_config: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(write_config, f"channels:\n{HOOK}alerts:\n  deliver: [hook, outbox]\n")
    [fault] = caught.value.faults
    assert (fault.line, fault.place) == (6, "alerts")
    assert fault.message == "needs recipients: the channel 'outbox' speaks to persons, and nobody is named"


def test_channels_that_speak_to_one_place_need_none(write_config: Callable[[str], Path]) -> None:
    settings = loaded(write_config, f"channels:\n{HOOK}alerts: {{deliver: [hook]}}\n")
    assert settings.alerts
    assert settings.alerts.deliver == ("hook",)


def test_a_channel_that_is_not_there_is_told(write_config: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigError, match=r"alerts\.deliver\.0: there is no channel 'team'"):
        loaded(write_config, "alerts: {deliver: [team]}\n")


# --- what it says ----------------------------------------------------------------------------------------------------


def test_programs_are_told_the_same(clock: Clock) -> None:
    site = Site(title="News", url="https://news.example.org", timezone="Europe/Berlin")
    hostile = "<script>\uffffaddress\uffff\n{{ 7 }}"
    ill = Complaint(source="mill", title=hostile, ailment="silent", wrong=hostile, since=clock(), advice="look")
    letter = alert(Templates()).render(site, ill=[ill], well=[("blog", "B")], created=clock())
    by_name = {document.name: document.text for document in letter}
    assert by_name["subject.txt"] == "News: 1 source needs a look: mill; blog is well again"
    told = json.loads(by_name["issue.json"])
    assert (told["type"], told["well"]) == ("alert", [{"source": "blog", "title": "B"}])
    assert [one["source"] for one in told["ill"]] == ["mill"]
    assert "<script" not in by_name["mail.html"]
    assert "2026-10-19 11:00" in by_name["mail.txt"]
    assert not any("\uffff" in text for text in by_name.values())


def test_a_feed_that_a_list_names_is_called_by_its_title_and_tried_by_its_address(clock: Clock) -> None:
    advised = advice("failing", "planet/mill-1f", url="https://mill.example/feed")
    assert advised == "see what it answers now: publisher source test https://mill.example/feed"
    mill = Complaint(
        source="planet/mill-1f", title="The Mill", ailment="failing", wrong="down", since=clock(), advice=advised
    )
    site = Site(title="News", url="https://news.example.org")
    letter = alert(Templates()).render(site, ill=[mill], well=[("planet/b-2e", "")], created=clock())
    assert letter[0].text == "News: 1 source needs a look: The Mill; planet/b-2e is well again"
