"""Migration of a database to the current schema."""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from tidemill_core.errors import ConfigurationError
from tidemill_core.storage.database import Database

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"
# An arbitrary number that no other program locks in the same database.
ADVISORY_LOCK = 7_463_118_229


def migrate(database: Database) -> None:
    """Apply the missing migrations. Processes that start together take turns.

    Raises:
        ConfigurationError: a newer release has migrated the database.
        StorageUnavailable: the database cannot be reached or written.
    """
    # Nearly every process finds a current database, and need not import Alembic.
    with database.read() as connection:
        if _is_current(connection):
            return
    _upgrade(database)


def _is_current(connection: Connection) -> bool:
    newest = max(path.name for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))
    if not inspect(connection).has_table("alembic_version"):
        return False
    applied = connection.scalars(text("SELECT version_num FROM alembic_version")).all()
    return applied == [newest.partition("_")[0]]


def _upgrade(database: Database) -> None:
    from alembic import command
    from alembic.config import Config

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


def _refuse_newer(config: "Config", connection: Connection) -> None:
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    known = {each.revision for each in ScriptDirectory.from_config(config).walk_revisions()}
    if newer := set(MigrationContext.configure(connection).get_current_heads()) - known:
        raise ConfigurationError(
            f"a newer release of Tidemill has migrated the database to {min(newer)}: install that "
            "release again, or restore a backup from before"
        )
