"""Deliveries that break us or are in doubt, paused issues, what comes back, and who shall get nothing."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("faults", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("deliveries", sa.Column("launched", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("issues", sa.Column("paused", sa.Text(), nullable=False, server_default=""))
    op.create_index(op.f("ix_deliveries_recipient"), "deliveries", ["recipient"])
    op.create_table(
        "suppressions",
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("publication", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("moment", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("address", "publication", name=op.f("pk_suppressions")),
    )
    op.create_table(
        "returns",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("delivery", sa.BigInteger(), nullable=True),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("fate", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("moment", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["delivery"], ["deliveries.id"], name=op.f("fk_returns_delivery")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_returns")),
    )
    op.create_index(op.f("ix_returns_delivery"), "returns", ["delivery"])
    op.create_index(op.f("ix_returns_address"), "returns", ["address"])
