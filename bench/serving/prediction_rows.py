"""The cost of a row of the prediction log for the front.

    python -m bench.serving.prediction_rows [--rows 50000]

The figures are CPU and wall time per row, in microseconds: for `add`, and for committing batches
of 250 to SQLite and to PostgreSQL. The CPU time of the PostgreSQL server is not included.
"""

import argparse
import secrets
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.serving.outage import postgres
from tidemill_core.domain.prediction import Prediction, Score
from tidemill_core.prediction_id import PredictionClaims, PredictionIdSigner
from tidemill_core.settings import PredictionLogSettings
from tidemill_core.storage.storage import open_storage
from tidemill_server.prediction_log import PredictionLog

BATCH_ROWS = 250
_TEXT = "I am still waiting on my card, it has been two weeks now. Is that usual?"


def predictions(count: int) -> list[Prediction]:
    """Return predictions as of unary calls: one score, no attributes, four per millisecond."""
    now = datetime.now(UTC)
    signer = PredictionIdSigner({0: secrets.token_bytes(32)})
    times = [now + timedelta(milliseconds=number // 4) for number in range(count)]
    return [
        Prediction(
            prediction_id=signer.sign(PredictionClaims("support", 1, predict_time, 1.0)),
            task="support",
            model_version=1,
            text=_TEXT,
            label="card_arrival",
            confidence=0.9731,
            scores=(Score("card_arrival", 0.9731),),
            abstained=False,
            method="Predict",
            request_id="",
            routing_key="",
            attributes={},
            propensity=1.0,
            latency_ms=7.25,
            predict_time=predict_time,
        )
        for predict_time in times
    ]


def cost(rows: int, work: Callable[[], None]) -> tuple[str, str]:
    """Return CPU and wall time per row, in microseconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return f"{cpu / rows * 1e6:.1f}", f"{wall / rows * 1e6:.1f}"


def cost_of_writing(url: str, rows: Sequence[Prediction]) -> tuple[str, str]:
    """Return the cost of batches, each committed durably."""
    storage = open_storage(url)
    storage.predictions.add(predictions(BATCH_ROWS))

    def write() -> None:
        for start in range(0, len(rows), BATCH_ROWS):
            storage.predictions.add(rows[start : start + BATCH_ROWS])

    try:
        return cost(len(rows), write)
    finally:
        storage.database.close()


def cost_of_taking(folder: Path, rows: Sequence[Prediction]) -> tuple[str, str]:
    """Return the cost of `add`."""
    storage = open_storage(f"sqlite:///{folder / 'unused.db'}")
    limits = PredictionLogSettings(max_held_rows=len(rows))
    log = PredictionLog(storage.predictions, folder / "spool", limits=limits)

    def take() -> None:
        for row in rows:
            log.add([row])

    try:
        return cost(len(rows), take)
    finally:
        storage.database.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    rows = predictions(parser.parse_args().rows)
    table = Table("per row", "CPU, us", "wall, us")
    with tempfile.TemporaryDirectory() as name, postgres() as server:
        folder = Path(name)
        table.add_row("add", *cost_of_taking(folder, rows))
        table.add_row("SQLite", *cost_of_writing(f"sqlite:///{folder / 'tidemill.db'}", rows))
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        table.add_row("PostgreSQL", *cost_of_writing(url, rows))
    Console().print(table)


if __name__ == "__main__":
    main()
