"""Conversion of a source's rows to the columns that all sources share."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from sys import getsizeof
from typing import TypeVar

import polars as pl

from tidemill_core.domain.example import printable
from tidemill_core.settings import HttpSource, SourceSettings
from tidemill_core.text import IS_TOO_LONG
from tidemill_jobs.data.sources.files.line_stream import MAX_LINE_BYTES
from tidemill_jobs.data.sources.source import (
    BAD_TIME,
    BATCH_BYTES,
    BATCH_ROWS,
    ROWS,
    UNREADABLE,
    WRONG_TYPE,
)
from tidemill_jobs.data.sources.times import as_time

_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row; its values have the types that the source gave them.

    Attributes:
        origin: its place, for people.
        key: a later row with the same key replaces it; None if none can.
        text: None or a string; otherwise the row is WRONG_TYPE.
        label: None, a string, an integer or a boolean.
        annotator: None, a string or an integer.
        time: a value that `as_time` reads.
    """

    origin: str
    key: str | None
    text: object = None
    label: object = None
    annotator: object = None
    time: object = None


def names_by_role(settings: SourceSettings) -> dict[str, str]:
    """Return the names of the columns or fields to read, by their role: `text`, `label` etc."""
    kind = "field" if isinstance(settings, HttpSource) else "column"
    roles = ("text", "label", "annotator", "time")
    return {role: name for role in roles if (name := getattr(settings, f"{role}_{kind}"))}


@dataclass(frozen=True, slots=True)
class Unreadable:
    """One row that cannot be read, with the rule that it broke and the offending value."""

    origin: str
    rule: str
    value: str
    key: str | None = None


@dataclass(frozen=True)
class Piece:
    """Some rows of a source.

    Attributes:
        rows: ROWS.
        unreadable: UNREADABLE.
    """

    rows: pl.DataFrame
    unreadable: pl.DataFrame

    def __len__(self) -> int:
        return len(self.rows) + len(self.unreadable)


NOTHING = Piece(pl.DataFrame(schema=dict(ROWS)), pl.DataFrame(schema=dict(UNREADABLE)))


def joined(pieces: Sequence[Piece]) -> Piece:
    """Return all rows of the pieces, in order."""
    rows = pl.concat([NOTHING.rows, *(piece.rows for piece in pieces)])
    return Piece(rows, pl.concat([NOTHING.unreadable, *(piece.unreadable for piece in pieces)]))


def checked(part: str, found: Iterable[RawRow | Unreadable]) -> Piece:
    """Return the rows, those with values of a wrong type as unreadable.

    A text or label of another type is WRONG_TYPE, an invalid time BAD_TIME, and half a UTF-16
    character, which no file can store, LONE_SURROGATE. A text of more than MAX_LINE_BYTES is
    TEXT_TOO_LONG.
    """
    rows, unreadable = [], []
    for item in found:
        outcome = _values(item) if isinstance(item, RawRow) else item
        if isinstance(outcome, Unreadable):
            unreadable.append(outcome)
        else:
            rows.append((part, *outcome))
    frame = pl.DataFrame(rows, schema=dict(ROWS), orient="row")
    return Piece(frame, unreadable_frame(part, unreadable))


def grouped(
    rows: Iterable[_Row], text: Callable[[_Row], object]
) -> Iterator[tuple[list[_Row], bool]]:
    """Yield lists of rows, each as large as a batch may be, and whether it is the last.

    The last list may be empty. `text` returns a row's largest value.
    """
    group, size = list[_Row](), 0
    for row in rows:
        added = getsizeof(text(row))
        if group and (len(group) == BATCH_ROWS or size + added > BATCH_BYTES):
            yield group, False
            group, size = [], 0
        group.append(row)
        size += added
    yield group, True


def too_long(origin: str, key: str | None, length: int) -> Unreadable:
    """Return a row whose text has more than MAX_LINE_BYTES, without the text."""
    return Unreadable(origin, IS_TOO_LONG, f"a text of {length} bytes", key)


def unreadable_frame(part: str, found: Iterable[Unreadable]) -> pl.DataFrame:
    """Return UNREADABLE; values are cut, and stored as valid UTF-8."""
    values = [(part, row.origin, row.key, row.rule, printable(row.value)) for row in found]
    return pl.DataFrame(values, schema=dict(UNREADABLE), orient="row")


def as_word(value: object) -> str | None:
    """Return a label or a name as text: an integer in digits, a boolean as `true` or `false`.

    Raises:
        TypeError: it has another type.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    raise TypeError


def shown(value: object) -> str:
    """Return a value as JSON, for people to recognize."""
    try:
        return json.dumps(value, default=str, ensure_ascii=False)
    except RecursionError:
        return "deeply nested JSON"


def _values(row: RawRow) -> tuple[object, ...] | Unreadable:
    """Return the row's values in the order of ROWS, without the part."""
    if row.text is not None and not isinstance(row.text, str):
        return Unreadable(row.origin, WRONG_TYPE, f"text: {shown(row.text)}", row.key)
    words = []
    for name in ("label", "annotator"):
        try:
            words.append(as_word(getattr(row, name)))
        except TypeError:
            value = f"{name}: {shown(getattr(row, name))}"
            return Unreadable(row.origin, WRONG_TYPE, value, row.key)
    try:
        time = as_time(row.time)
    except ValueError:
        return Unreadable(row.origin, BAD_TIME, shown(row.time), row.key)
    for word in (row.text, *words):
        if word is not None and not is_utf8(word):
            return Unreadable(row.origin, "LONE_SURROGATE", word, row.key)
    if row.text is not None and len(row.text) > MAX_LINE_BYTES // 4:
        length = len(row.text.encode())
        if length > MAX_LINE_BYTES:
            return too_long(row.origin, row.key, length)
    return row.origin, row.key, row.text, *words, time


def is_utf8(word: str) -> bool:
    """Return whether text has no lone surrogates, so that UTF-8 can store it."""
    if word.isascii():
        return True
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True
