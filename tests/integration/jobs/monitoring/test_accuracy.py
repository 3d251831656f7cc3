"""The job `check_accuracy`: its reports on a real database."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.integration.jobs.monitoring.conftest import Answer, Judge
from tidemill_core.domain.gate import GateResult, GateVerdict
from tidemill_core.domain.model import ModelState
from tidemill_core.settings import LabelNames
from tidemill_core.storage.database import Page
from tidemill_core.storage.deployments import Change
from tidemill_jobs.context import JobContext
from tidemill_jobs.monitoring.accuracy.check import run


def _sources(result: Mapping[str, Any]) -> dict[str, Any]:
    return {each["source"]: each for each in result["estimates"]}


def test_verdicts_alone_never_decide(context: JobContext, answer: Answer, judge: Judge) -> None:
    """A hundred denials are reported, marked as biased, with the audits that would settle it."""
    judge(answer("a" * 100), False)
    judge(answer("a" * 20), "a")
    result = run(context)
    assert (result["verdict"], result["method"]) == ("INSUFFICIENT", "none")
    assert "accuracy" not in result
    found = _sources(result)
    assert set(found) == {"feedback", "confidence"}
    assert found["feedback"]["accuracy"] == pytest.approx(20 / 120)
    assert found["feedback"]["biased"]
    assert found["confidence"]["biased"]
    # 1.96² * 0.9 * 0.1 / 0.03².
    assert result["more_audits_needed"] == 385
    assert "385 more audits" in result["summary"]


def test_audits_below_the_limit_are_an_alert(
    context: JobContext, answer: Answer, judge: Judge, audit: Judge
) -> None:
    """At 70 of 100 audits even the upper end of the interval is below 0.9 - 0.03."""
    wrong = answer("a" * 30)
    audit(answer("a" * 70), "a")
    audit(wrong, "b")
    judge(wrong[:10], "b")
    result = run(context)
    assert (result["verdict"], result["method"]) == ("ALERT", "combined")
    assert result["accuracy_low"] < 0.7 < result["accuracy_high"] < 0.87
    [alert], _ = context.storage.alerts.page("support", False, True, Page())
    assert (alert.kind, alert.report_id) == ("accuracy", result["report_id"])


def test_audits_at_the_baseline_are_ok(context: JobContext, answer: Answer, audit: Judge) -> None:
    """The interval of the audits alone is Wilson's (1927): 90 of 100 at 95 %."""
    audit(answer("a" * 90), "a")
    audit(answer("a" * 10), "b")
    result = run(context)
    audits = _sources(result)["audits"]
    assert (result["verdict"], audits["row_count"], audits["accuracy"]) == ("OK", 100, 0.9)
    assert (audits["low"], audits["high"]) == pytest.approx((0.8256, 0.9448), abs=1e-4)


def test_an_interval_around_the_limit_is_insufficient(
    context: JobContext, answer: Answer, audit: Judge
) -> None:
    """An accuracy below the limit that may be above it needs more audits."""
    audit(answer("a" * 85), "a")
    audit(answer("a" * 15), "b")
    result = run(context)
    assert result["verdict"] == "INSUFFICIENT"
    assert result["accuracy"] < 0.87 < result["accuracy_high"]
    assert 500 < result["more_audits_needed"] < 2000


def test_few_audits_are_insufficient(context: JobContext, answer: Answer, audit: Judge) -> None:
    """29 wrong answers are too few to conclude anything, and one more is missing."""
    audit(answer("a" * 29), "b")
    result = run(context)
    assert (result["verdict"], result["audit_count"]) == ("INSUFFICIENT", 29)
    assert result["more_audits_needed"] == 1


def test_one_audit(context: JobContext, answer: Answer, audit: Judge) -> None:
    """A single label gives an estimate with a wide interval, and no conclusion."""
    audit(answer("a"), "a")
    result = run(context)
    assert (result["verdict"], result["accuracy"]) == ("INSUFFICIENT", 1.0)
    assert result["accuracy_low"] < 0.25


