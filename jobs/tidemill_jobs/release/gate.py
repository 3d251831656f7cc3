"""The gate: may a candidate answer?

It judges on the source hold-out alone. Corrections are the champion's own mistakes, so any
challenger would win on them; they train, they do not judge.
"""

from dataclasses import dataclass

from tidemill_core.settings import GateSettings
from tidemill_jobs.training.evaluate import Measures

MIN_ROWS = 30
"""On fewer rows a first model is let pass unjudged: there is nobody who would answer else."""
_ROUNDING = 1e-9
"""Of differences between shares of rows; a row is worth far more."""


@dataclass(frozen=True)
class GateDecision:
    """What the gate decided.

    Attributes:
        passed: the candidate may answer.
        reason: why, for people.
    """

    passed: bool
    reason: str


def judge_first(candidate: Measures, majority_share: float) -> GateDecision:
    """Judge where there is no champion to compare with: a first model, say.

    Args:
        candidate: on the hold-out.
        majority_share: of the hold-out's commonest label, in [0, 1].
    """
    if candidate.n < MIN_ROWS:
        too_few = f"{candidate.n} hold-out rows are too few to judge on"
        return GateDecision(True, f"no champion to compare with, and {too_few}")
    found = f"accuracy {candidate.accuracy:.4f} on {candidate.n} hold-out rows"
    if candidate.accuracy <= majority_share:
        always = f"always answering the commonest label gives {majority_share:.4f}"
        return GateDecision(False, f"{found}, and {always}")
    return GateDecision(True, f"no champion to compare with; {found}")


def judge_challenger(
    candidate: Measures, champion: Measures, settings: GateSettings
) -> GateDecision:
    """Judge a candidate against the champion, both on the same hold-out rows."""
    if not candidate.n:
        return GateDecision(False, "the dataset has no hold-out rows to judge on")
    compared = (
        f"accuracy {candidate.accuracy:.4f} against the champion's {champion.accuracy:.4f} "
        f"on {candidate.n} hold-out rows"
    )
    if champion.accuracy - candidate.accuracy > settings.max_accuracy_drop + _ROUNDING:
        return GateDecision(
            False, f"{compared}; at most {settings.max_accuracy_drop:g} less is allowed"
        )
    if candidate.n < MIN_ROWS:
        return GateDecision(True, f"{compared}, which are too few to tell much")
    return GateDecision(True, compared)
