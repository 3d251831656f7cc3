"""Amazon SageMaker and S3: moto's server, and threads that run the jobs' entry point."""

import hashlib
import json
import tarfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import boto3
from moto.core.responses import EmptyResult
from moto.sagemaker.models import sagemaker_backends
from moto.sagemaker.responses import SageMakerResponse
from moto.server import ThreadedMotoServer

from tidemill_core.settings.sagemaker import SagemakerSettings
from tidemill_jobs.training.sagemaker import entry_point

ACCOUNT, REGION, BUCKET = "123456789012", "us-east-1", "models"
_QUICK_SECONDS = 1.0
"""A job that ends this soon has ended before the launcher asks for the first time."""
_results: dict[str, dict[str, bytes]] = {}
"""The files that trainings of this process wrote, by the digest of their input."""


class _Jobs(dict[str, Any]):
    """moto's training jobs, which are done at once there; here each of them is run."""

    def __init__(self, start: Callable[[Any], None]) -> None:
        super().__init__()
        self._start = start

    def __setitem__(self, name: str, job: Any) -> None:
        job.training_job_status = job.secondary_status = "InProgress"
        super().__setitem__(name, job)
        self._start(job)


@dataclass
class FakeAws:
    """AWS on this machine; a context manager.

    Attributes:
        folder: where jobs run.
        change: changes the folder of a result before it is packed.
        hyperparameters: replace those of a job.
        runs: whether jobs are run; otherwise they wait.
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
        self._threads: list[threading.Thread] = []
        self._backend = sagemaker_backends[ACCOUNT][REGION]
        self._backend.training_jobs = _Jobs(self._start)
        stopped = self.stopped

        def stop_training_job(response: Any) -> Any:
            stopped.append(response._get_param("TrainingJobName"))
            return EmptyResult()

        SageMakerResponse.stop_training_job = stop_training_job  # moto has none
        self._s3 = boto3.client("s3", endpoint_url=self.url)
        self._s3.create_bucket(Bucket=BUCKET)
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join()
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

    def _start(self, job: Any) -> None:
        if self.runs:
            thread = threading.Thread(target=self._run, args=(job,))
            self._threads.append(thread)
            thread.start()
            thread.join(_QUICK_SECONDS)

    def _run(self, job: Any) -> None:
        try:
            job.failure_reason = self._failure(job)
        except Exception as error:
            job.failure_reason = f"the test's AWS: {error!r}"
        ended = "Failed" if job.failure_reason else "Completed"
        job.training_job_status = job.secondary_status = ended

    def _failure(self, job: Any) -> str:
        """Run a job; return why it failed, or nothing."""
        root = self.folder / str(job.training_job_name)
        for channel in job.input_data_config:
            uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
            self._fetch(uri, root / "input" / "data" / channel["ChannelName"])
        config = root / "input" / "config"
        config.mkdir(parents=True)
        values = {**job.hyper_parameters, **self.hyperparameters}
        (config / "hyperparameters.json").write_text(json.dumps(values))
        if not _train(root):
            return (root / "output" / "failure").read_text()
        self.change(root / "model")
        archive = root / "model.tar.gz"
        with tarfile.open(archive, "w:gz") as packed:
            packed.add(root / "model", arcname=".")
        bucket, _, key = job.model_artifacts["S3ModelArtifacts"][5:].partition("/")
        self._s3.upload_file(str(archive), bucket, key)
        return ""

    def _fetch(self, uri: str, folder: Path) -> None:
        folder.mkdir(parents=True)
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        for found in self._s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]:
            self._s3.download_file(bucket, found["Key"], str(folder / Path(found["Key"]).name))


def _train(root: Path) -> bool:
    """Run the entry point, or write the files of the same training; return whether it worked."""
    inputs = sorted(path for path in (root / "input").rglob("*") if path.is_file())
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in inputs)).hexdigest()
    if digest not in _results:
        if entry_point.main(["--root", str(root)]):
            return False
        _results[digest] = {path.name: path.read_bytes() for path in (root / "model").iterdir()}
    (root / "model").mkdir(exist_ok=True)
    for name, content in _results[digest].items():
        (root / "model" / name).write_bytes(content)
    return True
