"""The trial of a candidate: what the gates ask about it, the champion and the hold-out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from tidemill_core.counted import counted
from tidemill_core.domain.label_names import Renames, current
from tidemill_core.domain.model import MODEL_FILES, ModelVersion, model_name
from tidemill_core.errors import TidemillError
from tidemill_core.model_repository import ModelManifest, ModelRepository
from tidemill_core.rewards import PAIR_LABELS
from tidemill_core.settings import GateSettings
from tidemill_core.text import TextEncoder
from tidemill_core.triton.control import TritonControl
from tidemill_jobs.release.candidate import Candidate, Probabilities
from tidemill_jobs.release.serving import Serving
from tidemill_jobs.training.class_shares import without_odds
from tidemill_jobs.training.labeled_texts import TrainingData

_ROWS_A_CALL = 64


@dataclass(frozen=True)
class TaskLimits:
    """What a task asks of its versions.

    Attributes:
        gate: the gates' settings.
        max_p99_latency_ms: the latency objective.
        near_duplicate_similarity: the similarity from which two texts are near duplicates.
        golden_examples: a CSV file of examples that must be right; None if the task has none.
        renames: new names of labels by the old ones, with which the champion may answer.
    """

    gate: GateSettings
    max_p99_latency_ms: float
    near_duplicate_similarity: float
    golden_examples: Path | None = None
    renames: Renames = field(default_factory=dict)


class WrongLabelCount(TidemillError):
    """A model whose output has another number of labels than its manifest."""

    reason = "WRONG_LABEL_COUNT"

    def __init__(self, name: str, found: int, expected: int) -> None:
        super().__init__(
            f"{name} answers with {counted(found, 'number')}, but its manifest has "
            f"{counted(expected, 'label')}"
        )


@dataclass(frozen=True)
class LabeledAnswers:
    """A version's answers to labeled texts.

    Attributes:
        labels: the labels, in the order of the columns.
        probabilities: float32 of shape [n, labels].
        targets: the index of each text's label, shape [n]; -1 for a label that it does not have.
    """

    labels: Sequence[str]
    probabilities: Probabilities
    targets: npt.NDArray[np.int64]

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """The index of the likeliest label, shape [n]."""
        indices: npt.NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return indices

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """Whether it is the text's label, shape [n]."""
        right: npt.NDArray[np.bool_] = self.predicted == self.targets
        return right


@dataclass(frozen=True)
class PublishedModel:
    """A version as a front serves it: its published files, and Triton.

    Raises:
        DataError: its manifest or its tokenizer is damaged.
        ModelVersionNotServed: Triton does not serve it.
        ModelOutputInvalid: its answers are not probabilities, such as NaN.
        WrongLabelCount: its answers have another number of labels than its manifest.
        TritonUnavailable: Triton is away.
    """

    version: ModelVersion
    repository: ModelRepository
    triton: TritonControl

    @property
    def name(self) -> str:
        """The model's name in Triton."""
        return model_name(self.version.task, self.version.model_format)

    @property
    def file(self) -> Path:
        """The model's file."""
        version = self.version
        folder = self.repository.folder(version.task, version.model_format, version.version)
        return folder / MODEL_FILES[version.model_format]

    @cached_property
    def manifest(self) -> ModelManifest:
        """Its manifest."""
        version = self.version
        return self.repository.manifest(version.task, version.model_format, version.version)

    @cached_property
    def encoder(self) -> TextEncoder:
        """The encoder of its texts."""
        version = self.version
        return self.repository.encoder(version.task, version.model_format, version.version)

    def infer(self, input_ids: npt.NDArray[np.int32]) -> Probabilities:
        """Answer encoded rows in one call."""
        return self.triton.infer(self.name, self.version.version, input_ids)

    def answer_hold_out(self, texts: Sequence[str]) -> Probabilities:
        """Answer texts of the hold-out as if their classes were as common as in training.

        The hold-out is as old as the training rows, and a model may follow the class shares of
        today's traffic.
        """
        found, record = self.answer(texts), self.manifest.training
        if record is None or not record.odds:
            return found
        odds = np.array([record.odds[label] for label in self.manifest.labels], np.float32)
        return without_odds(found, odds)

    def answer(self, texts: Sequence[str]) -> Probabilities:
        """Answer texts: float32 [n, labels]."""
        starts = range(0, len(texts), _ROWS_A_CALL)
        parts = [self.infer(self.encoder.encode(texts[i : i + _ROWS_A_CALL])) for i in starts]
        labels = len(self.manifest.labels)
        answers = np.concatenate(parts or [np.zeros((0, labels), np.float32)])
        if answers.shape[1] != labels:
            raise WrongLabelCount(self.name, answers.shape[1], labels)
        return answers


