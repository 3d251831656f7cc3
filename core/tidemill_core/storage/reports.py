"""Reports of checks."""

import itertools
from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, select

from tidemill_core.domain.report import Report, ReportVerdict
from tidemill_core.storage.database import Database, Page, row_by_id
from tidemill_core.storage.schema import reports


class ReportStore:
    """The table of reports."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, report: Report) -> None:
        """Write a report that neither raises nor resolves an alert."""
        with self._database.write() as connection:
            insert_report(connection, report)

    def get(self, report_id: str) -> Report:
        """Return the report with an id, or the only one whose id starts so.

        Raises as `row_by_id`.
        """
        with self._database.read() as connection:
            return _report(row_by_id(connection, reports.c.report_id, report_id, "report"))

    def newest(self, tasks: Collection[str], kinds: Collection[str]) -> list[Report]:
        """Return the newest report of each task and kind that has any."""
        found: list[Mapping[Any, Any]] = []
        with self._database.read() as connection:
            for task, kind in itertools.product(tasks, kinds):
                # One at a time, each by the index; a grouped query reads all reports.
                query = select(reports).filter_by(task=task, kind=kind)
                newest = query.order_by(reports.c.sequence.desc()).limit(1)
                found += connection.execute(newest).mappings().all()
        return list(map(_report, found))

    def page(self, task: str, kind: str, page: Page) -> tuple[list[Report], str]:
        """Return a page of reports, newest first, and the next page's token."""
        return self._database.page(_report, reports, page, task=task, kind=kind)


def insert_report(connection: Connection, report: Report) -> None:
    """Write a report in an open transaction."""
    connection.execute(reports.insert(), asdict(report))


def _report(row: Mapping[Any, Any]) -> Report:
    values = {name: value for name, value in row.items() if name != "sequence"}
    return Report(**{**values, "verdict": ReportVerdict(values["verdict"])})
