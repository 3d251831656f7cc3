"""Figures to reach, and what counts as reached."""

import math

import pytest

from bench.serving.callers import Called
from bench.serving.load import Load
from bench.serving.measure import Sample
from bench.serving.targets import Results, Target, targets

P99 = "p99 at 70 % of the maximum"


def called(p99_ms: float) -> Called:
    """What callers found."""
    return Called(700.0, 700.0, 5.0, p99_ms, math.nan, 0, 0.5)


def verdict(name: str, *found: Called) -> str:
    """What is said of a figure after rounds with one worker."""
    unary = Sample("tidemill", 1, "unary", Load(1000.0, 5.0, 9.0, 0.0))
    samples = [unary, *(Sample("tidemill", 1, "open 70 %", each) for each in found)]
    return next(each.verdict for each in targets(Results(samples)) if each.name == name)


def test_a_latency_is_reached_or_falls_short() -> None:
    """The median over the rounds counts; what was not asked was not measured."""
    assert verdict(P99, called(20.0), called(90.0), called(30.0)) == "reached"
    assert verdict(P99, called(60.0), called(90.0), called(30.0)) == "SHORT"
    assert verdict(P99) == "not measured"


def test_a_round_without_an_answer_falls_short() -> None:
    """It has no percentile, and the other rounds do not make up for it."""
    assert verdict(P99, called(math.nan)) == "SHORT"
    assert verdict(P99, called(20.0), called(math.nan), called(20.0)) == "SHORT"


@pytest.mark.parametrize("at_least", [True, False])
def test_what_is_no_number_reaches_nothing(at_least: bool) -> None:
    """Neither a lower limit nor an upper one."""
    assert Target("slope", 1.0, at_least, " MB/min", math.nan).verdict == "SHORT"
