"""Rows with all their columns, from files of each format and from databases."""

from collections.abc import Iterator

from tidemill_core.row_places import FORMATS, PrivateFolders, database_place
from tidemill_jobs.data.sources.files.stored_file import stored_files
from tidemill_jobs.scoring.reading.csv_rows import read_csv
from tidemill_jobs.scoring.reading.json_rows import read_json_lines
from tidemill_jobs.scoring.reading.parquet_rows import read_parquet
from tidemill_jobs.scoring.reading.row import RowBatch, Wanted
from tidemill_jobs.scoring.reading.table_rows import read_table

__all__ = ["RowBatch", "Wanted", "read_rows"]

_CURE = f"fix the path; of a folder or glob, files are read that end in {', '.join(FORMATS)}"
_READERS = {"csv": read_csv, "jsonl": read_json_lines, "parquet": read_parquet}


def read_rows(place: str, wanted: Wanted, private: PrivateFolders) -> Iterator[RowBatch]:
    """Yield all rows of a place, in batches of bounded size; files in the order of their names.

    Raises:
        DataError: the place or a column cannot be used; names it, and says what to do.
    """
    if (table := database_place(place)) is not None:
        private.check_database(table.url)
        yield from read_table(table, wanted)
        return
    files = stored_files(place, format_set=False, cure=_CURE)
    for file in files:
        if "://" not in file.part:
            private.check(file.part)
    sizes = [file.size for file in files]
    known = [size for size in sizes if size is not None]
    total = sum(known) if len(known) == len(sizes) else 0
    passed = 0
    for file, size in zip(files, sizes, strict=True):
        for batch in _READERS[FORMATS.get(file.suffix, "csv")](file, wanted):
            share = (passed + batch.done * (size or 0)) / total if total else 0.0
            yield RowBatch(batch.rows, share, batch.schema)
        passed += size or 0
