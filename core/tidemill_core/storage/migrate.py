"""Migration of a database to the current schema."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from tidemill_core.storage.database import Database

MIGRATIONS = Path(__file__).parent / "migrations"
# An arbitrary number that no other program locks in the same database.
ADVISORY_LOCK = 7_463_118_229


def migrate(database: Database) -> None:
    """Apply the missing migrations. Processes that start together take turns.

    Raises:
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
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
