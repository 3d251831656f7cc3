"""The counts of predictions by hour and bin, and the examples and samples that explain them."""

from datetime import timedelta, timezone

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import column, insert, table

from tests.contract.storage.values import NOW, later, prediction
from tidemill_core.domain.prediction import SHADOW_METHOD, Prediction
from tidemill_core.domain.signals import Signal
from tidemill_core.storage.database import Database
from tidemill_core.storage.migrate import MIGRATIONS
from tidemill_core.storage.predictions import PredictionWindow
from tidemill_core.storage.storage import Storage, open_storage

WINDOW = PredictionWindow("support", 1, NOW)


def counted(storage: Storage, signal: Signal) -> dict[str, int]:
    """Return the counts of version 1 of the task support."""
    return storage.prediction_counts.of_window("support", 1, NOW).get(signal, {})


def test_each_prediction_counts_in_one_bin_of_each_signal(storage: Storage) -> None:
    """A prediction counts by its label, confidence, text length and unknown pieces."""
    made = [
        prediction("p1", label="a", confidence=0.0, text_length=1, unknown_pieces=0.0),
        prediction("p2", label="a", confidence=0.05, text_length=10**6, unknown_pieces=0.001),
        prediction("p3", label="b", confidence=1.0000001, text_length=2, unknown_pieces=1.0),
    ]
    storage.predictions.add(made)
    assert counted(storage, Signal.LABEL) == {"a": 2, "b": 1}
    assert counted(storage, Signal.CONFIDENCE) == {"0": 1, "1": 1, "19": 1}
    assert counted(storage, Signal.TEXT_LENGTH) == {"0": 1, "1": 1, "22": 1}
    assert counted(storage, Signal.UNKNOWN_PIECES) == {"0": 1, "1": 1, "6": 1}


def test_a_signal_that_was_not_measured_does_not_count(storage: Storage) -> None:
    """Predictions of an earlier release have no text length, and count by the other signals."""
    storage.predictions.add([prediction("p1")])
    found = storage.prediction_counts.of_window("support", 1, NOW)
    assert found == {Signal.LABEL: {"card_arrival": 1}, Signal.CONFIDENCE: {"15": 1}}


def test_a_window_begins_with_its_hour(storage: Storage) -> None:
    """All of the first hour counts, of one version and task, in any time zone."""
    hour = NOW.replace(minute=0, second=0, microsecond=0)
    times = [hour - timedelta(microseconds=1), hour, hour + timedelta(hours=30)]
    storage.predictions.add([prediction(str(time), predict_time=time) for time in times])
    others = {"model_version": 2}, {"task": "arxiv"}, {"method": SHADOW_METHOD}
    storage.predictions.add([prediction(f"p{n}", **other) for n, other in enumerate(others)])
    since = (hour + timedelta(minutes=59)).astimezone(timezone(timedelta(hours=5, minutes=30)))
    found = storage.prediction_counts.of_window("support", 1, since)
    assert found[Signal.LABEL] == {"card_arrival": 2}


def test_repeats_count_once(storage: Storage) -> None:
    """A prediction that is written again, or occurs twice in a batch, counts once."""
    made = [prediction(f"p{n}") for n in range(120)]
    storage.predictions.add(made[:50])
    storage.predictions.add([*made, made[60], *made[:3]])
    storage.predictions.add(made)
    assert counted(storage, Signal.LABEL) == {"card_arrival": 120}


def test_predictions_from_before_are_counted_once(empty_database_url: str) -> None:
    """An upgrade counts the predictions that an earlier release wrote, without shadows."""
    database, config = Database(empty_database_url), Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    new = {"text_length", "unknown_pieces"}
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0019")
        names = [name for name in Prediction._fields if name not in new]
        for number, method in enumerate(["Predict", "BatchPredict", SHADOW_METHOD]):
            made = prediction(str(number), method=method, confidence=0.05 * (number + 1))
            values = {name: getattr(made, name) for name in names}
            values |= {"scores": "[]", "attributes": "{}", "predict_time": _as_stored(database)}
            connection.execute(insert(table("predictions", *map(column, names))), values)
    database.close()
    storage = open_storage(empty_database_url)
    open_storage(empty_database_url).database.close()
    assert counted(storage, Signal.LABEL) == {"card_arrival": 2}
    assert counted(storage, Signal.CONFIDENCE) == {"1": 1, "2": 1}
    storage.predictions.add([prediction("new")])
    assert counted(storage, Signal.LABEL) == {"card_arrival": 3}
    storage.database.close()


def _as_stored(database: Database) -> object:
    if database.engine.dialect.name == "postgresql":
        return NOW
    return NOW.replace(tzinfo=None).isoformat(" ", "microseconds")


@pytest.mark.parametrize(
    ("signal", "name", "expected"),
    [
        (Signal.LABEL, "a", {"a1", "a2"}),
        (Signal.LABEL, "z", set()),
        (Signal.CONFIDENCE, "19", {"b1", "a1"}),
        (Signal.TEXT_LENGTH, "0", {"a1"}),
        (Signal.UNKNOWN_PIECES, "0", {"a2"}),
        (Signal.UNKNOWN_PIECES, "1", {"b1"}),
    ],
)
def test_examples_of_a_bin(storage: Storage, signal: Signal, name: str, expected: set[str]) -> None:
    """The examples of a bin are predictions that count in it, without shadows and old ones."""
    given = {
        "a1": {"label": "a", "confidence": 0.95, "text_length": 1},
        "a2": {"label": "a", "confidence": 0.9499, "text_length": 2, "unknown_pieces": 0.0},
        "b1": {"label": "b", "confidence": 1.0, "unknown_pieces": 0.019},
        "shadow": {"label": "a", "method": SHADOW_METHOD},
        "old": {"label": "a", "predict_time": later(-1)},
    }
    storage.predictions.add([prediction(each, **values) for each, values in given.items()])
    assert set(storage.prediction_samples.examples(WINDOW, signal, name, 5)) == expected


@pytest.mark.parametrize(
    ("count", "limit", "least", "most"), [(300, 100, 100, 100), (10**6, 10_000, 1, 12)]
)
def test_a_sample_is_random_and_stays_the_same(
    storage: Storage, count: int, limit: int, least: int, most: int
) -> None:
    """A sample has answers with a text, about the share that is asked for, and repeats itself."""
    storage.predictions.add([prediction(f"p{n}") for n in range(300)])
    storage.predictions.add([prediction(f"s{n}", method=SHADOW_METHOD) for n in range(300)])
    storage.predictions.add([prediction(f"q{n}", text="") for n in range(300)])
    found = storage.prediction_samples.sample(WINDOW, count, limit)
    assert found == storage.prediction_samples.sample(WINDOW, count, limit)
    assert all(each.text and each.method != SHADOW_METHOD for each in found)
    assert least <= len(found) <= most
