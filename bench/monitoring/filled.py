"""A workspace with a champion that has answered many texts."""

import json
import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from bench.monitoring.one_check import NOW, TASK, opened
from bench.training.support import Rows, labeled, read
from tidemill_core.domain.dataset import DatasetVersion
from tidemill_core.domain.model import ModelState
from tidemill_core.domain.prediction import Prediction, Score
from tidemill_core.storage.deployments import Change
from tidemill_core.text_repair import TextRepair
from tidemill_jobs.context import JobContext
from tidemill_jobs.monitoring.drift.reference import count_pieces
from tidemill_jobs.release.publish import publish
from tidemill_jobs.training.export import export_onnx
from tidemill_jobs.training.labeled_texts import TrainingData
from tidemill_jobs.training.tracking import Untracked
from tidemill_jobs.training.train import TrainedModel, TrainingConfig, train

TRAINED_ROWS = 2000
FIRST = 100_000
"""Predictions that are written one by one; the others are copies of them."""
_HOURS = 24
_DATASET = "d" * 64


def train_champion(folder: Path) -> tuple[TrainedModel, Rows]:
    """Train on the shipped example, publish the champion, and return it and texts to answer."""
    rows, test = read("train.csv"), read("test.csv")
    random.Random(7).shuffle(rows)  # noqa: S311 -- not for security
    random.Random(7).shuffle(test)  # noqa: S311 -- not for security
    held_out, answered = test[:1000], test[1000:]
    data = TrainingData(labeled(rows[:TRAINED_ROWS]), test=labeled(held_out))
    model = train(data, TrainingConfig(), lambda _done, _doing: None, Untracked())
    with opened(folder) as context:
        _publish(context, model, data)
    return model, answered


def _publish(context: JobContext, model: TrainedModel, data: TrainingData) -> None:
    dataset, models = context.datasets.folder(TASK, _DATASET), context.storage.models
    dataset.mkdir(parents=True)
    frames = [
        pl.DataFrame({"text": rows.texts, "split": split, "label_source": "source"})
        for split, rows in (("train", data.train), ("test", data.test))
    ]
    pl.concat(frames).write_parquet(dataset / "examples.parquet")
    context.storage.datasets.add(
        DatasetVersion(_DATASET, TASK, str(dataset), {}, {}, {}, {}, NOW, NOW)
    )
    version = models.add_candidate(TASK, "onnx", _DATASET, NOW)
    content = export_onnx(model.classifier, model.sequence_length)
    publish(context.repository, version, model, content, TextRepair(), data.test.texts, "bench")
    models.judge(TASK, 1, ModelState.VALIDATED, {"accuracy": 0.9}, "passed", NOW)
    models.promote(TASK, 1, Change("bench", "", "", NOW))


def answers(model: TrainedModel, texts: Sequence[str]) -> Iterator[Prediction]:
    """Yield the champion's answers to texts, again and again, over the hours before NOW."""
    probabilities = model.probabilities(texts)
    best = probabilities.argmax(axis=1).tolist()
    pieces = list(zip(*count_pieces(texts, model.encoder), strict=True))
    number = 0
    while True:
        place = number % len(texts)
        label, confidence = model.labels[best[place]], float(probabilities[place, best[place]])
        made = NOW - timedelta(hours=_HOURS) + timedelta(microseconds=500 * number)
        length, unknown = pieces[place]
        yield Prediction(
            prediction_id=f"{number:040d}",
            task=TASK,
            model_version=1,
            text=texts[place],
            label=label,
            confidence=confidence,
            scores=(Score(label, confidence),),
            abstained=False,
            method="Predict",
            request_id="",
            routing_key="",
            attributes={},
            propensity=1.0,
            latency_ms=5.0,
            predict_time=made,
            text_length=length,
            unknown_pieces=unknown,
        )
        number += 1


def fill(folder: Path, predictions: Iterator[Prediction], count: int) -> None:
    """Store predictions: the first as the front does, and copies of them, spread over the hours."""
    with opened(folder) as context:
        for _ in range(FIRST // 500):
            context.storage.predictions.add([next(predictions) for _ in range(500)])
        path = str(context.storage.database.engine.url.database)
    with closing(sqlite3.connect(path)) as copies:
        copies.executescript("PRAGMA synchronous = OFF; PRAGMA cache_size = -500000")
        _copy_rows(copies, count // FIRST)
        _spread_counts(copies, count // FIRST)
        copies.commit()


def _copy_rows(copies: sqlite3.Connection, times: int) -> None:
    names = [row[1] for row in copies.execute("PRAGMA table_info(predictions)")]
    for number in range(1, times):
        seconds = number * _HOURS * 3600 / times
        new = {
            "prediction_id": f"'{number:06d}' || prediction_id",
            "predict_time": "strftime('%Y-%m-%d %H:%M:%f', predict_time, "
            f"'+{seconds:.3f} seconds') || '000'",
            "sample_key": "abs(random()) % 65536",
        }
        values = ", ".join(new.get(name, name) for name in names)
        copies.execute(
            f"INSERT INTO predictions ({', '.join(names)}) "  # noqa: S608 -- our own names
            f"SELECT {values} FROM predictions WHERE rowid <= {FIRST}"
        )
        copies.commit()


def _spread_counts(copies: sqlite3.Connection, times: int) -> None:
    """Count the copies as if they had been written one by one."""
    [(task, version, hour, found)] = copies.execute("SELECT * FROM prediction_counts").fetchall()
    each = {
        signal: {name: count * times // _HOURS for name, count in bins.items()}
        for signal, bins in json.loads(found).items()
    }
    start = datetime.fromisoformat(hour)
    hours = [start + timedelta(hours=number) for number in range(_HOURS)]
    rows = [(task, version, f"{time:%Y-%m-%d %H:00:00.000000}", json.dumps(each)) for time in hours]
    copies.executemany("INSERT OR REPLACE INTO prediction_counts VALUES (?, ?, ?, ?)", rows)
