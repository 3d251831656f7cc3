"""The errors of failed calls, and of items without an answer in a batch or a stream.

TidemillError                  any other code: CANCELLED, UNKNOWN, UNIMPLEMENTED, …
├── InvalidRequest             `field` breaks `rule`; do not repeat the call
│   └── MessageTooLarge        a request or a response is over the limit on messages
├── Unauthenticated            no API key or token, or one that is not valid
├── PermissionDenied           the key may not do this
├── NotFound                   there is no such task, prediction, version, …
├── FailedPrecondition         the system's state does not allow it, as NO_CHAMPION
├── Overloaded                 too many calls; `retry_after_seconds` says when to retry
├── DeadlineExceeded           the timeout passed
├── Unavailable                the server, or a system it needs, is down; retries failed
└── Internal                   an error of the server; see its log

Programs compare `reason`, which comes from the server.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import cast

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

STREAM_ENDED = "STREAM_ENDED"
"""The reason if the server ended a stream for an unknown cause."""
# The error of asyncio's streams if the call ends while a request is sent: it hides the server's
# own status (`_StreamRequestMixin._write` in grpc/aio/_call.py).
_HIDDEN = (grpc.StatusCode.INTERNAL, "Internal error from Core")

# The messages of gRPC's libraries. gRPC gives overloads the same code.
_TOO_LARGE = re.compile(r"message .*larger than (?:max \(\d+ vs\.? )?(\d+)")
_NOT_GRPC = "Received http2 header with status"

_CODES = {code.value[0]: code for code in grpc.StatusCode}


@dataclass(frozen=True)
class FieldViolation:
    """A field of a request that breaks a rule.

    Attributes:
        field: path of the field, as in the proto: `text`, `texts[3]`.
        description: the rule, and how the value broke it.
    """

    field: str
    description: str


class TidemillError(Exception):
    """A request, or an item of a batch or stream, that has no answer.

    Attributes:
        code: the canonical gRPC code.
        reason: what happened, as one UPPER_SNAKE word for programs; the name of the code if the
            error did not come from Tidemill itself.
        message: what happened, for people.
        field_violations: the fields that break a rule; empty for other errors.
        retry_after_seconds: when to try again; None if the server did not say.
        request_id: the id of the request; empty if it had none.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        reason: str,
        message: str,
        field_violations: tuple[FieldViolation, ...] = (),
        retry_after_seconds: float | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.field_violations = field_violations
        self.retry_after_seconds = retry_after_seconds
        self.request_id = request_id

    def __reduce__(self) -> tuple[object, ...]:  # worker processes send errors to their parent
        details = (self.field_violations, self.retry_after_seconds, self.request_id)
        return type(self), (self.code, self.reason, self.message, *details)

    @staticmethod
    def from_status(status: status_pb2.Status, request_id: str = "") -> "TidemillError":
        """Return the error for the status of an item or a call."""
        code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
        reason = code.name
        violations: tuple[FieldViolation, ...] = ()
        retry_after: float | None = None
        info = error_details_pb2.ErrorInfo()
        bad_request = error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        if _unpack(status, info):
            reason = info.reason
        if _unpack(status, bad_request):
            violations = tuple(
                FieldViolation(violation.field, violation.description)
                for violation in bad_request.field_violations
            )
        if _unpack(status, retry):
            retry_after = retry.retry_delay.ToTimedelta().total_seconds()
        kind = _KINDS.get(code, TidemillError)
        return kind(code, reason, status.message, violations, retry_after, request_id)

    @staticmethod
    def from_rpc_error(error: grpc.RpcError, request_id: str = "") -> "TidemillError":
        """Return the error for one that a call of a stub raised, synchronous or asynchronous."""
        if not isinstance(error, (grpc.Call, grpc.aio.AioRpcError)):
            return TidemillError(
                grpc.StatusCode.UNKNOWN, "UNKNOWN", str(error), request_id=request_id
            )
        call = cast("grpc.Call", error)  # both have code, details and trailing_metadata
        with suppress(ValueError, DecodeError):  # a proxy changed the code, or cut off the details
            status = rpc_status.from_call(call)
            if status is not None:
                return TidemillError.from_status(status, request_id)
        code = call.code() or grpc.StatusCode.UNKNOWN
        message = call.details() or code.name
        if (code, message) == _HIDDEN:
            return ended_early(request_id)
        return TidemillError.of_code(code, message, request_id)

    @staticmethod
    def of_code(code: grpc.StatusCode, message: str, request_id: str = "") -> "TidemillError":
        """Return the error for a code without a reason from the server."""
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE.search(message):
            return message_too_large(message, request_id)
        if code is grpc.StatusCode.UNKNOWN and message.startswith(_NOT_GRPC):
            message += ": the address answers HTTP and not gRPC; use the server's gRPC port"
        kind = _KINDS.get(code, TidemillError)
        return kind(code, code.name, message, request_id=request_id)


class InvalidRequest(TidemillError):
    """A request with a field that breaks a rule."""

    @property
    def field(self) -> str:
        """The first field that breaks a rule; empty if the server named none."""
        return self.field_violations[0].field if self.field_violations else ""

    @property
    def rule(self) -> str:
        """The rule, and how the value broke it."""
        return self.field_violations[0].description if self.field_violations else self.message


class MessageTooLarge(InvalidRequest):
    """A request or a response over the limit on messages: send less, or request less."""

    @property
    def limit_bytes(self) -> int | None:
        """The limit in bytes; None if the message does not have it."""
        found = _TOO_LARGE.search(self.message)
        return int(found[1]) if found else None


class Unauthenticated(TidemillError):
    """A call without a credential, or with one that is not, or no longer, valid."""


class PermissionDenied(TidemillError):
    """A call that its caller is not allowed to make."""


class NotFound(TidemillError):
    """A task, prediction, version or other thing that does not exist."""


class FailedPrecondition(TidemillError):
    """A request that the system's state does not allow."""


class Overloaded(TidemillError):
    """Too many calls for the server, or for the rate of the key."""


class DeadlineExceeded(TidemillError):
    """A call without an answer within its timeout."""


class Unavailable(TidemillError):
    """A server, or a system that it needs, that cannot be reached."""


class Internal(TidemillError):
    """An error in the server itself."""


_KINDS: dict[grpc.StatusCode, type[TidemillError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Overloaded,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.INTERNAL: Internal,
}


def message_too_large(message: str, request_id: str = "") -> MessageTooLarge:
    """Return the error for a message over the limit, which must not be retried."""
    code = grpc.StatusCode.INVALID_ARGUMENT
    return MessageTooLarge(code, "MESSAGE_TOO_LARGE", message, request_id=request_id)


def ended_early(request_id: str = "") -> Unavailable:
    """Return the error for a stream that the server ended before all answers came."""
    message = "the server ended the stream"
    return Unavailable(grpc.StatusCode.UNAVAILABLE, STREAM_ENDED, message, request_id=request_id)


def _unpack(status: status_pb2.Status, detail: Message) -> bool:
    """Fill `detail` from the first of its type; return False if there is none."""
    return any(packed.Unpack(detail) for packed in status.details)


@contextmanager
def translated_errors(request_id: str = "") -> Iterator[None]:
    """Raise a TidemillError for every gRPC error inside the block.

    Use it for calls of the stubs, such as `client.models.ListModelVersions(request, timeout=10)`.
    Await those of AsyncTidemillClient inside the block.

    Args:
        request_id: the `request_id` of the error.
    """
    try:
        yield
    except grpc.RpcError as error:
        # Our error has all that gRPC's has: its traceback would only be noise.
        raise TidemillError.from_rpc_error(error, request_id) from None
