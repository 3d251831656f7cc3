"""CSV: rows from a file's lines, each with the number of its first line.

A file with missing columns or an unreadable header cannot be used. A damaged row affects no other:
it is BROKEN_QUOTES, WRONG_COLUMN_COUNT (mostly the other lines of a record with broken quotes) or
NOT_UTF8.
"""

from collections.abc import Sequence

import polars as pl

from tidemill_core.csv_padding import SPACES, column_names, without_padding
from tidemill_core.errors import DataError
from tidemill_core.settings import FilesSource
from tidemill_jobs.data.sources.errors import AmbiguousColumn, MissingColumn, NotUtf8
from tidemill_jobs.data.sources.files.csv_records import (
    Record,
    Shape,
    SoundRecords,
    first_record,
    records,
    sound_records,
)
from tidemill_jobs.data.sources.files.line_stream import Block, LineStream
from tidemill_jobs.data.sources.raw_rows import (
    NOTHING,
    Piece,
    RawRow,
    Unreadable,
    checked,
    is_utf8,
    names_by_role,
)
from tidemill_jobs.data.sources.source import (
    BROKEN_QUOTES,
    NOT_UTF8,
    ROWS,
    WRONG_COLUMN_COUNT,
)
from tidemill_jobs.data.sources.times import as_time

_LONG_NAME, _MANY_SPACES = 40, 2
_DELIMITERS = (",", ";", "\t", "|")


class CsvLines:
    """A reader of a CSV file's blocks of lines. Its constructor takes the header.

    Raises:
        DataError: BROKEN_HEADER, NOT_UTF8, MISSING_COLUMN or AMBIGUOUS_COLUMN; names the file, the
            line and the column.
    """

    def __init__(self, stream: LineStream, name: str, settings: FilesSource) -> None:
        self._name = name
        delimiter = settings.delimiter or delimiter_of(name)
        names, place = take_header(stream, name, delimiter)
        self._columns = {
            role: column_index(names, wanted, place, delimiter, "set delimiter = {!r}")
            for role, wanted in names_by_role(settings).items()
        }
        self._shape = Shape(delimiter, len(names), self._columns.get("label"))

    def read(self, block: Block, part: str) -> tuple[Piece, int]:
        """Return a block's rows, as rows of a part, and how many of the block's lines they use.

        A record that is still open at the end of an open block is not read.
        """
        if block.is_utf8:
            sound = sound_records(block.lines, self._shape, block.is_open)
            if sound is not None and (times := self._times(sound)) is not None:
                return self._piece(sound, times, block.number, part), sound.end
        lines = without_padding(block.lines, self._shape.delimiter)
        found = records(lines, self._shape, block.is_open)
        rows = (self._found(record, block) for record in found if record.fields != [])
        return checked(part, rows), found[-1].end if found else 0

    def _times(self, sound: SoundRecords) -> pl.Series | None:
        """Return the rows' times; None if one is invalid."""
        at = self._columns.get("time")
        try:
            times = [None if at is None else as_time(row[at]) for row in sound.fields]
        except ValueError:
            return None
        return pl.Series(times, dtype=ROWS["time"])

    def _piece(self, sound: SoundRecords, times: pl.Series, first: int, part: str) -> Piece:
        """Return rows that need no checks."""

        def column(role: str) -> pl.Series:
            index = self._columns.get(role)
            values = [None if index is None else row[index] for row in sound.fields]
            return pl.Series(values, dtype=pl.String).str.strip_chars(SPACES)

        words = {role: column(role) for role in ("text", "label", "annotator")}
        number = pl.Series(sound.begins, dtype=pl.Int64) + first
        frame = pl.DataFrame({"number": number, **words, "time": times}).select(
            pl.lit(part).alias("part"),
            pl.concat_str(pl.lit(f"{self._name}:"), "number").alias("origin"),
            pl.lit(None, pl.String).alias("key"),
            *("text", "label", "annotator", "time"),
        )
        return Piece(frame, NOTHING.unreadable)

    def _found(self, record: Record, block: Block) -> RawRow | Unreadable:
        origin = f"{self._name}:{block.number + record.begin}"
        line, fields = block.lines[record.begin].rstrip("\r\n"), record.fields
        if fields is None:
            return Unreadable(origin, BROKEN_QUOTES, line)
        if len(fields) != self._shape.columns:
            return Unreadable(origin, WRONG_COLUMN_COUNT, line)
        values = {role: fields[at].strip(SPACES) for role, at in self._columns.items()}
        if not block.is_utf8 and not all(map(is_utf8, values.values())):
            return Unreadable(origin, NOT_UTF8, line)
        return RawRow(origin, None, **values)


def delimiter_of(name: str) -> str:
    """Return the delimiter of a file by its name."""
    return "\t" if ".tsv" in name.lower() else ","


def take_header(stream: LineStream, name: str, delimiter: str) -> tuple[list[str], str]:
    """Take the header; return the names of the columns and the header's place.

    Raises:
        DataError: BROKEN_HEADER or NOT_UTF8.
    """
    block = stream.block() or stream.rest()
    lines = without_padding(block.lines, delimiter) if block else []
    header = first_record(lines, delimiter)
    place = f"{name}, line {header.begin + 1 if header else 1}"
    if block is None or header is None or header.fields is None or header.spans_lines:
        problem = "the header's quotes are not closed, or it is too long; fix that line"
        raise DataError("BROKEN_HEADER", f"{place}: {problem}")
    names = column_names(header.fields)
    if not is_utf8("".join(names)):
        raise NotUtf8(place, "has a header that is not UTF-8")
    stream.take(block, header.end)
    return names, place


def column_index(names: Sequence[str], wanted: str, place: str, delimiter: str, cure: str) -> int:
    """Return the index of a column.

    Args:
        names: the names in the header.
        wanted: the column's name.
        place: the header's place, for errors.
        delimiter: what separated the names.
        cure: what to do if something else separates them; `{!r}` stands for it.

    Raises:
        DataError: MISSING_COLUMN or AMBIGUOUS_COLUMN.
    """
    if names.count(wanted) > 1:
        raise AmbiguousColumn(place, wanted)
    if wanted in names:
        return names.index(wanted)
    others = [sign for sign in _DELIMITERS if sign != delimiter and sign in names[0]]
    other = others[0] if others and len(names) == 1 else None
    if any(map(_looks_like_text, names[0].split(other) if other else names)):
        names = ["those in its first line, which looks like a row"]
    raise MissingColumn(place, wanted, names, cure.format(other) if other else None)


def _looks_like_text(name: str) -> bool:
    """Return whether a column's name may be a person's text, which no error should show."""
    return len(name) > _LONG_NAME or name.count(" ") > _MANY_SPACES
