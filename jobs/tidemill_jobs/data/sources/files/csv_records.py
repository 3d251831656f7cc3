"""CSV records from lines, where a stray quote costs one line and not all lines after it.

A quote that is never closed is CSV's silent failure: it makes everything up to the next quote one
field. Two rules catch it.
- Lines are read strictly: text after a closing quote, a file that ends inside quotes and a
  field over 131,072 characters are errors.
- A quoted field may span lines, but not lines that are rows themselves: lines with as many
  columns as the header and a label that other rows of the same lines have.
A record that breaks one of them costs only its first line: reading continues at the next line.

Spaces and tabs around a field are not part of it, with or without quotes, in the header and in
rows.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tidemill_core.csv_padding import PADDING, SPACES, csv_reader


@dataclass(frozen=True)
class Shape:
    """The shape of rows.

    Attributes:
        delimiter: the separator of fields.
        columns: the number of fields.
        label: index of the label's field; None without labels: then swallowed rows are not found.
    """

    delimiter: str
    columns: int
    label: int | None


@dataclass(frozen=True, slots=True)
class Record:
    """One record.

    Attributes:
        begin: index of its first line.
        end: index of the line after it.
        fields: None if its quotes are broken; empty for a blank line.
    """

    begin: int
    end: int
    fields: list[str] | None

    @property
    def spans_lines(self) -> bool:
        """Whether it has more than one line."""
        return self.end > self.begin + 1


@dataclass(frozen=True, slots=True)
class SoundRecords:
    """Records without errors and blank lines.

    Attributes:
        fields: the fields of each record, one for each column.
        begins: index of each record's first line.
        end: index of the line after the last record.
    """

    fields: list[list[str]]
    begins: list[int]
    end: int


def sound_records(lines: Sequence[str], shape: Shape, is_open: bool) -> SoundRecords | None:
    """Return what `records` finds, but faster; None if a record has an error."""
    if _hides_quotes(lines, shape.delimiter):
        return None
    reader = csv_reader(lines, shape.delimiter)
    fields, ends = [], [0]
    try:
        for row in reader:
            fields.append(row)
            ends.append(reader.line_num)
    except csv.Error as error:
        if not (is_open and _is_unfinished(error)):
            return None
    if not set(map(len, fields)) <= {0, shape.columns}:
        return None
    if ends[-1] > len(fields):
        pairs = zip(fields, pairwise(ends), strict=True)
        found = [Record(begin, end, row) for row, (begin, end) in pairs]
        swallows = _swallows(found, shape)
        if any(each.spans_lines and any(map(swallows, each.fields or ())) for each in found):
            return None
    full = [(row, begin) for row, begin in zip(fields, ends, strict=False) if row]
    return SoundRecords([row for row, _ in full], [begin for _, begin in full], ends[-1])


def first_record(lines: Sequence[str], delimiter: str) -> Record | None:
    """Return the first record that is not a blank line."""
    found = _records(lines, delimiter, lambda _: False, is_open=False)
    return next((record for record in found if record.fields != []), None)


def records(lines: Sequence[str], shape: Shape, is_open: bool) -> list[Record]:
    """Return the records, including blank lines.

    If other lines follow (`is_open`), a record that is open at the end is omitted.
    """
    found = list(_records(lines, shape.delimiter, lambda _: False, is_open))
    swallows = _swallows(found, shape)
    return list(_records(lines, shape.delimiter, swallows, is_open))


def _hides_quotes(lines: Sequence[str], delimiter: str) -> bool:
    """Return whether padding may precede a quote, so that the csv reader misreads the quote.

    The reader itself skips spaces.
    """
    content = "".join(lines)
    return any(f'{sign}"' in content for sign in PADDING[1:] if sign != delimiter)


class _Cursor:
    """Lines for a csv reader that can be set back."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = lines
        self.next = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self.next >= len(self.lines):
            raise StopIteration
        self.next += 1
        return self.lines[self.next - 1]


def _records(
    lines: Sequence[str], delimiter: str, swallows: Callable[[str], bool], is_open: bool
) -> Iterator[Record]:
    """Yield the records; `swallows` returns whether a field of several lines has other rows."""
    cursor = _Cursor(lines)
    reader = csv_reader(cursor, delimiter)
    while cursor.next < len(lines):
        begin = cursor.next
        try:
            fields = next(reader)
        except csv.Error as error:
            if is_open and _is_unfinished(error):
                return
            broken = True
        else:
            broken = cursor.next > begin + 1 and any(map(swallows, fields))
        if broken:
            cursor.next = begin + 1
        yield Record(begin, cursor.next, None if broken else fields)


def _is_unfinished(error: csv.Error) -> bool:
    """Return whether the lines ended inside quotes."""
    return str(error) == "unexpected end of data"


def _swallows(found: Sequence[Record], shape: Shape) -> Callable[[str], bool]:
    """Return a function that says whether a line of a field is a row itself."""
    label = shape.label
    if label is None:
        return lambda _: False
    # Labels of rows of one line, which cannot have swallowed another row.
    labels = {
        record.fields[label].strip(SPACES)
        for record in found
        if record.fields and not record.spans_lines and len(record.fields) == shape.columns
    }
    known = frozenset(word for word in labels if word.strip())

    def swallows(field: str) -> bool:
        parts = field.splitlines()
        if len(parts) < 2:
            return False
        rows: Iterator[list[str]] = (
            next(csv_reader([part], shape.delimiter, strict=False), []) for part in parts
        )
        return any(len(row) == shape.columns and row[label].strip(SPACES) in known for row in rows)

    return swallows
