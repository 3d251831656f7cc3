"""CSV's records among lines, where a stray quote costs one line and not all behind it.

Quotes are where CSV fails silently: one that is never closed makes everything up to the next
quote one field. Two rules catch it.
- Lines are read strictly: text after a closing quote, a file that ends inside quotes and a
  field over 131,072 characters are errors.
- A quoted field may span lines, but not lines that are rows themselves: as many columns as
  the header, and a label that other rows of the same lines have.
A record that breaks one of them costs its first line only: reading goes on at the next line, so
that no row behind it is lost.

Spaces and tabs around a field are not part of it, whether it has quotes or not, in the header as in
rows.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tidemill_core.csv_padding import PADDING, csv_reader


@dataclass(frozen=True)
class Shape:
    """What rows look like.

    Attributes:
        delimiter: what separates their fields.
        columns: how many fields they have.
        label: index of the label among them; None where they have none, and rows that were
            swallowed cannot be told.
    """

    delimiter: str
    columns: int
    label: int | None


@dataclass(frozen=True, slots=True)
class Record:
    """What stands on the lines from index `begin` to before `end`.

    Attributes:
        begin: index of its first line.
        end: index of the line behind it.
        fields: None where its quotes are broken; empty where the line is.
    """

    begin: int
    end: int
    fields: list[str] | None

    @property
    def spans_lines(self) -> bool:
        """Whether it has more lines than one."""
        return self.end > self.begin + 1


@dataclass(frozen=True, slots=True)
class SoundRecords:
    """Records with nothing wrong with them, blank lines left out.

    Attributes:
        fields: of each, as many as there are columns.
        begins: index of each one's first line.
        end: index of the line behind the last one.
    """

    fields: list[list[str]]
    begins: list[int]
    end: int


def sound_records(lines: Sequence[str], shape: Shape, is_open: bool) -> SoundRecords | None:
    """What `records` finds, if nothing is wrong with any of them: the quick way; otherwise None."""
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
        if _has_swallowed(found, shape):
            return None
    full = [(row, begin) for row, begin in zip(fields, ends, strict=False) if row]
    return SoundRecords([row for row, _ in full], [begin for _, begin in full], ends[-1])


def first_record(lines: Sequence[str], delimiter: str) -> Record | None:
    """The first record that is no blank line."""
    found = _records(lines, delimiter, lambda _: False, is_open=False)
    return next((record for record in found if record.fields != []), None)


def records(lines: Sequence[str], shape: Shape, is_open: bool) -> list[Record]:
    """The records, blank lines among them.

    Args:
        lines: with their ends.
        shape: what rows look like.
        is_open: whether other lines follow; a record that is open at the end is then left out.
    """
    found = list(_records(lines, shape.delimiter, lambda _: False, is_open))
    swallows = _swallows(found, shape)
    return list(_records(lines, shape.delimiter, swallows, is_open))


def _hides_quotes(lines: Sequence[str], delimiter: str) -> bool:
    """Whether padding may stand before a quote that the csv reader takes for a part of the field.

    It passes spaces by.
    """
    content = "".join(lines)
    return any(f'{sign}"' in content for sign in PADDING[1:] if sign != delimiter)


class _Cursor:
    """The lines, for a csv reader that can be set back."""

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
    """The records.

    Args:
        lines: with their ends.
        delimiter: what separates fields.
        swallows: whether a field of several lines holds rows that are not its own.
        is_open: whether other lines follow.
    """
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
    """Whether the lines ended within quotes."""
    return str(error) == "unexpected end of data"


def _has_swallowed(found: Sequence[Record], shape: Shape) -> bool:
    swallows = _swallows(found, shape)
    return any(r.spans_lines and any(map(swallows, r.fields or ())) for r in found)


def _swallows(found: Sequence[Record], shape: Shape) -> Callable[[str], bool]:
    """Tells whether a line of a field is a row by itself."""
    label = shape.label
    if label is None:
        return lambda _: False
    # The labels of rows that stand on one line, and so cannot have swallowed another.
    labels = {
        record.fields[label].strip(PADDING)
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
        return any(len(row) == shape.columns and row[label].strip(PADDING) in known for row in rows)

    return swallows
