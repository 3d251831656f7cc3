"""The job `reproduce_model`: trains a version again, and compares the weights."""

import hashlib

from tidemill_core.domain.job_parameters import ReproduceModelParameters
from tidemill_core.domain.model import ModelVersion
from tidemill_core.errors import DataError, FailedPrecondition, NoChampion
from tidemill_core.model_repository import ModelManifest, TrainingRecord
from tidemill_core.rewards import REWARD_LABELS
from tidemill_core.settings import TaskKind
from tidemill_core.storage.models import ModelStore
from tidemill_core.stored_models import TOKENIZER_FILE
from tidemill_jobs.context import JobContext, Result, part
from tidemill_jobs.data.publishing.dataset import read_dataset
from tidemill_jobs.training.dataset_rows import training_data
from tidemill_jobs.training.tracking import Untracked
from tidemill_jobs.training.train import TrainingConfig, train


class NotTrainedHere(FailedPrecondition):
    """A version that was imported, or is older than the records of trainings."""

    reason = "NOT_TRAINED_HERE"

    def __init__(self, version: ModelVersion) -> None:
        super().__init__(
            f"version {version.version} of {version.task} cannot be trained again: its manifest "
            "has no record of a training"
        )


class NotReproduced(DataError):
    """A version whose training gives something else now."""

    def __init__(self, version: ModelVersion, part: str, published: str, found: str) -> None:
        super().__init__(
            "MODEL_NOT_REPRODUCED",
            f"training version {version.version} of {version.task} again gives another {part}: its "
            f"SHA-256 is {found}, and the published one is {published}. Weights are the same only "
            "on the same machine, with the same release and libraries.",
        )


def run(context: JobContext) -> Result:
    """Train a version from its dataset version and its manifest, and compare the results.

    The search is not repeated: the manifest has the hyperparameters that it found.

    Returns:
        The `model_version`, its `dataset_version`, `network` and `seed`, and the SHA-256 of the
        `weights`, which are the published ones.

    Raises:
        NotFound: there is no such version, or its dataset version is gone.
        NoChampion: no version is named, and the task has no champion.
        NotTrainedHere: the version has no record of its training.
        NotReproduced: the tokenizer or the weights differ.
        RunCanceled: someone asked the run to stop.
    """
    version = _version(context.storage.models, context.task, context.parameters)
    place = (version.task, version.model_format, version.version)
    manifest = context.repository.manifest(*place)
    record = manifest.training
    if record is None:
        raise NotTrainedHere(version)
    context.progress(0.0, "reading the dataset")
    dataset = context.storage.datasets.get(manifest.dataset_version)
    rows = read_dataset(str(context.dataset_folder(dataset.dataset_version)))
    data = training_data(rows, _kind(manifest))
    config = _config(record)
    trained = train(data, config, part(context.progress, 0.05, 1.0), Untracked())
    tokenizer = hashlib.sha256(trained.tokenizer_json.encode()).hexdigest()
    for name, published, found in (
        ("tokenizer", manifest.files[TOKENIZER_FILE], tokenizer),
        ("model", record.weights, trained.record.weights),
    ):
        if found != published:
            raise NotReproduced(version, name, published, found)
    return {
        "model_version": version.version,
        "dataset_version": manifest.dataset_version,
        "network": record.network,
        "seed": record.seed,
        "weights": record.weights,
    }


def _version(models: ModelStore, task: str, parameters: object) -> ModelVersion:
    asked = parameters.model_version if isinstance(parameters, ReproduceModelParameters) else 0
    if not asked:
        deployment = models.deployment(task)
        if deployment is None:
            raise NoChampion(task)
        asked = deployment.champion
    return models.get(task, asked)


def _kind(manifest: ModelManifest) -> TaskKind:
    return "preference" if manifest.labels == REWARD_LABELS else "classification"


def _config(record: TrainingRecord) -> TrainingConfig:
    return TrainingConfig(
        record.network,
        record.hyperparameters,
        record.seed,
        record.threads,
        int8=record.int8,
        audits=record.audits,
    )
