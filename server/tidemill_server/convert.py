"""All conversion between the contract's messages and the domain's values."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

from google.protobuf.message import Message

from tidemill.v1 import (
    dataset_service_pb2,
    feedback_service_pb2,
    labeling_service_pb2,
    model_service_pb2,
    monitoring_service_pb2,
    prediction_service_pb2,
)
from tidemill_core.domain.alert import Alert
from tidemill_core.domain.dataset import DatasetVersion
from tidemill_core.domain.gate import GateResult
from tidemill_core.domain.labeling import LabelItem, LabelItemState, LabelReason
from tidemill_core.domain.model import ModelVersion
from tidemill_core.domain.prediction import Prediction
from tidemill_core.domain.report import Report
from tidemill_core.errors import InvalidArgument
from tidemill_core.rewards import prompt_and_response
from tidemill_core.storage.database import Page
from tidemill_server.handlers.feedback import FeedbackOutcome, NewFeedback
from tidemill_server.inference.query import BATCH_METHOD, Query
from tidemill_server.rpc.status import to_status

M = TypeVar("M", bound=Message)
Value = TypeVar("Value")

_STATES: Mapping[int, LabelItemState] = {
    labeling_service_pb2.LabelItemState.Value(f"LABEL_ITEM_STATE_{state}"): state
    for state in LabelItemState
}
_REASONS: Mapping[int, LabelReason] = {
    labeling_service_pb2.LabelReason.Value(f"LABEL_REASON_{reason}"): reason
    for reason in LabelReason
}


def message(kind: type[M], value: object, **other: Any) -> M:
    """Make a message from a value's attributes of the fields' names, and from other fields.

    protobuf accepts a datetime for a Timestamp, a dict for a Struct and a name for an enum value.
    """
    same = kind.DESCRIPTOR.fields_by_name.keys() - other.keys()
    return kind(**{name: getattr(value, name) for name in same}, **other)


def value_of(kind: type[Value], request: Message) -> Value:
    """Make a dataclass from a request's fields of the same names."""
    return kind(**{each.name: getattr(request, each.name) for each in fields(kind)})  # type: ignore[arg-type]  # a dataclass


def page(request: Any) -> Page:
    """Return the page that a list request asks for.

    Raises:
        InvalidArgument: page_size is negative, or the server did not issue page_token.
    """
    return Page.parse(request.page_size, request.page_token)


def time(request: Message, field: str) -> datetime | None:
    """Return a Timestamp of a request; None if it is not set.

    Raises:
        InvalidArgument: it is out of range.
    """
    if not request.HasField(field):
        return None
    try:
        return cast("datetime", getattr(request, field).ToDatetime(tzinfo=UTC))
    except (ValueError, OverflowError) as error:
        raise InvalidArgument("INVALID_TIME", field, "is not a time that exists") from error


def query(
    request: prediction_service_pb2.PredictRequest | prediction_service_pb2.StreamPredictRequest,
    method: str,
    request_id: str,
    deadline: float,
    arrival: float,
) -> Query:
    """Convert a request; the times are the event loop's."""
    return Query(
        request.task,
        method,
        deadline,
        arrival,
        request.top_k,
        request.model_version,
        request_id,
        request.routing_key,
        dict(request.attributes),
    )


def batch_query(
    request: prediction_service_pb2.BatchPredictRequest, deadline: float, arrival: float
) -> Query:
    """Convert a request; the times are the event loop's."""
    numbers = (request.top_k, request.model_version)
    return Query(request.task, BATCH_METHOD, deadline, arrival, *numbers, request.request_id)


def prediction(value: Prediction) -> prediction_service_pb2.Prediction:
    """Convert a prediction."""
    if not value.label:
        return prediction_service_pb2.Prediction(
            prediction_id=value.prediction_id,
            model_version=value.model_version,
            score=value.scores[0].score,
        )
    scores = [message(prediction_service_pb2.Score, each) for each in value.scores]
    return message(prediction_service_pb2.Prediction, value, scores=scores, score=None)


