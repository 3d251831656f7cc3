"""The writer of predictions over a PostgreSQL that refuses them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from tests.contract.storage.values import prediction
from tests.plugins.waiting import until
from tidemill_core.domain.prediction import Prediction
from tidemill_core.log_policy import LogPolicy
from tidemill_core.settings import FilesSource, PredictionLogSettings, TaskSettings
from tidemill_core.storage.storage import Storage, open_storage
from tidemill_core.text_hash import text_hash
from tidemill_server.prediction_log import PredictionLog
from tidemill_server.telemetry.families import Families

KEY = b"k" * 32


@pytest.fixture
def storage(postgres_url: str) -> Iterator[Storage]:
    """Yield storage over a new PostgreSQL."""
    opened = open_storage(postgres_url)
    yield opened
    opened.database.close()


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """Return the spool's folder."""
    return tmp_path / "spool"


def policy(**settings: object) -> LogPolicy:
    """Return the policy of a task `support` with these settings."""
    values = {"sources": [FilesSource(path=Path("x.csv"))], **settings}
    return LogPolicy({"support": TaskSettings.model_validate(values)}, KEY)


def counted(metrics: Families) -> dict[str, float]:
    """Return the counts of predictions by outcome, without zeros."""
    return {
        sample.labels["outcome"]: sample.value
        for family in metrics.log_rows_total.collect()
        for sample in family.samples
        if sample.name.endswith("_total") and sample.value
    }


@contextlib.asynccontextmanager
async def running(log: PredictionLog) -> AsyncIterator[None]:
    """Let the writer run while something happens; it must not end by itself."""
    writer = asyncio.create_task(log.run())
    yield
    assert not writer.done()
    log.close()
    await writer


def is_stored(storage: Storage, *predictions: Prediction) -> bool:
    """Return whether all of them are in the database."""
    ids = [each.prediction_id for each in predictions]
    return storage.predictions.texts_and_labels(ids).keys() == set(ids)


def execute(storage: Storage, statement: str) -> None:
    """Change the database like its administrator."""
    with storage.database.write() as connection:
        connection.execute(text(statement))


async def test_a_table_that_cannot_be_written_costs_nothing(storage: Storage, spool: Path) -> None:
    """After any database error, predictions go to the spool and later to the table."""
    log = PredictionLog(storage.predictions, spool)
    lost, later = prediction("p1"), prediction("p2")
    async with running(log):
        execute(storage, "ALTER TABLE predictions RENAME TO hidden")
        log.add([lost])
        await until(lambda: bool(list(spool.glob("*.jsonl"))), "it is in the spool")
        log.add([later])
        execute(storage, "ALTER TABLE hidden RENAME TO predictions")
        await until(lambda: is_stored(storage, lost, later), "both are stored")
    assert list(spool.iterdir()) == []


async def test_rows_that_are_refused_block_nobody(storage: Storage, spool: Path) -> None:
    """A row that cannot be stored is quarantined; all others are stored."""
    log = PredictionLog(storage.predictions, spool)
    refused = prediction("p1")._replace(text="a NUL: \0")
    spooled, direct = prediction("p2"), prediction("p3")
    async with running(log):
        log.add([refused])
        await until(lambda: bool(list(spool.glob("*.damaged"))), "the batch is set aside")
        log.add([spooled])
        await until(lambda: is_stored(storage, spooled), "what was spooled is stored")
        log.add([direct])
        await until(lambda: is_stored(storage, direct), "what comes later is stored")
    assert [path.suffix for path in spool.iterdir()] == [".damaged"]
    assert not is_stored(storage, refused)


