"""The parameters of the jobs that have some, by job."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from tidemill_core.domain.job import IMPORT_MODEL, REPRODUCE_MODEL, RETRAIN


class TrainingPlace(StrEnum):
    """Where a training runs."""

    LOCAL = "LOCAL"
    """On the machine of the jobs."""
    SAGEMAKER = "SAGEMAKER"
    """On Amazon SageMaker."""


@dataclass(frozen=True)
class RetrainParameters:
    """The parameters of `retrain`; what is None comes from the task's settings.

    Attributes:
        network: the network's name, such as `ngram`.
        trials: the most trials of the search, at least 1.
        budget_seconds: the most seconds that the search may take, at least 1.
        seed: the seed of every random choice, in [0, 2**32).
        place: where it runs.
    """

    network: str | None = None
    trials: int | None = None
    budget_seconds: int | None = None
    seed: int | None = None
    place: TrainingPlace = TrainingPlace.LOCAL

    def __post_init__(self) -> None:
        object.__setattr__(self, "place", TrainingPlace(self.place))  # the database has a string


@dataclass(frozen=True)
class ReproduceModelParameters:
    """The parameters of `reproduce_model`: the version to train again; 0 is the champion."""

    model_version: int = 0


@dataclass(frozen=True)
class ImportModelParameters:
    """The parameters of `import_model`.

    Attributes:
        upload_id: the stored files; see `tidemill_core.model_uploads`.
        format: `onnx` or `torchscript`.
        max_length: token ids in a row; 0 if the job chooses.
    """

    upload_id: str
    format: str
    max_length: int = 0


JobParameters = RetrainParameters | ReproduceModelParameters | ImportModelParameters

PARAMETERS: Mapping[str, type[JobParameters]] = {
    RETRAIN: RetrainParameters,
    REPRODUCE_MODEL: ReproduceModelParameters,
    IMPORT_MODEL: ImportModelParameters,
}
"""The class of each job's parameters. Other jobs have none."""


def parameters_of(job: str, values: Mapping[str, Any]) -> JobParameters | None:
    """Return a job's parameters from stored values, with defaults for what is missing.

    Values that this release does not know are left out: a later one stored them.
    """
    kind = PARAMETERS.get(job)
    if kind is None or (kind is ImportModelParameters and not values):
        return None
    known = {each.name for each in fields(kind)}
    return kind(**{name: value for name, value in values.items() if name in known})
