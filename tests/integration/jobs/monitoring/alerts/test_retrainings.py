"""The alert on a task's retrainings."""

import pytest

from tests.integration.jobs.conftest import NOW
from tidemill_core.domain.alert import Alert
from tidemill_core.domain.job import RETRAIN
from tidemill_core.storage.database import Page
from tidemill_core.storage.jobs import RunRequest
from tidemill_jobs.context import JobContext
from tidemill_jobs.monitoring.alerts.retrainings import watch_retrainings


def _start(context: JobContext) -> str:
    """Start a retraining and return its run's id."""
    context.storage.jobs.enqueue(RunRequest(RETRAIN, "support", "rpc"), NOW)
    run = context.storage.jobs.claim(NOW)
    assert run is not None
    return run.run_id


def _fail(context: JobContext, error: str) -> str:
    run_id = _start(context)
    context.storage.jobs.fail(run_id, error, NOW)
    return run_id


def _succeed(context: JobContext, state: str, reason: str = "") -> None:
    result = {"state": state, "model_version": 4, "reason": reason}
    context.storage.jobs.succeed(_start(context), result, NOW)


def _alerts(context: JobContext) -> list[Alert]:
    """Look at the retrainings twice, and return the alerts."""
    for _ in range(2):
        watch_retrainings(context.storage, context.settings.alerts, "support", NOW)
    return context.storage.alerts.page("support", False, False, Page())[0]


def test_one_alert_from_the_first_failure_to_the_next_success(newcomer: JobContext) -> None:
    """Failures and a rejection are one alert; the next version that passes resolves it."""
    assert _alerts(newcomer) == []
    first = _fail(newcomer, "DATA_ERROR: row 'my card 4111'")
    [alert] = _alerts(newcomer)
    assert alert.message == f"run {first} failed: DATA_ERROR"
    report = newcomer.storage.reports.get(alert.report_id)
    assert (report.kind, report.run_id) == ("retraining", first)
    second = _fail(newcomer, "DIED: its process ended with exit code -9")
    [again] = _alerts(newcomer)
    assert (again.alert_id, again.message) == (alert.alert_id, f"run {second} failed: DIED")
    _succeed(newcomer, "REJECTED", "gate golden: 'my card 4111' is answered fee, not card")
    [rejected] = _alerts(newcomer)
    assert (rejected.message, rejected.model_version) == (
        *("version 4 was rejected: gate golden", 4),
    )
    assert rejected.resolve_time is None
    _succeed(newcomer, "CHAMPION")
    [resolved] = _alerts(newcomer)
    assert (resolved.alert_id, resolved.resolve_time) == (alert.alert_id, NOW)
    assert len(newcomer.storage.reports.page("support", "retraining", Page())[0]) == 4


@pytest.mark.parametrize("ended", ["running", "paused", "canceled"])
def test_a_run_without_an_outcome_changes_nothing(newcomer: JobContext, ended: str) -> None:
    """A running, paused or canceled retraining neither raises nor resolves an alert."""
    _fail(newcomer, "DATA_ERROR: no rows")
    before = _alerts(newcomer)
    if ended == "paused":
        _fail(newcomer, "RELEASES_PAUSED: ana paused them")
    else:
        run_id = _start(newcomer)
        if ended == "canceled":
            newcomer.storage.jobs.mark_canceled(run_id, NOW)
    assert _alerts(newcomer) == before
