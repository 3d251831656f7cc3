"""JSON Lines: rows with all fields, in their order."""

import json
from collections.abc import Iterator, Sequence
from typing import IO

from tidemill_core.settings import FilesSource
from tidemill_jobs.data.sources.files.json_lines import JsonLines
from tidemill_jobs.data.sources.files.line_stream import Block, LineStream
from tidemill_jobs.data.sources.files.stored_file import StoredFile
from tidemill_jobs.data.sources.source import BROKEN_JSON, WRONG_TYPE
from tidemill_jobs.scoring.reading.lines import batches
from tidemill_jobs.scoring.reading.row import Row, RowBatch, Wanted, row_of


def read_json_lines(file: StoredFile, wanted: Wanted) -> Iterator[RowBatch]:
    """Yield the rows of a JSON Lines file.

    Raises:
        DataError: EMPTY_FILE, NOT_UTF8, or MISSING_COLUMN if none of the first lines has the text.
    """
    watched: list[IO[bytes]] = []
    with file.opened(watched) as content:
        stream = LineStream(content, file.part)
        stream.begin()
        for name in wanted.roles.values():  # the constructor checks the first block
            JsonLines(stream, file.part, FilesSource(path=file.part, text_column=name))

        def take(block: Block) -> tuple[Sequence[Row], int]:
            lines = enumerate(block.lines, block.number)
            rows = [
                _row(f"{file.part}:{n}", line, wanted.text) for n, line in lines if line.strip()
            ]
            return rows, len(block.lines)

        yield from batches(file, stream, watched[0], take)


def _row(origin: str, line: str, text: str) -> Row:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return Row(origin, {}, "", BROKEN_JSON)
    if not isinstance(values, dict):
        return Row(origin, {}, "", WRONG_TYPE)
    return row_of(origin, values, values.get(text))