@dataclass(frozen=True)
class Trial:
    """The evidence that the gates share. What Triton answers is asked for once, when needed.

    Attributes:
        serving: the versions' catalog, their files, and Triton.
        candidate: what is judged.
        champion: the champion; None if there is none, or its files are damaged: then Triton cannot
            load it, so a candidate need not be better.
        data: the rows of the dataset version.
        slices: parts of the test split, each as whether a row is in it: [n].
        traffic: recent texts of callers, the newest first.
        limits: what the task asks of its versions.
    """

    serving: Serving
    candidate: Candidate
    champion: ModelVersion | None
    data: TrainingData
    slices: Mapping[str, npt.NDArray[np.bool_]]
    traffic: Sequence[str]
    limits: TaskLimits

    @cached_property
    def published(self) -> PublishedModel:
        """The candidate as a front serves it."""
        return self._published(self.candidate.version)

    @cached_property
    def published_champion(self) -> PublishedModel | None:
        """The champion as a front serves it."""
        return None if self.champion is None else self._published(self.champion)

    @cached_property
    def answers(self) -> LabeledAnswers:
        """The candidate's answers to the test split, through Triton."""
        return self._answers(self.published, {})

    @cached_property
    def champion_answers(self) -> LabeledAnswers | None:
        """The champion's answers to the test split, with its labels under their current names."""
        champion = self.published_champion
        return None if champion is None else self._answers(champion, self.limits.renames)

    def _published(self, version: ModelVersion) -> PublishedModel:
        return PublishedModel(version, self.serving.repository, self.serving.triton)

    def _answers(self, model: PublishedModel, renames: Renames) -> LabeledAnswers:
        labels, test = model.manifest.labels, self.data.test
        if self.data.are_pairs:
            return self._choices(model)
        named, probabilities = _renamed(labels, model.answer_hold_out(test.texts), renames)
        index = {label: number for number, label in enumerate(named)}
        targets = np.array([index.get(label, -1) for label in test.labels], dtype=np.int64)
        return LabeledAnswers(named, probabilities, targets)

    def _choices(self, model: PublishedModel) -> LabeledAnswers:
        """Return which answer of each pair a reward model finds better, and how surely."""
        test = self.data.test
        rewards = np.hstack([model.answer(side) for side in test.sides()])
        targets = np.array([PAIR_LABELS.index(label) for label in test.labels], dtype=np.int64)
        return LabeledAnswers(PAIR_LABELS, softmax(rewards, axis=1), targets)


def _renamed(
    labels: Sequence[str], probabilities: Probabilities, renames: Renames
) -> tuple[Sequence[str], Probabilities]:
    """Return the current names of labels, each once, and their probabilities: [texts, names].

    The probabilities of merged labels are added.
    """
    names = [current(label, renames) for label in labels]
    once = list(dict.fromkeys(names))
    summed = np.zeros((len(probabilities), len(once)), np.float32)
    for name, column in zip(names, probabilities.T, strict=True):
        summed[:, once.index(name)] += column
    return once, summed
