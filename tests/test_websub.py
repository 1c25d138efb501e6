"""What is decided of hubs without asking any: Link headers, leases, pauses, signatures."""

from __future__ import annotations

import hashlib
import hmac
import time
from datetime import timedelta
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from publisher import websub

HOUR, DAY = timedelta(hours=1), timedelta(days=1)

HEADERS = [
    ('<https://hub.example/>; rel="hub"', ["https://hub.example/"]),
    ("<https://hub.example/>;rel=hub", ["https://hub.example/"]),
    ("<https://hub.example/> ; REL = HUB", ["https://hub.example/"]),
    ('<a>; rel="self", <b>; rel="hub", <c>; rel=hub', ["b", "c"]),
    ('<a>; rel="alternate HUB other"; type="text/html"', ["a"]),
    ('<a>; title="x; rel=hub, <b>; rel=hub"; rel=next', []),
    (r'<a>; title="\"x; rel=\"hub"; rel=hub', ["a"]),
    ("<a>; rel=self; rel=hub", []),  # the first counts (section 3.3)
    ('<a>; rel=hub; anchor="#part"', []),
    ("<https://hub.example/?a=1,2;b>; rel=hub", ["https://hub.example/?a=1,2;b"]),
    ("<a>; rel=hubs, <b>; rel=xhub, <c>", []),
    (', ,<a>;;rel="hub";, <b>; crossorigin; rel=hub', ["a", "b"]),
    ("rel=hub", []),
    ("", []),
]


@pytest.mark.parametrize(("header", "hubs"), HEADERS)
def test_a_link_header_is_read_as_the_standard_has_it(header: str, hubs: list[str]) -> None:
    assert websub.linked(header, "hub") == hubs


@given(st.text(alphabet='<>;,="\\ relhub', max_size=200))
def test_any_link_header_is_read_or_not(header: str) -> None:
    for relation in ("hub", "self"):
        assert all(isinstance(found, str) for found in websub.linked(header, relation))


@pytest.mark.parametrize("piece", ["<", "<a>", '<a>"', '<a>;"\\', "<a>;rel=", '<a>;a="b";', "<a>,", "; =", "<a>; a"])
def test_no_link_header_takes_long(piece: str) -> None:
    began = time.process_time()
    websub.linked(piece * 100_000, "hub")
    websub.linked(f"<a>; {piece * 100_000}", "hub")
    assert time.process_time() - began < 5


@given(
    st.lists(st.text(alphabet="abc/:", min_size=1, max_size=5), min_size=1, max_size=3),
    st.text(max_size=5),
    st.booleans(),
)
def test_the_hub_to_ask_is_one_of_those_there_are_and_stays_while_it_answers(
    hubs: list[str], current: str, failing: bool
) -> None:
    found = websub.chosen(hubs, current, failing=failing)
    assert found in hubs
    if current in hubs and not failing:
        assert found == current


def test_one_of_several_hubs_that_fails_is_followed_by_the_next_and_the_last_by_the_first() -> None:
    assert websub.chosen("ab", "a", failing=True) == "b"
    assert websub.chosen("ab", "b", failing=True) == "a"
    assert websub.chosen("a", "a", failing=True) == "a"


INWARD = [
    *("http://localhost:8080", "http://127.0.0.1/news", "http://[::1]:80", "http://192.168.1.5", "http://10.0.0.1"),
    *("http://nas", "http://news.local", "http://news.fritz.lan", "http://a.home.arpa.", "http://100.64.0.1"),
    *("http://[fd00::1]", "http://0.0.0.0", "http://a.LOCALHOST"),
]


@pytest.mark.parametrize("url", INWARD)
def test_an_address_of_ones_own_network_is_told(url: str) -> None:
    assert websub.is_inward(url)


@pytest.mark.parametrize(
    "url", ["https://news.example.org", "http://9.9.9.9:81/x", "https://a.b.c.de", "https://lan.de"]
)
def test_any_other_may_be_public(url: str) -> None:
    assert not websub.is_inward(url)


