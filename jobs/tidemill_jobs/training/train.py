"""The training of a calibrated model on labeled texts."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import cast

import numpy as np
import numpy.typing as npt
import torch

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
from tidemill_jobs.training.labeled_texts import TrainingData
from tidemill_jobs.training.network import (
    CalibratedClassifier,
    HashedNgramClassifier,
    NetworkConfig,
    spelling_buckets,
)
from tidemill_jobs.training.tokenizer import pieces, sequence_length, train_tokenizer
from tidemill_jobs.training.tracking import Tracker

_ROWS_A_PASS = 512


@dataclass(frozen=True)
class TrainingConfig:
    """The settings of a training.

    Attributes:
        seed: the same seed, data and number of threads give the same model.
        threads: CPU threads. A second one gains little, because the steps are small, and costs
            much on a busy machine, because threads spin while they wait.
        fit: the training loop.
    """

    seed: int = 0
    threads: int = 1
    fit: FitConfig = field(default_factory=FitConfig)


@dataclass(frozen=True)
class TrainedModel:
    """A model and its answers to the test split.

    Attributes:
        labels: the labels, in the order of the model's output.
        tokenizer_json: the content of `tokenizer.json`.
        encoder: turns texts into token ids, as in training.
        classifier: token ids to calibrated probabilities.
        test_measures: the measures on the test split.
        test_probabilities: float32 of shape [test rows, labels].
    """

    labels: tuple[str, ...]
    tokenizer_json: str
    encoder: TextEncoder
    classifier: CalibratedClassifier
    test_measures: Measures
    test_probabilities: npt.NDArray[np.float32]

    @property
    def sequence_length(self) -> int:
        """Token ids per row."""
        return self.encoder.sequence_length

    @property
    def vocabulary_size(self) -> int:
        """The number of token ids."""
        return self.classifier.network.config.vocabulary_size

    @property
    def temperature(self) -> float:
        """The classifier's temperature."""
        return self.classifier.temperature

    def probabilities(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return the classifier's answers to n texts: float32 [n, labels]."""
        return _probabilities(self.classifier, torch.from_numpy(self.encoder.encode(texts)))


def train(
    examples: TrainingData, config: TrainingConfig, progress: Progress, tracker: Tracker
) -> TrainedModel:
    """Train, calibrate and measure a model.

    Args:
        examples: the splits.
        config: the settings.
        progress: receives the fraction done; what it raises ends the training.
        tracker: receives parameters, curves and measures.

    Raises:
        DataError: as `TrainingData.labels`.
    """
    labels = examples.labels()
    progress(0.0, "learning the vocabulary")
    tokenizer = train_tokenizer(examples.train.texts)
    encoder = TextEncoder(tokenizer.to_str(), sequence_length(tokenizer, examples.train.texts))
    shape = NetworkConfig(vocabulary_size=tokenizer.get_vocab_size(), labels=len(labels))
    tracker.log_parameters(_parameters(examples, config, shape, encoder.sequence_length))
    held_out = examples.validation.encode(encoder, labels)
    with reproducible(config.seed, config.threads):
        network = HashedNgramClassifier(shape, spelling_buckets(pieces(tokenizer)))
        rows = examples.train.encode(encoder, labels)
        classifier = _fit(network, rows, held_out.known(), config.fit, progress, tracker)
        validation, _ = _measure(classifier, held_out)
        test, probabilities = _measure(classifier, examples.test.encode(encoder, labels))
    for split, measures in (("validation", validation), ("test", test)):
        named = {f"final_{split}_{name}": value for name, value in asdict(measures).items()}
        tracker.log_metrics(named)
    progress(1.0, "trained")
    return TrainedModel(labels, tokenizer.to_str(), encoder, classifier, test, probabilities)


def _fit(
    network: HashedNgramClassifier,
    rows: EncodedRows,
    held_out: EncodedRows,
    config: FitConfig,
    progress: Progress,
    tracker: Tracker,
) -> CalibratedClassifier:
    """Fit and calibrate a network; without held-out rows its temperature is 1."""

    def fitting(done: float, message: str) -> None:
        progress(0.05 + 0.9 * done, message)

    fit(network, rows, held_out, config, fitting, tracker.log_metrics)
    progress(0.95, "calibrating")
    if not len(held_out):
        return CalibratedClassifier(network, 1.0)
    logits = logits_of(network, held_out.input_ids).numpy()
    return CalibratedClassifier(network, fit_temperature(logits, held_out.targets.numpy()))


def _measure(
    classifier: CalibratedClassifier, rows: EncodedRows
) -> tuple[Measures, npt.NDArray[np.float32]]:
    probabilities = _probabilities(classifier, rows.input_ids)
    return evaluate(probabilities, rows.targets.numpy()), probabilities


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
