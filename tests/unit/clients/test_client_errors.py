"""The translation of google.rpc.Status into errors of the client."""

import grpc
import pytest
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from tidemill.v1.feedback_service_pb2 import ListFeedbackRequest
from tidemill_client import FieldViolation, TidemillClient, TidemillError, translated_errors


def status(code: int, message: str, *details: Message) -> status_pb2.Status:
    """Return a status with packed details."""
    packed = []
    for detail in details:
        box = any_pb2.Any()
        box.Pack(detail)
        packed.append(box)
    return status_pb2.Status(code=code, message=message, details=packed)


def test_reason_and_field_violations_are_read_from_the_details() -> None:
    """The error has the server's reason and the field that breaks a rule."""
    violation = error_details_pb2.BadRequest.FieldViolation(field="text", description="is blank")
    error = TidemillError.from_status(
        status(
            code_pb2.INVALID_ARGUMENT,
            "text: is blank",
            error_details_pb2.ErrorInfo(reason="BLANK_TEXT", domain="tidemill"),
            error_details_pb2.BadRequest(field_violations=[violation]),
        )
    )
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "BLANK_TEXT")
    assert str(error) == error.message == "text: is blank"
    assert error.field_violations == (FieldViolation("text", "is blank"),)
    assert error.retry_after_seconds is None


def test_the_time_to_retry_is_in_seconds() -> None:
    """RetryInfo becomes a number of seconds."""
    delay = duration_pb2.Duration(seconds=1, nanos=500_000_000)
    retry = error_details_pb2.RetryInfo(retry_delay=delay)
    error = TidemillError.from_status(status(code_pb2.RESOURCE_EXHAUSTED, "too much", retry))
    assert error.retry_after_seconds == 1.5


def test_without_details_the_code_is_the_reason() -> None:
    """An error that does not come from Tidemill still has a reason."""
    error = TidemillError.from_status(status(code_pb2.UNAVAILABLE, "no connection"))
    assert (error.reason, error.field_violations) == ("UNAVAILABLE", ())


def test_an_address_that_answers_http_names_the_port_to_use() -> None:
    """The message of gRPC for the port of the HTTP API does not say what is wrong."""
    message = "Received http2 header with status: 415"
    error = TidemillError.of_code(grpc.StatusCode.UNKNOWN, message)
    assert str(error).endswith("answers HTTP and not gRPC; use the server's gRPC port")


def test_an_unknown_code_is_unknown() -> None:
    """A code that gRPC does not know is UNKNOWN."""
    assert TidemillError.from_status(status(99, "?")).code is grpc.StatusCode.UNKNOWN


def test_a_server_that_is_not_there_is_unavailable() -> None:
    """Methods and stubs both raise a TidemillError with the canonical code."""
    with TidemillClient("127.0.0.1:1", timeout=5) as client:
        with pytest.raises(TidemillError) as predicting:
            client.predict("support", "hello")
        with pytest.raises(TidemillError) as listing, translated_errors():
            client.feedback.ListFeedback(ListFeedbackRequest(), timeout=5)
        with pytest.raises(TidemillError) as streaming:
            list(client.predict_stream([]))
    codes = {raised.value.code for raised in (predicting, listing, streaming)}
    assert codes == {grpc.StatusCode.UNAVAILABLE}


@pytest.mark.parametrize("verdict", [{}, {"correct": True, "label": "refund"}])
def test_feedback_takes_exactly_one_verdict(verdict: dict[str, object]) -> None:
    """Neither, or both, of correct and label are refused before anything is sent."""
    with TidemillClient("127.0.0.1:1") as client, pytest.raises(ValueError, match="either"):
        client.submit_feedback("id", **verdict)
