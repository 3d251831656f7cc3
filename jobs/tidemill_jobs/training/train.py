"""The use case: labelled texts in, a calibrated model with its measures out."""

from collections.abc import Mapping, Sequence
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
from tidemill_jobs.training.labelled_texts import TrainingData
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

_ROWS_A_PASS = 512


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
        tokenizer_json: content of `tokenizer.json`.
        encoder: turns texts into token ids, as in training.
        classifier: token ids to calibrated probabilities.
        test_measures: on the test split.
        test_probabilities: float32 of shape [test rows, labels].
        validation_measures: on the validation split, which early stopping and calibration saw.
        parameters: what it was trained with, by name.
    """

    labels: tuple[str, ...]
    tokenizer_json: str
    encoder: TextEncoder
    classifier: CalibratedClassifier
    test_measures: Measures
    test_probabilities: npt.NDArray[np.float32]
    validation_measures: Measures
    parameters: Mapping[str, str | int | float]

    @property
    def sequence_length(self) -> int:
        """Token ids a row."""
        return self.encoder.sequence_length

    @property
    def vocabulary_size(self) -> int:
        """Token ids lie in [0, vocabulary_size)."""
        return self.classifier.network.config.vocabulary_size

    @property
    def temperature(self) -> float:
        """The temperature that calibrates the classifier, which has it already."""
        return self.classifier.temperature

    def probabilities(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return what the classifier answers here; n texts -> float32 [n, labels]."""
        return _probabilities(self.classifier, torch.from_numpy(self.encoder.encode(texts)))


def train(
    examples: TrainingData, config: TrainingConfig, progress: Progress, tracker: Tracker
) -> TrainedModel:
    """Train, calibrate and measure a model.

    Args:
        examples: what to learn from.
        config: how to.
        progress: receives the fraction done; what it raises ends the training.
        tracker: receives parameters, curves and measures.

    Raises:
        DataError: as `TrainingData.labels`.
    """
    labels = examples.labels()
    progress(0.0, "learning the vocabulary")
    tokenizer = train_tokenizer(examples.train.texts, config.vocabulary_limit)
    encoder = TextEncoder(tokenizer.to_str(), sequence_length(tokenizer, examples.train.texts))
    shape = NetworkConfig(vocabulary_size=tokenizer.get_vocab_size(), labels=len(labels))
    parameters = _parameters(examples, config, shape, encoder.sequence_length)
    tracker.log_parameters(parameters)
    held_out = examples.validation.encode(encoder, labels)
    with reproducible(config.seed, config.threads):
        network = HashedNgramClassifier(shape, spelling_buckets(pieces(tokenizer)))
        rows = examples.train.encode(encoder, labels)
        fit(
            network,
            rows,
            held_out.known(),
            config.fit,
            lambda done, message: progress(0.05 + 0.9 * done, message),
            tracker.log_epoch,
        )
        progress(0.95, "calibrating")
        classifier = _calibrated(network, held_out.known())
        validation, _ = _measure(classifier, held_out)
        test, probabilities = _measure(classifier, examples.test.encode(encoder, labels))
    tracker.log_measures("validation", validation)
    tracker.log_measures("test", test)
    progress(1.0, "trained")
    return TrainedModel(
        labels=labels,
        tokenizer_json=tokenizer.to_str(),
        encoder=encoder,
        classifier=classifier,
        test_measures=test,
        test_probabilities=probabilities,
        validation_measures=validation,
        parameters=parameters,
    )


def _calibrated(network: HashedNgramClassifier, held_out: EncodedRows) -> CalibratedClassifier:
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
