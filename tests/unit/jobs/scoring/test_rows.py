"""Rows with all their columns, whatever the columns are."""

from pathlib import Path

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
