"""What later versions bring."""

from __future__ import annotations

from typing import Any

from publisher.config.places import Place

_LATER = {
    "tracking",
    "metrics",
    "publications.*.digest.approve",
    "channels.*.kind=chat",
}
"""What later versions bring: an option, or one of its values ({} a mapping, [] a list)."""


def is_later(place: Place) -> bool:
    """Whether a later version knows the option at that place."""
    return _option(place) in _LATER


def later(place: Place, value: Any) -> str:
    """What is said of a value that a later version knows; empty when none does."""
    if isinstance(value, dict | list):
        what, form = ("a mapping", "{}") if isinstance(value, dict) else ("a list", "[]")
    else:
        what, form = repr(value), str(value)
    return f"{what} is not yet known in this version" if f"{_option(place)}={form}" in _LATER else ""


def _option(place: Place) -> str:
    return ".".join("*" if index == 1 and len(place) > 2 else str(part) for index, part in enumerate(place))
