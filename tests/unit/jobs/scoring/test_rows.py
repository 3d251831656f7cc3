"""Rows with all their columns, whatever the columns are."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tidemill_core.errors import DataError
from tidemill_core.row_places import PrivateFolders
from tidemill_jobs.scoring.reading import read_rows
from tidemill_jobs.scoring.reading.rows import Wanted

COLUMNS = 150_000


@pytest.mark.parametrize("last", ["text", "c0"])
def test_a_csv_with_very_many_columns(tmp_path: Path, last: str) -> None:
    """It is read, or refused for a name that is there twice, in time in line with its size."""
    names = [f"c{number}" for number in range(COLUMNS)]
    file = tmp_path / "wide.csv"
    file.write_text(",".join([*names, last]) + "\n" + "," * COLUMNS + "a text\n")
    rows = read_rows(str(file), Wanted(last), PrivateFolders(()))
    if last == "text":
        assert [row.text for batch in rows for row in batch.rows] == ["a text"]
    else:
        with pytest.raises(DataError, match="'c0'"):
            list(rows)


def test_a_small_parquet_file_with_a_long_text_in_each_row(tmp_path: Path) -> None:
    """Few of the rows are decoded at once, so a file of a kilobyte does not fill the memory."""
    text, rows = "a" * (1 << 20), 2000
    repeated = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), [text])
    file = tmp_path / "repeated.parquet"
    pq.write_table(pa.table({"text": repeated}), file, compression="zstd")
    assert file.stat().st_size < 10_000
    batches = read_rows(str(file), Wanted("text"), PrivateFolders(()))
    first = next(batches)
    assert sum(len(row.text) for row in first.rows) <= 64 * len(text)
    assert first.rows[-1].text == text
