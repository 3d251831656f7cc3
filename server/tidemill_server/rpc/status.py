"""Errors as gRPC statuses: a canonical code, an ErrorInfo, and details for the caller."""

import math
from typing import NamedTuple

import structlog
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2

from tidemill_core import errors
from tidemill_server.rpc.decoding import MessageTooLarge

log = structlog.get_logger()

DOMAIN = "tidemill"
DETAILS_KEY = "grpc-status-details-bin"
PUSHBACK_KEY = "grpc-retry-pushback-ms"
"""Milliseconds after which gRPC's own retries try again; a negative number forbids a retry."""

_CODES: tuple[tuple[type[errors.TidemillError], int], ...] = (
    (errors.InvalidArgument, code_pb2.INVALID_ARGUMENT),
    (errors.Unauthenticated, code_pb2.UNAUTHENTICATED),
    (errors.PermissionDenied, code_pb2.PERMISSION_DENIED),
    (errors.NotFound, code_pb2.NOT_FOUND),
    (errors.FailedPrecondition, code_pb2.FAILED_PRECONDITION),
    (errors.ResourceExhausted, code_pb2.RESOURCE_EXHAUSTED),
    (errors.DeadlineExceeded, code_pb2.DEADLINE_EXCEEDED),
    (errors.Unavailable, code_pb2.UNAVAILABLE),
    (errors.ModelVersionNotServed, code_pb2.UNAVAILABLE),
    (errors.ModelOutputInvalid, code_pb2.INTERNAL),
    (MessageTooLarge, code_pb2.RESOURCE_EXHAUSTED),
)


class Status(NamedTuple):
    """The end of a call.

    Attributes:
        code: the canonical code.
        message: for people; empty if the code is OK.
        metadata: trailing metadata.
    """

    code: int
    message: str = ""
    metadata: tuple[tuple[str, str | bytes], ...] = ()


OK = Status(code_pb2.OK)
UNEXPECTED = Status(code_pb2.INTERNAL, "internal error; see the server's log")
CODE_NAMES = {number: name for name, number in code_pb2.Code.items()}
"""The names of the codes, such as `OK` or `NOT_FOUND`."""


class PassedOn(errors.TidemillError):
    """An error of Triton's, passed on to the caller.

    Attributes:
        code: Triton's status code.
    """

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


def code_of(error: Exception) -> int:
    """Return an error's canonical code."""
    if isinstance(error, PassedOn):
        return error.code
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return int(code_pb2.INTERNAL)


def to_status(error: errors.TidemillError) -> status_pb2.Status:
    """Return an error as google.rpc.Status; details that callers must not see are logged."""
    if error.detail:
        log.warning("call_failed", reason=error.reason, detail=error.detail)
    status = status_pb2.Status(code=code_of(error), message=str(error))
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN))
    if isinstance(error, errors.InvalidArgument):
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=error.field, description=error.description
        )
        status.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    if isinstance(error, errors.ResourceExhausted):
        nanos = round(error.retry_after_seconds * 1e9)
        delay = Duration(seconds=nanos // 10**9, nanos=nanos % 10**9)
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    return status


def failure(error: errors.TidemillError, seconds_left: float | None) -> Status:
    """Return the end of a call that failed.

    gRPC's own retries wait as long as RetryInfo says. If that is after the caller's deadline, they
    do not retry, so the caller gets the error immediately.

    Args:
        error: why it failed.
        seconds_left: seconds to the caller's deadline; None if it has none.
    """
    status = to_status(error)
    metadata: list[tuple[str, str | bytes]] = [(DETAILS_KEY, status.SerializeToString())]
    if isinstance(error, errors.ResourceExhausted):
        is_in_time = seconds_left is None or error.retry_after_seconds < seconds_left
        pushback = math.ceil(error.retry_after_seconds * 1000) if is_in_time else -1
        metadata.append((PUSHBACK_KEY, str(pushback)))
    return Status(status.code, status.message, tuple(metadata))
