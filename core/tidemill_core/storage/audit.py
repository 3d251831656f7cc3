"""The audit trail: admin actions, their callers and their results. Records never change."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tidemill_core.domain.access import AuditRecord, Authentication
from tidemill_core.storage.database import Database, Page
from tidemill_core.storage.schema import audit_records


class AuditStore:
    """The table of audit records."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, record: AuditRecord) -> None:
        """Write a record; it is durable when this method returns."""
        with self._database.write() as connection:
            connection.execute(audit_records.insert(), asdict(record))

    def page(self, task: str, caller: str, page: Page) -> tuple[list[AuditRecord], str]:
        """Return a page of records, newest first, and the next page's token.

        Args:
            task: only this task's records; empty for all.
            caller: only this caller's records; empty for all.
            page: which page.
        """
        return self._database.page(_record, audit_records, page, task=task, caller=caller)


def _record(row: Mapping[str, Any]) -> AuditRecord:
    values = {name: value for name, value in row.items() if name != "sequence"}
    return AuditRecord(authentication=Authentication(values.pop("authentication")), **values)