async def test_a_task_without_texts_writes_none(storage: Storage, spool: Path) -> None:
    """Neither database nor spool has a text of a task that stores hashes."""
    log = PredictionLog(storage.predictions, spool, policy(store_text="hash"))
    direct, spooled = prediction("p1", "a secret"), prediction("p2", "a secret")
    files: list[bytes] = []
    async with running(log):
        log.add([direct])
        await until(lambda: is_stored(storage, direct), "it is in the database")
        execute(storage, "ALTER TABLE predictions RENAME TO hidden")
        log.add([spooled])
        await until(
            lambda: any(path.stat().st_size for path in spool.glob("*.jsonl")),
            "it is in the spool",
        )
        files.extend(path.read_bytes() for path in spool.glob("*.jsonl"))
        execute(storage, "ALTER TABLE hidden RENAME TO predictions")
        await until(lambda: is_stored(storage, spooled), "what was spooled is stored")
    assert b"p2" in files[0]
    assert b"secret" not in files[0]
    hashed = text_hash(KEY, "a secret")
    assert storage.predictions.text_hashes(["p1", "p2"]) == {"p1": hashed, "p2": hashed}
    assert set(storage.predictions.texts_and_labels(["p1", "p2"]).values()) == {
        ("", "card_arrival")
    }


async def test_what_is_not_in_the_sample_is_counted(storage: Storage, spool: Path) -> None:
    """A prediction outside the sample is counted, but not stored."""
    metrics = Families("test")
    log = PredictionLog(storage.predictions, spool, policy(log_sample=0.0), metrics=metrics)
    out, of_another_task = prediction("p1"), prediction("p2", task="arxiv")
    async with running(log):
        log.add([out])
        log.add([of_another_task])
        await until(lambda: is_stored(storage, of_another_task), "the other task's is stored")
    assert not is_stored(storage, out)
    assert counted(metrics) == {"sampled_out": 1, "database": 1}


async def test_at_the_bounds_the_oldest_are_lost_loudly(storage: Storage, spool: Path) -> None:
    """With the database away, the spool full and memory full, what comes costs the oldest.

    All that was kept is stored later, and each prediction is accounted for.
    """
    limits = PredictionLogSettings(max_held_rows=10, max_spool_mb=1)
    metrics = Families("test")
    log = PredictionLog(storage.predictions, spool, limits=limits, metrics=metrics)
    large = prediction("large", "x" * 850_000)
    rest = [prediction(f"p{n}", "x" * 10_000) for n in range(50)]
    with capture_logs() as said:
        async with running(log):
            execute(storage, "ALTER TABLE predictions RENAME TO hidden")
            log.add([large])
            await until(lambda: counted(metrics).get("spooled") == 1, "the large one is spooled")
            for each in rest[:10]:
                log.add([each])
            await until(lambda: counted(metrics)["spooled"] == 11, "ten more are spooled")
            for each in rest[10:]:
                log.add([each])
            await until(lambda: "lost" in counted(metrics), "some are lost")
            execute(storage, "ALTER TABLE hidden RENAME TO predictions")
            await until(
                lambda: is_stored(storage, large, *rest[:10], *rest[40:]),
                "all that was kept is stored",
            )
    assert not any(is_stored(storage, each) for each in rest[10:40])
    assert sum(each["count"] for each in said if each["event"] == "predictions_lost") == 30
    totals = counted(metrics)
    assert totals["lost"] == 30
    assert totals.get("database", 0) + totals["spooled"] == 21
    assert list(spool.iterdir()) == []


async def test_the_gauges_tell_what_waits(storage: Storage, spool: Path) -> None:
    """While the database is away, lag and spool grow; afterwards both are zero."""
    metrics = Families("test")
    log = PredictionLog(storage.predictions, spool, metrics=metrics)
    old = prediction("p1", predict_time=datetime.now(UTC) - timedelta(seconds=60))

    def gauges() -> tuple[float, float]:
        value = metrics.registry.get_sample_value
        return value("tidemill_log_lag_seconds") or 0, value("tidemill_spool_bytes") or 0

    async with running(log):
        execute(storage, "ALTER TABLE predictions RENAME TO hidden")
        log.add([old])
        await until(lambda: gauges()[0] >= 60 and gauges()[1] > 100, "lag and spool grow")
        execute(storage, "ALTER TABLE hidden RENAME TO predictions")
        await until(lambda: gauges() == (0, 0), "nothing waits any more")
    assert is_stored(storage, old)
