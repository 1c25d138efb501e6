"""One visit to an address: what feeds and pages have in common before anything is read."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple

from publisher.errors import BadStatus, NetError
from publisher.model import Cursor, Harvest
from publisher.net import Answer, Net
from publisher.sources._manners import freshness


class Found(NamedTuple):
    """An answer that is worth reading, and the cursor to keep once it was read to its end."""

    answer: Answer
    cursor: dict[str, str]


def visit(url: str, known: Cursor, net: Net, headers: Mapping[str, str] | None = None) -> Found | Harvest:
    """Ask for what is at an address, or at the one that it has moved to for good.

    Args:
        url: the address in the configuration.
        known: the cursor: ``url`` (where it has moved to; RFC 9110 section 15.4.2), ``etag``, ``modified``, and
            ``digest`` (of the body).  Other keys are kept as they are.

    Returns:
        What was found; or at once the harvest, when nothing changed (a 304, or the same bytes) or the source has ended
        (410 Gone).

    Raises:
        NetError: no answer to work with.
    """
    try:
        answer, remembered = _ask(url, known, net, headers)
    except BadStatus as error:
        if error.status == 410:
            return Harvest(gone=True, cursor=known)
        raise
    moved = answer.moved_to or remembered
    if answer.status == 304:
        cursor = {**known, "url": moved}
        return Harvest(unchanged=True, cursor=cursor, hints=freshness(answer), certificate=answer.certificate)
    digest = sha256(answer.body).hexdigest()
    cursor = {**known, "url": moved, "etag": answer.etag, "modified": answer.modified, "digest": digest}
    if digest == known.get("digest"):
        return Harvest(unchanged=True, cursor=cursor, hints=freshness(answer), certificate=answer.certificate)
    return Found(answer, cursor)


def _ask(url: str, known: Cursor, net: Net, headers: Mapping[str, str] | None) -> tuple[Answer, str]:
    """The answer, and the remembered address if it came from there."""
    remembered, conditions = (
        known.get("url", ""),
        {"etag": known.get("etag", ""), "modified": known.get("modified", "")},
    )
    if not remembered:
        return net.get(url, headers=headers, **conditions), ""
    try:
        return net.get(remembered, headers=headers, **conditions), remembered
    except NetError as error:
        if isinstance(error, BadStatus) and error.status in (410, 429, 503):
            raise
        # Where it moved to once is dead; perhaps it has moved on, and its old address knows where to.
        try:
            return net.get(url, headers=headers), ""
        except NetError:
            raise error from None
