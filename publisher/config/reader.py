"""The file as plain values: its YAML, ``${VAR}``, ``!file`` and aliases, and the environment's overrides on top."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import reduce
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from publisher.config.places import Place, dotted, has
from publisher.errors import ConfigError, Fault
from publisher.options import MASK

_PREFIX = "PUBLISHER_"
_MOST_VALUES = 200_000
_NULL, _MERGE, *_ = _TAGS = tuple(
    f"tag:yaml.org,2002:{name}"
    for name in ("null", "merge", "str", "int", "float", "bool", "timestamp", "value", "seq", "map")
)
_REFERENCE = re.compile(r"\$\$|\$\{(?P<name>[A-Za-z_]\w*)(?::-(?P<default>[^{}]*))?\}|\$\{[^}]*\}?")
_SYNTAX = {
    "found character '\\t' that cannot start any token": "a tab; indent with spaces",
    "mapping values are not allowed here": "a colon where none can be; look at the indentation, or quote the text",
    "could not find expected ':'": "a line that is neither a key with a colon nor part of a list",
    "maximum depth": "lists or mappings are nested too deeply",
    "but found another document": "a second document (---); there can be one only",
}


class Reader:
    """Turns one file into plain values, and remembers where each came from."""

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self.folder = path.absolute().parent
        self.faults: list[Fault] = []
        self.broken: set[Place] = set()
        """Where a fault was found while reading; what validation says of them is of no use."""
        self.masks: dict[Place, str] = {}
        """Texts that hold what the environment or a file says, as they can be shown."""
        self.secrets: dict[Place, list[str]] = defaultdict(list)
        self._file = str(path)
        self._path = path
        self._environ = environ
        self._lines: dict[Place, int] = {}
        self._variables: dict[Place, str] = {}
        self._used: set[str] = set()
        self._count = 0

    def read(self) -> dict[str, Any]:
        """What the file and the environment say.

        Raises:
            ConfigError: there is nothing to work with; lesser faults are added to ``faults``.
        """
        data = self._unfolded()
        self._override(data)
        return data

    def fault(self, place: Place, message: str) -> Fault:
        """A fault at that place: with its variable, its line, or the line of what should hold it."""
        for length in range(len(place), -1, -1):
            if variable := self._variables.get(place[:length]):
                beyond = "" if length == len(place) else f"{dotted(place)}: "
                return Fault("environment", 0, variable, beyond + message)
            if line := self._lines.get(place[:length]):
                return Fault(self._file, line, dotted(place), message)
        return Fault(self._file, 0, dotted(place), message)

    def _unfolded(self) -> dict[str, Any]:
        node = self._composed(self._text())
        if node is None:
            raise self._end(0, "is empty")
        if not isinstance(node, MappingNode):
            raise self._end(_line(node), "must be a mapping of options, such as `version: 1`")
        self._lines[()] = _line(node)
        try:
            return self._mapping(node, ())
        except RecursionError:
            raise self._end(0, "has an alias (*name) within what it stands for") from None

    def _override(self, data: dict[str, Any]) -> None:
        """Lay the environment's overrides on top; a name that leads nowhere is found by validation."""
        for variable, text in sorted(self._environ.items()):
            name = variable.upper()
            if not name.startswith(_PREFIX) or name == f"{_PREFIX}CONFIG" or variable in self._used:
                continue
            place = tuple(name.removeprefix(_PREFIX).lower().split("__"))
            self._variables |= {
                place[:length]: variable for length in range(1, len(place)) if not has(data, place[:length])
            }
            self._variables[place] = variable
            self.masks.pop(place, None)
            target = reduce(_descend, place[:-1], data)
            target[place[-1]] = None if text in ("", "~", "null") else text

    def _end(self, line: int, message: str) -> ConfigError:
        return ConfigError([Fault(self._file, line, "", message)])

    def _text(self) -> str:
        raw = b""
        try:
            raw = self._path.read_bytes()
            return raw.decode("utf-8-sig")
        except OSError as error:
            raise self._end(0, f"cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise self._end(raw.count(b"\n", 0, error.start) + 1, "is not UTF-8 text; save it as UTF-8") from None

    def _composed(self, text: str) -> Any:
        yaml = YAML(typ="safe", pure=True)
        yaml.max_depth = 100
        yaml.composer.warn_double_anchors = False
        try:
            return yaml.compose(text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            raise self._end(mark.line + 1, _syntax(error)) from None
        except YAMLError as error:
            line = text.count("\n", 0, getattr(error, "position", 0)) + 1
            raise self._end(line, f"not YAML: {getattr(error, 'reason', error)}") from None
        except Exception as error:  # ruamel lets several slip on malformed escapes: OverflowError, ValueError …
            raise self._end(0, f"not YAML: {error}") from None

    def _value(self, node: Any, place: Place) -> Any:
        self._count += 1
        if self._count > _MOST_VALUES:
            raise self._end(_line(node), f"unfolds to more than {_MOST_VALUES:,} values; use fewer aliases (*name)")
        if isinstance(node, ScalarNode):
            return self._scalar(node, place)
        if node.tag not in _TAGS:
            self._refuse(place, f"{_shorthand(node.tag)} is not known here (known: !file)")
        return self._mapping(node, place) if isinstance(node, MappingNode) else self._sequence(node, place)

    def _sequence(self, node: SequenceNode, place: Place) -> list[Any]:
        for index, child in enumerate(node.value):
            self._lines[*place, index] = _line(child)
        return [self._value(child, (*place, index)) for index, child in enumerate(node.value)]

    def _mapping(self, node: MappingNode, place: Place) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, child in node.value:
            if key.tag == _MERGE:
                result |= self._merged(child, place)
        written: dict[str, int] = {}
        for key, child in node.value:
            name, here = str(key.value), (*place, str(key.value))
            if not isinstance(key, ScalarNode):
                self._add(place, "a key must be plain text", _line(key))
            elif name in written:
                self._add(here, f"is written twice (first in line {written[name]})", _line(key))
            elif key.tag != _MERGE:
                written[name] = self._lines[here] = _line(key)
                result[name] = self._value(child, here)
        return result

    def _merged(self, node: Any, place: Place) -> dict[str, Any]:
        """What ``<<`` brings in; of several mappings the first one wins (YAML 1.1, the merge key)."""
        result: dict[str, Any] = {}
        for part in reversed(node.value) if isinstance(node, SequenceNode) else [node]:
            value = self._value(part, place)
            if not isinstance(value, dict):
                self._add(place, "<< takes a mapping, or a list of them", _line(node))
                return {}
            result |= value
        return result

    def _scalar(self, node: ScalarNode, place: Place) -> str | None:
        if node.tag == "!file":
            return self._content(self._interpolated(node.value, place), place)
        if node.tag not in _TAGS:
            self._refuse(place, f"{_shorthand(node.tag)} is not known here (known: !file)")
        return None if node.tag == _NULL else self._interpolated(node.value, place)

    def _content(self, name: str, place: Place) -> str | None:
        if place in self.broken:
            return None
        try:
            text = Path(self.folder, name).read_text("utf-8").rstrip("\r\n")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            self._refuse(place, f"the file {self.masks.get(place, name)!r} cannot be read: {reason}")
            return None
        self.masks[place] = MASK
        self.secrets[place].append(text)
        return text

    def _interpolated(self, text: str, place: Place) -> str:
        pieces = [self._piece(match, place) for match in _REFERENCE.finditer(text)]
        value, shown = _filled(text, [value for value, _ in pieces]), _filled(text, [shown for _, shown in pieces])
        if value != shown:
            self.masks[place] = shown
            self.secrets[place] += [value for value, shown in pieces if shown == MASK]
        return value

    def _piece(self, match: re.Match[str], place: Place) -> tuple[str, str]:
        """What stands for a reference: the text, and what is shown of it."""
        name, default = match["name"], match["default"]
        if match[0] == "$$":
            return "$", "$"
        if not name:
            self._refuse(place, f"{match[0]!r} is not understood (write ${{NAME}}, ${{NAME:-text}}, or $$ for a $)")
            return "", ""
        self._used.add(name)
        value = self._environ.get(name)
        if value or (value is not None and default is None):
            return value, MASK
        if default is None:
            self._refuse(place, f"the environment variable {name} is not set")
        return default or "", default or ""

    def _refuse(self, place: Place, message: str) -> None:
        self.broken.add(place)
        self.faults.append(self.fault(place, message))

    def _add(self, place: Place, message: str, line: int) -> None:
        self.faults.append(Fault(self._file, line, dotted(place), message))


def _filled(text: str, pieces: Iterable[str]) -> str:
    left = iter(pieces)
    return _REFERENCE.sub(lambda _: next(left), text)


def _syntax(error: MarkedYAMLError) -> str:
    problem = str(error.problem)
    message = next((words for start, words in _SYNTAX.items() if problem.startswith(start)), f"not YAML: {problem}")
    if "'${'" in message or "got '{'" in message:
        message += ' (put "${NAME}" in quotes within braces)'
    begun = error.context_mark
    return f"{message} ({error.context}, begun in line {begun.line + 1})" if error.context and begun else message


def _shorthand(tag: Any) -> str:
    return str(tag).replace("tag:yaml.org,2002:", "!!")


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1


def _descend(data: dict[str, Any], key: str) -> dict[str, Any]:
    if not isinstance(data.get(key), dict):
        data[key] = {}
    found: dict[str, Any] = data[key]
    return found
