"""The job `check_latency`: its verdicts on a real database."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from tidemill_core.domain.outcomes import OutcomeCount
from tidemill_core.storage.database import Page
from tidemill_jobs.context import JobContext
from tidemill_jobs.monitoring.latency import run

Answer = Callable[..., list[str]]


@pytest.mark.parametrize("method", ["Predict", "StreamPredict"])
def test_fast_answers_are_ok(context: JobContext, answer: Answer, method: str) -> None:
    """Unary and streamed predictions under the limit raise no alert."""
    answer("a" * 200, latency_ms=49.0, method=method)
    result = run(context)
    assert (result["verdict"], result["p99_latency_ms"]) == ("OK", 49.0)


def test_a_slow_tail_is_an_alert(context: JobContext, answer: Answer) -> None:
    """Two slow answers in a hundred lie above the 99th percentile's limit."""
    answer("a" * 294, latency_ms=5.0)
    answer("a" * 6, latency_ms=80.0)
    result = run(context)
    assert (result["verdict"], result["p50_latency_ms"]) == ("ALERT", 5.0)
    assert result["p99_latency_ms"] == 80.0
    [alert], _ = context.storage.alerts.page("support", False, True, Page())
    assert (alert.kind, alert.report_id) == ("latency", result["report_id"])
    assert "80.0 ms" in alert.message


def test_one_slow_answer_is_not_the_tail(context: JobContext, answer: Answer) -> None:
    """Fewer than one slow answer in a hundred does not move the 99th percentile."""
    answer("a" * 299, latency_ms=5.0)
    answer("a", latency_ms=5000.0)
    assert run(context)["verdict"] == "OK"


def test_few_answers_are_insufficient(context: JobContext, answer: Answer) -> None:
    """Batches, shadows and old predictions do not count towards the minimum."""
    answer("a" * 199, latency_ms=80.0)
    answer("a" * 200, method="BatchPredict")
    answer("a" * 200, method="Shadow")
    answer("a" * 200, time=context.clock() - timedelta(hours=25))
    result = run(context)
    assert (result["verdict"], result["prediction_count"]) == ("INSUFFICIENT", 199)
    [report], _ = context.storage.reports.page("support", "latency", Page())
    assert report.report_id == result["report_id"]


def test_only_the_last_hour_counts(context: JobContext, answer: Answer) -> None:
    """A slow hour earlier in the day raises no alert."""
    answer("a" * 200, latency_ms=5.0)
    answer("a" * 200, latency_ms=80.0, time=context.clock() - timedelta(minutes=61))
    result = run(context)
    assert (result["verdict"], result["prediction_count"]) == ("OK", 200)


def test_no_champion_makes_no_report(newcomer: JobContext) -> None:
    """Without a champion the result says so, and no report is written."""
    assert run(newcomer)["verdict"] == "INSUFFICIENT"
    assert newcomer.storage.reports.page("support", "", Page()) == ([], "")


def test_the_percentiles_are_compared_with_their_past(context: JobContext, answer: Answer) -> None:
    """The report has the medians of the last seven days' reports, whatever their details have."""
    answer("a" * 200, latency_ms=5.0)
    first = run(context)
    assert "usual_p99_latency_ms" not in first
    answer("a" * 200, latency_ms=20.0)
    second = run(context)
    assert (second["p95_latency_ms"], second["usual_p95_latency_ms"]) == (20.0, 5.0)
    assert "usually 5.0 ms" in str(second["summary"])


def test_failures_that_use_the_error_budget_up_are_an_alert(context: JobContext) -> None:
    """It needs no stored predictions, resolves nothing by itself, and removes old counts."""
    now, counts = context.clock(), context.storage.outcome_counts
    counts.add(
        [
            OutcomeCount("now", "support", 900, 100, now - timedelta(minutes=1)),
            OutcomeCount("old", "support", 1, 1, now - timedelta(days=8)),
        ]
    )
    result = run(context)
    assert (result["verdict"], result["error_rate"]) == ("ALERT", 0.1)
    assert "100 of 1,000 texts failed in 1 h, 100.0 times the error budget" in result["summary"]
    assert [burn["alerts"] for burn in result["burn_rates"]] == [True, True, True]
    assert counts.sums("support", now - timedelta(days=9), now).total == 1000