def test_without_predictions(context: JobContext) -> None:
    """A version that answered nothing gets a report without estimates."""
    result = run(context)
    assert (result["verdict"], result["estimates"]) == ("INSUFFICIENT", [])
    assert (result["classes"], result["slices"], result["prediction_count"]) == ([], [], 0)


def test_labels_that_come_late(context: JobContext, answer: Answer, audit: Judge) -> None:
    """The newest windows with enough labels decide, and every window is estimated again."""
    day = timedelta(days=1)
    now = context.clock()
    answer("a" * 50, time=now - 0.5 * day)
    audit(answer("a" * 20, time=now - 2.5 * day), "a")
    audit(answer("a" * 20, time=now - 3.5 * day), "a")
    audit(answer("a" * 40, time=now - 5.5 * day), "b")
    audit(answer("a" * 40, time=now - 9 * day), "b")
    result = run(context)
    assert (result["verdict"], result["accuracy"]) == ("OK", 1.0)
    assert (result["audit_count"], result["prediction_count"]) == (40, 40)
    spans = [datetime.fromisoformat(result[end]) for end in ("since", "until")]
    this_hour = timedelta(hours=1)  # ends the newest window
    assert spans == [now - 4 * day + this_hour, now - 2 * day + this_hour]
    assert [each["accuracy"] for each in result["windows"]] == [1.0, 1.0, 0.0]


def test_audits_that_wait_are_counted(context: JobContext, answer: Answer, audit: Judge) -> None:
    """Drawn predictions without a label are in the report, and decide nothing."""
    audit(answer("a" * 20), "b")
    audit(answer("a" * 7))
    result = run(context)
    assert (result["audit_count"], result["waiting_audit_count"]) == (20, 7)
    assert "10 more audits would settle it (drawn and waiting for a label: 7)" in result["summary"]


def test_feedback_is_corrected_where_audits_overlap(
    context: JobContext, answer: Answer, judge: Judge, audit: Judge
) -> None:
    """Audited predictions with verdicts show that users judge wrong answers far more often."""
    right, wrong = answer("ab" * 400), answer("ab" * 100)
    judge(right[:80], True)
    judge(wrong[:100], False)
    audit(right[60:160], "a")
    audit(wrong[90:115], "c")
    feedback = _sources(run(context))["feedback"]
    assert not feedback["biased"]
    # Audits label half of `right` otherwise, so the ratio is not exact; the plain share is 0.44.
    assert feedback["low"] < feedback["accuracy"] < feedback["high"]
    assert "times as often" in feedback["note"]


def test_a_class_that_fell_is_an_alert(context: JobContext, answer: Answer, audit: Judge) -> None:
    """A class far below its hold-out alerts, though the accuracy as a whole does not."""
    models = context.storage.models
    models.add_candidate("support", "onnx", "dataset", context.clock())
    parts = [{"name": name, "rows": 100, "accuracy": 0.95} for name in ("a", "b")]
    gates = [GateResult("classes", GateVerdict.PASSED, 0.0, 0.0, "", {"parts": parts})]
    models.judge("support", 2, ModelState.VALIDATED, {"accuracy": 0.9}, "", context.clock(), gates)
    _publish_again(context, 2)
    audit(answer("a" * 360, version=2), "a")
    audit(answer("a" * 20, version=2), "b")
    audit(answer("b" * 5, version=2), "b")
    result = run(context)
    assert result["verdict"] == "ALERT"
    assert result["accuracy"] > 0.9
    worst, other = result["classes"]
    assert (worst["label"], worst["accuracy"], worst["baseline"]) == ("b", 0.2, 0.95)
    assert (worst["fell"], other["fell"], other["row_count"]) == (True, False, 360)
    assert "fell most: b" in result["summary"]


def test_slices_and_versions(context: JobContext, answer: Answer, audit: Judge) -> None:
    """Audits are reported by method and by version, with the slice's accuracy before."""
    earlier = context.clock() - timedelta(days=3)
    audit(answer("a" * 40, method="StreamPredict", time=earlier), "a")
    audit(answer("a" * 40), "a")
    audit(answer("a" * 30, method="StreamPredict"), "b")
    audit(answer("a" * 12, version=2), "b")
    result = run(context)
    stream = next(each for each in result["slices"] if each["slice"] == "method=StreamPredict")
    assert (stream["accuracy"], stream["baseline"], stream["fell"]) == (0.0, 1.0, True)
    versions = {each["model_version"]: each for each in result["versions"]}
    assert (versions[1]["row_count"], versions[1]["baseline"]) == (70, 0.9)
    assert (versions[2]["accuracy"], versions[2]["baseline"]) == (0.0, None)


