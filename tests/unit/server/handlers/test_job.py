"""Watching a run."""

from tests.integration.server.front import NOW, Workspace
from tidemill_core.domain.job import Job, JobRunState
from tidemill_server.handlers.job import JobHandler
from tidemill_server.inference.router import Router


async def test_a_run_is_watched_until_it_ends(workspace: Workspace, router: Router) -> None:
    """The run is sent immediately and after each change, and then the stream ends."""
    jobs = workspace.storage.jobs
    jobs.set_catalog([Job("retrain", "Trains.", "")])
    handler = JobHandler(jobs, router, lambda: NOW)

    run = await handler.run("retrain", "support", "")
    seen = []
    async for each in handler.watch_run(run.run_id):
        seen.append(each.state)
        if each.state is JobRunState.QUEUED:
            jobs.claim(NOW)
        else:
            jobs.succeed(run.run_id, {}, NOW)
    assert seen == [JobRunState.QUEUED, JobRunState.RUNNING, JobRunState.SUCCEEDED]
