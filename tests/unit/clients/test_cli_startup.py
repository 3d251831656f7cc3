"""What `tidemill up` and `tidemill status` conclude from what they see."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tidemill_cli.startup import trouble_of
from tidemill_cli.status import Status, TaskStatus
from tidemill_core.domain.job import JobRun, JobRunState

RUN = JobRun(
    run_id="r",
    job="retrain",
    task="support",
    state=JobRunState.RUNNING,
    trigger="first_model",
    fire_time=None,
    progress=0.5,
    message="epoch 3 of 5",
    result={},
    error="",
    cancel_requested=False,
    create_time=datetime(2026, 1, 1, tzinfo=UTC),
    start_time=None,
    end_time=None,
)
SERVED = TaskStatus("support", "SERVING", 1, 0.9, 1)


def test_a_training_that_failed_was_cancelled_or_was_rejected_is_trouble() -> None:
    """Each of the three is explained; only the gate's verdict comes with a run that succeeded."""
    failed = replace(RUN, state=JobRunState.FAILED, error="SOURCE_MISSING: there is no file x")
    assert trouble_of(failed) == "SOURCE_MISSING: there is no file x"
    assert trouble_of(replace(RUN, state=JobRunState.CANCELLED)) == "it was cancelled"
    result = {"state": "REJECTED", "reason": "accuracy 0.2"}
    rejected = replace(RUN, state=JobRunState.SUCCEEDED, result=result)
    assert trouble_of(rejected) == "its model was rejected: accuracy 0.2"


@pytest.mark.parametrize("state", [JobRunState.QUEUED, JobRunState.RUNNING])
def test_a_training_that_is_under_way_is_no_trouble(state: JobRunState) -> None:
    """Nothing is complained about before a training has ended."""
    assert trouble_of(replace(RUN, state=state)) == ""


def test_a_training_that_made_a_champion_is_no_trouble() -> None:
    """A run that succeeded is in order unless the gate rejected its model."""
    promoted = replace(RUN, state=JobRunState.SUCCEEDED, result={"state": "CHAMPION"})
    assert trouble_of(promoted) == ""


@pytest.mark.parametrize(
    ("status", "serving"),
    [
        (Status("SERVING", [SERVED], []), True),
        (Status("SERVING", [SERVED, replace(SERVED, health="NOT_SERVING")], []), False),
        (Status("NOT_SERVING", [SERVED], []), False),
        (Status("SERVING", [], []), False),
    ],
    ids=["all", "one task is not", "draining", "no tasks"],
)
def test_all_are_serving_only_if_the_server_and_every_task_are(
    status: Status, serving: bool
) -> None:
    """A server without a task serves nothing."""
    assert status.serving is serving
