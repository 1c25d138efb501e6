"""What validation refused, as faults in plain words."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from publisher.config.later import is_later, later
from publisher.config.places import Place, at, has
from publisher.config.reader import Reader
from publisher.errors import Fault
from publisher.options import MASK

_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
_MAPPING, _LIST, _NUMBER, _WHOLE, _TRUTH = (
    "must be a mapping of options",
    "must be a list",
    "must be a number",
    "must be a whole number",
    "must be true or false",
)
_WORDS = {
    "string_type": "must be text",
    "path_type": "must be the name of a file or folder",
    **dict.fromkeys(("int_type", "int_parsing", "int_parsing_size", "int_from_float"), _WHOLE),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number", "decimal_type", "decimal_parsing"), _NUMBER),
    **dict.fromkeys(("bool_type", "bool_parsing"), _TRUTH),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type", "iterable_type"), _LIST),
    **dict.fromkeys(("dict_type", "mapping_type", "model_type", "model_attributes_type", "dataclass_type"), _MAPPING),
    "literal_error": "must be one of {expected}",
    "enum": "must be one of {expected}",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "string_too_short": "must have {min_length} characters or more",
    "string_too_long": "must have {max_length} characters or fewer",
    "string_pattern_mismatch": "must look like {pattern}",
    "too_short": "must name at least {min_length}",
    "too_long": "must name at most {max_length}",
}
_PASSWORD = re.compile(r"(?<=://)([^:/@\s]*):(?!\d+/)(\S+)@")


class Critic:
    """Says in plain words, and in the right place, what validation refused."""

    def __init__(self, reader: Reader, data: dict[str, Any], schema: dict[str, Any]) -> None:
        self._reader = reader
        self._data = data
        self._schema = schema
        self._meant: set[Place] = set()
        """Options that were written, but misspelt."""

    def faults(self, error: ValidationError) -> list[Fault]:
        """One for each place, without those that only follow from others."""
        words: dict[Place, list[str]] = defaultdict(list)  # several where an option may be of several types
        for one in error.errors(include_url=False):
            place = self._place(one)
            if not self._follows(place, one["type"]):
                words[place].append(self._words(place, one))
        missed = {place for place in self._meant if words.get(place) == ["is missing"]}
        return [
            self._reader.fault(place, ", or ".join(dict.fromkeys(messages)))
            for place, messages in words.items()
            if place not in missed
        ]

    def _place(self, one: ErrorDetails) -> Place:
        """Where in the file: pydantic's own path names kinds, unions and keys that are not in the file."""
        path = one["loc"]
        if path[0] in ("sources", "channels"):
            path = path[:2] + path[3:]
        place: Place = ()
        for part in path:
            if has(self._data, (*place, part)) or (part == path[-1] and one["type"] == "missing"):
                place = (*place, part)
        return (*place, "kind") if one["type"].startswith("union_tag_") else place

    def _follows(self, place: Place, type_: str) -> bool:
        """Whether it only follows from what was found while reading."""
        return any(
            place[: len(broken)] == broken or (type_ == "value_error" and broken[: len(place)] == place)
            for broken in self._reader.broken
        )

    def _words(self, place: Place, one: ErrorDetails) -> str:
        if one["type"] in _UNKNOWN:
            return self._unknown(place)
        if one["type"] == "union_tag_invalid":
            return self._no_such_kind(place, one["ctx"])
        if one["type"] in ("value_error", "assertion_error"):
            return later(place, one["input"]) or self._discreet(str(one["ctx"]["error"]), place)
        if one["type"] in ("missing", "union_tag_not_found"):
            return "is missing"
        words = _WORDS.get(one["type"], "").format_map(one.get("ctx", {}))
        words = words or one["msg"].replace("Input should be", "must be")
        return later(place, one["input"]) or words + self._but(place, one["input"])

    def _no_such_kind(self, place: Place, context: dict[str, Any]) -> str:
        known = ", ".join(sorted(re.findall("'([^']+)'", context["expected_tags"])))
        what = later(place, context["tag"]) or f"there is no kind {self._shown(place, context['tag'])}"
        return f"{what} (known: {known})"

    def _discreet(self, message: str, place: Place) -> str:
        return "is not right; why is not shown, for it would tell a secret" if self._leaks(message, place) else message

    def _unknown(self, place: Place) -> str:
        if is_later(place):
            return "not yet known in this version"
        options = sorted({name for shape in self._shapes(place[:-1]) for name in shape.get("properties", {})})
        near = get_close_matches(str(place[-1]), options, 1)
        self._meant |= {(*place[:-1], name) for name in near}
        return (
            f"unknown option (did you mean {near[0]!r}?)" if near else f"unknown option (known: {', '.join(options)})"
        )

    def _but(self, place: Place, value: Any) -> str:
        if value is None or value == "":
            return ", but is empty"
        if isinstance(value, dict | list):
            return ", not a mapping" if isinstance(value, dict) else ", not a list"
        return "" if self._is_secret(place) else f", not {self._shown(place, value)}"

    def _shown(self, place: Place, value: Any) -> str:
        text = self._reader.masks.get(place) or without_password(str(value))
        return repr(text if len(text) <= 60 else text[:59] + "…")

    def _leaks(self, message: str, place: Place) -> bool:
        """Whether a message, which may come from a kind, repeats a part of a secret that is written there."""
        for here, text in _texts(at(self._data, place), place):
            # The kind knows which of its options are secret, and minds its words; of ${…} and !file it knows nothing.
            secret = self._is_secret(here)
            parts = [password for _, password in _PASSWORD.findall(text)] + (
                [] if secret else self._reader.secrets[here]
            )
            if (secret and text and text in message) or any(_overlap(part, message) for part in parts):
                return True
        return False

    def _is_secret(self, place: Place) -> bool:
        return any(shape.get("writeOnly") for shape in self._shapes(place))

    def _shapes(self, place: Place) -> list[dict[str, Any]]:
        """The parts of the JSON Schema that say what may be at a place."""
        shapes = self._unfolded(self._schema, self._data)
        for length, part in enumerate(place, 1):
            below = [child for shape in shapes if (child := _child(shape, part))]
            shapes = [shape for child in below for shape in self._unfolded(child, at(self._data, place[:length]))]
        return shapes

    def _unfolded(self, shape: dict[str, Any], data: Any) -> list[dict[str, Any]]:
        shape = self._schema["$defs"][shape["$ref"].rpartition("/")[2]] if "$ref" in shape else shape
        if choices := shape.get("anyOf") or shape.get("oneOf"):
            return [unfolded for choice in choices for unfolded in self._unfolded(choice, data)]
        kind = shape.get("properties", {}).get("kind", {}).get("const")
        other = kind and isinstance(data, dict) and data.get("kind") != kind
        return [] if other else [shape]


def _child(shape: dict[str, Any], part: str | int) -> dict[str, Any] | None:
    if isinstance(part, int):
        return shape.get("items")
    more = [shape.get("additionalProperties"), *shape.get("patternProperties", {}).values()]
    return shape.get("properties", {}).get(part) or next((found for found in more if isinstance(found, dict)), None)


def _overlap(secret: str, message: str, least: int = 4) -> bool:
    pieces = (secret[start : start + least] for start in range(max(1, len(secret) - least + 1)))
    return any(piece and piece in message for piece in pieces)


def without_password(value: Any) -> Any:
    """That value; where it is a web address with a password, without that."""
    return _PASSWORD.sub(lambda match: f"{match[1]}:{MASK}@", value) if isinstance(value, str) else value


def _texts(data: Any, place: Place) -> Iterator[tuple[Place, str]]:
    if isinstance(data, dict | list):
        for key, value in data.items() if isinstance(data, dict) else enumerate(data):
            yield from _texts(value, (*place, key))
    elif isinstance(data, str):
        yield place, data
