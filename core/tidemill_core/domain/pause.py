"""Pauses of a task's retrainings and promotions."""

from dataclasses import dataclass
from datetime import datetime

from tidemill_core.errors import FailedPrecondition


@dataclass(frozen=True)
class ReleasePause:
    """A pause: until it ends, the task is not retrained, and no job promotes a version.

    Attributes:
        task: the task.
        actor: who paused it.
        comment: why.
        create_time: when.
    """

    task: str
    actor: str
    comment: str
    create_time: datetime

    def __str__(self) -> str:
        """Say who paused the task and why, for people."""
        return f"{self.actor} paused releases" + (self.comment and f": {self.comment}")


class ReleasesPaused(FailedPrecondition):
    """A retraining of a task whose releases are paused."""

    reason = "RELEASES_PAUSED"

    def __init__(self, pause: ReleasePause) -> None:
        super().__init__(f"{pause}; `tidemill models resume {pause.task}` resumes them")
