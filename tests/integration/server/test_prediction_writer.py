"""The writer of predictions over a PostgreSQL that refuses."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.contract.storage.values import prediction
from tidemill_core.domain.prediction import Prediction
from tidemill_core.storage.storage import Storage, open_storage
from tidemill_server.prediction_log import PredictionLog


@pytest.fixture
def storage(postgres_url: str) -> Iterator[Storage]:
    """Storage over a fresh PostgreSQL."""
    opened = open_storage(postgres_url)
    yield opened
    opened.database.close()


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """The spool's folder."""
    return tmp_path / "spool"


def run(log: PredictionLog, steps: Callable[[], Awaitable[None]]) -> None:
    """Let the writer run while something happens; it must not end by itself."""

    async def both() -> None:
        writer = asyncio.create_task(log.run())
        await steps()
        assert not writer.done()
        log.close()
        await writer

    asyncio.run(both())


async def until(condition: Callable[[], bool]) -> None:
    """Wait for it."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.05)


def is_stored(storage: Storage, *predictions: Prediction) -> bool:
    """Whether all of them are in the database."""
    ids = [each.prediction_id for each in predictions]
    return storage.predictions.texts_and_labels(ids).keys() == set(ids)


def execute(storage: Storage, statement: str) -> None:
    """Change the database as its administrator would."""
    with storage.database.write() as connection:
        connection.execute(text(statement))


def test_a_table_that_cannot_be_written_costs_nothing(storage: Storage, spool: Path) -> None:
    """Whatever the database's error, predictions go to the spool and later to the table."""
    log = PredictionLog(storage.predictions, spool)
    lost, later = prediction("p1"), prediction("p2")

    async def steps() -> None:
        execute(storage, "ALTER TABLE predictions RENAME TO hidden")
        log.append(lost)
        await until(lambda: bool(list(spool.glob("*.jsonl"))))
        log.append(later)
        execute(storage, "ALTER TABLE hidden RENAME TO predictions")
        await until(lambda: is_stored(storage, lost, later))

    run(log, steps)
    assert list(spool.iterdir()) == []


def test_rows_that_are_refused_block_nobody(storage: Storage, spool: Path) -> None:
    """A batch with a value that cannot be stored is set aside; all after it is stored."""
    log = PredictionLog(storage.predictions, spool)
    refused = replace(prediction("p1"), text="a NUL: \0")
    spooled, direct = prediction("p2"), prediction("p3")

    async def steps() -> None:
        log.append(refused)
        await until(lambda: bool(list(spool.glob("*.damaged"))))
        log.append(spooled)
        await until(lambda: is_stored(storage, spooled))
        log.append(direct)
        await until(lambda: is_stored(storage, direct))

    run(log, steps)
    assert [path.suffix for path in spool.iterdir()] == [".damaged"]
    assert not is_stored(storage, refused)
