"""Temperature scaling."""

import math

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

_LOWEST, _HIGHEST = 0.05, 20.0
_PRIOR_SCALE = 0.5


def fit_temperature(logits: npt.NDArray[np.float32], targets: npt.NDArray[np.int64]) -> float:
    """Return the temperature T that calibrates softmax(logits / T).

    T minimizes the negative log likelihood (Guo et al. 2017, "On Calibration of Modern Neural
    Networks", section 4.2, https://arxiv.org/abs/1706.04599) plus a weak normal prior on log T,
    centered at 0. Without the prior, a few rows that are all right would give a temperature of 0.
    It weighs less than one row.

    Args:
        logits: of held-out rows, shape [n, labels].
        targets: their label indices, shape [n].

    Returns:
        The temperature in [0.05, 20]; 1.0 without rows.
    """
    if len(targets) == 0:
        return 1.0
    rows = np.arange(len(targets))
    values = logits.astype(np.float64)

    def objective(log_temperature: float) -> float:
        scaled = log_softmax(values / math.exp(log_temperature), axis=1)
        likelihood = float(scaled[rows, targets].sum())
        return 0.5 * (log_temperature / _PRIOR_SCALE) ** 2 - likelihood

    found = minimize_scalar(
        objective, bounds=(math.log(_LOWEST), math.log(_HIGHEST)), method="bounded"
    )
    return math.exp(found.x)
