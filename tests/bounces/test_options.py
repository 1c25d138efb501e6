"""What an operator writes into ``bounces:`` and types, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from publisher import config
from publisher.app import App, load
from publisher.bounces import ways
from publisher.cli import cli
from publisher.errors import ConfigError

GOOD = """
bounces:
  mailbox: {url: "imaps://b%40example.org:hunter2@imap.example.org", every: 10m, ca: ca.pem}
  mailgun: {signing_key: "${KEY}"}
"""


def test_each_way_is_set_up_from_its_options(write_config: Callable[[str], Path], tmp_path: Path) -> None:
    settings = load(write_config(GOOD), {"KEY": "hunter3"})
    inbox, mailgun = settings.bounces.part("mailbox"), settings.bounces.part("mailgun")
    assert inbox
    assert mailgun
    assert (inbox.options.every, inbox.options.ca) == (timedelta(minutes=10), tmp_path / "ca.pem")
    assert mailgun.options.signing_key == "hunter3"
    assert settings.bounces.part("ses") is settings.bounces.part("part") is None
    other = load(write_config(GOOD.replace("10m", "5m")), {"KEY": "hunter3"}).bounces
    assert (other.part("mailbox").fingerprint == inbox.fingerprint) is False
    assert other.part("mailgun").fingerprint == mailgun.fingerprint


def test_no_secret_is_shown(write_config: Callable[[str], Path]) -> None:
    settings = load(write_config(GOOD), {"KEY": "hunter3"})
    told = config.show(settings) + repr(settings.bounces) + repr(settings)
    assert "every: 10m" in told
    assert "hunter" not in told


def test_nothing_need_be_written(write_config: Callable[[str], Path]) -> None:
    settings = load(write_config(""), {})
    assert [settings.bounces.part(name) for name in ways()] == [None] * 6


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("bounces:\n  mailgum: {signing_key: x}\n", "5: bounces.mailgum: unknown option (did you mean 'mailgun'?)"),
        ("bounces:\n  mailgun:\n    key: x\n", "6: bounces.mailgun.key: unknown option"),
        ("bounces:\n  mailgun: {}\n", "5: bounces.mailgun.signing_key: is missing"),
        ("bounces:\n  mailbox:\n    url: ftp://u:hunter2@h\n", "5: bounces.mailbox: url: it begins with imaps://"),
        ("bounces:\n  mailbox:\n    url: imaps://u:hunter2@h\n    every: soon\n", "7: bounces.mailbox.every: not a"),
        ("bounces:\n  ses: {topic: bounces}\n", "5: bounces.ses: topic: write the topic's ARN"),
        (
            'channels: {a: {kind: smtp, url: "smtp://r", unsubscribe: "u@example.org"}}\n',
            "4: channels.a: unsubscribe: write unsubscribe+{token}@example.org",
        ),
    ],
)
def test_a_fault_is_named_with_its_line(write_config: Callable[[str], Path], text: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write_config(text), {})
    assert f"config.yaml:{fault}" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_the_mailbox_is_read_at_its_slots(write_config: Callable[[str], Path], clock: Callable[[], object]) -> None:
    app = App(load(write_config(GOOD), {"KEY": "x"}), clock)  # type: ignore[arg-type]  # the clock of the tests
    [work] = app.due("bounces")
    assert work.run in app.runs
    with app.store.write() as tx:
        assert tx.runs.claim(work.run, work.slot, app.clock())
        tx.runs.finish(work.run, work.slot, "", app.clock())
    assert app.due("bounces") == []
    app.close()


def test_the_list_is_kept_by_hand(write_config: Callable[[str], Path]) -> None:
    file = write_config("")

    def publisher(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(cli, ["-c", str(file), *words])
        assert done.exit_code == code, done.output
        return done.output

    assert publisher("suppression", "add", "Ada@example.org") == "Ada@example.org gets nothing more\n"
    assert '"reason": "by hand"' in publisher("suppression", "list", "--json")
    assert "you who answers for it" in publisher("suppression", "remove", "ada@example.org")
    assert "is not on the list" in publisher("suppression", "remove", "ada@example.org", code=1)
    assert "must have an @-sign" in publisher("suppression", "add", "nobody", code=2)
    assert "no publication 'news'" in publisher("suppression", "add", "a@example.org", "--publication=news", code=2)
    assert "no mailbox is configured" in publisher("bounce", "read", code=2)
    assert (publisher("suppression", "list"), publisher("bounce", "list")) == ("", "")
