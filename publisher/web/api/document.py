"""The OpenAPI document (3.1), made from the table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from itertools import chain
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from publisher.web.api.endpoints import BASE, ENDPOINTS, Endpoint
from publisher.web.api.models import Problem

_SECURITY = "token"
_WRONG = {
    401: "No token, or none that is known.",
    403: "The token is not good for this; the detail names the scope.",
    404: "There is no such thing.",
    413: "More than 5 MB.",
    415: "Not `application/json`.",
    422: "What was sent cannot be used; `errors` tells each place. Nothing was done.",
    429: "Too many requests; `Retry-After` tells how many seconds to wait.",
    503: "The house cannot do this now.",
}
_PLACES = {
    "name": "Its name in the configuration.",
    "subscriber": "An address, or the id of a subscriber.",
    "issue": "The id of an issue.",
}


@cache
def document() -> dict[str, Any]:
    """The document; the same for every house but for where it is."""
    paths: dict[str, Any] = {}
    for endpoint in ENDPOINTS:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Publisher",
            "version": version("publisher"),
            "description": "Entries in; publications, subscribers, issues and figures out.",
        },
        "servers": [{"url": BASE}],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                _SECURITY: {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`publisher token add NAME --scope …` makes one.",
                }
            },
        },
    }


def parameters(path: str) -> list[str]:
    """The names of the variable parts of a path."""
    return re.findall(r"{(\w+)}", path)


def query_schema(endpoint: Endpoint) -> dict[str, Any]:
    """The shapes of what may stand in the query, by name."""
    found: dict[str, Any] = endpoint.query.model_json_schema().get("properties", {})
    return found


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.do.__name__,
        "summary": endpoint.summary,
        "tags": [endpoint.path.split("/")[1].partition(".")[0]],
        "parameters": [*_path_parameters(endpoint), *_query_parameters(endpoint)],
        "responses": dict(_responses(endpoint)),
        "security": [{_SECURITY: [endpoint.scope]}] if endpoint.scope else [],
    }
    if endpoint.body:
        operation["requestBody"] = {"required": True, "content": _content(endpoint.body)}
    return operation


def _path_parameters(endpoint: Endpoint) -> Iterator[dict[str, Any]]:
    for name in parameters(endpoint.path):
        told = {"name": name, "in": "path", "required": True, "description": _PLACES[name]}
        yield told | {"schema": {"type": "string"}}


def _query_parameters(endpoint: Endpoint) -> Iterator[dict[str, Any]]:
    for name, shape in query_schema(endpoint).items():
        told = {key: value for key, value in shape.items() if key not in ("title", "description")}
        yield {"name": name, "in": "query", "required": False, "description": shape["description"], "schema": told}


def _responses(endpoint: Endpoint) -> Iterator[tuple[str, Any]]:
    for status, model in endpoint.answers.items():
        words = (model.__doc__ or "").partition("\n")[0] if model else "Done."
        yield str(status), {"description": words} | ({"content": _content(model)} if model else {})
    for status in _may_go_wrong(endpoint):
        yield str(status), {"description": _WRONG[status], "content": _content(Problem, "application/problem+json")}


def _may_go_wrong(endpoint: Endpoint) -> list[int]:
    cases = {
        401: endpoint.scope,
        403: endpoint.scope,
        404: parameters(endpoint.path),
        413: endpoint.body,
        415: endpoint.body,
        422: endpoint.body or query_schema(endpoint),
        429: endpoint.scope,
        503: endpoint.scope,
    }
    return [status for status, may in cases.items() if may]


def _content(model: type[BaseModel], media_type: str = "application/json") -> dict[str, Any]:
    return {media_type: {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}}


def _schemas() -> dict[str, Any]:
    bodies = {endpoint.body for endpoint in ENDPOINTS if endpoint.body}
    answers = {model for model in chain(*(endpoint.answers.values() for endpoint in ENDPOINTS)) if model} | {Problem}
    asked: list[tuple[type[BaseModel], JsonSchemaMode]] = [(model, "validation") for model in bodies]
    asked += [(model, "serialization") for model in answers]
    asked.sort(key=lambda pair: pair[0].__name__)
    _, shapes = models_json_schema(asked, ref_template="#/components/schemas/{model}")
    return dict(shapes["$defs"])
