"""`tidemill jobs`."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any

import typer

from tidemill.v1.job_service_pb2 import (
    CancelJobRunRequest,
    GetJobRunRequest,
    Job,
    JobRun,
    JobRunState,
    ListJobRunsRequest,
    ListJobsRequest,
    RunJobRequest,
    WatchJobRunRequest,
)
from tidemill_cli.connection import CALL_SECONDS, Address, Limit, OnlyTask, collect, connected
from tidemill_cli.failure import REQUEST_FAILED, CommandFailed
from tidemill_cli.messages import enum_name, time_text, to_json
from tidemill_cli.output import AsJson, percent, print_fields, print_json, print_table, say
from tidemill_cli.progress import progress_view
from tidemill_client import TidemillClient

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Start and follow the batch jobs.",
    epilog="Example: tidemill jobs run retrain --task support",
)

# Most rows of a page may be left out: it is a large one.
_SIFTED_PAGE = 500

RunId = Annotated[str, typer.Argument(help="The run's id.")]


@app.command("list", epilog="Example: tidemill jobs list")
def list_jobs(address: Address = "", as_json: AsJson = False) -> None:
    """List the jobs that can be run."""
    with connected(address) as client:
        jobs: list[Job] = collect(
            lambda size, token: client.jobs.ListJobs(
                ListJobsRequest(page_size=size, page_token=token), timeout=CALL_SECONDS
            ),
            lambda page: page.jobs,
            limit=1000,
        )
    if as_json:
        print_json([to_json(job) for job in jobs])
        return
    rows = ((job.job, job.schedule or "on demand", job.description) for job in jobs)
    print_table(("job", "runs", "what it does"), rows, empty="no jobs: is the jobs process up?")


@app.command(epilog="Example: tidemill jobs runs --task support --job retrain")
def runs(
    task: OnlyTask = "",
    job: Annotated[str, typer.Option(help="Only this job's.", show_default=False)] = "",
    every: Annotated[bool, typer.Option("--all", help="Checks that started nothing too.")] = False,
    limit: Limit = 20,
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """List runs; of check_feedback, which runs every minute, only those that started one."""
    whole = every or bool(job)
    with connected(address) as client:
        found: list[JobRun] = collect(
            lambda size, token: client.jobs.ListJobRuns(
                ListJobRunsRequest(
                    job=job,
                    task=task,
                    page_size=size if whole else _SIFTED_PAGE,
                    page_token=token,
                ),
                timeout=CALL_SECONDS,
            ),
            lambda page: [run for run in page.job_runs if whole or not _started_nothing(run)],
            limit,
        )
    if as_json:
        print_json([to_json(run) for run in found])
        return
    columns = ("run id", "job", "task", "state", "asked by", "queued (UTC)", "now")
    print_table(columns, map(_row, found), empty="nothing has run yet")
    if not whole:
        say("without check_feedback runs that started nothing; --all shows them")


def _started_nothing(run: JobRun) -> bool:
    """Whether a run is one of the many that only found that there is nothing to do."""
    if run.job != "check_feedback" or run.state != JobRunState.JOB_RUN_STATE_SUCCEEDED:
        return False
    return run.result.fields["decision"].string_value != "STARTED"


def _row(run: JobRun) -> tuple[str, ...]:
    return (
        run.run_id,
        run.job,
        run.task,
        enum_name(run, "state"),
        run.trigger,
        time_text(run.create_time),
        run.error or run.message,
    )


@app.command(epilog="Example: tidemill jobs run retrain --task support --no-follow")
def run(
    job: Annotated[str, typer.Argument(help="The job; `tidemill jobs list` shows them.")],
    task: Annotated[str, typer.Option(help="The task to run it for.", show_default=False)],
    follow: Annotated[bool, typer.Option(help="Wait for its end.")] = True,
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Start a job, and follow it to its end."""
    with connected(address) as client:
        queued = client.jobs.RunJob(RunJobRequest(job=job, task=task), timeout=CALL_SECONDS).job_run
        finish = _follow(client, queued.run_id) if follow else queued
    _print_run(finish, as_json)
    if follow:
        _fail_unless_succeeded(finish)


@app.command(epilog="Example: tidemill jobs show RUN_ID --json")
def show(run_id: RunId, address: Address = "", as_json: AsJson = False) -> None:
    """Show one run."""
    with connected(address) as client:
        request = GetJobRunRequest(run_id=run_id)
        found = client.jobs.GetJobRun(request, timeout=CALL_SECONDS).job_run
    _print_run(found, as_json)


@app.command(epilog="Example: tidemill jobs watch RUN_ID")
def watch(run_id: RunId, address: Address = "", as_json: AsJson = False) -> None:
    """Follow a run to its end."""
    with connected(address) as client:
        finish = _follow(client, run_id)
    _print_run(finish, as_json)
    _fail_unless_succeeded(finish)


@app.command(epilog="Example: tidemill jobs cancel RUN_ID")
def cancel(run_id: RunId, address: Address = "", as_json: AsJson = False) -> None:
    """Ask a run to stop."""
    with connected(address) as client:
        request = CancelJobRunRequest(run_id=run_id)
        found = client.jobs.CancelJobRun(request, timeout=CALL_SECONDS).job_run
    _print_run(found, as_json)


def _follow(client: TidemillClient, run_id: str) -> JobRun:
    """Show a run's progress until it ends; the run as it was last heard of."""
    # No time limit: a training takes as long as it takes.
    stream = client.jobs.WatchJobRun(WatchJobRunRequest(run_id=run_id))
    try:
        with progress_view() as show_progress:
            latest = _last(stream, lambda run: show_progress(run.job, run.progress, run.message))
    except KeyboardInterrupt:
        say(f"the run goes on: `tidemill jobs watch {run_id}` follows it again")
        raise
    if latest is None:
        raise CommandFailed(f"the server said nothing about run {run_id}", REQUEST_FAILED)
    return latest


def _last(stream: Iterable[Any], seen: Callable[[JobRun], None]) -> JobRun | None:
    latest: JobRun | None = None
    for response in stream:
        latest = response.job_run
        seen(response.job_run)
    return latest


def _fail_unless_succeeded(run: JobRun) -> None:
    if run.state != JobRunState.JOB_RUN_STATE_SUCCEEDED:
        ending = f"failed: {run.error}" if run.error else f"ended {enum_name(run, 'state')}"
        raise CommandFailed(f"the run {ending}", REQUEST_FAILED)


def _print_run(run: JobRun, as_json: bool) -> None:
    document = to_json(run)
    if as_json:
        print_json(document)
        return
    print_fields(
        {
            "run id": run.run_id,
            "job": run.job,
            "task": run.task,
            "state": document["state"],
            "progress": f"{percent(run.progress)}  {run.message}",
            "error": run.error,
            "asked by": run.trigger,
            "queued": time_text(run.create_time),
            "began": time_text(run.start_time),
            "ended": time_text(run.end_time),
        }
    )
    if result := document["result"]:
        print_table(("result", ""), sorted(_flat(result)), empty="")


def _flat(result: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """A result's values by name; those of an object inside it by `object.name`.

    Of a list the plain values are told, each by its own; of objects only how many there are.
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
