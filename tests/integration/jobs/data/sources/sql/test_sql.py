"""Databases as sources: real SQLite and PostgreSQL."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.plugins.postgres import Postgres
from tests.unit.jobs.data.sources.landing import Landing
from tidemill_core.errors import ConfigurationError, DataError
from tidemill_core.settings import SqlSource
from tidemill_jobs.data.sources import open_source, raw_rows
from tidemill_jobs.data.sources.source import BATCH_ROWS, Batch, Source, Watermark

TICKETS = "CREATE TABLE tickets (id BIGINT, changed {time}, text TEXT, label TEXT, who TEXT)"


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


Declare = Callable[..., Source]


@pytest.fixture
def declare(server: str) -> Declare:
    """Return a function that makes a source of the table, with settings by name."""

    def declared(**values: object) -> Source:
        what = {} if "query" in values else {"table": "tickets"}
        settings = {"kind": "sql", "url": server, "cursor_column": "id", **what, **values}
        return open_source(SqlSource.model_validate(settings))

    return declared


def _insert(database: sa.Engine, *rows: tuple[object, ...]) -> None:
    statement = sa.text("INSERT INTO tickets VALUES (:id, :changed, :text, :label, :who)")
    names = ("id", "changed", "text", "label", "who")
    with database.begin() as connection:
        connection.execute(statement, [dict(zip(names, row, strict=True)) for row in rows])


def _ticket(number: int, hour: int = 12, text: str | None = None) -> tuple[object, ...]:
    return number, f"2026-01-02 {hour:02}:00:00+00:00", text or f"text {number}", "a", "ann"


def test_new_rows_are_read_on_from_the_last(database: sa.Engine, declare: Declare) -> None:
    """Each row lands once, with its place, key, annotator and time."""
    landing = Landing()
    source = declare(annotator_column="who", time_column="changed")
    assert landing.read(source) == []
    _insert(database, _ticket(1), _ticket(2))
    landing.read(source)
    assert landing.read(source) == []
    _insert(database, _ticket(5))
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
    _insert(database, _ticket(1, 9), _ticket(2, 10), _ticket(4, 10))
    landing.read(source)
    _insert(database, _ticket(5, 10), _ticket(3, 11))
    (batch,) = landing.read(source)
    assert batch.rows["key"].to_list() == ["5", "3"]


def test_a_changed_row_replaces_the_earlier_one(database: sa.Engine, declare: Declare) -> None:
    """With a modification time as the cursor, a row's last state counts."""
    source, landing = declare(cursor_column="changed", key_column="id"), Landing()
    _insert(database, _ticket(1, 9), _ticket(2, 10))
    landing.read(source)
    with database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM tickets WHERE id = 1")
    _insert(database, _ticket(1, 11, "changed"))
    landing.read(source)
    assert sorted(map(str, landing.texts)) == ["changed", "text 2"]


def test_an_overlap_finds_rows_that_were_committed_late(
    database: sa.Engine, declare: Declare
) -> None:
    """A row whose cursor is before the last one is found if it is within the overlap."""
    source, landing = declare(key_column="id", overlap=3), Landing()
    _insert(database, _ticket(10), _ticket(20))
    landing.read(source)
    _insert(database, _ticket(18), _ticket(11))
    landing.read(source)
    assert sorted(map(str, landing.texts)) == ["text 10", "text 18", "text 20"]
    assert landing.watermark == {"last": [20, 20]}


def test_an_overlap_before_a_time_is_in_seconds(postgres_url: str) -> None:
    """An overlap of an hour reads the changes of the last hour again, and nothing earlier."""
    engine, landing = sa.create_engine(postgres_url), Landing()
    with engine.begin() as connection:
        connection.exec_driver_sql(TICKETS.format(time="TIMESTAMPTZ"))
    _insert(engine, _ticket(1, 9), _ticket(2, 12))
    settings = {"url": postgres_url, "table": "public.tickets", "cursor_column": "changed"}
    settings |= {"kind": "sql", "key_column": "id", "overlap": 3600}
    source = open_source(SqlSource.model_validate(settings))
    landing.read(source)
    _insert(engine, _ticket(3, 11), _ticket(4, 10))
    landing.read(source)
    engine.dispose()
    assert [row["origin"] for row in landing.rows][-1] == "db:public.tickets#2"
    assert sorted(map(str, landing.texts)) == ["text 1", "text 2", "text 3"]


