"""The job `expire_texts`, on a real database."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.contract.storage.values import label_request, prediction, verdict
from tests.integration.jobs.conftest import NOW
from tidemill_jobs.context import JobContext, RunCanceled
from tidemill_jobs.data.erasing.expire import BATCH_ROWS, run

COUNTED = ("expired_predictions", "expired_feedback", "expired_label_items")


@pytest.fixture
def keeping(context: JobContext) -> Callable[[float | None], JobContext]:
    """Return a run for a task with a retention period."""

    def make(days: float | None) -> JobContext:
        task = context.task_settings.model_copy(update={"text_retention_days": days})
        settings = context.settings.model_copy(update={"tasks": {context.task: task}})
        return replace(context, settings=settings)

    return make


def _fill(context: JobContext, count: int) -> None:
    """Store predictions, verdicts and label items: many that are eight days old, one of six."""
    for days, names in ((8, [f"old{n}" for n in range(count)]), (6, ["new"])):
        time = NOW - timedelta(days=days)
        context.storage.predictions.add([prediction(name, predict_time=time) for name in names])
        context.storage.feedback.add([verdict(name, text="t", create_time=time) for name in names])
        asked = [label_request(name, text_time=time) for name in names]
        context.storage.label_items.add(asked, 1, NOW)


def test_texts_go_after_their_time(keeping: Callable[[float | None], JobContext]) -> None:
    """More than one batch of old texts is removed from all tables; new texts stay."""
    context = keeping(7)
    count = BATCH_ROWS + 1
    _fill(context, count)
    assert run(context) == dict.fromkeys(COUNTED, count)
    found = context.storage.predictions.texts_and_labels(["old0", f"old{count - 1}", "new"])
    assert [text for text, _ in found.values()].count("") == 2
    assert found["new"][0]
    assert {v.prediction_id for v in context.storage.feedback.latest_verdicts("support") if v.text}
    assert run(context) == dict.fromkeys(COUNTED, 0)


def test_without_a_period_all_stay(keeping: Callable[[float | None], JobContext]) -> None:
    """A task without a retention period loses no text."""
    context = keeping(None)
    _fill(context, 1)
    assert run(context) == dict.fromkeys(COUNTED, 0)
    assert context.storage.predictions.texts_and_labels(["old0"])["old0"][0]


def test_a_cancelled_run_ends_between_batches(
    keeping: Callable[[float | None], JobContext],
) -> None:
    """A run that is stopped ends, and removed texts stay removed."""
    context = keeping(7)
    _fill(context, BATCH_ROWS + 1)
    told: list[str] = []

    def cancel(_done: float, doing: str) -> None:
        told.append(doing)
        if len(told) == 2:
            raise RunCanceled

    with pytest.raises(RunCanceled):
        run(replace(context, progress=cancel))
    assert f"{BATCH_ROWS:,} texts" in told[1]
    assert run(context)["expired_predictions"] == 1
