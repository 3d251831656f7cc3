"""How a version that passed the gates gets its traffic."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from tidemill_core.settings.section import Section
from tidemill_core.settings.times import MOST_HOURS

Percent = Annotated[int, Field(ge=1, le=100)]


class RolloutSettings(Section):
    """A watched rollout: a shadow first, then a growing share of the callers.

    Without this section, a version that passes the gates becomes champion immediately.
    """

    steps: tuple[Percent, ...] = (5, 25, 50, 100)
    """Percent of the callers in each step, ascending. With the last one, 100, it is champion."""
    step_hours: float = Field(default=1.0, ge=0.0, le=MOST_HOURS)
    """Shortest time as shadow and in each step, in hours."""
    step_answers: int = Field(default=200, ge=1)
    """Fewest answers as shadow and in each step."""
    max_wrong_ratio: float = Field(default=1.25, gt=1.0)
    """The last step ends once it is shown to give at most this many times the champion's wrong
    answers."""
    max_hours: float = Field(default=72.0, gt=0.0, le=MOST_HOURS)
    """Longest time of a rollout, in hours."""
    max_answers: int = Field(default=100_000, ge=1)
    """Most answers to callers in a rollout."""
    undecided: Literal["promote", "roll_back"] = "promote"
    """What happens at `max_hours` or `max_answers` if it is shown neither worse nor good enough."""

    @field_validator("steps")
    @classmethod
    def _ascending(cls, steps: tuple[int, ...]) -> tuple[int, ...]:
        if list(steps) != sorted(set(steps)) or steps[-1:] != (100,):
            raise ValueError("must ascend and end with 100, such as [5, 25, 50, 100]")
        return steps
