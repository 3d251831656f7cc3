"""The job `expire_predictions`, on a real database."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.contract.storage.values import prediction
from tests.integration.jobs.conftest import NOW
from tidemill_jobs.context import JobContext
from tidemill_jobs.data.erasing.expire_predictions import run


@pytest.mark.parametrize(("days", "kept"), [(30, ["new"]), (None, ["old", "new"])])
def test_old_predictions_go(context: JobContext, days: int | None, kept: list[str]) -> None:
    """Predictions go after the retention period and the rest of its week; without one all stay."""
    for name, age in (("old", 37), ("new", 29)):
        time = NOW - timedelta(days=age)
        context.storage.predictions.add([prediction(name, predict_time=time)])
    log = context.settings.prediction_log.model_copy(update={"retention_days": days})
    settings = context.settings.model_copy(update={"prediction_log": log})
    result = run(replace(context, settings=settings))
    assert result == {"expired_predictions": 2 - len(kept), "expired_weeks": 0, "weeks_in_use": 0}
    assert list(context.storage.predictions.texts_and_labels(["old", "new"])) == sorted(kept)
