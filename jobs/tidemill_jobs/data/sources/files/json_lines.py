"""JSON Lines: rows from a file's lines, each an object.

A file cannot be used if none of its first lines has the text's field. A damaged line affects no
other: it is BROKEN_JSON, NOT_UTF8 or WRONG_TYPE.
"""

import json

from tidemill_core.settings import FilesSource
from tidemill_jobs.data.sources.errors import MissingColumn
from tidemill_jobs.data.sources.files.line_stream import Block, LineStream
from tidemill_jobs.data.sources.raw_rows import (
    Piece,
    RawRow,
    Unreadable,
    checked,
    is_utf8,
    names_by_role,
)
from tidemill_jobs.data.sources.source import BROKEN_JSON, NOT_UTF8, WRONG_TYPE


class JsonLines:
    """A reader of a JSON Lines file's blocks of lines. Its constructor checks the first block.

    Raises:
        MissingColumn: no line has the text's field.
    """

    def __init__(self, stream: LineStream, name: str, settings: FilesSource) -> None:
        self._name = name
        self._names = names_by_role(settings)
        block = stream.block() or stream.rest()
        if block is not None:
            self._check_fields(block)

    def read(self, block: Block, part: str) -> tuple[Piece, int]:
        """Return a block's rows, as rows of a part, and how many of the block's lines they use."""
        lines = enumerate(block.lines, block.number)
        rows = (self._found(f"{self._name}:{n}", line) for n, line in lines if line.strip())
        return checked(part, rows), len(block.lines)

    def _found(self, origin: str, line: str) -> RawRow | Unreadable:
        line = line.rstrip("\r\n")
        if not is_utf8(line):
            return Unreadable(origin, NOT_UTF8, line)
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            return Unreadable(origin, BROKEN_JSON, line)
        if not isinstance(row, dict):
            return Unreadable(origin, WRONG_TYPE, line)
        return RawRow(origin, None, **{role: row.get(name) for role, name in self._names.items()})

    def _check_fields(self, block: Block) -> None:
        seen: dict[str, None] = {}
        wanted = self._names["text"]
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
