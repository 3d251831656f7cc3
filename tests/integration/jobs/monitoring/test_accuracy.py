"""The job `check_accuracy`: its verdicts on a real database."""

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from tidemill_core.domain.feedback import Feedback
from tidemill_core.storage.database import Page
from tidemill_jobs.context import JobContext
from tidemill_jobs.monitoring.accuracy import run

Answer = Callable[..., list[str]]
Judge = Callable[..., None]


@pytest.fixture
def judge(context: JobContext) -> Judge:
    """Stores one verdict on each of some predictions: a label, or yes or no."""

    def store(
        prediction_ids: list[str],
        given: str | bool,
        source: str = "user",
        version: int = 1,
        time: datetime | None = None,
    ) -> None:
        verdicts = [
            Feedback(
                feedback_id=uuid.uuid4().hex,
                prediction_id=prediction_id,
                task="support",
                model_version=version,
                correct=given if isinstance(given, bool) else None,
                label=given if isinstance(given, str) else None,
                source=source,
                comment="",
                request_id="",
                create_time=time or context.clock(),
            )
            for prediction_id in prediction_ids
        ]
        context.storage.feedback.add(verdicts)

    return store


def test_an_interval_that_reaches_the_limit_is_ok(
    context: JobContext, answer: Answer, judge: Judge
) -> None:
    """Yes and the predicted label count as right; the interval is Wilson's."""
    judge(answer("a" * 60), True)
    judge(answer("a" * 25), "a")
    judge(answer("a" * 10), "b")
    judge(answer("a" * 5), False)
    result = run(context)
    assert (result["verdict"], result["right_count"], result["verdict_count"]) == ("OK", 85, 100)
    assert result["accuracy"] == 0.85
    # Wilson 1927 for 85 of 100 at 95 %.
    assert result["accuracy_low"] == pytest.approx(0.7671, abs=1e-4)
    assert result["accuracy_high"] == pytest.approx(0.9069, abs=1e-4)
    assert result["biased"] is True
    assert "choose what they judge" in result["bias"]


def test_an_interval_below_the_limit_is_an_alert(
    context: JobContext, answer: Answer, judge: Judge
) -> None:
    """At 70 of 100 even the interval's upper end lies under 0.9 - 0.03."""
    judge(answer("a" * 70), True)
    judge(answer("a" * 30), "b")
    result = run(context)
    assert result["verdict"] == "ALERT"
    assert result["accuracy_high"] < 0.87
    [alert], _ = context.storage.reports.alerts_page("support", True, Page())
    assert (alert.kind, alert.report_id) == ("accuracy", result["report_id"])


def test_few_verdicts_are_insufficient(context: JobContext, answer: Answer, judge: Judge) -> None:
    """29 times no concludes nothing yet."""
    judge(answer("a" * 29), False)
    result = run(context)
    assert (result["verdict"], result["verdict_count"]) == ("INSUFFICIENT", 29)
    assert result["biased"] is True


def test_only_verdicts_of_the_window_on_the_champion_count(
    context: JobContext, answer: Answer, judge: Judge
) -> None:
    """Older verdicts and those on other versions are left out."""
    judge(answer("a" * 40), True)
    judge(answer("a" * 40), False, time=context.clock() - timedelta(hours=25))
    judge(answer("a" * 40, version=2), False, version=2)
    result = run(context)
    assert (result["verdict"], result["accuracy"], result["verdict_count"]) == ("OK", 1.0, 40)


def test_each_source_counts_once_on_a_prediction(
    context: JobContext, answer: Answer, judge: Judge
) -> None:
    """A source's later verdict replaces its earlier one; another source's is one more."""
    predictions = answer("a" * 30)
    judge(predictions, False)
    judge(predictions, True)
    judge(predictions[:10], False, source="other")
    result = run(context)
    assert (result["right_count"], result["verdict_count"]) == (30, 40)


def test_a_label_for_a_prediction_not_stored_yet_is_counted_apart(
    context: JobContext, answer: Answer, judge: Judge
) -> None:
    """What cannot be compared is neither right nor wrong, and is not lost from sight."""
    judge(answer("a" * 30), "a")
    judge(["gone"], "a")
    result = run(context)
    assert (result["verdict_count"], result["verdict_count_without_prediction"]) == (30, 1)


def test_no_champion_makes_no_report(newcomer: JobContext) -> None:
    """Before the first champion the result says so, and nothing is written."""
    assert run(newcomer)["verdict"] == "INSUFFICIENT"
    assert newcomer.storage.reports.page("support", "", Page()) == ([], "")
