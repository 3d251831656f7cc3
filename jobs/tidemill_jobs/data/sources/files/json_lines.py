"""JSON Lines: rows from a file's lines, each an object.

A file whose first lines all lack the text's field cannot be used at all. A damaged line costs
itself alone: BROKEN_JSON, NOT_UTF8 or WRONG_TYPE.
"""

import json

from tidemill_core.settings import FilesSource
from tidemill_jobs.data.sources.errors import MissingColumn
from tidemill_jobs.data.sources.files.line_stream import Block, LineStream
from tidemill_jobs.data.sources.raw_rows import Piece, RawRow, Unreadable, checked


class JsonLines:
    """Reads a JSON Lines file's blocks of lines. Making one looks at the file's first block.

    Raises:
        MissingColumn: no line has the text's field.
    """

    def __init__(self, stream: LineStream, name: str, settings: FilesSource) -> None:
        self._name = name
        self._settings = settings
        block = stream.block() or stream.rest()
        if block is not None:
            self._check_fields(block)

    def read(self, block: Block, part: str) -> tuple[Piece, int]:
        """The rows of a block, as rows of a part; and how many of the block's lines they took."""
        lines = enumerate(block.lines, block.number)
        rows = (self._found(f"{self._name}:{n}", line) for n, line in lines if line.strip())
        return checked(part, rows), len(block.lines)

    def _found(self, origin: str, line: str) -> RawRow | Unreadable:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            rule = "BROKEN_JSON" if _is_utf8(line) else "NOT_UTF8"
            return Unreadable(origin, rule, line.rstrip("\r\n"))
        if not isinstance(row, dict):
            return Unreadable(origin, "WRONG_TYPE", line.rstrip("\r\n"))
        at = self._settings
        names = (at.text_column, at.label_column, at.annotator_column, at.time_column)
        values = [row.get(name) if name else None for name in names]
        if not line.isascii() and not _is_utf8(line):
            return Unreadable(origin, "NOT_UTF8", line.rstrip("\r\n"))
        return RawRow(origin, None, *values)

    def _check_fields(self, block: Block) -> None:
        seen: dict[str, None] = {}
        wanted = self._settings.text_column
        for line in block.lines:
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(row, dict):
                if wanted in row:
                    return
                seen |= dict.fromkeys(row)
        if seen:
            raise MissingColumn(self._name, wanted, seen)


def _is_utf8(line: str) -> bool:
    """Whether a line that was read had no bytes that are not UTF-8."""
    try:
        line.encode()
    except UnicodeEncodeError:
        return False
    return True
