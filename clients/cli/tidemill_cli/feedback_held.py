"""`tidemill feedback held`, `release` and `drop`: verdicts that are held for review."""

from enum import StrEnum
from typing import Annotated

import typer

from tidemill.v1 import feedback_service_pb2 as pb
from tidemill_cli.connection import connected, current_user
from tidemill_cli.failure import WrongUsage
from tidemill_cli.listing import CALL_SECONDS, Columns, collect, print_list, print_one
from tidemill_cli.messages import enum_name
from tidemill_cli.options import Address, AsJson, ForTask, Limit, OnlyTask
from tidemill_cli.tasks import the_task

HELD_EXAMPLE = "Example: tidemill feedback held --task support"
RELEASE_EXAMPLE = 'Example: tidemill feedback release --source ann --comment "she is right"'
DROP_EXAMPLE = "Example: tidemill feedback drop --reason burst --comment spam"


class Reason(StrEnum):
    """Why a verdict was held."""

    BURST = "burst"
    REPUTATION = "reputation"
    LIMIT = "limit"
    CONTRADICTION = "contradiction"


_Ids = Annotated[
    list[str] | None, typer.Argument(metavar="FEEDBACK_ID", help="Only these verdicts.")
]
_Source = Annotated[
    str | None, typer.Option(help="Only verdicts of this source.", show_default=False)
]
_Reason = Annotated[
    Reason | None, typer.Option(help="Only those held for this reason.", show_default=False)
]
_Everything = Annotated[bool, typer.Option("--all", help="All that are held for the task.")]
_Comment = Annotated[str, typer.Option(help="Why.", show_default=False)]


def held(
    task: OnlyTask = "",
    source: _Source = None,
    reason: _Reason = None,
    every: Annotated[
        bool, typer.Option("--all", help="Also those that were released or dropped.")
    ] = False,
    limit: Limit = 20,
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """List the verdicts that are held for review, and why."""
    request = pb.ListHeldFeedbackRequest(
        task=task,
        source=source or "",
        reason=_number(reason),
        state=pb.HOLD_STATE_UNSPECIFIED if every else pb.HOLD_STATE_HELD,
    )
    with connected(address) as client:
        found = collect(client.feedback.ListHeldFeedback, request, limit)
    columns: Columns = {
        "feedback id": "feedback_id",
        "held (UTC)": "create_time",
        "task": "task",
        "source": "source",
        "label": "label",
        "reason": "reason",
        "state": _state,
        "because": "detail",
    }
    print_list(found, columns, "no held verdicts", as_json)


def release(
    feedback_ids: _Ids = None,
    source: _Source = None,
    reason: _Reason = None,
    every: _Everything = False,
    task: ForTask = "",
    comment: _Comment = "",
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Let held verdicts count."""
    which = _which(feedback_ids, source, reason, every)
    which.state, which.comment = pb.HOLD_STATE_RELEASED, comment
    _resolve(which, task, address, as_json)


def drop(
    feedback_ids: _Ids = None,
    source: _Source = None,
    reason: _Reason = None,
    every: _Everything = False,
    task: ForTask = "",
    comment: _Comment = "",
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Decide that held verdicts never count."""
    which = _which(feedback_ids, source, reason, every)
    which.state, which.comment = pb.HOLD_STATE_DROPPED, comment
    _resolve(which, task, address, as_json)


def _which(
    feedback_ids: list[str] | None, source: str | None, reason: Reason | None, every: bool
) -> pb.ResolveHeldFeedbackRequest:
    if not (feedback_ids or source or reason or every):
        raise WrongUsage("give feedback ids, --source, --reason, or --all for all of the task")
    return pb.ResolveHeldFeedbackRequest(
        feedback_ids=feedback_ids or [],
        source=source or "",
        reason=_number(reason),
        actor=current_user(),
    )


def _resolve(which: pb.ResolveHeldFeedbackRequest, task: str, address: str, as_json: bool) -> None:
    with connected(address) as client:
        which.task = the_task(client, task, address)
        found = client.feedback.ResolveHeldFeedback(which, timeout=CALL_SECONDS)
    fields = {"task": which.task, enum_name(which, "state").lower(): found.resolved_count}
    print_one(found, fields, as_json)


def _number(reason: Reason | None) -> "pb.HoldReason.ValueType":
    if reason is None:
        return pb.HOLD_REASON_UNSPECIFIED
    return pb.HoldReason.Value(f"HOLD_REASON_{reason.name}")


def _state(row: pb.HeldFeedback) -> str:
    state = enum_name(row, "state").lower()
    return f"{state} by {row.actor}" if row.actor else state
