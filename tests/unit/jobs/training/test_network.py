"""The seam of the networks."""

import math
from dataclasses import replace
from typing import get_args

import pytest

from tidemill_core.errors import ConfigurationError
from tidemill_core.settings.training import NetworkName
from tidemill_jobs.training.labeled_texts import LabeledTexts, TrainingData
from tidemill_jobs.training.network import checked, load_network
from tidemill_jobs.training.tracking import Tracker
from tidemill_jobs.training.train import TrainingConfig, train


@pytest.mark.parametrize("name", get_args(NetworkName))
def test_each_network_learns_and_its_record_trains_it_again(
    data: TrainingData, recorder: Tracker, name: str
) -> None:
    """A version's record holds every hyperparameter, and gives the same weights again."""
    first = train(data, TrainingConfig(name, seed=3), lambda _done, _message: None, recorder)
    assert first.test_measures.accuracy == 1.0
    record = first.record
    assert (record.network, record.seed) == (name, 3)
    assert record.hyperparameters == load_network(name).defaults
    again = TrainingConfig(record.network, record.hyperparameters, record.seed, record.threads)
    second = train(data, again, lambda _done, _message: None, recorder)
    assert second.record == record
    other = TrainingConfig(name, seed=4)
    third = train(data, other, lambda _done, _message: None, recorder)
    assert third.record.weights != record.weights


@pytest.mark.parametrize("name", get_args(NetworkName))
def test_each_network_learns_from_poor_data(
    data: TrainingData, recorder: Tracker, name: str
) -> None:
    """A class of one row, long texts and words, and empty held-out splits are no problem."""
    texts = [*data.train.texts[:20], "hail " * 20_000, "x" * 10_000, "\u00e9"]
    labels = [*data.train.labels[:20], "wet", "dry", "hail"]
    poor = TrainingData(LabeledTexts(texts, labels))
    config = TrainingConfig(name, {"most_epochs": 15})
    model = train(poor, config, lambda _done, _message: None, recorder)
    assert model.labels == ("dry", "hail", "wet")
    assert (model.test_measures.n, model.temperature) == (0, 1.0)
    answers = model.probabilities(["", "hail " * 20_000, *data.test.texts])
    assert answers.sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    right = [model.labels[best] for best in answers[2:].argmax(axis=1)]
    assert right == list(data.test.labels)


@pytest.mark.parametrize("name", get_args(NetworkName))
def test_labels_may_appear_and_vanish(data: TrainingData, recorder: Tracker, name: str) -> None:
    """Held-out rows with labels that training has not seen count as errors and stop nothing."""
    strange = LabeledTexts([*data.test.texts, "hail of stones"], [*data.test.labels, "hail"])
    odd = replace(data, validation=strange, test=strange)
    model = train(odd, TrainingConfig(name), lambda _done, _message: None, recorder)
    assert model.test_measures.accuracy == pytest.approx(20 / 21)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"drop_out": 0.5}, "the network ngram has no hyperparameter 'drop_out'; it has: batch"),
        ({"steps": 10.5}, "the hyperparameter steps must be a whole number: 10.5"),
        ({"batch_size": 0}, "the hyperparameter batch_size must be at least 1: 0"),
        ({"rate": -0.1}, "the hyperparameter rate must be at least 0: -0.1"),
        ({"rate": math.nan}, "the hyperparameter rate must be at least 0: nan"),
        ({"dropout": 1.0}, "the hyperparameter dropout must be at least 0 and below 1: 1.0"),
    ],
)
def test_a_wrong_hyperparameter_is_refused(given: dict[str, float], message: str) -> None:
    """The error names the hyperparameter, and those that the network has."""
    with pytest.raises(ConfigurationError, match=message):
        checked(given, "ngram", load_network("ngram"))
