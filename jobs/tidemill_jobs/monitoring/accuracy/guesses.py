"""Audits and guesses, as the estimators take them, from what is stored."""

from collections.abc import Mapping, Sequence

import numpy as np

from tidemill_core.storage.accuracy_totals import LabelTotals, Totals
from tidemill_core.storage.audited_predictions import AuditedPrediction
from tidemill_jobs.monitoring.accuracy.estimate import Estimate, wilson
from tidemill_jobs.monitoring.accuracy.prediction_powered import Audits, Guesses


def audits_of(audited: Sequence[AuditedPrediction]) -> Audits:
    """Return audited predictions as arrays; the verdict is the guess, or else the confidence."""
    guesses = (each.confidence if each.said_right is None else each.said_right for each in audited)
    return Audits(
        right=np.array([each.is_right for each in audited], np.float64),
        guess=np.fromiter(guesses, np.float64, len(audited)),
        weight=np.array([1 / each.inclusion_probability for each in audited], np.float64),
    )


def guesses_of(totals: Totals) -> Guesses:
    """Return the guesses about all predictions, of which there must be at least one."""
    answered, judged = whole(totals.answered), whole(totals.judged)
    mean = (answered.confidence - judged.confidence + judged.said_right) / answered.count
    squares = answered.squares - judged.squares + judged.said_right_squares
    return Guesses(answered.count, mean, max(0.0, squares / answered.count - mean**2))


def confidence_estimate(totals: Totals, hold_out_rows: int) -> Estimate:
    """Return what the calibrated confidences say, without any label.

    The interval is that of an accuracy measured on the rows that the calibration was checked on.
    """
    answered = whole(totals.answered)
    mean = min(1.0, answered.confidence / answered.count)
    low, high = wilson(mean, hold_out_rows) if hold_out_rows else (None, None)
    note = "no labels: true only while the confidences are as calibrated as on the hold-out"
    return Estimate("confidence", mean, low, high, answered.count, biased=True, note=note)


def whole(totals: Mapping[str, LabelTotals]) -> LabelTotals:
    """Return the sums over all labels."""
    return sum(totals.values(), LabelTotals())
