"""The gate on weights in int8."""

import pytest

from tidemill_core.domain.gate import GateVerdict
from tidemill_jobs.release.gates.int8 import judge_changes


@pytest.mark.parametrize(
    ("changed", "texts", "passes"),
    [(0, 0, True), (1, 30, True), (2, 30, False), (40, 3080, True), (41, 3080, False)],
)
def test_more_changed_labels_than_chance_explains_fail(
    changed: int, texts: int, passes: bool
) -> None:
    """One label in a hundred may change, and a few more on few texts."""
    found = judge_changes(changed, texts)
    assert (found.verdict is GateVerdict.PASSED) == passes
    assert f"{changed:,} of {texts:,} texts" in found.reason
