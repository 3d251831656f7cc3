"""The surroundings of a job's run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tidemill_core.clock import Clock
from tidemill_core.model_repository import ModelRepository
from tidemill_core.settings import Settings, TaskSettings
from tidemill_core.storage.storage import Storage
from tidemill_core.triton.control import TritonControl

Progress = Callable[[float, str], None]
"""Reports how far a run is: the fraction done, in [0, 1], and what it does now.

Raises `RunCancelled` if someone asked the run to stop."""

Result = Mapping[str, Any]
"""What a run found or made, as JSON values."""


class RunCancelled(Exception):
    """Someone asked the run to stop."""


@dataclass(frozen=True)
class JobContext:
    """One run's surroundings.

    Attributes:
        task: the name of its task.
        run_id: its id.
        settings: all settings.
        storage: the database.
        repository: the model repository.
        triton: Triton's model control and inference.
        clock: the time.
        progress: reports how far the run is.
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
        """The settings of the task."""
        return self.settings.tasks[self.task]
