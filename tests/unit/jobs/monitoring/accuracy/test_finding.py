"""The finding of the accuracy check, from evidence that is written by hand."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tidemill_core.storage.accuracy_totals import Sampled
from tidemill_core.storage.audited_predictions import AuditedPrediction
from tidemill_jobs.monitoring.accuracy.baselines import Baselines
from tidemill_jobs.monitoring.accuracy.deciding_window import windows_before
from tidemill_jobs.monitoring.accuracy.evidence import AccuracyEvidence, JudgedVersion
from tidemill_jobs.monitoring.accuracy.finding import find
from tidemill_jobs.monitoring.accuracy.judging import AccuracyLimits

NOW = datetime(2026, 3, 1, 2, tzinfo=UTC)
WINDOWS = windows_before(NOW, 24)
LIMITS = AccuracyLimits(baseline=0.9, max_drop=0.03, fewest=30)
BASELINES = Baselines(hold_out_rows=100, classes={}, versions={1: 0.9})


def _audited(label: str, **attributes: str) -> AuditedPrediction:
    time = NOW - timedelta(hours=1)
    return AuditedPrediction(1, "a", label, 0.9, "Predict", False, attributes, 20, time, 0.01, None)


def _evidence(audits: list[AuditedPrediction]) -> AccuracyEvidence:
    return AccuracyEvidence(
        version=JudgedVersion("support", 1, {}),
        windows=WINDOWS,
        deciding=WINDOWS[:1],
        audits=audits,
        counts={"a": 1000},
        judged={},
        sample=[Sampled(0.9, None)] * 1000,
        undecided={},
        unstored=0,
    )


def test_audits_decide_alone_where_nothing_can_be_sampled() -> None:
    """Predictions of a release that kept no sample keys leave the audits as the estimate."""
    evidence = _evidence([_audited("a")] * 90 + [_audited("b")] * 10)
    assert find(evidence, LIMITS, BASELINES, 1.0).details["method"] == "combined"
    found = find(replace(evidence, sample=[]), LIMITS, BASELINES, 1.0)
    assert (found.verdict, found.details["method"], found.details["accuracy"]) == (
        "OK",
        "audits",
        0.9,
    )
    assert [each["source"] for each in found.details["estimates"]] == ["audits"]


def test_slices_come_from_metadata() -> None:
    """An attribute's value is a slice if ten audited predictions have it, and is not named else."""
    audits = [_audited("a", channel="mail")] * 10 + [_audited("b", channel="rare")] * 9
    slices = find(_evidence(audits), LIMITS, BASELINES, 1.0).details["slices"]
    assert [(each["slice"], each["accuracy"]) for each in slices] == [("channel=mail", 1.0)]


def test_a_bounded_number_of_parts_is_reported() -> None:
    """Of many classes a report has the hundred worst."""
    audits = [_audited(f"class {number}") for number in range(300)] + [_audited("a")] * 5
    classes = find(_evidence(audits), LIMITS, BASELINES, 1.0).details["classes"]
    assert len(classes) == 100
    assert {each["accuracy"] for each in classes} == {0.0}
