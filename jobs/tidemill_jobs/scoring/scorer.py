"""The answers of one version to rows, straight from Triton."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import stamina

from tidemill_core.counted import counted
from tidemill_core.domain.model import ModelVersion, model_name
from tidemill_core.errors import (
    DataError,
    DeadlineExceeded,
    ModelOutputInvalid,
    ModelVersionNotServed,
    NoChampion,
    NoClasses,
    TritonUnavailable,
    VersionNotLoaded,
)
from tidemill_core.model_repository import ModelRepository
from tidemill_core.settings import TaskSettings
from tidemill_core.storage.models import ModelStore
from tidemill_core.text import TextEncoder
from tidemill_core.text_rules import text_problem
from tidemill_core.triton.control import TritonControl
from tidemill_jobs.scoring.answers import RowAnswers
from tidemill_jobs.scoring.reading.row import Row
from tidemill_jobs.scoring.turns import CALLS_IN_PROGRESS, LARGE_ROWS, SharedTurns, SmallTurns

_RETRY_SECONDS = 60.0
_CALL_SECONDS = 30.0
_UNANSWERED = -1
_SMALLEST_FAILURE = 16
"""From that many rows on, rows that all fail show that the version fails, and not a row."""


def asked_version(models: ModelStore, task: str, version: int) -> ModelVersion:
    """Return a version; for 0 the champion.

    Raises:
        NotFound: there is no such version.
        NoChampion: the task has no champion.
    """
    if version:
        return models.get(task, version)
    deployment = models.deployment(task)
    if deployment is None:
        raise NoChampion(task)
    return models.get(task, deployment.champion)


@dataclass(frozen=True)
class ServedVersion:
    """A version as Triton serves it.

    Attributes:
        number: its number.
        name: its model's name in Triton.
        labels: in the order of the model's output.
        abstain_below: predictions with a lower confidence are marked as abstained.
        encoder: of its texts.
    """

    task: str
    number: int
    name: str
    labels: Sequence[str]
    abstain_below: float
    encoder: TextEncoder


def served_version(
    version: ModelVersion, repository: ModelRepository, settings: TaskSettings
) -> ServedVersion:
    """Read what is needed to ask a version.

    Raises:
        NoClasses: the task's models have no classes.
        DataError: its files are missing or damaged.
    """
    if settings.kind == "preference":
        raise NoClasses(version.task)
    place = (version.task, version.model_format, version.version)
    manifest = repository.manifest(*place)
    return ServedVersion(
        task=version.task,
        number=version.version,
        name=model_name(version.task, version.model_format),
        labels=manifest.labels,
        abstain_below=max(settings.abstain_below, manifest.abstain_below),
        encoder=repository.encoder(*place),
    )


@dataclass(frozen=True)
class Pending:
    """The answers to some rows, which are not there yet.

    Attributes:
        problems: the rule that each row breaks; empty for rows that are asked about.
        calls: the likeliest label of these rows and its probability, in parts.
    """

    problems: list[str]
    calls: Sequence[Future[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]]]


class Scorer:
    """Asks Triton for the answers of one version; a context manager that ends its threads.

    Attributes:
        ahead: chunks to ask about while an earlier one is written.
    """

    ahead = 2

    def __init__(
        self,
        version: ServedVersion,
        triton: TritonControl,
        turns: SharedTurns | SmallTurns,
        max_text_length: int,
    ) -> None:
        self.version = version
        self._triton = triton
        self._turns = turns
        self._max_text_length = max_text_length
        self._threads = ThreadPoolExecutor(CALLS_IN_PROGRESS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)

    def begin(self, rows: Sequence[Row]) -> Pending:
        """Start to ask about rows."""
        problems = [row.problem or self._problem(row.text) for row in rows]
        texts = [row.text for row, problem in zip(rows, problems, strict=True) if not problem]
        starts = range(0, len(texts), LARGE_ROWS)
        calls = [self._threads.submit(self._answer, texts[i : i + LARGE_ROWS]) for i in starts]
        return Pending(problems, calls)

    def finish(self, pending: Pending) -> RowAnswers:
        """Return the answers, once all are there.

        Raises:
            VersionNotLoaded: Triton does not serve the version.
            ModelOutputInvalid: the version answers nothing valid.
            TritonUnavailable: Triton is away for a minute.
        """
        found = [call.result() for call in pending.calls]
        best = np.concatenate([part for part, _ in found] or [np.zeros(0, np.int64)])
        sure = np.concatenate([part for _, part in found] or [np.zeros(0, np.float32)])
        answered = np.array([not problem for problem in pending.problems], dtype=bool)
        labels = np.full(len(answered), _UNANSWERED, np.int64)
        confidences = np.zeros(len(answered), np.float32)
        labels[answered], confidences[answered] = best, sure
        problems = [
            ModelOutputInvalid.reason if not problem and label == _UNANSWERED else problem
            for problem, label in zip(pending.problems, labels.tolist(), strict=True)
        ]
        return RowAnswers(labels, confidences, problems)

    def _problem(self, text: str) -> str:
        found = text_problem(text, self._max_text_length)
        return "" if found is None else found[0]

    def _answer(
        self, texts: Sequence[str]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Return the likeliest label of each text, or _UNANSWERED, and its probability."""
        ids = self.version.encoder.encode(texts)
        best = np.full(len(ids), _UNANSWERED, np.int64)
        sure = np.zeros(len(ids), np.float32)
        start = 0
        while start < len(ids):
            with self._turns.turn() as rows:
                part = slice(start, start + rows)
                self._infer(ids[part], best[part], sure[part])
            start += rows
        return best, sure

    def _infer(
        self,
        ids: npt.NDArray[np.int32],
        best: npt.NDArray[np.int64],
        sure: npt.NDArray[np.float32],
    ) -> None:
        """Ask about rows; in halves if a call fails because of one of them."""
        try:
            probabilities = self._ask(ids)
        except ModelOutputInvalid:
            if len(ids) == 1:
                return
            half = len(ids) // 2
            for part in (slice(half), slice(half, None)):
                self._infer(ids[part], best[part], sure[part])
            if len(ids) >= _SMALLEST_FAILURE and (best == _UNANSWERED).all():
                raise
            return
        best[:] = probabilities.argmax(axis=1)
        sure[:] = probabilities.max(axis=1)

    def _ask(self, ids: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        version = self.version
        away = (TritonUnavailable, DeadlineExceeded)
        for attempt in stamina.retry_context(on=away, attempts=None, timeout=_RETRY_SECONDS):
            with attempt:
                try:
                    found = self._triton.infer(version.name, version.number, ids, _CALL_SECONDS)
                except ModelVersionNotServed as error:
                    advice = "choose the champion, a canary or the champion before"
                    raise VersionNotLoaded(version.task, version.number, advice) from error
        if found.shape[1] != len(version.labels):
            numbers = counted(found.shape[1], "number")
            detail = f"{numbers} instead of {counted(len(version.labels), 'label')}"
            raise DataError("WRONG_LABEL_COUNT", f"{version.name} answers with {detail}")
        return found
