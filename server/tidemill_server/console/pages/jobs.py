"""Jobs: start them, follow them, stop them."""

from typing import Any

from starlette.responses import Response

from tidemill.v1 import job_service_pb2 as pb
from tidemill_core.domain.job import EVALUATE, IMPORT_MODEL, SCORE
from tidemill_server.console.formats import plain, word
from tidemill_server.console.navigation import task_path
from tidemill_server.console.routes import get, post
from tidemill_server.console.visit import Visit
from tidemill_server.handlers.job_parameters import NETWORKS

_PAGE = 50
_ACTIVE = ("queued", "running")
_WITH_FILES = (IMPORT_MODEL, SCORE, EVALUATE)
"""Jobs that need files, so the command line starts them."""


async def show(visit: Visit) -> Response:
    """Show the jobs, and the newest runs."""
    catalog = await visit.ask("JobService/ListJobs", pb.ListJobsRequest(), pb.ListJobsResponse)
    jobs = [each for each in catalog.jobs if each.job not in _WITH_FILES]
    return visit.show("jobs.html", jobs=jobs, networks=NETWORKS, **await _runs(visit))


async def runs(visit: Visit) -> Response:
    """Show the newest runs, for a page that follows them."""
    return visit.show("_runs.html", **await _runs(visit))


async def _runs(visit: Visit) -> dict[str, Any]:
    asked = visit.request.query_params
    request = pb.ListJobRunsRequest(
        task=visit.task,
        job=asked.get("job", ""),
        page_size=_PAGE,
        page_token=asked.get("after", ""),
    )
    found = await visit.ask("JobService/ListJobRuns", request, pb.ListJobRunsResponse)
    return {
        "runs": sorted(found.job_runs, key=lambda run: word(run, "state") not in _ACTIVE),
        "after": found.next_page_token,
        "job": asked.get("job", ""),
        "is_first_page": "after" not in asked,
        "is_active": any(word(each, "state") in _ACTIVE for each in found.job_runs),
    }


async def one(visit: Visit) -> Response:
    """Show one run."""
    return visit.show("run.html", **await _one(visit))


async def progress(visit: Visit) -> Response:
    """Show one run, for a page that follows it."""
    return visit.show("_run.html", **await _one(visit))


async def _one(visit: Visit) -> dict[str, Any]:
    request = pb.GetJobRunRequest(run_id=visit.request.path_params["run_id"])
    run = (await visit.ask("JobService/GetJobRun", request, pb.GetJobRunResponse)).job_run
    asked = run.WhichOneof("parameters")
    return {
        "run": run,
        "is_active": word(run, "state") in _ACTIVE,
        "parameters": plain(getattr(run, asked)) if asked else {},
        "result": plain(run.result),
    }


async def start(visit: Visit) -> Response:
    """Queue a run."""
    request = pb.RunJobRequest(job=visit.form.get("job", ""), task=visit.task)
    given = {
        name: visit.number(name) for name in ("trials", "budget_seconds") if visit.number(name)
    }
    if network := visit.form.get("network", ""):
        request.retrain.network = network
    for name, value in given.items():
        setattr(request.retrain, name, value)
    run = (await visit.ask("JobService/RunJob", request, pb.RunJobResponse)).job_run
    return visit.go(f"{visit.here}/{run.run_id}", "started")


async def cancel(visit: Visit) -> Response:
    """Ask a run to stop."""
    request = pb.CancelJobRunRequest(run_id=visit.request.path_params["run_id"])
    run = (await visit.ask("JobService/CancelJobRun", request, pb.CancelJobRunResponse)).job_run
    return visit.go(f"{task_path(visit.task, 'jobs')}/{run.run_id}", "cancelled")


ROUTES = (
    get("/t/{task}/jobs", show),
    get("/t/{task}/jobs/runs", runs),
    get("/t/{task}/jobs/{run_id}", one),
    get("/t/{task}/jobs/{run_id}/progress", progress),
    post("/t/{task}/jobs/start", start),
    post("/t/{task}/jobs/{run_id}/cancel", cancel),
)
