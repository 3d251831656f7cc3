"""Gates on accuracy: the candidate knows something, and is no worse than the champion."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from tidemill_core.counted import counted
from tidemill_core.domain.gate import GateVerdict
from tidemill_jobs.release.gates.gate import MIN_ROWS, Finding, limit, not_applicable
from tidemill_jobs.release.trial import LabeledAnswers, Trial

ERROR_RATE = 0.03
"""How often the paired test fails a candidate that is exactly as good as the champion."""
_ROUNDING = 1e-9
"""The rounding error of a difference between two accuracies; one row is worth far more."""


def accuracy(trial: Trial) -> Finding:
    """Compare the accuracy with the commonest label's share, and with the task's minimum.

    On fewer than MIN_ROWS rows the share is no limit: then chance decides, and a first model must
    not be rejected by chance, because no other model could answer.
    """
    labels, least = trial.data.test.labels, trial.limits.gate.min_accuracy
    if not labels:
        return _without_hold_out(trial, least)
    found = float(trial.answers.right.mean())
    measured = f"accuracy {found:.4f} on {counted(len(labels), 'hold-out row')}"
    details = {"confusion": _confusion(trial.answers, labels)}
    commonest = max(Counter(labels).values()) / len(labels)
    if len(labels) < MIN_ROWS:
        verdict = GateVerdict.PASSED if found >= least else GateVerdict.FAILED
        return Finding(verdict, f"{measured}, which are too few to be sure", found, least, details)
    passed = found > commonest and found >= least - _ROUNDING
    if found <= commonest:
        always = (
            "choosing one answer" if trial.data.are_pairs else "answering the most common label"
        )
        measured += f", but always {always} gives {commonest:.4f}"
    verdict = GateVerdict.PASSED if passed else GateVerdict.FAILED
    return Finding(verdict, measured, found, max(least, commonest), details)


def _without_hold_out(trial: Trial, least: float) -> Finding:
    missing = "the dataset has no hold-out rows to judge on"
    if trial.champion is not None or least:
        return Finding(GateVerdict.FAILED, missing)
    return not_applicable(f"{missing}, and no other model could answer")


def _confusion(answers: LabeledAnswers, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Return how often each label was answered with each label, if ever."""
    named = [answers.labels[index] for index in answers.predicted]
    pairs = Counter(zip(labels, named, strict=True))
    return [
        {"label": label, "answer": answer, "rows": rows}
        for (label, answer), rows in sorted(pairs.items())
    ]


def champion(trial: Trial) -> Finding:
    """Compare the accuracy with the champion's on the same rows, by McNemar's exact test.

    The accuracy may fall by the margin, or by what the test takes for chance: of the rows that only
    one of two equally good versions gets right, each wins half (McNemar 1947,
    https://doi.org/10.1007/BF02295996; one-sided).
    """
    theirs = trial.champion_answers
    if theirs is None:
        return not_applicable("no champion to compare with")
    if not len(theirs.right):
        return Finding(GateVerdict.FAILED, "the dataset has no hold-out rows to judge on")
    return compare_rows(trial.answers.right, theirs.right, trial.limits.gate.max_accuracy_drop)


def compare_rows(
    ours: npt.NDArray[np.bool_], theirs: npt.NDArray[np.bool_], margin: float
) -> Finding:
    """Compare the right answers of a candidate and of the champion to the same rows: [n]."""
    rows, lost, won = len(ours), int((theirs & ~ours).sum()), int((ours & ~theirs).sum())
    # The most rows that an equally good candidate loses, except with probability ERROR_RATE.
    by_chance = int(binom.isf(ERROR_RATE, lost + won, 0.5)) if lost + won else 0
    drop, allowed = (lost - won) / rows, max(margin, (2 * by_chance - lost - won) / rows)
    reason = (
        f"accuracy {ours.mean():.4f} against the champion's {theirs.mean():.4f} on "
        f"{counted(rows, 'hold-out row')}; right only now: {won}, only with the champion: {lost}"
    )
    if drop > allowed:
        reason += f"; at most {100 * allowed:.2f} points less could be chance"
    return limit(drop, allowed, reason)
