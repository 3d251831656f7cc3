"""MLflow: runs with curves, artifacts and their dataset, and versions with an alias."""

import json
import logging
import os
import warnings
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit
from urllib.request import url2pathname

from tidemill_jobs.training.tracking import MANIFEST_FOLDER, RunSubject, TrackedRun
from tidemill_jobs.training.tracking_service import ServiceConfig

# MLflow reads these when it is imported. Its own defaults retry for minutes.
os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
warnings.simplefilter("ignore")

from mlflow.entities import (  # noqa: E402 -- after its environment
    Dataset,
    DatasetInput,
    InputTag,
    Metric,
    Param,
    RunInfo,
)
from mlflow.exceptions import MlflowException  # noqa: E402 -- as above
from mlflow.tracking import MlflowClient  # noqa: E402 -- as above
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT  # noqa: E402 -- as above

_RUN_TAG, _VERSION_TAG = "tidemill.run_id", "tidemill.version"
_MOST_METRICS = 1000
"""Metrics in one request of MLflow."""
_DIGEST_LENGTH = 36
"""The most characters of a digest in MLflow's database; a tag has the whole digest."""


class MlflowService:
    """One MLflow store."""

    def __init__(self, config: ServiceConfig) -> None:
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        self._location, self._folder = config.location, config.folder
        # Of the folder that it starts in, MLflow makes SQL without escaping quotes.
        os.environ["_MLFLOW_SERVER_ARTIFACT_ROOT"] = config.folder.resolve().as_uri()
        self._client = MlflowClient(config.location)

    def send(self, run: TrackedRun) -> str:
        """Send a run; those that an interrupted attempt left are deleted."""
        client, subject = self._client, run.subject
        experiment = self._experiment(subject.task)
        condition = f"tags.`{_RUN_TAG}` = '{subject.run_id}'"
        for left in client.search_runs([experiment], condition):
            client.delete_run(left.info.run_id)
        tags = {
            _RUN_TAG: subject.run_id,
            "task": subject.task,
            "format": subject.model_format,
            "dataset_version": subject.dataset_version,
            "state": run.state,
        }
        info = client.create_run(experiment, run.start, tags).info
        self._log(info.run_id, run)
        if run.model_version:
            self._register(info, run)
        client.set_terminated(info.run_id, run.status, run.end)
        return self._link(info)

    def set_champion(self, task: str, model_version: int) -> None:
        """Move the alias `champion` of the registered model, which has the task's name."""
        for version in self._client.search_model_versions(f"name = '{task}'"):
            if version.tags.get(_VERSION_TAG) == str(model_version):
                self._client.set_registered_model_alias(task, "champion", version.version)
                return

    def _experiment(self, task: str) -> str:
        experiment = self._client.get_experiment_by_name(task)
        if experiment is not None:
            return str(experiment.experiment_id)
        artifacts = None if _is_server(self._location) else self._folder.resolve().as_uri()
        return str(self._client.create_experiment(task, artifacts))

    def _log(self, run_id: str, run: TrackedRun) -> None:
        client = self._client
        client.log_inputs(run_id, datasets=[_dataset(run.subject)])
        params = [Param(name, str(value)) for name, value in run.parameters.items()]
        client.log_batch(run_id, params=params)
        metrics = [
            Metric(name, value, point.milliseconds, point.epoch)
            for point in run.points
            for name, value in point.values.items()
        ]
        for start in range(0, len(metrics), _MOST_METRICS):
            client.log_batch(run_id, metrics=metrics[start : start + _MOST_METRICS])
        with TemporaryDirectory() as folder:
            for name, content in run.artifacts.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            if run.artifacts:
                client.log_artifacts(run_id, folder)

    def _register(self, info: RunInfo, run: TrackedRun) -> None:
        task = run.subject.task
        with suppress(MlflowException):  # it exists; if not, the next call fails
            self._client.create_registered_model(task)
        source = f"{info.artifact_uri}/{MANIFEST_FOLDER}"
        tags = {_VERSION_TAG: str(run.model_version), "state": run.state}
        self._client.create_model_version(task, source, info.run_id, tags)

    def _link(self, info: RunInfo) -> str:
        """Return the page of a run on a server, without credentials, or its folder."""
        url = urlsplit(self._location)
        if not _is_server(self._location):
            return url2pathname(urlsplit(info.artifact_uri).path)
        host = url.netloc.rpartition("@")[2]
        place = f"{url.scheme}://{host}{url.path.rstrip('/')}"
        return f"{place}/#/experiments/{info.experiment_id}/runs/{info.run_id}"


def _is_server(location: str) -> bool:
    return location.startswith(("http://", "https://"))


def _dataset(subject: RunSubject) -> DatasetInput:
    """Return a dataset version as MLflow's: its folder as source, its counts as profile."""
    rows = sum(subject.counts["row_counts"].values())
    entity = Dataset(
        name=subject.task,
        digest=subject.dataset_version[:_DIGEST_LENGTH],
        source_type="local",
        source=json.dumps({"uri": Path(subject.dataset_uri).as_uri()}),
        profile=json.dumps({"num_rows": rows, **subject.counts}),
    )
    return DatasetInput(entity, [InputTag(MLFLOW_DATASET_CONTEXT, "training")])


SERVICE = MlflowService