def test_a_query_is_read_like_a_table(database: sa.Engine, declare: Declare) -> None:
    """Colons, percent signs and a semicolon in a query keep their SQL meaning."""
    _insert(database, _ticket(1), _ticket(2, text="100 % :sure"))
    query = "SELECT id AS n, text AS body, 1 AS mark FROM tickets WHERE text LIKE '% :s%';"
    source = declare(query=query, cursor_column="n", text_column="body", label_column="mark")
    landing = Landing()
    landing.read(source)
    assert [(row["text"], row["label"], row["origin"]) for row in landing.rows] == [
        ("100 % :sure", "1", "db:query#2")
    ]


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


@pytest.mark.parametrize("cursor", ["changed", "day", "local", "zoned", "fine", "minute"])
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


_SELECT = "SELECT id, text, label FROM tickets"


@pytest.mark.parametrize(
    "query",
    [
        f"{_SELECT} -- all",
        f"{_SELECT};",
        f"{_SELECT}; -- all",
        f"{_SELECT};; /* all; of\nthem */ ; -- really",
        f"{_SELECT} /* all */",
        f"{_SELECT} /* (all; */;",
        f"-- first; things\n{_SELECT}\n-- last",
        f"/* ; */ {_SELECT} WHERE text <> '; -- '';' -- ; here",
        f"{_SELECT} WHERE text <> '/*' OR label <> '*/'",
        'SELECT id, text, label, 1 AS "a;--" FROM tickets',
        "WITH these AS (SELECT * FROM tickets) SELECT * FROM these; -- all",
        "WITH these AS (SELECT 1 AS id) SELECT id, text, label FROM tickets ORDER BY id LIMIT 9",
        f"{_SELECT} WHERE text <> 'a\\:b' AND text <> ':c' /* :d */",
    ],
)
def test_a_query_may_end_as_queries_end(database: sa.Engine, declare: Declare, query: str) -> None:
    """Comments and semicolons at the end, and similar text in the query, change nothing."""
    _insert(database, _ticket(1), _ticket(2))
    landing = Landing()
    landing.read(declare(query=query))
    assert landing.texts == ["text 1", "text 2"]


def test_a_query_s_own_quotes_are_known(postgres_url: str) -> None:
    """PostgreSQL's dollar quotes and backslash escapes are recognized."""
    query = r"SELECT 1 AS id, $x$a; -- 'b$x$ || $$;$$ AS text, E'it\'s; --' AS label; -- one"
    settings = {"kind": "sql", "url": postgres_url, "query": query, "cursor_column": "id"}
    landing = Landing()
    landing.read(open_source(SqlSource.model_validate(settings)))
    assert [(row["text"], row["label"]) for row in landing.rows] == [("a; -- 'b;", "it's; --")]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        (f"{_SELECT}; {_SELECT}", "holds several statements"),
        (f"{_SELECT}; DROP TABLE tickets -- x", "holds several statements"),
        (" ; -- nothing", "is empty"),
        ("/* open", "is empty"),
    ],
)
def test_a_query_is_one_statement(declare: Declare, query: str, told: str) -> None:
    """Several statements are refused before any runs; so is an empty query."""
    with pytest.raises(
        DataError, match=f"db:query: the source's query {told}; write one"
    ) as caught:
        Landing().read(declare(query=query))
    assert caught.value.reason == "NOT_ONE_QUERY"


