"""What the console's Loop page says about a task without a champion."""

import pytest

from tidemill.v1.job_service_pb2 import JobRun, JobRunState
from tidemill.v1.model_service_pb2 import ModelState, ModelVersion
from tidemill_server.console.pages.loop import TaskLoop

REJECTED = ModelVersion(task="support", model_version=1, state=ModelState.MODEL_STATE_REJECTED)


@pytest.mark.parametrize(
    ("state", "newest", "why"),
    [
        ("QUEUED", [], "The first version is on its way."),
        ("QUEUED", [REJECTED], "The first version is on its way."),
        ("RUNNING", [REJECTED], "The first version is on its way."),
        ("SUCCEEDED", [REJECTED], "Version 1 was rejected."),
        ("FAILED", [REJECTED], "Its training failed."),
        ("CANCELLED", [], "Its training was canceled."),
    ],
)
def test_the_newest_training_says_why_there_is_no_champion(
    state: str, newest: list[ModelVersion], why: str
) -> None:
    """A rejected version is no longer the reason once the next training waits or runs."""
    retraining = JobRun(job="retrain", state=JobRunState.Value(f"JOB_RUN_STATE_{state}"))
    loop = TaskLoop(
        task="support",
        champion=None,
        newest=newest,
        deployment=None,
        accuracy={},
        accuracy_report=None,
        trend=[],
        drift=None,
        latency=None,
        dataset=None,
        retraining=retraining,
        progress={},
        active=[],
        alerts=[],
    )
    assert loop.why_no_champion == why
