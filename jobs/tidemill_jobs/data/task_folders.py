"""The folders of a task's data in `state_dir`."""

from dataclasses import dataclass
from pathlib import Path

from tidemill_jobs.data.whole_files import remove_left_over


@dataclass(frozen=True)
class TaskFolders:
    """The folders of one task: landed rows, a cache of prepared rows, and dataset versions."""

    intake: Path
    prepared: Path
    datasets: Path

    @classmethod
    def below(cls, state_dir: Path, task: str) -> "TaskFolders":
        """Return the folders of a task."""
        return cls(*(state_dir / name / task for name in ("intake", "prepared", "datasets")))

    def remove_left_over(self) -> None:
        """Remove unfinished files of killed builds."""
        for folder in (self.prepared, self.datasets):
            remove_left_over(folder)
