"""Errors as problem documents (RFC 9457), from the same statuses as gRPC's."""

import math
from http import HTTPStatus

from fastapi.responses import JSONResponse
from google.rpc import code_pb2, error_details_pb2, status_pb2

from tidemill_server.gateway.bodies import ProblemBody
from tidemill_server.rpc.status import CODE_NAMES, DETAILS_KEY, Status

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
    "UNSUPPORTED_MEDIA_TYPE": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "MESSAGE_TOO_LARGE": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "MESSAGE_NOT_SENT": HTTPStatus.REQUEST_TIMEOUT,
}


class Failed(Exception):
    """A call that failed.

    Attributes:
        status: its end.
    """

    def __init__(self, status: Status) -> None:
        super().__init__(status.message)
        self.status = status


def problem_of(status: Status) -> JSONResponse:
    """Return the problem document of a failed call."""
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    binary = dict(status.metadata).get(DETAILS_KEY, b"")
    for detail in status_pb2.Status.FromString(binary).details if isinstance(binary, bytes) else ():
        detail.Unpack(info) or detail.Unpack(bad) or detail.Unpack(retry)
    http = _OF_REASON.get(info.reason) or _OF_CODE.get(
        status.code, HTTPStatus.INTERNAL_SERVER_ERROR
    )
    seconds = retry.retry_delay.ToTimedelta().total_seconds()
    headers = {}
    if http is HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    if retry.HasField("retry_delay"):
        headers["retry-after"] = str(max(math.ceil(seconds), 1))
    return _response(
        http,
        headers,
        detail=status.message,
        code=CODE_NAMES[status.code],
        reason=info.reason,
        field=bad.field_violations[0].field if bad.field_violations else "",
        retry_after_seconds=seconds,
    )


def http_problem(status: int, headers: dict[str, str]) -> JSONResponse:
    """Return the problem document of a request that is no call, such as one of an unknown path."""
    http = HTTPStatus(status)
    return _response(http, headers, detail=http.description or http.phrase)


def _response(http: HTTPStatus, headers: dict[str, str], **fields: object) -> JSONResponse:
    body = ProblemBody.model_validate({"title": http.phrase, "status": http.value, **fields})
    content = body.model_dump(exclude_defaults=True)
    return JSONResponse(content, http, headers, media_type="application/problem+json")
