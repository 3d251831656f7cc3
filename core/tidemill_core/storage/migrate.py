"""Brings a database to the present schema."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from tidemill_core.storage.database import Database

MIGRATIONS = Path(__file__).parent / "migrations"
# Any number that no other program locks in the same database.
ADVISORY_LOCK = 7_463_118_229


def migrate(database: Database) -> None:
    """Apply the migrations that the database lacks. Processes that start together take turns.

    Raises:
        StorageUnavailable: the database cannot be reached or written.
    """
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with database.write() as connection:
        if database.engine.dialect.name == "postgresql":
            # A migration takes as long as it takes, and so does another process's turn.
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
