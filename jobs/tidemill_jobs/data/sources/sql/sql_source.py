"""Rows of a database, in the order of a cursor column and, for equal cursors, of a key.

The watermark is the last row's cursor and key, so no row with an equal cursor is lost or read
twice, wherever a read ends. A read is one streamed statement in a read-only transaction; memory
holds one batch.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from tidemill_core.counted import counted
from tidemill_core.errors import DataError
from tidemill_core.settings import SqlSource
from tidemill_jobs.data.sources.errors import (
    AmbiguousColumn,
    CursorWentBack,
    MissingColumn,
    UnsupportedCursor,
)
from tidemill_jobs.data.sources.overlap import before
from tidemill_jobs.data.sources.raw_rows import (
    RawRow,
    Unreadable,
    checked,
    grouped,
    is_utf8,
    names_by_role,
)
from tidemill_jobs.data.sources.source import NOT_UTF8, Batch, Watermark
from tidemill_jobs.data.sources.sql import cursor
from tidemill_jobs.data.sources.sql.connection import connected
from tidemill_jobs.data.sources.sql.query import single_query

_Row = sa.RowMapping

_READ_AGAIN = "remove the source's landed rows to read it again"

_FETCHED_ROWS = 1_000
"""Maximum number of rows in the driver's memory."""


