"""Databases and APIs into the intake, without new rows or without any row."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from tests.integration.jobs.data.sources.web_api.api import Answer, Api, running
from tidemill_core.errors import DataError
from tidemill_core.settings import HttpSource, SqlSource
from tidemill_jobs.data.landing.intake import Intake
from tidemill_jobs.data.sources import open_source
from tidemill_jobs.data.sources.source import Source


@pytest.fixture
def api() -> Iterator[Api]:
    """Return an API that answers with an empty list."""
    with running() as api:
        yield api


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Return a database with an empty table `tickets`."""
    connection = sqlite3.connect(tmp_path / "shop.db", isolation_level=None)
    connection.execute("CREATE TABLE tickets (id INTEGER, text TEXT, label TEXT)")
    yield connection
    connection.close()


@pytest.fixture
def table(shop: sqlite3.Connection, tmp_path: Path) -> Source:
    """Return the table as a source that reads the last ten ids again each time."""
    del shop
    settings = {"kind": "sql", "url": f"sqlite:///{tmp_path}/shop.db", "table": "tickets"}
    settings |= {"cursor_column": "id", "key_column": "id", "overlap": 10}
    return open_source(SqlSource.model_validate(settings))


def _land(folder: Path, source: Source) -> int:
    """Land a source; return the number of its landed rows."""
    Intake(folder / "intake").land(source, lambda _done, _doing: None)
    frames = [pl.read_parquet(path) for path in folder.glob(f"intake/{source.name}/*.parquet")]
    return sum(map(len, frames))


def test_an_api_that_gives_all_of_it_each_time_lands_once(tmp_path: Path, api: Api) -> None:
    """An empty list is an error before the first row; later it is a read without new rows."""
    source = open_source(HttpSource(kind="http", url=api.url, requests_per_second=1e4))
    with pytest.raises(DataError, match=f"{api.url} has no rows") as caught:
        _land(tmp_path, source)
    assert caught.value.reason == "NO_ROWS"
    items = [{"id": number, "text": f"text {number}", "label": "a"} for number in range(5)]
    api.answer = lambda _: Answer(items)
    assert [_land(tmp_path, source) for _ in range(3)] == [5, 5, 5]
    items.clear()
    assert _land(tmp_path, source) == 5


def test_a_table_read_with_an_overlap_lands_once(
    tmp_path: Path, shop: sqlite3.Connection, table: Source
) -> None:
    """An empty table is an error before the first row; later it is a read without new rows."""
    with pytest.raises(DataError, match="db:tickets has no rows") as caught:
        _land(tmp_path, table)
    assert caught.value.reason == "NO_ROWS"
    shop.execute("INSERT INTO tickets VALUES (1, 'x', 'a'), (5, 'y', 'b')")
    assert [_land(tmp_path, table) for _ in range(3)] == [2, 2, 2]
    shop.execute("UPDATE tickets SET text = 'changed' WHERE id = 1")
    shop.execute("INSERT INTO tickets VALUES (2, 'late', 'a')")
    assert _land(tmp_path, table) == 4
    shop.execute("DELETE FROM tickets")
    assert _land(tmp_path, table) == 4
