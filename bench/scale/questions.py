"""What checks, the console and the command line ask the database about predictions."""

import statistics
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice

from sqlalchemy import select

from bench.scale.simulated import END, START, TASK, VERSION
from tidemill_core.domain.signals import Signal
from tidemill_core.storage.accuracy_totals import (
    AnsweredSpan,
    count_unstored_verdicts,
    judged_totals,
    read_sample,
)
from tidemill_core.storage.judged_predictions import judged_predictions
from tidemill_core.storage.predictions import PredictionWindow, Span
from tidemill_core.storage.rollout_evidence import Comparison, read_evidence
from tidemill_core.storage.schema import predictions
from tidemill_core.storage.storage import Storage

_DAY = timedelta(days=1)
_METHODS = ("Predict", "StreamPredict")


def questions(storage: Storage, rows_a_day: int) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield each question by what asks it."""
    yield from _checks(storage, rows_a_day)
    yield from _readers(storage)


def _checks(storage: Storage, rows_a_day: int) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield the questions of the jobs that watch the traffic."""
    day = PredictionWindow(TASK, VERSION, END - _DAY)
    span = Span(TASK, END - _DAY, END)
    answered = AnsweredSpan(TASK, VERSION, END - _DAY, END)
    stored, database = storage.predictions, storage.database
    samples = storage.prediction_samples
    yield (
        "check_drift: counts of a day",
        lambda: storage.prediction_counts.of_window(TASK, VERSION, END - _DAY),
    )
    yield "check_drift: sample of texts", lambda: samples.sample(day, rows_a_day, 2000)
    yield (
        "check_drift: examples of a bin",
        lambda: samples.examples(day, Signal.CONFIDENCE, "19", 10),
    )
    yield (
        "check_accuracy: sample of a day",
        lambda: read_sample(database, answered, rows_a_day, {}),
    )
    yield "check_accuracy: verdicts of a day", lambda: judged_totals(database, answered, {})
    yield (
        "check_accuracy: verdicts without a row",
        lambda: count_unstored_verdicts(database, TASK, VERSION, END - _DAY),
    )
    hour = PredictionWindow(TASK, VERSION, END - timedelta(hours=1))
    yield (
        "check_latency: percentiles of an hour",
        lambda: stored.latency_percentiles(hour, _METHODS, (50, 95, 99)),
    )
    yield "queue_labels: least confident of a day", lambda: stored.least_confident(span, 200)
    yield (
        "check_feedback: verdicts of 90 days",
        lambda: judged_predictions(database, TASK, END - 90 * _DAY, {}),
    )
    compared = Comparison(TASK, VERSION, VERSION - 1, END - timedelta(hours=1))
    yield "rollout: evidence of an hour", lambda: read_evidence(database, compared, {}, 50.0)


def _readers(storage: Storage) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield the questions of other jobs and of people."""
    span, ids, stored = Span(TASK, END - _DAY, END), _some_ids(storage), storage.predictions
    yield "expire_texts: nothing to do", lambda: stored.expire_texts(TASK, END - 95 * _DAY, 1000)
    yield "retrain: texts of a day's verdicts", lambda: _labeled(storage)
    yield (
        "console, CLI: 20 predictions, one by one",
        lambda: [stored.get(each) for each in ids[:20]],
    )
    yield "console, CLI: 500 predictions by id", lambda: stored.texts_and_labels(ids)
    yield "console: 50 newest texts", lambda: stored.recent_texts(span, 50)
    yield "arize: a page of 1,000", lambda: _exported(storage)
    yield "replay: first 5,000 ids of a day", lambda: list(islice(stored.ids(span), 5000))


def growing(storage: Storage) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield the questions that read each row of their time, over all rows."""
    hour = PredictionWindow(TASK, VERSION, START)
    compared = Comparison(TASK, VERSION, VERSION - 1, START)
    stored, database = storage.predictions, storage.database
    yield "check_latency", lambda: stored.latency_percentiles(hour, _METHODS, (50, 95, 99))
    yield "rollout", lambda: read_evidence(database, compared, {}, 50.0)
    yield "queue_labels", lambda: stored.least_confident(Span(TASK, START, END), 200)


def _labeled(storage: Storage) -> object:
    return storage.feedback.labeled_texts(TASK, END - _DAY)


def _exported(storage: Storage) -> object:
    return storage.exports.predictions(TASK, VERSION, (END - _DAY, ""), END, 1000)


def _some_ids(storage: Storage) -> list[str]:
    columns = predictions.c
    query = select(columns.prediction_id).where(columns.task == TASK, columns.sample_key < 1024)
    query = query.where(columns.model_version == VERSION).order_by(columns.sample_key).limit(500)
    with storage.database.read() as connection:
        return list(connection.execute(query).scalars())


def seconds_by_question(storage: Storage, rows_a_day: int) -> dict[str, float]:
    """Return the median seconds of each question, of three times."""
    return {name: _median(ask) for name, ask in questions(storage, rows_a_day)}


def seconds_of_all(storage: Storage) -> dict[str, float]:
    """Return the median seconds of each question that grows, over all rows."""
    return {name: _median(ask) for name, ask in growing(storage)}


def _median(ask: Callable[[], object]) -> float:
    found = []
    for _ in range(3):
        start = time.perf_counter()
        ask()
        found.append(time.perf_counter() - start)
    return statistics.median(found)
