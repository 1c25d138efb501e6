"""The tables.  What is here and what the migrations make are the same; a test holds them to it."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
)

from publisher.model import State

HEAD = "0005"
"""The newest migration.  Kept here so that a start on an up-to-date store need not import Alembic."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_KEY_LENGTH = 512


class Moment(TypeDecorator[datetime]):
    """An aware datetime, kept as microseconds since 1970 in UTC: sorts and compares alike everywhere."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """To the database."""
        return None if value is None else stored_moment(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """From the database."""
        return None if value is None else _EPOCH + value * _MICROSECOND


class Words(TypeDecorator[str]):
    """Text from anywhere; what PostgreSQL (NUL) or UTF-8 (lone surrogates) cannot hold becomes U+FFFD."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """To the database."""
        return None if value is None else _UNSTORABLE.sub("\ufffd", value)


class Key(TypeDecorator[str]):
    """An identity that outsiders choose, cut to what PostgreSQL can index (2,704 bytes) and still unique."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """To the database."""
        return None if value is None else stored_key(value)


class Names(TypeDecorator[tuple[str, ...]]):
    """Names, of which none holds a comma; sorted, so that the same ones are the same text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Dialect) -> str | None:
        """To the database."""
        return None if value is None else ",".join(sorted(value))

    def process_result_value(self, value: Any | None, dialect: Dialect) -> tuple[str, ...] | None:
        """From the database."""
        return None if value is None else tuple(value.split(",")) if value else ()


