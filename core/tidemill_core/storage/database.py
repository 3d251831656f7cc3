"""The database: its transactions, errors and pages of rows."""

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Column, ColumnElement, Connection, Table, exc, func, select
from sqlalchemy.dialects import postgresql, sqlite

from tidemill_core.clock import system_clock
from tidemill_core.errors import InvalidArgument, NotFound, StorageUnavailable
from tidemill_core.storage.engine import open_engine

_END_IF_IDLE = "SET LOCAL idle_in_transaction_session_timeout = '10s'"
"""Ends the transaction of a process that was stopped while it holds a table's lock."""
MIN_PREFIX = 8
"""Characters of an id that may stand for it."""
MAX_PAGE_SIZE = 1000
DEFAULT_PAGE_SIZE = 100

R = TypeVar("R")


class Database:
    """A SQLite or PostgreSQL database, accessed in transactions; safe to share between threads.

    If the database cannot be reached, is locked, full or damaged, methods raise
    `StorageUnavailable`. A transaction that raises changes nothing.
    """

    def __init__(self, url: str) -> None:
        self.engine = open_engine(url)

    @contextmanager
    def write(self, alone_on: Table | None = None) -> Iterator[Connection]:
        """Open a transaction that may write; it is committed and durable when the block ends.

        Args:
            alone_on: a table that no other transaction writes until then. Pass it if the block
                reads the table to decide what to write. SQLite always has a single writer.
        """
        with _translated(), self.engine.connect() as connection:
            writer = connection.execution_options(tidemill_writes=True)
            with writer.begin():
                if alone_on is not None and self.engine.dialect.name == "postgresql":
                    lock = f"LOCK TABLE {alone_on.name} IN SHARE ROW EXCLUSIVE MODE"
                    writer.exec_driver_sql(f"{_END_IF_IDLE}; {lock}")
                yield writer

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a read-only transaction; it sees the database as of one moment."""
        with _translated(), self.engine.connect() as connection:
            if self.engine.dialect.name == "postgresql":
                connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextmanager
    def autocommit(self) -> Iterator[Connection]:
        """Open a connection to PostgreSQL that commits each statement."""
        with _translated(), self.engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")

    def page(
        self,
        value_of: Callable[[Mapping[str, Any]], R],
        table: Table,
        page: "Page",
        *conditions: ColumnElement[bool],
        **wanted: str | None,
    ) -> tuple[list[R], str]:
        """Return the page and token of `newest_first`, with `value_of` applied to each row."""
        with self.read() as connection:
            rows, token = newest_first(connection, table, page, *conditions, **wanted)
        return list(map(value_of, rows)), token

    def insert_ignoring_repeats(
        self, connection: Connection, table: Table, rows: list[dict[str, Any]]
    ) -> None:
        """Insert rows, except those whose key exists already."""
        dialect = postgresql if self.engine.dialect.name == "postgresql" else sqlite
        connection.execute(dialect.insert(table).on_conflict_do_nothing(), rows)

    @contextmanager
    def exclusive(self, name: str) -> Iterator[None]:
        """Hold a lock that one process at a time holds, on any machine that uses a PostgreSQL.

        Others wait for it. A SQLite is used by one machine, whose processes lock files.
        """
        if self.engine.dialect.name != "postgresql":
            yield
            return
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
        with self.write() as connection:
            # The wait for another process's turn, and the block, may take any time.
            for limit in ("lock", "statement", "idle_in_transaction_session"):
                connection.exec_driver_sql(f"SET LOCAL {limit}_timeout = 0")
            connection.execute(select(func.pg_advisory_xact_lock(key)))
            yield

    def now(self, connection: Connection) -> datetime:
        """Return the time by the database's clock, the same for all machines that use it."""
        if self.engine.dialect.name != "postgresql":
            return system_clock()  # SQLite has this machine's
        found: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        return found

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (exc.OperationalError, exc.InterfaceError, exc.InternalError) as error:
        # PostgreSQL: InternalError if it is read-only after a failover or ended a transaction.
        raise StorageUnavailable(str(error.orig).strip()) from error
    except exc.TimeoutError as error:
        raise StorageUnavailable(str(error)) from error
    except exc.DataError as error:
        # PostgreSQL raises it for a NUL in a text, a number out of range, or a text too long.
        rule = f"a value cannot be stored: {str(error.orig).strip()}"
        raise InvalidArgument("INVALID_VALUE", "request", rule) from error
    except exc.DBAPIError as error:
        # SQLite raises the bare class for a file that is damaged or not a database.
        if error.connection_invalidated or type(error) is exc.DatabaseError:
            raise StorageUnavailable(str(error.orig).strip()) from error
        raise


