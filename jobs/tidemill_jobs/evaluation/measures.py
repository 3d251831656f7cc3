"""The measures of one version on labeled rows."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tidemill_core.domain.confusion import Confusion, measures_of_classes
from tidemill_core.domain.interval import wilson
from tidemill_jobs.training.evaluate import calibration_error, reliability

WORST_ERRORS = 20


@dataclass(frozen=True)
class Judged:
    """A version's answers to labeled rows, all in the same order.

    Attributes:
        labels: the right label of each row.
        answers: the label that the version gave.
        confidences: its confidence, in [0, 1]: [n].
        origins: the place of each row.
    """

    labels: Sequence[str]
    answers: Sequence[str]
    confidences: npt.NDArray[np.float32]
    origins: Sequence[str]

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """Whether each answer is right: [n]."""
        pairs = zip(self.labels, self.answers, strict=True)
        return np.array([label == answer for label, answer in pairs], dtype=bool)


def measures_of(judged: Judged, abstain_below: float) -> Mapping[str, Any]:
    """Return the measures as JSON values.

    Args:
        judged: at least one row.
        abstain_below: answers with a lower confidence are marked as abstained.
    """
    right, rows = judged.right, len(judged.labels)
    low, high = wilson(float(right.mean()), rows)
    pairs = Counter(zip(judged.labels, judged.answers, strict=True))
    confusion = [Confusion(*pair, count) for pair, count in sorted(pairs.items())]
    classes = measures_of_classes(confusion)
    # As if there were one class: its probability is the confidence.
    bins = reliability(judged.confidences[:, None], np.where(right, 0, -1))
    answered = judged.confidences >= abstain_below
    return {
        "accuracy": float(right.mean()),
        "accuracy_low": low,
        "accuracy_high": high,
        "macro_f1": float(np.mean([each.f1 for each in classes])),
        "expected_calibration_error": calibration_error(bins),
        "mean_confidence": float(judged.confidences.mean()),
        "abstained": int((~answered).sum()),
        "accuracy_without_abstained": float(right[answered].mean()) if answered.any() else None,
        "classes": [asdict(each) for each in classes],
        "confusion": [asdict(each) for each in confusion],
        "reliability": [asdict(each) for each in bins if each.n],
        "worst_errors": _worst(judged, right),
    }


def _worst(judged: Judged, right: npt.NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Return the wrong answers with the highest confidence. Texts are only in the input."""
    wrong = np.flatnonzero(~right)
    order = wrong[np.argsort(-judged.confidences[wrong], kind="stable")][:WORST_ERRORS]
    return [
        {
            "origin": judged.origins[row],
            "label": judged.labels[row],
            "answer": judged.answers[row],
            "confidence": float(judged.confidences[row]),
        }
        for row in order.tolist()
    ]
