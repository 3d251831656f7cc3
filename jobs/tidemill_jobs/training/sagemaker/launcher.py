"""The launcher: runs one training on SageMaker and brings its result here."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from tidemill_core.errors import ConfigurationError, TidemillError, Unavailable
from tidemill_core.extras import installation
from tidemill_core.settings.sagemaker import SagemakerSettings
from tidemill_jobs.context import Progress
from tidemill_jobs.training.sagemaker import contract
from tidemill_jobs.training.sagemaker.artifact import SagemakerResultInvalid, unpack

MAX_SECONDS = 24 * 3600
"""SageMaker stops a training after this long."""
MAX_ARCHIVE_BYTES = 4 << 30
_VOLUME_GB = 30
_ASK_SECONDS = 5.0
_CANCEL_SECONDS = 0.5
_ENTRY_POINT = ["python", "-m", "tidemill_jobs.training.sagemaker.entry_point"]
_ENDED = ("Completed", "Failed", "Stopped")
_NOT_SET_UP = (
    "NoRegionError", "NoCredentialsError", "PartialCredentialsError", "ProfileNotFound"
)  # fmt: skip

log = structlog.get_logger()


class SagemakerUnavailable(Unavailable):
    """AWS refused a call or did not answer."""

    reason = "SAGEMAKER_UNAVAILABLE"

    def __init__(self, error: Exception) -> None:
        cure = ""
        if type(error).__name__ in _NOT_SET_UP:
            cure = "; set AWS_DEFAULT_REGION and credentials, or AWS_PROFILE, for the process jobs"
        super().__init__(f"AWS did not do what was asked: {error}{cure}")


class SagemakerTrainingFailed(TidemillError):
    """A training that ended without a result."""

    reason = "SAGEMAKER_TRAINING_FAILED"

    def __init__(self, name: str, status: str, cause: str) -> None:
        logs = f"the log group /aws/sagemaker/TrainingJobs has its output under {name}"
        super().__init__(
            f"the training job {name} ended as {status}: {cause or 'no reason'}; {logs}"
        )


@dataclass(frozen=True)
class Order:
    """A training to run.

    Attributes:
        name: of the training job, unique in the account: letters, digits and hyphens, at most 63.
        task: tags the job.
        rows: the file to train on.
        hyperparameters: of the container.
    """

    name: str
    task: str
    rows: Path
    hyperparameters: Mapping[str, str]


def run_training(
    settings: SagemakerSettings, order: Order, folder: Path, progress: Progress
) -> None:
    """Run a training, follow it, and unpack its result into a folder.

    If this is interrupted, the training job is stopped.

    Args:
        settings: where it runs.
        order: what to train.
        folder: gets the RESULT_FILES.
        progress: says what the job does; what it raises stops the job.

    Raises:
        ConfigurationError: the extra `sagemaker` is not installed.
        SagemakerUnavailable: AWS refused a call, or does not answer.
        SagemakerTrainingFailed: the training failed or was stopped.
        DataError: the result cannot be used.
    """
    client = _clients(settings)
    progress(0.0, "uploading the dataset to S3")
    prefix = f"tidemill/{order.name}"
    with _aws_errors():
        s3, sagemaker = client("s3"), client("sagemaker")
        s3.upload_file(str(order.rows), settings.bucket, f"{prefix}/input/{contract.ROWS_FILE}")
        sagemaker.create_training_job(**_request(settings, order, prefix))
        log.info("sagemaker_training_started", name=order.name)
        try:
            found = _follow(sagemaker, order.name, progress)
        except BaseException:
            _stop(sagemaker, order.name)
            raise
        if found["TrainingJobStatus"] != "Completed":
            status, cause = found["TrainingJobStatus"], found.get("FailureReason", "")
            raise SagemakerTrainingFailed(order.name, status, cause)
        progress(0.95, "downloading the result from S3")
        archive = folder / "model.tar.gz"
        _download(s3, found["ModelArtifacts"]["S3ModelArtifacts"], archive)
    unpack(archive, folder, contract.RESULT_FILES)
    archive.unlink()


def _clients(settings: SagemakerSettings) -> Callable[[str], Any]:
    """Return what opens a client of a service."""
    try:
        import boto3
    except ImportError as error:
        raise ConfigurationError(
            f"boto3 is not installed here: {installation('sagemaker')}"
        ) from error
    # A session of its own: boto3's default one keeps the credentials that it found first.
    return lambda name: boto3.Session().client(name, endpoint_url=settings.endpoint_url or None)


@contextmanager
def _aws_errors() -> Iterator[None]:
    """Raise what boto3 raises as SagemakerUnavailable."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (Boto3Error, BotoCoreError, ClientError) as error:
        raise SagemakerUnavailable(error) from error


def _request(settings: SagemakerSettings, order: Order, prefix: str) -> dict[str, Any]:
    place = f"s3://{settings.bucket}/{prefix}"
    source = {
        "S3DataType": "S3Prefix",
        "S3Uri": f"{place}/input",
        "S3DataDistributionType": "FullyReplicated",
    }
    return {
        "TrainingJobName": order.name,
        "RoleArn": settings.role,
        "AlgorithmSpecification": {
            "TrainingImage": settings.image,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": _ENTRY_POINT,
            "MetricDefinitions": contract.metric_definitions(),
        },
        "HyperParameters": dict(order.hyperparameters),
        "InputDataConfig": [
            {"ChannelName": contract.CHANNEL, "DataSource": {"S3DataSource": source}}
        ],
        "OutputDataConfig": {"S3OutputPath": f"{place}/output"},
        "CheckpointConfig": {"S3Uri": f"{place}/checkpoints", "LocalPath": "/opt/ml/checkpoints"},
        "ResourceConfig": {
            "InstanceType": settings.instance_type,
            "InstanceCount": 1,
            "VolumeSizeInGB": _VOLUME_GB,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": MAX_SECONDS},
        "Tags": [{"Key": "tidemill:task", "Value": order.task}],
    }


def _follow(sagemaker: Any, name: str, progress: Progress) -> dict[str, Any]:
    """Wait until a training job has ended, and return its description."""
    while True:
        found: dict[str, Any] = sagemaker.describe_training_job(TrainingJobName=name)
        if found["TrainingJobStatus"] in _ENDED:
            return found
        ask = time.monotonic() + _ASK_SECONDS
        while time.monotonic() < ask:
            progress(0.1, f"SageMaker's {name}: {found['SecondaryStatus']}")
            time.sleep(_CANCEL_SECONDS)


def _stop(sagemaker: Any, name: str) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        sagemaker.stop_training_job(TrainingJobName=name)
    except (BotoCoreError, ClientError) as error:
        log.warning("sagemaker_training_not_stopped", name=name, detail=str(error))


def _download(s3: Any, uri: str, archive: Path) -> None:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    size = s3.head_object(Bucket=bucket, Key=key)["ContentLength"]
    if size > MAX_ARCHIVE_BYTES:
        raise SagemakerResultInvalid(uri, f"has {size} bytes, which is too large")
    s3.download_file(bucket, key, str(archive))
