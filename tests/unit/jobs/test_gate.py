"""The gate's rules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill_core.settings import GateSettings
from tidemill_jobs.release.gate import MIN_ROWS, judge_challenger, judge_first
from tidemill_jobs.training.evaluate import Measures


def _measures(accuracy: float, n: int = 100) -> Measures:
    return Measures(accuracy, accuracy, 0.0, n)


def test_a_first_model_must_know_something() -> None:
    """A first model passes when it beats the most common label, not when it only equals it."""
    assert judge_first(_measures(0.51), 0.5).passed
    refused = judge_first(_measures(0.5), 0.5)
    assert not refused.passed
    assert "0.5000" in refused.reason
    assert "most common label" in refused.reason


@pytest.mark.parametrize("rows", [0, 1, MIN_ROWS - 1])
def test_few_rows_do_not_judge_a_first_model(rows: int) -> None:
    """On too few rows a first model passes, and the reason says so."""
    verdict = judge_first(_measures(0.0, rows), 1.0)
    assert verdict.passed
    assert f"{rows} hold-out rows are too few" in verdict.reason
    assert not judge_first(_measures(0.0, MIN_ROWS), 1.0).passed


def test_a_challenger_may_not_be_worse() -> None:
    """Without a tolerance an equal challenger passes, and one row less does not."""
    strict = GateSettings()
    assert judge_challenger(_measures(0.9), _measures(0.9), strict).passed
    refused = judge_challenger(_measures(0.89), _measures(0.9), strict)
    assert not refused.passed
    assert "0.8900 against the champion's 0.9000 on 100 hold-out rows" in refused.reason


def test_a_tolerance_allows_that_much() -> None:
    """A challenger may be worse by what the setting allows, and no more."""
    settings = GateSettings(max_accuracy_drop=0.02)
    assert judge_challenger(_measures(0.88), _measures(0.9), settings).passed
    refused = judge_challenger(_measures(0.87), _measures(0.9), settings)
    assert not refused.passed
    assert "at most 0.02 less is allowed" in refused.reason


def test_nothing_to_judge_on_is_a_no() -> None:
    """Without hold-out rows no challenger replaces a champion."""
    verdict = judge_challenger(_measures(0.0, 0), _measures(0.0, 0), GateSettings())
    assert not verdict.passed
    assert "no hold-out rows" in verdict.reason


@given(rows=st.integers(1, 5000), data=st.data())
def test_the_tolerance_is_counted_in_rows(rows: int, data: st.DataObject) -> None:
    """A drop of exactly the tolerance passes in spite of rounding."""
    champion = data.draw(st.integers(1, rows))
    lost = data.draw(st.integers(0, champion))
    settings = GateSettings(max_accuracy_drop=lost / rows)
    candidate = _measures((champion - lost) / rows, rows)
    assert judge_challenger(candidate, _measures(champion / rows, rows), settings).passed
