"""The comparison of two versions."""

import numpy as np
import pytest
from scipy.stats import binomtest

from tidemill_core.domain.confusion import Confusion, measures_of_classes
from tidemill_core.domain.interval import wilson
from tidemill_jobs.evaluation.paired import compare


def test_the_paired_test_is_mcnemars() -> None:
    """Only rows that one version alone gets right count, and the interval has the difference."""
    first = np.array([True] * 60 + [False] * 40)
    second = np.array([True] * 40 + [False] * 30 + [True] * 10 + [False] * 20)
    found = compare(first, second)
    assert (found.only_first, found.only_second) == (20, 10)
    assert found.p_value == pytest.approx(binomtest(20, 30).pvalue)
    assert found.difference == pytest.approx(0.1)
    assert found.difference_low < 0.1 < found.difference_high
    assert found.verdict == "no difference is proven"


def test_equal_versions_are_not_different() -> None:
    """Two versions that are right on the same rows have a p-value of 1."""
    right = np.array([True, False, True])
    assert compare(right, right).p_value == 1.0


def test_wilsons_interval() -> None:
    """The interval is SciPy's, also where all rows are right or none is."""
    for right, rows in ((0, 7), (7, 7), (30, 100)):
        wanted = binomtest(right, rows).proportion_ci(method="wilson")
        assert wilson(right / rows, rows) == pytest.approx((wanted.low, wanted.high), abs=1e-9)


def test_wilsons_interval_holds_the_share() -> None:
    """Rounding never leaves a share of 0 or 1 outside of its interval."""
    for rows in range(1, 200):
        assert wilson(0, rows)[0] == 0
        assert wilson(1, rows)[1] == 1


def test_a_class_that_is_never_answered_has_no_precision() -> None:
    """What has no rows has no measure, instead of a zero that would look like one."""
    card, fee = measures_of_classes([Confusion("card", "fee", 3)])
    assert (card.precision, card.recall, card.f1) == (None, 0.0, 0.0)
    assert (fee.precision, fee.recall, fee.recall_low) == (0.0, None, None)