class Standing(TypeDecorator[State]):
    """The state of a delivery, by its word."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: State | None, dialect: Dialect) -> str | None:
        """To the database."""
        return value and value.value

    def process_result_value(self, value: Any | None, dialect: Dialect) -> State | None:
        """From the database."""
        return value and State(value)


def stored_moment(moment: datetime) -> int:
    """The form in which a moment is stored."""
    return (moment - _EPOCH) // _MICROSECOND


def stored_key(key: str) -> str:
    """The form in which a key is stored: itself, unless it is very long or holds what no database can."""
    clean = _UNSTORABLE.sub("\ufffd", key)
    if len(clean) <= _KEY_LENGTH:
        return clean
    return clean[: _KEY_LENGTH - 65] + "#" + hashlib.sha256(clean.encode()).hexdigest()


metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

# SQLite numbers rows by itself only where the key is spelt INTEGER.
_Id = BigInteger().with_variant(Integer(), "sqlite")

meta = Table(
    "meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

counters = Table(
    "counters",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

sources = Table(
    "sources",
    metadata,
    Column("name", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("cursor", Text, nullable=False),
    Column("title", Words, nullable=False),
    Column("since", Moment),
    Column("visited", Moment),
    Column("tried", Moment),
    Column("failures", Integer, nullable=False),
    Column("error", Words, nullable=False),
    # When it is visited next; NULL: never again.
    Column("next_at", Moment, index=True),
    Column("gone", Boolean, nullable=False),
    # A mark of the options that this visit was planned by.
    Column("plan", Text, nullable=False, server_default=""),
    # Where it is, if the configuration does not say so: a feed that a list names.
    Column("url", Words, nullable=False, server_default=""),
    Column("ailment", Words, nullable=False, server_default=""),
    # The ailment that the operator was told of last.
    Column("told", Words, nullable=False, server_default=""),
    # When the certificate of its server does.
    Column("expires", Moment),
    # Since when its visits fail; NULL: they do not.
    Column("failing", Moment),
    # When the ailment became what it is.
    Column("turned", Moment),
)
UNTOLD = sources.c.ailment != sources.c.told
Index("ix_sources_untold", sources.c.name, sqlite_where=UNTOLD, postgresql_where=UNTOLD)

hubs = Table(
    "hubs",
    metadata,
    Column("name", Text, primary_key=True),
    Column("hub", Words, nullable=False),
    Column("topic", Words, nullable=False),
    Column("token", Text, nullable=False),
    Column("secret", Text, nullable=False),
    # Where the hub was told to push to; empty while it was told nothing.
    Column("callback", Text, nullable=False),
    Column("state", Text, nullable=False),
    # When the lease ends.
    Column("until", Moment),
    # When the hub is to be asked again.
    Column("next_at", Moment, index=True),
    Column("failures", Integer, nullable=False),
    Column("error", Words, nullable=False),
    UniqueConstraint("token"),
)

marks = Table(
    "marks",
    metadata,
    Column("source", Text, primary_key=True),
    Column("mark", BigInteger, nullable=False),
)

entries = Table(
    "entries",
    metadata,
    Column("number", _Id, primary_key=True, autoincrement=False),
    Column("source", Text, nullable=False),
    Column("uid", Key, nullable=False),
    Column("version", Integer, nullable=False),
    Column("moment", Moment, nullable=False),
    Column("arrived", Moment, nullable=False),
    Column("changed", Moment, nullable=False),
    Column("backlog", Boolean, nullable=False),
    Column("forgotten", Boolean, nullable=False),
    Column("digest", Text, nullable=False),
    Column("link_key", Key, nullable=False),
    Column("title", Words, nullable=False),
    Column("content", Text, nullable=False),
    # Of which of the feeds that its source lists; empty where that is not a list.
    Column("member", Text, nullable=False, server_default=""),
    # The number of the first entry that told what this one tells.
    Column("story", BigInteger, nullable=False, server_default="0"),
)
Index(
    "ix_entries_member",
    entries.c.member,
    entries.c.moment,
    sqlite_where=entries.c.member != "",
    postgresql_where=entries.c.member != "",
)
Index("ix_entries_story", entries.c.story, entries.c.source, entries.c.number)
Index("ix_entries_source_number", entries.c.source, entries.c.number)
Index("ix_entries_source_link_key", entries.c.source, entries.c.link_key)
Index("ix_entries_uid_source_number", entries.c.uid, entries.c.source, entries.c.number)
Index(
    "ix_entries_remembered",
    entries.c.source,
    entries.c.moment,
    entries.c.number,
    sqlite_where=~entries.c.forgotten,
    postgresql_where=~entries.c.forgotten,
)

identities = Table(
    "identities",
    metadata,
    Column("source", Text, primary_key=True),
    Column("key", Key, primary_key=True),
    # Checked at commit: the identity is written first, because it decides whether there is an entry to write.
    Column(
        "number",
        BigInteger,
        ForeignKey("entries.number", deferrable=True, initially="DEFERRED"),
        nullable=False,
        index=True,
    ),
)

# By what entries that tell the same are found: numbers made from what they say, negative ones from where they link to.
traces = Table(
    "traces",
    metadata,
    Column("value", BigInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, ForeignKey("entries.number"), primary_key=True, index=True),
    sqlite_with_rowid=False,  # all of a row is its key
)
_passing = traces.c.value >= 0
Index("ix_traces_passing", traces.c.number, sqlite_where=_passing, postgresql_where=_passing)

versions = Table(
    "versions",
    metadata,
    Column("number", BigInteger, ForeignKey("entries.number"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("changed", Moment, nullable=False),
    Column("content", Text, nullable=False),
)

publications = Table(
    "publications",
    metadata,
    Column("name", Text, primary_key=True),
    Column("since", BigInteger, nullable=False),
    Column("opened", Boolean, nullable=False),
    Column("schedule", Text, nullable=False),
    Column("stamp", Text, nullable=False),
    Column("error", Words, nullable=False),
    Column("known", Moment, nullable=False),
    # When something will be settled that its feeds do not show yet.
    Column("next_at", Moment),
)

channels = Table(
    "channels",
    metadata,
    Column("name", Text, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("error", Words, nullable=False),
    Column("retry_at", Moment),
    Column("fingerprint", Text, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("publication", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("until", Moment, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("schedule", Text, primary_key=True),
    Column("slot", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("started", Moment, nullable=False, index=True),
    Column("until", Moment, nullable=False),
    Column("finished", Moment),
    Column("detail", Words, nullable=False),
)
Index("ix_runs_open", runs.c.owner, sqlite_where=runs.c.finished.is_(None), postgresql_where=runs.c.finished.is_(None))

issues = Table(
    "issues",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("publication", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("subject", Words, nullable=False),
    Column("created", Moment, nullable=False),
    Column("entries", Integer, nullable=False),
    Column("finished", Moment),
    # Why none of its deliveries is taken now; empty while they are.
    Column("paused", Words, nullable=False, server_default=""),
    Column("frequency", Text, nullable=False, server_default=""),
    # Of several documents with one number, whose this is; empty: the one for all.
    Column("variant", Text, nullable=False, server_default=""),
    Column("language", Text, nullable=False, server_default=""),
    UniqueConstraint("publication", "number", "variant"),
)
# Notices, which have no number, may be many, and are in no list.
Index("ix_issues_numbered", issues.c.id, sqlite_where=issues.c.number > 0, postgresql_where=issues.c.number > 0)

issue_entries = Table(
    "issue_entries",
    metadata,
    Column("issue", BigInteger, ForeignKey("issues.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("number", BigInteger, ForeignKey("entries.number"), nullable=False, index=True),
    Column("version", Integer, nullable=False),
)

documents = Table(
    "documents",
    metadata,
    Column("issue", BigInteger, ForeignKey("issues.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("issue", BigInteger, ForeignKey("issues.id"), nullable=False),
    Column("channel", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("state", Standing, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("planned", Moment, nullable=False),
    Column("first_try", Moment),
    # When it may be taken: at its next attempt or, while it is being sent, when that lease ends.
    Column("next_at", Moment),
    Column("owner", Text, nullable=False),
    Column("detail", Words, nullable=False),
    # How often in a row it broke us, or those that were sending it came to an end.
    Column("faults", Integer, nullable=False, server_default="0"),
    # Its last byte may have left; kept where a channel says `after_crash: hold`.
    Column("launched", Boolean, nullable=False, server_default=false()),
    # Empty while it is open.  The indexes that leasing needs hold open rows only: settled ones cost nothing.
    Column("settled", Moment),
    # Whose it is; their row may be gone.
    Column("subscriber", BigInteger),
    UniqueConstraint("issue", "channel", "recipient"),
)
Index("ix_deliveries_state", deliveries.c.state, deliveries.c.issue)
_open = deliveries.c.settled.is_(None)
Index(
    "ix_deliveries_open",
    deliveries.c.channel,
    deliveries.c.issue,
    deliveries.c.id,
    sqlite_where=_open,
    postgresql_where=_open,
)
Index(
    "ix_deliveries_held",
    deliveries.c.owner,
    sqlite_where=deliveries.c.owner != "",
    postgresql_where=deliveries.c.owner != "",
)
Index(
    "ix_deliveries_next",
    deliveries.c.next_at,
    deliveries.c.channel,
    sqlite_where=_open,
    postgresql_where=_open,
)
Index("ix_deliveries_recipient", deliveries.c.recipient)
_theirs = deliveries.c.subscriber.is_not(None)
Index("ix_deliveries_subscriber", deliveries.c.subscriber, sqlite_where=_theirs, postgresql_where=_theirs)

suppressions = Table(
    "suppressions",
    metadata,
    Column("address", Text, primary_key=True),  # its key, or its hash where it was erased
    Column("publication", Text, primary_key=True),  # empty: all of them
    Column("reason", Text, nullable=False),
    Column("detail", Words, nullable=False),
    Column("moment", Moment, nullable=False),
)

returns = Table(
    "returns",
    metadata,
    Column("key", Text, primary_key=True),
    Column("delivery", BigInteger, ForeignKey("deliveries.id"), index=True),
    Column("address", Text, nullable=False, index=True),
    Column("fate", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("detail", Words, nullable=False),
    Column("moment", Moment, nullable=False),
)

subscribers = Table(
    "subscribers",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("key", Key, nullable=False),
    Column("address", Words, nullable=False),
    Column("name", Words, nullable=False),
    Column("language", Text, nullable=False),
    Column("timezone", Text, nullable=False),
    Column("paused_until", Moment),
    Column("links", Integer, nullable=False),
    Column("created", Moment, nullable=False),
    UniqueConstraint("key"),
    sqlite_autoincrement=True,  # links hold the id: it is never given to somebody else
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("subscriber", BigInteger, ForeignKey("subscribers.id"), primary_key=True),
    Column("publication", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("frequency", Text, nullable=False),
    Column("topics", Names, nullable=False),
    Column("since", BigInteger),
    Column("asked", Moment),
    Column("confirmed", Moment),
    Column("left", Moment),
)
Index(
    "ix_subscriptions_publication_state",
    subscriptions.c.publication,
    subscriptions.c.state,
    subscriptions.c.subscriber,
)

signups = Table(
    "signups",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("key", Key, nullable=False, index=True),
    Column("address", Words, nullable=False),
    Column("name", Words, nullable=False),
    Column("publications", Names, nullable=False),
    Column("frequency", Text, nullable=False),
    Column("topics", Names, nullable=False),
    Column("language", Text, nullable=False),
    Column("timezone", Text, nullable=False),
    Column("door", Text, nullable=False),
    Column("network", Text, nullable=False),
    Column("wording", Words, nullable=False),
    Column("moment", Moment, nullable=False, index=True),
    Column("done", Moment),
    Column("subscriber", BigInteger),
)
Index("ix_signups_network_moment", signups.c.network, signups.c.moment)
_undone = signups.c.done.is_(None)
Index("ix_signups_waiting", signups.c.id, sqlite_where=_undone, postgresql_where=_undone)

asked = Table(
    "asked",
    metadata,
    Column("key", Text, primary_key=True),
    Column("moment", Moment, nullable=False, index=True),
)

# Append only: triggers, which the migration makes, refuse all but the blanking of `network`.
consents = Table(
    "consents",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("person", Text, nullable=False, index=True),
    Column("publication", Text, nullable=False),
    Column("act", Text, nullable=False),
    Column("moment", Moment, nullable=False),
    Column("door", Text, nullable=False),
    Column("network", Text, nullable=False),
    Column("wording", Words, nullable=False),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("name", Words, nullable=False),
    Column("hash", Text, nullable=False),
    Column("scopes", Names, nullable=False),
    Column("created", Moment, nullable=False),
    Column("used", Moment),
    UniqueConstraint("name"),
    UniqueConstraint("hash"),
)
