"""An item's content as JSON text, and back."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from publisher.model import Author, Enclosure, Item


def pack(item: Item) -> str:
    """JSON in ASCII, without the fields that are empty."""
    told = ((field.name, getattr(item, field.name)) for field in fields(item))  # asdict would copy it all, slowly
    return json.dumps({name: value for name, value in told if value}, default=_plain)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else asdict(value)


def unpack(text: str) -> dict[str, Any]:
    """The fields of the item, by name."""
    found: dict[str, Any] = json.loads(text)
    for name in ("published", "updated"):
        if name in found:
            found[name] = datetime.fromisoformat(found[name])
    found["authors"] = tuple(Author(**author) for author in found.get("authors", ()))
    found["enclosures"] = tuple(Enclosure(**enclosure) for enclosure in found.get("enclosures", ()))
    found["tags"] = tuple(found.get("tags", ()))
    return found
