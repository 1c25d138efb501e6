"""Whom an issue is for, as SQL: nothing here looks at one reader after another."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Text, case, cast, func, or_, type_coerce

from publisher.store.rows import Audience, Group
from publisher.store.tables import subscribers, subscriptions

READERS = subscriptions.join(subscribers, subscribers.c.id == subscriptions.c.subscriber)


def listening(audience: Audience) -> tuple[ColumnElement[bool], ...]:
    """Of ``READERS``, those who are of an audience."""
    wanted, paused = subscriptions.c.frequency, subscribers.c.paused_until
    return (
        subscriptions.c.publication == audience.publication,
        subscriptions.c.state == "active",
        wanted == audience.frequency if audience.frequency else wanted.not_in(audience.others),
        or_(paused.is_(None), paused <= audience.now),
    )


def spoken(audience: Audience) -> ColumnElement[str]:
    """The language of each, empty where it is the publication's."""
    return case((subscribers.c.language == audience.language, ""), else_=subscribers.c.language)


def group_key(audience: Audience) -> ColumnElement[str]:
    """By what each one's group is found: see ``key_of``."""
    topics, since = type_coerce(subscriptions.c.topics, Text), cast(subscriptions.c.since, Text)
    return spoken(audience).concat("|").concat(topics).concat("|").concat(func.coalesce(since, ""))


def key_of(group: Group) -> str:
    """What ``group_key`` is for the readers of that group."""
    return f"{group.language}|{','.join(sorted(group.topics))}|{'' if group.since is None else group.since}"
