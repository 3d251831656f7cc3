"""The requests of both clients, and the errors of values that cannot be sent."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from tidemill.v1.feedback_service_pb2 import SubmitFeedbackRequest
from tidemill.v1.prediction_service_pb2 import (
    BatchPredictRequest,
    PredictRequest,
)
from tidemill_client.connection import MAX_MESSAGE_BYTES
from tidemill_client.errors import (
    FieldViolation,
    InvalidRequest,
    message_too_large,
)

MAX_TEXT_CHARACTERS = 100_000
"""The highest limit that a task can set (`max_text_length`)."""
_Request = TypeVar("_Request", bound=Message)


def text_error(text: object, field: str, request_id: str = "") -> InvalidRequest | None:
    """Return why a text cannot be sent; None if it can."""
    if not isinstance(text, str):
        rule = f"is {text!r:.40} ({type(text).__name__}); it must be a str"
        return _refusal("NOT_A_STRING", field, rule, request_id)
    if len(text) > MAX_TEXT_CHARACTERS:
        rule = f"has {len(text)} characters; no task accepts more than {MAX_TEXT_CHARACTERS}"
        return _refusal("TEXT_TOO_LONG", field, rule, request_id)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        character = f"U+{ord(text[error.start]):04X}"
        rule = f"has the lone surrogate {character} at character {error.start}: it is not Unicode"
        return _refusal("NOT_UNICODE", field, rule, request_id)
    return None


def built(kind: type[_Request], error_id: str, /, **fields: Any) -> _Request:
    """Return a request that can be sent.

    Args:
        kind: the class of the request.
        error_id: the `request_id` of the error.
        fields: the fields of the request.

    Raises:
        InvalidRequest: a value has the wrong type or is not Unicode, or the request is over the
            limit on messages.
    """
    try:
        request = kind(**fields)
    except (TypeError, ValueError):
        raise _unusable_field(kind, fields, error_id) from None
    return checked_size(request, error_id)


def checked_size(request: _Request, request_id: str) -> _Request:
    """Return the request if it is not too large.

    Raises:
        MessageTooLarge: it is over the limit on messages.
    """
    if (size := request.ByteSize()) > MAX_MESSAGE_BYTES:
        message = f"the request is a message larger than max ({size} vs. {MAX_MESSAGE_BYTES})"
        raise message_too_large(f"{message}: send less at a time", request_id)
    return request


def predict_request(
    task: str,
    text: str,
    top_k: int,
    model_version: int,
    request_id: str,
    routing_key: str,
    attributes: Mapping[str, str] | None,
    response: str = "",
) -> PredictRequest:
    """Return the request for one text.

    Raises:
        InvalidRequest: see `built`.
    """
    for field, value in (("text", text), ("response", response)):
        if (error := text_error(value, field, request_id)) is not None:
            raise error
    return built(
        PredictRequest,
        request_id,
        task=task,
        text=text,
        top_k=top_k,
        model_version=model_version,
        request_id=request_id,
        routing_key=routing_key,
        attributes=attributes,
        response=response,
    )


def batch_request(
    task: str, texts: Iterable[str], top_k: int, model_version: int, request_id: str
) -> tuple[BatchPredictRequest, dict[int, InvalidRequest]]:
    """Return the request for several texts, and the errors of those that cannot be sent.

    An empty text is sent in place of each of these, so that the others keep their numbers.

    Raises:
        InvalidRequest: see `built`.
    """
    found = list(texts)
    errors = {}
    for number, text in enumerate(found):
        if (error := text_error(text, f"texts[{number}]", request_id)) is not None:
            errors[number] = error
            found[number] = ""
    request = built(
        BatchPredictRequest,
        request_id,
        task=task,
        texts=found,
        top_k=top_k,
        model_version=model_version,
        request_id=request_id,
    )
    return request, errors


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
    """Return a verdict. It may be repeated even without a request id: the server recognizes it.

    Raises:
        InvalidRequest: see `built`.
        ValueError: neither or both of `correct` and `label` are given.
    """
    if (correct is None) == (label is None):
        raise ValueError("give either correct or label")
    verdict = {"correct": correct} if label is None else {"label": label}
    return built(
        SubmitFeedbackRequest,
        request_id,
        prediction_id=prediction_id,
        source=source,
        comment=comment,
        text=text,
        request_id=request_id,
        **verdict,
    )


def _unusable_field(
    kind: type[Message], fields: Mapping[str, Any], request_id: str
) -> InvalidRequest:
    for field, value in fields.items():
        try:
            kind(**{field: value})
        except (TypeError, ValueError) as error:
            if field == "attributes" and not isinstance(error, UnicodeError):
                rule = f"is {value!r:.60}; it must map strings to strings"
            elif isinstance(error, ValueError):
                rule = str(error)
            else:
                rule = f"{type(value).__name__} is the wrong type"
            return _refusal("UNUSABLE_VALUE", field, rule, request_id)
    raise AssertionError(kind)


def _refusal(reason: str, field: str, rule: str, request_id: str) -> InvalidRequest:
    return InvalidRequest(
        grpc.StatusCode.INVALID_ARGUMENT,
        reason,
        f"{field}: {rule}",
        (FieldViolation(field, rule),),
        request_id=request_id,
    )
