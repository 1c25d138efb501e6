"""``publisher subscriber`` as an operator types it: real processes, their words and their exit codes."""

from __future__ import annotations

import csv
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HOUSE = """
sources:
  notes: {kind: folder, path: notes}
publications:
  weekly: {title: The Weekly, digest: {schedule: "mon 08:00"}, deliver: [post]}
  monthly: {title: Monthly, digest: {schedule: "monthly 1 08:00"}, deliver: [post]}
channels:
  post: {kind: smtp, url: "smtp://127.0.0.1:9", from: News <news@example.org>}
subscriptions: {}
"""
GHOST = """\
id,email,name,note,subscribed_to_emails,complimentary_plan,stripe_customer_id,created_at,deleted_at,labels,tiers
1,ada@example.org,Ada,,true,false,,2022-05-06T07:08:09.000Z,,,
2,bob@example.org,Bob,,false,false,,2022-05-06T07:08:09.000Z,,,
3,\x1b[31mnobody,Eve,,true,false,,2022-05-06T07:08:09.000Z,,,
"""


@pytest.fixture
def config(tmp_path: Path, write_config: Callable[[str], Path]) -> Path:
    (tmp_path / "notes").mkdir()
    (tmp_path / "members.csv").write_text(GHOST)
    return write_config(HOUSE)


