"""Subscribers and what they wish, sign-ups, consents, API tokens; issues in variants, and notices."""

import secrets

import sqlalchemy as sa
from alembic import op

from publisher.mime import address_key

revision = "0003"
down_revision = "0002"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _salt()
    _issues()
    op.add_column("deliveries", sa.Column("subscriber", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_deliveries_subscriber",
        "deliveries",
        ["subscriber"],
        sqlite_where=sa.text("subscriber IS NOT NULL"),
        postgresql_where=sa.text("subscriber IS NOT NULL"),
    )
    _subscribers()
    _signups()
    _consents()
    op.create_table(
        "api_tokens",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_tokens")),
        sa.UniqueConstraint("name", name=op.f("uq_api_tokens_name")),
        sa.UniqueConstraint("hash", name=op.f("uq_api_tokens_hash")),
    )
    _rekey("suppressions", ("address", "publication"))
    _rekey("returns", ("key",))


def _salt() -> None:
    meta = op.create_table(
        "meta",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_meta")),
    )
    op.bulk_insert(meta, [{"name": "salt", "value": secrets.token_hex(16)}])


def _issues() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _rebuild_issues()
    else:
        op.add_column("issues", sa.Column("frequency", sa.Text(), nullable=False, server_default=""))
        op.add_column("issues", sa.Column("variant", sa.Text(), nullable=False, server_default=""))
        op.drop_constraint("uq_issues_publication_number", "issues")
        op.create_unique_constraint(
            "uq_issues_publication_number_variant", "issues", ["publication", "number", "variant"]
        )
    op.create_index(
        "ix_issues_numbered",
        "issues",
        ["id"],
        sqlite_where=sa.text("number > 0"),
        postgresql_where=sa.text("number > 0"),
    )


def _rebuild_issues() -> None:
    """SQLite cannot drop a constraint; what refers to the table by its name goes on doing so."""
    op.create_table(
        "issues_anew",
        sa.Column("id", _ID, nullable=False),
        sa.Column("publication", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("finished", sa.BigInteger(), nullable=True),
        sa.Column("paused", sa.Text(), nullable=False, server_default=""),
        sa.Column("frequency", sa.Text(), nullable=False, server_default=""),
        sa.Column("variant", sa.Text(), nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_issues")),
        sa.UniqueConstraint("publication", "number", "variant", name=op.f("uq_issues_publication_number_variant")),
    )
    columns = "id, publication, number, subject, created, entries, finished, paused"
    op.execute(f"INSERT INTO issues_anew ({columns}) SELECT {columns} FROM issues")  # noqa: S608 (all of it is above)
    op.drop_table("issues")
    op.rename_table("issues_anew", "issues")


def _subscribers() -> None:
    op.create_table(
        "subscribers",
        sa.Column("id", _ID, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("paused_until", sa.BigInteger(), nullable=True),
        sa.Column("links", sa.Integer(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscribers")),
        sa.UniqueConstraint("key", name=op.f("uq_subscribers_key")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "subscriptions",
        sa.Column("subscriber", sa.BigInteger(), nullable=False),
        sa.Column("publication", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("frequency", sa.Text(), nullable=False),
        sa.Column("topics", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=True),
        sa.Column("asked", sa.BigInteger(), nullable=True),
        sa.Column("confirmed", sa.BigInteger(), nullable=True),
        sa.Column("left", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["subscriber"], ["subscribers.id"], name=op.f("fk_subscriptions_subscriber")),
        sa.PrimaryKeyConstraint("subscriber", "publication", name=op.f("pk_subscriptions")),
    )
    op.create_index("ix_subscriptions_publication_state", "subscriptions", ["publication", "state", "subscriber"])


def _signups() -> None:
    op.create_table(
        "signups",
        sa.Column("id", _ID, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("publications", sa.Text(), nullable=False),
        sa.Column("frequency", sa.Text(), nullable=False),
        sa.Column("topics", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("door", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("wording", sa.Text(), nullable=False),
        sa.Column("moment", sa.BigInteger(), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signups")),
    )
    op.create_index(op.f("ix_signups_key"), "signups", ["key"])
    op.create_index(op.f("ix_signups_moment"), "signups", ["moment"])
    op.create_index("ix_signups_network_moment", "signups", ["network", "moment"])
    op.create_index(
        "ix_signups_waiting",
        "signups",
        ["id"],
        sqlite_where=sa.text("done IS NULL"),
        postgresql_where=sa.text("done IS NULL"),
    )
    op.create_table(
        "asked",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("moment", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_asked")),
    )
    op.create_index(op.f("ix_asked_moment"), "asked", ["moment"])


def _consents() -> None:
    op.create_table(
        "consents",
        sa.Column("id", _ID, nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("publication", sa.Text(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("moment", sa.BigInteger(), nullable=False),
        sa.Column("door", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("wording", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consents")),
    )
    op.create_index(op.f("ix_consents_person"), "consents", ["person"])
    for statement in _APPEND_ONLY[op.get_bind().dialect.name]:
        op.execute(statement)


_KEPT = ("id", "person", "publication", "act", "moment", "door", "wording")
_APPEND_ONLY = {
    "sqlite": (
        "CREATE TRIGGER consents_are_not_changed BEFORE UPDATE ON consents "
        f"WHEN new.network <> '' OR {' OR '.join(f'new.{name} IS NOT old.{name}' for name in _KEPT)} "
        "BEGIN SELECT RAISE(ABORT, 'the log of consents is append only'); END",
        "CREATE TRIGGER consents_are_not_deleted BEFORE DELETE ON consents "
        "BEGIN SELECT RAISE(ABORT, 'the log of consents is append only'); END",
    ),
    "postgresql": (
        """
        CREATE FUNCTION consents_are_kept() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'UPDATE' THEN
                OLD.network = '';
                IF NEW IS NOT DISTINCT FROM OLD THEN
                    RETURN NEW;
                END IF;
            END IF;
            RAISE EXCEPTION 'the log of consents is append only';
        END $$
        """,
        "CREATE TRIGGER consents_are_kept BEFORE UPDATE OR DELETE ON consents "
        "FOR EACH ROW EXECUTE FUNCTION consents_are_kept()",
        "CREATE TRIGGER consents_are_not_emptied BEFORE TRUNCATE ON consents "
        "FOR EACH STATEMENT EXECUTE FUNCTION consents_are_kept()",
    ),
}


def _rekey(table: str, primary: tuple[str, ...]) -> None:
    """Addresses were kept in small letters, foreign domains as they came; they are looked up by their key now."""
    connection, rows = op.get_bind(), sa.table(table, *(sa.column(name) for name in {*primary, "address"}))
    for row in connection.execute(sa.select(rows)).mappings().all():
        key = address_key(row["address"])
        if key == row["address"]:
            continue
        this = sa.and_(*(rows.c[name] == row[name] for name in primary))
        there = {**row, "address": key}
        twin = sa.and_(*(rows.c[name] == there[name] for name in primary))
        if "address" in primary and connection.execute(sa.select(rows).where(twin)).first():
            connection.execute(sa.delete(rows).where(this))
        else:
            connection.execute(sa.update(rows).where(this).values(address=key))
