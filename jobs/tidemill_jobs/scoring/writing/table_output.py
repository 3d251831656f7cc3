"""A database's table as the output: made, filled and named in one transaction."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from tidemill_core.row_places import DatabasePlace, UnknownFormat
from tidemill_jobs.data.sources.sql.connection import quote_reserved
from tidemill_jobs.scoring.writing.formats import ParquetWriter
from tidemill_jobs.scoring.writing.output import OutputExists, Values, not_written, write_errors

_ROWS = 1_000


class TableOutput:
    """A table; see `Output`. Until it is complete, its rows are in a Parquet file."""

    def __init__(self, place: DatabasePlace, folder: Path, *, overwrite: bool) -> None:
        self._shown = place.shown
        self._overwrite = overwrite
        self._schema, _, self._table = place.rows.rpartition(".")
        self._staged = folder / "output.parquet"
        self._writer = ParquetWriter(self._staged)
        with self._errors():
            try:
                self._engine = sa.create_engine(
                    place.url, poolclass=sa.NullPool, hide_parameters=True
                )
            except (ImportError, ValueError, TypeError) as error:
                problem = "SQLAlchemy cannot read its URL, or the driver is not installed"
                raise not_written(self._shown, problem) from error
        quote_reserved(self._engine)
        if self._engine.dialect.name not in ("sqlite", "postgresql"):
            # Others end a transaction when a table is made.
            problem = f"{self._engine.dialect.name} is not supported as an output"
            raise UnknownFormat(f"{problem}; write to SQLite, PostgreSQL or a file")
        if self.exists() and not overwrite:
            raise OutputExists(self._shown)

    def exists(self) -> bool:
        """Return whether the table exists."""
        with self._errors(), self._engine.connect() as connection:
            return sa.inspect(connection).has_table(self._table, schema=self._schema or None)

    def write(self, rows: Values, schema: pa.Schema | None) -> None:
        """Add rows."""
        with write_errors(self._shown):
            self._writer.write(rows, schema)

    def commit(self) -> None:
        """Make the table appear with all rows."""
        with write_errors(self._shown):
            self._writer.close()
        with self._errors(), pq.ParquetFile(self._staged) as rows, self._begun() as connection:
            exists = sa.inspect(connection).has_table(self._table, schema=self._schema or None)
            if exists and not self._overwrite:
                raise OutputExists(self._shown)
            columns = [sa.Column(each.name, _type(each.type)) for each in rows.schema_arrow]
            metadata = sa.MetaData(schema=self._schema or None)
            table = sa.Table(self._table, metadata, *columns)
            if exists:
                table.drop(connection)
            table.create(connection)
            for batch in rows.iter_batches(_ROWS):
                connection.execute(table.insert(), _values(batch))
        self._staged.unlink()

    def discard(self) -> None:
        """Remove what was not committed."""
        self._writer.close()
        self._staged.unlink(missing_ok=True)
        self._engine.dispose()

    @contextmanager
    def _begun(self) -> Iterator[sa.Connection]:
        """Yield a connection in a transaction that also covers the making of tables."""
        with self._engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                # Python's driver begins a transaction only before changes of rows.
                driver: Any = connection.connection.driver_connection
                driver.isolation_level = None
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                with suppress(SQLAlchemyError):  # SQLite did so itself if its disk was full
                    _end(connection, "ROLLBACK")
                raise
            _end(connection, "COMMIT")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Convert the block's errors to a DataError, without the URL and the rows."""
        try:
            yield
        except (OverflowError, UnicodeError, ValueError) as error:
            problem = f"a value does not fit its column ({type(error).__name__})"
            raise not_written(self._shown, problem) from error
        except SQLAlchemyError as error:
            detail = str(getattr(error, "orig", type(error).__name__)).strip().partition("\n")[0]
            raise not_written(self._shown, detail) from error


def _end(connection: sa.Connection, statement: str) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(statement)
    elif statement == "COMMIT":
        connection.commit()
    else:
        connection.rollback()


def _values(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Return rows for the driver, with text for values of types that databases do not share."""
    columns = {
        field.name: values.to_pylist()
        for field, values in zip(batch.schema, batch.columns, strict=True)
    }
    for field in batch.schema:
        if isinstance(_type(field.type), sa.Text):
            found = columns[field.name]
            columns[field.name] = [None if value is None else str(value) for value in found]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _type(kind: pa.DataType) -> Any:
    """Return a column's type in a database."""
    types = pa.types
    if types.is_boolean(kind):
        return sa.Boolean()
    if types.is_integer(kind):
        return sa.BigInteger()
    if types.is_floating(kind):
        return sa.Double()
    if types.is_decimal(kind):
        return sa.Numeric(kind.precision, kind.scale)
    if types.is_timestamp(kind):
        return sa.DateTime(timezone=kind.tz is not None)
    if types.is_date(kind):
        return sa.Date()
    if types.is_binary(kind) or types.is_large_binary(kind):
        return sa.LargeBinary()
    return sa.JSON() if types.is_nested(kind) else sa.Text()