@pytest.fixture
def subscriber(config: Path) -> Callable[..., str]:
    def run(*words: str | Path, code: int = 0, given: str | None = None) -> str:
        """Run a command to its end; what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "publisher", "-c", str(config), "subscriber", *map(str, words)],
            capture_output=True, text=True, timeout=60, check=False, cwd=config.parent, input=given,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + (done.stderr if code else "")

    return run


def test_a_list_is_tried_and_then_taken_over(subscriber: Callable[..., str], config: Path) -> None:
    words = ("import", "members.csv", "--publication", "weekly")
    dry = subscriber(*words, "--dry-run", code=1)
    assert "Exported by Ghost, 3 lines; nothing was changed." in dry
    assert json.loads(subscriber("list", "--json")) == []
    said = subscriber(*words, code=1)
    assert re.search(r"1 +get it from now on", said)
    assert re.search(r"1 +had left", said)
    assert "line 4:  [31mnobody: not a mail address" in said, "nothing of it reaches the terminal"
    told = json.loads(subscriber(*words, "--json", "--refused", "refused.csv", code=1).partition("}")[0] + "}")
    assert {name: told[name] for name in ("known", "suppressed", "refused", "enrolled")} == {
        "known": 1, "suppressed": 1, "refused": 1, "enrolled": 0,
    }  # fmt: skip
    with (config.parent / "refused.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["line", "address", "why"], ["4", "\x1b[31mnobody", "not a mail address"]]
    assert (config.parent / "refused.csv").stat().st_mode & 0o077 == 0


def test_a_list_comes_from_standard_input_and_goes_to_standard_output(subscriber: Callable[..., str]) -> None:
    words = ("import", "-", "--publication", "weekly")
    subscriber(*words, "--consent", "At our fair", given="email,name\nada@example.org,=1+1\n")
    out = subscriber("export")
    [row] = csv.DictReader(out.splitlines())
    assert (row["address"], row["name"], row["publication"], row["state"]) == (
        "ada@example.org", "'=1+1", "weekly", "active",
    )  # fmt: skip
    assert "At our fair (a plain list, standard input)" in subscriber("history", "ada@example.org")


def test_only_the_first_hundred_refused_lines_are_printed(subscriber: Callable[..., str]) -> None:
    given = "email\n" + "nobody\n" * 130
    said = subscriber("import", "-", "--publication", "weekly", code=1, given=given)
    assert said.count("not a mail address") == 100
    assert "and 30 more lines; --refused FILE writes all of them" in said


def test_an_export_is_for_its_owner_only_and_is_taken_over_again(subscriber: Callable[..., str], config: Path) -> None:
    subscriber("import", "members.csv", "--publication", "weekly", code=1)
    assert "readers.csv: 1 subscriptions" in subscriber("export", "readers.csv", "--state", "active")
    assert (config.parent / "readers.csv").stat().st_mode & 0o077 == 0
    said = subscriber("import", "readers.csv", "--publication", "weekly")
    assert "Exported by this house, 1 lines." in said
    assert re.search(r"1 +were there already", said)
    assert "it is about weekly" in subscriber("import", "readers.csv", "--publication", "monthly", code=1)


def test_a_reader_is_added_looked_at_removed_and_erased(subscriber: Callable[..., str]) -> None:
    said = subscriber("add", "ada@example.org", "weekly", "monthly", "--consent", "At our fair", "--name", "Ada")
    assert said == "ada@example.org gets weekly, monthly\n"
    assert re.search(r"ada@example.org +Ada +monthly active, weekly active", subscriber("list"))
    assert "/preferences/" not in subscriber("show", "ada@example.org")
    assert "https://news.example.org/preferences/1-" in subscriber("show", "ada@example.org", "--link")
    assert (
        subscriber("remove", "ada@example.org", "--publication", "weekly")
        == "ada@example.org gets nothing more of weekly\n"
    )
    assert "suppression list" in subscriber("add", "ada@example.org", "weekly", "--consent", "x", code=2)
    shown = json.loads(subscriber("show", "ada@example.org", "--json"))
    assert [sub["state"] for sub in shown["subscriptions"]] == ["active", "left"]
    assert [one["reason"] for one in shown["suppressions"]] == ["unsubscribed"]
    assert "say --yes" in subscriber("erase", "ada@example.org", code=2, given="")
    assert "is erased" in subscriber("erase", "ada@example.org", "--yes")
    assert "erased" in subscriber("show", "ada@example.org")
    acts = [said["act"] for said in json.loads(subscriber("history", "ada@example.org", "--json"))]
    assert acts == ["enrolled", "enrolled", "left", "erased"]
    assert "no subscriber" in subscriber("erase", "ada@example.org", "--yes", code=1)


def test_the_suppression_list_shows_a_hash_of_who_was_erased(subscriber: Callable[..., str], config: Path) -> None:
    subscriber("add", "ada@example.org", "weekly", "--consent", "At our fair")
    subscriber("erase", "ada@example.org", "--yes")
    words = [sys.executable, "-m", "publisher", "-c", str(config), "suppression", "list"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert re.search(r"#[0-9a-f]{40} +all +erased", said)
    assert "ada@" not in said


def test_who_is_added_without_consent_is_asked_and_may_be_confirmed_by_hand(
    subscriber: Callable[..., str], config: Path
) -> None:
    assert "is asked by mail" in subscriber("add", "ada@example.org", "weekly")
    assert "nothing of ada@example.org waits" in subscriber(
        "confirm", "ada@example.org", "weekly", "--words", "x", code=1
    )
    words = [sys.executable, "-m", "publisher", "-c", str(config), "run", "--once"]
    subprocess.run(words, capture_output=True, check=False)
    assert "ada@example.org" in subscriber("list", "--state", "pending")
    said = subscriber("confirm", "ada@example.org", "weekly", "--words", "By telephone, 3 May")
    assert said == "ada@example.org gets weekly\n"
    assert "By telephone, 3 May" in subscriber("history", "ada@example.org")


def test_a_list_is_told_page_by_page(subscriber: Callable[..., str]) -> None:
    rows = "email\n" + "".join(f"r{number}@example.org\n" for number in range(5))
    subscriber("import", "-", "--publication", "weekly", "--consent", "x", given=rows)
    first = json.loads(subscriber("list", "--most", "3", "--json"))
    rest = json.loads(subscriber("list", "--after", str(first[-1]["subscriber"]["id"]), "--json"))
    assert [row["subscriber"]["address"][:2] for row in first + rest] == ["r0", "r1", "r2", "r3", "r4"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["import", "members.csv", "--publication", "nwes"], 2, "there is: weekly, monthly"),
        (["import", "none.csv", "--publication", "weekly"], 2, "none.csv: cannot be read"),
        (["import", "config.yaml", "--publication", "weekly"], 2, "no column is called email"),
        (["add", "nobody", "weekly", "--consent", "x"], 2, "not a mail address"),
        (["add", "ada@example.org", "nwes"], 2, "no 'nwes' to subscribe to"),
        (["list", "--state", "gone"], 2, "--state is pending, active or left"),
        (["export", "no/such/folder.csv"], 1, "cannot be written"),
        (["show", "ada@example.org"], 1, "is no subscriber"),
        (["history", "ada@example.org"], 1, "knows nothing of ada@example.org"),
        (["remove", "nobody"], 2, "not a mail address"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(
    subscriber: Callable[..., str], words: list[str], code: int, said: str
) -> None:
    told = subscriber(*words, code=code)
    assert said in told
    assert "Traceback" not in told


def test_on_a_terminal_a_bar_tells_how_far_it_is(config: Path) -> None:
    (config.parent / "long.csv").write_text("email\n" + "".join(f"r{number}@example.org\n" for number in range(45_000)))
    ours, theirs = pty.openpty()
    words = ["import", "long.csv", "--publication", "weekly", "--consent", "x"]
    process = subprocess.Popen(
        [sys.executable, "-m", "publisher", "-c", str(config), "subscriber", *words],
        stderr=theirs, stdout=subprocess.DEVNULL, cwd=config.parent, env=os.environ | {"TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    while True:
        try:
            seen += os.read(ours, 4096)
        except OSError:
            break
    os.close(ours)
    assert process.wait() == 0
    assert re.search(rb"[\d,]+ lines, [\d,]+ /s", seen)