def test_a_question_says_all_that_a_hub_must_know() -> None:
    told = {"topic": "https://a.example/ü?a=1&b", "callback": "https://b.example/websub/1", "secret": "s"}
    form = {name: value for name, [value] in parse_qs(websub.request(leave=False, **told).decode()).items()}
    assert form == {
        "hub.mode": "subscribe",
        "hub.topic": told["topic"],
        "hub.callback": told["callback"],
        "hub.secret": "s",
        "hub.lease_seconds": "864000",
        "hub.verify": "async",
    }
    left = parse_qs(websub.request(leave=True, **told).decode())
    assert left["hub.mode"] == ["unsubscribe"]
    assert "hub.secret" not in left


@given(st.text(max_size=12) | st.integers(-10, 10**15).map(str))
def test_a_lease_is_what_the_hub_says_in_bounds(said: str) -> None:
    assert websub.LEASES[0] <= websub.lease(said) <= websub.LEASES[1]


def test_a_hub_that_says_nothing_of_its_lease_means_what_it_was_asked_for() -> None:
    assert websub.lease("") == websub.lease("0") == websub.lease("soon") == websub.lease("²") == websub.LEASE
    assert websub.lease("86400") == DAY


@given(st.timedeltas(*websub.LEASES), st.floats(0.9, 1.1))
def test_a_lease_is_renewed_between_two_thirds_and_nine_tenths_of_it(lease: timedelta, spread: float) -> None:
    assert lease * 2 / 3 < websub.renewal(lease, spread) < lease * 0.9


@given(st.integers(1, 10_000), st.none() | st.timedeltas(-DAY, 30 * DAY), st.none() | st.timedeltas(-DAY, 90 * DAY))
def test_the_pause_between_two_questions_is_bounded(
    failures: int, left: timedelta | None, asked: timedelta | None
) -> None:
    assert websub.LEASES[0] <= websub.pause(failures, left, asked) <= 7 * DAY


@given(st.integers(1, 100))
def test_a_hub_that_answers_nothing_is_asked_more_and_more_seldom(failures: int) -> None:
    assert websub.pause(failures, None) <= websub.pause(failures + 1, None)
    assert websub.pause(1, None) == HOUR


@given(st.timedeltas(8 * HOUR, 30 * DAY))
def test_a_hub_that_does_not_renew_is_asked_twice_more_at_least_before_it_ends(lease: timedelta) -> None:
    left, failures = lease * 0.175, 0  # after the latest renewal
    while left > timedelta():
        failures += 1
        left -= websub.pause(failures, left) * 1.1
    assert failures >= 3


@given(
    st.binary(max_size=100), st.text(min_size=1, max_size=50), st.sampled_from(["sha1", "sha256", "sha384", "sha512"])
)
def test_what_is_signed_with_the_secret_is_genuine_and_nothing_else(body: bytes, secret: str, method: str) -> None:
    signature = hmac.new(secret.encode(), body, getattr(hashlib, method)).hexdigest()
    assert websub.is_signed(body, f"{method}={signature}", secret)
    assert websub.is_signed(body, f" {method.upper()}={signature.upper()} ", secret)
    assert not websub.is_signed(body + b"x", f"{method}={signature}", secret)
    assert not websub.is_signed(body, f"{method}={signature}", secret + "x")
    assert not websub.is_signed(body, f"{method}={signature[:-1]}", secret)
    assert not websub.is_signed(body, f"{method}=", secret)


@given(st.text(max_size=60))
def test_any_other_signature_is_none(signature: str) -> None:
    assert not websub.is_signed(b"body", signature, "secret")


@pytest.mark.parametrize("method", ["md5", "new", "sha3_256", "blake2b", "pbkdf2_hmac", "", "algorithms_available"])
def test_only_the_four_methods_of_the_standard_are_known(method: str) -> None:
    assert not websub.is_signed(b"", f"{method}={'0' * 40}", "secret")


def test_a_reason_is_one_line_of_sane_length() -> None:
    assert websub.reason({"hub.reason": "no\n\x1b[31m  more" + "x" * 500}) == ("no [31m more" + "x" * 500)[:200]
    assert websub.reason({}) == ""
