"""The gates' verdicts on a model version."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class GateVerdict(StrEnum):
    """What a gate found."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    NOT_APPLICABLE = "NOT_APPLICABLE"
    """There is nothing to judge, such as no champion to compare with."""


@dataclass(frozen=True)
class GateResult:
    """One gate's verdict on a version. Never changed.

    Attributes:
        gate: the gate's name.
        verdict: its verdict.
        figure: what it measured; None if it measures nothing.
        threshold: the limit of the figure; None if there is none.
        reason: for people.
        details: JSON values behind the figure, such as a confusion matrix.
    """

    gate: str
    verdict: GateVerdict
    figure: float | None
    threshold: float | None
    reason: str
    details: Mapping[str, Any] = field(default_factory=dict)
