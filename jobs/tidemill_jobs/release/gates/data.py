"""Gates on the dataset: it judges fairly, and its labels are those of the candidate."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import polars as pl

from tidemill_core.counted import counted
from tidemill_core.domain.split import Split
from tidemill_jobs.data.deciding.held_out_repeats import repeat_held_out
from tidemill_jobs.release.gates.gate import MIN_ROWS, NO_CLASSES, Finding, limit, not_applicable
from tidemill_jobs.release.trial import Trial
from tidemill_jobs.training.labeled_texts import LabeledTexts

MAX_LEAKED_SHARE = 0.01
"""Most training texts that repeat a hold-out text, as a share of the hold-out."""
MAX_UNKNOWN_SHARE = 0.05
MAX_SHARE_DISTANCE = 0.3
_SHOWN = 3


def leakage(trial: Trial) -> Finding:
    """Count the training rows whose text is, or nearly is, a text of the test split.

    A build keeps such rows out of the training split. A few remain when texts are made from one
    pattern, because a build compares only the nearest of them.
    """
    train, test = trial.data.train, trial.data.test
    if not (train.texts and test.texts):
        return not_applicable("the dataset has no training rows, or no hold-out rows")
    count = count_leaked(train, test, trial.limits.near_duplicate_similarity)
    share = count / len(test.texts)
    rows = counted(len(test.texts), "hold-out row")
    reason = f"training texts that repeat a text of {rows}: {count:,}"
    # One may always: it would be a large share of a small hold-out.
    return limit(share, max(MAX_LEAKED_SHARE, 1 / len(test.texts)), reason)


def count_leaked(train: LabeledTexts, test: LabeledTexts, similarity: float) -> int:
    """Return the number of training rows with a near duplicate in the test split."""
    parts = ((train, Split.TRAIN), (test, Split.TEST))
    rows = pl.concat(
        pl.DataFrame({"text": list(rows.texts), "label": list(rows.labels)}).with_columns(
            split=pl.lit(str(split))
        )
        for rows, split in parts
    )
    return int(repeat_held_out(rows, similarity).sum())


def known_labels(trial: Trial) -> Finding:
    """Count the hold-out rows with a label that the candidate does not have."""
    if trial.data.are_pairs:
        return NO_CLASSES
    return judge_unknown(trial.data.test.labels, trial.published.manifest.labels)


def judge_unknown(labels: Sequence[str], known: Sequence[str]) -> Finding:
    """Compare the labels of the hold-out with those of the candidate."""
    if not labels:
        return not_applicable("the dataset has no hold-out rows")
    unknown = Counter(labels)
    for label in known:
        del unknown[label]
    share = unknown.total() / len(labels)
    rows = counted(len(labels), "hold-out row")
    reason = f"the candidate has the labels of all {rows}"
    if unknown:
        named = ", ".join(sorted(unknown)[:_SHOWN])
        reason = f"it lacks the labels of {unknown.total():,} of {rows}: {named}"
    # One row may always be unknown: a class with one example is on one side of the split.
    return limit(share, max(MAX_UNKNOWN_SHARE, 1 / len(labels)), reason)


def class_shares(trial: Trial) -> Finding:
    """Compare the classes' shares in the training and the test split by their total variation.

    The two are halves of one set, so a larger distance than chance explains means that a source
    gives one class to one side only. Chance explains about √(classes / rows) / 2.
    """
    if trial.data.are_pairs:
        return NO_CLASSES
    return judge_shares(trial.data.train.labels, trial.data.test.labels)


def judge_shares(train_labels: Sequence[str], test_labels: Sequence[str]) -> Finding:
    """Compare the shares of the labels of two splits."""
    train, test = Counter(train_labels), Counter(test_labels)
    if not train or test.total() < MIN_ROWS:
        return not_applicable(f"fewer than {MIN_ROWS} hold-out rows, or no training rows")
    labels = sorted(train.keys() | test.keys())
    shares = [(label, train[label] / train.total(), test[label] / test.total()) for label in labels]
    distance = sum(abs(ours - held_out) for _, ours, held_out in shares) / 2
    by_chance = float(np.sqrt(len(labels) / test.total())) / 2
    farthest = max(shares, key=lambda share: abs(share[1] - share[2]))
    reason = (
        f"the shares of training and hold-out rows differ by {distance:.1%}, most of "
        f"{farthest[0]}: {farthest[1]:.1%} and {farthest[2]:.1%}"
    )
    return limit(distance, MAX_SHARE_DISTANCE + by_chance, reason)
