"""A confidence sequence for how much more often something happens to one of two versions.

It is the likelihood ratio mixture of Robbins (1970), with which Lindon and Malek (2022,
"Anytime-valid inference for multinomial count data") watch canaries. The router gives a request to
the candidate with a known probability p. If an event, such as a wrong answer, happens to it r times
as often as to the champion, then each event is the candidate's with probability

    p(r) = p r / (p r + 1 - p),

whatever happened before. L(r) is the product of p(r) over the candidate's events and of 1 - p(r)
over the champion's. Under the true r, the mixture of L(s) / L(r) over a prior of s is a nonnegative
martingale with mean 1. By Ville's inequality it ever reaches 1 / a with probability at most a, so

    {r: L(r) >= a * (mixture of L(s))}

contains the true r at all times at once with probability at least 1 - a. It holds for any number of
events, and for p that changes between them; only the counts matter.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_LOG_RATIOS = np.linspace(-6.0, 6.0, 601)
_PRIOR_SPREAD = 0.5
_LOG_PRIOR = -0.5 * (_LOG_RATIOS / _PRIOR_SPREAD) ** 2
_LOG_PRIOR -= np.logaddexp.reduce(_LOG_PRIOR)


@dataclass(frozen=True)
class Share:
    """Events that are the candidate's with one probability if the versions are equally good.

    Attributes:
        probability: that probability, in (0, 1).
        hits: the candidate's events.
        total: all events.
    """

    probability: float
    hits: int
    total: int


def ratio_interval(shares: Iterable[Share], error_probability: float) -> tuple[float, float]:
    """Return the lowest and the highest ratio that the events leave possible.

    Without events these are 0 and infinity.

    Args:
        shares: the events.
        error_probability: with at most this probability, an interval ever excludes the true ratio,
            however often it is computed while events come in.
    """
    likelihood = _log_likelihood(shares)
    mixture = np.logaddexp.reduce(_LOG_PRIOR + likelihood)
    (inside,) = np.nonzero(likelihood >= mixture + math.log(error_probability))
    # One place further out on each side, because the true bounds are between two places.
    low, high = inside[0] - 1, inside[-1] + 1
    return (
        0.0 if low < 0 else math.exp(_LOG_RATIOS[low]),
        math.inf if high == len(_LOG_RATIOS) else math.exp(_LOG_RATIOS[high]),
    )


def _log_likelihood(shares: Iterable[Share]) -> npt.NDArray[np.float64]:
    """Return log L at each of the ratios: [ratios]."""
    total = np.zeros_like(_LOG_RATIOS)
    for share in shares:
        log_odds = math.log(share.probability / (1 - share.probability)) + _LOG_RATIOS
        # log p(r) = log odds - log(1 + odds), and log(1 - p(r)) = -log(1 + odds)
        total += share.hits * log_odds - share.total * np.logaddexp(0, log_odds)
    return total
