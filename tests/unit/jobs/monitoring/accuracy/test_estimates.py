"""The estimators of accuracy: audits, prediction-powered inference and corrected feedback."""

from datetime import UTC, datetime

import numpy as np
import pytest

from tidemill_core.domain.interval import wilson
from tidemill_core.storage.accuracy_totals import JudgedTotals, Sampled
from tidemill_core.storage.audited_predictions import AuditedPrediction
from tidemill_jobs.monitoring.accuracy.feedback import feedback_estimate, judging_ratio
from tidemill_jobs.monitoring.accuracy.guesses import (
    audits_of,
    confidence_estimate,
    guesses_of,
)
from tidemill_jobs.monitoring.accuracy.prediction_powered import (
    Audits,
    Guesses,
    audit_estimate,
    combined_estimate,
)


def _audited(
    right: bool, said_right: float | None = None, predicted: str = "a", probability: float = 0.01
) -> AuditedPrediction:
    return AuditedPrediction(
        model_version=1,
        predicted=predicted,
        label=predicted if right else "other",
        confidence=0.8,
        method="Predict",
        abstained=False,
        attributes={},
        text_length=0,
        predict_time=datetime(2026, 3, 1, tzinfo=UTC),
        inclusion_probability=probability,
        said_right=said_right,
    )


def _window(draw: np.random.Generator, count: int = 4000) -> tuple[Audits, Guesses, float]:
    """Return a window whose guesses are informative and ten points too high."""
    guess = draw.beta(4, 1, count)
    right = (draw.random(count) < np.clip(guess - 0.1, 0, 1)).astype(float)
    inclusion = np.where(np.arange(count) % 2, 0.02, 0.08)
    drawn = draw.random(count) < inclusion
    audits = Audits(right[drawn], guess[drawn], 1 / inclusion[drawn])
    return audits, Guesses(count, float(guess.mean()), float(guess.var())), float(right.mean())


def test_audits_count_by_their_inclusion_probability() -> None:
    """A prediction that was drawn half as often counts twice."""
    audits = audits_of([_audited(True, probability=0.02), _audited(False, probability=0.01)])
    assert audit_estimate(audits).accuracy == pytest.approx(1 / 3)


@pytest.mark.parametrize("right", [0.0, 1.0])
def test_audits_of_one_kind_have_an_interval(right: float) -> None:
    """If all audits are right, or all wrong, the interval is still Wilson's."""
    audits = Audits(np.full(40, right), np.linspace(0, 1, 40), np.full(40, 100.0))
    for found in (audit_estimate(audits), combined_estimate(audits, Guesses(4000, 0.5, 0.1))):
        assert found.accuracy == right
        assert (found.low, found.high) == pytest.approx(wilson(right, 40))


def test_intervals_hold_the_truth() -> None:
    """Audits drawn at two rates and biased guesses: both intervals hold the truth as promised."""
    draw, runs = np.random.default_rng(1), 1000
    held = {"audits": 0, "combined": 0}
    widths = {"audits": 0.0, "combined": 0.0}
    for _ in range(runs):
        audits, guesses, truth = _window(draw)
        for found in (audit_estimate(audits), combined_estimate(audits, guesses)):
            assert found.low is not None
            assert found.high is not None
            held[found.source] += found.low <= truth <= found.high
            widths[found.source] += found.high - found.low
    # Of a binomial number of 1,000 with 95 %, 99.9 % lie within 23 of 950.
    assert 927 <= held["audits"] <= 973
    assert 927 <= held["combined"] <= 973
    assert widths["combined"] < 0.96 * widths["audits"]


def test_useless_guesses_leave_the_audits_alone() -> None:
    """Guesses that are all equal, or that point the wrong way, get no weight."""
    right = np.repeat([1.0, 0.0], [80, 20])
    for guess in (np.full(100, 0.7), 1 - right):
        audits = Audits(right, guess, np.full(100, 50.0))
        found = combined_estimate(audits, Guesses(5000, 0.9, 0.05))
        assert (found.accuracy, found.low) == (0.8, audit_estimate(audits).low)


def test_the_guess_is_the_verdict_or_the_confidence() -> None:
    """The verdict replaces the confidence of a judged prediction."""
    sample = [Sampled(0.9, 1.0), Sampled(0.8, 0.5), Sampled(0.6, None), Sampled(0.3, None)]
    found = guesses_of(sample)
    guesses = np.array([1.0, 0.5, 0.6, 0.3])
    assert (found.count, found.mean) == (4, pytest.approx(guesses.mean()))
    assert found.variance == pytest.approx(guesses.var())
    assert audits_of([_audited(True), _audited(True, 0.0)]).guess.tolist() == [0.8, 0.0]


def test_confidence_is_an_estimate_without_labels() -> None:
    """It is marked as biased, and its interval is as wide as the hold-out is small."""
    sample = [Sampled(0.9, 0.0), Sampled(0.7, None)]
    found = confidence_estimate(sample, 20, 100)
    assert (found.accuracy, found.row_count, found.biased) == (0.8, 20, True)
    assert (found.low, found.high) == pytest.approx(wilson(0.8, 100))
    unknown = confidence_estimate(sample, 20, 0)
    assert (unknown.low, unknown.high) == (None, None)


# 1,000 answers, 80 % right, of which users judge 5 % of the right and 50 % of the wrong ones.
ANSWERS, JUDGED = {"a": 1000}, {"a": JudgedTotals(140, 40.0)}


def test_feedback_alone_is_biased() -> None:
    """Without audited predictions that users judged, the plain share is marked as biased."""
    found = feedback_estimate(ANSWERS, JUDGED, [_audited(True)] * 50)
    assert found is not None
    assert (found.accuracy, found.biased) == (40 / 140, True)
    assert "biased" in found.note


def test_feedback_is_corrected_by_who_judges() -> None:
    """Audits show that wrong answers are judged ten times as often, so the truth comes back."""
    audited = [_audited(True, 1.0)] * 20 + [_audited(True)] * 380
    audited += [_audited(False, 0.0)] * 50 + [_audited(False)] * 50
    ratio = judging_ratio(audited)
    assert ratio is not None
    assert ratio.ratio == pytest.approx(10.0)
    found = feedback_estimate(ANSWERS, JUDGED, audited)
    assert found is not None
    assert found.accuracy == pytest.approx(0.8, abs=0.01)
    assert found.low is not None
    assert found.low < 0.8
    assert (found.biased, found.note.count("10.0 times")) == (False, 1)


def test_classes_that_no_one_judges_are_named_by_their_share() -> None:
    """A corrected estimate says nothing about silent classes, and is marked as biased."""
    audited = [_audited(True, 1.0)] * 20 + [_audited(True)] * 380
    audited += [_audited(False, 0.0)] * 50 + [_audited(False)] * 50
    found = feedback_estimate(ANSWERS | {"b": 1000}, JUDGED, audited)
    assert found is not None
    assert found.biased
    assert "50%" in found.note


def test_no_verdicts() -> None:
    """Without verdicts there is no estimate from feedback."""
    assert feedback_estimate({"a": 5}, {}, []) is None
