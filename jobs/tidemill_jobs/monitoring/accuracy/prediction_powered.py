"""Unbiased estimates: from audits alone, and from audits and guesses about all predictions.

Audits are a random sample of the predictions, each chosen with a known probability, whose labels
people gave. Their mean, weighted by the inverse of that probability, is the estimate of Hájek 1971.

All predictions, labeled or not, have a guess whether they are right: the users' verdict, or else
the calibrated confidence. Guesses alone are biased. Prediction-powered inference (Angelopoulos,
Bates, Fannjiang, Jordan & Zrnic 2023, https://doi.org/10.1126/science.adi6000) corrects the mean
guess by the mean error of the guesses on the audits. So the estimate is unbiased however wrong the
guesses are, and its interval is shorter the better they are. `power` is the weight of the guesses
that makes the interval shortest (PPI++, Angelopoulos, Duchi & Zrnic 2023,
https://arxiv.org/abs/2311.01453, section 6): useless guesses get 0, which leaves the audits alone.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from tidemill_core.domain.interval import CONFIDENCE_LEVEL, wilson
from tidemill_jobs.monitoring.accuracy.estimate import Estimate

Numbers = npt.NDArray[np.float64]

_FEWEST = 5
"""Fewest right and fewest wrong audits that `power` is learned from."""


@dataclass(frozen=True)
class Audits:
    """Predictions that people labeled, each an array [n].

    Attributes:
        right: 1 if the predicted label is the people's, otherwise 0.
        guess: the guess whether it is right, in [0, 1].
        weight: the inverse of the probability with which it was chosen.
    """

    right: Numbers
    guess: Numbers
    weight: Numbers

    def __len__(self) -> int:
        return len(self.right)


@dataclass(frozen=True)
class Guesses:
    """The guesses about all predictions: their number, mean and variance."""

    count: int
    mean: float
    variance: float


def audit_estimate(audits: Audits) -> Estimate:
    """Return the estimate from at least one audit.

    The interval is Wilson's for the number of equally weighted audits that would be as certain.
    """
    mean, variance = _weighted_mean(audits.right, audits.weight)
    mean = min(1.0, mean)
    low, high = wilson(mean, _rows(mean, variance, audits))
    return Estimate("audits", mean, low, high, len(audits))


def combined_estimate(audits: Audits, guesses: Guesses) -> Estimate:
    """Return the estimate from at least one audit and the guesses about all predictions.

    The interval is Wilson's for the number of audits that would be as certain, with the quantile of
    Student's t, because the variance is itself estimated.
    """
    power = _power(audits, guesses.count)
    if power == 0.0:
        alone = audit_estimate(audits)
        return Estimate("combined", alone.accuracy, alone.low, alone.high, len(audits))
    error, variance = _weighted_mean(audits.right - power * audits.guess, audits.weight)
    mean = float(np.clip(power * guesses.mean + error, 0.0, 1.0))
    freedom = len(audits) - 2
    variance = variance * len(audits) / freedom + power**2 * guesses.variance / guesses.count
    quantile = float(student.ppf(0.5 + CONFIDENCE_LEVEL / 2, freedom))
    low, high = wilson(mean, _rows(mean, variance, audits), quantile)
    return Estimate("combined", mean, low, high, len(audits))


def _power(audits: Audits, count: int) -> float:
    """Return the weight in [0, 1] of the guesses that minimizes the variance."""
    right = int(audits.right.sum())
    if min(right, len(audits) - right) < _FEWEST:
        return 0.0
    shares = audits.weight / audits.weight.sum()
    guess = audits.guess - shares @ audits.guess
    spread = float(shares @ guess**2)
    if spread == 0.0:
        return 0.0
    slope = float(shares @ (guess * audits.right)) / spread
    return float(np.clip(slope / (1 + len(audits) / count), 0.0, 1.0))


def _weighted_mean(values: Numbers, weight: Numbers) -> tuple[float, float]:
    """Return Hájek's mean and its variance."""
    mean = float(weight @ values / weight.sum())
    return mean, float(weight**2 @ (values - mean) ** 2 / weight.sum() ** 2)


def _rows(mean: float, variance: float, audits: Audits) -> float:
    """Return how many equally weighted audits would have this variance of the mean."""
    alike = float(audits.weight.sum() ** 2 / (audits.weight**2).sum())
    return mean * (1 - mean) / variance if variance > 0 and 0 < mean < 1 else alike
