"""Audits and guesses, as the estimators take them, from what is stored."""

from collections.abc import Sequence

import numpy as np

from tidemill_core.domain.interval import wilson
from tidemill_core.storage.accuracy_totals import Sampled
from tidemill_core.storage.audited_predictions import AuditedPrediction
from tidemill_jobs.monitoring.accuracy.estimate import Estimate
from tidemill_jobs.monitoring.accuracy.prediction_powered import Audits, Guesses, Numbers


def audits_of(audited: Sequence[AuditedPrediction]) -> Audits:
    """Return audited predictions as arrays."""
    return Audits(
        right=np.array([each.is_right for each in audited], np.float64),
        guess=_guesses(audited),
        weight=np.array([1 / each.inclusion_probability for each in audited], np.float64),
    )


def guesses_of(sample: Sequence[Sampled]) -> Guesses:
    """Return the guesses about a random sample, of which there must be at least one."""
    guesses = _guesses(sample)
    return Guesses(len(sample), float(guesses.mean()), float(guesses.var()))


def confidence_estimate(sample: Sequence[Sampled], count: int, hold_out_rows: int) -> Estimate:
    """Return what the calibrated confidences say, without any label.

    The interval is that of an accuracy measured on the rows that the calibration was checked on.

    Args:
        sample: a random sample of the predictions; at least one.
        count: how many predictions there are.
        hold_out_rows: the rows of the hold-out; 0 if unknown.
    """
    mean = min(1.0, float(np.mean([each.confidence for each in sample])))
    low, high = wilson(mean, hold_out_rows) if hold_out_rows else (None, None)
    note = "no labels: true only while the confidences are as calibrated as on the hold-out"
    return Estimate("confidence", mean, low, high, count, biased=True, note=note)


def _guesses(rows: Sequence[AuditedPrediction | Sampled]) -> Numbers:
    """Return the guesses whether predictions are right: the verdict, or else the confidence."""
    guesses = (each.confidence if each.said_right is None else each.said_right for each in rows)
    return np.fromiter(guesses, np.float64, len(rows))
