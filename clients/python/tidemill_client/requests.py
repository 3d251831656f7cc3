"""Requests, as both clients send them."""

from collections.abc import Iterable

from tidemill.v1.feedback_service_pb2 import SubmitFeedbackRequest
from tidemill.v1.prediction_service_pb2 import BatchPredictRequest


def batch_request(
    task: str, texts: Iterable[str], top_k: int, model_version: int, request_id: str
) -> BatchPredictRequest:
    """Several texts."""
    return BatchPredictRequest(
        task=task, texts=texts, top_k=top_k, model_version=model_version, request_id=request_id
    )


def feedback_request(
    prediction_id: str,
    *,
    correct: bool | None,
    label: str | None,
    source: str,
    comment: str,
    text: str,
    request_id: str,
) -> SubmitFeedbackRequest:
    """A verdict. Without a request id it can be repeated as well: the server knows it again.

    Raises:
        ValueError: neither or both of `correct` and `label` are given.
    """
    if (correct is None) == (label is None):
        raise ValueError("give either correct or label")
    request = SubmitFeedbackRequest(
        prediction_id=prediction_id,
        source=source,
        comment=comment,
        text=text,
        request_id=request_id,
    )
    if label is not None:
        request.label = label
    elif correct is not None:
        request.correct = correct
    return request
