"""Jobs and their runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidemill_core.domain.job_parameters import JobParameters

RETRAIN = "retrain"
IMPORT_MODEL = "import_model"
REPRODUCE_MODEL = "reproduce_model"
SCORE = "score"
EVALUATE = "evaluate"

PUBLISHING_JOBS = (RETRAIN, IMPORT_MODEL)
"""Jobs that publish a version. Only one of them runs for a task at a time: a candidate is loaded
alone, and the next of these jobs rejects the candidates of those that died."""


def found_nothing(job: str, decision: str) -> bool:
    """Return whether a run of check_feedback or rollout, which run often, had nothing to do.

    Args:
        job: the run's job.
        decision: the `decision` in the result of a run that succeeded.
    """
    if job == "rollout":
        return decision in ("HOLD", "NOTHING")
    return job == "check_feedback" and decision != "STARTED"


class JobRunState(StrEnum):
    """The state of a run."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def ended(self) -> bool:
        """Whether the state is final."""
        return self in (JobRunState.SUCCEEDED, JobRunState.FAILED, JobRunState.CANCELLED)


class Trigger(StrEnum):
    """What asked for a run."""

    SCHEDULE = "schedule"
    CATCH_UP = "catch_up"
    """A scheduled time that passed while no jobs process ran."""
    CHECK_FEEDBACK = "check_feedback"
    """The retrain policy: see the run's reason."""
    FIRST_MODEL = "first_model"
    """A task without a champion."""
    ROLLOUT = "rollout"
    """A rollout that is not over."""
    RPC = "rpc"
    """A caller of RunJob."""
    ERASURE = "erasure"
    """A command on this machine that asks to erase texts."""


ASKED_BY_PEOPLE = (Trigger.RPC, Trigger.ERASURE)
"""Triggers of runs that someone waits for; these runs start before others."""


@dataclass(frozen=True)
class Job:
    """A job that can be run; the server reads it from the catalog table.

    Attributes:
        job: its name.
        description: what it does, in a sentence.
        schedule: when it runs by itself, for people; empty if it runs only on demand.
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
        state: its state.
        trigger: what asked for it; a `Trigger`.
        fire_time: the last scheduled time that it covers; None if it covers none.
        progress: fraction done, in [0, 1].
        message: what it is doing now; once it ended, how.
        result: its result, once it SUCCEEDED.
        error: why it FAILED, as `REASON: message`.
        cancel_requested: whether someone asked it to stop.
        create_time: when it was queued.
        start_time: when it started.
        end_time: when it ended.
        parameters: what it was asked to do; None for jobs without parameters.
        reason: why it was started, in a sentence; empty if the trigger says it all.
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
    parameters: "JobParameters | None" = None
    reason: str = ""
