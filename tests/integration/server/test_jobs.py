"""JobService: requests go into the table, and their progress comes back."""

from datetime import timedelta
from typing import Any

import pytest

from tests.integration.server.front import NOW, Front, Workspace
from tests.integration.server.refusal import refusal, words
from tidemill.v1 import job_service_pb2 as pb
from tidemill_core.domain.job import Job


@pytest.fixture(autouse=True)
def catalog(workspace: Workspace) -> None:
    """Return two jobs that can be run."""
    jobs = [Job("retrain", "Trains.", ""), Job("check_drift", "Looks.", "daily")]
    workspace.storage.jobs.set_catalog(jobs)


def run(
    front: Front, job: str = "retrain", task: str = "support", request_id: str = ""
) -> pb.JobRun:
    """Request a run."""
    request = pb.RunJobRequest(job=job, task=task, request_id=request_id)
    return front.jobs.RunJob(request, timeout=10).job_run


def test_jobs_are_listed(front: Front) -> None:
    """Callers see the jobs process's catalog."""
    listed = front.jobs.ListJobs(pb.ListJobsRequest(), timeout=10).jobs
    assert [(job.job, job.schedule) for job in listed] == [
        ("check_drift", "daily"),
        ("retrain", ""),
    ]


def test_the_catalog_is_paged(front: Front) -> None:
    """Following the tokens shows each job once, by name."""
    seen, token = [], ""
    while True:
        request = pb.ListJobsRequest(page_size=1, page_token=token)
        page = front.jobs.ListJobs(request, timeout=10)
        seen.append([job.job for job in page.jobs])
        if not (token := page.next_page_token):
            break
    assert seen == [["check_drift"], ["retrain"]]


def test_a_run_is_queued_once_a_request_id(front: Front) -> None:
    """Repeating a request id returns the same run; canceling ends it before it begins."""
    first = run(front, request_id="j-1")
    assert (first.job, first.task, first.trigger) == ("retrain", "support", "rpc")
    assert first.state == pb.JOB_RUN_STATE_QUEUED
    assert run(front, request_id="j-1") == first
    cancel = pb.CancelJobRunRequest(run_id=first.run_id)
    ended = front.jobs.CancelJobRun(cancel, timeout=10).job_run
    assert (ended.state, ended.cancel_requested) == (pb.JOB_RUN_STATE_CANCELLED, True)
    get = pb.GetJobRunRequest(run_id=first.run_id)
    assert front.jobs.GetJobRun(get, timeout=10).job_run == ended


def test_a_wrong_wish_is_refused(front: Front) -> None:
    """Unknown jobs, tasks and long request ids are INVALID_ARGUMENT with their field."""
    refused = refusal(lambda: run(front, job="dance"))
    assert words(refused) == ("INVALID_ARGUMENT", "UNKNOWN_JOB", "job")
    refused = refusal(lambda: run(front, task="unheard_of"))
    assert words(refused) == ("INVALID_ARGUMENT", "UNKNOWN_TASK", "task")
    refused = refusal(lambda: run(front, request_id="r" * 201))
    assert words(refused) == ("INVALID_ARGUMENT", "VALUE_TOO_LONG", "request_id")


def test_parameters_reach_the_run(front: Front, workspace: Workspace) -> None:
    """The run shows them; a request with other parameters is a run of its own."""
    asked = pb.RetrainParameters(network="ngram", trials=5, seed=0)
    runs = []
    for parameters in (asked, asked, None):
        request = pb.RunJobRequest(job="retrain", task="untrained", retrain=parameters)
        runs.append(front.jobs.RunJob(request, timeout=10).job_run)
    assert runs[0] == runs[1]
    asked.place = pb.TRAINING_PLACE_LOCAL
    assert runs[0].retrain == asked
    assert runs[2].retrain == pb.RetrainParameters(place=pb.TRAINING_PLACE_LOCAL)
    assert not runs[2].retrain.HasField("seed")
    for each in (runs[0], runs[2]):
        workspace.storage.jobs.cancel(each.run_id, NOW)


