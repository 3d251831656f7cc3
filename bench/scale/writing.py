"""Predictions written by the front's writer, and tables of earlier releases converted."""

import time
from datetime import timedelta
from typing import Any, NamedTuple

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from bench.scale.simulated import (
    END,
    TASK,
    VERSION,
    add_samples,
    cpu_seconds,
    fill_week,
    without_limits,
)
from tidemill_core.domain.prediction import Prediction, Score
from tidemill_core.prediction_id import PredictionClaims, PredictionIdSigner
from tidemill_core.storage.database import Database
from tidemill_core.storage.migrate import MIGRATIONS, migrate
from tidemill_core.storage.storage import open_storage

_BATCH = 500
_BEFORE = "0022"
"""The last migration without partitions."""


class Cost(NamedTuple):
    """What writing takes: seconds, and µs of CPU a prediction, in the front and in PostgreSQL."""

    seconds: float
    front_us: float
    database_us: float


def write(server: Any, url: str, rows: int) -> Cost:
    """Write predictions as the front does."""
    storage = open_storage(url)
    signer = PredictionIdSigner({0: b"k" * 32})
    storage.predictions.add(_made(signer, 0))
    seconds = cpu = 0.0
    of_server = cpu_seconds(server)
    for first in range(0, rows, _BATCH):
        batch = _made(signer, first)
        start, cpu_start = time.perf_counter(), time.process_time()
        storage.predictions.add(batch)
        seconds += time.perf_counter() - start
        cpu += time.process_time() - cpu_start
    of_server = cpu_seconds(server) - of_server
    storage.database.close()
    return Cost(seconds, cpu / rows * 1e6, of_server / rows * 1e6)


def _made(signer: PredictionIdSigner, first: int) -> list[Prediction]:
    made = END + timedelta(milliseconds=first)
    ids = signer.sign_each(PredictionClaims(TASK, VERSION, made, 1.0), _BATCH)
    return [
        Prediction(
            prediction_id=each,
            task=TASK,
            model_version=VERSION,
            text=f"my card number {first + n:010d} has not arrived yet, please help",
            label="card_arrival",
            confidence=0.9,
            scores=(Score("card_arrival", 0.9),),
            abstained=False,
            method="Predict",
            request_id="",
            routing_key="",
            attributes={},
            propensity=1.0,
            latency_ms=5.0,
            predict_time=made,
            text_length=12,
            unknown_pieces=0.0,
        )
        for n, each in enumerate(ids)
    ]


def convert(url: str, rows: int, with_key: bool) -> float:
    """Convert a table of an earlier release, and return the seconds that this takes.

    Args:
        url: an empty database.
        rows: how many predictions it gets.
        with_key: whether the key of the partition is made before.
    """
    database = Database(url)
    with database.write() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(MIGRATIONS))
        command.upgrade(config, _BEFORE)
    with without_limits(database) as connection:
        add_samples(connection)
        fill_week(connection, "predictions", 0, rows)
        connection.execute(text("VACUUM ANALYZE predictions"))
        if with_key:
            connection.execute(
                text(
                    "CREATE UNIQUE INDEX CONCURRENTLY pk_predictions_before "
                    "ON predictions (prediction_id, predict_time)"
                )
            )
    start = time.perf_counter()
    migrate(database)
    seconds = time.perf_counter() - start
    database.close()
    return seconds
