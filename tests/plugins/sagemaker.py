"""Amazon SageMaker and S3: moto's server, and a worker that runs the jobs' entry point."""

import json
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from typing import Any, Self

import boto3
from moto.core.responses import EmptyResult
from moto.sagemaker.models import sagemaker_backends
from moto.sagemaker.responses import SageMakerResponse
from moto.server import ThreadedMotoServer

from tidemill_core.settings.sagemaker import SagemakerSettings

ACCOUNT, REGION, BUCKET = "123456789012", "us-east-1", "models"
ENTRY_POINT = "tidemill_jobs.training.sagemaker.entry_point"


def run_entry_point(root: Path) -> "subprocess.CompletedProcess[str]":
    """Run the entry point in a folder that is laid out as /opt/ml."""
    command = [sys.executable, "-m", ENTRY_POINT, "--root", str(root)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


class _Jobs(dict[str, Any]):
    """moto's training jobs, which are done at once there; here they wait for the worker."""

    def __init__(self, started: Queue[Any]) -> None:
        super().__init__()
        self._started = started

    def __setitem__(self, name: str, job: Any) -> None:
        job.training_job_status = job.secondary_status = "InProgress"
        super().__setitem__(name, job)
        self._started.put(job)


@dataclass
class FakeAws:
    """AWS on this machine; a context manager.

    Attributes:
        folder: where jobs run.
        change: changes the folder of a result before it is packed.
        hyperparameters: replace those of a job.
        runs: whether the worker runs jobs; otherwise they wait.
        stopped: the names of the jobs that were stopped.
    """

    folder: Path
    change: Callable[[Path], None] = lambda _folder: None
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    runs: bool = True
    stopped: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        self.url = f"http://127.0.0.1:{self._server.get_host_and_port()[1]}"
        self._started: Queue[Any] = Queue()
        self._backend = sagemaker_backends[ACCOUNT][REGION]
        self._backend.training_jobs = _Jobs(self._started)
        stopped = self.stopped

        def stop_training_job(response: Any) -> Any:
            stopped.append(response._get_param("TrainingJobName"))
            return EmptyResult()

        SageMakerResponse.stop_training_job = stop_training_job  # moto has none
        self._s3 = boto3.client("s3", endpoint_url=self.url)
        self._s3.create_bucket(Bucket=BUCKET)
        self._worker = threading.Thread(target=self._work)
        self._worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._started.put(None)
        self._worker.join()
        del SageMakerResponse.stop_training_job
        self._server.stop()

    @property
    def settings(self) -> SagemakerSettings:
        """The settings that lead here."""
        role, image = f"arn:aws:iam::{ACCOUNT}:role/trains", "tidemill:latest"
        return SagemakerSettings(role=role, image=image, bucket=BUCKET, endpoint_url=self.url)

    @property
    def jobs(self) -> dict[str, Any]:
        """The training jobs, by name."""
        return self._backend.training_jobs

    def _work(self) -> None:
        while (job := self._started.get()) is not None:
            if self.runs:
                self._run(job)

    def _run(self, job: Any) -> None:
        root = self.folder / job.training_job_name
        for channel in job.input_data_config:
            uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
            self._fetch(uri, root / "input" / "data" / channel["ChannelName"])
        config = root / "input" / "config"
        config.mkdir(parents=True)
        values = {**job.hyper_parameters, **self.hyperparameters}
        (config / "hyperparameters.json").write_text(json.dumps(values))
        ended = run_entry_point(root)
        if ended.returncode:
            job.failure_reason = (root / "output" / "failure").read_text()
            job.training_job_status = job.secondary_status = "Failed"
            return
        self.change(root / "model")
        archive = root / "model.tar.gz"
        with tarfile.open(archive, "w:gz") as packed:
            packed.add(root / "model", arcname=".")
        bucket, _, key = job.model_artifacts["S3ModelArtifacts"][5:].partition("/")
        self._s3.upload_file(str(archive), bucket, key)
        job.training_job_status = job.secondary_status = "Completed"

    def _fetch(self, uri: str, folder: Path) -> None:
        folder.mkdir(parents=True)
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        for found in self._s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]:
            self._s3.download_file(bucket, found["Key"], str(folder / Path(found["Key"]).name))
