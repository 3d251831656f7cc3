"""A read-only connection to a database, and its errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from tidemill_core.errors import DataError
from tidemill_jobs.data.sources.errors import SourceMissing, SourceUnreadable

_RESERVED = {
    "sqlite": {"nothing", "returning", "with"},
    "postgresql": {"collation", "concurrently", "lateral", "system_user", "tablesample"},
}
"""Words that SQLAlchemy does not know as reserved, so that it would not quote such names."""


@contextmanager
def connected(url: str, place: str) -> Iterator[sa.Connection]:
    """Open a connection that can only read.

    Raises:
        DataError: SOURCE_MISSING or SOURCE_UNREADABLE, also for errors in the block; without the
            URL, which may have a password.
    """
    with _errors(place), _opened(url, place) as connection:
        backend = connection.dialect.name
        if backend == "sqlite":
            connection.exec_driver_sql("PRAGMA query_only = ON")
            # SQLite stores texts in any encoding.
            driver: Any = connection.connection.driver_connection
            driver.text_factory = lambda text: text.decode(errors="surrogateescape")
        elif backend == "postgresql":
            connection.execution_options(postgresql_readonly=True)
        yield connection


def _opened(url: str, place: str) -> sa.Connection:
    try:
        parsed = sa.make_url(url)
        if parsed.get_backend_name() == "sqlite" and not _is_file(parsed.database):
            raise SourceMissing(f"{place}: there is no database {parsed.database}", "fix the url")
        engine = sa.create_engine(parsed, poolclass=sa.NullPool, hide_parameters=True)
        quote_reserved(engine)
        return engine.connect()
    except (DBAPIError, DataError):
        raise
    except (SQLAlchemyError, ImportError, ValueError, TypeError, OverflowError) as error:
        # The library's message may contain the URL and its password.
        problem = "SQLAlchemy cannot read its url, or the driver is not installed"
        raise SourceUnreadable(place, problem, "fix the url, or install the driver") from error


def quote_reserved(engine: sa.Engine) -> None:
    """Make an engine quote the names of columns and tables that are reserved words."""
    preparer = engine.dialect.identifier_preparer
    more = _RESERVED.get(engine.dialect.name, set())
    preparer.reserved_words = {*preparer.reserved_words, *more}


def _is_file(path: str | None) -> bool:
    try:
        return Path(path or "").is_file()
    except OSError:  # the name is too long
        return False


@contextmanager
def _errors(place: str) -> Iterator[None]:
    """Convert the block's errors to a DataError that names the source."""
    try:
        yield
    except (sa.exc.DataError, UnicodeError, OverflowError) as error:
        # The database's message contains the value, which may be a person's text.
        name = type(getattr(error, "orig", error)).__name__
        raise SourceUnreadable(place, f"a value cannot be read or converted ({name})") from None
    except SQLAlchemyError as error:
        message = str(getattr(error, "orig", error)).strip().partition("\n")[0]
        raise SourceUnreadable(place, message) from error
