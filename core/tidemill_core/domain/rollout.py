"""Rollouts: a version on its way to all callers, and the evidence about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

ROLLOUT = "rollout"
"""The job that watches rollouts; also the actor of its changes and the kind of its reports."""


class RolloutState(StrEnum):
    """The state of a rollout. Its version's state says whether it is shadow or canary."""

    WAITING = "WAITING"
    """Its version passed the gates, and no check has started it yet."""
    RUNNING = "RUNNING"
    PROMOTED = "PROMOTED"
    ROLLED_BACK = "ROLLED_BACK"
    SKIPPED = "SKIPPED"
    """It never got traffic: a newer version, or a person, was faster."""

    @property
    def ended(self) -> bool:
        """Whether the state is final."""
        return self not in (RolloutState.WAITING, RolloutState.RUNNING)


@dataclass(frozen=True)
class Rollout:
    """The rollout of one version.

    Attributes:
        sequence: its id.
        task: the task.
        version: the version.
        champion: the champion that it is compared with; 0 while it waits.
        state: its state.
        reason: why it is in this state.
        create_time: when its version passed the gates.
        start_time: when it started.
        end_time: when it ended.
    """

    sequence: int
    task: str
    version: int
    champion: int
    state: RolloutState
    reason: str
    create_time: datetime
    start_time: datetime | None
    end_time: datetime | None


@dataclass(frozen=True)
class BothCounts:
    """A count for the candidate, and the same count for the champion."""

    candidate: int = 0
    champion: int = 0


@dataclass(frozen=True)
class RolloutEvidence:
    """What is known about a candidate since its rollout started.

    A choice is one random decision of the router: one call, or all calls with one routing key.

    Attributes:
        answers: the candidate's answers, by its percent of the callers; 0 has those as shadow.
        choices: answered choices, by the candidate's percent.
        wrong: choices with an answer that a person judged wrong, by the candidate's percent.
        judged: answers that a person judged.
        timed: answers to callers with a latency of their own.
        slow: those above the latency objective.
    """

    answers: Mapping[int, int]
    choices: Mapping[int, BothCounts]
    wrong: Mapping[int, BothCounts]
    judged: int
    timed: BothCounts
    slow: BothCounts
