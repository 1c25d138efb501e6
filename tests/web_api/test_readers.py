"""Subscribers, and those who get nothing more."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from api_house import Api

ADA = "ada@example.org"


def states(subscriber: Any) -> dict[str, str]:
    return {one["publication"]: one["state"] for one in subscriber["subscriptions"]}


def test_whose_consent_is_known_gets_it_at_once_as_wished(api: Api) -> None:
    ada = api.enrol(ADA, name="Ada", frequency="daily", topics=["town"], language="de", timezone="Europe/Lisbon")
    assert (ada["address"], ada["name"], ada["language"], ada["timezone"]) == (ADA, "Ada", "de", "Europe/Lisbon")
    [weekly] = ada["subscriptions"]
    assert (weekly["state"], weekly["frequency"], weekly["topics"]) == ("active", "daily", ["town"])
    for who in (ADA, quote(ADA, safe=""), "ADA@example.org", str(ada["id"])):
        assert api.get(f"/subscribers/{who}") == ada
        [said] = api.get(f"/subscribers/{who}/history")["items"]
        assert (said["act"], said["door"], said["wording"]) == ("enrolled", "api", "By telephone.")
    assert api.mail.mails == []


def test_whose_consent_is_not_known_is_asked_and_the_answer_tells_nothing_about_them(api: Api) -> None:
    api.enrol("known@example.org")
    api.ask("POST", "/suppressions", {"address": "gone@example.org"})
    answers = []
    for name in ("new", "known", "gone"):
        told = {"address": f"{name}@example.org", "publications": ["weekly"], "wording": "Shown on the till."}
        answer = api.ask("POST", "/subscribers", told)
        answers.append((answer.status_code, answer.json()))
    assert answers == [(202, {"state": "asked"})] * 3
    assert len(api.woken) == 3
    api.work()
    assert sorted((mail.to, mail.subject) for mail in api.mail.mails) == [
        ("known@example.org", "You get The Weekly already"),
        ("new@example.org", "Please confirm: The Weekly"),
    ]
    [said] = api.get("/subscribers/new@example.org/history")["items"]
    assert (said["act"], said["door"], said["wording"]) == ("asked", "api", "Shown on the till.")


def test_what_is_not_named_in_a_change_stays_as_it_is(api: Api) -> None:
    before = api.enrol(ADA, name="Ada", frequency="daily", topics=["town"])
    for change, differs in (
        ({}, {}),
        ({"name": "Ada L."}, {"name": "Ada L."}),
        ({"timezone": "Asia/Tokyo"}, {"timezone": "Asia/Tokyo"}),
        ({"paused_until": "2027-01-01T00:00:00Z"}, {"paused_until": "2027-01-01T00:00:00Z"}),
        ({"paused_until": None}, {"paused_until": api.clock().isoformat().replace("+00:00", "Z")}),
        ({"name": None}, {}),
    ):
        answer = api.ask("PATCH", f"/subscribers/{ADA}", change)
        assert answer.status_code == 200, answer.text
        assert answer.json() == before | differs
        before = answer.json()
    answer = api.ask("PATCH", f"/subscribers/{ADA}", {"publications": {"weekly": {"topics": []}}})
    [weekly] = answer.json()["subscriptions"]
    assert (weekly["frequency"], weekly["topics"]) == ("daily", [])
    answer = api.ask("PATCH", f"/subscribers/{ADA}", {"publications": {"weekly": {"frequency": "weekly"}}})
    [weekly] = answer.json()["subscriptions"]
    assert (weekly["frequency"], weekly["topics"]) == ("weekly", [])


def test_who_left_comes_back_by_themselves_only(api: Api) -> None:
    api.enrol(ADA)
    leave, come = ({"publications": {"weekly": {"subscribed": wish}}} for wish in (False, True))
    assert states(api.ask("PATCH", f"/subscribers/{ADA}", leave).json()) == {"weekly": "left"}
    for path, method, body in (
        (f"/subscribers/{ADA}", "PATCH", come | {"consent": "By telephone."}),
        ("/subscribers", "POST", {"address": ADA, "publications": ["weekly"], "consent": "By telephone."}),
    ):
        answer = api.ask(method, path, body)
        assert (answer.status_code, answer.json()["errors"][0]["place"]) == (422, "address")
    assert states(api.get(f"/subscribers/{ADA}")) == {"weekly": "left"}
    api.ask("POST", "/subscribers", {"address": ADA, "publications": ["weekly"]})
    api.work()
    [mail] = api.mail.mails
    [token] = re.findall(r"/confirm/(\S+)", mail.text)
    assert api.app.readers.confirm(token)
    assert states(api.get(f"/subscribers/{ADA}")) == {"weekly": "active"}


def test_more_than_before_needs_a_consent(api: Api) -> None:
    api.ask("POST", "/subscribers", {"address": ADA, "publications": ["weekly"]})
    api.work()
    wish = {"publications": {"weekly": {"subscribed": True}}}
    answer = api.ask("PATCH", f"/subscribers/{ADA}", wish)
    assert (answer.status_code, answer.json()["errors"][0]["place"]) == (422, "consent")
    answer = api.ask("PATCH", f"/subscribers/{ADA}", wish | {"consent": "On paper."})
    assert states(answer.json()) == {"weekly": "active"}
    assert [said["wording"] for said in api.get(f"/subscribers/{ADA}/history")["items"]] == ["", "On paper."]


def test_who_is_erased_is_nobody_any_more(api: Api) -> None:
    ada = api.enrol(ADA)
    answer = api.ask("DELETE", f"/subscribers/{ada['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    for who in (ADA, str(ada["id"])):
        for method, path in (("GET", ""), ("GET", "/history"), ("DELETE", "")):
            assert api.ask(method, f"/subscribers/{who}{path}").status_code == 404
    assert ADA not in str(api.get("/suppressions"))
    answer = api.ask("POST", "/subscribers", {"address": ADA, "publications": ["weekly"], "consent": "Yes."})
    assert answer.status_code == 422


UNFIT: list[tuple[dict[str, Any], str]] = [
    ({"address": "nobody"}, "address"),
    ({"address": "a@b.example\r\nBcc: c@d.example"}, "address"),
    ({"address": "a\x00@b.example"}, "address"),
    ({"address": 7}, "address"),
    ({"publications": []}, "publications"),
    ({"publications": ["all"]}, "publications"),
    ({"publications": ["Weekly\x00"]}, "publications[0]"),
    ({"frequency": "hourly"}, "frequency"),
    ({"topics": ["ships"]}, "topics"),
    ({"language": "xx"}, "language"),
    ({"timezone": "Mars/Base"}, "timezone"),
    ({"name": "a\nb"}, "name"),
    ({"consent": ""}, "consent"),
    ({"consent": True}, "consent"),
    ({"door": "operator"}, "door"),
]


def test_who_cannot_be_subscribed_so_is_refused(api: Api) -> None:
    for more, place in UNFIT:
        answer = api.ask("POST", "/subscribers", {"address": ADA, "publications": ["weekly"], "consent": "Yes."} | more)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["place"] == place
    assert api.get("/subscribers")["items"] == []


UNCHANGEABLE: list[tuple[dict[str, Any], str]] = [
    ({"publications": {"all": {"subscribed": True}}}, "publications"),
    ({"publications": {"weekly": {"frequency": "hourly"}}}, "frequency"),
    ({"publications": {"weekly": {"topics": ["ships"]}}}, "topics"),
    ({"publications": {"we\x00kly": {}}}, "publications.we\x00kly.[key]"),
    ({"language": "xx"}, "language"),
    ({"paused_until": "9999-12-31T00:00:00Z"}, "paused_until"),
    ({"address": "new@example.org"}, "address"),
]


def test_a_change_that_cannot_be_is_refused_and_nothing_changed(api: Api) -> None:
    before = api.enrol(ADA)
    for change, place in UNCHANGEABLE:
        answer = api.ask("PATCH", f"/subscribers/{ADA}", {"name": "New"} | change)
        assert answer.status_code == 422
        assert [fault["place"] for fault in answer.json()["errors"]] == [place]
    assert api.get(f"/subscribers/{ADA}") == before


def test_nobody_is_not_found(api: Api) -> None:
    for who in ("0", "99", "9" * 18, "9" * 40, "-1", "nobody@example.org", "%00", "a/b", "%F0%28", " "):
        for path in (f"/subscribers/{who}", f"/subscribers/{who}/history"):
            assert api.ask("GET", path).status_code == 404


def test_subscribers_come_page_by_page_each_once_while_others_come_and_go(api: Api) -> None:
    ids = [api.enrol(f"r{number}@example.org")["id"] for number in range(7)]
    more = iter(range(7, 99))
    told = api.pages("/subscribers", 3, lambda: api.enrol(f"r{next(more)}@example.org"), publication="weekly")
    assert [one["id"] for one in told][:7] == ids
    assert len({one["id"] for one in told}) == len(told)
    api.ask("PATCH", f"/subscribers/{ids[0]}", {"publications": {"weekly": {"subscribed": False}}})
    assert [one["id"] for one in api.get("/subscribers", state="left")["items"]] == [ids[0]]
    assert ids[0] not in [one["id"] for one in api.get("/subscribers", publication="weekly", state="active")["items"]]


def test_who_is_suppressed_gets_nothing_more_and_there_is_no_way_back(api: Api) -> None:
    assert api.ask("POST", "/suppressions", {"address": "Ada@example.org"}).json() == {"added": True}
    assert api.ask("POST", "/suppressions", {"address": ADA}).json() == {"added": False}
    api.ask("POST", "/suppressions", {"address": ADA, "publication": "weekly"})
    told = api.pages("/suppressions", 1)
    assert [(one["address"], one["publication"], one["reason"]) for one in told] == [
        (ADA, "", "by hand"),
        (ADA, "weekly", "by hand"),
    ]
    assert api.ask("DELETE", "/suppressions").status_code == 405
    assert api.ask("DELETE", f"/suppressions/{ADA}").status_code == 404
    for bad, place in (({"address": "nobody"}, "address"), ({"address": ADA, "publication": "none"}, "publication")):
        answer = api.ask("POST", "/suppressions", bad)
        assert (answer.status_code, answer.json()["errors"][0]["place"]) == (422, place)


def test_issues_come_newest_first_with_how_they_went(api: Api) -> None:
    api.enrol(ADA)
    for number in range(5):
        api.push(str(number))
        api.clock.advance(days=7)
        api.work()
    api.ask("POST", "/subscribers", {"address": "new@example.org", "publications": ["weekly"]})
    api.work()  # a notice, which is no issue
    told = api.pages("/issues", 2, publication="weekly")
    assert len(told) >= 5
    assert [one["id"] for one in told] == sorted({one["id"] for one in told}, reverse=True)
    assert api.get("/issues", publication="all")["items"] == []
    one = api.get(f"/issues/{told[0]['id']}")
    assert one["deliveries"]["sent"] >= 1
    with api.app.store.read() as tx:
        notice = next(row.issue for row in tx.deliveries.to("new@example.org", limit=9))
    for wrong in (str(notice), "0", "9" * 18, "9" * 30, "x", "²"):
        assert api.ask("GET", f"/issues/{wrong}").status_code == 404


def test_the_figures_are_those_of_the_store_and_some_seconds_old_at_most(api: Api) -> None:
    api.push("1")
    api.enrol(ADA)
    api.clock.advance(days=7)
    api.work()
    api.clock.advance(seconds=20)
    found = api.get("/statistics")
    [weekly, everything] = found["publications"]
    assert (weekly["subscribers"], weekly["issues"]) == ({"active": 1}, 1)
    assert weekly["deliveries"]["sent"] >= 1
    assert everything == {"name": "all", "subscribers": {}, "issues": 0, "deliveries": {}}
    assert {one["name"]: one["open"] for one in found["channels"]} == {"post": 0, "outbox": 0}
    assert [one["entries"] for one in found["sources"]] == [1, 0, 0]
    api.push("2")
    assert api.get("/statistics") == found
    api.clock.advance(seconds=15)
    assert [one["entries"] for one in api.get("/statistics")["sources"]] == [2, 0, 0]
    api.clock.advance(days=40)
    later = api.get("/statistics")["publications"][0]
    assert (later["issues"], later["deliveries"]) == (1, {})
