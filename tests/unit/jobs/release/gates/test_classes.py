"""The comparison class by class."""

import numpy as np
import pytest

from tidemill_core.domain.gate import GateVerdict
from tidemill_jobs.release.gates.classes import ERROR_RATE, compare_parts

PASSED, FAILED = GateVerdict.PASSED, GateVerdict.FAILED


def parts(classes: int, rows: int) -> dict[str, np.ndarray]:
    """Return classes of equal size."""
    of = np.arange(classes * rows) // rows
    return {f"c{number}": of == number for number in range(classes)}


@pytest.mark.parametrize(("classes", "rows"), [(3, 9), (77, 9), (5, 100)])
def test_a_collapsed_class_fails(classes: int, rows: int) -> None:
    """A class that is never right any more fails, even one of 77 with nine rows."""
    masks = parts(classes, rows)
    theirs = np.ones(classes * rows, dtype=bool)
    ours = theirs & ~masks["c1"]
    found = compare_parts(ours, theirs, masks, 0.05, "class")
    assert found.verdict is FAILED
    assert found.reason == "accuracy falls on 1 class: c1 (100.0% to 0.0%)"
    assert found.details["parts"][0]["name"] == "c1"


def test_a_small_class_may_lose_a_row() -> None:
    """One row of a class with five is no proof."""
    masks = parts(10, 5)
    theirs = np.ones(50, dtype=bool)
    ours = theirs.copy()
    ours[0] = False
    assert compare_parts(ours, theirs, masks, 0.05, "class").verdict is PASSED


def test_a_small_drop_of_a_large_class_is_within_the_margin() -> None:
    """A sure drop by four points passes a margin of five, and fails one of three."""
    masks, theirs = parts(2, 5000), np.ones(10_000, dtype=bool)
    ours = theirs.copy()
    ours[:200] = False
    assert compare_parts(ours, theirs, masks, 0.05, "class").verdict is PASSED
    assert compare_parts(ours, theirs, masks, 0.03, "class").verdict is FAILED


@pytest.mark.parametrize(("classes", "rows"), [(3, 300), (77, 12), (10, 90)])
def test_an_equal_candidate_seldom_fails(classes: int, rows: int) -> None:
    """Of equally good pairs, hardly any fails because of one of its classes."""
    random, masks = np.random.default_rng(0), parts(classes, rows)
    failures = 0
    for _ in range(300):
        kinds = random.choice(3, classes * rows, p=[0.92, 0.04, 0.04])
        found = compare_parts(kinds != 1, kinds != 2, masks, 0.0, "class")
        failures += found.verdict is FAILED
    assert failures / 300 <= 2 * ERROR_RATE