class DatabaseSource:
    """A table or a query; a `Source`."""

    def __init__(self, name: str, settings: SqlSource) -> None:
        self.name = name
        self.labeled = settings.label_column != ""
        self._settings = settings
        self.place = f"db:{settings.table or 'query'}"
        self._cursor: sa.ColumnClause[Any] = sa.column(settings.cursor_column)
        key: sa.ColumnClause[Any] = sa.column(settings.key_column)
        self._key = key if settings.key_column else None
        self._values = names_by_role(settings)
        names = (settings.cursor_column, settings.key_column, *self._values.values())
        self._names = [name for name in dict.fromkeys(names) if name]

    def read(self, watermark: Watermark) -> Iterator[Batch]:
        """Yield the rows after the watermark, and those in the overlap before it.

        Raises:
            DataError: SOURCE_MISSING, SOURCE_UNREADABLE, MISSING_COLUMN, NULL_CURSOR, NULL_KEY,
                AMBIGUOUS_COLUMN, NOT_ONE_QUERY, CURSOR_NOT_UNIQUE, CURSOR_WENT_BACK or
                UNSUPPORTED_CURSOR; names the table and column. Earlier batches stay valid.
            ConfigurationError: the variable with the database's URL is not set.
        """
        last = [cursor.from_json(value) for value in watermark.get("last", [])]
        with connected(self._settings.effective_url, self.place) as connection:
            self._check_columns(connection)
            self._check_cursor(connection, last)
            passed = self._passed(connection, last, watermark.get("passed"))
            with connection.execute(self._statement(last)) as found:
                for rows, _ in grouped(found.mappings(), itemgetter(self._values["text"])):
                    if not rows:
                        return
                    self._check_order(rows, last)
                    last = self._reached(rows[-1], last)
                    passed = None if passed is None else passed + len(rows)
                    yield self._batch(rows, last, passed)

    def _select(self, *columns: Any) -> sa.Select[Any]:
        """Return a selection of columns of the table or the query."""
        if self._settings.table:
            schema, _, table = self._settings.table.rpartition(".")
            return sa.select(*columns).select_from(sa.table(table, schema=schema or None))
        # A colon would start a parameter.
        query = single_query(self._settings.query, self.place).replace(":", r"\:")
        return sa.select(*columns).select_from(sa.text(f"({query}\n) AS found"))

    def _statement(self, last: Sequence[Any]) -> sa.Select[Any]:
        """Return the statement that reads the new rows in order."""
        order = [self._cursor] if self._key is None else [self._cursor, self._key]
        select = self._select(*map(sa.column, self._names)).order_by(*order)
        if last:
            select = select.where(self._is_new(last))
        return select.execution_options(yield_per=_FETCHED_ROWS)

    def _first(self, last: Sequence[Any]) -> Any:
        """Return the lowest cursor that a read after `last` finds."""
        name, overlap = self._settings.cursor_column, self._settings.overlap
        if not overlap:
            return last[0]
        try:
            return before(last[0], overlap, is_time=name == self._settings.time_column)
        except TypeError as error:
            problem = f"column {name!r} is {error}; overlap needs a number or a time"
            raise UnsupportedCursor(self.place, problem) from error

    def _is_new(self, last: Sequence[Any]) -> sa.ColumnElement[bool]:
        if self._settings.overlap:
            return self._cursor >= _bound(self._first(last))
        behind = self._cursor > _bound(last[0])
        if self._key is None:
            return behind
        # The first condition follows from the second; with it the database can use an index.
        tied = sa.or_(behind, self._key > _bound(last[1]))
        return sa.and_(self._cursor >= _bound(last[0]), tied)

    def _check_columns(self, connection: sa.Connection) -> None:
        there = list(connection.execute(self._select(sa.text("*")).where(sa.false())).keys())
        for name in self._names:
            if name not in there:
                raise MissingColumn(self.place, name, there)
            # SQLite numbers columns of the same name.
            if there.count(name) > 1 or (self._settings.query and f"{name}:1" in there):
                raise AmbiguousColumn(self.place, name)

    def _check_cursor(self, connection: sa.Connection, last: Sequence[Any]) -> None:
        """Raise DataError unless reading in the cursor's order finds every row."""

        def is_any(condition: sa.ColumnElement[bool]) -> bool:
            one = self._select(sa.literal_column("1")).where(condition).limit(1)
            return connection.execute(one).first() is not None

        name = self._settings.cursor_column
        if is_any(self._cursor.is_(None)):
            problem = f"rows have no value in {name!r} and would never be read"
            cure = "fill it, or filter these rows out with a query"
            raise DataError("NULL_CURSOR", f"{self.place}: {problem}; {cure}")
        if not last:
            return
        # Rows that were deleted within the overlap hide no later ones.
        first = self._first(last)
        if not is_any(self._cursor >= _bound(first)) and is_any(sa.true()):
            problem = f"every {name!r} lies before {first}, which was read already"
            raise CursorWentBack(self.place, problem, f"restore the rows, or {_READ_AGAIN}")

    def _passed(
        self, connection: sa.Connection, last: Sequence[Any], before: int | None
    ) -> int | None:
        """Return the number of rows up to the watermark; None with an overlap, for late rows.

        Raises:
            CursorWentBack: there are more than `before`, so rows were lost.
        """
        if self._settings.overlap:
            return None
        if not last:
            return 0
        passed = self._cursor < _bound(last[0])
        tied = self._cursor == _bound(last[0])
        if self._key is not None:
            tied = sa.and_(tied, self._key <= _bound(last[1]))
        count = self._select(sa.func.count()).where(sa.or_(passed, tied))
        found = int(connection.execute(count).scalar_one())
        if before is not None and found > before:
            name = self._settings.cursor_column
            rows = counted(found - before, "row")
            problem = f"{rows} appeared up to {name!r} {last[0]}, which was read"
            cure = f"set overlap (and key_column) to read that far back, or {_READ_AGAIN}"
            raise CursorWentBack(self.place, f"{problem} already", cure)
        return found

    def _check_order(self, rows: Sequence[_Row], last: Sequence[Any]) -> None:
        """Raise DataError unless the watermark distinguishes each row from the next."""
        settings = self._settings
        if self._key is not None:
            if any(row[settings.key_column] is None for row in rows):
                problem = f"a row has no value in {settings.key_column!r}"
                cure = "fill it, or filter the row out with a query"
                raise DataError("NULL_KEY", f"{self.place}: {problem}; {cure}")
            return
        values = [*last[:1], *(row[settings.cursor_column] for row in rows)]
        twice = next((one for one, other in pairwise(values) if one == other), None)
        if twice is not None:
            problem = f"several rows have {twice} in {settings.cursor_column!r}"
            cure = "set key_column to a column that differs between them"
            raise DataError("CURSOR_NOT_UNIQUE", f"{self.place}: {problem}; {cure}")

    def _reached(self, row: _Row, last: Sequence[Any]) -> list[Any]:
        """Return the cursor and key that were reached; in the overlap, those of the last read."""
        reached = [row[self._settings.cursor_column]]
        if self._key is not None:
            reached.append(row[self._settings.key_column])
        if not (self._settings.overlap and last):
            return reached
        try:
            return list(last) if last[0] > reached[0] else reached
        except (TypeError, ArithmeticError) as error:
            problem = f"column {self._settings.cursor_column!r} has values that cannot be compared"
            raise UnsupportedCursor(self.place, f"{problem}; cast them with a query") from error

    def _batch(self, rows: Sequence[_Row], last: Sequence[Any], passed: int | None) -> Batch:
        key_column = self._settings.key_column or self._settings.cursor_column
        found = (self._found(str(row[key_column]), row) for row in rows)
        piece = checked("", found)
        try:
            watermark: dict[str, Any] = {"last": [cursor.to_json(value) for value in last]}
        except TypeError as error:
            problem = f"a cursor or key is {error}; use text, a number, a time or a UUID"
            raise UnsupportedCursor(self.place, problem) from error
        if passed is not None:
            watermark["passed"] = passed
        return Batch(piece.rows, piece.unreadable, watermark)

    def _found(self, key: str, row: _Row) -> RawRow | Unreadable:
        key = key.encode(errors="backslashreplace").decode()
        origin = f"{self.place}#{key}"
        values = {role: row[name] for role, name in self._values.items()}
        for value in values.values():
            if isinstance(value, str) and not is_utf8(value):
                return Unreadable(origin, NOT_UTF8, value, key)
        return RawRow(origin=origin, key=key, **values)


def _bound(value: Any) -> sa.BindParameter[Any]:
    """Return a parameter whose type the database infers."""
    return sa.bindparam(None, value, type_=sa.types.NullType())
