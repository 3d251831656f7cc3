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


class MigrationPending(ConfigurationError):
    """A database of an earlier release, which a command that only reads does not migrate."""

    reason = "MIGRATION_PENDING"

    def __init__(self) -> None:
        super().__init__(
            "the database is of an earlier release: `tidemill up` migrates it when it starts"
        )


def migrate(database: Database) -> None:
    """Apply the missing migrations. Processes that start together take turns.

    Raises:
        ConfigurationError: a newer release has migrated the database.
        StorageUnavailable: the database cannot be reached or written.
    """
    # Nearly every process finds a current database, and need not import Alembic.
    with database.read() as connection:
        if _applied(connection) == _newest():
            return
    _upgrade(database)


def is_empty(database: Database) -> bool:
    """Return whether a database has no tables yet; require that others are current.

    Raises:
        MigrationPending: it is of an earlier release.
        ConfigurationError: a newer release has migrated it.
        StorageUnavailable: it cannot be reached.
    """
    with database.read() as connection:
        applied = _applied(connection)
        if applied and applied != _newest():
            _refuse_newer(_configuration(), connection)
            raise MigrationPending
    return not applied


def _newest() -> list[str]:
    names = (path.name for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))
    return [max(names).partition("_")[0]]


def _applied(connection: Connection) -> list[str]:
    """Return the last migration that was applied; none if there are no tables."""
    if not inspect(connection).has_table("alembic_version"):
        return []
    return list(connection.scalars(text("SELECT version_num FROM alembic_version")))


def _configuration() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _upgrade(database: Database) -> None:
    from alembic import command

    config = _configuration()
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
