"""The gate on calibration."""

import numpy as np
import pytest

from tidemill_core.domain.gate import GateVerdict
from tidemill_jobs.release.gates.calibration import judge_calibration
from tidemill_jobs.release.trial import LabeledAnswers


def answers(rows: int, confidence: float, accuracy: float) -> LabeledAnswers:
    """Return answers with one confidence, of which a share is right."""
    probabilities = np.tile(np.array([[confidence, 1 - confidence]], np.float32), (rows, 1))
    right = np.arange(rows) < round(accuracy * rows)
    return LabeledAnswers(("a", "b"), probabilities, np.where(right, 0, 1))


@pytest.mark.parametrize("rows", [30, 1000])
def test_a_right_confidence_passes(rows: int) -> None:
    """Of answers with a confidence of 0.8, four in five are right."""
    found = judge_calibration(answers(rows, 0.8, 0.8), 0.05)
    assert found.verdict is GateVerdict.PASSED
    assert sum(each["n"] for each in found.details["bins"]) == rows


def test_a_wrong_confidence_fails() -> None:
    """A confidence of 0.95 that is right in four of five cases is off by 0.15."""
    found = judge_calibration(answers(1000, 0.95, 0.8), 0.05)
    assert found.verdict is GateVerdict.FAILED
    assert found.figure == pytest.approx(0.15, abs=1e-4)


def test_few_rows_allow_for_chance() -> None:
    """An error of 0.1 is chance on 30 rows, and too much on 1,000."""
    assert judge_calibration(answers(30, 0.8, 0.7), 0.05).verdict is GateVerdict.PASSED
    assert judge_calibration(answers(1000, 0.8, 0.7), 0.05).verdict is GateVerdict.FAILED


@pytest.mark.parametrize("rows", [0, 2, 29])
def test_a_handful_of_rows_rejects_no_model(rows: int) -> None:
    """The first model of a small file is served, though each of its few answers may be wrong."""
    found = judge_calibration(answers(rows, 0.95, 0.0), 0.05)
    assert found.verdict is GateVerdict.NOT_APPLICABLE
    assert found.reason == "fewer than 30 hold-out rows"
