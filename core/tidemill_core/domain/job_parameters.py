"""The parameters of the jobs that have some, by job."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from enum import StrEnum
from typing import Any

from tidemill_core.domain.job import EVALUATE, IMPORT_MODEL, REPRODUCE_MODEL, RETRAIN, SCORE
from tidemill_core.errors import InvalidArgument

OUTPUT_IS_INPUT = "OUTPUT_IS_INPUT"
"""The reason with which a scoring that would write over its input is refused."""


class MissingInput(InvalidArgument):
    """A run of `score` or `evaluate` without rows to read."""

    def __init__(self, job: str) -> None:
        rule = f"is missing: name the rows to read; `tidemill {job} --help` shows how"
        super().__init__("MISSING_INPUT", f"{job}.input", rule)


class SameVersion(InvalidArgument):
    """An evaluation that compares a version with itself."""

    def __init__(self, version: int) -> None:
        rule = f"is version {version}, which is evaluated itself; name another one"
        super().__init__("SAME_VERSION", "evaluate.against", rule)


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


@dataclass(frozen=True)
class ScoreParameters:
    """The parameters of `score`. Paths are read on the machine of the jobs.

    Attributes:
        input: a file, folder, glob or URL; or `DATABASE#TABLE`, see `docs/scoring.md`.
        output: a file or URL; or `DATABASE#TABLE`.
        text_column: the column with the text; empty is `text`.
        model_version: the version that answers; 0 is the champion.
        overwrite: whether an output that exists is replaced.
        log_predictions: whether the predictions are stored.
    """

    input: str
    output: str
    text_column: str = ""
    model_version: int = 0
    overwrite: bool = False
    log_predictions: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "text_column", self.text_column or "text")


@dataclass(frozen=True)
class EvaluateParameters:
    """The parameters of `evaluate`. The path is read on the machine of the jobs.

    Attributes:
        input: labeled rows, as the input of `score`.
        text_column: the column with the text; empty is `text`.
        label_column: the column with the right label; empty is `label`.
        model_version: the version to evaluate; 0 is the champion.
        against: another version to compare it with; 0 compares with none.
    """

    input: str
    text_column: str = ""
    label_column: str = ""
    model_version: int = 0
    against: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "text_column", self.text_column or "text")
        object.__setattr__(self, "label_column", self.label_column or "label")


JobParameters = (
    RetrainParameters
    | ReproduceModelParameters
    | ImportModelParameters
    | ScoreParameters
    | EvaluateParameters
)

PARAMETERS: Mapping[str, type[JobParameters]] = {
    RETRAIN: RetrainParameters,
    REPRODUCE_MODEL: ReproduceModelParameters,
    IMPORT_MODEL: ImportModelParameters,
    SCORE: ScoreParameters,
    EVALUATE: EvaluateParameters,
}
"""The class of each job's parameters. Other jobs have none."""


def parameters_of(job: str, values: Mapping[str, Any]) -> JobParameters | None:
    """Return a job's parameters from stored values, with defaults for what is missing.

    Values that this release does not know are left out: a later one stored them.
    """
    kind = PARAMETERS.get(job)
    if kind is None or (not values and any(each.default is MISSING for each in fields(kind))):
        return None
    known = {each.name for each in fields(kind)}
    return kind(**{name: value for name, value in values.items() if name in known})
