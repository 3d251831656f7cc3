"""Where rows are read and written: a file or URL, or a database's table as DATABASE#TABLE."""

import os
import re
from dataclasses import dataclass

from tidemill_core.errors import ConfigurationError, DataError

_DATABASES = re.compile(
    r"(env:|(sqlite|postgres|postgresql|mysql|mariadb|mssql|oracle)(\+\w+)?://)"
)
_QUERY = re.compile(r"\s*(select|with)\s", re.IGNORECASE)


@dataclass(frozen=True)
class DatabasePlace:
    """A table or a query of a database.

    Attributes:
        database: SQLAlchemy's URL without a password, or `env:` and the variable that has it.
        rows: the table, perhaps with its schema, or the query.
    """

    database: str
    rows: str

    @property
    def is_query(self) -> bool:
        """Whether the rows are those of a query."""
        return _QUERY.match(self.rows) is not None

    @property
    def shown(self) -> str:
        """The place for people, as sources show it."""
        return "db:query" if self.is_query else f"db:{self.rows}"

    @property
    def url(self) -> str:
        """SQLAlchemy's URL.

        Raises:
            ConfigurationError: the variable is not set.
        """
        if not self.database.startswith("env:"):
            return self.database
        variable = self.database.removeprefix("env:")
        if not (found := os.environ.get(variable, "")):
            problem = f"the environment variable {variable} of the jobs is not set"
            raise ConfigurationError(f"{problem}: set it to the database's URL")
        return found


def database_place(place: str) -> DatabasePlace | None:
    """Return the database that a place names; None if it is a file or another URL.

    Raises:
        DataError: TABLE_NOT_NAMED.
    """
    if not _DATABASES.match(place):
        return None
    database, _, rows = place.partition("#")
    if not rows.strip():
        raise DataError("TABLE_NOT_NAMED", f"{database} names no table; write {database}#TABLE")
    return DatabasePlace(database, rows)
