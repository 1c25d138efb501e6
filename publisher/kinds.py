"""A kind is a file: finding the kinds of a room, our own and those that third parties ship."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import iter_modules
from types import MappingProxyType
from typing import Any

from publisher.errors import PublisherError


@cache
def kinds(room: str) -> MappingProxyType[str, type[Any]]:
    """All kinds of a room such as ``publisher.sources``, by name.

    A module of the room whose name has no leading underscore exports its frozen dataclass as ``KIND``; an entry point
    of the group ``publisher.sources`` names such a dataclass.  Our own kinds cannot be replaced.

    Raises:
        PublisherError: a third party's kind cannot be imported, or takes the name of another.
    """
    package = import_module(room)
    modules = (
        import_module(f"{room}.{found.name}") for found in iter_modules(package.__path__) if found.name[0] != "_"
    )
    known: dict[str, type[Any]] = {module.KIND.kind: module.KIND for module in modules}
    for entry in entry_points(group=room):
        try:
            kind = entry.load()
            name = kind.kind
        except Exception as error:  # whatever a third party's module raises while it is imported
            raise PublisherError(f"{room}: the kind {entry.name!r} cannot be loaded: {error}") from error
        if known.setdefault(name, kind) is not kind:
            raise PublisherError(f"{room}: two kinds are named {name!r}; {entry.value} must take another name")
    return MappingProxyType(known)
