"""A file's lines in blocks, for files and lines of any size.

The end of a block depends only on its start and on the file's content. A read that continues after
any block therefore gets the same blocks as one that reads the whole file.
"""

import codecs
import hashlib
from dataclasses import dataclass
from io import StringIO
from typing import IO

from tidemill_jobs.data.sources.errors import EmptyFile, NotUtf8
from tidemill_jobs.data.sources.source import BATCH_ROWS

BLOCK_BYTES = 4 << 20
"""Maximum size of a block."""

MAX_LINE_BYTES = 1 << 20
"""Maximum length of a line; longer ones are LINE_TOO_LONG."""

_OTHER_ENCODINGS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Block:
    """Some lines of a file.

    Attributes:
        number: number of the first line, from 1.
        lines: lines with their line ends. Bytes that are not UTF-8 are lone surrogates.
        is_utf8: whether the lines have no lone surrogates.
        is_open: whether a record may continue after the block.
    """

    number: int
    lines: list[str]
    is_utf8: bool
    is_open: bool


class LineStream:
    """A position in a file, and a buffer of the bytes after it.

    Attributes:
        offset: bytes taken so far.
        number: number of the next line, from 1.
        is_ended: whether the file's last byte is in the buffer.
    """

    def __init__(self, file: IO[bytes], part: str) -> None:
        self._file = file
        self._part = part
        self._view = b""
        self._hash = hashlib.sha256()
        self.offset = 0
        self.number = 1
        self.is_ended = False

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of the bytes taken so far."""
        return self._hash.hexdigest()

    def begin(self) -> None:
        """Check the file's first bytes, and skip a byte order mark.

        Raises:
            EmptyFile: the file has only whitespace.
            NotUtf8: it is UTF-16.
        """
        self._look()
        # UTF-16 without a byte order mark has zero bytes in its first letters.
        if self._view.startswith(_OTHER_ENCODINGS) or b"\0" in self._view[:4]:
            raise NotUtf8(self._part, "is UTF-16")
        if not self._view.removeprefix(codecs.BOM_UTF8).strip() and self.is_ended:
            raise EmptyFile(self._part)
        if self._view.startswith(codecs.BOM_UTF8):
            self._take(len(codecs.BOM_UTF8))

    def skip(self, offset: int, number: int) -> None:
        """Take all bytes before the line at an offset; fewer if the file ends before it."""
        while self.offset < offset:
            self._look()
            if not self._view:
                return
            self._take(min(len(self._view), offset - self.offset))
            self.number = number

    def block(self) -> Block | None:
        """Return the next complete lines; None if the next line is incomplete or too long.

        The lines stay in the buffer until `take`. A record that is open at the end of the block may
        continue after it, unless the next line is too long.
        """
        self._look()
        whole = self._view[: _end_of_lines(self._view)]
        lines = whole.splitlines(keepends=True)[:BATCH_ROWS]
        long = next((at for at, line in enumerate(lines) if len(line) > MAX_LINE_BYTES), None)
        if long is None:
            is_open = len(self._view) - len(whole) <= MAX_LINE_BYTES
            return _decoded(self.number, lines, is_open) if lines else None
        return _decoded(self.number, lines[:long], is_open=False) if long else None

    def rest(self) -> Block | None:
        """Return the lines left in the buffer, the last one with or without an end; or None."""
        lines = self._view.splitlines(keepends=True)
        return _decoded(self.number, lines, is_open=False) if lines else None

    @property
    def rest_digest(self) -> str | None:
        """SHA-256, in hex, of the rest of the file; empty for no rest, None for a long one."""
        self._look()
        if not self.is_ended:
            return None
        return hashlib.sha256(self._view).hexdigest() if self._view else ""

    def take(self, block: Block, count: int) -> None:
        """Take a block's first lines."""
        taken = "".join(block.lines[:count])
        self._take(len(taken.encode(errors="surrogateescape")))
        self.number += count

    def take_long_line(self) -> str | None:
        """Take the next line and return its beginning if it is too long; otherwise return None."""
        self._look()
        end = _end_of_line(self._view)
        if (len(self._view) if end is None else end) <= MAX_LINE_BYTES:
            return None
        beginning = self._view[:1000].decode(errors="replace")
        while end is None and not self.is_ended:
            self._take(len(self._view))
            self._look()
            end = _end_of_line(self._view)
        self._take(len(self._view) if end is None else end)
        self.number += 1
        return beginning

    def _look(self) -> None:
        while len(self._view) < BLOCK_BYTES and not self.is_ended:
            more = self._file.read(BLOCK_BYTES - len(self._view))
            self._view += more
            self.is_ended = not more

    def _take(self, count: int) -> None:
        self._hash.update(self._view[:count])
        self._view = self._view[count:]
        self.offset += count


def _end_of_lines(view: bytes) -> int:
    """Return the end of the last complete line; old Macintosh lines end in a carriage return."""
    newline = view.rfind(b"\n") + 1
    # A carriage return as the last byte may be the first half of a line end.
    return newline or view.rfind(b"\r", 0, -1) + 1


def _end_of_line(view: bytes) -> int | None:
    """Return the end of the first line; None if it is incomplete."""
    line = view.splitlines(keepends=True)[:1]
    return len(line[0]) if line and line[0].endswith((b"\n", b"\r")) else None


def _decoded(number: int, lines: list[bytes], is_open: bool) -> Block:
    data = b"".join(lines)
    try:
        text, is_utf8 = data.decode(), True
    except UnicodeDecodeError:
        text, is_utf8 = data.decode(errors="surrogateescape"), False
    return Block(number, list(StringIO(text, newline="")), is_utf8, is_open)
