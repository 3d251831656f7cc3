"""The training of a model."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from tidemill_core.errors import DataError
from tidemill_jobs.training.fit import FitConfig
from tidemill_jobs.training.labeled_texts import LabeledTexts, TrainingData
from tidemill_jobs.training.tracking import Tracker
from tidemill_jobs.training.train import TrainedModel, TrainingConfig, train

CONFIG = TrainingConfig()


class CurveRecorder:
    """A tracker that keeps the numbers of the epochs."""

    def __init__(self) -> None:
        self.epochs: list[int] = []

    def log_parameters(self, parameters: Mapping[str, str | int | float]) -> None:
        """Keep nothing."""

    def log_metrics(self, metrics: Mapping[str, float], epoch: int = 0) -> None:
        """Keep the number of an epoch, which has a loss."""
        if epoch:
            assert metrics["train_loss"] > 0
            self.epochs.append(epoch)

    def log_artifact(self, name: str, content: bytes) -> None:
        """Keep nothing."""


def ignore(_done: float, _message: str) -> None:
    """Ignore the progress."""


def test_learns_two_easy_classes(model: TrainedModel) -> None:
    """Labels are sorted, every test row is right, and probabilities sum to one."""
    assert model.labels == ("dry", "wet")
    assert model.test_measures.accuracy == 1.0
    assert model.test_probabilities.shape == (20, 2)
    assert np.allclose(model.test_probabilities.sum(axis=1), 1.0, atol=1e-5)
    assert model.sequence_length == 16


def test_answers_stay_the_same(model: TrainedModel, data: TrainingData) -> None:
    """A text gets the same probabilities again as in the measurement."""
    answered = model.probabilities(data.test.texts)
    assert np.allclose(answered, model.test_probabilities, atol=1e-6)


def test_without_a_test_split_training_texts_are_the_proof(data: TrainingData) -> None:
    """Exports are compared on the test split, or else on training texts."""
    assert data.proof_texts == data.test.texts
    alone = replace(data, test=LabeledTexts())
    assert alone.proof_texts == data.train.texts[:256]


def test_the_same_seed_gives_the_same_model(
    model: TrainedModel, data: TrainingData, recorder: Tracker
) -> None:
    """Training twice gives one tokenizer and equal probabilities."""
    again = train(data, CONFIG, ignore, recorder)
    assert again.tokenizer_json == model.tokenizer_json
    assert (again.test_probabilities == model.test_probabilities).all()


def test_a_wanted_precision_gives_a_threshold(data: TrainingData, recorder: Tracker) -> None:
    """The threshold comes from both held-out splits: 40 right rows show 0.9, and not 0.95."""
    for precision, shown in ((0.9, True), (0.95, False)):
        model = train(data, TrainingConfig(abstain_for_precision=precision), ignore, recorder)
        assert (model.abstain_below <= 1.0) == shown
    assert sum(each.n for each in model.reliability) == 20


def test_without_validation_rows_every_epoch_runs_uncalibrated(data: TrainingData) -> None:
    """Without a validation split the number of epochs is fixed and the temperature is 1."""
    recorder = CurveRecorder()
    model = train(replace(data, validation=LabeledTexts()), CONFIG, ignore, recorder)
    assert model.temperature == 1.0
    assert recorder.epochs == list(range(1, FitConfig().epochs(60) + 1))
    assert model.test_measures.accuracy == 1.0


def test_labels_that_training_lacks_count_as_errors(data: TrainingData, recorder: Tracker) -> None:
    """Unknown labels in the held-out splits count as wrong and do not break training."""
    strange = LabeledTexts(["hail of stones"], ["hail"])
    model = train(replace(data, validation=strange, test=strange), CONFIG, ignore, recorder)
    assert model.test_measures.accuracy == 0.0
    assert model.temperature == 1.0


def test_rows_of_no_weight_teach_nothing(data: TrainingData, recorder: Tracker) -> None:
    """Wrong labels at weight 0 leave the model right."""
    flipped = ["dry" if label == "wet" else "wet" for label in data.train.labels]
    weights = [1.0] * 60 + [0.0] * 60
    doubled = LabeledTexts([*data.train.texts] * 2, [*data.train.labels, *flipped], weights)
    model = train(replace(data, train=doubled), CONFIG, ignore, recorder)
    assert model.test_measures.accuracy == 1.0


def test_more_doubtful_labels_give_way(data: TrainingData, recorder: Tracker) -> None:
    """With three wrong labels of weight 0.51 per right label of weight 1, the model is right."""
    flipped = ["dry" if label == "wet" else "wet" for label in data.train.labels]
    labels, weights = [*data.train.labels, *flipped * 3], [1.0] * 60 + [0.51] * 180
    weak = LabeledTexts([*data.train.texts] * 4, labels, weights)
    assert train(replace(data, train=weak), CONFIG, ignore, recorder).test_measures.accuracy == 1.0
    trusted = replace(weak, weights=None)
    wrong = train(replace(data, train=trusted), CONFIG, ignore, recorder)
    assert wrong.test_measures.accuracy == 0.0


def test_repeated_rows_of_traffic_outweigh_older_ones(
    data: TrainingData, recorder: Tracker
) -> None:
    """Each row of traffic contradicts two old rows, and wins if an epoch shows it five times."""
    flipped = ["dry" if label == "wet" else "wet" for label in data.train.labels]
    rows = LabeledTexts(
        [*data.train.texts] * 3,
        [*data.train.labels, *flipped * 2],
        of_traffic=[True] * 60 + [False] * 120,
    )
    moved = replace(data, train=rows, validation=LabeledTexts())
    assert train(moved, CONFIG, ignore, recorder).test_measures.accuracy == 0.0
    repeated = replace(CONFIG, hyperparameters={**CONFIG.hyperparameters, "traffic_repeats": 5})
    assert train(moved, repeated, ignore, recorder).test_measures.accuracy == 1.0


def test_a_label_is_believed_as_far_as_its_weight(data: TrainingData, recorder: Tracker) -> None:
    """Labels with a weight of 0.7 give a right model with a confidence near 0.7."""
    confidences = []
    for weight in (0.7, 1.0):
        weak = replace(data.train, weights=[weight] * 60)
        alone = replace(data, train=weak, validation=LabeledTexts())
        found = train(alone, CONFIG, ignore, recorder)
        assert found.test_measures.accuracy == 1.0
        confidences.append(float(found.test_probabilities.max(axis=1).mean()))
    assert 0.6 < confidences[0] < 0.75 < 0.9 < confidences[1]


def test_weights_of_one_change_nothing(
    model: TrainedModel, data: TrainingData, recorder: Tracker
) -> None:
    """Rows of weight 1 give exactly the model of rows without weights."""
    trusted = replace(data.train, weights=[1.0] * 60)
    again = train(replace(data, train=trusted), CONFIG, ignore, recorder)
    assert (again.test_probabilities == model.test_probabilities).all()


def test_progress_runs_from_none_to_all_and_may_interrupt(
    data: TrainingData, recorder: Tracker
) -> None:
    """Fractions rise from 0 to 1, and an exception of the callback ends the training."""
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
        (TrainingData(LabeledTexts()), "NO_TRAINING_ROWS"),
        (TrainingData(LabeledTexts(["a", "b"], ["x", "x"])), "TOO_FEW_LABELS"),
        (TrainingData(LabeledTexts(["a", "b"], ["x"])), "ROWS_DO_NOT_MATCH"),
        (TrainingData(LabeledTexts(["a", "b"], ["x", "y"], [1.0])), "ROWS_DO_NOT_MATCH"),
    ],
)
def test_refuses_what_nothing_can_be_learned_from(
    bad: TrainingData, reason: str, recorder: Tracker
) -> None:
    """Each kind of bad data is refused with its own reason."""
    with pytest.raises(DataError) as refused:
        train(bad, CONFIG, ignore, recorder)
    assert refused.value.reason == reason
