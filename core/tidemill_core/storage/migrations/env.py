"""Runs migrations on the connection that `tidemill_core.storage.migrate` hands over."""

from alembic import context

from tidemill_core.storage.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
