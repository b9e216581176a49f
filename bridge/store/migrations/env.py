"""Alembic's environment: migrate over the connection that was handed over, within its transaction."""

from alembic import context

from bridge.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
