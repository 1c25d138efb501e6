"""What a reader can choose, and what they have chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from publisher.config import Settings
from publisher.model import Publication
from publisher.store import SubscriberRow, SubscriptionRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One of the frequencies or topics of a publication."""

    name: str
    title: str
    """What readers are shown; of a frequency its name, of a topic its title."""
    chosen: bool
    schedule: str = ""
    """Of a frequency: as the operator has written it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One publication, as a reader may have it."""

    publication: Publication
    state: str
    """That of their subscription; empty where they have none."""
    frequencies: tuple[Option, ...]
    """None where there is nothing to choose."""
    topics: tuple[Option, ...]

    @property
    def subscribed(self) -> bool:
        """Whether they get it."""
        return self.state == "active"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """All that a reader can choose."""

    subscriber: SubscriberRow
    choices: tuple[Choice, ...]
    """Of every publication that there is, in the order of the configuration."""
    languages: tuple[str, ...]
    paused: bool
    """Until ``subscriber.paused_until``, which has not come yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a reader wants of one publication."""

    subscribed: bool
    frequency: str = ""
    """A written name; empty: the first."""
    topics: tuple[str, ...] = ()
    """Names; none: all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a reader wants from now on.  What is None stays as it is."""

    publications: Mapping[str, Wanted] = field(default_factory=dict)
    """By name; those that are not named stay as they are."""
    name: str | None = None
    language: str | None = None
    timezone: str | None = None
    paused_until: datetime | None = None
    """Not before this moment is anything sent; one that is past ends a pause."""


def choice(settings: Settings, name: str, sub: SubscriptionRow | None) -> Choice:
    """A publication as it can be had, with what a subscription says of it."""
    digest = settings.digest(name)
    chosen = digest.frequency(sub.frequency) if sub else ""
    frequencies = [
        Option(
            name=key or digest.default_frequency,
            title=key or digest.default_frequency,
            chosen=key == chosen,
            schedule=schedule,
        )
        for key, schedule in digest.frequencies.items()
    ]
    known = settings.publications[name].topics
    wanted = set(sub.topics) & set(known) if sub else set()
    topics = [Option(name=key, title=t.title, chosen=not wanted or key in wanted) for key, t in known.items()]
    return Choice(
        publication=settings.publication(name),
        state=sub.state if sub else "",
        frequencies=tuple(frequencies) if len(frequencies) > 1 else (),
        topics=tuple(topics),
    )
