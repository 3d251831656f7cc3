"""The databases of the tests, each with an empty table of tickets."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from tests.integration.jobs.data.sources.sql.tickets import TICKETS, Declare
from tests.plugins.postgres import Postgres
from tidemill_core.settings import SqlSource
from tidemill_jobs.data.sources import open_source
from tidemill_jobs.data.sources.source import Source


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the URL of a database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path_factory.mktemp('sql')}/shop.db"
    postgres: Postgres = request.getfixturevalue("postgres")
    return postgres.url(postgres.new_database())


@pytest.fixture
def database(server: str) -> Iterator[sa.Engine]:
    """Return the database with an empty table `tickets`."""
    engine = sa.create_engine(server)
    time = "TIMESTAMPTZ" if engine.dialect.name == "postgresql" else "TEXT"
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS tickets")
        connection.exec_driver_sql(TICKETS.format(time=time))
    yield engine
    engine.dispose()


@pytest.fixture
def declare(server: str) -> Declare:
    """Return a function that makes a source of the table, with settings by name."""

    def declared(**values: object) -> Source:
        what = {} if "query" in values else {"table": "tickets"}
        settings = {"kind": "sql", "url": server, "cursor_column": "id", **what, **values}
        return open_source(SqlSource.model_validate(settings))

    return declared