@pytest.mark.parametrize(
    ("wrong", "reason", "field"),
    [
        ({"retrain": {"trials": -1}}, "VALUE_OUT_OF_RANGE", "retrain.trials"),
        ({"retrain": {"trials": 10_001}}, "VALUE_OUT_OF_RANGE", "retrain.trials"),
        ({"retrain": {"budget_seconds": 604_801}}, "VALUE_OUT_OF_RANGE", "retrain.budget_seconds"),
        ({"retrain": {"network": "nope"}}, "UNKNOWN_NETWORK", "retrain.network"),
        ({"retrain": {"place": 2}}, "PLACE_NOT_POSSIBLE", "retrain.place"),
        ({"retrain": {"place": 9}}, "UNKNOWN_VALUE", "retrain.place"),
        ({"reproduce_model": {}}, "PARAMETERS_OF_ANOTHER_JOB", "reproduce_model"),
        ({"job": "check_drift", "retrain": {}}, "PARAMETERS_OF_ANOTHER_JOB", "retrain"),
        ({"job": "import_model"}, "JOB_NEEDS_FILES", "job"),
        (
            {"job": "reproduce_model", "reproduce_model": {"model_version": -1}},
            "UNKNOWN_MODEL_VERSION",
            "reproduce_model.model_version",
        ),
        (
            {"job": "reproduce_model", "reproduce_model": {"model_version": 99}},
            "UNKNOWN_MODEL_VERSION",
            "reproduce_model.model_version",
        ),
    ],
)
def test_wrong_parameters_are_refused(
    front: Front, workspace: Workspace, wrong: dict[str, Any], reason: str, field: str
) -> None:
    """The error names the parameter and the rule, and no run is queued."""
    names = ("retrain", "check_drift", "import_model", "reproduce_model")
    workspace.storage.jobs.set_catalog([Job(name, "", "") for name in names])
    request = pb.RunJobRequest(**{"job": "retrain", "task": "untrained", **wrong})
    refused = refusal(lambda: front.jobs.RunJob(request, timeout=10))
    assert words(refused) == ("INVALID_ARGUMENT", reason, field)


@pytest.mark.parametrize(
    "asked", [{"job": "evaluate", "evaluate": {"input": "i"}}, {"job": "reproduce_model"}]
)
def test_a_job_that_needs_a_champion_is_refused_without_one(
    front: Front, workspace: Workspace, asked: dict[str, Any]
) -> None:
    """A task without a champion has no version to evaluate or to reproduce."""
    catalog = [Job(name, "", "") for name in ("evaluate", "reproduce_model")]
    workspace.storage.jobs.set_catalog(catalog)
    request = pb.RunJobRequest(task="untrained", **asked)
    refused = refusal(lambda: front.jobs.RunJob(request, timeout=10))
    assert words(refused) == ("FAILED_PRECONDITION", "NO_CHAMPION", "")


def test_a_run_that_is_not_there(front: Front) -> None:
    """GetJobRun, CancelJobRun and WatchJobRun of an unknown id are NOT_FOUND."""
    expected = ("NOT_FOUND", "JOB_RUN_NOT_FOUND", "")
    get, cancel = pb.GetJobRunRequest(run_id="none"), pb.CancelJobRunRequest(run_id="none")
    assert words(refusal(lambda: front.jobs.GetJobRun(get, timeout=10))) == expected
    assert words(refusal(lambda: front.jobs.CancelJobRun(cancel, timeout=10))) == expected
    watch = pb.WatchJobRunRequest(run_id="none")
    assert words(refusal(lambda: list(front.jobs.WatchJobRun(watch, timeout=10)))) == expected


def test_a_watcher_sees_every_change_until_the_end(front: Front, workspace: Workspace) -> None:
    """The run is sent immediately and after each change; the stream ends with it."""
    jobs = workspace.storage.jobs
    wanted = run(front, job="check_drift")
    watch = front.jobs.WatchJobRun(pb.WatchJobRunRequest(run_id=wanted.run_id), timeout=20)
    assert next(watch).job_run == wanted
    claimed = jobs.claim(NOW)
    assert claimed is not None
    assert claimed.run_id == wanted.run_id
    assert next(watch).job_run.state == pb.JOB_RUN_STATE_RUNNING
    jobs.beat(wanted.run_id, 0.5, "half way", NOW)
    half = next(watch).job_run
    assert (half.progress, half.message) == (0.5, "half way")
    cancel = pb.CancelJobRunRequest(run_id=wanted.run_id)
    asked = front.jobs.CancelJobRun(cancel, timeout=10).job_run
    assert (asked.state, asked.cancel_requested) == (pb.JOB_RUN_STATE_RUNNING, True)
    assert next(watch).job_run == asked
    jobs.succeed(wanted.run_id, {"rows": 3}, NOW + timedelta(seconds=1))
    last = next(watch).job_run
    assert (last.state, last.result["rows"]) == (pb.JOB_RUN_STATE_SUCCEEDED, 3)
    assert list(watch) == []


def test_one_run_waits(front: Front, workspace: Workspace) -> None:
    """A request for a job that already waits returns that run; lists have it once."""
    first = run(front, task="support", request_id="w-1")
    assert run(front, request_id="w-2").run_id == first.run_id
    assert workspace.storage.jobs.claim(NOW) is not None
    following = run(front, request_id="w-3")
    assert following.run_id != first.run_id
    assert run(front, request_id="w-2").run_id == first.run_id
    seen, token = [], ""
    while True:
        request = pb.ListJobRunsRequest(job="retrain", page_size=1, page_token=token)
        page = front.jobs.ListJobRuns(request, timeout=10)
        seen += [each.run_id for each in page.job_runs]
        if not (token := page.next_page_token):
            break
    assert seen[:2] == [following.run_id, first.run_id]
    workspace.storage.jobs.cancel(following.run_id, NOW)
    workspace.storage.jobs.succeed(first.run_id, {}, NOW)
