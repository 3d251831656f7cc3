"""`tidemill models`."""

from typing import Annotated

import typer

from tidemill.v1 import job_service_pb2
from tidemill.v1 import model_service_pb2 as pb
from tidemill_cli.connection import connected, current_user
from tidemill_cli.failure import CommandFailed, WrongUsage
from tidemill_cli.job_run import follow, print_end, require_success, start
from tidemill_cli.listing import CALL_SECONDS, Columns, collect, print_list, print_one
from tidemill_cli.messages import time_text
from tidemill_cli.model_history import HISTORY_EXAMPLE, history
from tidemill_cli.model_import import EXAMPLE, import_model
from tidemill_cli.model_pause import PAUSE_EXAMPLE, RESUME_EXAMPLE, pause, resume
from tidemill_cli.model_show import SHOW_EXAMPLE, print_version, show
from tidemill_cli.options import (
    LARGEST,
    Address,
    AsJson,
    Comment,
    LastTask,
    Limit,
    OnlyTask,
    Reason,
    TaskAndVersion,
    group,
)
from tidemill_cli.output import percent, say
from tidemill_cli.tasks import is_version, task_and_version, the_task

app = group("tidemill models list --task support")
app.command("import", epilog=EXAMPLE)(import_model)
app.command(epilog=SHOW_EXAMPLE)(show)
app.command(epilog=HISTORY_EXAMPLE)(history)
app.command(epilog=PAUSE_EXAMPLE)(pause)
app.command(epilog=RESUME_EXAMPLE)(resume)


@app.command("list", epilog="Example: tidemill models list --task support --json")
def list_versions(
    task: OnlyTask = "", limit: Limit = 20, address: Address = "", as_json: AsJson = False
) -> None:
    """List model versions."""
    with connected(address) as client:
        request = pb.ListModelVersionsRequest(task=task)
        found = collect(client.models.ListModelVersions, request, limit)
    columns: Columns = {
        "task": "task",
        "version": "model_version",
        "state": "state",
        "accuracy": _accuracy,
        "trained on": lambda version: version.dataset_version[:12],
        "published (UTC)": "create_time",
        "because": "reason",
    }
    empty = "no model versions yet; `tidemill jobs run retrain` trains one"
    print_list(found, columns, empty, as_json)


