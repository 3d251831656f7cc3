"""The first training of tasks without a champion."""

from datetime import UTC, datetime, timedelta

from tests.integration.jobs.scheduler.conftest import TASK, Workspace
from tidemill_core.domain.job import JobRun
from tidemill_core.domain.model import ModelState
from tidemill_core.storage.database import Page
from tidemill_core.storage.jobs import RunRequest
from tidemill_jobs.first_model import queue_first_models

STARTED = datetime(2026, 3, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def _look(workspace: Workspace, moment: datetime, started: datetime = STARTED) -> list[JobRun]:
    queue_first_models(workspace.storage, [TASK], started, moment)
    return workspace.storage.jobs.page("retrain", TASK, Page())[0]


def _fail(workspace: Workspace) -> None:
    run = workspace.storage.jobs.claim(STARTED)
    assert run is not None
    workspace.storage.jobs.fail(run.run_id, "DATA: broken", STARTED + SECOND)


def test_a_first_model_is_queued_once(workspace: Workspace) -> None:
    """A task without a champion gets one training, however often the queue is checked."""
    (run,) = _look(workspace, STARTED)
    assert (run.job, run.trigger) == ("retrain", "first_model")
    assert _look(workspace, STARTED + SECOND) == [run]
    assert workspace.storage.jobs.claim(STARTED) is not None
    assert len(_look(workspace, STARTED + SECOND)) == 1


def test_a_champion_needs_no_first_model(workspace: Workspace) -> None:
    """A task with a champion gets none."""
    workspace.champion(TASK)
    assert _look(workspace, STARTED) == []


def test_a_version_that_waits_for_an_approval_needs_no_first_model(workspace: Workspace) -> None:
    """A restart trains no second version beside the one that a person has yet to approve."""
    models = workspace.storage.models
    version = models.add_candidate(TASK, "onnx", "d1", STARTED).version
    models.judge(TASK, version, ModelState.AWAITING_APPROVAL, {}, "passed", STARTED)
    assert _look(workspace, STARTED) == []


def test_a_failed_training_waits_for_a_restart(workspace: Workspace) -> None:
    """A failed training is repeated by the next process, not by the same one."""
    _look(workspace, STARTED)
    _fail(workspace)
    assert len(_look(workspace, STARTED + timedelta(hours=1))) == 1
    restarted = STARTED + timedelta(hours=2)
    assert len(_look(workspace, restarted, restarted)) == 2
    assert len(_look(workspace, restarted + SECOND, restarted)) == 2


def test_a_training_under_way_is_left_by_a_restart(workspace: Workspace) -> None:
    """A training that waits or runs when the process starts is not queued again."""
    _look(workspace, STARTED)
    restarted = STARTED + timedelta(hours=2)
    assert len(_look(workspace, restarted, restarted)) == 1
    assert workspace.storage.jobs.claim(restarted) is not None
    assert len(_look(workspace, restarted, restarted)) == 1


def test_a_look_that_is_late_queues_no_second_one(workspace: Workspace) -> None:
    """A process that looked before another one's training ran queues none: it has the same id."""
    storage = workspace.storage
    (run,) = _look(workspace, STARTED)
    _fail(workspace)
    late = RunRequest(
        "retrain", TASK, "first_model", request_id=f"first model of {TASK} after None"
    )
    assert storage.jobs.enqueue(late, STARTED + SECOND).run_id == run.run_id
    assert len(_look(workspace, STARTED + SECOND)) == 1
