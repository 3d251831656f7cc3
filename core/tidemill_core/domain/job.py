"""Jobs and their runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class JobRunState(StrEnum):
    """Where a run stands."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def ended(self) -> bool:
        """Whether the run will not change any more."""
        return self in (JobRunState.SUCCEEDED, JobRunState.FAILED, JobRunState.CANCELLED)


class Trigger(StrEnum):
    """Who asks for a run."""

    SCHEDULE = "schedule"
    CATCH_UP = "catch_up"
    """A scheduled moment that passed while nothing was up."""
    CHECK_FEEDBACK = "check_feedback"
    """Enough new labelled examples."""
    FIRST_MODEL = "first_model"
    """A task that nobody answers for yet."""
    RPC = "rpc"
    """A caller of RunJob."""
    ERASURE = "erasure"
    """Texts to be erased, asked for on this machine."""


ASKED_BY_PEOPLE = (Trigger.RPC, Trigger.ERASURE)
"""Someone waits for these runs: they start before those that nobody asked for."""


@dataclass(frozen=True)
class Job:
    """A job that can be run, as the catalogue table tells the server.

    Attributes:
        job: its name.
        description: what it does, in a sentence.
        schedule: when it runs by itself, for people; empty if only on demand.
    """

    job: str
    description: str
    schedule: str


@dataclass(frozen=True)
class JobRun:
    """One run of a job for one task.

    Attributes:
        run_id: its id.
        job: the job.
        task: the task it works on.
        state: where it stands.
        trigger: who asked; a `Trigger`.
        fire_time: the last scheduled moment that it stands for; None if it stands for none.
        progress: fraction done, in [0, 1].
        message: what it is doing now.
        result: what it found or made, once it SUCCEEDED.
        error: why it FAILED, as `REASON: message`.
        cancel_requested: somebody asked it to stop.
        create_time: when it was queued.
        start_time: when it began.
        end_time: when it ended.
    """

    run_id: str
    job: str
    task: str
    state: JobRunState
    trigger: str
    fire_time: datetime | None
    progress: float
    message: str
    result: Mapping[str, Any]
    error: str
    cancel_requested: bool
    create_time: datetime
    start_time: datetime | None
    end_time: datetime | None
