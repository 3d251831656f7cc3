"""The seam of the networks."""

from typing import get_args

import pytest

from tidemill_core.settings.training import NetworkName
from tidemill_jobs.training.labeled_texts import TrainingData
from tidemill_jobs.training.network import load_network
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
