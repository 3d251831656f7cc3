"""BANKING77, as rows and as source files, and commands in this process."""

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.plugins.stack import Stack
from tidemill_cli.main import run as run_command

SUPPORT = Path(__file__).parents[2] / "examples" / "support"

Rows = list[tuple[str, str]]
Tidemill = Callable[..., str]


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


@pytest.fixture
def tidemill(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Tidemill:
    """Return a function that runs a command in the stack's folder, in this process for speed."""
    monkeypatch.chdir(stack.workspace)
    for name, value in stack.env.items():
        monkeypatch.setenv(name, value)

    def call(*arguments: str, ends_with: int = 0) -> str:
        capsys.readouterr()
        code = run_command(arguments)
        printed = capsys.readouterr()
        assert code == ends_with, (arguments, printed)
        return printed.out + (printed.err if ends_with else "")

    return call


def as_json(tidemill: Tidemill, *arguments: str) -> Any:
    """Return a command's output with --json."""
    return json.loads(tidemill(*arguments, "--json"))
