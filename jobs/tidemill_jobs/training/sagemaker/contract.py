"""What launcher and container agree on: the names of files, hyperparameters and metrics."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tidemill_core.errors import ConfigurationError
from tidemill_core.model_repository import TrainingRecord
from tidemill_core.settings.problems import problems_named
from tidemill_core.settings.training import TrainingSettings

CHANNEL = "dataset"
ROWS_FILE = "rows.parquet"
ROW_COLUMNS = ("text", "label", "weight", "label_source", "split")
MODEL_FILE = "model"
TOKENIZER_FILE = "tokenizer.json"
DESCRIPTION_FILE = "description.json"
ANSWERS_FILE = "answers.npy"
COURSE_FILE = "course.jsonl"
RESULT_FILES = (MODEL_FILE, TOKENIZER_FILE, DESCRIPTION_FILE, ANSWERS_FILE, COURSE_FILE)
"""The files of the result. None of them is a pickle."""
METRICS = (
    "train_loss",
    "validation_loss",
    "validation_accuracy",
    "search_log_loss",
    "final_test_accuracy",
)
"""The metrics that SageMaker reads in the container's output."""


def metric_line(name: str, value: float) -> str:
    """Return the line that reports a metric."""
    return f"metric {name}={value:.6g};"


def metric_definitions() -> list[dict[str, str]]:
    """Return the regular expressions that find the metrics in the container's output."""
    return [{"Name": name, "Regex": f"metric {name}=([0-9.e+-]+);"} for name in METRICS]


def hyperparameters(training: TrainingSettings, model_format: str) -> dict[str, str]:
    """Return a training's settings as SageMaker keeps them: strings by name."""
    values = {name: value for name, value in training.model_dump().items() if value is not None}
    written = {name: str(value) for name, value in values.items()}
    written["hyperparameters"] = json.dumps(training.hyperparameters)
    return {**written, "format": model_format}


def settings_of(values: Mapping[str, str]) -> tuple[TrainingSettings, str]:
    """Return a training's settings and the format of its model from their strings.

    Raises:
        ConfigurationError: a value is wrong; names it.
    """
    known = TrainingSettings.model_fields.keys() & values.keys()
    given: dict[str, Any] = {name: values[name] for name in known}
    found = values.get("hyperparameters", "{}")
    try:
        given["hyperparameters"] = json.loads(found)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"hyperparameters is {found!r:.80}: it must be JSON") from error
    with problems_named(TrainingSettings):
        training = TrainingSettings.model_validate(given)
    return training, values.get("format", "onnx")


@dataclass(frozen=True)
class Description:
    """A trained model, besides its files.

    Attributes:
        labels: in the order of its output.
        sequence_length: token ids in a row.
        temperature: is in the model.
        record: how it was trained.
    """

    labels: tuple[str, ...]
    sequence_length: int
    temperature: float
    record: TrainingRecord

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Description":
        """Return a description from its JSON values.

        Raises:
            ValueError, TypeError, KeyError: it is none.
        """
        return cls(
            labels=tuple(map(str, values["labels"])),
            sequence_length=int(values["sequence_length"]),
            temperature=float(values["temperature"]),
            record=TrainingRecord(**values["record"]),
        )
