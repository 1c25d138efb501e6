"""Who may come in, how often and with what; what goes wrong has one shape."""

from __future__ import annotations

import json
import logging
import socket
from typing import Any

import pytest
import requests
from api_house import Api

from publisher.access import SCOPES
from publisher.web.api import BASE, ENDPOINTS, Endpoint

NAMED = [one for one in ENDPOINTS if one.scope]
PUSH = "/sources/newsroom/entries"


def path(endpoint: Endpoint) -> str:
    return endpoint.path.format(name="newsroom", subscriber="1", issue="1")


def problem(answer: requests.Response, status: int) -> Any:
    """What went wrong; every refusal has this shape."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    told = answer.json()
    assert set(told) == {"type", "title", "status", "detail", "errors"}
    assert told["status"] == status
    assert all(set(fault) == {"place", "message"} for fault in told["errors"])
    return told


def test_a_token_with_all_other_scopes_is_refused_and_told_which_is_missing(api: Api) -> None:
    for endpoint in NAMED:
        others = api.token(set(SCOPES) - {endpoint.scope})
        answer = api.ask(endpoint.method, path(endpoint), {}, token=others)
        assert endpoint.scope in problem(answer, 403)["detail"]
        assert f'scope="{endpoint.scope}"' in answer.headers["WWW-Authenticate"]


def test_a_token_with_that_scope_alone_comes_in(api: Api) -> None:
    for endpoint in NAMED:
        answer = api.ask(endpoint.method, path(endpoint), {}, token=api.token([endpoint.scope]))
        assert answer.status_code in (200, 404, 422)


def test_without_a_token_nobody_comes_in(api: Api) -> None:
    for endpoint in NAMED:
        answer = requests.request(endpoint.method, api.url + path(endpoint), json={}, timeout=30)
        problem(answer, 401)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_what_is_no_token_opens_nothing(api: Api) -> None:
    for header in ("", "Bearer", "Bearer ", "Bearer pub_" + "a" * 32, "Basic cHViXzpi", "bearer x y", "Bearer \xff"):
        problem(api.ask("GET", "/publications", headers={"Authorization": header.encode("latin-1")}), 401)


def test_the_scheme_is_known_however_it_is_written(api: Api) -> None:
    answer = api.ask("GET", "/publications", headers={"Authorization": f"bEARER {api.token()}"})
    assert answer.status_code == 200


def test_a_token_that_was_removed_opens_nothing(api: Api) -> None:
    token = api.token(["entries:read"])
    assert api.ask("GET", "/publications", token=token).status_code == 200
    with api.app.store.write() as tx:
        for one in tx.api_tokens.list():
            tx.api_tokens.remove(one.name)
    problem(api.ask("GET", "/publications", token=token), 401)


def test_who_asks_too_often_is_told_when_to_come_back(api: Api) -> None:
    statuses = [api.ask("GET", "/publications").status_code for _ in range(60)]
    assert statuses == [200] * 60
    answer = api.ask("GET", "/publications")
    problem(answer, 429)
    assert answer.headers["Retry-After"] == "1"
    assert api.ask("GET", "/publications", token=api.token(["entries:read"])).status_code == 200
    api.clock.advance(seconds=1)
    assert api.ask("GET", "/publications").status_code == 200


def test_who_guesses_is_stopped_and_who_has_a_token_is_not(api: Api) -> None:
    guesses = [f"pub_{number:032}" for number in range(21)]
    assert [api.ask("GET", "/issues", token=guess).status_code for guess in guesses] == [401] * 20 + [429]
    assert api.ask("GET", "/issues").status_code == 200


# --- bodies ----------------------------------------------------------------------------------------------------------


BODIES = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"7",
    b'"id"',
    b"\xff\xfe",
    b'{"id": "\\ud800"}',
    b'{"id": NaN}',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"id": ' + b"9" * 100_000 + b"}",
    b'{"id": "1", "title": 1e999}',
    b'{"entries": ' + b"[" * 900 + b"]" * 900 + b"}",
    b'{"entries": [' + b"1," * 2_000_000 + b"1]}",
    b'{"entries": [{"id": "1", "authors": [' + b"{}," * 1_000_000 + b"{}]}]}",
    b'{"id": "1", "tags": [' + b"1," * 40_000 + b"1]}",
]


def test_a_hostile_body_is_refused(api: Api) -> None:
    for body in BODIES:
        assert len(problem(api.ask("POST", PUSH, body), 422)["errors"]) <= 100
    assert api.get("/publications/all/entries")["items"] == []


def test_what_is_not_said_to_be_json_is_not_read(api: Api) -> None:
    for kind in ("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        problem(api.ask("POST", PUSH, b'{"id": "1", "title": "x"}', headers={"Content-Type": kind}), 415)


@pytest.mark.parametrize("endless", [False, True])
def test_a_body_that_is_too_large_is_not_read_to_its_end(api: Api, endless: bool) -> None:
    host, port = api.url.split("/")[2].split(":")
    head = f"POST {BASE}{PUSH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.token()}\r\n"
    head += "Content-Type: application/json\r\n"
    head += "Transfer-Encoding: chunked\r\n\r\n" if endless else "Content-Length: 99000000\r\n\r\n"
    piece = b"10000\r\n" + b" " * 65536 + b"\r\n" if endless else b" " * 65536
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(head.encode())
        for _ in range(78):  # 5.1 MB
            connection.sendall(piece)
        assert b" 413 " in connection.recv(65536).partition(b"\r\n")[0]


def test_a_body_of_nearly_five_megabytes_is_taken(api: Api) -> None:
    entries = [{"id": str(number), "title": "x", "content": "<p>" + "word " * 9000 + "</p>"} for number in range(100)]
    body = json.dumps({"entries": entries}).encode()
    assert 4_400_000 < len(body) < 5_000_000
    assert api.ask("POST", PUSH, body).json() == {"arrived": 100, "edited": 0, "unchanged": 0}


# --- paths and queries -----------------------------------------------------------------------------------------------


QUERIES: list[tuple[dict[str, Any], str]] = [
    ({"limit": 0}, "limit"),
    ({"limit": 201}, "limit"),
    ({"limit": "9" * 5000}, "limit"),
    ({"limit": "x"}, "limit"),
    ({"cursor": "x"}, "cursor"),
    ({"cursor": "bnVsbA"}, "cursor"),
    ({"cursor": "WyJhIl0"}, "cursor"),
    ({"cursor": "WzEsMl0"}, "cursor"),
    ({"cursor": "Wy0xXQ"}, "cursor"),
    ({"cursor": "Wzk5OTk5OTk5OTk5OTk5OTk5OTk5XQ"}, "cursor"),
    ({"cursor": "W3RydWVd"}, "cursor"),
    ({"cursor": "é"}, "cursor"),
    ({"cursor": "a" * 1001}, "cursor"),
    ({"publication": "\x00"}, "publication"),
    ({"state": "gone"}, "state"),
    ({"offset": 5}, "offset"),
]


def test_a_query_that_cannot_be_used_is_refused(api: Api) -> None:
    for query, place in QUERIES:
        told = problem(api.ask("GET", "/subscribers", params=query), 422)
        assert [fault["place"] for fault in told["errors"]] == [place]


def test_what_is_not_there_is_not_found_in_the_same_shape(api: Api) -> None:
    for nowhere in ("", "/", "/nothing", "/publications/none/entries", "/publications/", "/../v2/x"):
        problem(api.ask("GET", nowhere), 404)
    problem(requests.get(api.url.replace("v1", "v2"), timeout=30), 404)


def test_what_cannot_be_done_somewhere_is_told_with_what_can(api: Api) -> None:
    for method in ("PUT", "DELETE", "OPTIONS"):
        answer = api.ask(method, "/subscribers")
        problem(answer, 405)
        assert answer.headers["Allow"] == "GET, POST"
    assert api.ask("HEAD", "/publications").status_code == 200


def test_there_are_no_cookies_and_other_sites_are_not_let_in(api: Api) -> None:
    for method in ("GET", "OPTIONS"):
        headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
        answer = api.ask(method, "/publications", headers=headers)
        assert not [name for name in answer.headers if name.lower().startswith(("access-control", "set-cookie"))]
        assert answer.headers["Cache-Control"] == "no-store"


def test_no_token_and_no_address_is_ever_logged(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    api.enrol("ada@example.org")
    api.ask("GET", "/subscribers/ada@example.org")
    api.ask("POST", "/subscribers", {"address": "ada@example.org"})
    api.ask("GET", "/issues", token="pub_" + "b" * 32)
    api.app.store.close()
    lines = [f"{one.getMessage()} {one.exc_text or ''}" for one in caplog.records if not one.name.startswith("urllib3")]
    assert not [line for line in lines if "pub_" in line or "ada@" in line]


def test_a_store_that_is_away_is_told_without_its_secrets(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    from publisher.errors import StoreError
    from publisher.statistics import Statistics

    def away(_: Statistics) -> Any:
        raise StoreError("the store at secret.example: (ada@example.org) cannot be read")

    api.token()
    monkeypatch.setattr(Statistics, "figures", away)
    answer = api.ask("GET", "/statistics")
    assert "secret" not in problem(answer, 503)["detail"]
    assert answer.headers["Retry-After"]


def test_a_fault_of_ours_has_the_same_shape(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    from publisher.statistics import Statistics

    monkeypatch.setattr(Statistics, "figures", lambda _: 1 / 0)
    problem(api.ask("GET", "/statistics"), 500)
