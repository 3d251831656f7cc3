"""Storage when the database cannot be reached, is locked or is full."""

import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import event, func, select, text
from structlog.testing import capture_logs

from tests.contract.storage.values import NOW, change, prediction, verdict
from tests.plugins.postgres import Postgres
from tests.plugins.waiting import wait_until
from tidemill_core.domain.job import JobRun
from tidemill_core.domain.model import ModelState
from tidemill_core.errors import ConfigurationError, StorageUnavailable
from tidemill_core.storage.database import Database, Page
from tidemill_core.storage.engine import BUSY_TIMEOUT_SECONDS
from tidemill_core.storage.jobs import RunRequest
from tidemill_core.storage.migrate import ADVISORY_LOCK
from tidemill_core.storage.schema import feedback
from tidemill_core.storage.storage import Storage, open_storage, wait_for_storage

UNLIMITED = 1_000_000


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Path:
    """Return the path of a test's SQLite database."""
    return tmp_path / "tidemill.db"


@pytest.fixture
def sqlite_storage(sqlite_file: Path) -> Iterator[Storage]:
    """Return storage over an existing SQLite file."""
    opened = open_storage(f"sqlite:///{sqlite_file}")
    yield opened
    opened.database.close()


def _set_on_connect(database: Database, pragma: str) -> None:
    """Set a SQLite setting on all new connections."""
    event.listen(
        database.engine, "connect", lambda connection, _: connection.execute(f"PRAGMA {pragma}")
    )
    database.engine.dispose()


@contextmanager
def _unavailable(detail: str) -> Iterator[None]:
    with pytest.raises(StorageUnavailable) as refused:
        yield
    assert detail in refused.value.detail


def _stored(storage: Storage) -> int:
    return len(storage.feedback.page("", "", Page(1000))[0])


