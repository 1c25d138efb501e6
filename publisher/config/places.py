"""Places: the keys that lead to an option, through nested mappings and lists."""

from __future__ import annotations

from typing import Any

Place = tuple[str | int, ...]
"""The keys that lead to an option."""


def dotted(place: Place) -> str:
    """As faults name it: ``sources.blog.every``."""
    return ".".join(map(str, place))


def has(data: Any, place: Place) -> bool:
    """Whether there is something, be it None, at that place (which is not the empty one)."""
    *above, last = place
    holder = at(data, tuple(above))
    return last in holder if isinstance(holder, dict) else isinstance(holder, list) and last in range(len(holder))


def at(data: Any, place: Place) -> Any:
    """What is at that place of nested mappings and lists; None when nothing is."""
    for part in place:
        if not has(data, (part,)):
            return None
        data = data[part]
    return data
