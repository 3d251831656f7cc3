"""Data: dataset versions, what differs between two, and where a prediction comes from."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.responses import Response

from tidemill.v1 import dataset_service_pb2 as pb
from tidemill.v1 import feedback_service_pb2 as feedback_pb
from tidemill.v1 import model_service_pb2 as model_pb
from tidemill.v1 import prediction_service_pb2 as prediction_pb
from tidemill_core.dataset_folder import read_manifest
from tidemill_core.errors import DataError
from tidemill_server.console.routes import get
from tidemill_server.console.visit import Visit

_PAGE = 30
_LABELS = 100
"""Most labels of a page, the commonest ones or those that changed most."""


async def show(visit: Visit) -> Response:
    """Show all versions."""
    request = pb.ListDatasetVersionsRequest(
        task=visit.task, page_size=_PAGE, page_token=visit.request.query_params.get("after", "")
    )
    kind = pb.ListDatasetVersionsResponse
    found = await visit.ask("DatasetService/ListDatasetVersions", request, kind)
    return visit.show("data.html", versions=found.dataset_versions, after=found.next_page_token)


async def one(visit: Visit) -> Response:
    """Show one version, with the profile that its build wrote."""
    wanted = visit.request.path_params["dataset_version"]
    request = pb.GetDatasetVersionRequest(dataset_version=wanted)
    kind = pb.GetDatasetVersionResponse
    found = (await visit.ask("DatasetService/GetDatasetVersion", request, kind)).dataset_version
    labels = sorted(found.label_counts.items(), key=lambda item: (-item[1], item[0]))
    return visit.show(
        "dataset.html",
        version=found,
        rows=sum(found.row_counts.values()),
        labels=labels[:_LABELS],
        more_labels=len(labels) - _LABELS,
        profile=await asyncio.to_thread(_profile, found.uri),
    )


def _profile(uri: str) -> Mapping[str, Any]:
    """Return the profile of a version on this machine; empty if it has none."""
    try:
        profile: Mapping[str, Any] = read_manifest(Path(uri)).get("profile", {})
    except DataError:
        return {}
    return profile


async def diff(visit: Visit) -> Response:
    """Show how one version differs from another."""
    asked = visit.request.query_params
    base, other = asked.get("a", ""), asked.get("b", "")
    request = pb.DiffDatasetVersionsRequest(base_dataset_version=base, dataset_version=other)
    kind = pb.DiffDatasetVersionsResponse
    found = await visit.ask("DatasetService/DiffDatasetVersions", request, kind)
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
        return visit.show("prediction.html", found=None, version=None, gates=(), feedback=())
    request = prediction_pb.GetPredictionRequest(prediction_id=prediction_id)
    answer = prediction_pb.GetPredictionResponse
    found = await visit.ask("PredictionService/GetPrediction", request, answer)
    made_by = await visit.ask(
        "ModelService/GetModelVersion",
        model_pb.GetModelVersionRequest(
            task=visit.task, model_version=found.prediction.model_version
        ),
        model_pb.GetModelVersionResponse,
    )
    verdicts = await visit.ask(
        "FeedbackService/ListFeedback",
        feedback_pb.ListFeedbackRequest(task=visit.task, prediction_id=prediction_id),
        feedback_pb.ListFeedbackResponse,
    )
    return visit.show(
        "prediction.html",
        found=found,
        version=made_by.model_version,
        gates=made_by.gate_results,
        feedback=verdicts.feedback,
    )


ROUTES = (
    get("/t/{task}/data", show),
    get("/t/{task}/data/diff", diff),
    get("/t/{task}/data/prediction", prediction),
    get("/t/{task}/data/{dataset_version}", one),
)
