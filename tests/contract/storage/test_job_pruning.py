"""Deletion of old runs."""

from datetime import datetime

from tests.contract.storage.values import NOW, later
from tidemill_core.domain.job import JobRun
from tidemill_core.storage.database import Page
from tidemill_core.storage.job_pruning import prune_runs
from tidemill_core.storage.jobs import RunRequest
from tidemill_core.storage.storage import Storage


def _ended(storage: Storage, job: str, task: str, end: datetime) -> JobRun:
    storage.jobs.enqueue(RunRequest(job, task, "test"), NOW)
    run = storage.jobs.claim(NOW)
    assert run is not None
    storage.jobs.succeed(run.run_id, {}, end)
    return run


def test_old_runs_go_and_each_jobs_latest_stays(storage: Storage) -> None:
    """Runs of the given jobs that ended before a time are deleted, except each task's latest."""
    gone = [_ended(storage, "check_drift", "support", later(-n)) for n in (9, 8)]
    kept = [
        _ended(storage, "check_drift", "support", later(-7)),
        _ended(storage, "check_drift", "arxiv", later(-7)),
        _ended(storage, "retrain", "support", later(-9)),
        _ended(storage, "retrain", "support", later(-8)),
        _ended(storage, "check_latency", "support", later(1)),
        _ended(storage, "check_latency", "support", later(2)),
        storage.jobs.enqueue(RunRequest("check_accuracy", "support", "test"), NOW),
        storage.jobs.enqueue(RunRequest("check_accuracy", "arxiv", "test"), NOW),
    ]
    checks = ("check_drift", "check_latency", "check_accuracy")
    assert prune_runs(storage.database, checks, NOW) == len(gone)
    left, _ = storage.jobs.page("", "", Page())
    assert [run.run_id for run in left[::-1]] == [run.run_id for run in kept]
    assert prune_runs(storage.database, checks, NOW) == 0
