"""Rows of a database's table or query, in the order in which the database gives them."""

from collections.abc import Iterator
from itertools import islice
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from tidemill_core.row_places import DatabasePlace
from tidemill_jobs.data.sources.errors import MissingColumn
from tidemill_jobs.data.sources.sql.connection import connected
from tidemill_jobs.data.sources.sql.query import single_query
from tidemill_jobs.scoring.reading.row import RowBatch, Wanted, check_distinct, row_of

_ROWS = 1_000


def read_table(place: DatabasePlace, wanted: Wanted) -> Iterator[RowBatch]:
    """Yield the rows of a table or a query.

    Raises:
        DataError: SOURCE_MISSING, SOURCE_UNREADABLE, NOT_ONE_QUERY, MISSING_COLUMN or
            AMBIGUOUS_COLUMN.
        ConfigurationError: the variable with the database's URL is not set.
    """
    with connected(place.url, place.shown) as connection:
        rows = _from(place)
        total = connection.execute(sa.select(sa.func.count()).select_from(rows)).scalar_one()
        everything = sa.select(sa.text("*")).select_from(rows)
        with connection.execute(everything.execution_options(yield_per=_ROWS)) as found:
            names = list(found.keys())
            for name in wanted.roles.values():
                if name not in names:
                    raise MissingColumn(place.shown, name, names)
            check_distinct(place.shown, names)
            number = 0
            for batch in iter(lambda: list(islice(found.mappings(), _ROWS)), []):
                read = [
                    row_of(f"{place.shown}:{number + at}", _plain(row), row[wanted.text])
                    for at, row in enumerate(batch, start=1)
                ]
                number += len(read)
                yield RowBatch(read, min(1.0, number / max(total, 1)))


def _plain(row: sa.RowMapping) -> dict[str, Any]:
    """Return a row's values; ids of the type UUID, which no file has, as text."""
    return {name: str(value) if isinstance(value, UUID) else value for name, value in row.items()}


def _from(place: DatabasePlace) -> Any:
    if place.is_query:
        # A colon would start a parameter.
        query = single_query(place.rows, place.shown).replace(":", r"\:")
        return sa.text(f"({query}\n) AS found")
    schema, _, table = place.rows.rpartition(".")
    return sa.table(table, schema=schema or None)
