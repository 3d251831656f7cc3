"""How many texts were answered, and how many were not through no fault of the caller."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class OutcomeCount:
    """What one worker counted for a task in a few seconds.

    Attributes:
        count_id: unique, so that a count that is written twice counts once.
        task: the task.
        answered: texts that were answered, without copies for shadows.
        failed: texts that were not, through no fault of the caller: errors of Tidemill, Triton or
            the database, and deadlines. Refusals under overload do not count.
        count_time: the end of those seconds.
    """

    count_id: str
    task: str
    answered: int
    failed: int
    count_time: datetime


@dataclass(frozen=True)
class Outcomes:
    """The sums over a time."""

    answered: int
    failed: int

    @property
    def total(self) -> int:
        """All texts that count."""
        return self.answered + self.failed

    @property
    def error_rate(self) -> float:
        """Share of the texts that failed, in [0, 1]; 0 without texts."""
        return self.failed / self.total if self.total else 0.0
