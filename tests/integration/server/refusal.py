"""Refused calls, as callers in any language see them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status


@dataclass(frozen=True)
class Refusal:
    """What an error says.

    Attributes:
        code: name of the canonical code.
        reason: ErrorInfo's, of domain `tidemill`; empty where there is none.
        field: BadRequest's; empty where there is none.
        retry_seconds: RetryInfo's; 0 where there is none.
        message: for people.
    """

    code: str
    reason: str
    field: str
    retry_seconds: float
    message: str


def read(status: status_pb2.Status) -> Refusal:
    """Return a status as a refusal."""
    info, bad, retry = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.BadRequest(),
        error_details_pb2.RetryInfo(),
    )
    for detail in status.details:
        assert detail.Unpack(info) or detail.Unpack(bad) or detail.Unpack(retry)
    assert not info.reason or info.domain == "tidemill"
    field = bad.field_violations[0].field if bad.field_violations else ""
    delay = retry.retry_delay.ToTimedelta().total_seconds()
    return Refusal(code_pb2.Code.Name(status.code), info.reason, field, delay, status.message)


def of(error: grpc.RpcError) -> Refusal:
    """Return a failed call's refusal."""
    status = rpc_status.from_call(error)
    if status is None:  # grpc's own
        failure: Any = error
        return Refusal(failure.code().name, "", "", 0.0, failure.details())
    return read(status)


def refusal(call: Callable[[], Any]) -> Refusal:
    """Return the refusal of a call that must fail."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return of(caught.value)


def words(refused: Refusal) -> tuple[str, str, str]:
    """Code, reason and field."""
    return refused.code, refused.reason, refused.field
