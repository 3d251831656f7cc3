"""What a call that failed raises."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

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
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        reason: str,
        message: str,
        field_violations: tuple[FieldViolation, ...] = (),
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.field_violations = field_violations
        self.retry_after_seconds = retry_after_seconds

    @classmethod
    def from_status(cls, status: status_pb2.Status) -> "TidemillError":
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
        return cls(code, reason, status.message, violations, retry_after)

    @classmethod
    def from_rpc_error(cls, error: grpc.RpcError) -> "TidemillError":
        """From what a stub's call raised."""
        if not isinstance(error, grpc.Call):
            return cls(grpc.StatusCode.UNKNOWN, "UNKNOWN", str(error))
        status = rpc_status.from_call(error)
        if status is not None:
            return cls.from_status(status)
        code = error.code() or grpc.StatusCode.UNKNOWN
        return cls(code, code.name, error.details() or code.name)


def _unpack(status: status_pb2.Status, detail: Message) -> bool:
    """Fill `detail` from the first of its kind; False where there is none."""
    return any(packed.Unpack(detail) for packed in status.details)


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise a TidemillError for every gRPC error inside the block.

    For calls of the stubs, such as `client.models.ListModelVersions(request, timeout=10)`.
    """
    try:
        yield
    except grpc.RpcError as error:
        raise TidemillError.from_rpc_error(error) from error
