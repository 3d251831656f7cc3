"""Copies of a database's rows, between SQLite and PostgreSQL in any direction."""

from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Connection, Table, func, insert, select, text

from tidemill_core.storage.database import Database
from tidemill_core.storage.partitions import add_partitions
from tidemill_core.storage.schema import leases, metadata, predictions

BATCH_ROWS = 5_000
"""Rows in memory at a time."""


def copy_rows(source: Database, target: Database, on_rows: Callable[[int], None]) -> dict[str, int]:
    """Copy all rows of a database as of one moment into an empty one with the same schema.

    Leases are left out: they belong to processes that run on the source.

    Args:
        source: where the rows are; it may be in use.
        target: where they go, in one transaction.
        on_rows: is called with the number of rows of each batch.

    Returns:
        The number of rows by table.

    Raises:
        StorageUnavailable: one of them does not answer, or is full.
    """
    counts = {}
    with source.read() as reading, target.write() as writing:
        for table in stored_tables():
            counts[table.name] = 0
            for rows in _batches(reading, table):
                if table is predictions:
                    add_partitions(writing, [row["predict_time"] for row in rows])
                writing.execute(insert(table), rows)
                counts[table.name] += len(rows)
                on_rows(len(rows))
            _continue_numbering(writing, table)
    return counts


def count_rows(database: Database) -> int:
    """Return the number of rows of all tables that are copied."""
    with database.read() as connection:
        tables = stored_tables()
        return sum(
            connection.scalar(select(func.count()).select_from(each)) or 0 for each in tables
        )


def stored_tables() -> list[Table]:
    """Return the tables that are copied, each after those that it refers to."""
    return [table for table in metadata.sorted_tables if table is not leases]


def _batches(connection: Connection, table: Table) -> Iterator[list[dict[str, Any]]]:
    streamed = connection.execution_options(yield_per=BATCH_ROWS).execute(select(table))
    for batch in streamed.mappings().partitions():
        yield [dict(row) for row in batch]


def _continue_numbering(connection: Connection, table: Table) -> None:
    """Make PostgreSQL's next number of a numbered column follow the copied ones."""
    column = table.autoincrement_column
    if column is None or connection.dialect.name != "postgresql":
        return
    highest = connection.scalar(select(func.max(column)))
    if highest is not None:
        connection.execute(
            text("SELECT setval(pg_get_serial_sequence(:table, :column), :highest)"),
            {"table": table.name, "column": column.name, "highest": highest},
        )
