"""What is written down of a task's predictions."""

import secrets
from dataclasses import replace
from pathlib import Path

import pytest

from tests.contract.storage.values import prediction
from tidemill_core.settings import FilesSource, TaskSettings
from tidemill_core.text_hash import text_hash
from tidemill_server.prediction_log import LogPolicy

KEY = b"k" * 32
PREDICTION = prediction("p1", "a text")


def policy(**settings: object) -> LogPolicy:
    """The policy of one task with these settings."""
    values = {"sources": [FilesSource(path=Path("x.csv"))], **settings}
    return LogPolicy({"support": TaskSettings.model_validate(values)}, KEY)


@pytest.mark.parametrize(
    ("store_text", "text", "hashed"),
    [("plain", "a text", ""), ("hash", "", text_hash(KEY, "a text")), ("none", "", "")],
)
def test_a_text_is_written_as_the_task_keeps_it(store_text: str, text: str, hashed: str) -> None:
    """Plain, as its keyed hash, or not at all; the rest of the prediction is not touched."""
    written = policy(store_text=store_text).as_written(PREDICTION)
    assert written == replace(PREDICTION, text=text, text_hash=hashed)


def test_a_task_without_settings_is_written_whole() -> None:
    """What is no setting's matter is written as it is."""
    other = replace(PREDICTION, task="other")
    strict = policy(store_text="none", log_sample=0.0)
    assert strict.is_written(other)
    assert strict.as_written(other) == other


def test_samples_are_as_large_as_asked_and_nested() -> None:
    """The share is right within five standard deviations, and larger samples hold smaller ones."""
    many = [prediction(secrets.token_urlsafe(40)) for _ in range(10_000)]
    samples = {
        share: {each.prediction_id for each in many if policy(log_sample=share).is_written(each)}
        for share in (0.0, 0.1, 0.5, 1.0)
    }
    assert samples[0.0] == set()
    assert len(samples[1.0]) == 10_000
    assert abs(len(samples[0.1]) - 1000) < 150
    assert abs(len(samples[0.5]) - 5000) < 250
    assert samples[0.1] < samples[0.5]


def test_the_same_prediction_is_always_in_the_sample() -> None:
    """The id alone decides, by a hash that does not change from release to release."""
    sample = policy(log_sample=0.5)
    ids = ["p0", "p1", "p2", "p3", "p4", "p5"]
    assert [sample.is_written(prediction(each)) for each in ids] == [
        True,
        True,
        False,
        False,
        True,
        True,
    ]
