"""The estimate from users' verdicts, corrected for who judges.

Users judge wrong answers more often than right ones, some classes never, and so the share of
verdicts that say "right" is not the accuracy. With R verdicts of "right" and W of "wrong" on a
class, the accuracy is R / (R + W / k), where k says how many times as often a wrong answer is
judged as a right one (inverse propensity weighting, Horvitz & Thompson 1952: how often the class is
judged at all cancels out). Verdicts alone cannot identify k. Audited predictions can, because it is
known of them whether they are right and whether a user judged them: k is their risk ratio, pooled
over the classes (Mantel & Haenszel 1959; its variance is that of Greenland & Robins 1985).
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from tidemill_core.storage.accuracy_totals import LabelTotals, Totals
from tidemill_core.storage.audited_predictions import AuditedPrediction
from tidemill_jobs.monitoring.accuracy.estimate import Estimate, Z, wilson
from tidemill_jobs.monitoring.accuracy.guesses import whole
from tidemill_jobs.monitoring.accuracy.prediction_powered import Numbers

FEWEST_OVERLAPS = 10
"""Fewest audited predictions with a verdict, both right and wrong ones, that show who judges."""
MAX_SILENT_SHARE = 0.05
"""Share of predictions in classes without verdicts above which the estimate is marked as biased."""
_PRIOR_VERDICTS = 2.0
"""Weight of all classes' verdicts in the accuracy of one, in verdicts."""


@dataclass(frozen=True)
class JudgingRatio:
    """How many times as often users judge a wrong answer as a right one.

    Attributes:
        ratio: the estimate.
        log_variance: the variance of its logarithm.
    """

    ratio: float
    log_variance: float


def feedback_estimate(totals: Totals, audited: Sequence[AuditedPrediction]) -> Estimate | None:
    """Return the estimate from a span's verdicts; None without any.

    If too few audited predictions have a verdict, it is the plain share, marked as biased.
    """
    judged = whole(totals.judged)
    if not judged.count:
        return None
    ratio = judging_ratio([each for each in audited if each.predicted in totals.judged])
    if ratio is None:
        share = judged.said_right / judged.count
        note = (
            "biased: users choose what they judge, and too few audited predictions have a verdict "
            f"to learn how; {FEWEST_OVERLAPS} right and {FEWEST_OVERLAPS} wrong ones are needed"
        )
        return Estimate("feedback", share, *wilson(share, judged.count), judged.count, True, note)
    covered = sum(totals.answered[label].count for label in totals.judged)
    silent = 1 - covered / whole(totals.answered).count
    note = f"users judge wrong answers {ratio.ratio:.1f} times as often as right ones"
    if silent > MAX_SILENT_SHARE:
        note += (
            f"; nothing is known of {silent:.0%} of the predictions, whose classes nobody judges"
        )
    return _corrected(totals, ratio, silent > MAX_SILENT_SHARE, note)


def judging_ratio(audited: Sequence[AuditedPrediction]) -> JudgingRatio | None:
    """Return how audits and verdicts together show who judges; None if too few overlap."""
    overlaps = [each.is_right for each in audited if each.said_right is not None]
    if min(sum(overlaps), len(overlaps) - sum(overlaps)) < FEWEST_OVERLAPS:
        return None
    classes: dict[str, list[AuditedPrediction]] = defaultdict(list)
    for each in audited:
        classes[each.predicted].append(each)
    wrong_side = right_side = spread = 0.0
    for members in classes.values():
        wrong = [each.said_right is not None for each in members if not each.is_right]
        right = [each.said_right is not None for each in members if each.is_right]
        size = len(members)
        wrong_side += sum(wrong) * len(right) / size
        right_side += sum(right) * len(wrong) / size
        pairs = len(wrong) * len(right) * (sum(wrong) + sum(right))
        spread += (pairs - sum(wrong) * sum(right) * size) / size**2
    if not wrong_side or not right_side:
        return None
    return JudgingRatio(wrong_side / right_side, spread / (wrong_side * right_side))


def _corrected(totals: Totals, ratio: JudgingRatio, biased: bool, note: str) -> Estimate:
    judged, overall = totals.judged, whole(totals.judged)
    counts = np.array([totals.answered[label].count for label in judged], np.float64)
    said = overall.said_right / overall.count
    right = _smoothed(judged, said)
    wrong = np.array([each.count + _PRIOR_VERDICTS for each in judged.values()]) - right
    accuracy = right / (right + wrong / ratio.ratio)
    shares = counts / counts.sum()
    mean = float(shares @ accuracy)
    slopes = shares * accuracy * (1 - accuracy)
    variance = float(slopes**2 @ (1 / right + 1 / wrong)) + slopes.sum() ** 2 * ratio.log_variance
    if not 0 < mean < 1:
        return Estimate("feedback", mean, 0.0, 1.0, overall.count, biased, note)
    half = Z * math.sqrt(variance) / (mean * (1 - mean))
    low, high = (float(expit(logit(mean) + side)) for side in (-half, half))
    return Estimate("feedback", mean, low, high, overall.count, biased, note)


def _smoothed(judged: Mapping[str, LabelTotals], said: float) -> Numbers:
    """Return verdicts of "right" by label, with a little of what users say of all labels."""
    return np.array([each.said_right + _PRIOR_VERDICTS * said for each in judged.values()])
