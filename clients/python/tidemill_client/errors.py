"""What a call that failed raises, and what stands in the place of an item that was not answered.

TidemillError                  any code that is not below: CANCELLED, UNKNOWN, UNIMPLEMENTED, …
├── InvalidRequest             `field` breaks `rule`; repeating it cannot help
│   └── MessageTooLarge        a request or a response is over the limit on messages
├── Unauthenticated            no API key or token, or one that is not good
├── PermissionDenied           the key may not do this
├── NotFound                   there is no such task, prediction, version, …
├── FailedPrecondition         the system's state does not allow it (NO_CHAMPION, say)
├── Overloaded                 too much at once; `retry_after_seconds` says when to come back
├── DeadlineExceeded           the timeout passed
├── Unavailable                the server, or what it needs, is away; retried in vain
└── Internal                   the server's fault; its log says more

Each has the server's `reason`, the word for programs to compare.
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
"""The reason where the server ended a stream, and no more is known."""
# What asyncio's streams say where the call ended while a request was being sent: it hides the
# server's own answer (`_StreamRequestMixin._write` in grpc/aio/_call.py).
_HIDDEN = (grpc.StatusCode.INTERNAL, "Internal error from Core")

# gRPC's own words, of its several libraries. It gives overloads the same code.
_TOO_LARGE = re.compile(r"message .*larger than (?:max \(\d+ vs\.? )?(\d+)")

_CODES = {code.value[0]: code for code in grpc.StatusCode}


@dataclass(frozen=True)
class FieldViolation:
    """One field of a request that breaks a rule.

    Attributes:
        field: path of the field, as in the proto: `text`, `texts[3]`.
        description: the rule, and how the value broke it.
    """

    field: str
    description: str


class TidemillError(Exception):
    """A request, or one item of a batch or stream, was not answered.

    Attributes:
        code: the canonical gRPC code.
        reason: what happened, in one UPPER_SNAKE word that programs can compare; the code's
            name where the error did not come from Tidemill itself.
        message: what happened, for people.
        field_violations: the fields that break a rule; empty for other errors.
        retry_after_seconds: when to try again; None where the server did not say.
        request_id: the id that the request was sent with; empty where it had none.
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

    def __reduce__(self) -> tuple[object, ...]:  # a worker process can hand it to its parent
        violations, retry = self.field_violations, self.retry_after_seconds
        return type(self), (
            self.code, self.reason, self.message, violations, retry, self.request_id
        )  # fmt: skip

    @staticmethod
    def from_status(status: status_pb2.Status, request_id: str = "") -> "TidemillError":
        """From the status of one item, or of a call."""
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
        """From what a stub's call raised, the synchronous or the asynchronous one's."""
        if not isinstance(error, (grpc.Call, grpc.aio.AioRpcError)):
            return TidemillError(
                grpc.StatusCode.UNKNOWN, "UNKNOWN", str(error), request_id=request_id
            )
        call = cast("grpc.Call", error)  # both have code, details and trailing_metadata
        with suppress(ValueError, DecodeError):  # a proxy changed the code, or cut the details
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
        """An error that no server gave a reason for."""
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE.search(message):
            return message_too_large(message, request_id)
        kind = _KINDS.get(code, TidemillError)
        return kind(code, code.name, message, request_id=request_id)


class InvalidRequest(TidemillError):
    """A field of the request breaks a rule."""

    @property
    def field(self) -> str:
        """The first field that breaks a rule; empty where the server named none."""
        return self.field_violations[0].field if self.field_violations else ""

    @property
    def rule(self) -> str:
        """The rule, and how the value broke it."""
        return self.field_violations[0].description if self.field_violations else self.message


class MessageTooLarge(InvalidRequest):
    """A request or a response is over the limit on messages: send less, or ask for less."""

    @property
    def limit_bytes(self) -> int | None:
        """The limit; None where the message does not say it."""
        found = _TOO_LARGE.search(self.message)
        return int(found[1]) if found else None


class Unauthenticated(TidemillError):
    """The call shows no credential, or one that is not (or no longer) good."""


class PermissionDenied(TidemillError):
    """The caller is known, and may not do this."""


class NotFound(TidemillError):
    """What was asked for by name does not exist."""


class FailedPrecondition(TidemillError):
    """The system's present state does not allow the request."""


class Overloaded(TidemillError):
    """There is no room for more just now, or the key's rate is used up."""


class DeadlineExceeded(TidemillError):
    """There was no answer within the timeout."""


class Unavailable(TidemillError):
    """The server, or a system that it needs, cannot be reached."""


class Internal(TidemillError):
    """The server failed in a way that it should not."""


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
    """Return the error for a message that is over the limit; no one needs to repeat it."""
    code = grpc.StatusCode.INVALID_ARGUMENT
    return MessageTooLarge(code, "MESSAGE_TOO_LARGE", message, request_id=request_id)


def ended_early(request_id: str = "") -> Unavailable:
    """The error for a stream that the server ended while answers were due."""
    message = "the server ended the stream"
    return Unavailable(grpc.StatusCode.UNAVAILABLE, STREAM_ENDED, message, request_id=request_id)


def _unpack(status: status_pb2.Status, detail: Message) -> bool:
    """Fill `detail` from the first of its kind; False where there is none."""
    return any(packed.Unpack(detail) for packed in status.details)


@contextmanager
def translated_errors(request_id: str = "") -> Iterator[None]:
    """Raise a TidemillError for every gRPC error inside the block.

    For calls of the stubs, such as `client.models.ListModelVersions(request, timeout=10)`; those
    of AsyncTidemillClient are awaited inside the block.

    Args:
        request_id: the error's `request_id`.
    """
    try:
        yield
    except grpc.RpcError as error:
        # What gRPC's own error holds is all in ours: its traceback would only be noise.
        raise TidemillError.from_rpc_error(error, request_id) from None
