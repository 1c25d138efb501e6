from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from datetime import datetime, timedelta
from typing import Any


def lines(code: str, *set_up: str) -> list[str]:
    """What a process writes to its standard error, which is no terminal."""
    program = f"import logging\nfrom publisher.log import logger, set_up\nset_up{set_up!r}\nlog = logger()\n{code}"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == ""
    return ran.stderr.splitlines()


def objects(code: str, *set_up: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(code, *set_up)]


def test_away_from_a_terminal_each_line_is_one_json_object() -> None:
    [told] = objects("log.info('collect', subject='blog', result='3 new\\nü')")
    stamp = datetime.fromisoformat(told.pop("timestamp"))
    assert stamp.utcoffset() == timedelta(0)
    assert told == {"event": "collect", "level": "info", "subject": "blog", "result": "3 new\nü"}


def test_a_traceback_stays_within_its_line() -> None:
    [told] = objects("try:\n    1 / 0\nexcept Exception as error:\n    log.warning('collect', exc_info=error)")
    assert "ZeroDivisionError: division by zero" in told["exception"]
    assert "\n" in told["exception"]


def test_libraries_speak_in_the_same_form_from_warning_on() -> None:
    code = "logging.getLogger('lib').info('chatter')\nlogging.getLogger('lib').warning('careful: %s', 7)"
    [told] = objects(code, "debug")
    assert (told["event"], told["level"]) == ("careful: 7", "warning")


def test_the_level_decides_what_we_tell() -> None:
    code = "for level in ('debug', 'info', 'warning', 'error'):\n    getattr(log, level)(level)"
    told = {level: [line["event"] for line in objects(code, level)] for level in ("debug", "info", "warning", "error")}
    assert told == {
        "debug": ["debug", "info", "warning", "error"],
        "info": ["info", "warning", "error"],
        "warning": ["warning", "error"],
        "error": ["error"],
    }


def test_what_cannot_be_encoded_does_not_stop_the_house() -> None:
    assert "\\ud800" in "".join(lines("log.info('odd', title='\\ud800')"))


def test_text_is_for_people_even_away_from_a_terminal_if_they_ask() -> None:
    [line] = lines("log.info('collect', subject='blog')", "info", "text")
    assert "collect" in line
    assert "blog" in line
    assert not line.startswith("{")
    assert "\x1b" not in line, "colours are for terminals"


def test_on_a_terminal_lines_are_text() -> None:
    ours, theirs = pty.openpty()
    program = "from publisher.log import logger, set_up; set_up(); logger().info('collect', subject='blog')"
    subprocess.run([sys.executable, "-c", program], stderr=theirs, check=True)
    os.close(theirs)
    told = os.read(ours, 10_000).decode()
    os.close(ours)
    assert "collect" in told
    assert not told.startswith("{")


def test_setting_up_again_says_nothing_twice() -> None:
    assert len(objects("set_up('info', 'json')\nlog.info('once')")) == 1
