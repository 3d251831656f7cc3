"""The job `check_drift`: its verdicts on a real database."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from tidemill_core.domain.report import Report, ReportVerdict
from tidemill_core.errors import DataError
from tidemill_core.storage.database import Page
from tidemill_jobs.context import JobContext, Result, RunCanceled
from tidemill_jobs.monitoring.alerts.sender import Sender
from tidemill_jobs.monitoring.drift.check import run

Answer = Callable[..., list[str]]


def drifted(result: Result) -> dict[str, bool]:
    """Return whether each signal drifted, of those that were measured."""
    return {
        signal["signal"]: signal["drifted"]
        for signal in result["signals"]
        if signal["p_value"] is not None
    }


def test_answers_like_the_hold_outs_are_ok(context: JobContext, answer: Answer) -> None:
    """The same labels with the same confidences are no drift, and no alert."""
    answer("abcd" * 100)
    result = run(context)
    assert result["verdict"] == "OK"
    assert drifted(result) == {"label": False, "confidence": False}
    assert context.storage.alerts.page("support", False, False, Page()) == ([], "")


def test_other_labels_are_an_alert(context: JobContext, answer: Answer) -> None:
    """A label that takes over raises one alert, which the report explains and the log has."""
    answer("abcd" * 50 + "a" * 100)
    result = run(context)
    with capture_logs() as logs:
        Sender(context.storage.alert_outbox, context.settings.alerts, context.clock).tick()
    assert result["verdict"] == "ALERT"
    assert drifted(result) == {"label": True, "confidence": False}
    label = result["signals"][0]
    assert label["bins"] == list("abcd")
    assert (label["reference_shares"][0], label["window_shares"][0]) == (0.25, 0.5)
    examples = map(context.storage.predictions.get, label["example_prediction_ids"])
    assert [each and each.label for each in examples] == ["a"] * 2
    [alert], _ = context.storage.alerts.page("support", False, True, Page())
    report = context.storage.reports.get(alert.report_id)
    assert (report.kind, report.model_version, report.verdict, report.run_id) == (
        "drift",
        1,
        ReportVerdict.ALERT,
        "run",
    )
    assert report.report_id == result["report_id"]
    assert [(log["event"], log["log_level"], log["kind"]) for log in logs] == [
        ("alert", "warning", "drift")
    ]


def test_other_confidences_are_an_alert(context: JobContext, answer: Answer) -> None:
    """A champion whose confidence falls drifts, even if its labels stay."""
    answer("abcd" * 100, confidences=(0.42, 0.72, 0.92))
    result = run(context)
    assert result["verdict"] == "ALERT"
    assert drifted(result) == {"label": False, "confidence": True}
    assert result["accuracy_cost"] == pytest.approx(0.13, abs=0.01)
    assert result["accuracy_cost_source"] == "confidence"


def test_predictions_that_are_all_alike_can_be_compared(
    context: JobContext, answer: Answer
) -> None:
    """One label with one confidence is far from the hold-out, and the report has all figures."""
    answer("a" * 300, confidences=(1.0,))
    result = run(context)
    assert result["verdict"] == "ALERT"
    label, confidence = result["signals"][:2]
    assert 0.5 < label["distance"] < confidence["distance"] <= 1.0


def test_few_predictions_are_insufficient(context: JobContext, answer: Answer) -> None:
    """Below the minimum nothing is concluded, whatever the predictions are."""
    answer("a" * 199)
    result = run(context)
    assert (result["verdict"], result["prediction_count"]) == ("INSUFFICIENT", 199)
    assert context.storage.reports.get(result["report_id"]).verdict is ReportVerdict.INSUFFICIENT


def test_only_the_champions_own_answers_of_the_window_count(
    context: JobContext, answer: Answer
) -> None:
    """Older predictions, those of other versions and shadow predictions do not count."""
    answer("abcd" * 100)
    answer("a" * 300, time=context.clock() - timedelta(hours=25))
    answer("a" * 300, version=2)
    answer("a" * 300, method="Shadow")
    result = run(context)
    assert (result["verdict"], result["prediction_count"]) == ("OK", 400)


def test_a_repeat_gives_the_same_figures(context: JobContext, answer: Answer) -> None:
    """The same predictions have the same distances and limits each time."""
    answer("abcd" * 60 + "a" * 20)
    first, second = dict(run(context)), dict(run(context))
    assert first.pop("report_id") != second.pop("report_id")
    assert first == second
    assert json.loads(json.dumps(first)) == first


def test_a_label_that_the_version_lacks_is_an_error(context: JobContext, answer: Answer) -> None:
    """Predictions with a label that the version does not have fail the check."""
    answer("abcz" * 100)
    with pytest.raises(DataError, match="'z'"):
        run(context)
    assert context.storage.reports.page("support", "drift", Page()) == ([], "")


def test_no_champion_makes_no_report(newcomer: JobContext, answer: Answer) -> None:
    """Without a champion the result says so, and no report is written."""
    answer("abcd" * 100)
    assert run(newcomer)["verdict"] == "INSUFFICIENT"
    assert newcomer.storage.reports.page("support", "", Page()) == ([], "")


def test_two_checks_at_once_raise_one_alert(context: JobContext, answer: Answer) -> None:
    """Monitors that check the same predictions together agree, and raise a single alert."""
    answer("abcd" * 50 + "a" * 100)
    with ThreadPoolExecutor(2) as threads:
        results = [dict(each) for each in threads.map(run, [context, context])]
    assert len({each.pop("report_id") for each in results}) == 2
    assert results[0] == results[1]
    alerts, _ = context.storage.alerts.page("support", False, True, Page())
    assert len(alerts) == 1


def test_a_check_that_is_killed_leaves_nothing(context: JobContext, answer: Answer) -> None:
    """A run that ends in its middle writes neither report nor alert, and the next one does both."""

    def stop(done: float, _doing: str) -> None:
        if done > 0.5:
            raise RunCanceled

    answer("abcd" * 50 + "a" * 100)
    with pytest.raises(RunCanceled):
        run(replace(context, progress=stop))
    assert context.storage.reports.page("support", "drift", Page()) == ([], "")
    assert context.storage.alerts.page("support", False, False, Page()) == ([], "")
    assert run(context)["verdict"] == "ALERT"


def test_tasks_share_the_budget_of_false_alarms(context: JobContext, answer: Answer) -> None:
    """With ten tasks, each has a tenth of the probability of a false alarm."""
    answer("abcd" * 100)
    tasks = {f"task{number}": context.task_settings for number in range(9)}
    settings = context.settings.model_copy(update={"tasks": {**context.settings.tasks, **tasks}})
    assert run(context)["false_alarm_level"] == pytest.approx(0.04)
    assert run(replace(context, settings=settings))["false_alarm_level"] == pytest.approx(0.004)


def test_a_check_that_is_late_covers_the_hours_before_it(
    context: JobContext, answer: Answer
) -> None:
    """A night that was missed is caught up by one check, of the hours before it runs."""
    answer("abcd" * 100)
    late = replace(context, clock=lambda: context.clock() + timedelta(hours=20))
    assert run(late)["prediction_count"] == 400
    later = replace(context, clock=lambda: context.clock() + timedelta(hours=30))
    assert run(later)["verdict"] == "INSUFFICIENT"


def test_an_accuracy_report_says_what_the_drift_costs(context: JobContext, answer: Answer) -> None:
    """The newest accuracy report of the version and the window comes before the confidence."""
    answer("abcd" * 100, confidences=(0.42, 0.72, 0.92))
    figures = {"accuracy": 0.85, "accuracy_low": 0.8, "accuracy_high": 0.9}
    details = {**figures, "baseline_accuracy": 0.9}
    now = context.clock()
    made = Report("r1", "support", "accuracy", 1, ReportVerdict.OK, "fine", details, "run", now)
    context.storage.reports.add(made)
    result = run(context)
    assert result["accuracy_cost_source"] == "accuracy report"
    costs = [result[f"accuracy_cost{side}"] for side in ("_low", "", "_high")]
    assert costs == pytest.approx([0.0, 0.05, 0.1])
    old = replace(made, report_id="r2", create_time=now - timedelta(days=2))
    context.storage.reports.add(old)
    assert run(context)["accuracy_cost_source"] == "confidence"
