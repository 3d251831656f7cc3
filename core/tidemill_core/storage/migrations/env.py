"""Alembic's environment: migrates over the connection from `tidemill_core.storage.migrate`."""

from alembic import context

from tidemill_core.storage.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
