"""Errors as problem documents (RFC 9457), from the same statuses as gRPC's."""

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from google.rpc import code_pb2, error_details_pb2, status_pb2
from pydantic import BaseModel, ConfigDict

from tidemill_server.rpc.decoding import MessageNotSent, MessageTooLarge
from tidemill_server.rpc.status import CODE_NAMES, DETAILS_KEY, Status

UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
"""The reason of a body that is not JSON in clear."""

PROBLEM_TYPE = "application/problem+json"
# As google/rpc/code.proto maps them.
_OF_CODE = {
    code_pb2.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    code_pb2.FAILED_PRECONDITION: HTTPStatus.BAD_REQUEST,
    code_pb2.OUT_OF_RANGE: HTTPStatus.BAD_REQUEST,
    code_pb2.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    code_pb2.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    code_pb2.NOT_FOUND: HTTPStatus.NOT_FOUND,
    code_pb2.ALREADY_EXISTS: HTTPStatus.CONFLICT,
    code_pb2.ABORTED: HTTPStatus.CONFLICT,
    code_pb2.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
    code_pb2.UNIMPLEMENTED: HTTPStatus.NOT_IMPLEMENTED,
    code_pb2.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    code_pb2.DEADLINE_EXCEEDED: HTTPStatus.GATEWAY_TIMEOUT,
}
# HTTP has a status of its own for these.
_OF_REASON = {
    UNSUPPORTED_MEDIA_TYPE: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    MessageTooLarge.reason: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    MessageNotSent.reason: HTTPStatus.REQUEST_TIMEOUT,
}


class Problem(BaseModel):
    """Why a request or an item failed (RFC 9457)."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    title: str
    """The HTTP status in words."""
    status: int
    """The HTTP status."""
    detail: str
    """What happened, for people."""
    code: str = ""
    """gRPC's canonical code, such as INVALID_ARGUMENT."""
    reason: str = ""
    """One word for programs, such as UNKNOWN_TASK; the same as over gRPC."""
    field: str = ""
    """The wrong field, if one is wrong."""
    retry_after_seconds: float = 0.0
    """When to try again, if that helps."""


class Failed(Exception):
    """A call that failed.

    Attributes:
        status: its end.
    """

    def __init__(self, status: Status) -> None:
        super().__init__(status.message)
        self.status = status


def problem_fields(status: status_pb2.Status) -> dict[str, Any]:
    """Return the problem document of an error."""
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    for detail in status.details:
        detail.Unpack(info) or detail.Unpack(bad) or detail.Unpack(retry)
    http = _OF_REASON.get(info.reason) or _OF_CODE.get(
        status.code, HTTPStatus.INTERNAL_SERVER_ERROR
    )
    fields = {
        "title": http.phrase,
        "status": http.value,
        "detail": status.message,
        "code": CODE_NAMES[status.code],
    }
    if info.reason:
        fields["reason"] = info.reason
    if bad.field_violations:
        fields["field"] = bad.field_violations[0].field
    if retry.HasField("retry_delay"):
        fields["retry_after_seconds"] = retry.retry_delay.ToTimedelta().total_seconds()
    return fields


def problem_of(end: Status) -> dict[str, Any]:
    """Return the problem document of a failed call."""
    details = dict(end.metadata).get(DETAILS_KEY)
    if isinstance(details, bytes):
        return problem_fields(status_pb2.Status.FromString(details))
    return problem_fields(status_pb2.Status(code=end.code, message=end.message))


def http_problem(status: int, allowed: str = "") -> dict[str, Any]:
    """Return the problem document of a request that is no call, such as one of an unknown path.

    Args:
        status: the HTTP status.
        allowed: the methods that the path takes, as in the header `Allow`; empty if unknown.
    """
    http = HTTPStatus(status)
    details = {
        HTTPStatus.NOT_FOUND: "there is no such path; /docs lists all of them",
        HTTPStatus.METHOD_NOT_ALLOWED: f"the path does not take this method; it takes {allowed}",
    }
    return {"title": http.phrase, "status": status, "detail": details.get(http, http.phrase)}


def headers_of(problem: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers of the answer with a problem document."""
    headers = {"content-type": PROBLEM_TYPE}
    if problem["status"] == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    if "retry_after_seconds" in problem:
        headers["retry-after"] = str(max(math.ceil(problem["retry_after_seconds"]), 1))
    return headers
