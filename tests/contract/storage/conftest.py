"""Fixtures that run each test of the contract on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.plugins.databases import new_sqlite
from tests.plugins.postgres import Postgres
from tidemill_core.storage.schema import metadata
from tidemill_core.storage.storage import Storage, open_storage

BACKENDS = ["sqlite", "postgresql"]


@pytest.fixture(scope="session")
def kept_postgres_url(postgres: Postgres) -> str:
    """Return a PostgreSQL database that all tests share, because creating one is slow."""
    return postgres.url(postgres.new_database())


@pytest.fixture(params=BACKENDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a database without rows."""
    if request.param == "sqlite":
        return new_sqlite(tmp_path / "tidemill.db")
    return str(request.getfixturevalue("kept_postgres_url"))


@pytest.fixture(params=BACKENDS)
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a database without tables."""
    if request.param == "sqlite":
        (tmp_path / "tidemill.db").touch()
        return f"sqlite:///{tmp_path / 'tidemill.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def storage(database_url: str) -> Iterator[Storage]:
    """Return storage over a database without rows."""
    opened = open_storage(database_url)
    yield opened
    if opened.database.engine.dialect.name == "postgresql":  # which the next test shares
        with opened.database.write() as connection:
            for table in metadata.sorted_tables:
                connection.execute(table.delete())
    opened.database.close()


@pytest.fixture
def second_storage(storage: Storage, database_url: str) -> Iterator[Storage]:  # noqa: ARG001 -- opened after it
    """Return storage over the same database, as another process would open it."""
    opened = open_storage(database_url)
    yield opened
    opened.database.close()
