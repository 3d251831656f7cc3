"""What the gates found, written and read within a transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from tidemill_core.domain.gate import GateResult, GateVerdict
from tidemill_core.domain.model import ModelState, ModelVersion
from tidemill_core.errors import IllegalTransition
from tidemill_core.storage.deployments import Change
from tidemill_core.storage.model_rows import get_version, set_state, this
from tidemill_core.storage.schema import gate_results, model_versions


def record_gate_results(
    connection: Connection, task: str, version: int, results: Sequence[GateResult]
) -> None:
    """Write the gates' verdicts on a version, in their order."""
    rows: list[dict[str, Any]] = [
        {"task": task, "version": version, **vars(result)} for result in results
    ]
    if rows:
        connection.execute(gate_results.insert(), rows)


def gate_results_of(connection: Connection, task: str, version: int) -> list[GateResult]:
    """Return the gates' verdicts on a version, in their order; empty before it is judged."""
    query = select(gate_results).where(
        gate_results.c.task == task, gate_results.c.version == version
    )
    rows = connection.execute(query.order_by(gate_results.c.sequence)).mappings()
    return [
        GateResult(
            row["gate"],
            GateVerdict(row["verdict"]),
            row["figure"],
            row["threshold"],
            row["reason"],
            row["details"],
        )
        for row in rows
    ]


def approve(
    connection: Connection, task: str, version: int, change: Change
) -> tuple[ModelVersion, bool]:
    """Make a version that waits for a person VALIDATED, and record the approval as a verdict.

    Returns:
        The version, and whether it was not approved before.

    Raises:
        NotFound: there is no such version.
        IllegalTransition: it does not wait for a person, and no one has approved it.
    """
    before = get_version(connection, task, version)
    if before.state is not ModelState.AWAITING_APPROVAL:
        if before.approved_by:
            return before, False
        raise IllegalTransition(before.state, "approved", "it must be AWAITING_APPROVAL")
    approval = update(model_versions).where(this(task, version))
    connection.execute(approval.values(approved_by=change.actor))
    reason = f"approved by {change.actor}" + (change.comment and f": {change.comment}")
    _decide(connection, before, GateVerdict.PASSED, reason, change.time)
    return get_version(connection, task, version), True


def reject(connection: Connection, task: str, version: int, change: Change) -> ModelVersion:
    """Make a version that waits for a person REJECTED, and record that as a verdict.

    A version that a person rejected before stays as it is.

    Raises:
        NotFound: there is no such version.
        IllegalTransition: it does not wait for a person, and no one has rejected it.
    """
    before = get_version(connection, task, version)
    if before.state is not ModelState.AWAITING_APPROVAL:
        refused = ("approval", GateVerdict.FAILED)
        results = gate_results_of(connection, task, version)
        if any((each.gate, each.verdict) == refused for each in results):
            return before
        raise IllegalTransition(before.state, "rejected", "it must be AWAITING_APPROVAL")
    reason = f"rejected by {change.actor}: {change.comment}"
    _decide(connection, before, GateVerdict.FAILED, reason, change.time)
    return get_version(connection, task, version)


def _decide(
    connection: Connection, waiting: ModelVersion, verdict: GateVerdict, reason: str, now: datetime
) -> None:
    """Record what a person decided about a version that waited for it."""
    task, version = waiting.task, waiting.version
    passed = verdict is GateVerdict.PASSED
    state = ModelState.VALIDATED if passed else ModelState.REJECTED
    set_state(connection, task, version, state, reason, now)
    connection.execute(update(model_versions).where(this(task, version)).values(judge_time=now))
    record_gate_results(
        connection, task, version, [GateResult("approval", verdict, None, None, reason)]
    )
