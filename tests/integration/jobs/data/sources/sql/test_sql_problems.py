"""Databases, cursors and rows that cannot be used, and what is said about them."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.integration.jobs.data.sources.sql.tickets import Declare, insert, ticket
from tests.unit.jobs.data.sources.landing import Landing
from tidemill_core.errors import ConfigurationError, DataError
from tidemill_core.settings import SqlSource
from tidemill_jobs.data.sources import open_source


@pytest.mark.parametrize(
    ("last", "values"), [([1, "a"], {"overlap": 5}), ([1 << 70, "a"], {}), ([1.5, "a"], {})]
)
def test_cursors_that_do_not_fit_are_reported(
    tmp_path: Path, last: list[object], values: dict[str, object]
) -> None:
    """Cursors of mixed types or out of the database's range never raise a library's error."""
    url = f"sqlite:///{tmp_path}/shop.db"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE tickets (id, text, label)")
        connection.exec_driver_sql("INSERT INTO tickets VALUES (x'7a', 'x', 'a')")
    engine.dispose()
    settings = {"kind": "sql", "url": url, "table": "tickets", "cursor_column": "id"}
    source = open_source(SqlSource.model_validate({**settings, "key_column": "text", **values}))
    with pytest.raises(DataError, match="db:tickets"):
        Landing(watermark={"last": last}).read(source)


@pytest.mark.parametrize("kind", ["numeric", "float8"])
@pytest.mark.parametrize("overlap", [0, 5])
@pytest.mark.parametrize("last", [[], [{"decimal": "1"}, 1]])
def test_a_cursor_that_is_not_a_number_is_reported(
    postgres_url: str, kind: str, overlap: float, last: list[object]
) -> None:
    """PostgreSQL sorts NaN after all numbers, so nothing would be read after it: an error."""
    query = f"SELECT 'NaN'::{kind} AS id, 1 AS k, 'x' AS text, 'a' AS label"
    settings = {"kind": "sql", "url": postgres_url, "query": query, "cursor_column": "id"}
    settings |= {"key_column": "k", "overlap": overlap}
    with pytest.raises(DataError, match="db:query") as caught:
        Landing(watermark={"last": last}).read(open_source(SqlSource.model_validate(settings)))
    assert caught.value.reason == "UNSUPPORTED_CURSOR"


def test_nothing_can_be_written(postgres_url: str) -> None:
    """The source's connection refuses to write, whatever the query does."""
    engine = sa.create_engine(postgres_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE SEQUENCE s")
    engine.dispose()
    settings = {"kind": "sql", "url": postgres_url, "cursor_column": "id"}
    query = "SELECT setval('s', 5) AS id, 'x' AS text, 'a' AS label"
    source = open_source(SqlSource.model_validate({**settings, "query": query}))
    with pytest.raises(DataError, match="read-only transaction"):
        Landing().read(source)


@pytest.mark.parametrize(
    ("values", "reason", "told"),
    [
        ({"text_column": "body"}, "MISSING_COLUMN", "no column 'body'; it has: id, changed, text"),
        ({"table": "tickes"}, "SOURCE_UNREADABLE", "tickes"),
        ({"query": "SELEC id"}, "SOURCE_UNREADABLE", "db:query"),
        ({"cursor_column": "label"}, "CURSOR_NOT_UNIQUE", "several rows have a in 'label'"),
        ({"cursor_column": "who"}, "NULL_CURSOR", "'who'"),
        ({"cursor_column": "label", "key_column": "who"}, "NULL_KEY", "'who'"),
    ],
)
def test_a_table_that_cannot_be_used_is_named(
    database: sa.Engine, declare: Declare, values: dict[str, object], reason: str, told: str
) -> None:
    """The error has its reason and names the table and the column."""
    insert(database, ticket(1), (2, None, "y", "a", None))
    with pytest.raises(DataError, match="db:") as caught:
        Landing().read(declare(**values))
    assert (caught.value.reason, told in str(caught.value)) == (reason, True)


def test_a_cursor_that_went_back_is_reported(database: sa.Engine, declare: Declare) -> None:
    """A table restored from an old copy is an error, because new rows would not be read."""
    source, landing = declare(), Landing()
    insert(database, ticket(5), ticket(6))
    landing.read(source)
    with database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM tickets WHERE id = 6")
    assert landing.try_to_read(source) == "CURSOR_WENT_BACK"
    insert(database, ticket(7))
    landing.read(source)
    assert len(landing.rows) == 3


def test_deleted_rows_within_an_overlap_hide_no_others(
    database: sa.Engine, declare: Declare
) -> None:
    """The newest row may be deleted; a table whose rows all lie before the overlap is an error."""
    source, landing = declare(key_column="id", overlap=10), Landing()
    insert(database, ticket(1), ticket(20), ticket(25))
    landing.read(source)
    with database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM tickets WHERE id = 25")
    insert(database, ticket(18))
    landing.read(source)
    assert sorted(landing.texts, key=str) == ["text 1", "text 18", "text 20", "text 25"]
    with database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM tickets WHERE id > 1")
    with pytest.raises(DataError, match="every 'id' lies before 15, which was read already"):
        landing.read(source)


def test_rows_behind_the_watermark_are_reported(database: sa.Engine, declare: Declare) -> None:
    """New rows with an earlier cursor are an error; an overlap reads them."""
    source, landing = declare(cursor_column="changed", key_column="id"), Landing()
    insert(database, ticket(1, 9), ticket(5, 10))
    landing.read(source)
    insert(database, ticket(6, 10), ticket(7, 11))
    landing.read(source)
    assert landing.watermark["passed"] == 4
    insert(database, ticket(8, 8), ticket(4, 11), ticket(9, 12))
    with pytest.raises(
        DataError, match="2 rows appeared up to 'changed' 2026-01-02 11:00"
    ) as caught:
        landing.read(source)
    assert caught.value.reason == "CURSOR_WENT_BACK"
    assert "set overlap" in str(caught.value)
    landing.read(declare(cursor_column="changed", key_column="id", overlap=3 * 3600))
    assert len(landing.rows) == 7
    assert landing.watermark["last"][1] == 9


def test_no_error_repeats_a_text(postgres_url: str) -> None:
    """An error does not contain the value that the database cannot convert."""
    query = "SELECT 1 AS id, 'x' AS text, CAST('I am ' || 'Ann' AS INTEGER) AS label"
    settings = {"kind": "sql", "url": postgres_url, "query": query, "cursor_column": "id"}
    source = open_source(SqlSource.model_validate(settings))
    with pytest.raises(DataError, match="InvalidTextRepresentation") as caught:
        Landing().read(source)
    assert caught.value.reason == "SOURCE_UNREADABLE"
    assert "Ann" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("sqlite:////nowhere/shop.db", "SOURCE_MISSING"),
        ("postgresql+psycopg://u:hunter2@127.0.0.1:1/d", "SOURCE_UNREADABLE"),
        ("carrier://u:hunter2@pigeon", "SOURCE_UNREADABLE"),
        ("postgresql://u:hunter2@h:port/d", "SOURCE_UNREADABLE"),
        ("postgresql+psycopg://u:hunter2@127.0.0.1:99999/d", "SOURCE_UNREADABLE"),
        (f"sqlite:///{'x' * 5000}", "SOURCE_MISSING"),
        ("hunter2", "SOURCE_UNREADABLE"),
    ],
)
def test_a_database_that_is_not_there_is_reported_without_its_password(
    declare: Declare, url: str, reason: str
) -> None:
    """No server, file, driver or URL: each has a reason, and no error has a secret."""
    with pytest.raises(DataError, match="db:tickets") as caught:
        Landing().read(declare(url=url))
    assert caught.value.reason == reason
    assert "hunter2" not in str(caught.value)


def test_the_url_may_come_from_the_environment(
    database: sa.Engine, server: str, declare: Declare, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable is read with the source, and the error names it if it is not set."""
    insert(database, ticket(1))
    source = declare(url="", url_env="SHOP_URL")
    with pytest.raises(ConfigurationError, match="SHOP_URL"):
        Landing().read(source)
    monkeypatch.setenv("SHOP_URL", server)
    landing = Landing()
    landing.read(source)
    assert landing.texts == ["text 1"]
