"""Starting and watching a run."""

import pytest

from tests.integration.server.front import NOW, Workspace
from tidemill_core.domain.job import EVALUATE, SCORE, Job, JobRunState
from tidemill_core.domain.job_parameters import (
    EvaluateParameters,
    JobParameters,
    ScoreParameters,
)
from tidemill_core.errors import InvalidArgument
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


@pytest.mark.parametrize(
    ("job", "parameters", "reason", "field"),
    [
        (SCORE, None, "MISSING_INPUT", "score.input"),
        (EVALUATE, None, "MISSING_INPUT", "evaluate.input"),
        (SCORE, ScoreParameters("", "out.csv"), "BLANK_TEXT", "score.input"),
        (SCORE, ScoreParameters("in.csv", " "), "BLANK_TEXT", "score.output"),
        (SCORE, ScoreParameters("i" * 2001, "o"), "VALUE_TOO_LONG", "score.input"),
        (
            SCORE,
            ScoreParameters("i", "o", model_version=-1),
            "UNKNOWN_VERSION",
            "score.model_version",
        ),
        (
            SCORE,
            ScoreParameters("postgresql://me:secret@db/x#rows", "out.csv"),
            "PASSWORD_IN_URL",
            "score.input",
        ),
        (EVALUATE, EvaluateParameters("s3://k:s@b/x"), "PASSWORD_IN_URL", "evaluate.input"),
        (EVALUATE, EvaluateParameters("i", against=-1), "UNKNOWN_VERSION", "evaluate.against"),
    ],
)
async def test_rows_that_cannot_be_named(
    workspace: Workspace,
    router: Router,
    job: str,
    parameters: JobParameters | None,
    reason: str,
    field: str,
) -> None:
    """A run needs its places, without passwords, because runs are stored and shown."""
    jobs = workspace.storage.jobs
    jobs.set_catalog([Job(SCORE, "", ""), Job(EVALUATE, "", "")])
    with pytest.raises(InvalidArgument) as caught:
        await JobHandler(jobs, router, lambda: NOW).run(job, "support", "", parameters)
    assert (caught.value.reason, caught.value.field) == (reason, field)
    assert "secret" not in str(caught.value)
