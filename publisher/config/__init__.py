"""config.yaml -> Settings; every fault named with its line.

The way of a file: ``reader`` turns its YAML and the environment's overrides into plain values, pydantic validates them
against ``settings`` extended by the kinds, and ``critic`` turns each thing that is refused into a Fault in plain words.

Every scalar stays the text that was written, and the option's type says what it means: ``0123`` or ``1.10`` reach an
option of text unharmed, and ``${PORT}`` is as good a number as ``8080``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from io import StringIO
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema
from ruamel.yaml import YAML

from publisher.config.critic import Critic, without_password
from publisher.config.places import at
from publisher.config.reader import Reader
from publisher.config.settings import (
    ChannelSettings,
    DigestSettings,
    Judges,
    Kinds,
    RuleSettings,
    Settings,
    SourceSettings,
    TopicSettings,
    context,
    model_of,
)
from publisher.errors import ConfigError
from publisher.options import MASK, spell

__all__ = [
    "ChannelSettings",
    "DigestSettings",
    "RuleSettings",
    "Settings",
    "SourceSettings",
    "TopicSettings",
    "load",
    "schema",
    "show",
]

_OUTBOX = {"kind": "folder", "path": "outbox"}


_NO_KINDS: Kinds = MappingProxyType({})
_NO_JUDGES: Judges = MappingProxyType({})


def load(
    path: Path,
    *,
    sources: Kinds,
    channels: Kinds,
    ways: Kinds = _NO_KINDS,
    judges: Judges = _NO_JUDGES,
    environ: Mapping[str, str],
) -> Settings:
    """Read a configuration.

    Args:
        path: the file; relative paths in it start at its folder.
        sources: the kinds of source, at least two.
        channels: the kinds of channel, at least two; ``folder`` must be among them.
        ways: those by which things come back.
        judges: of what is run later; without them it is taken as it is.
        environ: the environment, for ``${VAR}`` and overrides such as ``PUBLISHER_SERVER__LISTEN``.

    Raises:
        ConfigError: with every fault there is, in the order of the file.
    """
    reader = Reader(path, environ)
    data = reader.read()
    if isinstance(written := data.get("channels", {}), dict):
        data["channels"] = {"outbox": _OUTBOX, **written}
    model = model_of(sources, channels, ways)
    try:
        given = context(data, folder=reader.folder, masks=reader.masks, judges=judges)
        settings = model.model_validate(data, context=given)
    except ValidationError as error:
        reader.faults += Critic(reader, data, model.model_json_schema()).faults(error)
    if reader.faults:
        raise ConfigError(sorted(reader.faults, key=lambda fault: (fault.line, fault.place)))
    return settings


def schema(*, sources: Kinds, channels: Kinds, ways: Kinds = _NO_KINDS) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of config.yaml, as editors use it."""
    made = model_of(sources, channels, ways).model_json_schema(schema_generator=_SchemaMaker)
    return {"$schema": _SchemaMaker.schema_dialect, **made, "title": "config.yaml"}


def show(settings: Settings) -> str:
    """The configuration in force as YAML: defaults filled in, secrets hidden."""
    data = settings.model_dump(mode="json", by_alias=True)
    masked = {place: found for place in settings.masks if (found := at(data, place)) not in (None, MASK)}
    hidden = {value for value in masked.values() if isinstance(value, str | int)}
    data = _mapped(
        data, lambda value: MASK if value in hidden and not isinstance(value, bool) else without_password(value)
    )
    for place in masked:
        at(data, place[:-1])[place[-1]] = settings.masks[place]
    yaml, out = YAML(), StringIO()
    yaml.width = 1000
    yaml.dump(data, out)
    return out.getvalue()


class _SchemaMaker(GenerateJsonSchema):
    """Durations as an operator writes them, and no names beside those that are allowed."""

    def encode_default(self, dft: Any) -> Any:
        return spell(dft) if isinstance(dft, timedelta) else super().encode_default(dft)

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        made = super().dict_schema(schema)
        return {**made, "additionalProperties": False} if "patternProperties" in made else made


def _mapped(data: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(data, dict):
        return {key: _mapped(value, change) for key, value in data.items()}
    return [_mapped(value, change) for value in data] if isinstance(data, list) else change(data)
