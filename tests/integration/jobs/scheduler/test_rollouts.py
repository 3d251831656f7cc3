"""The checks of rollouts that are not over."""

from datetime import UTC, datetime, timedelta

from tests.integration.jobs.scheduler.conftest import TASK, Workspace
from tidemill_core.domain.job import JobRun
from tidemill_core.domain.model import ModelState
from tidemill_core.storage.database import Page
from tidemill_jobs.release.rollout.queueing import queue_rollouts

STARTED = datetime(2026, 3, 1, tzinfo=UTC)


def _look(workspace: Workspace, seconds: float) -> list[JobRun]:
    queue_rollouts(workspace.storage, [TASK], STARTED + timedelta(seconds=seconds))
    return workspace.storage.jobs.page("rollout", TASK, Page())[0]


def test_a_rollout_is_checked_until_it_is_over(workspace: Workspace) -> None:
    """A version that waits is checked, again 30 seconds later, whether or not the check failed."""
    workspace.champion(TASK)
    assert _look(workspace, 0) == []
    models, jobs = workspace.storage.models, workspace.storage.jobs
    version = models.add_candidate(TASK, "onnx", "d1", STARTED).version
    models.judge(TASK, version, ModelState.VALIDATED, {}, "passed", STARTED, rollout=True)
    (first,) = _look(workspace, 0)
    assert _look(workspace, 40) == [first]
    claimed = jobs.claim(STARTED)
    assert claimed is not None
    assert len(_look(workspace, 40)) == 1
    jobs.fail(claimed.run_id, "DIED: killed", STARTED)
    assert len(_look(workspace, 29)) == 1
    assert len(_look(workspace, 30)) == 2