@app.command(epilog='Example: tidemill models promote support 3 --comment "better on refunds"')
def promote(
    which: TaskAndVersion,
    comment: Comment = "",
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Make a VALIDATED, SHADOW, CANARY or ROLLED_BACK version the champion.

    A version that was rolled back takes seconds to load.
    """
    task, model_version = task_and_version(which, least=1)
    with connected(address) as client:
        request = pb.PromoteModelVersionRequest(
            task=the_task(client, task, address),
            model_version=model_version,
            actor=current_user(),
            comment=comment,
        )
        response = client.models.PromoteModelVersion(request, timeout=CALL_SECONDS)
    _print_deployment(response.deployment, as_json)


@app.command(epilog='Example: tidemill models approve support 3 --comment "checked by hand"')
def approve(
    which: TaskAndVersion,
    comment: Comment = "",
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Approve a version that is AWAITING_APPROVAL: it becomes champion, or its rollout starts."""
    task, model_version = task_and_version(which, least=1)
    with connected(address) as client:
        named = the_task(client, task, address)
        asked = pb.GetModelVersionRequest(task=named, model_version=model_version)
        before = client.models.GetModelVersion(asked, timeout=CALL_SECONDS).model_version
        request = pb.ApproveModelVersionRequest(
            task=named, model_version=model_version, actor=current_user(), comment=comment
        )
        response = client.models.ApproveModelVersion(request, timeout=CALL_SECONDS)
    print_version(response.model_version, as_json)
    if before.approved_by and not as_json:
        say(f"{before.approved_by} had approved it before: nothing changed")


@app.command(epilog='Example: tidemill models reject support 3 --comment "worse on refunds"')
def reject(
    which: TaskAndVersion, comment: Reason, address: Address = "", as_json: AsJson = False
) -> None:
    """Reject a version that is AWAITING_APPROVAL: it answers no one."""
    task, model_version = task_and_version(which, least=1)
    with connected(address) as client:
        request = pb.RejectModelVersionRequest(
            task=the_task(client, task, address),
            model_version=model_version,
            actor=current_user(),
            comment=comment,
        )
        response = client.models.RejectModelVersion(request, timeout=CALL_SECONDS)
    print_version(response.model_version, as_json)


@app.command(epilog="Example: tidemill models reproduce support 3")
def reproduce(which: TaskAndVersion = None, address: Address = "", as_json: AsJson = False) -> None:
    """Train a version again and compare the weights; without a number, the champion."""
    task, model_version = task_and_version(which)
    parameters = job_service_pb2.ReproduceModelParameters(model_version=model_version)
    with connected(address) as client:
        request = job_service_pb2.RunJobRequest(
            job="reproduce_model",
            task=the_task(client, task, address),
            reproduce_model=parameters,
        )
        queued = start(client, request)
        finish = follow(client, queued.run_id)
    print_end(finish, as_json)
    require_success(finish)


@app.command(epilog='Example: tidemill models rollback support --comment "refunds are wrong"')
def rollback(
    task: LastTask = "", comment: Comment = "", address: Address = "", as_json: AsJson = False
) -> None:
    """Replace the champion by the one before it; `promote` reverses this."""
    with connected(address) as client:
        named = the_task(client, task, address)
        request = pb.RollbackModelRequest(task=named, actor=current_user(), comment=comment)
        response = client.models.RollbackModel(request, timeout=CALL_SECONDS)
    _print_deployment(response.deployment, as_json)


@app.command(epilog="Example: tidemill models traffic support --canary 4=10 --shadow 5")
def traffic(
    task: LastTask = "",
    canary: Annotated[
        list[str] | None,
        typer.Option(metavar="VERSION=PERCENT", help="Answers this share of the callers."),
    ] = None,
    shadow: Annotated[
        list[int] | None,
        typer.Option(min=1, max=LARGEST, metavar="VERSION", help="Gets a copy of the traffic."),
    ] = None,
    champion_only: Annotated[
        bool, typer.Option("--champion-only", help="Remove canaries and shadows.")
    ] = False,
    comment: Comment = "",
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Show which versions answer; with options, replace the canaries and shadows."""
    canaries, shadows = [_share(text) for text in canary or []], shadow or []
    if champion_only and (canaries or shadows):
        raise WrongUsage("--champion-only cannot be used with --canary and --shadow")
    with connected(address) as client:
        named = the_task(client, task, address)
        if champion_only or canaries or shadows:
            request = pb.SetTrafficRequest(task=named, canaries=canaries, shadows=shadows)
            request.actor, request.comment = current_user(), comment
            deployment = client.models.SetTraffic(request, timeout=CALL_SECONDS).deployment
        else:
            latest = pb.ListDeploymentsRequest(task=named)
            found = collect(client.models.ListDeployments, latest, 1)
            if not found:
                raise CommandFailed(f"task {named!r} has no champion yet")
            deployment = found[0]
    _print_deployment(deployment, as_json)


@app.command(epilog="Example: tidemill models deployments support")
def deployments(
    task: Annotated[str, typer.Argument(help="Only this task.", show_default=False)] = "",
    limit: Limit = 20,
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """List the changes of traffic."""
    with connected(address) as client:
        request = pb.ListDeploymentsRequest(task=task)
        found = collect(client.models.ListDeployments, request, limit)
    columns: Columns = {
        "id": "deployment_id",
        "from (UTC)": "create_time",
        "task": "task",
        "champion": "champion",
        "canaries": _canaries,
        "shadows": _shadows,
        "by": "actor",
        "because": "comment",
    }
    print_list(found, columns, "no changes of traffic yet", as_json)


def _accuracy(version: pb.ModelVersion) -> str:
    accuracy = version.measures.get("accuracy")
    return "" if accuracy is None else percent(accuracy)


def _share(text: str) -> pb.TrafficShare:
    version, _, share = text.partition("=")
    if not (is_version(version) and is_version(share)):
        raise WrongUsage(f"--canary {text}: write VERSION=PERCENT, such as 4=10")
    return pb.TrafficShare(model_version=int(version), percent=int(share))


def _print_deployment(deployment: pb.Deployment, as_json: bool) -> None:
    before = deployment.previous_champion
    fields = {
        "task": deployment.task,
        "champion": f"version {deployment.champion}",
        "rollback goes to": f"version {before}" if before else "no version",
        "canaries": _canaries(deployment),
        "shadows": _shadows(deployment),
        "by": deployment.actor,
        "because": deployment.comment,
        "since": time_text(deployment.create_time) + " UTC",
    }
    print_one(deployment, fields, as_json)


def _canaries(deployment: pb.Deployment) -> str:
    return ", ".join(f"{share.model_version} ({share.percent} %)" for share in deployment.canaries)


def _shadows(deployment: pb.Deployment) -> str:
    return ", ".join(map(str, deployment.shadows))
