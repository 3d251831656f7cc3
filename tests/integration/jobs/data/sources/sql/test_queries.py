"""Queries instead of tables, and the names of their columns."""

import pytest
import sqlalchemy as sa

from tests.integration.jobs.data.sources.sql.tickets import Declare, insert, ticket
from tests.unit.jobs.data.sources.landing import Landing
from tidemill_core.errors import DataError
from tidemill_core.settings import SqlSource
from tidemill_jobs.data.sources import open_source


def test_a_query_is_read_like_a_table(database: sa.Engine, declare: Declare) -> None:
    """Colons, percent signs and a semicolon in a query keep their SQL meaning."""
    insert(database, ticket(1), ticket(2, text="100 % :sure"))
    query = "SELECT id AS n, text AS body, 1 AS mark FROM tickets WHERE text LIKE '% :s%';"
    source = declare(query=query, cursor_column="n", text_column="body", label_column="mark")
    landing = Landing()
    landing.read(source)
    assert [(row["text"], row["label"], row["origin"]) for row in landing.rows] == [
        ("100 % :sure", "1", "db:query#2")
    ]


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
    insert(database, ticket(1), ticket(2))
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
    with pytest.raises(DataError, match=f"db:query: the query {told}; write one") as caught:
        Landing().read(declare(query=query))
    assert caught.value.reason == "NOT_ONE_QUERY"


def test_columns_of_a_database_may_be_named_as_our_own(
    database: sa.Engine, declare: Declare
) -> None:
    """Columns with our internal names have only the meaning that the settings give them."""
    insert(database, ticket(1))
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


def test_two_columns_of_one_name_are_reported(database: sa.Engine, declare: Declare) -> None:
    """A query with two columns of the same name is refused."""
    insert(database, ticket(1))
    with pytest.raises(DataError, match="db:query: several columns 'text'") as caught:
        Landing().read(declare(query="SELECT id, text, label, who AS text FROM tickets"))
    assert caught.value.reason == "AMBIGUOUS_COLUMN"


def test_reserved_words_are_names_of_columns_and_tables(
    database: sa.Engine, declare: Declare
) -> None:
    """Each word that the database reserves is a table with a column of that name."""
    words = ["nothing", "returning", "with", "order"]
    if database.dialect.name == "postgresql":
        reserved = "SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'T')"
        with database.connect() as connection:
            words = list(connection.exec_driver_sql(reserved).scalars())
    for word in words:
        with database.begin() as connection:
            connection.exec_driver_sql(f'CREATE TABLE "{word}" (id INT, "{word}" TEXT)')
            connection.exec_driver_sql(f"INSERT INTO \"{word}\" VALUES (1, 'x')")  # noqa: S608 -- a keyword
    for word in words:
        landing = Landing()
        landing.read(declare(table=word, text_column=word, label_column=""))
        assert landing.texts == ["x"], word
    with database.begin() as connection:
        for word in words:
            connection.exec_driver_sql(f'DROP TABLE "{word}"')
