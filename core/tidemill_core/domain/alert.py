"""Alerts: problems that someone should look at, and what is sent about them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal, get_args

AlertKind = Literal["accuracy", "drift", "feedback", "latency", "retraining", "rollout"]
ALERT_KINDS: tuple[AlertKind, ...] = get_args(AlertKind)
"""The kinds of problems."""


class Severity(StrEnum):
    """How soon someone should look at a problem, least urgent first."""

    WARNING = "WARNING"
    """In working hours."""
    CRITICAL = "CRITICAL"
    """Now."""

    @property
    def rank(self) -> int:
        """The position in the order; a higher one is more urgent."""
        return list(Severity).index(self)


class AlertEvent(StrEnum):
    """What happened to an alert, and is sent to its sinks."""

    TRIGGER = "TRIGGER"
    ACKNOWLEDGE = "ACKNOWLEDGE"
    RESOLVE = "RESOLVE"


@dataclass(frozen=True)
class Alert:
    """A problem of a task, from its first sign until it is resolved.

    A task has at most one unresolved alert of a kind.

    Attributes:
        alert_id: its id.
        report_id: the newest report of the problem.
        task: the task.
        kind: the report's kind.
        message: the report's summary.
        create_time: when it was raised.
        acknowledge_time: when someone acknowledged it; None until then.
        acknowledged_by: who acknowledged it; empty until then.
        severity: how soon someone should look at it.
        model_version: the version of the newest report; 0 if it is about none.
        advice: what to do.
        update_time: when the newest report was written; None before the first update.
        resolve_time: when it was resolved; None until then.
    """

    alert_id: str
    report_id: str
    task: str
    kind: str
    message: str
    create_time: datetime
    acknowledge_time: datetime | None = None
    acknowledged_by: str = ""
    severity: Severity = Severity.WARNING
    model_version: int = 0
    advice: str = ""
    update_time: datetime | None = None
    resolve_time: datetime | None = None


@dataclass(frozen=True)
class Delivery:
    """One event of an alert on its way to one sink.

    Attributes:
        sequence: the order of the deliveries.
        delivery_id: its id, the same each time it is sent.
        sink: the name of the sink.
        event: what happened.
        alert: the alert as it is now.
        create_time: when it happened.
        attempts: how often it was sent before.
    """

    sequence: int
    delivery_id: str
    sink: str
    event: AlertEvent
    alert: Alert
    create_time: datetime
    attempts: int


@dataclass(frozen=True)
class Silence:
    """A time in which new alerts are recorded but not sent.

    Alerts that are still unresolved when it ends are sent then.

    Attributes:
        silence_id: its id.
        task: the task whose alerts it holds back; empty for all.
        kind: the kind of alerts that it holds back; empty for all.
        actor: who asked for it.
        reason: why.
        create_time: when it began.
        end_time: when it ends.
    """

    silence_id: str
    task: str
    kind: str
    actor: str
    reason: str
    create_time: datetime
    end_time: datetime
