"""Starting and watching a run."""

import pytest

from tests.integration.server.front import NOW, Workspace
from tidemill_core.domain.job import EVALUATE, RETRAIN, SCORE, Job, JobRunState
from tidemill_core.domain.job_parameters import (
    EvaluateParameters,
    JobParameters,
    RetrainParameters,
    ScoreParameters,
)
from tidemill_core.errors import InvalidArgument
from tidemill_core.settings.sagemaker import SagemakerSettings
from tidemill_core.storage.database import Page
from tidemill_server.handlers.job import JobHandler
from tidemill_server.handlers.job_parameters import ParameterRules
from tidemill_server.inference.router import Router

VERSION = "evaluate.model_version"
AGAINST, MISSING = "evaluate.against", "UNKNOWN_MODEL_VERSION"


async def test_a_run_is_watched_until_it_ends(workspace: Workspace, router: Router) -> None:
    """The run is sent immediately and after each change, and then the stream ends."""
    jobs = workspace.storage.jobs
    jobs.set_catalog([Job("retrain", "Trains.", "")])
    handled = handler(workspace, router)

    run = await handled.run("retrain", "support", "")
    seen = []
    async for each in handled.watch_run(run.run_id):
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
            ScoreParameters("i", "o.csv", model_version=-1),
            MISSING,
            "score.model_version",
        ),
        (
            SCORE,
            ScoreParameters("postgresql://me:secret@db/x#rows", "out.csv"),
            "PASSWORD_IN_URL",
            "score.input",
        ),
        (EVALUATE, EvaluateParameters("s3://k:s@b/x"), "PASSWORD_IN_URL", "evaluate.input"),
        (EVALUATE, EvaluateParameters("s3://k:s/t@b/x"), "PASSWORD_IN_URL", "evaluate.input"),
        (
            EVALUATE,
            EvaluateParameters("postgresql://db/x?user=me&Password=s#rows"),
            "PASSWORD_IN_URL",
            "evaluate.input",
        ),
        (
            EVALUATE,
            EvaluateParameters("https://b/x.csv?X-Amz-Signature=s"),
            "PASSWORD_IN_URL",
            "evaluate.input",
        ),
        (SCORE, ScoreParameters("in.csv", "in.csv"), "OUTPUT_IS_INPUT", "score.output"),
        (SCORE, ScoreParameters("in.csv", "out.xlsx"), "UNKNOWN_FORMAT", "score.output"),
        (SCORE, ScoreParameters("in.csv", "env:DB#select 1"), "TABLE_NOT_NAMED", "score.output"),
        (SCORE, ScoreParameters("sqlite:///rows.db", "o.csv"), "TABLE_NOT_NAMED", "score.input"),
        (EVALUATE, EvaluateParameters("zip://a::file://b"), "CHAINED_URL", "evaluate.input"),
        (EVALUATE, EvaluateParameters("i", against=-1), MISSING, AGAINST),
        (EVALUATE, EvaluateParameters("i", against=9), MISSING, AGAINST),
        (EVALUATE, EvaluateParameters("i", model_version=9), MISSING, VERSION),
        (EVALUATE, EvaluateParameters("i", against=1), "SAME_VERSION", AGAINST),
        (RETRAIN, RetrainParameters("nope"), "UNKNOWN_NETWORK", "retrain.network"),
    ],
)
async def test_a_wrong_parameter_is_refused_at_the_call(
    workspace: Workspace,
    router: Router,
    job: str,
    parameters: JobParameters | None,
    reason: str,
    field: str,
) -> None:
    """The error names the field and the rule, and shows no password; no run is queued."""
    jobs = workspace.storage.jobs
    jobs.set_catalog([Job(each, "", "") for each in (SCORE, EVALUATE, RETRAIN)])
    with pytest.raises(InvalidArgument) as caught:
        await handler(workspace, router).run(job, "support", "", parameters)
    assert (caught.value.reason, caught.value.field) == (reason, field)
    assert "secret" not in str(caught.value)
    assert jobs.page(job, "support", Page())[0] == []


def handler(workspace: Workspace, router: Router) -> JobHandler:
    """Return a handler over a workspace."""
    storage = workspace.storage
    rules = ParameterRules(storage.models, SagemakerSettings())
    return JobHandler(storage.jobs, rules, router, lambda: NOW)