def test_a_locked_database(sqlite_file: Path, sqlite_storage: Storage) -> None:
    """Writes that wait too long fail and write nothing; reads and later writes succeed."""
    _set_on_connect(sqlite_storage.database, "busy_timeout = 100")
    other = sqlite3.connect(sqlite_file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with _unavailable("locked"):
        sqlite_storage.feedback.add([verdict()])
    with _unavailable("locked"):
        sqlite_storage.jobs.enqueue(RunRequest("retrain", "support", "a"), NOW)
    assert _stored(sqlite_storage) == 0
    other.execute("ROLLBACK")
    other.close()
    sqlite_storage.feedback.add([verdict()])
    assert _stored(sqlite_storage) == 1


def test_a_full_disk(sqlite_file: Path, sqlite_storage: Storage) -> None:
    """A batch that does not fit is not written at all; stored rows can be read."""
    sqlite_storage.predictions.add([prediction("kept")])
    pages = _pages(sqlite_file)
    _set_on_connect(sqlite_storage.database, f"max_page_count = {pages + 5}")
    batch = [prediction(f"p{n}", text="long " * 1000) for n in range(20)]
    with _unavailable("full"):
        sqlite_storage.predictions.add(batch)
    ids = [one.prediction_id for one in batch]
    assert sqlite_storage.predictions.texts_and_labels([*ids, "kept"]).keys() == {"kept"}
    _set_on_connect(sqlite_storage.database, f"max_page_count = {UNLIMITED}")
    sqlite_storage.predictions.add(batch)
    assert len(sqlite_storage.predictions.texts_and_labels(ids)) == 20


def test_a_full_job_store(sqlite_file: Path, sqlite_storage: Storage) -> None:
    """A run without room is refused as StorageUnavailable and not queued."""
    _set_on_connect(sqlite_storage.database, f"max_page_count = {_pages(sqlite_file)}")
    queued: list[JobRun] = []
    requests = [RunRequest(f"job{n}", "support", "x" * 200) for n in range(100)]
    with _unavailable("full"):
        queued.extend(sqlite_storage.jobs.enqueue(request, NOW) for request in requests)
    waiting, _ = sqlite_storage.jobs.page("", "", Page(1000))
    assert 0 < len(waiting) < len(requests)
    assert waiting[::-1] == queued
    claimed = sqlite_storage.jobs.claim(NOW)
    assert claimed is not None
    sqlite_storage.jobs.mark_canceled(claimed.run_id, NOW)


def _pages(path: Path) -> int:
    with sqlite3.connect(path) as connection:
        pages = int(connection.execute("PRAGMA page_count").fetchone()[0])
    connection.close()
    return pages


def test_a_file_that_is_no_database(sqlite_file: Path) -> None:
    """A file that is not a database is StorageUnavailable, and does not change."""
    sqlite_file.write_bytes(b"not a database" * 1000)
    with _unavailable("not a database"):
        open_storage(f"sqlite:///{sqlite_file}")
    assert sqlite_file.read_bytes() == b"not a database" * 1000


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://root@localhost/x"])
def test_wrong_urls(url: str) -> None:
    """A URL of an unsupported database is a ConfigurationError."""
    with pytest.raises(ConfigurationError, match="database_url"):
        Database(url)


def test_postgresql_away(postgres: Postgres, postgres_url: str) -> None:
    """While PostgreSQL is down, all calls fail as StorageUnavailable; later they succeed."""
    storage = open_storage(postgres_url)
    [before] = storage.feedback.add([verdict()])
    postgres.stop()
    try:
        for call in (
            lambda: storage.feedback.add([verdict("p2")]),
            lambda: storage.feedback.page("", "", Page()),
            lambda: storage.predictions.add([prediction("p1")]),
            lambda: storage.prediction_counts.of_window("support", 1, NOW),
            lambda: storage.jobs.enqueue(RunRequest("retrain", "support", "a"), NOW),
            lambda: storage.models.promote("support", 1, change()),
            lambda: open_storage(postgres_url),
        ):
            with pytest.raises(StorageUnavailable):
                call()
    finally:
        postgres.start()
    assert storage.feedback.page("", "", Page())[0] == [before]
    storage.feedback.add([verdict("p2")])
    assert _stored(storage) == 2
    storage.database.close()


def test_a_start_waits_for_postgresql(postgres: Postgres, postgres_url: str) -> None:
    """A process that starts while PostgreSQL is down says so, and goes on when it answers."""
    postgres.stop()
    with ThreadPoolExecutor(1) as pool, capture_logs() as logged:
        try:
            opening = pool.submit(wait_for_storage, postgres_url)
            wait_until(lambda: logged, "it says that it waits")
        finally:
            postgres.start()
        storage = opening.result(60)
    assert logged[0]["event"] == "waiting_for_database"
    assert "connection" in logged[0]["detail"]
    assert _stored(storage) == 0
    storage.database.close()


def test_postgresql_goes_within_a_transaction(postgres: Postgres, postgres_url: str) -> None:
    """A transaction during which PostgreSQL stops fails and changes nothing."""
    storage = open_storage(postgres_url)
    try:
        with pytest.raises(StorageUnavailable), storage.database.write() as connection:  # noqa: PT012 -- at its end
            connection.execute(feedback.insert(), vars(verdict()) | {"request_id": None})
            postgres.stop()
    finally:
        postgres.start()
    assert _stored(storage) == 0
    storage.database.close()


def test_a_held_lock_is_not_waited_for_long(postgres_url: str) -> None:
    """On PostgreSQL, a write that cannot lock a table in time fails and changes nothing."""
    storage, other = open_storage(postgres_url), open_storage(postgres_url)
    with other.database.write() as holder:
        holder.execute(text("LOCK TABLE feedback IN ACCESS EXCLUSIVE MODE"))
        start = time.monotonic()
        with _unavailable("lock timeout"):
            storage.feedback.add([verdict()])
        assert time.monotonic() - start < BUSY_TIMEOUT_SECONDS + 2
    assert _stored(storage) == 0
    storage.database.close()
    other.database.close()


def test_a_statement_has_a_limit_but_no_migration(postgres_url: str) -> None:
    """Statements time out, but a migration waits for another process's turn."""
    database = Database(postgres_url)
    limit = text("SHOW statement_timeout")
    with database.read() as connection:
        assert connection.execute(limit).scalar_one() == "1min"
    with ThreadPoolExecutor(1) as pool, database.write() as connection:
        connection.execute(text(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})"))
        late = pool.submit(open_storage, postgres_url)
        time.sleep(BUSY_TIMEOUT_SECONDS + 1)  # longer than a statement may wait
        assert not late.done()
        connection.commit()
        late.result(60).database.close()
    database.close()


def test_postgresql_that_only_reads(postgres_url: str) -> None:
    """Writes to a read-only PostgreSQL are StorageUnavailable; later they succeed."""
    storage = open_storage(postgres_url)
    name = storage.database.engine.url.database
    for setting, stored in (("on", 0), ("off", 1)):
        with storage.database.write() as connection:
            connection.execute(text("SET LOCAL transaction_read_only = off"))
            change = f"ALTER DATABASE {name} SET default_transaction_read_only = {setting}"
            connection.execute(text(change))
        storage.database.engine.dispose()
        if setting == "on":
            with _unavailable("read-only"):
                storage.feedback.add([verdict()])
        else:
            storage.feedback.add([verdict()])
        assert _stored(storage) == stored
    storage.database.close()


def test_a_reader_sees_one_moment(storage: Storage, second_storage: Storage) -> None:
    """A read transaction does not see concurrent writes."""
    count = select(func.count()).select_from(feedback)
    with storage.database.read() as connection:
        assert connection.execute(count).scalar_one() == 0
        second_storage.feedback.add([verdict()])
        assert connection.execute(count).scalar_one() == 0
    assert _stored(storage) == 1


def test_readers_do_not_wait(storage: Storage, second_storage: Storage) -> None:
    """While a transaction locks a table to write, others read the state before."""
    with storage.database.write(alone_on=feedback) as connection:
        connection.execute(feedback.insert(), vars(verdict()) | {"request_id": None})
        assert _stored(second_storage) == 0
    assert _stored(second_storage) == 1


def test_a_write_that_raises_changes_nothing(storage: Storage) -> None:
    """An error inside a transaction undoes all of it, and propagates unchanged."""
    with pytest.raises(ZeroDivisionError), storage.database.write() as connection:  # noqa: PT012 -- at its end
        connection.execute(feedback.insert(), vars(verdict()) | {"request_id": None})
        _ = 1 / 0
    assert _stored(storage) == 0
    assert storage.models.in_states("support", list(ModelState)) == []


def test_a_database_that_cannot_store_all_texts_is_refused(postgres: Postgres) -> None:
    """The error names the encoding, and how to create a database with the right one."""
    with psycopg.connect(postgres.server.get_uri(), autocommit=True) as connection:
        options = "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        connection.execute(f"CREATE DATABASE only_ascii {options}")
    with pytest.raises(ConfigurationError, match=r"'only_ascii' has the encoding SQL_ASCII.*UTF8"):
        open_storage(postgres.url("only_ascii"))
