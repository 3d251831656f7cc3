"""The connections to SQLite and PostgreSQL, and their limits."""

import os
import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, exc
from sqlalchemy.engine import URL, make_url

from tidemill_core.errors import ConfigurationError, StorageUnavailable

BUSY_TIMEOUT_SECONDS = 5
"""Longest wait for a connection or a lock."""
STATEMENT_TIMEOUT_SECONDS = 60
"""Longest run of a statement on PostgreSQL; migrations have no limit."""
# All of asyncio's threads may need a connection at once; the prediction log needs one more.
_POOL_SIZE = min(32, (os.cpu_count() or 1) + 4) + 1
_KEEPALIVES = {
    # A server that disappears without closing its connections is noticed within a minute.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


class DatabaseMissing(StorageUnavailable):
    """A SQLite file that was moved away or deleted while it was used.

    Attributes:
        found: which file is missing.
        cure: what to do.
    """

    cure = "move it back; to begin with an empty database, stop `tidemill up` and start it again"

    def __init__(self, path: Path) -> None:
        self.found = f"{path} is missing"
        super().__init__(f"{self.found}: {self.cure}")


def open_engine(url: str) -> Engine:
    """Return SQLAlchemy's engine for a database, which connects when it is used.

    A SQLite file must exist by then.

    Raises:
        ConfigurationError: the URL names no supported database.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite":
        options = {"check_same_thread": False}
        engine = create_engine(parsed, hide_parameters=True, connect_args=options)
        if (file := _file_of(parsed)) is not None:
            _keep_to_file(engine, file)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    if parsed.get_backend_name() == "postgresql":
        engine = create_engine(
            parsed,
            hide_parameters=True,  # keeps users' texts out of the log
            pool_pre_ping=True,
            pool_size=_POOL_SIZE,
            pool_timeout=BUSY_TIMEOUT_SECONDS,
            connect_args={"connect_timeout": BUSY_TIMEOUT_SECONDS, **_KEEPALIVES},
        )
        # First, because SQLAlchemy's own preparation cannot read another encoding than UTF-8.
        event.listen(engine, "connect", _prepare_postgresql, insert=True)
        return engine
    raise ConfigurationError("database_url must be a URL of PostgreSQL or SQLite")


def missing_file(url: str) -> Path | None:
    """Return the SQLite file of a database if it does not exist; None for any other database.

    Raises:
        ConfigurationError: the URL is not SQLAlchemy's.
    """
    file = _file_of(_parsed(url))
    return file if file is not None and _is_missing(file) else None


def create_missing(url: str) -> None:
    """Create the SQLite file of a database, without tables, if it does not exist.

    Raises:
        ConfigurationError: the URL is not SQLAlchemy's.
        StorageUnavailable: it cannot be created.
    """
    if (file := missing_file(url)) is None:
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    except OSError as error:
        raise StorageUnavailable(f"{file} cannot be created: {error.strerror}") from error


def _file_of(url: URL) -> Path | None:
    """Return the file of a SQLite database; None for another one, or one that has a URI."""
    name = url.database or ":memory:"
    is_file = url.get_backend_name() == "sqlite" and not name.startswith((":memory:", "file:"))
    return Path(os.path.abspath(name)) if is_file else None  # noqa: PTH100 -- as SQLAlchemy does


def _is_missing(file: Path) -> bool:
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False  # whoever opens it is told why that fails
    return False


def _keep_to_file(engine: Engine, file: Path) -> None:
    """Let an engine use a file only while it has its name.

    What a connection writes into a file that was moved away or deleted may be lost.
    """

    def connect(_dialect: Any, _record: Any, arguments: list[Any], options: dict[str, Any]) -> None:
        if _is_missing(file):
            raise DatabaseMissing(file)
        arguments[0] = f"{file.as_uri()}?mode=rw"  # SQLite would create it
        options["uri"] = True

    def note(_connection: Any, record: Any) -> None:
        record.info["file"] = _identity(file)

    def check(_connection: Any, record: Any, _proxy: Any) -> None:
        if (found := _identity(file)) is None or found != record.info["file"]:
            raise exc.DisconnectionError  # the pool opens another connection

    event.listen(engine, "do_connect", connect)
    event.listen(engine, "connect", note)
    event.listen(engine, "checkout", check)


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except exc.ArgumentError as error:
        raise ConfigurationError("database_url is not a SQLAlchemy URL") from error


def _prepare_postgresql(connection: Any, _record: object) -> None:
    if (encoding := connection.info.parameter_status("server_encoding")) != "UTF8":
        database = connection.info.dbname
        connection.close()
        raise ConfigurationError(
            f"the PostgreSQL database {database!r} has the encoding {encoding}, which cannot store "
            "all texts: create a database with ENCODING 'UTF8' TEMPLATE template0"
        )
    connection.autocommit = True  # otherwise the first rollback would undo the settings
    connection.execute(f"SET lock_timeout = '{BUSY_TIMEOUT_SECONDS}s'")
    connection.execute(f"SET statement_timeout = '{STATEMENT_TIMEOUT_SECONDS}s'")
    connection.autocommit = False


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # Turn the driver's own transactions off: `_begin_sqlite` opens them.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_SECONDS * 1000}")
    _turn_wal_on(connection)
    connection.execute("PRAGMA synchronous = FULL")
    # Removed rows are overwritten in the file too.
    connection.execute("PRAGMA secure_delete = ON")


def _turn_wal_on(connection: Any) -> None:
    # If several processes open a new file, one of them turns WAL on. For the others the statement
    # fails immediately, whatever the timeout, so they wait here.
    give_up = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later fails immediately if another one wrote in
    # between, whatever the timeout. One that takes the write lock first waits for it instead.
    writes = connection.get_execution_options().get("tidemill_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
