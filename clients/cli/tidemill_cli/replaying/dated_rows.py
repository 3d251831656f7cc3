"""Rows with a text, a label and a time, from a CSV or TSV file."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from pathlib import Path

from tidemill_cli.example_file import text_lines, without_compression
from tidemill_cli.failure import WrongUsage
from tidemill_core.counted import counted
from tidemill_core.csv_padding import column_names, csv_reader, stripped, unpadded
from tidemill_core.text import control_character, is_blank
from tidemill_core.text_repair import repair

_LARGEST_FIELD = 1_000_000


@dataclass(frozen=True)
class Columns:
    """The names of the columns."""

    text: str
    label: str
    time: str


@dataclass(frozen=True)
class DatedRow:
    """A row. `label` is the true label, and `text` is as Tidemill stores it."""

    time: datetime
    text: str
    label: str


@dataclass(frozen=True)
class DatedRows:
    """The rows of a replay, oldest first.

    Attributes:
        before: the rows that the first model learns.
        replayed: the rows that are sent.
        skipped: how many rows have no text, no label or no time.
    """

    before: Sequence[DatedRow]
    replayed: Sequence[DatedRow]
    skipped: int

    def days(self) -> list[tuple[date, list[DatedRow]]]:
        """Return every day from the first to the last replayed row, with its rows."""
        rows = {day: list(some) for day, some in groupby(self.replayed, _day)}
        first, last = min(rows), max(rows)
        count = (last - first).days + 1
        days = [first + timedelta(days=number) for number in range(count)]
        return [(day, rows.get(day, [])) for day in days]


def read_rows(path: Path, columns: Columns, train_before: date, until: date) -> DatedRows:
    """Read the rows of a file up to and including the day `until`.

    A file whose name says .tsv has tabs between its columns, and quotes in it are characters like
    any other. Any other file is CSV.

    Raises:
        CannotRead: the file cannot be read.
        WrongUsage: a column is missing, or there are no rows before or from `train_before` on.
    """
    rows: list[DatedRow] = []
    skipped, example = 0, ""
    for values in _values(path, columns):
        try:
            rows.append(_row(*values))
        except ValueError as error:
            skipped, example = skipped + 1, example or str(error)
    rows.sort(key=lambda row: row.time)
    before = [row for row in rows if _day(row) < train_before]
    replayed = [row for row in rows if train_before <= _day(row) <= until]
    more = f"; skipped: {counted(skipped, 'row')}, the first because {example}" if skipped else ""
    if not before:
        raise WrongUsage(f"{path} has no row before {train_before} to train on{more}")
    if not replayed:
        raise WrongUsage(f"{path} has no row from {train_before} to {until} to replay{more}")
    return DatedRows(before, replayed, skipped)


def _day(row: DatedRow) -> date:
    return row.time.date()


def _values(path: Path, columns: Columns) -> Iterator[tuple[str, str, str]]:
    """Yield the text, label and time of each row, as the file has them."""
    csv.field_size_limit(_LARGEST_FIELD)
    lines = text_lines(path, "utf-8-sig")
    if without_compression(path).lower().endswith(".tsv"):
        reader = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    else:
        reader = csv_reader(unpadded(lines, ","), ",")
    try:
        header = column_names(next(reader, []))
        places = [_place(path, header, name) for name in vars(columns).values()]
        for row in reader:
            if row:
                found = (row[i] if i < len(row) else "" for i in places)
                text, label, time = stripped(found)
                yield text, label, time
    except csv.Error as error:
        raise WrongUsage(f"{path}, line {reader.line_num}: not CSV: {error}") from error


def _place(path: Path, header: Sequence[str], name: str) -> int:
    if name not in header:
        raise WrongUsage(
            f"{path} has no column {name!r}; it has: {', '.join(header)}. Name the columns with "
            "--text-column, --label-column and --time-column"
        )
    return header.index(name)


def _row(text: str, label: str, time: str) -> DatedRow:
    """Return a row.

    Raises:
        ValueError: a value is missing or cannot be used; the message says which.
    """
    text, label = repair(text), repair(label)
    for name, value in (("text", text), ("label", label)):
        if is_blank(value) or control_character(value) is not None:
            raise ValueError(f"its {name} is blank or has control characters")
    try:
        moment = datetime.fromisoformat(time.strip())
    except ValueError as error:
        raise ValueError(f"its time {time[:40]!r} is not ISO 8601") from error
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return DatedRow(moment, text, label)
