"""Parquet: rows with all columns and their types."""

from collections.abc import Iterator

from tidemill_jobs.data.sources.files.parquet_file import (
    check_columns,
    opened_parquet,
    rows_at_once,
)
from tidemill_jobs.data.sources.files.stored_file import StoredFile
from tidemill_jobs.scoring.reading.rows import RowBatch, Wanted, check_distinct, row_of


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
                for place, values in enumerate(batch.to_pylist(), start=1)
            ]
            number += len(rows)
            yield RowBatch(rows, number / total, schema)
