"""The connections to SQLite and PostgreSQL, and their limits."""

import os
import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, exc
from sqlalchemy.engine import URL, make_url

from tidemill_core.errors import ConfigurationError

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


def open_engine(url: str) -> Engine:
    """Return SQLAlchemy's engine for a database, which connects when it is used.

    Raises:
        ConfigurationError: the URL names no supported database.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite":
        Path(parsed.database or "").parent.mkdir(parents=True, exist_ok=True)
        options = {"check_same_thread": False}
        engine = create_engine(parsed, hide_parameters=True, connect_args=options)
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


def is_missing(url: str) -> bool:
    """Return whether a database is a SQLite file that does not exist.

    Raises:
        ConfigurationError: the URL is not SQLAlchemy's.
    """
    parsed = _parsed(url)
    return parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").exists()


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