@dataclass(frozen=True)
class Page:
    """A requested page of a list.

    Attributes:
        size: the most rows to return, 1 to 1,000.
        before: only rows with a smaller sequence; None starts with the newest.
    """

    size: int = DEFAULT_PAGE_SIZE
    before: int | None = None

    @staticmethod
    def parse(page_size: int, page_token: str) -> "Page":
        """Return the page that a request's fields ask for.

        Raises:
            InvalidArgument: page_size is negative, or page_token is not a token of ours.
        """
        if page_size < 0:
            raise InvalidArgument("INVALID_PAGE_SIZE", "page_size", f"{page_size} is negative")
        size = min(page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        if not page_token:
            return Page(size)
        try:
            before = int(base64.urlsafe_b64decode(page_token.encode()).decode("ascii"))
        except (ValueError, binascii.Error) as error:
            rule = "is not a token that a list returned"
            raise InvalidArgument("INVALID_PAGE_TOKEN", "page_token", rule) from error
        return Page(size, min(max(before, 0), 2**31 - 1))

    def at_most(self, size: int) -> "Page":
        """Return the page, limited to `size` rows."""
        return Page(min(self.size, size), self.before)


def newest_first(
    connection: Connection,
    table: Table,
    page: Page,
    *conditions: ColumnElement[bool],
    **wanted: str | None,
) -> tuple[list[Mapping[str, Any]], str]:
    """Return a page of a table's rows, newest first, and the next page's token.

    The table's primary key must be the sequence of its rows. `wanted` maps columns to required
    values; an empty value or None allows all.
    """
    (sequence,) = table.primary_key
    query = select(table).where(*conditions).filter_by(**{n: v for n, v in wanted.items() if v})
    if page.before is not None:
        query = query.where(sequence < page.before)
    found = connection.execute(query.order_by(sequence.desc()).limit(page.size + 1)).mappings()
    rows: list[Mapping[str, Any]] = [dict(row) for row in found]
    token = page_token(rows[page.size - 1][sequence.name]) if len(rows) > page.size else ""
    return rows[: page.size], token


def row_by_id(
    connection: Connection, column: Column[str], given: str, kind: str
) -> Mapping[Any, Any]:
    """Return the row with an id, or the only one whose id starts with what is given.

    Args:
        connection: the connection.
        column: the column of the ids.
        given: the id, or at least its first MIN_PREFIX characters.
        kind: what the rows are, such as `dataset version`.

    Raises:
        NotFound: there is no such row.
        InvalidArgument: AMBIGUOUS_ID, several ids start with it.
    """
    query = select(column.table)
    exact = connection.execute(query.where(column == given)).mappings().one_or_none()
    if exact is not None:
        return exact
    # Not LIKE: on SQLite it ignores case.
    start = func.substr(column, 1, len(given)) == given
    found = connection.execute(query.where(start).limit(2)).mappings().all()
    if not found or len(given) < MIN_PREFIX:
        raise NotFound(kind, given)
    if len(found) > 1:
        rule = f"several {kind}s start with {given!r}: give more of the id"
        raise InvalidArgument("AMBIGUOUS_ID", column.name, rule)
    return found[0]


def page_token(before: int) -> str:
    """Return the token of the page that starts before a sequence number."""
    return base64.urlsafe_b64encode(str(before).encode()).decode()
