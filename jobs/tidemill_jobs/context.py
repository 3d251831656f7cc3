"""The surroundings of a job's run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidemill_core.clock import Clock
from tidemill_core.dataset_copies import DatasetCopies
from tidemill_core.domain.job_parameters import JobParameters
from tidemill_core.model_repository import ModelRepository
from tidemill_core.settings import Settings, TaskSettings
from tidemill_core.storage.storage import Storage
from tidemill_core.triton.control import TritonControl

Progress = Callable[[float, str], None]
"""Reports how far a run is: the fraction done, in [0, 1], and what it does now.

Raises `RunCanceled` if someone asked the run to stop."""

Result = Mapping[str, Any]
"""What a run found or made, as JSON values."""


class RunCanceled(Exception):
    """Someone asked the run to stop."""


def part(progress: Progress, start: float, end: float) -> Progress:
    """Return the progress of a part that takes the whole from `start` to `end`."""
    return lambda done, message: progress(start + (end - start) * done, message)


@dataclass(frozen=True)
class JobContext:
    """The surroundings of one run.

    Attributes:
        triton: has model control, which only jobs may use.
        parameters: those of the run, of its job's class; None for the job's defaults.
        reason: why the run was started, in a sentence; may be empty.
    """

    task: str
    run_id: str
    settings: Settings
    storage: Storage
    repository: ModelRepository
    triton: TritonControl
    clock: Clock
    progress: Progress
    parameters: JobParameters | None = None
    reason: str = ""

    @property
    def task_settings(self) -> TaskSettings:
        """The settings of the task."""
        return self.settings.tasks[self.task]

    @property
    def datasets(self) -> DatasetCopies:
        """The dataset versions of all tasks."""
        return DatasetCopies.of(self.settings, self.storage.database.exclusive)

    def dataset_folder(self, dataset_version: str) -> Path:
        """Return the folder of one of the task's versions, up to date; it may be missing.

        Raises:
            ObjectDamaged, ObjectStorageRefused, ObjectStorageUnavailable: it cannot be fetched.
        """
        return self.datasets.fetch(self.datasets.folder(self.task, dataset_version))
