"""Figures to reach, and what counts as reached."""

import math

import pytest

from bench.serving import kinds
from bench.serving.load import Load
from bench.serving.measure import DEFAULT, Sample, better
from bench.serving.targets import AIM, MUST, Results, Target, targets

P99 = "p99 at 70 % of the maximum"


def sample(system: str, processes: int, kind: str, rate: float, p99_ms: float = 9.0) -> Sample:
    """Return a measurement."""
    return Sample(system, processes, kind, Load(rate, rate, 5.0, p99_ms))


def verdict(name: str, *p99_ms: float) -> str:
    """Return the verdict on a figure after rounds with these percentiles."""
    samples = [sample(DEFAULT, 1, kinds.MANY, 1000.0)]
    samples += [sample(DEFAULT, 1, kinds.STEADY, 700.0, each) for each in p99_ms]
    return next(each.verdict for each in targets(Results(samples)) if each.name == name)


def test_a_latency_is_reached_or_falls_short() -> None:
    """The median over the rounds counts, and a figure without samples was not measured."""
    assert verdict(P99, 10.0, 90.0, 15.0) == "reached"
    assert verdict(P99, 60.0, 90.0, 15.0) == "SHORT"
    assert verdict(P99) == "not measured"


def test_a_round_without_an_answer_falls_short() -> None:
    """It has no percentile, and the other rounds do not make up for it."""
    assert verdict(P99, math.nan) == "SHORT"
    assert verdict(P99, 10.0, math.nan, 10.0) == "SHORT"


@pytest.mark.parametrize("at_least", [True, False])
def test_nan_reaches_no_target(at_least: bool) -> None:
    """NaN reaches neither a lower limit nor an upper one."""
    assert Target("slope", 1.0, at_least, " MB/min", math.nan).verdict == "SHORT"


def test_each_system_counts_with_its_better_number_of_processes() -> None:
    """Ratios compare the better medians, and samples of the other number do not count."""
    samples = [
        sample(DEFAULT, 1, kinds.MANY, 900.0),
        sample(DEFAULT, 2, kinds.MANY, 1000.0),
        sample("fastapi-torchscript", 1, kinds.MANY, 500.0),
        sample("fastapi-torchscript", 2, kinds.MANY, 300.0),
    ]
    assert [better(samples, system) for system in (DEFAULT, "fastapi-torchscript")] == [2, 1]
    found = [each for each in targets(Results(samples)) if "TorchScript" in each.name]
    assert [(each.level, each.value, each.verdict) for each in found] == [
        (MUST, 2.0, "reached"),
        (AIM, 2.0, "SHORT"),
        (MUST, None, "not measured"),  # REST, which no sample asks
    ]
