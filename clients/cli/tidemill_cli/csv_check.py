"""Looks at a CSV before a workspace is built on it."""

import csv
from dataclasses import dataclass
from pathlib import Path

from tidemill_cli.failure import WRONG_USAGE, CommandFailed

_LARGEST_FIELD = 1_000_000


@dataclass(frozen=True)
class CsvSummary:
    """What a CSV holds.

    Attributes:
        rows: rows that have a text and a label.
        labels: how many different labels they have.
        first_text: the first of those texts.
    """

    rows: int
    labels: int
    first_text: str


def check_csv(path: Path, text_column: str, label_column: str) -> CsvSummary:
    """Make sure that a CSV can be learned from.

    Raises:
        CommandFailed: it cannot be read, a column is missing, or it has fewer than 2 labels.
    """
    csv.field_size_limit(_LARGEST_FIELD)
    try:
        # A row that is not UTF-8 is quarantined when the dataset is built; it stops nothing here.
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            return _summary(csv.DictReader(file), path, text_column, label_column)
    except OSError as error:
        raise CommandFailed(f"cannot read {path}: {error.strerror}", WRONG_USAGE) from error
    except csv.Error as error:
        raise CommandFailed(f"{path} is not a CSV: {error}", WRONG_USAGE) from error


def _summary(
    rows: "csv.DictReader[str]", path: Path, text_column: str, label_column: str
) -> CsvSummary:
    columns = list(rows.fieldnames or [])
    for column, option in ((text_column, "--text-column"), (label_column, "--label-column")):
        if column not in columns:
            there = ", ".join(columns) or "none"
            raise CommandFailed(
                f"{path} has no column {column!r}: name one by {option}; its columns are {there}",
                WRONG_USAGE,
            )
    count, labels, first_text = 0, set[str](), ""
    for row in rows:
        text, label = (row[text_column] or "").strip(), (row[label_column] or "").strip()
        if text and label:
            count += 1
            labels.add(label)
            first_text = first_text or text
    if len(labels) < 2:
        raise CommandFailed(
            f"{path} has {len(labels)} different labels in column {label_column!r}: a classifier "
            "needs 2 or more",
            WRONG_USAGE,
        )
    return CsvSummary(count, len(labels), first_text)
