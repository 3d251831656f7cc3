"""Rows of alerts, and the silences that hold them back."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, FromClause, select

from tidemill_core.domain.alert import Alert, Severity
from tidemill_core.storage.schema import alert_silences


def alert_of_row(row: Mapping[Any, Any]) -> Alert:
    """Return a row as a value."""
    values = {name: value for name, value in row.items() if name != "sequence"}
    return Alert(**{**values, "severity": Severity(values["severity"])})


def is_silenced(alert: FromClause, now: datetime) -> ColumnElement[bool]:
    """Return whether a silence holds back a row of the table of alerts, or of its alias."""
    silence = alert_silences.c
    query = select(silence.silence_id).where(
        silence.end_time > now,
        silence.task.in_(["", alert.c.task]),
        silence.kind.in_(["", alert.c.kind]),
    )
    return query.exists()
