"""What came back, in the words of the house; and the addresses that it comes back to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from functools import cache

from publisher.replies import Fate, status_in

_LONGEST_DETAIL = 300
_LONGEST_ID = 250
_ADDRESS = re.compile(r"[^\s<>()\[\],;:\"@]{1,64}@[^\s<>()\[\],;:\"@]{1,255}")
"""What looks like one; the local part is no longer than RFC 5321 section 4.5.3.1 lets it be."""
_UNPRINTABLE = re.compile(r"[^\S ]|[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """One thing that was told about one recipient.

    Whatever it is made from, each field is one printable line of bounded length.
    """

    fate: Fate
    token: str = ""
    """What stands in place of ``{token}`` in the address it came back to, in small letters; empty when unknown."""
    recipient: str = ""
    """The address it is about, as they write it; empty when unknown."""
    message_id: str = ""
    """Of our message, without brackets; empty when not told."""
    status: str = ""
    """RFC 3463, such as ``5.1.1``; empty when not told."""
    detail: str = ""
    """Their words, at most 300 characters."""

    def __post_init__(self) -> None:
        """Foreign text becomes fit to keep and to show."""
        for name in (field.name for field in fields(self) if field.name != "fate"):
            object.__setattr__(self, name, _line(getattr(self, name))[:_LONGEST_DETAIL])
        object.__setattr__(self, "recipient", next(addresses_in(self.recipient), ""))
        object.__setattr__(self, "message_id", _bare(self.message_id))
        object.__setattr__(self, "status", status_in(self.status))


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where mail comes back to, as patterns such as ``bounce+{token}@example.org``.

    Raises:
        ValueError: a pattern has no ``{token}``, or is no address.
    """

    bounces: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for pattern in (*self.bounces, *self.unsubscribe):
            if pattern.count("{token}") != 1 or not _ADDRESS.fullmatch(pattern):
                raise ValueError(
                    f"not an address with {{token}} in it: {pattern!r} (write bounce+{{token}}@example.org)"
                )

    def bounced(self, texts: Iterable[str]) -> str:
        """The token in the first address of ours that bounces come back to, from headers or the like; else empty."""
        return _token(self.bounces, texts)

    def unsubscribed(self, texts: Iterable[str]) -> str:
        """The token in the first address that readers unsubscribe at; else empty."""
        return _token(self.unsubscribe, texts)


def addresses_in(text: str) -> Iterator[str]:
    """What looks like an address in a header or a line of text, in order."""
    return (found[0].strip("'.") for found in _ADDRESS.finditer(text))


def _token(patterns: tuple[str, ...], texts: Iterable[str]) -> str:
    found = (_matcher(patterns).fullmatch(address) for text in texts for address in addresses_in(text))
    return next((match[match.lastindex or 0].lower() for match in found if match), "")


@cache
def _matcher(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """Case is nothing in a domain, and servers change it in what stands before the @ too."""
    escaped = (re.escape(pattern).replace(re.escape("{token}"), "([a-z0-9-]{1,64})") for pattern in patterns)
    return re.compile("|".join(escaped) or r"(?!)", re.IGNORECASE | re.ASCII)


def _line(text: str) -> str:
    return " ".join(_UNPRINTABLE.sub(" ", text[: 10 * _LONGEST_DETAIL]).split())


def _bare(message_id: str) -> str:
    """RFC 5322 section 3.6.4, without the brackets; empty when it is none."""
    inner = message_id.partition("<")[2].partition(">")[0] if "<" in message_id else message_id
    return inner if re.fullmatch(rf"[^\s<>]{{1,{_LONGEST_ID}}}", inner) else ""
