"""What Alembic runs: the steps, on the connection that ``upgrade`` hands in."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
