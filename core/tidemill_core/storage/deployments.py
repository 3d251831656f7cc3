"""The table of deployments: one row for each change of traffic, never overwritten."""

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
    """A change of traffic: who makes it and why.

    Attributes:
        actor: who asks.
        comment: why.
        request_id: a repeated id returns the first result; empty makes each call a new change.
        time: when it is made.
    """

    actor: str
    comment: str
    request_id: str
    time: datetime


def current_deployment(connection: Connection, task: str) -> Deployment | None:
    """Return the current deployment of a task; None before its first champion."""
    query = select(deployments).where(deployments.c.task == task)
    newest = query.order_by(deployments.c.deployment_id.desc()).limit(1)
    row = connection.execute(newest).mappings().first()
    return None if row is None else deployment_of_row(row)


def require_deployment(connection: Connection, task: str) -> Deployment:
    """Return the current deployment of a task.

    Raises:
        NoChampion: the task has no champion yet.
    """
    current = current_deployment(connection, task)
    if current is None:
        raise NoChampion(task)
    return current


def repeated_change(connection: Connection, change: Change) -> Deployment | None:
    """Return the deployment that the request id made before; None if it made none."""
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
    """Write a deployment that takes effect now.

    Args:
        connection: of the transaction that also changes the versions' states.
        task: the task.
        champions: the champion, and the previous champion or 0.
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
    """Return a row as a value."""
    values = {name: value for name, value in row.items() if name != "request_id"}
    canaries = {int(version): percent for version, percent in values.pop("canaries").items()}
    return Deployment(canaries=canaries, shadows=tuple(values.pop("shadows")), **values)
