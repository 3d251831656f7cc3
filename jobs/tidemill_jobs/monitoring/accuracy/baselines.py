"""What a version's accuracy was before: on its hold-out, and in its earlier predictions."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tidemill_core.domain.gate import GateResult
from tidemill_core.domain.label_names import Renames, current
from tidemill_jobs.monitoring.accuracy.guesses import audits_of
from tidemill_jobs.monitoring.accuracy.parts import Baseline, Members
from tidemill_jobs.monitoring.accuracy.prediction_powered import audit_estimate

_GATE = "classes"


@dataclass(frozen=True)
class Baselines:
    """What a version and its parts are compared with.

    Attributes:
        hold_out_rows: the rows of the version's hold-out; 0 if unknown.
        classes: the accuracy on the hold-out by current label.
        versions: the accuracy of each version on its own hold-out; None if it is not known.
    """

    hold_out_rows: int
    classes: Mapping[str, Baseline]
    versions: Mapping[int, float | None]


def hold_out_accuracy(measures: Mapping[str, float]) -> float | None:
    """Return a version's accuracy on its hold-out; None if it had no rows there."""
    return measures.get("accuracy") if measures.get("n", 1) else None


def hold_out_classes(gates: Sequence[GateResult], renames: Renames) -> dict[str, Baseline]:
    """Return what the gate `classes` found on the hold-out, by current label."""
    rows: dict[str, int] = defaultdict(int)
    right: dict[str, float] = defaultdict(float)
    for gate in gates:
        for part in gate.details.get("parts", ()) if gate.gate == _GATE else ():
            label = current(part["name"], renames)
            rows[label] += part["rows"]
            right[label] += part["rows"] * part["accuracy"]
    return {label: Baseline(right[label] / count, count) for label, count in rows.items() if count}


def earlier_parts(parts: Members) -> dict[str, Baseline]:
    """Return the accuracy of slices in predictions before the deciding windows."""
    found = {name: audit_estimate(audits_of(members)) for name, members in parts.items()}
    return {name: Baseline(each.accuracy, each.row_count) for name, each in found.items()}