def stored_prediction(value: Prediction) -> prediction_service_pb2.GetPredictionResponse:
    """Convert a stored prediction, with its request."""
    kind = prediction_service_pb2.GetPredictionResponse
    text, response = (value.text, "") if value.label else prompt_and_response(value.text)
    return message(kind, value, prediction=prediction(value), text=text, response=response)


def new_feedback(
    request: feedback_service_pb2.SubmitFeedbackRequest
    | feedback_service_pb2.StreamFeedbackRequest,
) -> NewFeedback:
    """Convert a request; `correct` and `label` are None unless set."""
    kind = request.WhichOneof("verdict")
    return NewFeedback(
        prediction_id=request.prediction_id,
        correct=request.correct if kind == "correct" else None,
        label=request.label if kind == "label" else None,
        source=request.source,
        comment=request.comment,
        request_id=request.request_id,
        text=request.text,
    )


def feedback_outcome(value: FeedbackOutcome) -> feedback_service_pb2.StreamFeedbackResponse:
    """Convert the outcome of a stream."""
    rejections = [
        feedback_service_pb2.FeedbackRejection(index=each.index, error=to_status(each.error))
        for each in value.rejections
    ]
    return message(feedback_service_pb2.StreamFeedbackResponse, value, rejections=rejections)


def label_item_states(numbers: Iterable[int]) -> list[LabelItemState]:
    """Convert states.

    Raises:
        InvalidArgument: one is unknown or UNSPECIFIED.
    """
    return [known_value("states", _STATES, number) for number in numbers]


def label_reason(number: int) -> LabelReason | None:
    """Convert a reason; UNSPECIFIED becomes None.

    Raises:
        InvalidArgument: it is unknown.
    """
    return known_value("reason", _REASONS, number) if number else None


def known_value(field: str, known: Mapping[int, Value], number: int) -> Value:
    """Convert a value of an enum.

    Raises:
        InvalidArgument: it is unknown or UNSPECIFIED.
    """
    if number not in known:
        raise InvalidArgument("UNKNOWN_VALUE", field, f"{number} is not a value of its enum")
    return known[number]


def label_item(value: LabelItem, *, with_judgements: bool) -> labeling_service_pb2.LabelItem:
    """Convert a label item."""
    return message(
        labeling_service_pb2.LabelItem,
        value,
        reason=f"LABEL_REASON_{value.reason}",
        state=f"LABEL_ITEM_STATE_{value.state}",
        judgements_given=len(value.judgements),
        judgements=[message(labeling_service_pb2.LabelJudgement, each) for each in value.judgements]
        if with_judgements
        else [],
    )


def dataset_version(value: DatasetVersion) -> dataset_service_pb2.DatasetVersion:
    """Convert a dataset version."""
    source_counts = [
        dataset_service_pb2.SourceCounts(source=source, outcomes=outcomes)
        for source, outcomes in sorted(value.source_counts.items())
    ]
    return message(dataset_service_pb2.DatasetVersion, value, source_counts=source_counts)


def canaries(request: model_service_pb2.SetTrafficRequest) -> list[tuple[int, int]]:
    """Return versions, each with its percentage."""
    return [(share.model_version, share.percent) for share in request.canaries]


def model_version(value: ModelVersion) -> model_service_pb2.ModelVersion:
    """Convert a model version."""
    return message(
        model_service_pb2.ModelVersion,
        value,
        model_version=value.version,
        format=value.model_format,
        state=f"MODEL_STATE_{value.state}",
    )


def gate_result(value: GateResult) -> model_service_pb2.GateResult:
    """Convert a gate's verdict."""
    verdict = f"GATE_VERDICT_{value.verdict}"
    return message(model_service_pb2.GateResult, value, verdict=verdict)


def report(value: Report) -> monitoring_service_pb2.Report:
    """Convert a report."""
    verdict = f"REPORT_VERDICT_{value.verdict}"
    return message(monitoring_service_pb2.Report, value, verdict=verdict)


def alert(value: Alert) -> monitoring_service_pb2.Alert:
    """Convert an alert."""
    severity = f"SEVERITY_{value.severity}"
    return message(monitoring_service_pb2.Alert, value, severity=severity)
