"""Databases as sources: real SQLite and PostgreSQL."""

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.integration.jobs.data.sources.sql.tickets import TICKETS, Declare, insert, ticket
from tests.unit.jobs.data.sources.landing import Landing
from tidemill_core.errors import DataError
from tidemill_core.settings import SqlSource
from tidemill_jobs.data.sources import open_source, raw_rows
from tidemill_jobs.data.sources.source import BATCH_ROWS, Batch, Source, Watermark


def test_new_rows_are_read_on_from_the_last(database: sa.Engine, declare: Declare) -> None:
    """Each row lands once, with its place, key, annotator and time."""
    landing = Landing()
    source = declare(annotator_column="who", time_column="changed")
    assert landing.read(source) == []
    insert(database, ticket(1), ticket(2))
    landing.read(source)
    assert landing.read(source) == []
    insert(database, ticket(5))
    (batch,) = landing.read(source)
    assert batch.rows.select("origin", "key", "text", "label", "annotator").rows() == [
        ("db:tickets#5", "5", "text 5", "a", "ann")
    ]
    assert str(batch.rows["time"][0]) == "2026-01-02 12:00:00+00:00"
    assert len(landing.rows) == 3


def test_rows_with_one_cursor_are_neither_lost_nor_doubled(
    database: sa.Engine, declare: Declare
) -> None:
    """Later rows with the last row's exact time are read once."""
    source, landing = declare(cursor_column="changed", key_column="id"), Landing()
    insert(database, ticket(1, 9), ticket(2, 10), ticket(4, 10))
    landing.read(source)
    insert(database, ticket(5, 10), ticket(3, 11))
    (batch,) = landing.read(source)
    assert batch.rows["key"].to_list() == ["5", "3"]


def test_a_changed_row_replaces_the_earlier_one(database: sa.Engine, declare: Declare) -> None:
    """With a modification time as the cursor, a row's last state counts."""
    source, landing = declare(cursor_column="changed", key_column="id"), Landing()
    insert(database, ticket(1, 9), ticket(2, 10))
    landing.read(source)
    with database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM tickets WHERE id = 1")
    insert(database, ticket(1, 11, "changed"))
    landing.read(source)
    assert sorted(map(str, landing.texts)) == ["changed", "text 2"]


def test_an_overlap_finds_rows_that_were_committed_late(
    database: sa.Engine, declare: Declare
) -> None:
    """A row whose cursor is before the last one is found if it is within the overlap."""
    source, landing = declare(key_column="id", overlap=3), Landing()
    insert(database, ticket(10), ticket(20))
    landing.read(source)
    insert(database, ticket(18), ticket(11))
    landing.read(source)
    assert sorted(map(str, landing.texts)) == ["text 10", "text 18", "text 20"]
    assert landing.watermark == {"last": [20, 20]}


def test_an_overlap_before_a_time_is_in_seconds(postgres_url: str) -> None:
    """An overlap of an hour reads the changes of the last hour again, and nothing earlier."""
    engine, landing = sa.create_engine(postgres_url), Landing()
    with engine.begin() as connection:
        connection.exec_driver_sql(TICKETS.format(time="TIMESTAMPTZ"))
    insert(engine, ticket(1, 9), ticket(2, 12))
    settings = {"url": postgres_url, "table": "public.tickets", "cursor_column": "changed"}
    settings |= {"kind": "sql", "key_column": "id", "overlap": 3600}
    source = open_source(SqlSource.model_validate(settings))
    landing.read(source)
    insert(engine, ticket(3, 11), ticket(4, 10))
    landing.read(source)
    engine.dispose()
    assert [row["origin"] for row in landing.rows][-1] == "db:public.tickets#2"
    assert sorted(map(str, landing.texts)) == ["text 1", "text 2", "text 3"]


def _first(source: Source, watermark: Watermark) -> Batch | None:
    """Return the next batch of a read that ends there."""
    with closing(source.read(watermark)) as reading:
        return next(reading, None)


def test_a_large_table_comes_in_batches_and_goes_on(database: sa.Engine, declare: Declare) -> None:
    """Each row is read once, in order, even if a read is cut off after any batch."""
    with database.begin() as connection:
        connection.exec_driver_sql(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100010) "
            "INSERT INTO tickets (id, changed, text, label) "
            "SELECT i, '2026-01-02 12:00:00+00:00', 'x', 'a' FROM n"
        )
    source, watermark, sizes = declare(cursor_column="changed", key_column="id"), {}, []
    while batch := _first(source, watermark):
        sizes.append(len(batch.rows))
        watermark = batch.watermark
    assert sizes == [BATCH_ROWS, 10]
    assert watermark["last"][1] == BATCH_ROWS + 10


