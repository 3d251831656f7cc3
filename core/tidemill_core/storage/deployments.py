"""The deployments table: one row a change of traffic, never overwritten."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from tidemill_core.domain.model import Deployment
from tidemill_core.errors import NoChampion
from tidemill_core.storage.schema import deployments


@dataclass(frozen=True)
class Change:
    """Who changes the traffic and why.

    Attributes:
        actor: who asks.
        comment: why.
        request_id: the same id gets the first answer again; empty never repeats.
        time: when.
    """

    actor: str
    comment: str
    request_id: str
    time: datetime


def current_deployment(connection: Connection, task: str) -> Deployment | None:
    """What holds for a task now; None before its first champion."""
    query = select(deployments).where(deployments.c.task == task)
    newest = query.order_by(deployments.c.deployment_id.desc()).limit(1)
    row = connection.execute(newest).mappings().first()
    return None if row is None else deployment_of_row(row)


def require_deployment(connection: Connection, task: str) -> Deployment:
    """What holds for a task now.

    Raises:
        NoChampion: nobody answers for it yet.
    """
    current = current_deployment(connection, task)
    if current is None:
        raise NoChampion(task)
    return current


def repeated_change(connection: Connection, change: Change) -> Deployment | None:
    """What the same request id was answered before, if it was."""
    if not change.request_id:
        return None
    query = select(deployments).where(deployments.c.request_id == change.request_id)
    row = connection.execute(query).mappings().first()
    return None if row is None else deployment_of_row(row)


def record_deployment(
    connection: Connection,
    task: str,
    champions: tuple[int, int],
    traffic: tuple[Mapping[int, int], Sequence[int]],
    change: Change,
) -> Deployment:
    """Write down what holds from now on.

    Args:
        connection: of the transaction that also changes the versions' states.
        task: the task.
        champions: the champion, and the one before it or 0.
        traffic: percent by canary, and the shadows.
        change: who, why and when.
    """
    values = {
        "task": task,
        "champion": champions[0],
        "previous_champion": champions[1],
        "canaries": {str(version): percent for version, percent in traffic[0].items()},
        "shadows": list(traffic[1]),
        "actor": change.actor,
        "comment": change.comment,
        "request_id": change.request_id or None,
        "create_time": change.time,
    }
    connection.execute(deployments.insert(), values)
    return require_deployment(connection, task)


def deployment_of_row(row: Mapping[Any, Any]) -> Deployment:
    """A row as a value."""
    values = {name: value for name, value in row.items() if name != "request_id"}
    canaries = {int(version): percent for version, percent in values.pop("canaries").items()}
    return Deployment(canaries=canaries, shadows=tuple(values.pop("shadows")), **values)
