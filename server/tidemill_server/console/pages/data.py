"""Data: dataset versions, what differs between two, and where a prediction comes from."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from tidemill.v1 import dataset_service_pb2 as pb
from tidemill.v1 import feedback_service_pb2 as feedback_pb
from tidemill.v1 import model_service_pb2 as model_pb
from tidemill.v1 import prediction_service_pb2 as prediction_pb
from tidemill_core.dataset_folder import MANIFEST_FILE, DatasetMissing, read_manifest
from tidemill_core.errors import DataError, Unavailable
from tidemill_server.console.navigation import task_path
from tidemill_server.console.routes import get, problem
from tidemill_server.console.visit import Visit
from tidemill_server.gateway.problem import Failed

_PAGE = 30
_NOT_FOUND = 404
_LABELS = 100
"""Most labels of a page, the commonest ones or those that changed most."""


async def show(visit: Visit) -> Response:
    """Show all versions."""
    request = pb.ListDatasetVersionsRequest(
        task=visit.task, page_size=_PAGE, page_token=visit.request.query_params.get("after", "")
    )
    found = await visit.ask(request, pb.ListDatasetVersionsResponse)
    return visit.show("data.html", versions=found.dataset_versions, after=found.next_page_token)


async def one(visit: Visit) -> Response:
    """Show one version, with the profile that its build wrote."""
    found = await _version(visit, visit.request.path_params["dataset_version"])
    labels = sorted(found.label_counts.items(), key=lambda item: (-item[1], item[0]))
    profile, missing = await _profile(visit, found)
    return visit.show(
        "dataset.html",
        version=found,
        rows=sum(found.row_counts.values()),
        labels=labels[:_LABELS],
        more_labels=len(labels) - _LABELS,
        profile=profile,
        without_profile=missing,
    )


async def _profile(visit: Visit, version: pb.DatasetVersion) -> tuple[Mapping[str, Any], str]:
    """Return a version's profile, empty if it has none, and why it cannot be read."""
    datasets = visit.console.datasets
    try:
        folder = await datasets.folder(version.task, version.dataset_version, MANIFEST_FILE)
        manifest = await asyncio.to_thread(read_manifest, folder)
    except DatasetMissing:
        return {}, ""
    except (DataError, Unavailable) as error:
        return {}, str(error)
    return manifest.get("profile", {}), ""


async def excluded(visit: Visit) -> Response:
    """Show the ingested rows that are not in a version, and why."""
    asked = visit.request.query_params
    version = await _version(visit, visit.request.path_params["dataset_version"])
    request = pb.ListExcludedRowsRequest(
        dataset_version=version.dataset_version,
        rule=asked.get("rule", ""),
        page_size=_PAGE,
        page_token=asked.get("after", ""),
    )
    found = await visit.ask(request, pb.ListExcludedRowsResponse)
    return visit.show(
        "excluded.html",
        version=version,
        rule=request.rule,
        rows=found.excluded_rows,
        after=found.next_page_token,
    )


async def _version(visit: Visit, dataset_version: str) -> pb.DatasetVersion:
    request = pb.GetDatasetVersionRequest(dataset_version=dataset_version)
    return (await visit.ask(request, pb.GetDatasetVersionResponse)).dataset_version


async def _known_version(visit: Visit, dataset_version: str) -> pb.DatasetVersion | None:
    """Return a version; None if the catalog does not have it, as that of another installation."""
    try:
        return await _version(visit, dataset_version)
    except Failed as failed:
        if problem(failed).status == _NOT_FOUND:
            return None
        raise


async def diff(visit: Visit) -> Response:
    """Show how one version differs from another."""
    asked = visit.request.query_params
    base, other = asked.get("a", ""), asked.get("b", "")
    request = pb.DiffDatasetVersionsRequest(base_dataset_version=base, dataset_version=other)
    found = await visit.ask(request, pb.DiffDatasetVersionsResponse)
    changes = sorted(found.label_changes, key=lambda each: -abs(each.count - each.base_count))
    return visit.show(
        "dataset_diff.html",
        base=base,
        other=other,
        diff=found,
        changes=changes[:_LABELS],
        more=len(changes) - _LABELS,
    )


async def prediction(visit: Visit) -> Response:
    """Show a prediction, and the version, the dataset and the verdicts behind it."""
    prediction_id = visit.request.query_params.get("id", "").strip()
    if not prediction_id:
        return visit.show("prediction.html", found=None)
    request = prediction_pb.GetPredictionRequest(prediction_id=prediction_id)
    found = await visit.ask(request, prediction_pb.GetPredictionResponse)
    if found.task != visit.task:
        return visit.go(f"{task_path(found.task, 'data')}/prediction?id={prediction_id}")
    made_by = await visit.ask(
        model_pb.GetModelVersionRequest(
            task=visit.task, model_version=found.prediction.model_version
        ),
        model_pb.GetModelVersionResponse,
    )
    verdicts = await visit.ask(
        feedback_pb.ListFeedbackRequest(task=visit.task, prediction_id=prediction_id),
        feedback_pb.ListFeedbackResponse,
    )
    dataset_version = made_by.model_version.dataset_version
    return visit.show(
        "prediction.html",
        found=found,
        dataset=await _known_version(visit, dataset_version),
        rows=await _rows_with(visit, dataset_version, found.text),
        version=made_by.model_version,
        gates=made_by.gate_results,
        feedback=verdicts.feedback,
    )


@dataclass(frozen=True)
class _Rows:
    """The rows of a dataset version with a text, or why they cannot be found."""

    examples: Sequence[pb.Example] = ()
    problem: str = ""


async def _rows_with(visit: Visit, dataset_version: str, text: str) -> _Rows:
    if visit.tasks[visit.task].kind == "preference":
        return _Rows(problem="Rows with pairs of answers are not searched.")
    if not text:
        return _Rows(problem="Without the text, its rows cannot be found.")
    request = pb.FindExamplesRequest(dataset_version=dataset_version, text=text)
    try:
        answer = await visit.ask(request, pb.FindExamplesResponse)
    except Failed as failed:
        return _Rows(problem=problem(failed).detail)
    return _Rows(answer.examples)


ROUTES = (
    get("/t/{task}/data", show),
    get("/t/{task}/data/diff", diff),
    get("/t/{task}/data/prediction", prediction),
    get("/t/{task}/data/{dataset_version}", one),
    get("/t/{task}/data/{dataset_version}/excluded", excluded),
)
