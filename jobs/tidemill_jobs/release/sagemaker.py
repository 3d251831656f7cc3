"""A retraining on SageMaker: from the result that came back to the gates."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
from tokenizers import Tokenizer

from tidemill_core.errors import DataError
from tidemill_core.settings import TaskSettings
from tidemill_core.settings.training import TrainingSettings
from tidemill_core.text import PADDING_ID, TextEncoder
from tidemill_jobs.context import JobContext, part
from tidemill_jobs.importing.foreign_model import Vocabulary
from tidemill_jobs.importing.measure import ImportedModel, Numbers, OpenedModel
from tidemill_jobs.importing.sandbox import Sandbox
from tidemill_jobs.training.abstain import abstain_below
from tidemill_jobs.training.evaluate import evaluate, reliability
from tidemill_jobs.training.export import TOLERANCE, ExportMismatch
from tidemill_jobs.training.labeled_texts import TrainingData
from tidemill_jobs.training.sagemaker import contract
from tidemill_jobs.training.sagemaker.artifact import SagemakerResultInvalid
from tidemill_jobs.training.sagemaker.launcher import Order, run_training
from tidemill_jobs.training.tracking import RunRecord, events_of


@dataclass(frozen=True)
class RemoteTraining:
    """What a training on SageMaker brought here.

    Attributes:
        model: the model, its file and its measures.
        opened: answers texts, in a confined process.
    """

    model: ImportedModel
    opened: OpenedModel


@contextmanager
def trained_on_sagemaker(
    context: JobContext,
    training: TrainingSettings,
    rows: pl.DataFrame,
    data: TrainingData,
    record: RunRecord,
) -> Iterator[RemoteTraining]:
    """Train on SageMaker, and open the result until the block ends.

    The model is measured here, by its file. Its process is confined as that of an imported model.

    Args:
        context: the run's surroundings.
        training: the settings of the training.
        rows: the rows of the dataset version.
        data: the same by split.
        record: receives what the training logged.

    Raises:
        ConfigurationError, SagemakerUnavailable, SagemakerTrainingFailed: as `run_training`.
        DataError: the result cannot be used.
        ExportMismatch: the file answers differently from the module in the container.
    """
    with TemporaryDirectory() as place:
        folder = Path(place)
        _launch(context, training, rows, folder)
        for event in events_of(folder / contract.COURSE_FILE):
            record.append(**event)
        description = _description(folder)
        vocabulary, tokenizer = _tokenizer(folder)
        model_file, model_format = folder / contract.MODEL_FILE, context.task_settings.format
        encoder = TextEncoder(tokenizer.to_str(), description.sequence_length)
        with Sandbox(model_file, model_format, vocabulary) as sandbox:
            opened = OpenedModel(sandbox, tokenizer, vocabulary.size, encoder, description.labels)
            opened.probe(data.train.texts)
            yield _measured(context.task_settings, opened, data, folder, description)


def _launch(
    context: JobContext, training: TrainingSettings, rows: pl.DataFrame, folder: Path
) -> None:
    rows_file = folder / contract.ROWS_FILE
    rows.select(contract.ROW_COLUMNS).write_parquet(rows_file)
    values = contract.hyperparameters(training, context.task_settings.format)
    order = Order(f"tidemill-{context.run_id}", context.task, rows_file, values)
    run_training(context.settings.sagemaker, order, folder, part(context.progress, 0.1, 0.85))


def _description(folder: Path) -> contract.Description:
    try:
        return contract.Description.of(
            json.loads((folder / contract.DESCRIPTION_FILE).read_bytes())
        )
    except (ValueError, TypeError, KeyError) as error:
        raise _damaged(contract.DESCRIPTION_FILE, error) from error


def _tokenizer(folder: Path) -> tuple[Vocabulary, Tokenizer]:
    try:
        tokenizer = Tokenizer.from_str((folder / contract.TOKENIZER_FILE).read_text())
    except Exception as error:  # the library raises no class of its own
        raise _damaged(contract.TOKENIZER_FILE, error) from error
    return Vocabulary(tokenizer.get_vocab_size(), PADDING_ID), tokenizer


def _damaged(name: str, error: Exception) -> DataError:
    return SagemakerResultInvalid(name, f"is damaged: {error}")


def _measured(
    settings: TaskSettings,
    opened: OpenedModel,
    data: TrainingData,
    folder: Path,
    description: contract.Description,
) -> RemoteTraining:
    """Measure a model here, and compare its answers with those that the container's module gave."""
    test, held_out = opened.answer(data.test.texts), opened.answer(data.validation.texts)
    _compare(test, folder / contract.ANSWERS_FILE, settings.format)
    targets = opened.targets(data.test)
    precision = settings.abstain_for_precision
    answers = np.concatenate([held_out, test])
    known = np.concatenate([opened.targets(data.validation), targets])
    model = ImportedModel(
        content=(folder / contract.MODEL_FILE).read_bytes(),
        labels=description.labels,
        tokenizer=opened.tokenizer,
        encoder=opened.encoder,
        vocabulary_size=opened.vocabulary_size,
        temperature=description.temperature,
        test_measures=evaluate(test, targets),
        test_probabilities=test,
        reliability=reliability(test, targets),
        abstain_below=abstain_below(answers, known, precision),
        record=description.record,
    )
    return RemoteTraining(model, opened)


def _compare(found: Numbers, answers_file: Path, model_format: str) -> None:
    try:
        expected = np.load(answers_file, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise _damaged(contract.ANSWERS_FILE, error) from error
    if expected.shape != found.shape:
        raise _damaged(contract.ANSWERS_FILE, ValueError(f"shape {expected.shape}"))
    difference = float(np.abs(expected - found).max(initial=0.0))
    if not difference <= TOLERANCE:
        changed = int((expected.argmax(axis=1) != found.argmax(axis=1)).sum())
        raise ExportMismatch(model_format, difference, changed)
