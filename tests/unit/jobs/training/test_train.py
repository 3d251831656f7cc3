"""The training use case."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from tidemill_core.errors import DataError
from tidemill_jobs.training.evaluate import Measures
from tidemill_jobs.training.tracking import Tracker
from tidemill_jobs.training.train import (
    LabelledTexts,
    TrainedModel,
    TrainingConfig,
    TrainingData,
    train,
)

CONFIG = TrainingConfig()


class CurveRecorder:
    """A tracker that remembers which epochs were."""

    def __init__(self) -> None:
        self.epochs: list[int] = []

    def log_parameters(self, parameters: Mapping[str, str | int | float]) -> None:
        """Forgets them."""

    def log_epoch(self, epoch: int, measures: Mapping[str, float]) -> None:
        """Remembers the number and that there was a loss."""
        assert measures["train_loss"] > 0
        self.epochs.append(epoch)

    def log_measures(self, split: str, measures: Measures) -> None:
        """Forgets them."""


def ignore(_done: float, _message: str) -> None:
    """Progress that nobody watches."""


def test_learns_two_easy_classes(model: TrainedModel) -> None:
    """Labels are sorted, every test row is right, and probabilities sum to one."""
    assert model.labels == ("dry", "wet")
    assert model.test_measures.accuracy == 1.0
    assert model.test_probabilities.shape == (20, 2)
    assert np.allclose(model.test_probabilities.sum(axis=1), 1.0, atol=1e-5)
    assert model.sequence_length == 16


def test_it_answers_alike_afterwards(model: TrainedModel, data: TrainingData) -> None:
    """What it is asked again gets the probabilities that were measured."""
    answered = model.probabilities(data.test.texts)
    assert np.allclose(answered, model.test_probabilities, atol=1e-6)


def test_without_a_test_split_training_texts_are_the_proof(data: TrainingData) -> None:
    """Exports are always compared on something, the test split where there is one."""
    assert data.proof_texts == data.test.texts
    alone = replace(data, test=LabelledTexts())
    assert alone.proof_texts == data.train.texts[:256]


def test_the_same_seed_gives_the_same_model(
    model: TrainedModel, data: TrainingData, recorder: Tracker
) -> None:
    """Training twice gives one tokenizer and equal probabilities."""
    again = train(data, CONFIG, ignore, recorder)
    assert again.tokenizer_json == model.tokenizer_json
    assert (again.test_probabilities == model.test_probabilities).all()


def test_without_validation_rows_every_epoch_runs_uncalibrated(data: TrainingData) -> None:
    """No validation split: fixed epochs and a temperature of 1."""
    recorder = CurveRecorder()
    model = train(replace(data, validation=LabelledTexts()), CONFIG, ignore, recorder)
    assert model.temperature == 1.0
    assert recorder.epochs == list(range(1, CONFIG.fit.epochs(60) + 1))
    assert model.test_measures.accuracy == 1.0


def test_labels_that_training_lacks_count_as_errors(data: TrainingData, recorder: Tracker) -> None:
    """Unknown labels in the held-out splits are measured as wrong and do not break training."""
    strange = LabelledTexts(["hail of stones"], ["hail"])
    model = train(replace(data, validation=strange, test=strange), CONFIG, ignore, recorder)
    assert model.test_measures.accuracy == 0.0
    assert model.temperature == 1.0


def test_rows_of_no_weight_teach_nothing(data: TrainingData, recorder: Tracker) -> None:
    """Wrong labels at weight 0 leave the model right."""
    flipped = ["dry" if label == "wet" else "wet" for label in data.train.labels]
    doubled = LabelledTexts([*data.train.texts] * 2, [*data.train.labels, *flipped])
    weights = [1.0] * 60 + [0.0] * 60
    model = train(replace(data, train=doubled, weights=weights), CONFIG, ignore, recorder)
    assert model.test_measures.accuracy == 1.0


def test_progress_runs_from_none_to_all_and_may_interrupt(
    data: TrainingData, recorder: Tracker
) -> None:
    """Fractions rise to 1, and what the callback raises ends the training."""
    fractions: list[float] = []
    train(data, CONFIG, lambda done, _: fractions.append(done), recorder)
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)

    def stop(done: float, _message: str) -> None:
        if done > 0.1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(data, CONFIG, stop, recorder)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (TrainingData(LabelledTexts()), "NO_TRAINING_ROWS"),
        (TrainingData(LabelledTexts(["a", "b"], ["x", "x"])), "TOO_FEW_LABELS"),
        (TrainingData(LabelledTexts(["a", "b"], ["x"])), "ROWS_DO_NOT_MATCH"),
        (TrainingData(LabelledTexts(["a", "b"], ["x", "y"]), weights=[1.0]), "ROWS_DO_NOT_MATCH"),
    ],
)
def test_refuses_what_nothing_can_be_learned_from(
    bad: TrainingData, reason: str, recorder: Tracker
) -> None:
    """Each kind of bad data is refused with its own reason."""
    with pytest.raises(DataError) as refused:
        train(bad, CONFIG, ignore, recorder)
    assert refused.value.reason == reason
