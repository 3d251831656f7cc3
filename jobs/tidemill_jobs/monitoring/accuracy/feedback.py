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

from tidemill_core.domain.interval import Z, wilson
from tidemill_core.storage.accuracy_totals import JudgedTotals
from tidemill_core.storage.audited_predictions import AuditedPrediction
from tidemill_jobs.monitoring.accuracy.estimate import Estimate

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


def feedback_estimate(
    answers: Mapping[str, int],
    judged: Mapping[str, JudgedTotals],
    audited: Sequence[AuditedPrediction],
) -> Estimate | None:
    """Return the estimate from users' verdicts; None without any.

    If too few audited predictions have a verdict, it is the plain share, marked as biased.

    Args:
        answers: how many predictions there are, by label.
        judged: those that users judged.
        audited: those that people labeled.
    """
    verdicts = sum(each.count for each in judged.values())
    if not verdicts:
        return None
    ratio = judging_ratio([each for each in audited if each.predicted in judged])
    if ratio is None:
        share = sum(each.said_right for each in judged.values()) / verdicts
        note = (
            "biased: users choose what they judge, and too few audited predictions have a verdict "
            f"to learn how; {FEWEST_OVERLAPS} right and {FEWEST_OVERLAPS} wrong ones are needed"
        )
        return Estimate("feedback", share, *wilson(share, verdicts), verdicts, True, note)
    covered = sum(answers.get(label, 0) for label in judged)
    silent = 1 - covered / max(1, sum(answers.values()))
    note = f"users judge wrong answers {ratio.ratio:.1f} times as often as right ones"
    if silent > MAX_SILENT_SHARE:
        note += f"; the classes of {silent:.0%} of the predictions have no verdicts"
    mean, low, high = _corrected(answers, judged, ratio)
    return Estimate("feedback", mean, low, high, verdicts, silent > MAX_SILENT_SHARE, note)


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


def _corrected(
    answers: Mapping[str, int], judged: Mapping[str, JudgedTotals], ratio: JudgingRatio
) -> tuple[float, float, float]:
    """Return the accuracy of the judged classes and its interval, which is normal in its logit."""
    given = np.array([(each.said_right, each.count) for each in judged.values()], np.float64)
    said_right, count = given.T
    right = said_right + _PRIOR_VERDICTS * said_right.sum() / count.sum()
    wrong = count + _PRIOR_VERDICTS - right
    accuracy = right / (right + wrong / ratio.ratio)
    # A class may have verdicts and no count while the counts of its last hour are written.
    shares = np.array([max(1, answers.get(label, 0)) for label in judged], np.float64)
    shares /= shares.sum()
    mean = float(shares @ accuracy)
    if not 0 < mean < 1:
        return mean, 0.0, 1.0
    slopes = shares * accuracy * (1 - accuracy)
    variance = float(slopes**2 @ (1 / right + 1 / wrong)) + slopes.sum() ** 2 * ratio.log_variance
    half = Z * math.sqrt(variance) / (mean * (1 - mean))
    low, high = (float(expit(logit(mean) + side)) for side in (-half, half))
    return mean, low, high
