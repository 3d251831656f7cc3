"""The gate on calibration: of the answers with a confidence of 90 %, nine in ten are right."""

from dataclasses import asdict

import numpy as np
import numpy.typing as npt

from tidemill_core.counted import counted
from tidemill_jobs.release.gates.gate import MIN_ROWS, Finding, limit, not_applicable
from tidemill_jobs.release.trial import LabeledAnswers, Trial
from tidemill_jobs.training.evaluate import calibration_error, reliability

_DRAWS = 100
_SEED = 0


def calibration(trial: Trial) -> Finding:
    """Compare the expected calibration error with the limit.

    On few rows the error is large even for perfect confidences. So the limit is on top of a
    perfectly calibrated model's mean error, which is found by drawing right and wrong answers with
    the probabilities of the confidences. Fewer than MIN_ROWS rows say nothing: a first model of a
    dozen rows has two of them, and must not be rejected for one wrong answer.
    """
    return judge_calibration(trial.answers, trial.limits.gate.max_calibration_error)


def judge_calibration(answers: LabeledAnswers, largest: float) -> Finding:
    """Compare the calibration error of some answers with the largest that is allowed."""
    if len(answers.targets) < MIN_ROWS:
        return not_applicable(f"fewer than {MIN_ROWS} hold-out rows")
    bins = reliability(answers.probabilities, answers.targets)
    error, by_chance = calibration_error(bins), _by_chance(answers.probabilities.max(axis=1))
    rows = counted(len(answers.targets), "hold-out row")
    reason = f"expected calibration error {error:.4f} on {rows}"
    details = {"bins": [asdict(each) for each in bins if each.n]}
    allowed = largest + by_chance
    return limit(error, allowed, reason, details)


def _by_chance(confidence: npt.NDArray[np.float32]) -> float:
    """Return the mean error of a perfectly calibrated model with these confidences."""
    random = np.random.default_rng(_SEED)
    errors = [
        calibration_error(
            reliability(
                confidence[:, None], np.where(random.random(len(confidence)) < confidence, 0, -1)
            )
        )
        for _ in range(_DRAWS)
    ]
    return float(np.mean(errors))
