"""The parts of a task's predictions that are stored."""

import secrets
from pathlib import Path

import pytest

from tests.contract.storage.values import prediction
from tidemill_core.log_policy import LogPolicy
from tidemill_core.settings import FilesSource, TaskSettings
from tidemill_core.text_hash import text_hash

KEY = b"k" * 32
PREDICTION = prediction("p1", "a text")


def policy(**settings: object) -> LogPolicy:
    """Return the policy of one task with these settings."""
    values = {"sources": [FilesSource(path=Path("x.csv"))], **settings}
    return LogPolicy({"support": TaskSettings.model_validate(values)}, KEY)


@pytest.mark.parametrize(
    ("store_text", "text", "hashed"),
    [("plain", "a text", ""), ("hash", "", text_hash(KEY, "a text")), ("none", "", "")],
)
def test_a_text_is_written_as_the_task_keeps_it(store_text: str, text: str, hashed: str) -> None:
    """A text is stored plain, as its keyed hash, or not; other fields do not change."""
    written = policy(store_text=store_text).as_stored(PREDICTION)
    assert written == PREDICTION._replace(text=text, text_hash=hashed)


def test_a_task_without_settings_is_written_whole() -> None:
    """Predictions of a task without settings are stored unchanged."""
    other = PREDICTION._replace(task="other")
    strict = policy(store_text="none", log_sample=0.0)
    assert strict.sample([other]) == [other]
    assert strict.as_stored(other) == other


def test_samples_are_as_large_as_asked_and_nested() -> None:
    """The share is within five standard deviations, and larger samples contain smaller ones."""
    many = [prediction(secrets.token_urlsafe(40)) for _ in range(10_000)]
    samples = {
        share: {each.prediction_id for each in policy(log_sample=share).sample(many)}
        for share in (0.0, 0.1, 0.5, 1.0)
    }
    assert samples[0.0] == set()
    assert len(samples[1.0]) == 10_000
    assert abs(len(samples[0.1]) - 1000) < 150
    assert abs(len(samples[0.5]) - 5000) < 250
    assert samples[0.1] < samples[0.5]


def test_the_same_prediction_is_always_in_the_sample() -> None:
    """Only the id decides, by a hash that is the same in every release."""
    sample = policy(log_sample=0.5)
    given = [prediction(each) for each in ("p0", "p1", "p2", "p3", "p4", "p5")]
    stored = [each.prediction_id for each in sample.sample(given)]
    assert stored == ["p0", "p1", "p4", "p5"]
