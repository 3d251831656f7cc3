"""`tidemill models`."""

from typing import Annotated, Any

import typer

from tidemill.v1.model_service_pb2 import (
    Deployment,
    GetModelVersionRequest,
    ListDeploymentsRequest,
    ListModelVersionsRequest,
    ModelVersion,
    PromoteModelVersionRequest,
    RollbackModelRequest,
    SetTrafficRequest,
    TrafficShare,
)
from tidemill_cli.connection import (
    CALL_SECONDS,
    Address,
    Limit,
    OnlyTask,
    collect,
    connected,
    current_user,
)
from tidemill_cli.failure import REQUEST_FAILED, CommandFailed
from tidemill_cli.messages import enum_name, time_text, to_json
from tidemill_cli.output import AsJson, percent, print_fields, print_json, print_table

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Show model versions and decide which of them answer.",
    epilog="Example: tidemill models list --task support",
)

Task = Annotated[str, typer.Argument(help="The task.")]
Comment = Annotated[str, typer.Option(help="Why, for the record.", show_default=False)]


@app.command("list", epilog="Example: tidemill models list --task support --json")
def list_versions(
    task: OnlyTask = "", limit: Limit = 20, address: Address = "", as_json: AsJson = False
) -> None:
    """List model versions."""
    with connected(address) as client:
        versions: list[ModelVersion] = collect(
            lambda size, token: client.models.ListModelVersions(
                ListModelVersionsRequest(task=task, page_size=size, page_token=token),
                timeout=CALL_SECONDS,
            ),
            lambda page: page.model_versions,
            limit,
        )
    if as_json:
        print_json([to_json(version) for version in versions])
        return
    columns = ("task", "version", "state", "accuracy", "trained on", "published (UTC)", "because")
    empty = "no model versions yet; `tidemill jobs list` shows what trains one"
    print_table(columns, map(_row, versions), empty)


