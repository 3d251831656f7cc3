"""The list of gates, and the verdict of all of them."""

from collections.abc import Mapping

from tidemill_core.domain.gate import GateResult, GateVerdict
from tidemill_core.errors import TidemillError, TritonUnavailable
from tidemill_jobs.context import Progress
from tidemill_jobs.release.gates import (
    calibration,
    classes,
    data,
    files,
    golden,
    int8,
    quality,
    serves,
    speed,
)
from tidemill_jobs.release.gates.gate import Finding, Gate
from tidemill_jobs.release.trial import Trial

GATES: Mapping[str, Gate] = {
    "loads": serves.loads,  # first: the others ask the loaded version
    "answers": serves.answers,
    "export": files.export,
    "weights": files.weights,
    "int8": int8.int8,
    "size": files.size,
    "memory": files.memory,
    "leakage": data.leakage,
    "known_labels": data.known_labels,
    "class_shares": data.class_shares,
    "accuracy": quality.accuracy,
    "champion": quality.champion,
    "classes": classes.classes,
    "slices": classes.slices,
    "calibration": calibration.calibration,
    "golden": golden.golden,
    "latency": speed.latency,
    "speed": speed.speed,
}
"""The gates by name, in the order in which they are asked and shown."""


def judge(trial: Trial, progress: Progress) -> list[GateResult]:
    """Ask every gate.

    Raises:
        TritonUnavailable: Triton is away.
        RunCanceled: someone asked the run to stop.
    """
    results = []
    for number, (name, gate) in enumerate(GATES.items()):
        progress(number / len(GATES), f"gate {name}")
        results.append(GateResult(name, **vars(_ask(gate, trial))))
    return results


def _ask(gate: Gate, trial: Trial) -> Finding:
    """Ask a gate; without the evidence that it needs, the candidate fails it."""
    try:
        return gate(trial)
    except TritonUnavailable:
        raise
    except TidemillError as error:
        return Finding(GateVerdict.FAILED, f"{error.reason}: {error}")
