"""The blocks of a file of lines, until its end."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import IO

from tidemill_jobs.data.sources.files.line_stream import Block, LineStream
from tidemill_jobs.data.sources.files.stored_file import StoredFile
from tidemill_jobs.data.sources.source import LINE_TOO_LONG
from tidemill_jobs.scoring.reading.row import Row, RowBatch

Take = Callable[[Block], tuple[Sequence[Row], int]]
"""Returns the rows of a block, and how many of its lines they use."""


def batches(
    file: StoredFile, stream: LineStream, stored: IO[bytes], take: Take
) -> Iterator[RowBatch]:
    """Yield the rows of a stream from its position on.

    Args:
        file: the file.
        stream: its lines.
        stored: the file as stored, perhaps compressed.
        take: reads a block.
    """
    while True:
        number, block = stream.number, stream.block()
        if block is None:
            if stream.take_long_line() is None:
                break
            yield RowBatch([Row(f"{file.part}:{number}", {}, "", LINE_TOO_LONG)], 0.0)
            continue
        rows, count = take(block)
        if count == 0 and stream.is_ended:
            break
        if count == 0:  # a record longer than a block has broken quotes
            rows, count = take(replace(block, is_open=False))
        stream.take(block, count)
        yield RowBatch(rows, _share(stored, file.size))
    if (rest := stream.rest()) is not None:
        yield RowBatch(take(rest)[0], 1.0)


def _share(stored: IO[bytes], size: int | None) -> float:
    try:
        return min(1.0, stored.tell() / size) if size else 0.0
    except (OSError, ValueError, NotImplementedError):  # the storage does not know
        return 0.0
