"""The OpenAPI document says what the API does."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import requests
from api_house import Api
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import Route

from publisher.access import SCOPES
from publisher.web.api import BASE, ENDPOINTS, routes
from publisher.web.api.document import document
from publisher.web.api.models import Push

OPERATIONS = {
    operation["operationId"]: (method.upper(), path, operation)
    for path, methods in document()["paths"].items()
    for method, operation in methods.items()
}
ENTRY = {"id": "1", "title": "One", "authors": [{"name": "Ada"}], "enclosures": [{"url": "https://a.example/1.mp3"}]}
ADA = {"address": "ada@example.org", "publications": ["weekly"], "consent": "By telephone."}
EXAMPLES: dict[str, list[tuple[str, Any, int]]] = {
    "push_entries": [
        ("/sources/newsroom/entries", {"entries": [ENTRY]}, 200),
        ("/sources/none/entries", ENTRY, 404),
        ("/sources/newsroom/entries", {"id": ""}, 422),
    ],
    "list_publications": [("/publications", None, 200)],
    "list_entries": [("/publications/all/entries?limit=1", None, 200), ("/publications/none/entries", None, 404)],
    "add_subscriber": [
        ("/subscribers", ADA, 200),
        ("/subscribers", {"address": "b@example.org", "publications": ["weekly"]}, 202),
        ("/subscribers", {}, 422),
    ],
    "list_subscribers": [("/subscribers?limit=1&state=active", None, 200), ("/subscribers?limit=x", None, 422)],
    "get_subscriber": [("/subscribers/ada@example.org", None, 200), ("/subscribers/0", None, 404)],
    "change_subscriber": [("/subscribers/1", {"name": "Ada"}, 200), ("/subscribers/1", {"name": 1}, 422)],
    "get_history": [("/subscribers/1/history", None, 200)],
    "list_issues": [("/issues", None, 200)],
    "get_issue": [("/issues/1", None, 200), ("/issues/99", None, 404)],
    "add_suppression": [("/suppressions", {"address": "c@example.org"}, 200)],
    "list_suppressions": [("/suppressions?limit=1", None, 200)],
    "get_statistics": [("/statistics", None, 200)],
    "get_document": [("/openapi.json", None, 200)],
    "erase_subscriber": [("/subscribers/1", None, 204), ("/subscribers/1", None, 404)],
}
"""For each operation: what is asked, in an order that makes sense, and the status it is answered with."""


def validator(schema: Any) -> jsonschema.Draft202012Validator:
    whole = {"$ref": "#/x"} | {"components": document()["components"], "x": schema}
    return jsonschema.Draft202012Validator(whole)


def test_it_is_an_openapi_document() -> None:
    OpenAPIV31SpecValidator(document()).validate()


def test_it_tells_of_the_routes_there_are_and_no_others() -> None:
    mounted = [route.path for route in routes(lambda: None) if isinstance(route, Route)]  # type: ignore[arg-type, return-value]  # nobody asks
    told = [BASE + path for path in document()["paths"]]
    assert [path.replace(":path", "") for path in mounted if "{rest" not in path] == told
    assert {(one.method, one.path) for one in ENDPOINTS} == {(method, path) for method, path, _ in OPERATIONS.values()}


def test_every_scope_is_needed_somewhere_and_is_read_or_write_of_a_noun() -> None:
    assert {one.scope for one in ENDPOINTS if one.scope} == set(SCOPES)
    assert all(re.fullmatch(r"[a-z]+:(read|write)", scope) for scope in SCOPES)
    assert {one.scope.endswith(":write") for one in ENDPOINTS if one.method != "GET"} == {True}
    assert {one.scope.endswith(":write") for one in ENDPOINTS if one.method == "GET"} == {False}


def test_every_shape_and_parameter_has_words() -> None:
    assert all(shape.get("description") for shape in document()["components"]["schemas"].values())
    assert all(one["description"] for _, _, operation in OPERATIONS.values() for one in operation["parameters"])


def test_each_operation_answers_as_the_document_says(api: Api) -> None:
    api.push("0")
    api.clock.advance(days=7)
    api.work()
    assert set(EXAMPLES) == set(OPERATIONS)
    for name, cases in EXAMPLES.items():
        method, _, operation = OPERATIONS[name]
        for path, body, status in cases:
            if body is not None and status < 300:
                validator(operation["requestBody"]["content"]["application/json"]["schema"]).validate(body)
            answer = api.ask(method, path, body)
            assert answer.status_code == status, (name, path, answer.text)
            [(kind, content)] = operation["responses"][str(status)].get("content", {"": None}).items()
            if content:
                assert answer.headers["Content-Type"] == kind
                validator(content["schema"]).validate(answer.json())


def test_the_document_is_there_for_everybody(api: Api) -> None:
    answer = requests.get(f"{api.url}/openapi.json", timeout=30)
    assert answer.json() == document()


# --- the shape of a push and what takes it ---------------------------------------------------------------------------

words = st.text(max_size=20)
urls = st.sampled_from(["https://a.example/1", "http://b.example/ü", "javascript:x", "", "https://"]) | words
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words, lambda one: st.lists(one, max_size=2)
)
fields: dict[str, Any] = {
    "id": words,
    "title": words,
    "link": urls | st.none(),
    "content": words,
    "tags": st.lists(words, max_size=3),
    "authors": st.lists(st.fixed_dictionaries({}, optional={"name": words, "url": urls, "x": words}), max_size=2),
    "language": st.sampled_from(["de", "pt-BR", "x", "de\n"]) | st.none(),
    "image": urls,
    "evil": anything,
}
told = st.fixed_dictionaries({}, optional={name: shape | anything for name, shape in fields.items()})
pushes = told | st.fixed_dictionaries({"entries": st.lists(told, max_size=3) | anything}) | anything


@given(pushes)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_the_document_allows_is_what_is_taken(body: Any) -> None:
    schema = {"$ref": "#/components/schemas/Push"}
    allowed = validator(schema).is_valid(body)
    try:
        Push.model_validate_json(json.dumps(body))
        taken = True
    except ValueError:
        taken = False
    # Beyond the shapes there is one rule: no id twice.
    ids = [one["id"] for one in body["entries"]] if allowed and "entries" in body else []
    assert taken == (allowed and len(set(ids)) == len(ids))
