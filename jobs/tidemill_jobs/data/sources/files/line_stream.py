"""A file's lines in blocks, however large the file and however long a line.

Where a block ends depends on where it begins and on the file's content alone, so who reads on from
the end of any block is given the same blocks as who reads the file in one go.
"""

import codecs
import hashlib
from dataclasses import dataclass
from io import StringIO
from typing import IO

from tidemill_jobs.data.sources.errors import EmptyFile, NotUtf8
from tidemill_jobs.data.sources.source import BATCH_ROWS

BLOCK_BYTES = 4 << 20
"""Bytes of a block, at most."""

MAX_LINE_BYTES = 1 << 20
"""Longer lines are not read, but told of as LINE_TOO_LONG."""

_OTHER_ENCODINGS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Block:
    """Some lines of a file.

    Attributes:
        number: of the first line, from 1.
        lines: with their ends. Bytes that are not UTF-8 are lone surrogates.
        is_utf8: whether there are none of these.
        is_open: whether a record may go on behind it.
    """

    number: int
    lines: list[str]
    is_utf8: bool
    is_open: bool


class LineStream:
    """A place in a file, with what lies behind it in view.

    Attributes:
        offset: bytes taken so far.
        number: of the line that comes next, from 1.
        is_ended: whether the file's last byte is in view.
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
        """Look at the file's first bytes, and pass a byte order mark.

        Raises:
            EmptyFile: the file has nothing but spaces.
            NotUtf8: it is UTF-16.
        """
        self._look()
        # Without a byte order mark, UTF-16 shows in the first letters' empty halves.
        if self._view.startswith(_OTHER_ENCODINGS) or b"\0" in self._view[:4]:
            raise NotUtf8(self._part, "is UTF-16")
        if not self._view.removeprefix(codecs.BOM_UTF8).strip() and self.is_ended:
            raise EmptyFile(self._part)
        if self._view.startswith(codecs.BOM_UTF8):
            self._take(len(codecs.BOM_UTF8))

    def skip(self, offset: int, number: int) -> None:
        """Take all bytes up to where a line begins; fewer, if the file ends before it.

        Args:
            offset: where it begins.
            number: the line's.
        """
        while self.offset < offset:
            self._look()
            if not self._view:
                return
            self._take(min(len(self._view), offset - self.offset))
            self.number = number

    def block(self) -> Block | None:
        """The next lines that have an end; None, if the next line has none or is too long.

        It is in view only: `take` takes it. A record that is open at its end may go on behind it,
        unless a line that is too long comes next.
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
        """What is left at the file's end, whether its last line has an end or not; or None."""
        lines = self._view.splitlines(keepends=True)
        return _decoded(self.number, lines, is_open=False) if lines else None

    @property
    def rest_digest(self) -> str | None:
        """SHA-256, in hex, of what is left; empty if nothing is, None if its end is not in view."""
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
        """Take the next line, if it is too long; its beginning."""
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
    """Where the last line that has an end ends; a file of old Macintosh lines has no other end."""
    newline = view.rfind(b"\n") + 1
    # A carriage return that is the last byte so far may be the first half of an end.
    return newline or view.rfind(b"\r", 0, -1) + 1


def _end_of_line(view: bytes) -> int | None:
    """Where the first line ends."""
    line = view.splitlines(keepends=True)[:1]
    return len(line[0]) if line and line[0].endswith((b"\n", b"\r")) else None


def _decoded(number: int, lines: list[bytes], is_open: bool) -> Block:
    data = b"".join(lines)
    try:
        text, is_utf8 = data.decode(), True
    except UnicodeDecodeError:
        text, is_utf8 = data.decode(errors="surrogateescape"), False
    return Block(number, list(StringIO(text, newline="")), is_utf8, is_open)
