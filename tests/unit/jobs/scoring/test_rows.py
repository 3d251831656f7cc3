"""Rows with all their columns, whatever the columns are."""

import re
import sqlite3
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tidemill_core.errors import DataError
from tidemill_core.row_places import PrivateFolders
from tidemill_jobs.scoring.reading import read_rows
from tidemill_jobs.scoring.reading.row import Wanted

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


@pytest.mark.parametrize(
    "values",
    [
        pa.array([0], pa.timestamp("us", "Mars/Phobos")),
        pa.array([1 << 60], pa.timestamp("us")),
        pa.array([[0]], pa.list_(pa.timestamp("us", "Mars/Phobos"))),
        pa.array([b"caf\xe9"]).view(pa.string()),
    ],
    ids=lambda values: str(values.type),
)
def test_a_parquet_value_that_cannot_be_read_is_named(tmp_path: Path, values: pa.Array) -> None:
    """The error names the file, the column and the cure, whatever the library raises."""
    file = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"text": ["a"], "when": values}), file)
    told = r"rows\.parquet cannot be read: column 'when': .*; write the column as text"
    with pytest.raises(DataError, match=told):
        list(read_rows(str(file), Wanted("text"), PrivateFolders(())))


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("notes.log", "text\na\n", r"there is no file to read at .*; fix the path; .* \.parquet$"),
        ("rows.csv", "text;label\na;b\n", "no column 'text'; .* with commas in a .csv file"),
        ("rows.parquet", "text", "cannot be read: .*; write the file again; the next run reads it"),
        ("rows.csv.gz", "text", "cannot be read: .*; fix it; the next run reads it"),
    ],
)
def test_an_error_names_no_setting_of_a_source(
    tmp_path: Path, name: str, content: str, told: str
) -> None:
    """The rows of a command have no settings, so no error says to change one."""
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=told) as caught:
        list(read_rows(str(tmp_path), Wanted("text"), PrivateFolders(())))
    assert not re.search(r"set (the format|delimiter)|continues there|source's", str(caught.value))


def test_an_error_names_no_setting_for_the_query_of_a_database(tmp_path: Path) -> None:
    """A query in the place of the rows is no setting of a source."""
    sqlite3.connect(tmp_path / "shop.db").close()
    place = f"sqlite:///{tmp_path}/shop.db#SELECT 1; SELECT 2"
    with pytest.raises(DataError, match="SELECT 2: the query holds several statements; write one"):
        list(read_rows(place, Wanted("text"), PrivateFolders(())))
