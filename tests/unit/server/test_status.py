"""Errors as callers see them."""

import pytest
from google.rpc import code_pb2, error_details_pb2
from structlog.testing import capture_logs

from tidemill_core import errors
from tidemill_server.rpc.drain import ShuttingDown
from tidemill_server.rpc.status import to_status


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (
            errors.InvalidArgument("BLANK_TEXT", "text", "is blank"),
            "INVALID_ARGUMENT",
            "BLANK_TEXT",
        ),
        (errors.NotFound("job run", "x"), "NOT_FOUND", "JOB_RUN_NOT_FOUND"),
        (errors.NoChampion("t"), "FAILED_PRECONDITION", "NO_CHAMPION"),
        (errors.IllegalTransition("A", "B"), "FAILED_PRECONDITION", "ILLEGAL_TRANSITION"),
        (errors.ResourceExhausted("OVERLOADED", "m", 0.5), "RESOURCE_EXHAUSTED", "OVERLOADED"),
        (errors.DeadlineExceeded(1.0), "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"),
        (errors.StorageUnavailable("d"), "UNAVAILABLE", "STORAGE_UNAVAILABLE"),
        (errors.TritonUnavailable("a", "d"), "UNAVAILABLE", "TRITON_UNAVAILABLE"),
        (errors.ModelVersionNotServed("m", 1), "UNAVAILABLE", "MODEL_VERSION_NOT_SERVED"),
        (errors.ModelOutputInvalid("m", 1, "NaN"), "INTERNAL", "MODEL_OUTPUT_INVALID"),
        (errors.DataError("DAMAGED", "m"), "INTERNAL", "DAMAGED"),
        (ShuttingDown(), "UNAVAILABLE", "SHUTTING_DOWN"),
    ],
)
def test_each_error_has_its_code_and_reason(
    error: errors.TidemillError, code: str, reason: str
) -> None:
    """An error has the canonical code, and its own reason in Tidemill's domain."""
    status = to_status(error)
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert code_pb2.Code.Name(status.code) == code
    assert (info.reason, info.domain) == (reason, "tidemill")
    assert status.message == str(error)


@pytest.mark.parametrize(
    "error",
    [
        errors.StorageUnavailable("host db.internal, user tidemill"),
        errors.TritonUnavailable("10.0.0.7:8001", "failed to connect to db.internal"),
    ],
)
def test_internals_are_for_the_log(error: errors.TidemillError) -> None:
    """The message of another system is logged once, and not sent to the caller."""
    with capture_logs() as logged:
        status = to_status(error)
    assert "internal" not in str(status)
    assert "10.0.0.7" not in str(status)
    assert [(entry["reason"], entry["detail"]) for entry in logged] == [
        (error.reason, error.detail)
    ]
    assert "internal" in error.detail


def test_a_retry_has_its_delay() -> None:
    """RetryInfo carries fractions of a second."""
    retry = error_details_pb2.RetryInfo()
    status = to_status(errors.ResourceExhausted("OVERLOADED", "m", 2.5))
    assert status.details[1].Unpack(retry)
    assert retry.retry_delay.ToTimedelta().total_seconds() == 2.5
