"""Reading a few rows of a dataset version."""

from pathlib import Path

import pytest

from tests.integration.server.dataset_files import write_dataset_files
from tidemill_core.dataset_rows import examples_with, excluded_rows
from tidemill_core.domain.split import content_hash
from tidemill_core.errors import DataError

EXCLUDED = [
    ("train.csv", f"train.csv:{n}", "DUPLICATE" if n % 3 else "TEXT_BLANK", "merged", f"label {n}")
    for n in range(25)
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a version with 40 rows in ten groups, and 25 excluded ones."""
    examples = [(f"My card {n} was stolen", "card") for n in range(40)]
    write_dataset_files(tmp_path, examples, EXCLUDED)
    return tmp_path


def test_a_row_is_found_by_its_text(folder: Path) -> None:
    """Case and spacing of the text do not matter, and another text finds nothing."""
    [found] = examples_with(folder, content_hash("my card 17  was STOLEN"))
    assert (found.text, found.label, found.origin) == (
        "My card 17 was stolen",
        "card",
        "train.csv:19",
    )
    assert examples_with(folder, content_hash("my card 99 was stolen")) == []


@pytest.mark.parametrize("rule", ["", "TEXT_BLANK"])
def test_excluded_rows_are_paged(folder: Path, rule: str) -> None:
    """Following the numbers shows each row once, in order."""
    seen, start = [], 0
    while True:
        rows, following = excluded_rows(folder, rule, start, 4)
        assert len(rows) <= 4
        seen += [row.origin for row in rows]
        if following is None:
            break
        start = following
    assert seen == [origin for _, origin, each, *_ in EXCLUDED if rule in ("", each)]


def test_rows_that_were_removed(tmp_path: Path) -> None:
    """The error says so, and how to get them back."""
    with pytest.raises(DataError, match="rebuild"):
        examples_with(tmp_path, "0" * 64)
    with pytest.raises(DataError, match="rebuild"):
        excluded_rows(tmp_path, "", 0, 1)


@pytest.mark.parametrize("where", ["in its index", "in its rows"])
def test_rows_that_are_damaged(folder: Path, where: str) -> None:
    """The error names the file, also if the damage shows only when the rows are read."""
    file = folder / "quarantine.parquet"
    content = bytearray(file.read_bytes())
    content[slice(-9, -8) if where == "in its index" else slice(4, 60)] = b""
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"quarantine\.parquet is damaged"):
        excluded_rows(folder, "", 0, 100)
