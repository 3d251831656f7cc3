"""A retraining on SageMaker: moto's server, the real entry point and the real gates."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.integration.jobs.release.conftest import Loop
from tests.plugins.sagemaker import BUCKET, FakeAws
from tidemill_core.domain.gate import GateVerdict
from tidemill_core.domain.job_parameters import RetrainParameters, TrainingPlace
from tidemill_core.domain.model import ModelState
from tidemill_core.errors import ConfigurationError, DataError
from tidemill_core.settings.sagemaker import SagemakerSettings
from tidemill_core.settings.training import TrainingSettings
from tidemill_jobs.context import Result, RunCanceled
from tidemill_jobs.importing.refusal import ModelRefused
from tidemill_jobs.release.tracking import outboxes_of
from tidemill_jobs.training.export import ExportMismatch
from tidemill_jobs.training.sagemaker.launcher import (
    SagemakerTrainingFailed,
    SagemakerUnavailable,
)

REMOTE = RetrainParameters(place=TrainingPlace.SAGEMAKER, seed=5)


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAws]:
    """AWS with a worker."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with FakeAws(tmp_path / "aws") as running:
        yield running


def retrain(loop: Loop, settings: SagemakerSettings, **surroundings: Any) -> Result:
    """Retrain on SageMaker."""
    changed = loop.context.settings.model_copy(update={"sagemaker": settings})
    return loop.retrain(settings=changed, parameters=REMOTE, **surroundings)


def test_a_version_comes_back_into_the_gates(tracked_loop: Loop, aws: FakeAws) -> None:
    """It becomes champion by the same gates, with the seed of the run, and its course is kept."""
    loop = tracked_loop
    result = retrain(loop, aws.settings)
    assert result["state"] == ModelState.CHAMPION
    task, models = loop.context.task, loop.context.storage.models
    manifest = loop.context.repository.manifest(task, "onnx", 1)
    assert manifest.training is not None
    assert (manifest.training.network, manifest.training.seed) == ("ngram", 5)
    verdicts = {each.gate: each.verdict for each in models.gate_results(task, 1)}
    assert verdicts["loads"] is GateVerdict.PASSED
    (job,) = aws.jobs.values()
    assert job.hyper_parameters["seed"] == "5"
    assert job.algorithm_specification["TrainingImage"] == "tidemill:latest"
    assert job.input_data_config[0]["DataSource"]["S3DataSource"]["S3Uri"].startswith(
        f"s3://{BUCKET}/tidemill/"
    )
    folder = Path(loop.context.storage.tracked_runs.links(task, 1)["mlflow"])
    assert (folder / "model" / "manifest.json").exists()
    assert not list(outboxes_of(loop.context.settings, task).of("mlflow").glob("*.jsonl"))
    assert aws.stopped == []


def test_torchscript_comes_back_too(loop: Loop, aws: FakeAws) -> None:
    """The container exports to the format of the task."""
    loop.change(format="torchscript")
    assert retrain(loop, aws.settings)["state"] == ModelState.CHAMPION
    assert loop.ready("torchscript") == {1}


def test_a_canceled_run_stops_the_training(loop: Loop, aws: FakeAws) -> None:
    """The job on SageMaker is stopped, and no version is made."""
    aws.runs = False

    def cancel(_done: float, doing: str) -> None:
        if doing.startswith("SageMaker's"):
            raise RunCanceled

    with pytest.raises(RunCanceled):
        retrain(loop, aws.settings, progress=cancel)
    assert aws.stopped == list(aws.jobs)
    assert loop.context.storage.models.in_states(loop.context.task, list(ModelState)) == []


def test_a_failed_training_names_its_reason(loop: Loop, aws: FakeAws) -> None:
    """The failure file of the container is in the error."""
    aws.hyperparameters = {"network": "forest"}
    with pytest.raises(
        SagemakerTrainingFailed,
        match=r"Failed: CONFIGURATION: wrong settings:\s+network is 'forest'",
    ):
        retrain(loop, aws.settings)


def _other_labels(folder: Path) -> None:
    path = folder / "description.json"
    described = json.loads(path.read_text())
    path.write_text(json.dumps({**described, "labels": described["labels"][:-1]}))


def _other_answers(folder: Path) -> None:
    answers = np.load(folder / "answers.npy")
    np.save(folder / "answers.npy", answers[:, ::-1])


def _link(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.json").symlink_to("/etc/passwd")


def _cut(folder: Path) -> None:
    (folder / "model").write_bytes((folder / "model").read_bytes()[:1000])


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (_other_answers, ExportMismatch),
        (_link, DataError),
        (_other_labels, ModelRefused),
        (_cut, ModelRefused),
    ],
)
def test_a_wrong_result_makes_no_version(
    loop: Loop, aws: FakeAws, change: Any, error: type[Exception]
) -> None:
    """A result that does not fit is refused before it is published."""
    aws.change = change
    with pytest.raises(error):
        retrain(loop, aws.settings)
    assert loop.context.storage.models.in_states(loop.context.task, list(ModelState)) == []


def test_missing_settings_and_a_wrong_bucket(loop: Loop, aws: FakeAws) -> None:
    """Missing settings are named before anything is done, and AWS's refusal is shown."""
    with pytest.raises(ConfigurationError, match=r"sagemaker\.role, sagemaker\.image"):
        retrain(loop, SagemakerSettings(bucket="b"))
    before = loop.context.task_settings.training
    for name in ("int8", "follow_audits"):
        loop.change(training=TrainingSettings.model_validate({name: True}))
        with pytest.raises(ConfigurationError, match=f"{name} needs a training on this machine"):
            retrain(loop, aws.settings)
    loop.change(training=before)
    with pytest.raises(SagemakerUnavailable, match="NoSuchBucket"):
        retrain(loop, aws.settings.model_copy(update={"bucket": "other"}))