@pytest.mark.parametrize(
    "cursor", ["changed", "day", "local", "zoned", "fine", "minute", "hour", "comma", "basic"]
)
def test_an_overlap_before_a_time_as_text_is_in_seconds(tmp_path: Path, cursor: str) -> None:
    """In SQLite's text times of any form, a late row within two hours is found."""
    url, landing = f"sqlite:///{tmp_path}/shop.db", Landing()
    engine = sa.create_engine(url)
    forms = {
        "changed": "%Y-%m-%d %H:%M:%S",
        "day": "%Y-%m-%d",
        "local": "%Y-%m-%dT%H:%M:%S",
        "zoned": "%Y-%m-%dT%H:%M:%S+02:00",
        "fine": "%Y-%m-%d %H:%M:%S.123Z",
        "minute": "%Y-%m-%dT%H:%MZ",
        "hour": "%Y-%m-%d %H",
        "comma": "%Y-%m-%d %H:%M:%S,123",
        "basic": "%Y%m%dT%H%M%SZ",
    }

    def insert(connection: sa.Connection, number: int, hour: int) -> None:
        time = datetime(2026, 1, 2, hour, tzinfo=UTC).strftime(forms[cursor])
        values = {"n": number, "time": time}
        connection.execute(sa.text("INSERT INTO tickets VALUES (:n, :time, 'x', 'a')"), values)

    settings = {"kind": "sql", "url": url, "table": "tickets", "cursor_column": cursor}
    settings |= {"key_column": "id", "overlap": 7200}
    source = open_source(SqlSource.model_validate(settings))
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE tickets (id, {cursor} TEXT, text, label)")
        insert(connection, 1, 12)
    landing.read(source)
    with engine.begin() as connection:
        insert(connection, 2, 11)
        insert(connection, 3, 9)
    landing.read(source)
    engine.dispose()
    found = {row["key"] for row in landing.rows}
    assert found == ({"1", "2", "3"} if cursor == "day" else {"1", "2"})


@pytest.mark.parametrize(("time_column", "found"), [("changed", ["1", "2"]), ("", ["1"])])
def test_a_count_since_1970_is_a_time_where_it_is_the_row_s(
    tmp_path: Path, time_column: str, found: list[str]
) -> None:
    """The overlap before milliseconds in the time column is in seconds."""
    url, landing = f"sqlite:///{tmp_path}/shop.db", Landing()
    engine = sa.create_engine(url)
    settings = {"kind": "sql", "url": url, "table": "tickets", "cursor_column": "changed"}
    settings |= {"key_column": "id", "overlap": 60, "time_column": time_column}
    source = open_source(SqlSource.model_validate(settings))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE tickets (id, changed, text, label)")
        connection.exec_driver_sql("INSERT INTO tickets VALUES (1, 1700000060000, 'x', 'a')")
    landing.read(source)
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO tickets VALUES (2, 1700000000000, 'x', 'a')")
    landing.read(source)
    engine.dispose()
    assert sorted(str(row["key"]) for row in landing.rows) == found


def test_texts_that_are_not_utf8_cost_their_row(tmp_path: Path) -> None:
    """In SQLite, such a text or key affects only its row; such a cursor is refused."""
    url = f"sqlite:///{tmp_path}/shop.db"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE tickets (id, text, label)")
        connection.exec_driver_sql(
            "INSERT INTO tickets VALUES (1, 'x', 'a'), (2, CAST(x'436166e9' AS TEXT), 'a'), "
            "(CAST(x'33e9' AS TEXT), 'caf\u00e9', 'a')"
        )
    engine.dispose()
    settings = {"kind": "sql", "url": url, "cursor_column": "id"}
    landing = Landing()
    with pytest.raises(DataError, match="text that is not UTF-8") as caught:
        landing.read(open_source(SqlSource.model_validate({**settings, "table": "tickets"})))
    assert caught.value.reason == "UNSUPPORTED_CURSOR"
    query = "SELECT id, text, label, -rowid AS rank FROM tickets"
    settings |= {"query": query, "cursor_column": "rank"}
    landing.read(open_source(SqlSource.model_validate(settings)))
    assert landing.unreadable == [("-2", "NOT_UTF8")]
    assert [row["value"] for row in landing.rows if "rule" in row] == ["Caf\\udce9"]
    assert landing.texts == ["caf\u00e9", "x"]


def test_long_texts_come_in_several_batches(
    database: sa.Engine, declare: Declare, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches are bounded in bytes too; each row is read once even if reads are cut off."""
    monkeypatch.setattr(raw_rows, "BATCH_BYTES", 10_000)
    insert(database, *(ticket(number, text="x" * 4_000) for number in range(1, 6)))
    landing = Landing()
    landing.read(declare(), batches=1)
    assert landing.watermark == {"last": [2], "passed": 2}
    assert [len(batch.rows) for batch in landing.read(declare())] == [2, 1]


def test_wrong_types_cost_their_row(database: sa.Engine, declare: Declare) -> None:
    """A text or label of a wrong type is quarantined with its row's key."""
    insert(database, ticket(1), ticket(2))
    query = "SELECT id, CASE id WHEN 1 THEN 1.5 END AS label, text FROM tickets"
    landing = Landing()
    landing.read(declare(query=query))
    assert landing.unreadable == [("1", "WRONG_TYPE")]
    assert landing.texts == ["text 2"]


def test_a_connection_that_is_cut_costs_nothing(postgres_url: str) -> None:
    """Earlier batches stay, the error names the source, and the next read has the rest."""
    engine, landing = sa.create_engine(postgres_url), []
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE tickets (id BIGINT, text TEXT, label TEXT)")
        connection.exec_driver_sql(
            "INSERT INTO tickets "
            "SELECT i, repeat('x', 100), 'a' FROM generate_series(1, 100010) AS numbers(i)"
        )
    settings = {"kind": "sql", "url": postgres_url, "table": "tickets", "cursor_column": "id"}
    source = open_source(SqlSource.model_validate(settings))
    reading = source.read({})
    landing.append(next(reading))
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
    engine.dispose()
    with pytest.raises(DataError, match=r"db:tickets .*; fix it") as caught:
        landing.extend(reading)
    assert caught.value.reason == "SOURCE_UNREADABLE"
    landing.extend(source.read(landing[-1].watermark))
    keys = [int(key) for batch in landing for key in batch.rows["key"]]
    assert keys == list(range(1, BATCH_ROWS + 11))
