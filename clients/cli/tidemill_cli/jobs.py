"""`tidemill jobs`."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from tidemill.v1 import job_service_pb2 as pb
from tidemill_cli.connection import connected
from tidemill_cli.failure import CommandFailed, WrongUsage
from tidemill_cli.listing import CALL_SECONDS, Columns, collect, print_list, print_one
from tidemill_cli.messages import enum_name, time_text, to_json
from tidemill_cli.options import Address, AsJson, ForTask, Limit, OnlyTask, group
from tidemill_cli.output import percent, print_table, say
from tidemill_cli.progress import progress_view
from tidemill_cli.tasks import collect_of, the_task
from tidemill_client import TidemillClient

app = group("tidemill jobs run retrain --task support")

RunId = Annotated[str, typer.Argument(help="The run's id.")]


@app.command("list", epilog="Example: tidemill jobs list")
def list_jobs(address: Address = "", as_json: AsJson = False) -> None:
    """List the jobs that can be run."""
    with connected(address) as client:
        jobs = _jobs(client)
    columns: Columns = {
        "job": "job",
        "runs": lambda job: job.schedule or "on demand",
        "what it does": "description",
    }
    print_list(jobs, columns, "no jobs: check that the process `jobs` is up", as_json)


@app.command(epilog="Example: tidemill jobs runs --task support --job retrain")
def runs(
    task: OnlyTask = "",
    job: Annotated[str, typer.Option(help="Only this job.", show_default=False)] = "",
    every: Annotated[bool, typer.Option("--all", help="Include idle checks.")] = False,
    limit: Limit = 20,
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """List runs; of check_feedback, which runs every minute, only those that started a run."""
    keep = None if every or job else _started_something
    with connected(address) as client:
        request = pb.ListJobRunsRequest(job=job, task=task)
        found = collect_of(client, client.jobs.ListJobRuns, request, limit, keep)
        known = {each.job for each in _jobs(client)} if job and not found else {job}
    if job not in known:
        names = ", ".join(sorted(known)) or "none"
        raise WrongUsage(f"there is no job {job!r}; there are: {names}")
    columns: Columns = {
        "run id": "run_id",
        "job": "job",
        "task": "task",
        "state": "state",
        "requested by": "trigger",
        "queued (UTC)": "create_time",
        "now": lambda run: run.error or run.message,
    }
    print_list(found, columns, "nothing has run yet", as_json)
    if keep is not None and not as_json:
        say("check_feedback runs that started nothing are left out; --all shows them")


def _jobs(client: TidemillClient) -> list[pb.Job]:
    return collect(client.jobs.ListJobs, pb.ListJobsRequest(), limit=1000)


def _started_something(run: pb.JobRun) -> bool:
    """Return False for a run of check_feedback that found nothing to do."""
    if run.job != "check_feedback" or run.state != pb.JobRunState.JOB_RUN_STATE_SUCCEEDED:
        return True
    return run.result.fields["decision"].string_value == "STARTED"


@app.command(epilog="Example: tidemill jobs run retrain --task support --no-follow")
def run(
    job: Annotated[str, typer.Argument(help="The job; `tidemill jobs list` shows them.")],
    task: ForTask = "",
    follow: Annotated[bool, typer.Option(help="Wait until it ends.")] = True,
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Start a job, and follow it until it ends."""
    with connected(address) as client:
        request = pb.RunJobRequest(job=job, task=the_task(client, task, address))
        queued = client.jobs.RunJob(request, timeout=CALL_SECONDS).job_run
        finish = _follow(client, queued.run_id) if follow else queued
    _print_run(finish, as_json)
    if follow:
        _fail_unless_succeeded(finish)


@app.command(epilog="Example: tidemill jobs show RUN_ID --json")
def show(run_id: RunId, address: Address = "", as_json: AsJson = False) -> None:
    """Show one run."""
    with connected(address) as client:
        request = pb.GetJobRunRequest(run_id=run_id)
        found = client.jobs.GetJobRun(request, timeout=CALL_SECONDS).job_run
    _print_run(found, as_json)


@app.command(epilog="Example: tidemill jobs watch RUN_ID")
def watch(run_id: RunId, address: Address = "", as_json: AsJson = False) -> None:
    """Follow a run until it ends."""
    with connected(address) as client:
        finish = _follow(client, run_id)
    _print_run(finish, as_json)
    _fail_unless_succeeded(finish)


@app.command(epilog="Example: tidemill jobs cancel RUN_ID")
def cancel(run_id: RunId, address: Address = "", as_json: AsJson = False) -> None:
    """Ask a run to stop."""
    with connected(address) as client:
        request = pb.CancelJobRunRequest(run_id=run_id)
        found = client.jobs.CancelJobRun(request, timeout=CALL_SECONDS).job_run
    _print_run(found, as_json)


def _follow(client: TidemillClient, run_id: str) -> pb.JobRun:
    """Show a run's progress until it ends, and return its last state."""
    # No timeout: a training may take any time.
    stream = client.jobs.WatchJobRun(pb.WatchJobRunRequest(run_id=run_id))
    latest: pb.JobRun | None = None
    try:
        with progress_view() as show_progress:
            for response in stream:
                latest = response.job_run
                show_progress(latest.job, latest.progress, latest.message)
    except KeyboardInterrupt:
        say(f"the run goes on; to follow it again: tidemill jobs watch {run_id}")
        raise
    if latest is None:
        raise CommandFailed(f"the server sent nothing about run {run_id}")
    return latest


def _fail_unless_succeeded(run: pb.JobRun) -> None:
    if run.state != pb.JobRunState.JOB_RUN_STATE_SUCCEEDED:
        ending = f"failed: {run.error}" if run.error else f"ended {enum_name(run, 'state')}"
        raise CommandFailed(f"the run {ending}")


def _print_run(run: pb.JobRun, as_json: bool) -> None:
    fields = {
        "run id": run.run_id,
        "job": run.job,
        "task": run.task,
        "state": enum_name(run, "state"),
        "progress": f"{percent(run.progress)}  {run.message}",
        "error": run.error,
        "requested by": run.trigger,
        "queued": time_text(run.create_time),
        "started": time_text(run.start_time),
        "ended": time_text(run.end_time),
    }
    print_one(run, fields, as_json)
    if not as_json and run.result.fields:
        print_table(("result", ""), sorted(_flat(to_json(run.result))), empty="")


def _flat(result: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield a result's values by name; those of an object inside it by `object.name`.

    Each plain value of a list is yielded by itself; of a list of objects, only their number.
    """
    for name, value in result.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{inner}", one) for inner, one in _flat(value))
        elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
            yield name, f"{len(value)}: --json shows them"
        elif isinstance(value, list):
            yield from ((name, one) for one in value)
        else:
            yield name, value
