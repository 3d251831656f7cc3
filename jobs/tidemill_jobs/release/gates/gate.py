"""What a gate is, and what it finds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from tidemill_core.domain.gate import GateVerdict
from tidemill_jobs.release.trial import Trial

MIN_ROWS = 30
"""The fewest hold-out rows for a conclusion on all of them, or on one class."""


@dataclass(frozen=True)
class Finding:
    """What a gate found: a `GateResult` without the gate's name."""

    verdict: GateVerdict
    reason: str
    figure: float | None = None
    threshold: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


class Gate(Protocol):
    """One check of a candidate.

    Raises:
        TritonUnavailable: Triton is away; the trial is repeated.
        TidemillError: the evidence that the gate needs is missing, so the candidate fails it.
    """

    def __call__(self, trial: Trial) -> Finding:
        """Judge a candidate."""


NO_CLASSES = Finding(
    GateVerdict.NOT_APPLICABLE, "the task has preference pairs, and its models have no classes"
)
"""What gates on classes find about a reward model."""


def not_applicable(reason: str) -> Finding:
    """Return the finding that there is nothing to judge."""
    return Finding(GateVerdict.NOT_APPLICABLE, reason)


def limit(
    figure: float, threshold: float, reason: str, details: Mapping[str, Any] | None = None
) -> Finding:
    """Return PASSED if the figure is at most the threshold, otherwise FAILED (for NaN too)."""
    verdict = GateVerdict.PASSED if figure <= threshold else GateVerdict.FAILED
    return Finding(verdict, reason, figure, threshold, details or {})
