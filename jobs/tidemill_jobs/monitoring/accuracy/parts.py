"""Accuracy of each class, slice and version, from audits alone."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from scipy.special import ndtri

from tidemill_core.domain.interval import CONFIDENCE_LEVEL, wilson
from tidemill_core.storage.audited_predictions import AuditedPrediction
from tidemill_jobs.monitoring.accuracy.guesses import audits_of
from tidemill_jobs.monitoring.accuracy.prediction_powered import audit_estimate

MAX_PARTS = 100
"""The most classes, and the most slices, in a report."""
FEWEST_IN_SLICE = 10
"""Fewest audited predictions of a slice: a rarer attribute may name a person."""
_LENGTHS = (0, 50, 200)
"""Text lengths between which a slice lies, in characters."""

Members = Mapping[str, Sequence[AuditedPrediction]]


@dataclass(frozen=True)
class Baseline:
    """The accuracy of a part before, and the rows that it was measured on."""

    accuracy: float
    rows: int


def by_class(audited: Iterable[AuditedPrediction]) -> Members:
    """Return audited predictions by the people's label."""
    return _grouped((each.label, each) for each in audited)


def by_slice(audited: Iterable[AuditedPrediction]) -> Members:
    """Return the slices with at least FEWEST_IN_SLICE audited predictions."""
    found = _grouped((name, each) for each in audited for name in _slices_of(each))
    return {name: each for name, each in found.items() if len(each) >= FEWEST_IN_SLICE}


def compare(
    kind: str, parts: Members, baselines: Mapping[str, Baseline], max_drop: float
) -> list[dict[str, Any]]:
    """Return what a report says of each part, the worst first.

    `fell` says whether the part's accuracy is lower than its baseline by more than `max_drop`: the
    upper end of the interval of their difference (Newcombe 1998, method 10) is. All parts share
    the error of 5 % (Bonferroni).

    Args:
        kind: the name of the field with the part's name: `label` or `slice`.
        parts: the audited predictions of each.
        baselines: by the part's name; a part without one cannot fall.
        max_drop: how much a part may lose.
    """
    judged = sum(name in baselines for name in parts)
    quantile = float(ndtri(1 - (1 - CONFIDENCE_LEVEL) / 2 / max(1, judged)))
    rows = [
        _compared(kind, name, members, baselines.get(name), max_drop, quantile)
        for name, members in parts.items()
    ]
    return sorted(rows, key=lambda row: (not row["fell"], row["accuracy"]))[:MAX_PARTS]


def _compared(
    kind: str,
    name: str,
    members: Sequence[AuditedPrediction],
    baseline: Baseline | None,
    max_drop: float,
    quantile: float,
) -> dict[str, Any]:
    found = audit_estimate(audits_of(members))
    fell = False
    if baseline is not None:
        _, high = wilson(found.accuracy, found.row_count, quantile)
        low, _ = wilson(baseline.accuracy, baseline.rows, quantile)
        margin = ((high - found.accuracy) ** 2 + (baseline.accuracy - low) ** 2) ** 0.5
        fell = found.accuracy - baseline.accuracy + margin < -max_drop
    return {
        kind: name,
        "accuracy": found.accuracy,
        "low": found.low,
        "high": found.high,
        "row_count": found.row_count,
        "baseline": None if baseline is None else baseline.accuracy,
        "fell": fell,
    }


def _slices_of(prediction: AuditedPrediction) -> Iterable[str]:
    yield f"method={prediction.method}"
    yield f"abstained={str(prediction.abstained).lower()}"
    if prediction.text_length:
        yield _length_slice(prediction.text_length)
    for name, value in prediction.attributes.items():
        yield f"{name}={value}"


def _length_slice(length: int) -> str:
    for low, high in pairwise(_LENGTHS):
        if length <= high:
            return f"texts of {low + 1} to {high} characters"
    return f"texts of more than {_LENGTHS[-1]} characters"


def _grouped(named: Iterable[tuple[str, AuditedPrediction]]) -> Members:
    found: dict[str, list[AuditedPrediction]] = defaultdict(list)
    for name, each in named:
        found[name].append(each)
    return found
