"""An item's content as JSON text, and back."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any

from publisher.model import Author, Enclosure, Item


def pack(item: Item) -> str:
    """JSON in ASCII, without the fields that are empty."""
    return json.dumps({name: value for name, value in asdict(item).items() if value}, default=datetime.isoformat)


def unpack(text: str) -> dict[str, Any]:
    """The fields of the item, by name."""
    fields: dict[str, Any] = json.loads(text)
    for name in ("published", "updated"):
        if name in fields:
            fields[name] = datetime.fromisoformat(fields[name])
    fields["authors"] = tuple(Author(**author) for author in fields.get("authors", ()))
    fields["enclosures"] = tuple(Enclosure(**enclosure) for enclosure in fields.get("enclosures", ()))
    fields["tags"] = tuple(fields.get("tags", ()))
    return fields
