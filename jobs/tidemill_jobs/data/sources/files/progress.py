"""The progress of reading one file, and its new rows.

A last line without an end, or with open quotes, may be unfinished. It lands as it is, as a separate
part, which is replaced when the file has grown.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import IO

from tidemill_core.row_places import FORMATS
from tidemill_core.settings import FilesSource
from tidemill_jobs.data.sources.files.csv_lines import CsvLines
from tidemill_jobs.data.sources.files.json_lines import JsonLines
from tidemill_jobs.data.sources.files.line_stream import LineStream
from tidemill_jobs.data.sources.files.parquet_file import content_digest, read_parquet
from tidemill_jobs.data.sources.files.stored_file import StoredFile
from tidemill_jobs.data.sources.raw_rows import NOTHING, Piece, Unreadable, unreadable_frame
from tidemill_jobs.data.sources.source import LINE_TOO_LONG


@dataclass(frozen=True)
class FileProgress:
    """The position up to which a file was read.

    Attributes:
        stamp: the file's stamp when it was read to its end; empty before.
        read: bytes read, without compression; rows read of a Parquet file.
        line: number of the next line.
        digest: SHA-256 of the bytes read; of the whole Parquet file.
        tail: SHA-256 of the unfinished end, which landed as a separate part; empty without one.
        rows: rows so far, including unreadable ones.
    """

    stamp: str = ""
    read: int = 0
    line: int = 1
    digest: str = ""
    tail: str = ""
    rows: int = 0


@dataclass(frozen=True)
class FileStep:
    """Some rows of a file, the progress after them, and the parts that they replace."""

    part: str
    piece: Piece
    progress: FileProgress
    replaced: frozenset[str] = frozenset()


_LineReader = CsvLines | JsonLines


def tail_part(part: str) -> str:
    """Return the part as which a file's unfinished end lands."""
    return f"{part}#tail"


def new_rows(file: StoredFile, before: FileProgress, settings: FilesSource) -> Iterator[FileStep]:
    """Yield the rows of a file that were not read before; rows of a rewritten file replace others.

    Raises:
        DataError: the file cannot be used; names it.
    """
    kind = settings.format or FORMATS.get(file.suffix, "csv")
    if kind == "parquet":
        yield from _new_parquet_rows(file, before, settings)
        return
    with file.opened() as content:
        stream, lines = _begun(content, file, kind, settings)
        stream.skip(before.read, before.line)
        has_grown = (stream.offset, stream.digest) == (before.read, before.digest)
        if has_grown or before == FileProgress():
            yield from _read_on(stream, lines, file, before)
            return
    replaced = frozenset([file.part, tail_part(file.part)])
    with file.opened() as content:
        stream, lines = _begun(content, file, kind, settings)
        yield from _read_on(stream, lines, file, FileProgress(), replaced)


def _new_parquet_rows(
    file: StoredFile, before: FileProgress, settings: FilesSource
) -> Iterator[FileStep]:
    replaced = frozenset[str]()
    with file.opened() as content:
        digest = content_digest(content)
        if digest != before.digest:
            replaced = frozenset([file.part]) if before.rows else replaced
            before = FileProgress(digest=digest)
        for piece in read_parquet(content, file.part, before.read, settings):
            rows = before.rows + len(piece)
            before = replace(before, read=rows, rows=rows)
            yield FileStep(file.part, piece, before, replaced)
            replaced = frozenset()
    yield FileStep(file.part, NOTHING, replace(before, stamp=file.stamp), replaced)


def _begun(
    content: IO[bytes], file: StoredFile, kind: str, settings: FilesSource
) -> tuple[LineStream, _LineReader]:
    stream = LineStream(content, file.part)
    stream.begin()
    if kind == "jsonl":
        return stream, JsonLines(stream, file.part, settings)
    return stream, CsvLines(stream, file.part, settings)


def _read_on(
    stream: LineStream,
    lines: _LineReader,
    file: StoredFile,
    before: FileProgress,
    replaced: frozenset[str] = frozenset(),
) -> Iterator[FileStep]:
    """Yield all rows from the stream's position on."""
    reached = replace(before, read=stream.offset, line=stream.number, digest=stream.digest)
    if stream.rest_digest == before.tail:
        yield FileStep(file.part, NOTHING, replace(reached, stamp=file.stamp), replaced)
        return
    if before.tail:
        replaced |= {tail_part(file.part)}
    while (piece := _next(stream, lines, file.part)) is not None:
        rows = reached.rows + len(piece)
        reached = FileProgress("", stream.offset, stream.number, stream.digest, "", rows)
        yield FileStep(file.part, piece, reached, replaced)
        replaced = frozenset()
    rest = stream.rest()
    piece = lines.read(rest, tail_part(file.part))[0] if rest else NOTHING
    whole = replace(reached, stamp=file.stamp, tail=stream.rest_digest or "")
    yield FileStep(file.part, piece, whole, replaced)


def _next(stream: LineStream, lines: _LineReader, part: str) -> Piece | None:
    """Take the next rows; return None if no finished row is left."""
    number, block = stream.number, stream.block()
    if block is None:
        beginning = stream.take_long_line()
        if beginning is None:
            return None
        row = Unreadable(f"{part}:{number}", LINE_TOO_LONG, beginning)
        return Piece(NOTHING.rows, unreadable_frame(part, [row]))
    piece, count = lines.read(block, part)
    if count == 0 and stream.is_ended:
        return None
    if count == 0:  # a record longer than a block has broken quotes
        piece, count = lines.read(replace(block, is_open=False), part)
    stream.take(block, count)
    return piece
