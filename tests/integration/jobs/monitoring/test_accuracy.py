"""The job `check_accuracy`: its verdicts on a real database."""

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from tidemill_core.domain.feedback import Feedback
from tidemill_core.settings import LabelNames
from tidemill_core.storage.database import Page
from tidemill_jobs.context import JobContext
from tidemill_jobs.monitoring.accuracy import run

Answer = Callable[..., list[str]]
Judge = Callable[..., None]


@pytest.fixture
def judge(context: JobContext) -> Judge:
    """Store a verdict on each of some predictions: a label, a confirmation or a denial."""

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
    """Confirmations and the predicted label count as right; the interval is Wilson's."""
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
    """At 70 of 100 even the upper end of the interval is below 0.9 - 0.03."""
    judge(answer("a" * 70), True)
    judge(answer("a" * 30), "b")
    result = run(context)
    assert result["verdict"] == "ALERT"
    assert result["accuracy_high"] < 0.87
    [alert], _ = context.storage.alerts.page("support", False, True, Page())
    assert (alert.kind, alert.report_id) == ("accuracy", result["report_id"])


def test_few_verdicts_are_insufficient(context: JobContext, answer: Answer, judge: Judge) -> None:
    """29 denials are too few to conclude anything."""
    judge(answer("a" * 29), False)
    result = run(context)
    assert (result["verdict"], result["verdict_count"]) == ("INSUFFICIENT", 29)
    assert result["biased"] is True


def test_only_verdicts_of_the_window_on_the_champion_count(
    context: JobContext, answer: Answer, judge: Judge
) -> None:
    """Older verdicts and those on other versions do not count."""
    judge(answer("a" * 40), True)
    judge(answer("a" * 40), False, time=context.clock() - timedelta(hours=25))
    judge(answer("a" * 40, version=2), False, version=2)
    result = run(context)
    assert (result["verdict"], result["accuracy"], result["verdict_count"]) == ("OK", 1.0, 40)


def test_each_source_counts_once_on_a_prediction(
    context: JobContext, answer: Answer, judge: Judge
) -> None:
    """A source's later verdict replaces its earlier one; another source's counts too."""
    predictions = answer("a" * 30)
    judge(predictions, False)
    judge(predictions, True)
    judge(predictions[:10], False, source="other")
    result = run(context)
    assert (result["right_count"], result["verdict_count"]) == (30, 40)


@pytest.mark.parametrize("yeses", [120, 0])
def test_verdicts_on_predictions_that_are_not_stored_do_not_count(
    context: JobContext, answer: Answer, judge: Judge, yeses: int
) -> None:
    """Of a sample of the predictions accuracy is the sample's, and the report says what is missing.

    120 yeses and 120 corrections, of which one in three is on a stored prediction, are an
    accuracy of 0.5, whatever was said of the others.
    """
    context.settings.tasks["support"] = context.task_settings.model_copy(
        update={"log_sample": 1 / 3}
    )
    judge(answer("a" * 40), True)
    judge(answer("a" * 40), "b")
    judge([f"unstored yes {number}" for number in range(yeses)], True)
    judge([f"unstored correction {number}" for number in range(80)], "b")
    result = run(context)
    assert (result["accuracy"], result["right_count"], result["verdict_count"]) == (0.5, 40, 80)
    left_out = yeses + 80
    assert result["verdict_count_without_prediction"] == left_out
    assert f"{left_out} verdicts do not count" in result["summary"]
    assert "not stored (log_sample is 0.333333)" in result["left_out"]


def test_too_few_verdicts_on_stored_predictions_say_why(
    context: JobContext, answer: Answer, judge: Judge
) -> None:
    """If most predictions are not stored, the report gives that as the reason for no conclusion."""
    judge(answer("a" * 29), True)
    judge([f"unstored {number}" for number in range(1000)], True)
    result = run(context)
    assert (result["verdict"], result["verdict_count"]) == ("INSUFFICIENT", 29)
    assert "1000 verdicts do not count because" in result["summary"]
    assert "log_sample" not in result["summary"]


def test_where_all_verdicts_count_nothing_is_said_of_others(
    context: JobContext, answer: Answer, judge: Judge
) -> None:
    """A task that stores every prediction has no note."""
    judge(answer("a" * 30), "a")
    result = run(context)
    assert (result["verdict_count_without_prediction"], result["left_out"]) == (0, "")
    assert "do not count" not in result["summary"]


def test_no_champion_makes_no_report(newcomer: JobContext) -> None:
    """Without a champion the result says so, and no report is written."""
    assert run(newcomer)["verdict"] == "INSUFFICIENT"
    assert newcomer.storage.reports.page("support", "", Page()) == ([], "")


def test_labels_count_by_their_current_names(
    context: JobContext, answer: Answer, judge: Judge
) -> None:
    """A champion that answers the old name of a label is right, also if labels were merged."""
    judge(answer("a" * 10), "new")
    judge(answer("b" * 20), "c")
    judge(answer("d" * 10), "new")
    before = run(context)
    assert (before["right_count"], before["verdict_count"]) == (0, 40)
    labels = LabelNames(rename={"a": "new", "b": "c"})
    context.settings.tasks["support"] = context.task_settings.model_copy(update={"labels": labels})
    result = run(context)
    assert (result["right_count"], result["verdict_count"]) == (30, 40)
