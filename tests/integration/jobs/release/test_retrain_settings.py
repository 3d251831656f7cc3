"""How settings, parameters, formats and renamed labels change what `retrain` does."""

from datetime import timedelta

import pytest

from tests.integration.jobs.release.conftest import (
    Loop,
    Trained,
    garbled,
    write_rows,
)
from tidemill_core.domain.gate import GateVerdict
from tidemill_core.domain.job_parameters import RetrainParameters
from tidemill_core.domain.model import ModelState
from tidemill_core.errors import ConfigurationError
from tidemill_core.settings import LabelNames
from tidemill_core.settings.training import NetworkName, TrainingSettings
from tidemill_jobs.release import reproduce

CHAMPION, REJECTED = ModelState.CHAMPION, ModelState.REJECTED


def test_the_tasks_training_settings_train_it(loop: Loop) -> None:
    """The manifest names the task's network and seed; another seed gives other weights."""
    records = []
    for seed in (5, 6):
        loop.change(training=TrainingSettings(seed=seed))
        version = int(loop.retrain()["model_version"])
        record = loop.context.repository.manifest(loop.context.task, "onnx", version).training
        assert record is not None
        assert (record.network, record.seed) == ("ngram", seed)
        records.append(record)
    assert records[0].weights != records[1].weights


@pytest.mark.parametrize("network", ["transformer", "sentence_encoder"])
def test_each_network_goes_through_triton(loop: Loop, network: NetworkName) -> None:
    """Triton answers as the trained module does, and the version becomes champion."""
    loop.change(training=TrainingSettings(network=network))
    settings = loop.context.settings
    patient = settings.monitoring.model_copy(update={"max_p99_latency_ms": 10_000.0})
    result = loop.retrain(settings=settings.model_copy(update={"monitoring": patient}))
    assert result["state"] == CHAMPION, result["reason"]


def test_weights_in_int8_go_through_triton(loop: Loop) -> None:
    """Triton answers from an int8 file as was answered offline, and the version becomes champion.

    The gate `int8` compared it with the weights before rounding, and it can be reproduced.
    """
    loop.change(training=TrainingSettings(int8=True))
    result = loop.retrain()
    assert result["state"] == CHAMPION, result["reason"]
    manifest = loop.context.repository.manifest(loop.context.task, "onnx", 1)
    assert manifest.training is not None
    assert manifest.training.int8
    results = loop.context.storage.models.gate_results(loop.context.task, 1)
    gates = {each.gate: each for each in results}
    for name in ("answers", "export", "int8"):
        assert gates[name].verdict is GateVerdict.PASSED, gates[name]
    assert gates["int8"].figure == 0
    assert reproduce.run(loop.context)["weights"] == manifest.training.weights


def test_a_runs_parameters_stand_above_the_settings(loop: Loop) -> None:
    """A run's parameters train its version, and one out of range is named with the rule."""
    loop.change(training=TrainingSettings(seed=5))
    version = int(loop.retrain(parameters=RetrainParameters(seed=6))["model_version"])
    record = loop.context.repository.manifest(loop.context.task, "onnx", version).training
    assert record is not None
    assert record.seed == 6
    with pytest.raises(ConfigurationError, match=r"network is 'forest': .*'transformer'"):
        loop.retrain(parameters=RetrainParameters(network="forest"))


def test_the_other_format(loop: Loop, trained: Trained) -> None:
    """A task may change its format: both serve while both are trusted, then the old is unloaded."""
    loop.champion(trained)
    loop.change(format="torchscript")
    assert loop.retrain()["state"] == CHAMPION
    loop.reconcile()
    assert (loop.ready(), loop.ready("torchscript")) == ({1}, {2})
    assert loop.retrain()["state"] == CHAMPION
    loop.reconcile(timedelta(0))
    assert loop.ready() == {1}
    loop.reconcile()
    assert (loop.ready(), loop.ready("torchscript")) == (set(), {2, 3})


def test_a_rename_does_not_make_the_champion_look_wrong(loop: Loop, trained: Trained) -> None:
    """Its labels are judged by their current names, merged ones as one, and its successor by them.

    What was garbled in training is judged by the same rows, and still fails.
    """
    loop.champion(trained)
    labels = LabelNames(rename={"pay": "banking", "card": "banking", "loan": "credit"})
    task = loop.context.task
    loop.context.settings.tasks[task] = loop.context.task_settings.model_copy(
        update={"labels": labels}
    )
    write_rows(loop.source, garbled)
    rejected = loop.retrain()
    assert rejected["state"] == REJECTED
    assert "against the champion's 1.0000" in str(rejected["reason"])
    write_rows(loop.source)
    result = loop.retrain()
    assert result["state"] == CHAMPION
    assert "against the champion's 1.0000" in str(result["reason"])
    assert loop.context.repository.manifest(task, "onnx", 3).labels == ("banking", "credit")
