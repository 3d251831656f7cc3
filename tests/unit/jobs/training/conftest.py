"""A small model, trained once."""

import pytest

from tests.plugins.exporting import one_operator_table  # noqa: F401 -- a fixture
from tidemill_jobs.training.labeled_texts import LabeledTexts, TrainingData
from tidemill_jobs.training.tracking import Untracked
from tidemill_jobs.training.train import TrainedModel, TrainingConfig, train


def weather(rows: int, offset: int = 0) -> LabeledTexts:
    """Return texts of two labels that are easy to learn."""
    numbers = range(offset, offset + rows)
    texts = [f"rain {n} and clouds" if n % 2 else f"sunny day {n}, no shade" for n in numbers]
    return LabeledTexts(texts, ["wet" if n % 2 else "dry" for n in numbers])


@pytest.fixture(scope="session")
def data() -> TrainingData:
    """Rows of two easy labels."""
    return TrainingData(weather(60), weather(20, 60), weather(20, 80))


@pytest.fixture(scope="session")
def model(data: TrainingData) -> TrainedModel:
    """A model of those rows."""
    return train(data, TrainingConfig(), lambda _done, _message: None, Untracked())


@pytest.fixture(scope="session")
def recorder() -> Untracked:
    """A tracker that keeps nothing."""
    return Untracked()
