"""Reports and the alerts that they raise."""

import uuid
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from tidemill_core.domain.report import Alert, Report, ReportVerdict
from tidemill_core.errors import NotFound
from tidemill_core.storage.database import Database, Page
from tidemill_core.storage.schema import alerts, reports


class ReportStore:
    """The tables of reports and alerts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, report: Report) -> Alert | None:
        """Write a report and, if its verdict is ALERT, raise an alert, in one transaction.

        While an alert of the same task, kind and version is unacknowledged, no second one is
        raised.
        """
        with self._database.write(alone_on=alerts) as connection:
            alarming = report.verdict is ReportVerdict.ALERT
            alert = _alert_for(report) if alarming and not _is_open(connection, report) else None
            connection.execute(reports.insert(), asdict(report))
            if alert is not None:
                connection.execute(alerts.insert(), asdict(alert))
        return alert

    def get(self, report_id: str) -> Report:
        """Return the report with an id.

        Raises:
            NotFound: there is no such report.
        """
        with self._database.read() as connection:
            query = select(reports).where(reports.c.report_id == report_id)
            row = connection.execute(query).mappings().first()
        if row is None:
            raise NotFound("report", report_id)
        return _report(row)

    def page(self, task: str, kind: str, page: Page) -> tuple[list[Report], str]:
        """Return a page of reports, newest first, and the next page's token."""
        return self._database.page(_report, reports, page, task=task, kind=kind)

    def alerts_page(
        self, task: str, unacknowledged_only: bool, page: Page
    ) -> tuple[list[Alert], str]:
        """Return a page of alerts, newest first, and the next page's token."""
        waiting = [alerts.c.acknowledge_time.is_(None)] if unacknowledged_only else []
        return self._database.page(_alert, alerts, page, *waiting, task=task)

    def acknowledge(self, alert_id: str, actor: str, now: datetime) -> Alert:
        """Record who acknowledged an alert; the first acknowledgement stays.

        Raises:
            NotFound: there is no such alert.
        """
        this = alerts.c.alert_id == alert_id
        change = update(alerts).where(this, alerts.c.acknowledge_time.is_(None))
        with self._database.write() as connection:
            connection.execute(change.values(acknowledge_time=now, acknowledged_by=actor))
            row = connection.execute(select(alerts).where(this)).mappings().first()
        if row is None:
            raise NotFound("alert", alert_id)
        return _alert(row)


def _is_open(connection: Connection, report: Report) -> bool:
    """Return whether an unacknowledged alert covers what a report says."""
    query = select(alerts.c.alert_id).join(reports, reports.c.report_id == alerts.c.report_id)
    same = query.where(
        alerts.c.task == report.task,
        alerts.c.kind == report.kind,
        alerts.c.acknowledge_time.is_(None),
        reports.c.model_version == report.model_version,
    )
    return connection.execute(same.limit(1)).first() is not None


def _alert_for(report: Report) -> Alert:
    return Alert(
        alert_id=uuid.uuid4().hex,
        report_id=report.report_id,
        task=report.task,
        kind=report.kind,
        message=report.summary,
        create_time=report.create_time,
        acknowledge_time=None,
        acknowledged_by="",
    )


def _report(row: Mapping[Any, Any]) -> Report:
    values = {name: value for name, value in row.items() if name != "sequence"}
    return Report(**{**values, "verdict": ReportVerdict(values["verdict"])})


def _alert(row: Mapping[Any, Any]) -> Alert:
    return Alert(**{name: value for name, value in row.items() if name != "sequence"})
