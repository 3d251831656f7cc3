"""CSV: rows with all columns. The rules are those of sources; see `csv_records`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from tidemill_core.csv_padding import SPACES, without_padding
from tidemill_jobs.data.sources.files.csv_lines import column_index, delimiter_of, take_header
from tidemill_jobs.data.sources.files.csv_records import Shape, records, sound_records
from tidemill_jobs.data.sources.files.line_stream import Block, LineStream
from tidemill_jobs.data.sources.files.stored_file import StoredFile
from tidemill_jobs.data.sources.source import BROKEN_QUOTES, WRONG_COLUMN_COUNT
from tidemill_jobs.scoring.reading.lines import batches
from tidemill_jobs.scoring.reading.row import Row, RowBatch, Wanted, check_distinct, row_of

_CURE = "separate the columns with commas in a .csv file, and with tabs in a .tsv file"


def read_csv(file: StoredFile, wanted: Wanted) -> Iterator[RowBatch]:
    """Yield the rows of a CSV file.

    Raises:
        DataError: EMPTY_FILE, NOT_UTF8, BROKEN_HEADER, MISSING_COLUMN or AMBIGUOUS_COLUMN.
    """
    watched: list[IO[bytes]] = []
    with file.opened(watched) as content:
        stream = LineStream(content, file.part)
        stream.begin()
        delimiter = delimiter_of(file.part)
        names, place = take_header(stream, file.part, delimiter)
        check_distinct(place, names)
        at = {
            role: column_index(names, name, place, delimiter, _CURE)
            for role, name in wanted.roles.items()
        }
        reader = _Reader(
            file.part, names, at["text"], Shape(delimiter, len(names), at.get("label"))
        )
        yield from batches(file, stream, watched[0], reader.take)


@dataclass(frozen=True)
class _Reader:
    part: str
    names: Sequence[str]
    text: int
    shape: Shape

    def take(self, block: Block) -> tuple[Sequence[Row], int]:
        """Return the rows of a block, and how many of its lines they use."""
        if block.is_utf8:
            sound = sound_records(block.lines, self.shape, block.is_open)
            if sound is not None:
                pairs = zip(sound.fields, sound.begins, strict=True)
                return [self._row(fields, block.number + at) for fields, at in pairs], sound.end
        lines = without_padding(block.lines, self.shape.delimiter)
        found = records(lines, self.shape, block.is_open)
        rows = [
            self._found(one.fields, block.number + one.begin) for one in found if one.fields != []
        ]
        return rows, found[-1].end if found else 0

    def _found(self, fields: list[str] | None, line: int) -> Row:
        if fields is None or len(fields) != self.shape.columns:
            problem = BROKEN_QUOTES if fields is None else WRONG_COLUMN_COUNT
            return Row(f"{self.part}:{line}", {}, "", problem)
        return self._row(fields, line)

    def _row(self, fields: list[str], line: int) -> Row:
        values = dict(zip(self.names, fields, strict=True))
        return row_of(f"{self.part}:{line}", values, fields[self.text].strip(SPACES))