@app.command(epilog="Example: tidemill models show support 3")
def show(
    task: Task,
    model_version: Annotated[int, typer.Argument(help="The version; 0 is the champion.")] = 0,
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Show one model version; without a number, the champion."""
    request = GetModelVersionRequest(task=task, model_version=model_version)
    with connected(address) as client:
        version = client.models.GetModelVersion(request, timeout=CALL_SECONDS).model_version
    if as_json:
        print_json(to_json(version))
        return
    print_fields(
        {
            "task": version.task,
            "version": version.model_version,
            "state": enum_name(version, "state"),
            "because": version.reason,
            "format": version.format,
            "trained on": version.dataset_version,
            **{name.replace("_", " "): f"{x:.4g}" for name, x in sorted(version.measures.items())},
            "published": time_text(version.create_time) + " UTC",
            "state since": time_text(version.update_time) + " UTC",
        }
    )


@app.command(epilog='Example: tidemill models promote support 3 --comment "better on refunds"')
def promote(
    task: Task,
    model_version: Annotated[int, typer.Argument(min=1, help="A VALIDATED or CANARY version.")],
    comment: Comment = "",
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Make a version the champion."""
    request = PromoteModelVersionRequest(
        task=task, model_version=model_version, actor=current_user(), comment=comment
    )
    with connected(address) as client:
        response = client.models.PromoteModelVersion(request, timeout=CALL_SECONDS)
    _print_deployment(response.deployment, as_json)


@app.command(epilog='Example: tidemill models rollback support --comment "refunds are wrong"')
def rollback(
    task: Task, comment: Comment = "", address: Address = "", as_json: AsJson = False
) -> None:
    """Take the champion out and let the one before it answer again."""
    request = RollbackModelRequest(task=task, actor=current_user(), comment=comment)
    with connected(address) as client:
        response = client.models.RollbackModel(request, timeout=CALL_SECONDS)
    _print_deployment(response.deployment, as_json)


@app.command(epilog="Example: tidemill models traffic support --canary 4=10 --shadow 5")
def traffic(
    task: Task,
    canary: Annotated[
        list[str] | None,
        typer.Option(metavar="VERSION=PERCENT", help="Answers this share of the callers."),
    ] = None,
    shadow: Annotated[
        list[int] | None, typer.Option(metavar="VERSION", help="Sees a copy of the traffic.")
    ] = None,
    champion_only: Annotated[
        bool, typer.Option("--champion-only", help="Take canaries and shadows out.")
    ] = False,
    comment: Comment = "",
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Show who answers; with options, replace the canaries and shadows by those named."""
    canaries, shadows = [_share(text) for text in canary or []], shadow or []
    if champion_only and (canaries or shadows):
        raise typer.BadParameter("--champion-only excludes --canary and --shadow")
    with connected(address) as client:
        if champion_only or canaries or shadows:
            request = SetTrafficRequest(
                task=task, canaries=canaries, shadows=shadows, actor=current_user(), comment=comment
            )
            deployment = client.models.SetTraffic(request, timeout=CALL_SECONDS).deployment
        else:
            latest = ListDeploymentsRequest(task=task, page_size=1)
            found = client.models.ListDeployments(latest, timeout=CALL_SECONDS).deployments
            if not found:
                raise CommandFailed(f"task {task!r} has no champion yet", REQUEST_FAILED)
            deployment = found[0]
    _print_deployment(deployment, as_json)


@app.command(epilog="Example: tidemill models deployments --task support")
def deployments(
    task: OnlyTask = "", limit: Limit = 20, address: Address = "", as_json: AsJson = False
) -> None:
    """List every change of traffic."""
    with connected(address) as client:
        found: list[Deployment] = collect(
            lambda size, token: client.models.ListDeployments(
                ListDeploymentsRequest(task=task, page_size=size, page_token=token),
                timeout=CALL_SECONDS,
            ),
            lambda page: page.deployments,
            limit,
        )
    if as_json:
        print_json([to_json(deployment) for deployment in found])
        return
    columns = ("id", "from (UTC)", "task", "champion", "canaries", "shadows", "by", "because")
    rows = (
        (
            deployment.deployment_id,
            time_text(deployment.create_time),
            deployment.task,
            deployment.champion,
            _canaries(deployment),
            _shadows(deployment),
            deployment.actor,
            deployment.comment,
        )
        for deployment in found
    )
    print_table(columns, rows, empty="nothing was deployed yet")


def _row(version: ModelVersion) -> tuple[Any, ...]:
    accuracy = version.measures.get("accuracy")
    return (
        version.task,
        version.model_version,
        enum_name(version, "state"),
        "" if accuracy is None else percent(accuracy),
        version.dataset_version[:12],
        time_text(version.create_time),
        version.reason,
    )


def _share(text: str) -> TrafficShare:
    version, _, share = text.partition("=")
    if not (version.isdecimal() and share.isdecimal()):
        raise typer.BadParameter(f"--canary {text}: write VERSION=PERCENT, such as 4=10")
    return TrafficShare(model_version=int(version), percent=int(share))


def _print_deployment(deployment: Deployment, as_json: bool) -> None:
    if as_json:
        print_json(to_json(deployment))
        return
    print_fields(
        {
            "task": deployment.task,
            "champion": f"version {deployment.champion}",
            "rollback goes to": f"version {deployment.previous_champion}"
            if deployment.previous_champion
            else "no version yet",
            "canaries": _canaries(deployment),
            "shadows": _shadows(deployment),
            "by": deployment.actor,
            "because": deployment.comment,
            "since": time_text(deployment.create_time) + " UTC",
        }
    )


def _canaries(deployment: Deployment) -> str:
    return ", ".join(f"{share.model_version} ({share.percent} %)" for share in deployment.canaries)


def _shadows(deployment: Deployment) -> str:
    return ", ".join(map(str, deployment.shadows))
