"""Conversion of held feedback."""

from collections.abc import Mapping

from tidemill.v1 import feedback_service_pb2 as pb
from tidemill_core.domain.feedback import FeedbackHold, HoldReason, HoldState
from tidemill_server.convert import known_value, message

_REASONS: Mapping[int, HoldReason] = {
    pb.HoldReason.Value(f"HOLD_REASON_{reason}"): reason for reason in HoldReason
}
_STATES: Mapping[int, HoldState] = {
    pb.HoldState.Value(f"HOLD_STATE_{state}"): state for state in HoldState
}


def hold_reason(number: int) -> HoldReason | None:
    """Convert a reason; None if it is unspecified.

    Raises:
        InvalidArgument: it is unknown.
    """
    return known_value("reason", _REASONS, number) if number else None


def hold_state(number: int) -> HoldState | None:
    """Convert a state; None if it is unspecified.

    Raises:
        InvalidArgument: it is unknown.
    """
    return known_value("state", _STATES, number) if number else None


def held_feedback(value: FeedbackHold) -> pb.HeldFeedback:
    """Convert a held verdict."""
    reason, state = f"HOLD_REASON_{value.reason}", f"HOLD_STATE_{value.state}"
    return message(pb.HeldFeedback, value, reason=reason, state=state)
