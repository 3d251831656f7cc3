"""The distance between two samples, its p-value, and the budget of false alarms."""

import numpy as np
import pytest

from tidemill_core.domain.report import ReportVerdict
from tidemill_core.domain.signals import Signal
from tidemill_jobs.monitoring.drift.check import judge
from tidemill_jobs.monitoring.drift.shift import EXCEEDANCES, Counts, drifted, measure_shift
from tidemill_jobs.monitoring.drift.signals import Samples, unmeasured

SHARES = np.array([0.3, 0.25, 0.2, 0.15, 0.08, 0.02])
REFERENCE_ROWS, PREDICTIONS = 300, 200
LEVEL = 0.008


def test_p_values_are_what_chance_makes() -> None:
    """Without drift, 10 % of p-values are at most 0.1: the test is neither deaf nor nervous."""
    random = np.random.default_rng(2)
    p_values = [
        measure_shift(
            random.multinomial(REFERENCE_ROWS, SHARES),
            random.multinomial(PREDICTIONS, SHARES),
            random,
            LEVEL,
        ).p_value
        for _ in range(500)
    ]
    # Of a binomial number of 500 with 10 %, 99.9 % lie between 30 and 74.
    assert 30 <= sum(value <= 0.1 for value in p_values) <= 74
    assert 0.4 < np.mean(p_values) < 0.6


def test_a_shift_is_caught() -> None:
    """A tenth of the traffic that moves to a rare class is significant every night."""
    random = np.random.default_rng(3)
    moved = 0.9 * SHARES
    moved[-1] += 0.1
    for _ in range(20):
        reference = random.multinomial(REFERENCE_ROWS * 3, SHARES)
        window = random.multinomial(1000, moved)
        assert measure_shift(reference, window, random, LEVEL).p_value < LEVEL


def test_many_classes_are_far_apart_by_chance() -> None:
    """77 classes without drift have a large distance at 200 predictions, and a large p-value."""
    random = np.random.default_rng(4)
    shares = np.full(77, 1 / 77)
    samples = random.multinomial(700, shares), random.multinomial(200, shares)
    shift = measure_shift(*samples, random, LEVEL)
    assert shift.distance > 0.25
    assert shift.p_value > 0.05


@pytest.mark.parametrize("sample", [[7, 11, 13, 0], [5], [10**9, 10**9]])
def test_equal_samples_do_not_differ(sample: list[int]) -> None:
    """The distance of a sample to itself is 0 in spite of rounding, and is what chance makes."""
    counts = np.array(sample)
    shift = measure_shift(counts, counts, np.random.default_rng(5), LEVEL)
    assert (shift.distance, shift.p_value) == (0.0, 1.0)


def test_samples_without_a_common_class_are_as_far_apart_as_can_be() -> None:
    """The largest distance to base 2 is 1; its p-value is below any level that it is used at."""
    samples = np.array([100, 0]), np.array([0, 100])
    shift = measure_shift(*samples, np.random.default_rng(6), 0.001)
    assert shift.distance == 1.0
    assert shift.p_value < 0.001 / (EXCEEDANCES - 1)


@pytest.mark.parametrize(
    ("p_values", "expected"),
    [
        ([], []),
        ([0.04], [True]),
        ([0.02, 0.021], [True, True]),
        ([0.03, 0.021], [False, False]),
        ([0.03, 0.001, 0.5], [False, True, False]),
        ([0.5, 0.041], [False, False]),
    ],
)
def test_the_budget_is_shared(p_values: list[float], expected: list[bool]) -> None:
    """Holm's procedure gives the smallest p-value the strictest limit, and the next one a wider."""
    assert drifted(p_values, 0.04) == expected


def samples_of(signal: Signal, reference: Counts, window: Counts) -> Samples:
    """Return samples whose examples are named after their bin."""
    names = [f"bin {place}" for place in range(len(reference))]
    return Samples(signal, names, reference, window, lambda place, n: [f"in {place}"][:n])


def test_a_judgement_names_what_moved() -> None:
    """A signal that drifted has its shares and predictions of the bins that grew."""
    still = samples_of(Signal.CONFIDENCE, np.array([300, 300]), np.array([150, 150]))
    moved = samples_of(Signal.LABEL, np.array([300, 300, 400]), np.array([400, 100, 200]))
    signals = [moved, still, unmeasured(Signal.REPRESENTATION, "no texts")]
    finding = judge(signals, "support 1", 0.04)
    assert finding.verdict is ReportVerdict.ALERT
    label, confidence, representation = finding.details["signals"]
    assert label["drifted"]
    assert label["window_shares"] == pytest.approx([4 / 7, 1 / 7, 2 / 7])
    assert label["example_prediction_ids"] == ["in 0"]
    assert (confidence["drifted"], confidence["example_prediction_ids"]) == (False, [])
    assert (representation["distance"], representation["note"]) == (None, "no texts")
    assert "'bin 0' (30.0% before, 57.1% now)" in finding.summary


def test_more_tasks_share_the_budget() -> None:
    """What alerts in a single task may be chance among many."""
    random = np.random.default_rng(8)
    reference = random.multinomial(900, SHARES)
    moved = samples_of(Signal.LABEL, reference, np.array([330, 225, 200, 150, 75, 20]))
    p_value = judge([moved], "a", 0.04).details["signals"][0]["p_value"]
    assert judge([moved], "a", 1.5 * p_value).verdict is ReportVerdict.ALERT
    assert judge([moved], "a", 0.5 * p_value).verdict is ReportVerdict.OK
