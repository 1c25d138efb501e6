from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from publisher.options import MASK, Duration, LocalPath, Secret, Size, WebAddress, duration, size, spell


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("1h30m", timedelta(minutes=90)),
        ("1H 30M", timedelta(minutes=90)),
        ("7d", timedelta(days=7)),
        ("2w", timedelta(days=14)),
    ],
)
def test_a_duration_is_read_as_people_write_it(text: str, length: timedelta) -> None:
    assert duration(text) == length


@pytest.mark.parametrize("text", ["", "30", "m", "-5m", "1.5h", "0m", "9999999999999d", "30 minutes", None, []])
def test_what_is_no_duration_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match=r"duration|longer"):
        duration(text)


@given(st.integers(1, 10**8).map(lambda seconds: timedelta(seconds=seconds)))
def test_a_duration_that_was_spelt_is_read_back(length: timedelta) -> None:
    assert duration(spell(length)) == length


@pytest.mark.parametrize(
    ("text", "count"),
    [("5MB", 5_000_000), ("512KiB", 524_288), ("1.5 gb", 1_500_000_000), ("100", 100), (100, 100), ("10B", 10)],
)
def test_a_size_is_read_as_people_write_it(text: Any, count: int) -> None:
    assert size(text) == count


@pytest.mark.parametrize("text", ["", "MB", "0", "0.1B", "-1", "5XB", "9" * 400, "5 MB MB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"size|larger"):
        size(text)


@pytest.mark.parametrize("url", ["http://10.0.0.5/notices", "https://example.org:8443/a?b#c"])
def test_a_web_address_is_left_as_it_is(url: str) -> None:
    assert TypeAdapter(WebAddress).validate_python(url) == url


@pytest.mark.parametrize(
    "url", ["example.org", "ftp://example.org", "http://", "http://[::1", "https://a:b/", "http://a b/", "http://a/\n"]
)
def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="not a web address"):
        TypeAdapter(WebAddress).validate_python(url)


def test_a_path_starts_at_the_folder_of_the_configuration() -> None:
    paths = TypeAdapter(LocalPath)
    assert paths.validate_python("feeds/", context={"folder": "/srv"}) == Path("/srv/feeds")
    assert paths.validate_python("/var/feeds", context={"folder": "/srv"}) == Path("/var/feeds")
    assert paths.validate_python("~/feeds", context={"folder": "/srv"}) == Path.home() / "feeds"
    with pytest.raises(ValidationError, match="nobody here"):
        paths.validate_python("~nobody-of-this-name/feeds", context={"folder": "/srv"})


class Options(BaseModel):
    every: Duration = timedelta(minutes=90)
    largest: Size = 1000
    password: Secret = "geheim"
    other: Secret | None = "geheim"
    empty: Secret = ""
    headers: dict[str, Secret] = {"Authorization": "geheim"}


def test_what_is_shown_of_options_is_readable_and_holds_no_secret() -> None:
    shown = Options().model_dump(mode="json")
    assert shown == {
        "every": "1h30m",
        "largest": 1000,
        "password": MASK,
        "other": MASK,
        "empty": "",
        "headers": {"Authorization": MASK},
    }
    assert Options().password == "geheim"