def test_a_version_without_a_hold_out(context: JobContext, answer: Answer, audit: Judge) -> None:
    """Without a baseline there is an estimate and no verdict."""
    _publish_again(context, 2, measures={"accuracy": 0.0, "n": 0})
    audit(answer("a" * 100, version=2), "b")
    result = run(context)
    assert (result["verdict"], result["baseline_accuracy"]) == ("INSUFFICIENT", None)
    assert (result["accuracy"], result["more_audits_needed"]) == (0.0, 0)
    assert "no accuracy on a hold-out" in result["summary"]


def test_contradicting_and_repeated_verdicts(
    context: JobContext, answer: Answer, judge: Judge
) -> None:
    """A source's later verdict replaces its earlier one; sources that differ share a verdict."""
    predictions = answer("a" * 40)
    judge(predictions, False)
    judge(predictions, True)
    judge(predictions[:10], False, source="other")
    result = run(context)
    assert result["verdict_count"] == 40
    assert _sources(result)["feedback"]["accuracy"] == pytest.approx(35 / 40)


def test_verdicts_on_predictions_that_are_not_stored(
    context: JobContext, answer: Answer, judge: Judge
) -> None:
    """They do not count, and the summary says so with the reason."""
    context.settings.tasks["support"] = context.task_settings.model_copy(
        update={"log_sample": 1 / 3}
    )
    judge(answer("a" * 40), True)
    judge([f"unstored {number}" for number in range(80)], "b")
    result = run(context)
    assert (result["verdict_count"], result["verdict_count_without_prediction"]) == (40, 80)
    assert _sources(result)["feedback"]["accuracy"] == 1.0
    assert "not counted, because the prediction is not stored: 80 verdicts" in result["summary"]
    assert "80 verdicts (log_sample is 0.333333)" in result["left_out"]


def test_where_all_verdicts_count_nothing_is_said_of_others(
    context: JobContext, answer: Answer, judge: Judge
) -> None:
    """A task that stores every prediction has no note."""
    judge(answer("a" * 30), "a")
    result = run(context)
    assert (result["verdict_count_without_prediction"], result["left_out"]) == (0, "")
    assert "not counted" not in result["summary"]


def test_no_champion_makes_no_report(newcomer: JobContext) -> None:
    """Without a champion the result says so, and no report is written."""
    assert run(newcomer)["verdict"] == "INSUFFICIENT"
    assert newcomer.storage.reports.page("support", "", Page()) == ([], "")


def test_labels_count_by_their_current_names(
    context: JobContext, answer: Answer, audit: Judge
) -> None:
    """A champion that answers the old name of a label is right, also if labels were merged."""
    audit(answer("a" * 10), "new")
    audit(answer("b" * 20), "c")
    audit(answer("d" * 10), "new")
    assert run(context)["accuracy"] == 0.0
    labels = LabelNames(rename={"a": "new", "b": "c"})
    context.settings.tasks["support"] = context.task_settings.model_copy(update={"labels": labels})
    result = run(context)
    assert _sources(result)["audits"]["accuracy"] == 0.75
    assert {each["label"] for each in result["classes"]} == {"new", "c"}


def _publish_again(
    context: JobContext, version: int, measures: Mapping[str, float] | None = None
) -> None:
    """Make a copy of the champion's folder the champion."""
    models, now = context.storage.models, context.clock()
    manifest = context.repository.manifest("support", "onnx", 1)
    found = dict(measures or manifest.measures)
    context.repository.publish(replace(manifest, version=version, measures=found), b"m", "t")
    if measures is not None:
        models.add_candidate("support", "onnx", "dataset", now)
        models.judge("support", version, ModelState.VALIDATED, found, "passed", now)
    models.promote("support", version, Change("test", "", "", now))
