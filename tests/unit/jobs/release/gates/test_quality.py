"""The paired test against the champion."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill_core.domain.gate import GateVerdict
from tidemill_jobs.release.gates.quality import ERROR_RATE, compare_rows

PASSED, FAILED = GateVerdict.PASSED, GateVerdict.FAILED


def answers(both: int, lost: int, won: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """Return whether a candidate and a champion are right, row by row."""
    counts = (both, lost, won, neither)
    ours = np.repeat([True, False, True, False], counts)
    theirs = np.repeat([True, True, False, False], counts)
    return ours, theirs


def test_an_equal_candidate_passes() -> None:
    """A candidate that wins as many rows as it loses is no worse, and the figure is exactly 0."""
    for found in (compare_rows(*answers(80, 10, 10, 0), 0), compare_rows(*answers(9, 0, 0, 0), 0)):
        assert (found.verdict, found.figure) == (PASSED, 0.0)


def test_a_drop_that_chance_explains_passes() -> None:
    """Three rows lost and none won happens to one equal pair in eight, so it is no proof."""
    found = compare_rows(*answers(97, 3, 0, 0), 0.0)
    assert found.verdict is PASSED
    assert found.figure == 0.03
    assert found.threshold is not None
    assert found.threshold >= 0.03


def test_a_drop_that_chance_does_not_explain_fails() -> None:
    """Thirty rows lost and five won is no chance, and the reason has the figures."""
    found = compare_rows(*answers(860, 30, 5, 5), 0.0)
    assert found.verdict is FAILED
    assert "0.9611 against the champion's 0.9889 on 900 hold-out rows" in found.reason
    assert "right only now: 5, only with the champion: 30" in found.reason


def test_a_margin_allows_that_much() -> None:
    """A drop within the margin passes even if it is no chance, and a larger one fails."""
    assert compare_rows(*answers(960, 40, 0, 0), 0.04).verdict is PASSED
    assert compare_rows(*answers(959, 41, 0, 0), 0.04).verdict is FAILED


@given(rows=st.integers(1, 5000), data=st.data())
def test_the_margin_is_counted_in_rows(rows: int, data: st.DataObject) -> None:
    """A drop of exactly the margin passes in spite of rounding."""
    lost = data.draw(st.integers(0, rows))
    found = compare_rows(*answers(rows - lost, lost, 0, 0), lost / rows)
    assert found.verdict is PASSED


@pytest.mark.parametrize("rows", [100, 900, 3000])
def test_an_equal_candidate_seldom_fails(rows: int) -> None:
    """Of equally good pairs with 8 % of rows that one of them loses, few fail."""
    random = np.random.default_rng(0)
    failures = 0
    for _ in range(2000):
        lost, won, same = random.multinomial(rows, [0.04, 0.04, 0.92])
        failures += compare_rows(*answers(same, lost, won, 0), 0.0).verdict is FAILED
    assert failures / 2000 <= ERROR_RATE + 0.01
