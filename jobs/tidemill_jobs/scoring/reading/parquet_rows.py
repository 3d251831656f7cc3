"""Parquet: rows with all columns and their types."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from tidemill_jobs.data.sources.errors import SourceUnreadable
from tidemill_jobs.data.sources.files.parquet_file import (
    check_columns,
    opened_parquet,
    rows_at_once,
)
from tidemill_jobs.data.sources.files.stored_file import StoredFile
from tidemill_jobs.scoring.reading.row import RowBatch, Wanted, check_distinct, row_of


def read_parquet(file: StoredFile, wanted: Wanted) -> Iterator[RowBatch]:
    """Yield the rows of a Parquet file.

    Raises:
        DataError: EMPTY_FILE, SOURCE_UNREADABLE, MISSING_COLUMN, AMBIGUOUS_COLUMN or
            WRONG_COLUMN_TYPE.
    """
    with file.opened() as content:
        parquet = opened_parquet(content, file.part)
        check_columns(parquet, file.part, wanted.roles)
        schema = parquet.schema_arrow
        check_distinct(file.part, schema.names)
        number, total = 0, parquet.metadata.num_rows
        for batch in parquet.iter_batches(rows_at_once(parquet, schema.names)):
            rows = [
                row_of(f"{file.part}:{number + place}", values, values[wanted.text])
                for place, values in enumerate(_values(batch, file.part), start=1)
            ]
            number += len(rows)
            yield RowBatch(rows, number / total, schema)


def _values(batch: pa.RecordBatch, part: str) -> list[dict[str, Any]]:
    """Return the rows' values.

    Raises:
        SourceUnreadable: a column has a value that Python does not have, such as a time after the
            year 9999 or in an unknown zone; names the column.
    """
    columns = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            columns[name] = column.to_pylist()
        except (ValueError, LookupError, OverflowError) as error:
            cure = "write the column as text; the next run reads it"
            raise SourceUnreadable(part, f"column {name!r}: {error}", cure) from error
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
