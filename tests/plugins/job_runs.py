"""The surroundings of a job's run, without a scheduler."""

from datetime import UTC, datetime

from tidemill_core.clock import Clock
from tidemill_core.domain.job_parameters import JobParameters
from tidemill_core.model_repository import ModelRepository
from tidemill_core.settings import Settings
from tidemill_core.storage.storage import Storage
from tidemill_core.triton.control import TritonControl
from tidemill_jobs.context import JobContext


def run_of(
    settings: Settings,
    storage: Storage,
    triton: TritonControl,
    clock: Clock = lambda: datetime.now(UTC),
    task: str = "support",
    run_id: str = "run",
    parameters: JobParameters | None = None,
) -> JobContext:
    """Return the surroundings of a task's run, whose progress goes nowhere."""
    return JobContext(
        task=task,
        run_id=run_id,
        settings=settings,
        storage=storage,
        repository=ModelRepository(settings.model_repository),
        triton=triton,
        clock=clock,
        progress=lambda _done, _doing: None,
        parameters=parameters,
    )
