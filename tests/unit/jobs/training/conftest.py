"""A small model, trained once."""

from collections.abc import Mapping

import pytest

from tidemill_jobs.training.evaluate import Measures
from tidemill_jobs.training.labeled_texts import LabeledTexts, TrainingData
from tidemill_jobs.training.train import TrainedModel, TrainingConfig, train


class Untracked:
    """A tracker that writes nothing down."""

    def log_parameters(self, parameters: Mapping[str, str | int | float]) -> None:
        """Forgets them."""

    def log_epoch(self, epoch: int, measures: Mapping[str, float]) -> None:
        """Forgets them."""

    def log_measures(self, split: str, measures: Measures) -> None:
        """Forgets them."""


def weather(rows: int, offset: int = 0) -> LabeledTexts:
    """Texts of two kinds that are easy to tell apart."""
    numbers = range(offset, offset + rows)
    texts = [f"rain {n} and clouds" if n % 2 else f"sunny day {n}, no shade" for n in numbers]
    return LabeledTexts(texts, ["wet" if n % 2 else "dry" for n in numbers])


@pytest.fixture(scope="session")
def data() -> TrainingData:
    """Two easy classes."""
    return TrainingData(weather(60), weather(20, 60), weather(20, 80))


@pytest.fixture(scope="session")
def model(data: TrainingData) -> TrainedModel:
    """A model of them."""
    return train(data, TrainingConfig(), lambda _done, _message: None, Untracked())


@pytest.fixture
def recorder() -> Untracked:
    """A tracker that writes nothing down."""
    return Untracked()
