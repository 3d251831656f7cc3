"""A rollout, followed from the shadow to its end."""

from typing import Any

from tidemill.v1 import job_service_pb2
from tidemill.v1 import model_service_pb2 as pb
from tidemill_cli.job_run import print_event
from tidemill_cli.listing import print_one
from tidemill_cli.messages import enum_name, time_text, to_json
from tidemill_cli.output import say
from tidemill_cli.progress import progress_view
from tidemill_cli.watching import watched
from tidemill_client import NotFound, TidemillClient

_ON_ITS_WAY = ("VALIDATED", "SHADOW", "CANARY")
_EVIDENCE = ("answers", "copies", "judged", "wrong", "champion_wrong")
"""The figures of a check that people see; --json has all of them."""


def follow_rollout(client: TidemillClient, run: job_service_pb2.JobRun, as_json: bool) -> None:
    """Follow the rollout of the version that a run made, and print its end.

    A version that is not in a rollout is left alone: it was promoted or rejected, or the task has
    no rollouts.
    """
    result: dict[str, Any] = to_json(run.result)
    if result.get("state") not in _ON_ITS_WAY:
        return
    request = pb.WatchRolloutRequest(task=run.task, model_version=int(result["model_version"]))
    latest: pb.Rollout | None = None
    try:
        with progress_view() as show_progress:
            # No timeout: a rollout takes hours.
            for response in watched(lambda: client.models.WatchRollout(request)):
                latest = response.rollout
                if as_json:
                    print_event("rollout", latest)
                else:
                    show_progress("rollout", _share_done(latest), _line(latest))
    except KeyboardInterrupt:
        again = f"tidemill jobs watch {run.run_id}"
        say(f"the rollout goes on; to follow it again: {again}")
        raise
    except NotFound:
        return
    if latest is not None and not as_json:
        print_one(latest, _fields(latest), as_json)


def step_of(rollout: pb.Rollout) -> str:
    """Return where a rollout is: `waiting`, `shadow`, `canary 5 %`, or how it ended."""
    state = enum_name(rollout, "state")
    if state != "RUNNING":
        return state.lower().replace("_", " ")
    return f"canary {rollout.percent} %" if rollout.percent else "shadow"


def _share_done(rollout: pb.Rollout) -> float:
    """Return the share of its steps that a rollout has behind it; the shadow is the first."""
    if enum_name(rollout, "state") == "WAITING":
        return 0.0
    passed = sum(step <= rollout.percent for step in rollout.steps)
    return (passed + 1) / (len(rollout.steps) + 1) if rollout.percent < 100 else 1.0


def _line(rollout: pb.Rollout) -> str:
    found = to_json(rollout.figures)
    known = [f"{name.replace('_', ' ')} {found[name]}" for name in _EVIDENCE if name in found]
    evidence = f" ({', '.join(known)})" if known else ""
    return f"version {rollout.model_version}: {step_of(rollout)}; {rollout.reason}{evidence}"


def _fields(rollout: pb.Rollout) -> dict[str, Any]:
    return {
        "rollout of version": rollout.model_version,
        "ended": step_of(rollout).upper(),
        "because": rollout.reason,
        "compared with": rollout.champion,
        "started": time_text(rollout.start_time),
        "end": time_text(rollout.end_time),
        **{name.replace("_", " "): value for name, value in to_json(rollout.figures).items()},
    }
