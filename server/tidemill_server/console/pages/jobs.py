"""Jobs: start them, follow them, stop them."""

from typing import Any

from starlette.responses import Response

from tidemill.v1 import job_service_pb2 as pb
from tidemill.v1 import model_service_pb2 as model_pb
from tidemill_core.domain.job import (
    EVALUATE,
    IMPORT_MODEL,
    PUBLISHING_JOBS,
    SCORE,
    found_nothing,
)
from tidemill_server.console import questions
from tidemill_server.console.formats import plain, word
from tidemill_server.console.live import Parts, live
from tidemill_server.console.navigation import task_path
from tidemill_server.console.routes import get, post
from tidemill_server.console.visit import Visit
from tidemill_server.handlers.job_parameters import NETWORKS

_PAGE = 200
_ACTIVE = ("queued", "running")
_NOT_OVER = ("waiting", "running")
_WITH_FILES = (IMPORT_MODEL, SCORE, EVALUATE)
"""Jobs that need files, so the command line starts them."""


async def show(visit: Visit) -> Response:
    """Show the jobs, and the newest runs."""
    catalog = await visit.ask(pb.ListJobsRequest(), pb.ListJobsResponse)
    jobs = [each for each in catalog.jobs if each.job not in _WITH_FILES]
    return visit.show("jobs.html", jobs=jobs, networks=NETWORKS, **await _runs(visit))


async def _newest(visit: Visit) -> Parts:
    return Parts({"runs": visit.html("_runs.html", **await _runs(visit))})


async def _runs(visit: Visit) -> dict[str, Any]:
    asked = visit.request.query_params
    request = pb.ListJobRunsRequest(
        task=visit.task,
        job=asked.get("job", ""),
        page_size=_PAGE,
        page_token=asked.get("after", ""),
    )
    found = await visit.ask(request, pb.ListJobRunsResponse)
    shown = [run for run in found.job_runs if request.job or not _is_idle(run)]
    return {
        "runs": sorted(shown, key=lambda run: word(run, "state") not in _ACTIVE),
        "idle": len(found.job_runs) - len(shown),
        "after": found.next_page_token,
        "job": asked.get("job", ""),
        "is_first_page": "after" not in asked,
    }


def _is_idle(run: pb.JobRun) -> bool:
    fields = run.result.fields
    decision = fields["decision"].string_value if "decision" in fields else ""
    return word(run, "state") == "succeeded" and found_nothing(run.job, decision)


async def one(visit: Visit) -> Response:
    """Show one run."""
    return visit.show("run.html", **await _one(visit))


async def _progress(visit: Visit) -> Parts:
    found = await _one(visit)
    return Parts({"run": visit.html("_run.html", **found)}, is_last=not found["is_live"])


async def _one(visit: Visit) -> dict[str, Any]:
    request = pb.GetJobRunRequest(run_id=visit.request.path_params["run_id"])
    run = (await visit.ask(request, pb.GetJobRunResponse)).job_run
    asked = run.WhichOneof("parameters")
    is_active, rollout = word(run, "state") in _ACTIVE, await _rollout(visit, run)
    goes_on = rollout is not None and word(rollout, "state") in _NOT_OVER
    return {
        "run": run,
        "is_active": is_active,
        "rollout": rollout,
        "is_live": is_active or goes_on,
        "parameters": plain(getattr(run, asked)) if asked else {},
        "result": plain(run.result),
    }


async def _rollout(visit: Visit, run: pb.JobRun) -> model_pb.Rollout | None:
    """Return the rollout of the version that a run made; None if it has none."""
    version = int(plain(run.result).get("model_version", 0))
    if run.job not in PUBLISHING_JOBS or not version:
        return None
    return await questions.rollout(visit, run.task, version)


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
    run = (await visit.ask(request, pb.RunJobResponse)).job_run
    return visit.go(f"{visit.here}/{run.run_id}", "started")


async def cancel(visit: Visit) -> Response:
    """Ask a run to stop."""
    request = pb.CancelJobRunRequest(run_id=visit.request.path_params["run_id"])
    found = await visit.ask(request, pb.CancelJobRunResponse)
    notice = "canceled" if found.was_active else "ended_before"
    return visit.go(f"{task_path(visit.task, 'jobs')}/{found.job_run.run_id}", notice)


ROUTES = (
    get("/t/{task}/jobs", show),
    live("/t/{task}/jobs/live", _newest),
    get("/t/{task}/jobs/{run_id}", one),
    live("/t/{task}/jobs/{run_id}/live", _progress),
    post("/t/{task}/jobs/start", start),
    post("/t/{task}/jobs/{run_id}/cancel", cancel),
)
