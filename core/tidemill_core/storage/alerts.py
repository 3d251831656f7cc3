"""Alerts: raised, acknowledged and resolved, with what is to be sent about them."""

import uuid
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, select, update

from tidemill_core.domain.alert import Alert, AlertEvent, Severity
from tidemill_core.domain.report import Report
from tidemill_core.storage.alert_outbox import drop_held, last_events, queue
from tidemill_core.storage.alert_rows import alert_of_row
from tidemill_core.storage.database import Database, Page, row_by_id
from tidemill_core.storage.reports import insert_report
from tidemill_core.storage.schema import alerts, reports


class AlertStore:
    """The table of alerts; each change also queues its deliveries, in one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def raise_alert(
        self,
        report: Report,
        severity: Severity,
        advice: str,
        sinks: Sequence[str],
        cool_down: timedelta,
    ) -> Alert:
        """Write a report, and raise or update the alert of its task and kind.

        An unresolved alert is updated, and sent only to sinks that do not know it yet; if it is now
        more severe, to all. An alert that was resolved less than `cool_down` ago is opened again,
        and sent when the cool-down ends, if it is unresolved then.

        Args:
            report: the newest report of the problem.
            severity: how soon someone should look at it.
            advice: what to do.
            sinks: the names of the sinks to send it to.
            cool_down: how long after it was resolved the problem is not sent again.
        """
        now = report.create_time
        with self._database.write(alone_on=alerts) as connection:
            insert_report(connection, report)
            before = _latest(connection, report, now - cool_down)
            if before is None:
                alert = _new(report, severity, advice)
                connection.execute(alerts.insert(), asdict(alert))
            else:
                alert = _updated(before, report, severity, advice)
                connection.execute(
                    update(alerts).where(alerts.c.alert_id == alert.alert_id).values(asdict(alert))
                )
            resolved = before.resolve_time if before is not None else None
            due = now if resolved is None else resolved + cool_down
            rises = before is not None and alert.severity is not before.severity
            known = {} if rises else last_events(connection, alert.alert_id)
            to_send = [sink for sink in sinks if known.get(sink) in (None, AlertEvent.RESOLVE)]
            queue(connection, alert.alert_id, AlertEvent.TRIGGER, to_send, now, due)
        return alert

    def resolve_alert(self, report: Report) -> Alert | None:
        """Write a report, and resolve the alert of its task and kind; None if there is none."""
        now = report.create_time
        with self._database.write(alone_on=alerts) as connection:
            insert_report(connection, report)
            found = connection.execute(
                select(alerts).where(_is_about(report), alerts.c.resolve_time.is_(None))
            ).mappings()
            open_alerts = [alert_of_row(row) for row in found]
            for alert in open_alerts:
                change = update(alerts).where(alerts.c.alert_id == alert.alert_id)
                connection.execute(change.values(resolve_time=now))
                drop_held(connection, alert, now)
                known = last_events(connection, alert.alert_id)
                sinks = [sink for sink, event in known.items() if event is not AlertEvent.RESOLVE]
                queue(connection, alert.alert_id, AlertEvent.RESOLVE, sinks, now, now)
        return replace(open_alerts[-1], resolve_time=now) if open_alerts else None

    def acknowledge(self, alert_id: str, actor: str, now: datetime) -> Alert:
        """Record who acknowledged an alert; the first acknowledgement stays.

        The alert is the one with the id, or the only one whose id starts so. Raises as `row_by_id`.
        """
        with self._database.write(alone_on=alerts) as connection:
            alert = alert_of_row(row_by_id(connection, alerts.c.alert_id, alert_id, "alert"))
            if alert.acknowledge_time is not None:
                return alert
            this = alerts.c.alert_id == alert.alert_id
            first = update(alerts).where(this)
            connection.execute(first.values(acknowledge_time=now, acknowledged_by=actor))
            known = last_events(connection, alert.alert_id)
            sinks = [sink for sink, event in known.items() if event is AlertEvent.TRIGGER]
            queue(connection, alert.alert_id, AlertEvent.ACKNOWLEDGE, sinks, now, now)
        return replace(alert, acknowledge_time=now, acknowledged_by=actor)

    def page(
        self, task: str, unacknowledged_only: bool, unresolved_only: bool, page: Page
    ) -> tuple[list[Alert], str]:
        """Return a page of alerts, newest first, and the next page's token."""
        conditions: list[ColumnElement[bool]] = []
        if unacknowledged_only:
            conditions += [alerts.c.acknowledge_time.is_(None), alerts.c.resolve_time.is_(None)]
        if unresolved_only:
            conditions.append(alerts.c.resolve_time.is_(None))
        return self._database.page(alert_of_row, alerts, page, *conditions, task=task)

    def reported_run(self, task: str, kind: str) -> str | None:
        """Return the run of the newest report of an unresolved alert; None if there is none."""
        query = (
            select(reports.c.run_id)
            .join(alerts, alerts.c.report_id == reports.c.report_id)
            .where(alerts.c.task == task, alerts.c.kind == kind, alerts.c.resolve_time.is_(None))
        )
        with self._database.read() as connection:
            run_id: str | None = connection.scalar(query.limit(1))
        return run_id


def _is_about(report: Report) -> ColumnElement[bool]:
    return (alerts.c.task == report.task) & (alerts.c.kind == report.kind)


def _latest(connection: Connection, report: Report, resolved_since: datetime) -> Alert | None:
    """Return the alert that a report continues; None if it is about a new problem."""
    goes_on = alerts.c.resolve_time.is_(None) | (alerts.c.resolve_time > resolved_since)
    query = select(alerts).where(_is_about(report), goes_on)
    row = connection.execute(query.order_by(alerts.c.sequence.desc()).limit(1)).mappings().first()
    return None if row is None else alert_of_row(row)


def _new(report: Report, severity: Severity, advice: str) -> Alert:
    return Alert(
        alert_id=uuid.uuid4().hex,
        report_id=report.report_id,
        task=report.task,
        kind=report.kind,
        message=report.summary,
        create_time=report.create_time,
        severity=severity,
        model_version=report.model_version,
        advice=advice,
    )


def _updated(alert: Alert, report: Report, severity: Severity, advice: str) -> Alert:
    """Return an alert with what a newer report says; a resolved one is open again."""
    updated = replace(
        alert,
        report_id=report.report_id,
        message=report.summary,
        severity=max(alert.severity, severity, key=lambda each: each.rank),
        model_version=report.model_version,
        advice=advice,
        update_time=report.create_time,
        resolve_time=None,
    )
    if alert.resolve_time is None:
        return updated
    return replace(updated, acknowledge_time=None, acknowledged_by="", severity=severity)
