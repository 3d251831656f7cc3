"""The job `reproduce_model`."""

import json
from dataclasses import replace

import pytest

from tests.integration.jobs.release.conftest import Loop
from tidemill_core.domain.job_parameters import ReproduceModelParameters
from tidemill_core.errors import NoChampion, NotFound
from tidemill_core.settings.training import TrainingSettings
from tidemill_core.stored_models import MANIFEST_FILE
from tidemill_jobs.context import Result
from tidemill_jobs.release import reproduce
from tidemill_jobs.release.reproduce import NotReproduced, NotTrainedHere


def _reproduce(loop: Loop, version: int = 0) -> Result:
    return reproduce.run(replace(loop.context, parameters=ReproduceModelParameters(version)))


def _edit_manifest(loop: Loop, training: object) -> None:
    """Replace the record of version 1's training."""
    path = loop.context.repository.folder(loop.context.task, "onnx", 1) / MANIFEST_FILE
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "training": training}))


def test_a_version_is_trained_again_to_the_same_weights(loop: Loop) -> None:
    """A searched version gives its weights again, although the settings have changed since."""
    with pytest.raises(NoChampion):
        _reproduce(loop)
    loop.change(training=TrainingSettings(seed=5, trials=2))
    trained = loop.retrain()
    loop.change(training=TrainingSettings(seed=6))
    result = _reproduce(loop)
    record = loop.context.repository.manifest(loop.context.task, "onnx", 1).training
    assert record is not None
    assert result == {
        "model_version": 1,
        "dataset_version": trained["dataset_version"],
        "network": "ngram",
        "seed": 5,
        "weights": record.weights,
    }
    with pytest.raises(NotFound):
        _reproduce(loop, 9)


def test_other_weights_are_reported(loop: Loop) -> None:
    """A version that comes out differently fails the run; one without a record is refused."""
    loop.retrain()
    record = loop.context.repository.manifest(loop.context.task, "onnx", 1).training
    assert record is not None
    _edit_manifest(loop, {**vars(record), "seed": 1})
    with pytest.raises(NotReproduced, match="another model"):
        _reproduce(loop, 1)
    _edit_manifest(loop, None)
    with pytest.raises(NotTrainedHere):
        _reproduce(loop, 1)
