"""The alert on a task's retrainings: the last one failed, or its version was rejected."""

import uuid
from datetime import datetime

from tidemill_core.domain.job import RETRAIN, JobRun, JobRunState
from tidemill_core.domain.model import ModelState
from tidemill_core.domain.pause import ReleasesPaused
from tidemill_core.domain.report import Report, ReportVerdict
from tidemill_core.settings import AlertSettings
from tidemill_core.storage.storage import Storage
from tidemill_jobs.monitoring.alerts.raising import RETRAINING, raise_alert, resolve_alert

_ENDED = (JobRunState.FAILED, JobRunState.SUCCEEDED)


def watch_retrainings(storage: Storage, settings: AlertSettings, task: str, now: datetime) -> None:
    """Raise, update or resolve the alert of a task's retrainings by how the last one ended.

    It looks at the recorded state, so it also finds a run whose process was killed. A run that a
    pause stopped does not count.

    Raises:
        StorageUnavailable: the database does not answer.
    """
    run = storage.jobs.latest(RETRAIN, task, _ENDED)
    if run is None or run.error.startswith(ReleasesPaused.reason):
        return
    reported = storage.alerts.reported_run(task, RETRAINING)
    problem = _problem(run)
    if problem and reported != run.run_id:
        raise_alert(storage.alerts, settings, _report(run, ReportVerdict.ALERT, problem, now))
    elif not problem and reported is not None:
        done = f"run {run.run_id} made version {_version(run)}"
        resolve_alert(storage.alerts, _report(run, ReportVerdict.OK, done, now))


def _problem(run: JobRun) -> str:
    """Return what went wrong with a run; empty if nothing did.

    An error or a gate's reason may quote texts, which must not leave: only its name is in it.
    """
    if run.state is JobRunState.FAILED:
        return f"run {run.run_id} failed: {run.error.partition(':')[0]}"
    if run.result.get("state") == ModelState.REJECTED:
        gate = str(run.result.get("reason", "")).partition(":")[0]
        return f"version {_version(run)} was rejected: {gate}"
    return ""


def _version(run: JobRun) -> int:
    return int(run.result.get("model_version", 0))


def _report(run: JobRun, verdict: ReportVerdict, summary: str, now: datetime) -> Report:
    return Report(
        report_id=uuid.uuid4().hex,
        task=run.task,
        kind=RETRAINING,
        model_version=_version(run),
        verdict=verdict,
        summary=summary,
        details={"run_state": str(run.state)},
        run_id=run.run_id,
        create_time=now,
    )
