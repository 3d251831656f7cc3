"""The use case: labelled texts in, a calibrated model with its measures out."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import cast

import numpy as np
import numpy.typing as npt
import torch

from tidemill_core.errors import DataError
from tidemill_core.text import TextEncoder
from tidemill_jobs.training.calibrate import fit_temperature
from tidemill_jobs.training.evaluate import Measures, evaluate
from tidemill_jobs.training.fit import (
    EncodedRows,
    FitConfig,
    Progress,
    fit,
    logits_of,
    reproducible,
)
from tidemill_jobs.training.network import (
    CalibratedClassifier,
    HashedNgramClassifier,
    NetworkConfig,
    spelling_buckets,
)
from tidemill_jobs.training.tokenizer import (
    VOCABULARY_LIMIT,
    pieces,
    sequence_length,
    train_tokenizer,
)
from tidemill_jobs.training.tracking import Tracker

_PROOF_ROWS = 256
_ROWS_A_PASS = 512


@dataclass(frozen=True)
class LabelledTexts:
    """Texts with their labels, one for one.

    Attributes:
        texts: valid Unicode without lone surrogates.
        labels: as many.
    """

    texts: Sequence[str] = ()
    labels: Sequence[str] = ()


@dataclass(frozen=True)
class TrainingData:
    """A dataset version, split.

    Attributes:
        train: what is learned from; it decides the labels.
        validation: for early stopping and calibration; may be empty.
        test: for the measures; may be empty, and may lack or add labels.
        weights: how much each training row counts, at least 0; 1.0 for all where None.
    """

    train: LabelledTexts
    validation: LabelledTexts = field(default_factory=LabelledTexts)
    test: LabelledTexts = field(default_factory=LabelledTexts)
    weights: Sequence[float] | None = None

    @property
    def proof_texts(self) -> Sequence[str]:
        """What a model must answer alike wherever it runs: the test split, or some of train."""
        return self.test.texts or self.train.texts[:_PROOF_ROWS]


@dataclass(frozen=True)
class TrainingConfig:
    """How to train.

    Attributes:
        seed: the same seed, data and thread count give the same model.
        threads: CPU threads to use. A second one gains little, the steps being small, and
            loses much where the machine is busy: threads spin while they wait.
        vocabulary_limit: most word pieces.
        fit: the training loop.
    """

    seed: int = 0
    threads: int = 1
    vocabulary_limit: int = VOCABULARY_LIMIT
    fit: FitConfig = field(default_factory=FitConfig)


@dataclass(frozen=True)
class TrainedModel:
    """A model and what is known about it.

    Attributes:
        labels: in the order of the model's output.
        sequence_length: token ids a row.
        vocabulary_size: token ids lie in [0, vocabulary_size).
        tokenizer_json: content of `tokenizer.json`.
        classifier: token ids to calibrated probabilities.
        temperature: that calibrates it; it is in the classifier already.
        test_measures: on the test split.
        test_probabilities: float32 of shape [test rows, labels].
        validation_measures: on the validation split, which early stopping and calibration saw.
        parameters: what it was trained with, by name.
    """

    labels: tuple[str, ...]
    sequence_length: int
    vocabulary_size: int
    tokenizer_json: str
    classifier: CalibratedClassifier
    temperature: float
    test_measures: Measures
    test_probabilities: npt.NDArray[np.float32]
    validation_measures: Measures
    parameters: Mapping[str, str | int | float]

    def encoder(self) -> TextEncoder:
        """The encoder that the model was trained with."""
        return TextEncoder(self.tokenizer_json, self.sequence_length)

    def probabilities(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """What the classifier answers here; n texts -> float32 [n, labels]."""
        return _probabilities(self.classifier, torch.from_numpy(self.encoder().encode(texts)))


def train(
    examples: TrainingData, config: TrainingConfig, progress: Progress, tracker: Tracker
) -> TrainedModel:
    """Trains, calibrates and measures a model.

    Args:
        examples: what to learn from.
        config: how to.
        progress: told the fraction done; what it raises ends the training.
        tracker: told parameters, curves and measures.

    Raises:
        DataError: there are no training rows (NO_TRAINING_ROWS), fewer than two labels
            (TOO_FEW_LABELS), or texts, labels and weights do not match (ROWS_DO_NOT_MATCH).
    """
    labels = _check(examples)
    progress(0.0, "learning the vocabulary")
    tokenizer = train_tokenizer(examples.train.texts, config.vocabulary_limit)
    length = sequence_length(tokenizer, examples.train.texts)
    encoder = TextEncoder(tokenizer.to_str(), length)
    shape = NetworkConfig(vocabulary_size=tokenizer.get_vocab_size(), labels=len(labels))
    parameters = _parameters(examples, config, shape, length)
    tracker.log_parameters(parameters)
    with reproducible(config.seed, config.threads):
        network = HashedNgramClassifier(shape, spelling_buckets(pieces(tokenizer)))
        _fit(network, examples, config.fit, encoder, labels, progress, tracker)
        progress(0.95, "calibrating")
        classifier = _calibrated(network, _encode(encoder, examples.validation, labels).known())
        validation, _ = _measure(classifier, encoder, examples.validation, labels)
        test, probabilities = _measure(classifier, encoder, examples.test, labels)
    tracker.log_measures("validation", validation)
    tracker.log_measures("test", test)
    progress(1.0, "trained")
    return TrainedModel(
        labels=labels,
        sequence_length=encoder.sequence_length,
        vocabulary_size=tokenizer.get_vocab_size(),
        tokenizer_json=tokenizer.to_str(),
        classifier=classifier,
        temperature=classifier.temperature,
        test_measures=test,
        test_probabilities=probabilities,
        validation_measures=validation,
        parameters=parameters,
    )


def _check(examples: TrainingData) -> tuple[str, ...]:
    """Refuses data that nothing can be learned from; returns the labels, sorted."""
    if not examples.train.texts:
        raise DataError("NO_TRAINING_ROWS", "the training split has no rows")
    for name in ("train", "validation", "test"):
        rows: LabelledTexts = getattr(examples, name)
        if len(rows.texts) != len(rows.labels):
            message = f"{name} has {len(rows.texts)} texts and {len(rows.labels)} labels"
            raise DataError("ROWS_DO_NOT_MATCH", message)
    if examples.weights is not None and len(examples.weights) != len(examples.train.texts):
        message = f"train has {len(examples.train.texts)} texts and {len(examples.weights)} weights"
        raise DataError("ROWS_DO_NOT_MATCH", message)
    labels = tuple(sorted(set(examples.train.labels)))
    if len(labels) < 2:
        message = f"a classifier needs two labels or more, and the training split has {labels}"
        raise DataError("TOO_FEW_LABELS", message)
    return labels


def _fit(
    network: HashedNgramClassifier,
    examples: TrainingData,
    config: FitConfig,
    encoder: TextEncoder,
    labels: tuple[str, ...],
    progress: Progress,
    tracker: Tracker,
) -> None:
    fit(
        network,
        _encode(encoder, examples.train, labels, examples.weights),
        _encode(encoder, examples.validation, labels).known(),
        config,
        lambda done, message: progress(0.05 + 0.9 * done, message),
        tracker.log_epoch,
    )


def _calibrated(network: HashedNgramClassifier, held_out: EncodedRows) -> CalibratedClassifier:
    if not len(held_out):
        return CalibratedClassifier(network, 1.0)
    logits = logits_of(network, held_out.input_ids).numpy()
    return CalibratedClassifier(network, fit_temperature(logits, held_out.targets.numpy()))


def _encode(
    encoder: TextEncoder,
    rows: LabelledTexts,
    labels: tuple[str, ...],
    weights: Sequence[float] | None = None,
) -> EncodedRows:
    """Rows as tensors; a label that training has not seen gets the index -1."""
    index = {label: number for number, label in enumerate(labels)}
    return EncodedRows(
        torch.from_numpy(encoder.encode(rows.texts)).to(torch.int64),
        torch.tensor([index.get(label, -1) for label in rows.labels], dtype=torch.int64),
        torch.ones(len(rows.texts)) if weights is None else torch.tensor(weights).float(),
    )


def _measure(
    classifier: CalibratedClassifier,
    encoder: TextEncoder,
    rows: LabelledTexts,
    labels: tuple[str, ...],
) -> tuple[Measures, npt.NDArray[np.float32]]:
    encoded = _encode(encoder, rows, labels)
    probabilities = _probabilities(classifier, encoded.input_ids)
    return evaluate(probabilities, encoded.targets.numpy()), probabilities


def _probabilities(
    classifier: CalibratedClassifier, input_ids: torch.Tensor
) -> npt.NDArray[np.float32]:
    with torch.no_grad():
        parts = [classifier(piece) for piece in torch.split(input_ids, _ROWS_A_PASS)]
    return cast("npt.NDArray[np.float32]", torch.cat(parts).numpy())


def _parameters(
    examples: TrainingData, config: TrainingConfig, shape: NetworkConfig, length: int
) -> dict[str, str | int | float]:
    return {
        "seed": config.seed,
        "threads": config.threads,
        "train_rows": len(examples.train.texts),
        "validation_rows": len(examples.validation.texts),
        "test_rows": len(examples.test.texts),
        "sequence_length": length,
        **asdict(shape),
        **asdict(config.fit),
    }