def test_columns_of_a_database_may_be_named_as_our_own(
    database: sa.Engine, declare: Declare
) -> None:
    """Columns with our internal names have only the meaning that the settings give them."""
    _insert(database, _ticket(1))
    query = 'SELECT 7 AS "row", text AS "key", 1 AS part, label AS "number", 2 AS "found:x%"'
    source = declare(
        query=f"{query} FROM tickets",
        cursor_column="row",
        key_column="part",
        text_column="key",
        label_column="number",
        annotator_column="found:x%",
    )
    landing = Landing()
    landing.read(source)
    (row,) = landing.rows
    assert (row["key"], row["text"], row["label"], row["annotator"]) == ("1", "text 1", "a", "2")


def test_two_columns_of_one_name_are_told(database: sa.Engine, declare: Declare) -> None:
    """A query with two columns of the same name is refused."""
    _insert(database, _ticket(1))
    with pytest.raises(DataError, match="db:query: several columns 'text'") as caught:
        Landing().read(declare(query="SELECT id, text, label, who AS text FROM tickets"))
    assert caught.value.reason == "AMBIGUOUS_COLUMN"


@pytest.mark.parametrize(
    ("last", "values"), [([1, "a"], {"overlap": 5}), ([1 << 70, "a"], {}), ([1.5, "a"], {})]
)
def test_cursors_that_do_not_fit_are_told(
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
def test_a_cursor_that_is_not_a_number_is_told(
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
        ({"text_column": "body"}, "MISSING_COLUMN", "no column 'body' among id, changed, text"),
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
    _insert(database, _ticket(1), (2, None, "y", "a", None))
    with pytest.raises(DataError, match="db:") as caught:
        Landing().read(declare(**values))
    assert (caught.value.reason, told in str(caught.value)) == (reason, True)


def test_a_cursor_that_went_back_is_told(database: sa.Engine, declare: Declare) -> None:
    """A table restored from an old copy is an error, because new rows would not be read."""
    source, landing = declare(), Landing()
    _insert(database, _ticket(5), _ticket(6))
    landing.read(source)
    with database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM tickets WHERE id = 6")
    assert landing.try_to_read(source) == "CURSOR_WENT_BACK"
    _insert(database, _ticket(7))
    landing.read(source)
    assert len(landing.rows) == 3


def test_rows_behind_the_watermark_are_told(database: sa.Engine, declare: Declare) -> None:
    """New rows with an earlier cursor are an error; an overlap reads them."""
    source, landing = declare(cursor_column="changed", key_column="id"), Landing()
    _insert(database, _ticket(1, 9), _ticket(5, 10))
    landing.read(source)
    _insert(database, _ticket(6, 10), _ticket(7, 11))
    landing.read(source)
    assert landing.watermark["passed"] == 4
    _insert(database, _ticket(8, 8), _ticket(4, 11), _ticket(9, 12))
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
    _insert(database, *(_ticket(number, text="x" * 4_000) for number in range(1, 6)))
    landing = Landing()
    landing.read(declare(), batches=1)
    assert landing.watermark == {"last": [2], "passed": 2}
    assert [len(batch.rows) for batch in landing.read(declare())] == [2, 1]


def test_wrong_types_cost_their_row(database: sa.Engine, declare: Declare) -> None:
    """A text or label of a wrong type is quarantined with its row's key."""
    _insert(database, _ticket(1), _ticket(2))
    query = "SELECT id, CASE id WHEN 1 THEN 1.5 END AS label, text FROM tickets"
    landing = Landing()
    landing.read(declare(query=query))
    assert landing.unreadable == [("1", "WRONG_TYPE")]
    assert landing.texts == ["text 2"]


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
def test_a_database_that_is_not_there_is_told_without_its_password(
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
    _insert(database, _ticket(1))
    source = declare(url="", url_env="SHOP_URL")
    with pytest.raises(ConfigurationError, match="SHOP_URL"):
        Landing().read(source)
    monkeypatch.setenv("SHOP_URL", server)
    landing = Landing()
    landing.read(source)
    assert landing.texts == ["text 1"]


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
