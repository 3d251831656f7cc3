"""The entry point of the container that SageMaker starts.

    python -m tidemill_jobs.training.sagemaker.entry_point [--root /opt/ml]

It keeps SageMaker's contract: hyperparameters are in `input/config/hyperparameters.json`, the rows
in the channel `input/data/dataset`, the result goes to `model`, and the reason of a failure to
`output/failure`. Metrics are lines of its output.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl

from tidemill_core.durable import cause
from tidemill_core.errors import ConfigurationError, DataError, TidemillError
from tidemill_core.settings.training import TrainingSettings
from tidemill_jobs.training.dataset_rows import training_data
from tidemill_jobs.training.export import EXPORTERS
from tidemill_jobs.training.sagemaker import contract
from tidemill_jobs.training.search import search_config
from tidemill_jobs.training.tracking import RunRecord
from tidemill_jobs.training.train import TrainedModel, TrainingConfig, train

_LONGEST_REASON = 1000
"""SageMaker shows the first 1024 characters of the failure file."""


class _Course(RunRecord):
    """A record that also prints the metrics."""

    def log_metrics(self, metrics: Mapping[str, float], epoch: int = 0) -> None:
        """Record and print values."""
        super().log_metrics(metrics, epoch)
        for name, value in metrics.items():
            print(contract.metric_line(name, value), flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Train, and return the exit code."""
    parser = argparse.ArgumentParser(description="Train a model in SageMaker's container.")
    parser.add_argument("--root", type=Path, default=Path("/opt/ml"), help="SageMaker's folder.")
    root = parser.parse_args(arguments).root
    try:
        _train(root)
    except Exception as error:
        reason = error.reason if isinstance(error, TidemillError) else type(error).__name__
        message = f"{reason}: {error}"
        print(message, file=sys.stderr)
        (root / "output").mkdir(parents=True, exist_ok=True)
        (root / "output" / "failure").write_text(message[:_LONGEST_REASON], encoding="utf-8")
        return 1
    return 0


def _train(root: Path) -> None:
    training, model_format = _settings(root / "input" / "config" / "hyperparameters.json")
    rows = _rows(root / "input" / "data" / contract.CHANNEL / contract.ROWS_FILE)
    result = root / "model"
    result.mkdir(parents=True, exist_ok=True)
    course = _Course(result / contract.COURSE_FILE)
    config = _config(training, root)
    trained = train(training_data(rows), config, lambda _done, doing: print(doing), course)
    content = EXPORTERS[model_format](trained.classifier, trained.sequence_length)
    (result / contract.MODEL_FILE).write_bytes(content)
    _describe(trained, result)


def _settings(path: Path) -> tuple[TrainingSettings, str]:
    with _read_errors(path):
        values = json.loads(path.read_bytes())
        if not isinstance(values, dict):
            raise ValueError("it must be a JSON object")
    training, model_format = contract.settings_of(values)
    if model_format not in EXPORTERS:
        raise ConfigurationError(f"format is {model_format!r}: it must be {' or '.join(EXPORTERS)}")
    return training, model_format


def _rows(path: Path) -> pl.DataFrame:
    with _read_errors(path):
        return pl.read_parquet(path, columns=list(contract.ROW_COLUMNS), glob=False)


@contextmanager
def _read_errors(path: Path) -> Iterator[None]:
    """Convert the errors of a file of the input."""
    try:
        yield
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        problem = f"{path} cannot be read: {cause(error)}"
        raise DataError("INPUT_UNREADABLE", problem) from error


def _config(training: TrainingSettings, root: Path) -> TrainingConfig:
    # SageMaker stores this folder while the job runs, where the job has a place for it.
    storage = root / "checkpoints" / "optuna.db"
    storage.parent.mkdir(parents=True, exist_ok=True)
    found = search_config(training, f"sqlite:///{storage}", "sagemaker")
    return TrainingConfig(
        training.network, training.hyperparameters, seed=training.seed, search=found
    )


def _describe(trained: TrainedModel, result: Path) -> None:
    description = contract.Description(
        trained.labels, trained.sequence_length, trained.temperature, trained.record
    )
    text = json.dumps(description.to_json(), ensure_ascii=False)
    (result / contract.DESCRIPTION_FILE).write_text(text, encoding="utf-8")
    (result / contract.TOKENIZER_FILE).write_text(trained.tokenizer_json, encoding="utf-8")
    np.save(result / contract.ANSWERS_FILE, trained.test_probabilities, allow_pickle=False)


if __name__ == "__main__":
    sys.exit(main())
