"""The tracking of trainings in MLflow, without telemetry."""

import json
import logging
import os
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol

from filelock import FileLock

from tidemill_core.domain.dataset import DatasetVersion

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput
    from mlflow.tracking import MlflowClient


@dataclass(frozen=True)
class TrackingConfig:
    """The run to track, and where.

    Attributes:
        tracking_uri: the URI of an MLflow store.
        artifact_folder: the folder for the artifacts of a new experiment.
        task: the task, which names the experiment.
        model_format: `onnx` or `torchscript`.
        dataset: the run's input.
    """

    tracking_uri: str
    artifact_folder: Path
    task: str
    model_format: str
    dataset: DatasetVersion


class Tracker(Protocol):
    """A record of a training's course."""

    def log_parameters(self, parameters: Mapping[str, str | int | float]) -> None:
        """Log the training's parameters, once, before it starts."""

    def log_metrics(self, metrics: Mapping[str, float], epoch: int = 0) -> None:
        """Log one point of each curve, at an epoch from 1, or final measures at 0."""

    def log_artifact(self, name: str, content: bytes) -> None:
        """Keep a file."""


class Untracked:
    """A tracker that keeps nothing."""

    def log_parameters(self, parameters: Mapping[str, str | int | float]) -> None:
        """Keep nothing."""

    def log_metrics(self, metrics: Mapping[str, float], epoch: int = 0) -> None:
        """Keep nothing."""

    def log_artifact(self, name: str, content: bytes) -> None:
        """Keep nothing."""


class MlflowTracker:
    """The tracker of one open MLflow run."""

    def __init__(self, client: "MlflowClient", run_id: str) -> None:
        self.run_id = run_id
        self._client = client

    def log_parameters(self, parameters: Mapping[str, str | int | float]) -> None:
        """Log the training's parameters."""
        from mlflow.entities import Param

        values = [Param(name, str(value)) for name, value in parameters.items()]
        self._client.log_batch(self.run_id, params=values)

    def log_metrics(self, metrics: Mapping[str, float], epoch: int = 0) -> None:
        """Log one point of each curve, or final measures."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        points = [Metric(name, float(value), now, epoch) for name, value in metrics.items()]
        self._client.log_batch(self.run_id, metrics=points)

    def log_artifact(self, name: str, content: bytes) -> None:
        """Keep a file among the run's artifacts."""
        with TemporaryDirectory() as folder:
            path = Path(folder, name)
            path.write_bytes(content)
            self._client.log_artifact(self.run_id, str(path))


@contextmanager
def tracked_run(config: TrackingConfig) -> Iterator[MlflowTracker]:
    """Open a run, and end it as FINISHED, FAILED or KILLED.

    MLflow is imported late, because that takes seconds and its telemetry must be off before. A run
    is KILLED by what is not an `Exception`, such as an interrupt.

    Raises:
        MlflowException: the store cannot be used.
    """
    config.artifact_folder.mkdir(parents=True, exist_ok=True)
    # MLflow's migrations of a new store must not run twice at once.
    with _silence(), FileLock(config.artifact_folder / ".lock"):
        client, run_id = _start(config)
    status = "FINISHED"
    try:
        yield MlflowTracker(client, run_id)
    except Exception:
        status = "FAILED"
        raise
    except BaseException:
        status = "KILLED"
        raise
    finally:
        client.set_terminated(run_id, status)


def _start(config: TrackingConfig) -> tuple["MlflowClient", str]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(config.tracking_uri)
    experiment = client.get_experiment_by_name(config.task)
    experiment_id = (
        client.create_experiment(config.task, config.artifact_folder.resolve().as_uri())
        if experiment is None
        else experiment.experiment_id
    )
    tags = {
        "task": config.task,
        "format": config.model_format,
        "dataset_version": config.dataset.dataset_version,
    }
    run_id: str = client.create_run(experiment_id, tags=tags).info.run_id
    client.log_inputs(run_id, datasets=[_input(config.dataset)])
    return client, run_id


def _input(dataset: DatasetVersion) -> "DatasetInput":
    """Return a dataset version as MLflow's: its folder as source, its counts as profile."""
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

    profile = {
        "num_rows": sum(dataset.row_counts.values()),
        "row_counts": dict(dataset.row_counts),
        "label_counts": dict(dataset.label_counts),
        "label_source_counts": dict(dataset.label_source_counts),
    }
    entity = Dataset(
        name=dataset.task,
        digest=dataset.dataset_version[:_DIGEST_LENGTH],
        source_type="local",
        source=json.dumps({"uri": Path(dataset.uri).as_uri()}),
        profile=json.dumps(profile),
    )
    return DatasetInput(entity, [InputTag(MLFLOW_DATASET_CONTEXT, "training")])


_DIGEST_LENGTH = 36
"""The most characters of a digest in MLflow's database; the tag has the whole digest."""


@contextmanager
def _silence() -> Iterator[None]:
    """Turn telemetry off for good, and warnings off within the block."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow  # noqa: F401 -- the import sets up its loggers

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        yield
