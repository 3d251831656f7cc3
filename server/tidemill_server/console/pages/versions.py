"""Versions: how good each is, which answer, and changing that."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from tidemill.v1 import model_service_pb2 as pb
from tidemill_server.console.formats import plain
from tidemill_server.console.routes import get, post
from tidemill_server.console.visit import Visit

_PAGE = 50
_CHANGES = 10
_MATRIX = 16
"""Most labels of a confusion matrix; with more, only the confusions are listed."""
_CONFUSIONS = 20
PROMOTABLE = ("validated", "shadow", "canary", "rolled back")


@dataclass(frozen=True)
class Judged:
    """A version and what the gates found.

    Attributes:
        version: the version.
        gates: the gates' results.
        tracked: where its training can be seen, by tracker.
        labels: the labels of its confusion matrix, sorted.
        matrix: rows by label and answer.
        confusions: the commonest wrong answers: label, answer, rows.
        classes: the accuracy on each class: name, rows, accuracy, champion_accuracy; worst first.
    """

    version: pb.ModelVersion
    gates: list[pb.GateResult]
    tracked: Mapping[str, str]
    labels: list[str]
    matrix: dict[tuple[str, str], int]
    confusions: list[tuple[str, str, int]]
    classes: list[dict[str, Any]]


async def show(visit: Visit) -> Response:
    """Show all versions, and who answers now."""
    request = pb.ListModelVersionsRequest(
        task=visit.task, page_size=_PAGE, page_token=visit.request.query_params.get("after", "")
    )
    found = await visit.ask(request, pb.ListModelVersionsResponse)
    changes = await visit.ask(
        pb.ListDeploymentsRequest(task=visit.task, page_size=_CHANGES),
        pb.ListDeploymentsResponse,
    )
    return visit.show(
        "versions.html",
        versions=found.model_versions,
        after=found.next_page_token,
        changes=changes.deployments,
    )


async def one(visit: Visit) -> Response:
    """Show one version."""
    judged = await _judged(visit, visit.number("number"))
    return visit.show("version.html", judged=judged, promotable=PROMOTABLE, matrix_labels=_MATRIX)


async def compare(visit: Visit) -> Response:
    """Show two versions side by side."""
    one, other = await _judged(visit, visit.number("a")), await _judged(visit, visit.number("b"))
    theirs = {each["name"]: each for each in other.classes}
    classes = sorted(
        (
            (each["name"], each["accuracy"], theirs[each["name"]]["accuracy"])
            for each in one.classes
            if each["name"] in theirs
        ),
        key=lambda row: row[2] - row[1],
    )
    names = dict.fromkeys(each.gate for each in (*one.gates, *other.gates))
    gates = {name: [_of_name(each.gates, name) for each in (one, other)] for name in names}
    return visit.show("compare.html", one=one, other=other, classes=classes, gates=gates)


def _of_name(gates: list[pb.GateResult], name: str) -> pb.GateResult | None:
    return next((each for each in gates if each.gate == name), None)


async def _judged(visit: Visit, number: int) -> Judged:
    request = pb.GetModelVersionRequest(task=visit.task, model_version=number)
    answer = await visit.ask(request, pb.GetModelVersionResponse)
    details = {each.gate: plain(each.details) for each in answer.gate_results}
    confusion = [
        (str(each["label"]), str(each["answer"]), int(each["rows"]))
        for found in details.values()
        for each in found.get("confusion", ())
    ]
    parts = details.get("classes", {}).get("parts", [])
    return Judged(
        version=answer.model_version,
        gates=list(answer.gate_results),
        tracked=answer.tracked_runs,
        labels=sorted({name for label, given, _ in confusion for name in (label, given)}),
        matrix={(label, given): rows for label, given, rows in confusion},
        confusions=sorted(
            (each for each in confusion if each[0] != each[1]), key=lambda each: -each[2]
        )[:_CONFUSIONS],
        classes=sorted(parts, key=lambda each: each["accuracy"]),
    )


async def promote(visit: Visit) -> Response:
    """Make a version the champion."""
    request = pb.PromoteModelVersionRequest(model_version=visit.number("number"), **_asked(visit))
    await visit.ask(request, pb.PromoteModelVersionResponse)
    return visit.go(visit.here, "promoted")


async def approve(visit: Visit) -> Response:
    """Approve a version."""
    request = pb.ApproveModelVersionRequest(model_version=visit.number("number"), **_asked(visit))
    await visit.ask(request, pb.ApproveModelVersionResponse)
    return visit.go(visit.here, "approved")


async def reject(visit: Visit) -> Response:
    """Reject a version."""
    request = pb.RejectModelVersionRequest(model_version=visit.number("number"), **_asked(visit))
    await visit.ask(request, pb.RejectModelVersionResponse)
    return visit.go(visit.here, "rejected")


async def roll_back(visit: Visit) -> Response:
    """Make the previous champion answer again."""
    request = pb.RollbackModelRequest(**_asked(visit))
    await visit.ask(request, pb.RollbackModelResponse)
    return visit.go(visit.here, "rolled_back")


async def set_traffic(visit: Visit) -> Response:
    """Set the canaries and shadows: each version has the field `use_N`, a percentage or a word."""
    wanted = {
        int(name.removeprefix("use_")): value
        for name, value in visit.form.items()
        if name.removeprefix("use_").isdigit() and value
    }
    canaries = [
        pb.TrafficShare(model_version=number, percent=int(value))
        for number, value in wanted.items()
        if value.isdigit() and len(value) < 4
    ]
    shadows = [number for number, value in wanted.items() if value == "shadow"]
    request = pb.SetTrafficRequest(canaries=canaries, shadows=shadows, **_asked(visit))
    await visit.ask(request, pb.SetTrafficResponse)
    return visit.go(visit.here, "traffic_set")


async def pause(visit: Visit) -> Response:
    """Pause the task's releases."""
    request = pb.PauseReleasesRequest(**_asked(visit))
    await visit.ask(request, pb.PauseReleasesResponse)
    return visit.go(visit.here, "paused")


async def resume(visit: Visit) -> Response:
    """Resume the task's releases."""
    request = pb.ResumeReleasesRequest(**_asked(visit))
    found = await visit.ask(request, pb.ResumeReleasesResponse)
    return visit.go(visit.here, "resumed" if found.was_paused else "not_paused")


def _asked(visit: Visit) -> dict[str, Any]:
    """Return the fields of a request that changes something."""
    comment = visit.form.get("comment", "")
    return {"task": visit.task, "actor": visit.annotator, "comment": comment}


ROUTES = (
    get("/t/{task}/versions", show),
    get("/t/{task}/versions/compare", compare),
    get("/t/{task}/versions/{number}", one),
    post("/t/{task}/versions/roll-back", roll_back),
    post("/t/{task}/versions/traffic", set_traffic),
    post("/t/{task}/versions/pause", pause),
    post("/t/{task}/versions/resume", resume),
    post("/t/{task}/versions/{number}/promote", promote),
    post("/t/{task}/versions/{number}/approve", approve),
    post("/t/{task}/versions/{number}/reject", reject),
)
