"""When each source is visited next and how it is, the feeds that lists name, hubs, and which entries tell one story."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.alter_column("sources", "retry_at", new_column_name="next_at")
    op.create_index(op.f("ix_sources_next_at"), "sources", ["next_at"])
    op.add_column("sources", sa.Column("plan", sa.Text(), nullable=False, server_default=""))
    op.add_column("sources", sa.Column("url", sa.Text(), nullable=False, server_default=""))
    op.add_column("sources", sa.Column("ailment", sa.Text(), nullable=False, server_default=""))
    op.add_column("sources", sa.Column("told", sa.Text(), nullable=False, server_default=""))
    op.add_column("sources", sa.Column("expires", sa.BigInteger(), nullable=True))
    op.add_column("sources", sa.Column("failing", sa.BigInteger(), nullable=True))
    op.add_column("sources", sa.Column("turned", sa.BigInteger(), nullable=True))
    sick = sa.text("ailment != told")
    op.create_index("ix_sources_untold", "sources", ["name"], sqlite_where=sick, postgresql_where=sick)
    op.add_column("entries", sa.Column("member", sa.Text(), nullable=False, server_default=""))
    op.add_column("entries", sa.Column("story", sa.BigInteger(), nullable=False, server_default="0"))
    # Until now those of one public identity were one.
    op.execute("UPDATE entries SET story = (SELECT min(twin.number) FROM entries AS twin WHERE twin.uid = entries.uid)")
    listed = sa.text("member != ''")
    op.create_index("ix_entries_member", "entries", ["member", "moment"], sqlite_where=listed, postgresql_where=listed)
    op.create_index("ix_entries_story", "entries", ["story", "source", "number"])
    op.create_table(
        "traces",
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["number"], ["entries.number"], name=op.f("fk_traces_number")),
        sa.PrimaryKeyConstraint("value", "number", name=op.f("pk_traces")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_traces_number"), "traces", ["number"])
    passing = sa.text("value >= 0")
    op.create_index("ix_traces_passing", "traces", ["number"], sqlite_where=passing, postgresql_where=passing)
    op.create_table(
        "hubs",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hub", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("callback", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_hubs")),
        sa.UniqueConstraint("token", name=op.f("uq_hubs_token")),
    )
    op.create_index(op.f("ix_hubs_next_at"), "hubs", ["next_at"])
    op.add_column("publications", sa.Column("next_at", sa.BigInteger(), nullable=True))
