"""The training of a calibrated model on labeled texts."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer

from tidemill_core.model_repository import ReliabilityBin, TrainingRecord
from tidemill_core.rewards import REWARD_LABELS
from tidemill_core.text import TextEncoder
from tidemill_jobs.context import Progress, part
from tidemill_jobs.training.abstain import abstain_below
from tidemill_jobs.training.calibrate import fit_temperature
from tidemill_jobs.training.class_shares import Audits, adapt
from tidemill_jobs.training.classifier import CalibratedClassifier, Classifier, RewardModel
from tidemill_jobs.training.encoded_rows import EncodedRows
from tidemill_jobs.training.evaluate import Measures, evaluate, reliability
from tidemill_jobs.training.fit import answers_of, reproducible, singles
from tidemill_jobs.training.int8 import rounded
from tidemill_jobs.training.labeled_texts import TrainingData
from tidemill_jobs.training.network import Hyperparameters, Lesson, Network, checked, load_network
from tidemill_jobs.training.search import SearchConfig, search
from tidemill_jobs.training.tokenizer import sequence_length
from tidemill_jobs.training.tracking import Tracker
from tidemill_jobs.training.trial import SearchSubject


@dataclass(frozen=True)
class TrainingConfig:
    """The settings of a training.

    Attributes:
        network: the name of the network.
        hyperparameters: those that differ from the network's defaults.
        seed: the same seed, data and number of threads give the same model.
        threads: CPU threads. A second one gains little, because the steps are small, and costs
            much on a busy machine, because threads spin while they wait.
        abstain_for_precision: as in the task's settings.
        search: how to search for better hyperparameters; None for no search.
        int8: whether to round the weights to int8 before the calibration.
        audits: audits by label, whose class shares the model follows; empty for none.
    """

    network: str = "ngram"
    hyperparameters: Hyperparameters = field(default_factory=dict)
    seed: int = 0
    threads: int = 1
    abstain_for_precision: float | None = None
    search: SearchConfig | None = None
    int8: bool = False
    audits: Audits = field(default_factory=dict)

    def record(
        self, values: Hyperparameters, weights: str, odds: Mapping[str, float]
    ) -> TrainingRecord:
        """Return the record of a training with these settings and every hyperparameter."""
        place = self.network, self.seed, self.threads
        return TrainingRecord(*place, values, weights, self.int8, self.audits, odds)


@dataclass(frozen=True)
class TrainedModel:
    """A model and its answers to the test split.

    Attributes:
        record: how it was trained.
        labels: the labels, in the order of the model's output; REWARD_LABELS for a reward model.
        tokenizer: turns texts into pieces.
        encoder: turns texts into token ids, as in training.
        classifier: token ids to calibrated probabilities, or to rewards.
        test_measures: the measures on the test split, without the odds of the record.
        test_probabilities: float32 of shape [test rows, labels]; for a reward model, the rewards of
            its texts: [2 * test rows, 1].
        reliability: of the test split.
        abstain_below: as in the manifest.
        unrounded: the classifier before its weights were rounded to int8; None if they were not.
    """

    record: TrainingRecord
    labels: tuple[str, ...]
    tokenizer: Tokenizer
    encoder: TextEncoder
    classifier: CalibratedClassifier
    test_measures: Measures
    test_probabilities: npt.NDArray[np.float32]
    reliability: tuple[ReliabilityBin, ...]
    abstain_below: float
    unrounded: Classifier | None = None

    @property
    def tokenizer_json(self) -> str:
        """The content of `tokenizer.json`."""
        return self.tokenizer.to_str()

    @property
    def vocabulary_size(self) -> int:
        """The number of token ids."""
        return self.tokenizer.get_vocab_size()

    @property
    def sequence_length(self) -> int:
        """Token ids per row."""
        return self.encoder.sequence_length

    @property
    def temperature(self) -> float:
        """The classifier's temperature."""
        return self.classifier.temperature

    def probabilities(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return the classifier's answers to n texts: float32 [n, labels]."""
        input_ids = torch.from_numpy(self.encoder.encode(texts))
        return cast("npt.NDArray[np.float32]", answers_of(self.classifier, input_ids).numpy())


@dataclass(frozen=True)
class _Prepared:
    """The splits, encoded for a network; `labels` are those of the model."""

    labels: tuple[str, ...]
    tokenizer: Tokenizer
    encoder: TextEncoder
    train: EncodedRows
    validation: EncodedRows
    test: EncodedRows

    @property
    def lesson(self) -> Lesson:
        return Lesson(self.tokenizer, len(self.labels), self.train, self.validation.known())

    def sizes(self) -> dict[str, int]:
        """Return the sizes that a tracker logs."""
        return {
            "train_rows": len(self.train),
            "validation_rows": len(self.validation),
            "test_rows": len(self.test),
            "labels": len(self.labels),
            "vocabulary_size": self.tokenizer.get_vocab_size(),
            "sequence_length": self.encoder.sequence_length,
        }


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
        ConfigurationError: as `load_network` and `checked`.
    """
    labels, network = examples.labels(), load_network(config.network)
    progress(0.0, "learning the vocabulary")
    rows = _prepare(examples, labels, network)
    values = {**network.defaults, **checked(config.hyperparameters, config.network, network)}
    with reproducible(config.seed, config.threads):
        learner = network.prepare(rows.lesson, part(progress, 0.05, 0.2))
    if config.search is not None and len(rows.lesson.held_out):
        held_out = rows.lesson.held_out
        subject = SearchSubject(network, learner, held_out, config.seed, config.threads)
        values |= search(subject, config.search, part(progress, 0.2, 0.8), tracker)
    sizes = {**rows.sizes(), "seed": config.seed, "threads": config.threads}
    tracker.log_parameters({"network": config.network, "int8": config.int8, **sizes, **values})
    with reproducible(config.seed, config.threads):
        learned = learner(values, part(progress, 0.8, 0.95), tracker.log_metrics)
        progress(0.95, "calibrating")
        served = rounded(learned) if config.int8 else learned
        kind = RewardModel if examples.are_pairs else CalibratedClassifier
        classifier = kind(served, _temperature(served, rows.lesson.held_out))
        model = _measured(classifier, rows, config, values, tracker)
    progress(1.0, "trained")
    return replace(model, unrounded=learned if config.int8 else None)


def _prepare(examples: TrainingData, labels: tuple[str, ...], network: Network) -> _Prepared:
    texts, are_pairs = examples.texts_of(examples.train), examples.are_pairs
    tokenizer = network.tokenizer(texts)
    encoder = TextEncoder(tokenizer.to_str(), sequence_length(tokenizer, texts))
    train, validation, test = (
        split.encode_pairs(encoder) if are_pairs else split.encode(encoder, labels)
        for split in (examples.train, examples.validation, examples.test)
    )
    answered = REWARD_LABELS if are_pairs else labels
    return _Prepared(answered, tokenizer, encoder, train, validation, test)


def _temperature(classifier: Classifier, held_out: EncodedRows) -> float:
    """Return the temperature that calibrates a classifier; 1 without held-out rows."""
    if not len(held_out):
        return 1.0
    logits = answers_of(classifier, held_out.input_ids).numpy()
    return fit_temperature(logits, held_out.targets.numpy())


def _probabilities(classifier: CalibratedClassifier, rows: EncodedRows) -> npt.NDArray[np.float32]:
    """Return the probability of each label of each row; of pairs, that of each answer."""
    answers = answers_of(classifier, rows.input_ids)
    if isinstance(classifier, RewardModel):
        answers = torch.softmax(answers, dim=1)
    return cast("npt.NDArray[np.float32]", answers.numpy())


def _log_final(measures: Mapping[str, Measures], tracker: Tracker) -> None:
    for name, found in measures.items():
        logged = {f"final_{name}_{measure}": value for measure, value in asdict(found).items()}
        tracker.log_metrics(logged)


def _measured(
    classifier: CalibratedClassifier,
    rows: _Prepared,
    config: TrainingConfig,
    values: Hyperparameters,
    tracker: Tracker,
) -> TrainedModel:
    """Return the model with what its answers to the held-out splits show."""
    splits = {"validation": rows.validation, "test": rows.test}
    answers = {name: _probabilities(classifier, split) for name, split in splits.items()}
    targets = {name: split.targets.numpy() for name, split in splits.items()}
    measures = {name: evaluate(answers[name], targets[name]) for name in splits}
    _log_final(measures, tracker)
    adapted, label_odds = adapt(classifier, rows.labels, rows.train.input_ids, config.audits)
    served = _probabilities(adapted, rows.test)
    if rows.labels == REWARD_LABELS:
        served = answers_of(classifier, singles(rows.test.input_ids)).numpy()
    held_out = np.concatenate(list(answers.values())), np.concatenate(list(targets.values()))
    return TrainedModel(
        record=config.record(values, adapted.fingerprint(), label_odds),
        labels=rows.labels,
        tokenizer=rows.tokenizer,
        encoder=rows.encoder,
        classifier=adapted,
        test_measures=measures["test"],
        test_probabilities=served,
        reliability=reliability(answers["test"], targets["test"]),
        abstain_below=abstain_below(*held_out, config.abstain_for_precision, label_odds.values()),
    )
