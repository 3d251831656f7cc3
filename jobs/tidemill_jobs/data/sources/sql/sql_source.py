"""Rows of a database, in the order of a cursor column and, within one cursor, of a key.

The watermark is the last row's cursor and key, so rows with one cursor are neither lost nor doubled
wherever a read ends. A read is one statement in a transaction that may only read, and is streamed:
memory holds one batch.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from tidemill_core.errors import DataError
from tidemill_core.settings import SqlSource
from tidemill_jobs.data.sources.errors import UnsupportedCursor
from tidemill_jobs.data.sources.overlap import before
from tidemill_jobs.data.sources.raw_rows import RawRow, Unreadable, checked, grouped
from tidemill_jobs.data.sources.source import Batch, Watermark
from tidemill_jobs.data.sources.sql import cursor

_Row = sa.RowMapping

_FETCHED_ROWS = 1_000
"""Rows that the driver holds at once."""

_UNDECODED = re.compile("[\ud800-\udfff]")


class Database:
    """A table, or what a query finds; a `Source`."""

    def __init__(self, name: str, settings: SqlSource) -> None:
        self.name = name
        self.labelled = settings.label_column != ""
        self._settings = settings
        self.place = f"db:{settings.table or 'query'}"
        self._cursor: sa.ColumnClause[Any] = sa.column(settings.cursor_column)
        key: sa.ColumnClause[Any] = sa.column(settings.key_column)
        self._key = key if settings.key_column else None
        self._values = {
            "text": settings.text_column,
            "label": settings.label_column,
            "annotator": settings.annotator_column,
            "time": settings.time_column,
        }
        names = (settings.cursor_column, settings.key_column, *self._values.values())
        self._names = [name for name in dict.fromkeys(names) if name]

    def read(self, watermark: Watermark) -> Iterator[Batch]:
        """Rows behind the watermark, and those in the overlap before it.

        Raises:
            DataError: SOURCE_MISSING, SOURCE_UNREADABLE, MISSING_COLUMN, NULL_CURSOR, NULL_KEY,
                CURSOR_NOT_UNIQUE, CURSOR_WENT_BACK or UNSUPPORTED_CURSOR; names the table and
                column. What was given before it stands.
            ConfigurationError: the variable with the database's URL is not set.
        """
        last = [cursor.from_json(value) for value in watermark.get("last", [])]
        with self._errors(), self._connected() as connection:
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

    @contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        """A connection that can only read."""
        url = sa.make_url(self._settings.effective_url)
        is_sqlite = url.get_backend_name() == "sqlite"
        if is_sqlite and not Path(url.database or "").is_file():
            told = f"there is no database {url.database}; mend the source's url"
            raise DataError("SOURCE_MISSING", f"{self.place}: {told}")
        engine = sa.create_engine(url, poolclass=sa.NullPool, hide_parameters=True)
        with engine.connect() as connection:
            if is_sqlite:
                connection.exec_driver_sql("PRAGMA query_only = ON")
                # It keeps texts as they were written, whatever their encoding.
                driver: Any = connection.connection.driver_connection
                driver.text_factory = lambda text: text.decode(errors="surrogateescape")
            elif url.get_backend_name() == "postgresql":
                connection.execution_options(postgresql_readonly=True)
            yield connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """What goes wrong in the database, as a DataError that names the source."""
        cure = "mend it, and the next run reads on"
        try:
            yield
        except (sa.exc.DataError, UnicodeError) as error:
            # The database's words repeat the value, which may be a person's text.
            name = type(getattr(error, "orig", error)).__name__
            told = f"a value cannot be read or converted ({name})"
            raise DataError("SOURCE_UNREADABLE", f"{self.place}: {told}; {cure}") from None
        except DBAPIError as error:
            told = str(error.orig).strip().partition("\n")[0]
            raise DataError("SOURCE_UNREADABLE", f"{self.place}: {told}; {cure}") from error
        except (ArgumentError, NoSuchModuleError, ImportError) as error:
            # SQLAlchemy's words may repeat the URL, and with it a password.
            told = "its url is none that SQLAlchemy reads, or its driver is not installed"
            cure = "mend the url, or install the driver"
            raise DataError("SOURCE_UNREADABLE", f"{self.place}: {told}; {cure}") from error

    def _select(self, *columns: Any) -> sa.Select[Any]:
        """Columns of the table, or of what the query finds."""
        if self._settings.table:
            schema, _, table = self._settings.table.rpartition(".")
            return sa.select(*columns).select_from(sa.table(table, schema=schema or None))
        # A colon would begin a parameter.
        query = self._settings.query.strip().rstrip(";").replace(":", r"\:")
        return sa.select(*columns).select_from(sa.text(f"({query}) AS found"))

    def _statement(self, last: Sequence[Any]) -> sa.Select[Any]:
        """What is read, in order."""
        order = [self._cursor] if self._key is None else [self._cursor, self._key]
        select = self._select(*map(sa.column, self._names)).order_by(*order)
        if last:
            select = select.where(self._is_new(last))
        return select.execution_options(yield_per=_FETCHED_ROWS)

    def _is_new(self, last: Sequence[Any]) -> sa.ColumnElement[bool]:
        if self._settings.overlap:
            name, overlap = self._settings.cursor_column, self._settings.overlap
            try:
                first = before(last[0], overlap, is_time=name == self._settings.time_column)
            except TypeError as error:
                told = f"column {name!r} is {error}; overlap needs a number or a time"
                raise UnsupportedCursor(self.place, told) from error
            return self._cursor >= _bound(first)
        behind = self._cursor > _bound(last[0])
        if self._key is None:
            return behind
        # The first condition follows from the second; it lets an index be used.
        tied = sa.or_(behind, self._key > _bound(last[1]))
        return sa.and_(self._cursor >= _bound(last[0]), tied)

    def _check_columns(self, connection: sa.Connection) -> None:
        there = connection.execute(self._select(sa.text("*")).where(sa.false())).keys()
        for name in self._names:
            if name not in there:
                told = f"no column {name!r} among {', '.join(there)}; mend the source's settings"
                raise DataError("MISSING_COLUMN", f"{self.place}: {told}")

    def _check_cursor(self, connection: sa.Connection, last: Sequence[Any]) -> None:
        """Whether reading in the cursor's order finds every row."""

        def is_any(condition: sa.ColumnElement[bool]) -> bool:
            one = self._select(sa.literal_column("1")).where(condition).limit(1)
            return connection.execute(one).first() is not None

        name = self._settings.cursor_column
        if is_any(self._cursor.is_(None)):
            told = f"rows have no value in {name!r} and would never be read"
            cure = "fill it, or leave these rows out with a query"
            raise DataError("NULL_CURSOR", f"{self.place}: {told}; {cure}")
        if last and not is_any(self._cursor >= _bound(last[0])) and is_any(sa.true()):
            told = f"every {name!r} lies before {last[0]}, which was read already"
            cure = "restore the rows, or remove what has landed of the source to read it anew"
            raise DataError("CURSOR_WENT_BACK", f"{self.place}: {told}; {cure}")

    def _passed(
        self, connection: sa.Connection, last: Sequence[Any], before: int | None
    ) -> int | None:
        """How many rows lie up to the watermark, if that is to be told; more than before are lost.

        With an overlap it is not: rows that come late are expected there.
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
            told = f"{found - before} rows came up to {name!r} {last[0]}, which was read already"
            cure = "set overlap (and key_column) to read so far back, or remove what has landed of "
            cure += "the source to read it anew"
            raise DataError("CURSOR_WENT_BACK", f"{self.place}: {told}; {cure}")
        return found

    def _check_order(self, rows: Sequence[_Row], last: Sequence[Any]) -> None:
        """Whether the watermark tells each row from the next."""
        settings = self._settings
        if self._key is not None:
            if any(row[settings.key_column] is None for row in rows):
                told = f"a row has no value in {settings.key_column!r}; fill it, or leave it out"
                raise DataError("NULL_KEY", f"{self.place}: {told} with a query")
            return
        values = [*last[:1], *(row[settings.cursor_column] for row in rows)]
        twice = next((one for one, other in pairwise(values) if one == other), None)
        if twice is not None:
            told = f"several rows have {twice} in {settings.cursor_column!r}"
            cure = "set key_column to a column that tells them apart"
            raise DataError("CURSOR_NOT_UNIQUE", f"{self.place}: {told}; {cure}")

    def _reached(self, row: _Row, last: Sequence[Any]) -> list[Any]:
        """The cursor and key read up to; in the overlap, those from before it."""
        reached = [row[self._settings.cursor_column]]
        if self._key is not None:
            reached.append(row[self._settings.key_column])
        return list(last) if self._settings.overlap and last and last[0] > reached[0] else reached

    def _batch(self, rows: Sequence[_Row], last: Sequence[Any], passed: int | None) -> Batch:
        key_column = self._settings.key_column or self._settings.cursor_column
        found = (self._found(_storable(str(row[key_column])), row) for row in rows)
        piece = checked("", found)
        try:
            watermark: dict[str, Any] = {"last": [cursor.to_json(value) for value in last]}
        except TypeError as error:
            told = f"a cursor or key is {error}: neither text, number, time nor UUID"
            raise UnsupportedCursor(self.place, told) from error
        if passed is not None:
            watermark["passed"] = passed
        return Batch(piece.rows, piece.unreadable, watermark)

    def _found(self, key: str, row: _Row) -> RawRow | Unreadable:
        origin = f"{self.place}#{key}"
        values = {role: row[name] for role, name in self._values.items() if name}
        for value in values.values():
            if isinstance(value, str) and not value.isascii() and _UNDECODED.search(value):
                return Unreadable(origin, "NOT_UTF8", value, key)
        return RawRow(origin=origin, key=key, **values)


def _bound(value: Any) -> sa.BindParameter[Any]:
    """A value whose type the database is left to infer."""
    return sa.bindparam(None, value, type_=sa.types.NullType())


def _storable(key: str) -> str:
    return key.encode(errors="backslashreplace").decode()
