"""The steps from an empty database to the tables, with Alembic.

After a change in ``tables.py`` write the next file in ``versions/`` and set ``tables.HEAD``; the test that compares the
two names what is still missing.  A released step is never edited.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config

if TYPE_CHECKING:
    from sqlalchemy import Connection


def upgrade(connection: Connection) -> None:
    """Apply the steps that are missing, within the connection's transaction.

    Raises:
        alembic.util.CommandError: the database is at a step that is not among ours.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
