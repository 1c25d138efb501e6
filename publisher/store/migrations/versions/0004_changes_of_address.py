"""Sign-ups of those who have moved, and the language of an issue that is not its publication's."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("signups", sa.Column("subscriber", sa.BigInteger(), nullable=True))
    op.add_column("issues", sa.Column("language", sa.Text(), nullable=False, server_default=""))
