"""What a job is given to work with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tidemill_core.clock import Clock
from tidemill_core.model_repository import ModelRepository
from tidemill_core.settings import Settings, TaskSettings
from tidemill_core.storage.storage import Storage
from tidemill_core.triton.control import TritonControl

Progress = Callable[[float, str], None]
"""Tells how far a run is: fraction done in [0, 1], and what it is doing. Raises `RunCancelled`
when somebody asked the run to stop."""

Result = Mapping[str, Any]
"""What a run found or made; JSON values."""


class RunCancelled(Exception):
    """Somebody asked the run to stop."""


@dataclass(frozen=True)
class JobContext:
    """One run's surroundings.

    Attributes:
        task: name of the task to work on.
        run_id: this run.
        settings: all settings.
        storage: the database's tables.
        repository: the model repository.
        triton: Triton's model control and inference, for the jobs alone.
        clock: the time.
        progress: tells how far the run is.
    """

    task: str
    run_id: str
    settings: Settings
    storage: Storage
    repository: ModelRepository
    triton: TritonControl
    clock: Clock
    progress: Progress

    @property
    def task_settings(self) -> TaskSettings:
        """The task's own settings."""
        return self.settings.tasks[self.task]
