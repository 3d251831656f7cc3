"""The gate on calibration: of the answers with a confidence of 90 %, nine in ten are right."""

from dataclasses import asdict

import numpy as np
import numpy.typing as npt

from tidemill_jobs.release.gates.gate import Finding, limit, not_applicable
from tidemill_jobs.release.trial import Trial
from tidemill_jobs.training.evaluate import calibration_error, reliability

_DRAWS = 200
_BY_CHANCE = 0.99
_SEED = 0


def calibration(trial: Trial) -> Finding:
    """Compare the expected calibration error with the limit.

    On few rows the error is large even for perfect confidences. So an error below the 99th
    percentile of a perfectly calibrated model's, found by drawing right and wrong answers with the
    probabilities of the confidences, passes too.
    """
    answers = trial.answers
    if not len(answers.targets):
        return not_applicable("the dataset has no hold-out rows")
    bins = reliability(answers.probabilities, answers.targets)
    error, by_chance = calibration_error(bins), _by_chance(answers.probabilities.max(axis=1))
    reason = f"expected calibration error {error:.4f} on {len(answers.targets)} hold-out rows"
    details = {"bins": [asdict(each) for each in bins if each.n]}
    allowed = max(trial.limits.gate.max_calibration_error, by_chance)
    return limit(error, allowed, reason, details)


def _by_chance(confidence: npt.NDArray[np.float32]) -> float:
    """Return the largest error that chance explains with these confidences."""
    random = np.random.default_rng(_SEED)
    errors = [
        calibration_error(
            reliability(
                confidence[:, None], np.where(random.random(len(confidence)) < confidence, 0, -1)
            )
        )
        for _ in range(_DRAWS)
    ]
    return float(np.quantile(errors, _BY_CHANCE))
