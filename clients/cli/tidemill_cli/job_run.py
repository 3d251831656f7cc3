"""A job's run: followed until it ends, and printed."""

from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Any

from google.protobuf.message import Message

from tidemill.v1 import job_service_pb2 as pb
from tidemill_cli.failure import CommandFailed
from tidemill_cli.listing import CALL_SECONDS, print_one
from tidemill_cli.messages import enum_name, time_text, to_json
from tidemill_cli.output import percent, print_json, print_table, say, sparkline
from tidemill_cli.progress import progress_view
from tidemill_cli.watching import watched
from tidemill_client import TidemillClient


def start(client: TidemillClient, request: pb.RunJobRequest) -> pb.JobRun:
    """Queue a run."""
    return client.jobs.RunJob(request, timeout=CALL_SECONDS).job_run


def follow(client: TidemillClient, run_id: str, as_json: bool = False) -> pb.JobRun:
    """Show a run's progress until it ends, and return its last state.

    Args:
        client: the server's client.
        run_id: the run.
        as_json: whether to print each change as a line of JSON on stdout, for programs.
    """
    request = pb.WatchJobRunRequest(run_id=run_id)
    latest: pb.JobRun | None = None
    try:
        with progress_view() as show_progress:
            # No timeout: a training may take any time.
            for response in watched(lambda: client.jobs.WatchJobRun(request)):
                latest = response.job_run
                if as_json:
                    print_event("run", latest)
                else:
                    show_progress(latest.job, latest.progress, latest.message)
    except KeyboardInterrupt:
        say(f"the run goes on; to follow it again: tidemill jobs watch {run_id}")
        raise
    if latest is None:
        raise CommandFailed(f"the server sent nothing about run {run_id}")
    return latest


def print_event(event: str, state: Message) -> None:
    """Print a change as one line of JSON: what changed, and its fields as they are now."""
    print_json({"event": event, **to_json(state)}, indent=None)


def require_success(run: pb.JobRun) -> None:
    """Raise CommandFailed unless a run succeeded."""
    if run.state != pb.JobRunState.JOB_RUN_STATE_SUCCEEDED:
        ending = f"failed: {run.error}" if run.error else f"ended {enum_name(run, 'state')}"
        raise CommandFailed(f"the run {ending}")


def print_run(run: pb.JobRun, as_json: bool) -> None:
    """Print a run."""
    _print(run, run.error, as_json)


def print_end(run: pb.JobRun, as_json: bool) -> None:
    """Print a run that was followed to its end, except the error, with which the command fails."""
    _print(run, "", as_json)


def _print(run: pb.JobRun, error: str, as_json: bool) -> None:
    fields = {
        "run id": run.run_id,
        "job": run.job,
        "task": run.task,
        **_parameters(run),
        "state": enum_name(run, "state"),
        "progress": f"{percent(run.progress)}  {run.message}",
        "error": error,
        "requested by": run.trigger,
        "because": run.reason,
        "queued": time_text(run.create_time),
        "started": time_text(run.start_time),
        "ended": time_text(run.end_time),
    }
    print_one(run, fields, as_json)
    if not as_json and run.result.fields:
        print_table(("result", ""), sorted(_flat(to_json(run.result)), key=itemgetter(0)), empty="")


def _parameters(run: pb.JobRun) -> dict[str, Any]:
    """Return what a run was asked to do, by name; 0 and "" were left out, except as a seed."""
    name = run.WhichOneof("parameters")
    values = {} if name is None else to_json(getattr(run, name))
    return {
        field.replace("_", " "): value
        for field, value in values.items()
        if value or field == "seed"
    }


def _flat(result: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield a result's values by name; those of an object inside it by `object.name`.

    Numbers in a list are on one line, other plain values have a line each; of other lists, only
    their length is shown.
    """
    for name, value in result.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{inner}", one) for inner, one in _flat(value))
        elif value == []:
            yield name, "none"
        elif isinstance(value, list) and any(isinstance(one, dict | list) for one in value):
            yield name, f"{len(value)}: --json shows them"
        elif isinstance(value, list) and all(isinstance(one, int | float) for one in value):
            numbers = ", ".join(map(_plain, value))
            yield name, f"{sparkline(value)}  {numbers}" if name.endswith("_counts") else numbers
        else:
            yield name, value if isinstance(value, list) else _plain(value)


def _plain(value: object) -> str:
    """Return a value as people read it: with six decimals, and without those that are 0."""
    if isinstance(value, float):
        return f"{round(value, 6) + 0.0:.12g}"  # adding 0 makes -0 0
    return "not known" if value is None else str(value)
