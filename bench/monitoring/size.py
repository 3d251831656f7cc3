"""What a nightly drift check costs over many predictions, and what counting costs each of them.

    python -m bench.monitoring.size [--predictions 10000000]

A model is trained on 2,000 rows of the shipped example, and its answers to the official test split
are stored: 100,000 as the front stores them, the others as copies, over 24 hours, on SQLite (5 GB
for ten million). The check is a process of its own. Exits with 1 if a target is missed.

Counting a prediction is measured on batches of 250, as CPU time: its pieces, its bins, and its
share of the rows of counts. It is compared with tokenizing, running and storing it, which leaves
out all that the front does besides; so the share of a served prediction is smaller.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import end_on_sigterm
from bench.monitoring.filled import FIRST, answers, fill, train_champion
from bench.training.support import Rows
from tidemill_core.domain.prediction import Prediction
from tidemill_core.domain.signals import Signal
from tidemill_core.onnx_session import open_session
from tidemill_core.storage.prediction_counts import count_predictions
from tidemill_core.storage.prediction_rows import insert_rows
from tidemill_core.storage.storage import open_storage
from tidemill_core.triton.tensors import INPUT_NAME
from tidemill_jobs.training.train import TrainedModel

_MOST_SECONDS, _MOST_BYTES, _AIM = 60.0, 2**30, 0.05
_BATCH, _BATCHES = 250, 200


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--predictions", type=int, default=10_000_000, help="at least 100,000")
    count = parser.parse_args().predictions // FIRST * FIRST
    console, table = Console(), Table("figure", "target", "measured")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        console.print("training")
        model, rows = train_champion(folder)
        made = answers(model, [text for text, _ in rows])
        _counting(table, folder, model, rows, list(islice(made, _BATCH * _BATCHES)))
        console.print(f"storing {count:,} predictions")
        fill(folder, made, count)
        checked = _check(folder)
    console.print(f"{checked['verdict']}: {checked['measured']} signals of {count:,} predictions")
    seconds, peak = checked["seconds"], checked["peak_bytes"]
    table.add_row("the check, seconds", f"under {_MOST_SECONDS:g}", f"{seconds:.1f}")
    table.add_row("the check, MiB", f"under {_MOST_BYTES >> 20}", f"{peak / 2**20:,.0f}")
    console.print(table)
    met = (seconds < _MOST_SECONDS, peak < _MOST_BYTES)
    whole = checked["prediction_count"] >= 0.99 * count and checked["measured"] == len(Signal)
    sys.exit(not all(met) or not whole)


def _check(folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.monitoring.one_check", str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)  # noqa: S603 -- our own words
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _counting(
    table: Table, folder: Path, model: TrainedModel, rows: Rows, made: Sequence[Prediction]
) -> None:
    """Add the rows on counting, of which the share is an aim."""
    texts = [text for text, _ in rows[:_BATCH]]
    session = open_session(next((folder / "models").rglob("model.onnx")))
    ids = model.encoder.encode(texts)
    encoding = _cpu_us(lambda: model.encoder.encode(texts))
    running = _cpu_us(lambda: session.run(None, {INPUT_NAME: ids}))
    pieces = _cpu_us(lambda: model.encoder.count_pieces(ids))
    plain, counted = _writing(folder, made)
    counting = pieces + counted - plain
    whole = encoding + running + plain
    table.add_row("tokenizing, running and storing, µs a prediction", "", f"{whole:.1f}")
    table.add_row("counting, µs a prediction", "", f"{counting:.2f}")
    table.add_row("counting / the others", f"aim: {_AIM:.0%}", f"{counting / whole:.1%}")


def _cpu_us(function: Callable[[], object]) -> float:
    """Return the CPU time of a call for a batch, in µs a prediction: the median of many."""
    found = []
    for _ in range(30):
        start = time.process_time()
        function()
        found.append(time.process_time() - start)
    return statistics.median(found) / _BATCH * 1e6


def _writing(folder: Path, made: Sequence[Prediction]) -> tuple[float, float]:
    """Return the CPU time of storing predictions without and with counts, in µs each.

    Batches take turns, so that what else the machine does concerns both.
    """
    storages = [open_storage(f"sqlite:///{folder / name}.db") for name in ("plain", "counted")]
    found: tuple[list[float], list[float]] = [], []
    for start in range(0, len(made), _BATCH):
        batch = made[start : start + _BATCH]
        for counts, storage in enumerate(storages):
            begin = time.process_time()
            with storage.database.write() as connection:
                new = insert_rows(connection, batch)
                if counts:
                    count_predictions(storage.database, connection, new)
            found[counts].append(time.process_time() - begin)
    for storage in storages:
        storage.database.close()
    plain, counted = (statistics.median(seconds) / _BATCH * 1e6 for seconds in found)
    return plain, counted


if __name__ == "__main__":
    end_on_sigterm()
    main()
