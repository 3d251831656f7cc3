"""BANKING77, as rows and as source files."""

import csv
import random
from pathlib import Path

import pytest

SUPPORT = Path(__file__).parents[2] / "examples" / "support"

Rows = list[tuple[str, str]]


def read_rows(path: Path) -> Rows:
    """Return (text, label) of each row of a BANKING77 file."""
    with path.open(encoding="utf-8", newline="") as file:
        return [(row["text"], row["category"]) for row in csv.DictReader(file)]


def write_rows(path: Path, rows: Rows) -> Path:
    """Write a source file with the columns `text` and `label`."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


@pytest.fixture(scope="session")
def train_rows() -> Rows:
    """Return BANKING77's training rows, shuffled by a seed."""
    rows = read_rows(SUPPORT / "train.csv")
    random.Random(77).shuffle(rows)
    return rows


@pytest.fixture(scope="session")
def test_rows() -> Rows:
    """Return BANKING77's official test split."""
    return read_rows(SUPPORT / "test.csv")
