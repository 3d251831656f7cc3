"""Job runs that tests queue and start."""

from tests.contract.storage.values import NOW, later
from tidemill_core.domain.job import JobRun
from tidemill_core.storage.jobs import RunRequest
from tidemill_core.storage.storage import Storage


def enqueue(storage: Storage, job: str = "retrain", task: str = "support") -> JobRun:
    """Queue a run that a person asked for."""
    return storage.jobs.enqueue(RunRequest(job, task, "operator"), NOW)


def start(storage: Storage) -> JobRun:
    """Queue a run and claim it."""
    enqueue(storage)
    run = storage.jobs.claim(later(1))
    assert run is not None
    return run
