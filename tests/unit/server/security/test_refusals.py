"""Refusals as callers see them."""

import pytest
from google.rpc import code_pb2, error_details_pb2

from tidemill_core import errors
from tidemill_server.rpc.status import to_status


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.Unauthenticated("INVALID_API_KEY", "m"), code_pb2.UNAUTHENTICATED),
        (errors.PermissionDenied("MISSING_SCOPE", "m"), code_pb2.PERMISSION_DENIED),
    ],
)
def test_a_refusal_has_its_code_and_reason(error: errors.TidemillError, code: int) -> None:
    """A refusal has the canonical code, and the reason for programs."""
    status = to_status(error)
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (status.code, status.message, info.reason) == (code, "m", error.reason)
