"""Gates on parts of the hold-out: no class and no slice falls."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binom, fisher_exact

from tidemill_core.domain.gate import GateVerdict
from tidemill_jobs.release.gates.gate import MIN_ROWS, NO_CLASSES, Finding, not_applicable
from tidemill_jobs.release.trial import Trial

ERROR_RATE = 0.01
"""How often all classes, or all slices, together fail an equally good candidate."""

_SHOWN = 5
_PLURALS = {"class": "classes", "slice": "slices"}

Mask = npt.NDArray[np.bool_]


def classes(trial: Trial) -> Finding:
    """Compare the accuracy on the rows of each class with the champion's.

    Without a champion, a class with at least MIN_ROWS rows fails if none of them is right.
    """
    if trial.data.are_pairs:
        return NO_CLASSES
    labels = np.array(trial.data.test.labels, dtype=object)
    parts = {str(label): labels == label for label in sorted(set(labels))}
    return _judge(trial, parts, "class")


def slices(trial: Trial) -> Finding:
    """Compare the accuracy on each slice with the champion's."""
    return _judge(trial, trial.slices, "slice")


def _judge(trial: Trial, parts: Mapping[str, Mask], kind: str) -> Finding:
    parts = {name: mask for name, mask in parts.items() if mask.any()}
    if not parts:
        return not_applicable(f"the hold-out has no {kind} to judge")
    ours, theirs = trial.answers.right, trial.champion_answers
    if theirs is None:
        return _without_champion(ours, parts, kind)
    return compare_parts(ours, theirs.right, parts, trial.limits.gate.max_class_drop, kind)


def _without_champion(ours: Mask, parts: Mapping[str, Mask], kind: str) -> Finding:
    large = {name: ours[mask] for name, mask in parts.items() if mask.sum() >= MIN_ROWS}
    lost = [name for name, right in large.items() if not right.any()]
    details = {"parts": [_part(name, ours[mask], None, None) for name, mask in parts.items()]}
    if lost:
        reason = f"no row is right of {_named(lost, kind)}"
        return Finding(GateVerdict.FAILED, reason, len(lost), 0.0, details)
    if not large:
        reason = f"no champion to compare with, and no {kind} has {MIN_ROWS} hold-out rows"
        return Finding(GateVerdict.NOT_APPLICABLE, reason, details=details)
    reason = f"some rows of each {kind} are right; no champion to compare with"
    return Finding(GateVerdict.PASSED, reason, 0.0, 0.0, details)


def compare_parts(
    ours: Mask, theirs: Mask, parts: Mapping[str, Mask], margin: float, kind: str
) -> Finding:
    """Compare right answers to the same rows, part by part.

    A part falls if its accuracy drops by more than the margin, and if chance does not explain the
    drop: the error rate is shared among the parts (Bonferroni).
    """
    rows, fallen = [], []
    for name, mask in parts.items():
        chance = _chance(ours[mask], theirs[mask])
        rows.append(_part(name, ours[mask], theirs[mask], chance))
        drop = theirs[mask].mean() - ours[mask].mean()
        if drop > margin and chance < ERROR_RATE / len(parts):
            fallen.append(f"{name} ({theirs[mask].mean():.1%} to {ours[mask].mean():.1%})")
    rows.sort(key=lambda row: row["accuracy"] - row["champion_accuracy"])
    details = {"parts": rows}
    if not fallen:
        reason = f"none of {len(parts)} falls by more than {margin:.1%} beyond chance"
        return Finding(GateVerdict.PASSED, reason, 0.0, 0.0, details)
    reason = f"accuracy falls on {_named(fallen, kind)}"
    return Finding(GateVerdict.FAILED, reason, len(fallen), 0.0, details)


def _chance(ours: Mask, theirs: Mask) -> float:
    """Return the probability of such a drop if both are equally good on these rows.

    The lower of two one-sided exact p-values, doubled: McNemar's sees a small drop on many rows,
    and Fisher's sees a class that collapses though it has too few rows for McNemar's.
    """
    lost, won, n = int((theirs & ~ours).sum()), int((ours & ~theirs).sum()), len(ours)
    paired = float(binom.sf(lost - 1, lost + won, 0.5)) if lost else 1.0
    table = [[int(theirs.sum()), n - int(theirs.sum())], [int(ours.sum()), n - int(ours.sum())]]
    unpaired = float(fisher_exact(table, alternative="greater").pvalue)
    return min(1.0, 2 * min(paired, unpaired))


def _part(name: str, ours: Mask, theirs: Mask | None, chance: float | None) -> dict[str, Any]:
    return {
        "name": name,
        "rows": len(ours),
        "accuracy": float(ours.mean()),
        "champion_accuracy": None if theirs is None else float(theirs.mean()),
        "chance": chance,
    }


def _named(names: Sequence[str], kind: str) -> str:
    shown = ", ".join(names[:_SHOWN]) + (" and others" if len(names) > _SHOWN else "")
    return f"{len(names)} {kind if len(names) == 1 else _PLURALS[kind]}: {shown}"
