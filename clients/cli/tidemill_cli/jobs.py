"""`tidemill jobs`."""

from enum import StrEnum
from typing import Annotated

import typer

from tidemill.v1 import job_service_pb2 as pb
from tidemill_cli.connection import connected
from tidemill_cli.failure import WrongUsage
from tidemill_cli.job_run import follow as follow_run
from tidemill_cli.job_run import print_end, print_run, require_success, start
from tidemill_cli.listing import CALL_SECONDS, Columns, collect, print_list
from tidemill_cli.messages import to_json
from tidemill_cli.options import LARGEST, Address, AsJson, ForTask, Limit, OnlyTask, group
from tidemill_cli.output import print_json, say
from tidemill_cli.rollout import follow_rollout
from tidemill_cli.tasks import the_task
from tidemill_client import TidemillClient
from tidemill_core.domain.job import found_nothing

app = group("tidemill jobs run retrain --task support")

RunId = Annotated[str, typer.Argument(help="The run's id, or its first 8 characters.")]
_OF_RETRAIN = "Parameters of retrain"


class Place(StrEnum):
    """Where a training runs."""

    LOCAL = "local"
    SAGEMAKER = "sagemaker"


Network = Annotated[
    str,
    typer.Option(
        help="The network: ngram, transformer or sentence_encoder.",
        show_default=False,
        rich_help_panel=_OF_RETRAIN,
    ),
]
Trials = Annotated[
    int,
    typer.Option(
        min=0,
        max=LARGEST,
        help="Most trials of the search; 0: as set.",
        rich_help_panel=_OF_RETRAIN,
    ),
]
BudgetSeconds = Annotated[
    int,
    typer.Option(
        min=0,
        max=LARGEST,
        help="Most seconds of the search; 0: as set.",
        rich_help_panel=_OF_RETRAIN,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        min=0, max=2**32 - 1, help="Seed of every random choice.", rich_help_panel=_OF_RETRAIN
    ),
]
On = Annotated[Place, typer.Option(help="Where it runs.", rich_help_panel=_OF_RETRAIN)]


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
    print_list(jobs, columns, "no jobs yet; check that the process `jobs` is up", as_json)


@app.command(epilog="Example: tidemill jobs runs --task support --job retrain")
def runs(
    task: OnlyTask = "",
    job: Annotated[str, typer.Option(help="Only this job.", show_default=False)] = "",
    every: Annotated[bool, typer.Option("--all", help="Include idle checks.")] = False,
    limit: Limit = 20,
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """List runs; of check_feedback and rollout, which run often, only those that did something."""
    keep = None if every or job else _did_something
    with connected(address) as client:
        request = pb.ListJobRunsRequest(job=job, task=task)
        found = collect(client.jobs.ListJobRuns, request, limit, keep)
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
        "because": "reason",
        "queued (UTC)": "create_time",
        "now": lambda run: run.error or run.message,
    }
    print_list(found, columns, "no runs yet", as_json)
    if keep is not None and not as_json:
        say("runs of check_feedback and rollout that did nothing are left out; --all shows them")


def _jobs(client: TidemillClient) -> list[pb.Job]:
    return collect(client.jobs.ListJobs, pb.ListJobsRequest(), limit=1000)


def _did_something(run: pb.JobRun) -> bool:
    """Return False for a run of check_feedback or rollout that found nothing to do."""
    if run.state != pb.JobRunState.JOB_RUN_STATE_SUCCEEDED:
        return True
    fields = run.result.fields
    decision = fields["decision"].string_value if "decision" in fields else ""
    return not found_nothing(run.job, decision)


@app.command(epilog="Example: tidemill jobs run retrain --task support --no-follow")
def run(
    job: Annotated[str, typer.Argument(help="The job; `tidemill jobs list` shows them.")],
    task: ForTask = "",
    follow: Annotated[
        bool, typer.Option(help="Wait until it ends; of retrain, until the rollout ends too.")
    ] = True,
    network: Network = "",
    trials: Trials = 0,
    budget_seconds: BudgetSeconds = 0,
    seed: Seed = None,
    on: On = Place.LOCAL,
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Start a job, and follow it until it ends. What no option says, the task's settings do.

    Ctrl-C stops only the command: the run and the rollout of its version go on. With --json, each
    change is a line of JSON.
    """
    place = pb.TrainingPlace.Value(f"TRAINING_PLACE_{on.name}")
    asked = pb.RetrainParameters(
        network=network, trials=trials, budget_seconds=budget_seconds, seed=seed, place=place
    )
    given = asked != pb.RetrainParameters(place=pb.TRAINING_PLACE_LOCAL)
    if given and job != "retrain":
        raise WrongUsage(f"the parameters of retrain do not apply to {job}")
    with connected(address) as client:
        request = pb.RunJobRequest(
            job=job, task=the_task(client, task, address), retrain=asked if given else None
        )
        queued = start(client, request)
        if follow:
            _follow(client, queued.run_id, as_json)
        else:
            print_run(queued, as_json)


def _follow(client: TidemillClient, run_id: str, as_json: bool) -> None:
    """Follow a run, and then the rollout of the version that it made."""
    finish = follow_run(client, run_id, as_json)
    if not as_json:
        print_end(finish, as_json)
    require_success(finish)
    follow_rollout(client, finish, as_json)


@app.command(epilog="Example: tidemill jobs show RUN_ID --json")
def show(run_id: RunId, address: Address = "", as_json: AsJson = False) -> None:
    """Show one run."""
    with connected(address) as client:
        request = pb.GetJobRunRequest(run_id=run_id)
        found = client.jobs.GetJobRun(request, timeout=CALL_SECONDS).job_run
    print_run(found, as_json)


@app.command(epilog="Example: tidemill jobs watch RUN_ID")
def watch(run_id: RunId, address: Address = "", as_json: AsJson = False) -> None:
    """Follow a run until it ends, and then the rollout of the version that it made.

    With --json, each change is a line of JSON.
    """
    with connected(address) as client:
        _follow(client, run_id, as_json)


@app.command(epilog="Example: tidemill jobs cancel RUN_ID")
def cancel(run_id: RunId, address: Address = "", as_json: AsJson = False) -> None:
    """Ask a run to stop."""
    with connected(address) as client:
        request = pb.CancelJobRunRequest(run_id=run_id)
        found = client.jobs.CancelJobRun(request, timeout=CALL_SECONDS)
    run = found.job_run
    if as_json:
        print_json({**to_json(run), "was_active": found.was_active})
        return
    print_run(run, as_json)
    runs = run.state == pb.JOB_RUN_STATE_RUNNING
    if not found.was_active:
        say(f"it {'was asked to stop' if runs else 'had ended'} before: nothing changed")
    if runs:
        say(f"it stops at its next step; to see its end: tidemill jobs watch {run.run_id}")
