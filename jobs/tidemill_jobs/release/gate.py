"""The gate, which decides whether a candidate may answer.

It judges on the hold-out of the sources only. Corrections are the champion's own mistakes, so every
challenger would win on them: they train and do not judge.
"""

from dataclasses import dataclass

from tidemill_core.settings import GateSettings
from tidemill_jobs.training.evaluate import Measures

MIN_ROWS = 30
"""A first model passes unjudged on fewer rows, because no other model could answer."""
_ROUNDING = 1e-9
"""The rounding error of a difference between two accuracies; one row is worth far more."""


@dataclass(frozen=True)
class GateDecision:
    """Whether a candidate may answer, and the reason, for people."""

    passed: bool
    reason: str


def judge_first(candidate: Measures, majority_share: float) -> GateDecision:
    """Judge a candidate without a champion to compare it with.

    Args:
        candidate: its measures on the hold-out.
        majority_share: the share of the hold-out's most common label, in [0, 1].
    """
    if candidate.n < MIN_ROWS:
        too_few = f"{candidate.n} hold-out rows are too few to judge on"
        return GateDecision(True, f"no champion to compare with, and {too_few}")
    measured = f"accuracy {candidate.accuracy:.4f} on {candidate.n} hold-out rows"
    if candidate.accuracy <= majority_share:
        always = f"always answering the most common label gives {majority_share:.4f}"
        return GateDecision(False, f"{measured}, but {always}")
    return GateDecision(True, f"no champion to compare with; {measured}")


def judge_challenger(
    candidate: Measures, champion: Measures, settings: GateSettings
) -> GateDecision:
    """Judge a candidate against the champion, both measured on the same hold-out rows."""
    if not candidate.n:
        return GateDecision(False, "the dataset has no hold-out rows to judge on")
    compared = (
        f"accuracy {candidate.accuracy:.4f} against the champion's {champion.accuracy:.4f} "
        f"on {candidate.n} hold-out rows"
    )
    if champion.accuracy - candidate.accuracy > settings.max_accuracy_drop + _ROUNDING:
        allowed = f"at most {settings.max_accuracy_drop:g} less is allowed"
        return GateDecision(False, f"{compared}; {allowed}")
    if candidate.n < MIN_ROWS:
        return GateDecision(True, f"{compared}, which are too few to be sure")
    return GateDecision(True, compared)
