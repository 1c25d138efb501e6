"""Who is told what, decided from values alone."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from publisher.config import TopicSettings
from publisher.model import Entry
from publisher.store import Waiting

Topics = Mapping[str, TopicSettings]
"""The topics that a publication offers, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What some readers are to be told: which part of a publication, and from where on."""

    topics: frozenset[str] = frozenset()
    """The names of the topics; none: everything."""
    since: int
    """The number of the last entry that they have been told of, or were not to be told of."""
    own: bool = False
    """They do not go on where the issue for all does: what they were told, ``since`` alone says."""


def offered(chosen: Collection[str], topics: Topics) -> frozenset[str]:
    """Of the topics that somebody chose, those there are; none where there is none of them: they get everything."""
    return frozenset(chosen).intersection(topics)


def belongs(entry: Entry, chosen: Collection[str], topics: Topics) -> bool:
    """Whether an entry is of one of the chosen topics, by its source or its tags, however they are written."""
    if not chosen:
        return True
    tags = {tag.casefold() for tag in entry.tags}
    parts = [topics[name] for name in chosen]
    return any(entry.source in part.sources or any(tag.casefold() in tags for tag in part.tags) for part in parts)


def is_wanted(waiting: Waiting, wish: Wish, topics: Topics) -> bool:
    """Whether a piece of news is to be told to those who have this wish, and was not."""
    entry = waiting.entry
    if entry.number <= wish.since or not belongs(entry, wish.topics, topics):
        return False
    # Of one that was forgotten nobody knows the topics.
    twins = [twin for twin in waiting.twins if twin.forgotten or belongs(twin.entry, wish.topics, topics)]
    passed = any(twin.entry.number <= wish.since and not twin.entry.backlog for twin in twins)
    if wish.own:
        return not passed
    was_told = any(twin.told for twin in waiting.twins)
    return not (any(twin.told for twin in twins) or (passed and was_told))


@dataclass(slots=True)
class Portion:
    """What there is to tell somebody: as much as an issue holds, and the first that it does not."""

    most: int
    entries: dict[str, Entry] = field(default_factory=dict)
    """By their public identity, in order of arrival: of several with the same only the first is told."""

    @property
    def is_full(self) -> bool:
        """Whether there is more than an issue holds."""
        return len(self.entries) > self.most

    def offer(self, entry: Entry) -> None:
        """Take one that arrived later than those before it."""
        self.entries.setdefault(entry.uid, entry)


def portions(news: Iterable[Waiting], wishes: Collection[Wish], topics: Topics, most: int) -> dict[Wish, list[Entry]]:
    """What there is for each wish, in order of arrival: at most so many entries and one more.

    Args:
        news: in order of arrival; no more of it is read than is needed.
    """
    found = {wish: Portion(most) for wish in wishes}
    hungry = dict(found)
    for waiting in news:
        for wish in [wish for wish in hungry if is_wanted(waiting, wish, topics)]:
            hungry[wish].offer(waiting.entry)
            if hungry[wish].is_full:
                del hungry[wish]
        if not hungry:
            break
    return {wish: list(portion.entries.values()) for wish, portion in found.items()}


def foremost(found: Mapping[Wish, list[Entry]], last: int) -> tuple[dict[Wish, list[Entry]], int]:
    """Of all that there is only the entry that arrived first, for those for whom it is; and its number.

    Args:
        last: the number to tell where there is nothing.
    """
    seen = min((entry.number for waiting in found.values() for entry in waiting), default=last)
    return {wish: [entry for entry in waiting if entry.number == seen] for wish, waiting in found.items()}, seen


def pick(waiting: Sequence[Entry], most: int) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
    """Choose the entries of an issue.

    Args:
        waiting: in order of arrival.
        most: how many fit.

    Returns:
        The chosen ones, newest first, and those carried over to the next issue, in order of arrival.  Those that
        arrived first go first, so that a busy week delays entries but drops none.  Of several with the same public
        identity only the first is told.
    """
    told = {entry.uid: entry for entry in reversed(waiting)}
    unique = sorted(told.values(), key=lambda entry: entry.number)
    chosen = sorted(unique[:most], key=lambda entry: (entry.moment, entry.number), reverse=True)
    return tuple(chosen), tuple(unique[most:])


def cursor(wish: Wish, left: Collection[Entry], seen: int) -> int:
    """From where those who have this wish go on: before the first entry that is left for them, or after all seen."""
    return max(wish.since, min((entry.number for entry in left), default=seen + 1) - 1)


def variant(entries: Sequence[Entry], base: Sequence[Entry], language: str) -> str:
    """The name of an issue for a group of readers: ``de``, ``3f9a1c2b`` or ``de-3f9a1c2b``; none: it is for all.

    The same for the same entries in the same language, and fit for an address.

    Args:
        base: the entries that all get who chose nothing.
        language: empty where it is the publication's.
    """
    if list(entries) == list(base):
        return language
    numbers = " ".join(str(entry.number) for entry in entries)
    part = hashlib.blake2b(numbers.encode(), digest_size=4).hexdigest()
    return f"{language}-{part}" if language else part
