"""The summary of a scoring, and its progress for people."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tidemill_core.counted import counted
from tidemill_jobs.scoring.answers import RowAnswers

CONFIDENCE_BINS = 10


class Summary:
    """Counts of what was answered.

    Args:
        labels: the version's labels.
        abstain_below: predictions with a lower confidence are marked as abstained.
    """

    def __init__(self, labels: Sequence[str], abstain_below: float) -> None:
        self._labels = labels
        self._abstain_below = abstain_below
        self._begin = time.monotonic()
        self._counts = np.zeros(len(labels), np.int64)
        self._bins = np.zeros(CONFIDENCE_BINS, np.int64)
        self._confidence = 0.0
        self._problems: Counter[str] = Counter()
        self._new_rows = 0
        self._begun_at = 0.0
        self.rows = 0
        self.abstained = 0

    def add(self, answers: RowAnswers, *, done: float, kept: bool) -> None:
        """Count the answers to a chunk.

        Args:
            answers: the answers.
            done: the share of the input up to its end.
            kept: whether an earlier run got them.
        """
        answered = answers.labels >= 0
        confidences = answers.confidences[answered].astype(np.float64)
        self._counts += np.bincount(answers.labels[answered], minlength=len(self._labels))
        self._bins += np.histogram(confidences, CONFIDENCE_BINS, (0.0, 1.0))[0]
        self._confidence += float(confidences.sum())
        self._problems.update(problem for problem in answers.problems if problem)
        self.abstained += int((confidences < self._abstain_below).sum())
        self.rows += len(answers.labels)
        if kept:
            self._begun_at = done
        else:
            self._new_rows += len(answers.labels)

    def message(self, done: float) -> str:
        """Return the rows so far, their rate and the time left."""
        seconds = max(time.monotonic() - self._begin, 1e-3)
        rate = self._new_rows / seconds
        left = ""
        if done > self._begun_at and rate > 0:
            left = f", {_duration(seconds * (1 - done) / (done - self._begun_at))} left"
        return f"{counted(self.rows, 'row')}, {rate:,.0f} rows/s{left}"

    def result(self) -> Mapping[str, Any]:
        """Return the summary as JSON values."""
        seconds = time.monotonic() - self._begin
        answered = int(self._counts.sum())
        order = np.argsort(-self._counts, kind="stable")
        return {
            "rows": self.rows,
            "answered": answered,
            "errors": dict(sorted(self._problems.items())),
            "abstained": self.abstained,
            "mean_confidence": self._confidence / answered if answered else None,
            "confidence_counts": self._bins.tolist(),
            "labels": {self._labels[i]: int(self._counts[i]) for i in order if self._counts[i]},
            "kept_rows": self.rows - self._new_rows,
            "seconds": round(seconds, 3),
            "rows_per_second": round(self._new_rows / max(seconds, 1e-3), 1),
        }


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes >= 120:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min" if minutes > 1 else f"{seconds:.0f} s"
