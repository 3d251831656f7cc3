"""Migration of a database to the current schema."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from tidemill_core.errors import ConfigurationError
from tidemill_core.storage.database import Database

MIGRATIONS = Path(__file__).parent / "migrations"
# An arbitrary number that no other program locks in the same database.
ADVISORY_LOCK = 7_463_118_229


def migrate(database: Database) -> None:
    """Apply the missing migrations. Processes that start together take turns.

    Raises:
        ConfigurationError: a newer release has migrated the database.
        StorageUnavailable: the database cannot be reached or written.
    """
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with database.write() as connection:
        if database.engine.dialect.name == "postgresql":
            # A migration, and the wait for another process's turn, may take any time.
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})"))
        _refuse_newer(config, connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _refuse_newer(config: Config, connection: Connection) -> None:
    known = {each.revision for each in ScriptDirectory.from_config(config).walk_revisions()}
    if newer := set(MigrationContext.configure(connection).get_current_heads()) - known:
        raise ConfigurationError(
            f"a newer release of Tidemill has migrated the database to {min(newer)}: install that "
            "release again, or restore a backup from before"
        )
