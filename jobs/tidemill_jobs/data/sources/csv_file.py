"""First stage: read the rows of a CSV file, each with the line it begins on.

A file that is not there, not UTF-8 or UTF-8 with a byte order mark, or without the columns
it should have cannot be used at all: `DataError`. A damaged row costs itself alone.

Quotes are where CSV fails silently: one that is never closed makes everything up to the next
quote one field. Two rules catch it.
- The file is read strictly: text after a closing quote, a file that ends inside quotes and a
  field over 131,072 characters are errors.
- A quoted field may span lines, but not lines that are rows themselves: as many columns as
  the header, and a label that other rows have.
A record that breaks one of them is quarantined as BROKEN_QUOTES and costs its first line
only: reading goes on at the next line, so that no row behind it is lost. Lines left over of a
record that really had several seldom have the right number of columns and are quarantined as
WRONG_COLUMN_COUNT.
"""

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tidemill_core.domain.example import Example, LabelSource, QuarantinedRow
from tidemill_core.errors import DataError
from tidemill_jobs.data.rows import set_aside

_UNDECODED = re.compile("[\udc80-\udcff]")
_OTHER_ENCODINGS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class SourceRows:
    """What was found in a source.

    Attributes:
        examples: rows as they stand, not cleaned yet, in the file's order.
        quarantined: rows that could not be read.
    """

    examples: tuple[Example, ...]
    quarantined: tuple[QuarantinedRow, ...]


@dataclass(frozen=True)
class _Record:
    """One row of the file; `fields` is None where its quotes are broken."""

    line: int
    fields: list[str] | None
    spans_lines: bool


@dataclass(frozen=True)
class _Columns:
    """Where text and label stand in each row, and how many columns there are."""

    count: int
    text: int
    label: int


def read_csv(path: Path, text_column: str, label_column: str) -> SourceRows:
    """Read the rows of a CSV file with a header line.

    Returns:
        Its rows. `origin` is the path as given and the line, from 1, that the row begins on.
        Blank lines are no rows.

    Raises:
        DataError: SOURCE_MISSING, SOURCE_UNREADABLE, NOT_UTF8, EMPTY_FILE, BROKEN_HEADER,
            MISSING_COLUMN, AMBIGUOUS_COLUMN or NO_ROWS; names the file, and the line and
            column where there is one.
    """
    lines = _lines(path)
    columns, first = _header(path, lines, text_column, label_column)
    labels = _labels(lines, first, columns)
    examples: list[Example] = []
    quarantined: list[QuarantinedRow] = []
    for record in _records(lines, first, lambda field: _holds_rows(field, columns, labels)):
        row = _row(f"{path.as_posix()}:{record.line}", record, lines, columns)
        if isinstance(row, Example):
            examples.append(row)
        else:
            quarantined.append(row)
    if not examples and not quarantined:
        raise DataError("NO_ROWS", f"{path} holds a header and no rows")
    return SourceRows(tuple(examples), tuple(quarantined))


def _lines(path: Path) -> Sequence[str]:
    """The file's lines with their ends; bytes that are not UTF-8 become lone surrogates."""
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError("SOURCE_MISSING", f"there is no file {path}") from error
    except OSError as error:
        raise DataError("SOURCE_UNREADABLE", f"{path}: {error.strerror}") from error
    if data.startswith(_OTHER_ENCODINGS):
        raise DataError("NOT_UTF8", f"{path} is UTF-16; save it as UTF-8")
    text = data.removeprefix(codecs.BOM_UTF8).decode(errors="surrogateescape")
    if not text.strip():
        raise DataError("EMPTY_FILE", f"{path} is empty")
    return list(io.StringIO(text, newline=""))


def _header(
    path: Path, lines: Sequence[str], text_column: str, label_column: str
) -> tuple[_Columns, int]:
    """The columns, and the index of the line behind the header."""
    header = next(_records(lines, 0, lambda _: False))
    place = f"{path}, line {header.line}"
    if header.fields is None or header.spans_lines:
        raise DataError("BROKEN_HEADER", f"{place}: the header's quotes are not closed")
    names = [name.strip() for name in header.fields]
    if _UNDECODED.search("".join(names)):
        raise DataError("NOT_UTF8", f"{place}: the header is not UTF-8; save the file as UTF-8")
    for wanted in (text_column, label_column):
        if wanted not in names:
            found = ", ".join(names)
            raise DataError("MISSING_COLUMN", f"{place}: no column {wanted!r} among {found}")
        if names.count(wanted) > 1:
            raise DataError("AMBIGUOUS_COLUMN", f"{place}: several columns {wanted!r}")
    columns = _Columns(len(names), names.index(text_column), names.index(label_column))
    return columns, header.line


class _Cursor:
    """The lines from one on, for a csv reader that can be set back."""

    def __init__(self, lines: Sequence[str], start: int) -> None:
        self.lines = lines
        self.next = start

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self.next >= len(self.lines):
            raise StopIteration
        self.next += 1
        return self.lines[self.next - 1]


def _records(
    lines: Sequence[str], start: int, swallows: Callable[[str], bool]
) -> Iterator[_Record]:
    """The records from the line of that index on.

    Args:
        lines: the file's.
        start: index of the line to begin at.
        swallows: whether a field of several lines holds rows that are not its own.
    """
    cursor = _Cursor(lines, start)
    reader = csv.reader(cursor, strict=True)
    while cursor.next < len(lines):
        begin = cursor.next
        try:
            fields = next(reader)
        except csv.Error:
            broken = True
        else:
            spans_lines = cursor.next > begin + 1
            broken = spans_lines and any(swallows(field) for field in fields)
        if broken:
            cursor.next = begin + 1
            yield _Record(begin + 1, None, spans_lines=False)
        elif fields:
            yield _Record(begin + 1, fields, spans_lines)


def _labels(lines: Sequence[str], first: int, columns: _Columns) -> frozenset[str]:
    """The labels of all rows that stand on one line, and so cannot have swallowed another."""
    found = {
        record.fields[columns.label]
        for record in _records(lines, first, lambda _: False)
        if record.fields and not record.spans_lines and len(record.fields) == columns.count
    }
    return frozenset(label for label in found if label.strip())


def _holds_rows(field: str, columns: _Columns, labels: frozenset[str]) -> bool:
    """Whether a line of a field is a row by itself."""
    parts = field.splitlines()
    if len(parts) < 2:
        return False
    rows = (next(csv.reader([part]), []) for part in parts)
    return any(len(row) == columns.count and row[columns.label] in labels for row in rows)


def _row(
    origin: str, record: _Record, lines: Sequence[str], columns: _Columns
) -> Example | QuarantinedRow:
    line = lines[record.line - 1].rstrip("\r\n")
    if record.fields is None:
        return set_aside(origin, "BROKEN_QUOTES", line)
    if len(record.fields) != columns.count:
        return set_aside(origin, "WRONG_COLUMN_COUNT", line)
    text, label = record.fields[columns.text], record.fields[columns.label]
    if _UNDECODED.search(text) or _UNDECODED.search(label):
        return set_aside(origin, "NOT_UTF8", line)
    return Example(text, label, LabelSource.SOURCE, origin)
